"""The audit on the demo, where an exact judge knows which passes are real, from few rollouts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from curate.profiling import profile
from curate.recipe import load, resolve_path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROLLOUTS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third problem of the demo, a dozen rollouts each."""
    source = resolve_path("curate.demo:problems.jsonl")
    assert source is not None
    here = tmp_path_factory.mktemp("demo")
    some = here / "problems.jsonl"
    some.write_text("".join(source.read_text().splitlines(keepends=True)[::3]))
    recipe = load(BENCHMARKS.parents[1] / "recipes" / "demo.yaml", (f"problems.source={some}",))
    profile(recipe, into=here / "profile", fixed_n=ROLLOUTS)
    return here / "profile"


def test_guesses_and_false_steps_are_found_and_honest_work_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    import audit_demo

    found = audit_demo.measure(folder)
    (guessed, guessable), (false_alarms, genuine) = found.guessable, found.genuine
    assert guessable > 35
    assert guessed >= 0.95 * guessable
    assert genuine > 8
    assert false_alarms <= 0.03 * genuine
    (caught, wrong), (blamed, shown) = found.wrong_steps, found.shown
    assert wrong > 50
    assert caught >= 0.95 * wrong
    assert shown > 500
    assert blamed <= 0.02 * shown
