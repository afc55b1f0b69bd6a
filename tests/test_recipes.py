"""Every recipe that comes with the project can be read, and fits the data that it names."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from curate import problems, verifiers
from curate.problems import prompts
from curate.recipe import Recipe, load

RECIPES = sorted((Path(__file__).resolve().parent.parent / "recipes").glob("*.yaml"))


def faults(recipe: Recipe, loaded: problems.ProblemSet) -> list[str]:
    """What is wrong with any reference when it is judged by itself."""

    async def check() -> list[str | None]:
        pool = verifiers.connect(recipe.verifier)
        try:
            await pool.start()
            return await pool.check_references([problem.answers for problem in loaded.problems])
        finally:
            await pool.close()

    found = asyncio.run(check())
    assert len(found) == len(loaded.problems)
    return [fault for fault in found if fault is not None]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipe_is_valid_and_named_after_its_file(path: Path) -> None:
    recipe = load(path)
    assert path.stem.startswith(recipe.name.split("-")[0])
    prompts.renderer(recipe.prompt)
    verifiers.connect(recipe.verifier)


def test_the_demo_recipes_differ_in_the_engine_alone() -> None:
    first, second = (load(path).model_dump() for path in RECIPES if path.stem in ("demo", "demo-vllm"))
    assert first.pop("engine") != second.pop("engine")
    assert first == second


def test_every_reference_of_the_demo_verifies_against_itself() -> None:
    recipe = load(next(path for path in RECIPES if path.stem == "demo"))
    loaded = problems.load(recipe.problems)
    assert len(loaded.problems) >= 400
    assert all(problem.set_aside is None for problem in loaded.problems)
    assert faults(recipe, loaded) == []


@pytest.mark.parametrize(
    ("name", "file", "changes", "size", "last"),
    [
        ("gsm8k-vllm", "gsm8k_test.jsonl", (), 1319, lambda row: row["answer"].rpartition("####")[2].strip()),
        ("math500-vllm", "math500.jsonl", ("problems.id=null",), 500, lambda row: row["answer"]),
    ],
)
def test_real_datasets_load_and_every_reference_verifies_against_itself(
    third_party_data: Path, name: str, file: str, changes: tuple[str, ...], size: int, last: object
) -> None:
    source = third_party_data / "problems" / file
    path = next(path for path in RECIPES if path.stem == name)
    recipe = load(path, (f"problems.source={source}", *changes))
    loaded = problems.load(recipe.problems)
    rows = [json.loads(line) for line in source.open()]
    assert len(loaded.problems) == len(rows) == size
    assert [problem.answers for problem in loaded.problems] == [(last(row),) for row in rows]  # type: ignore[operator]
    assert faults(recipe, loaded) == []
