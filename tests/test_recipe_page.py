"""The page of the recipe names every key that there is, no other, and the defaults that hold; its rehearsal runs."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

import curate
from curate import recipe
from curate.engines import KINDS, openai, scripted, transformers, vllm

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "recipe.md").read_text()
ENGINES = {"transformers": transformers.Options, "vllm": vllm.Options, "openai": openai.Options}


def rows(text: str) -> dict[str, str]:
    """Key -> default, of the tables in a piece of the page."""
    found = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]*) \|", text, re.MULTILINE)
    assert len(dict(found)) == len(found), "a key stands twice"
    return dict(found)


def section(heading: str) -> str:
    return PAGE.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]


def settings(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a model with its field, sections inside sections walked."""
    for name, field in model.model_fields.items():
        inner = _section_of(field.annotation)
        if inner is None:
            yield f"{at}{name}", field
        else:
            yield from settings(inner, f"{at}{name}.")


def _section_of(annotation: Any) -> type[BaseModel] | None:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def assert_told(told: dict[str, str], fields: dict[str, Any]) -> None:
    assert sorted(told) == sorted(fields)
    for key, field in fields.items():
        said = told[key].strip()
        default = field.get_default(call_default_factory=True)
        if field.is_required():
            assert said == "required", key
        elif default is None:
            assert said.startswith("none"), key
        elif said.startswith("`"):  # longer texts are paraphrased
            assert json.dumps(yaml.safe_load(said.strip("`"))) == json.dumps(_plain(default, said)), key
        else:
            assert isinstance(default, str), key


def _plain(default: Any, said: str) -> Any:
    if isinstance(default, BaseModel):
        return {}
    whole = isinstance(default, float) and "." not in said
    return int(default) if whole else default


def test_the_page_names_every_key_of_a_recipe() -> None:
    assert_told(rows(PAGE.split("\n# Engine options\n")[0]), dict(settings(recipe.Recipe)))


@pytest.mark.parametrize("kind", sorted(ENGINES))
def test_the_page_names_every_option_of_an_engine(kind: str) -> None:
    assert_told(rows(section(f"## {kind}")), ENGINES[kind].model_fields)


def test_the_page_names_everything_that_a_script_says() -> None:
    assert set(KINDS) == {*ENGINES, "scripted"}
    tables = re.split(r"\n(?=\| of )", section("## scripted"))
    kinds = (scripted.Options, scripted.Script, scripted.Behaviour, scripted.Fault)
    for table, kind in zip(tables, kinds, strict=True):
        assert_told(rows(table), kind.model_fields)


def test_the_rehearsal_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, written, script = re.findall(r"```(?:json|yaml)\n(.*?)```", section("## scripted"), re.DOTALL)
    for name, text in (("sums.jsonl", lines), ("rehearsal.yaml", written), ("script.yaml", script)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    summary = curate.profile("rehearsal.yaml", fixed_n=20)
    assert (summary.problems, summary.rollouts, summary.unscored) == (3, 60, 0)
    assert 20 < summary.passes < 40


def test_the_settings_of_the_page_are_read_as_they_are_meant() -> None:
    said = re.findall(r"^--set (?:'([^']+)'|(\S+?)='([^']+)'|(\S+))$", PAGE, re.MULTILINE)
    made = recipe.parse(
        {"name": "a", "problems": {"source": "x"}, "model": {"path": "m"}, "engine": {"kind": "vllm"}},
        overrides=[whole or plain or f"{key}={value}" for whole, key, value, plain in said],
    )
    assert len(said) == 5
    assert made.problems.answer_pattern == r"####\s*(.+)$"
    assert made.sampling.stop == ("\n\n", "Question:")
    assert made.audit.judge is not None
