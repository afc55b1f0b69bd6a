"""Fixtures that several rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def third_party_data() -> Path:
    """The folder of third-party data; the test is skipped where it is absent."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"third-party data is not at {folder}; name its folder in CURATE_THIRD_PARTY_DATA")
    return folder
