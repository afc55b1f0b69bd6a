"""The tiny checkpoint that the tests of the local engines share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import save_model, save_tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint; tests must not write into it."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny")
    save_model(folder, save_tokenizer(folder))
    return folder
