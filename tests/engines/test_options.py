"""Engines that are not installed, and options that no engine knows."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from pydantic import Field

from curate.engines import connect
from curate.engines.options import Settings, need, read
from curate.errors import EngineMissing, RecipeError
from curate.recipe import EngineSection, ModelSection, SamplingSection


class Example(Settings):
    width: int = Field(default=1, ge=1)
    inner: tuple[dict[str, int], ...] = ()


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_command_that_installs_it_is_named() -> None:
    with pytest.raises(EngineMissing) as caught:
        connect(ModelSection(path="org/model"), EngineSection(kind="vllm"), SamplingSection())
    assert caught.value.hint == "pip install 'curate-rlvr[vllm]'"
    assert caught.value.where == "engine.kind"


def test_any_package_may_be_missing() -> None:
    need("json", extra="transformers")
    with pytest.raises(EngineMissing, match="no_such_package"):
        need("no_such_package", extra="transformers")


def test_settings_are_read() -> None:
    assert read(Example, {"width": 3}, where="here") == Example(width=3)


@pytest.mark.parametrize(
    ("given", "where", "hint"),
    [
        ({"widht": 1}, "here.widht", "did you mean 'width'?"),
        ({"zzz": 1}, "here.zzz", "known keys: inner, width"),
        ({"width": 0}, "here.width", None),
        ({"inner": [{"a": "b"}]}, "here.inner.0.a", None),
        ([], "here", None),
        (None, "here", None),
    ],
)
def test_what_cannot_be_read_is_named(given: object, where: str, hint: str | None) -> None:
    with pytest.raises(RecipeError) as caught:
        read(Example, given, where="here")
    assert (caught.value.where, caught.value.hint) == (where, hint)
