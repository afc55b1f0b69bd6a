"""Profiling again: what earlier profiles know is used as far as the new rollouts bear it out, and no further."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from builders import drawn, jsonl, rehearsal
from click.testing import CliRunner

from curate import filter as release
from curate.auditing import audit
from curate.cli.main import cli
from curate.errors import Stopped, UsageError
from curate.importing import import_rollouts
from curate.ledger import Ledger
from curate.planning import plan
from curate.profiling import profile
from curate.recipe import load

Rates = dict[str, dict[str, float]]


def rates(problems: int = 400, seed: int = 0) -> Rates:
    """Pass rates of the usual shape: many at both ends, the rest anywhere."""
    rng = random.Random(seed)
    spread = [rng.choice([0.0, 0.0, 0.01, 1.0, rng.random(), rng.random()]) for _ in range(problems)]
    return {f"p{number}": {"pass_rate": rate} for number, rate in enumerate(spread)}


def shuffled(found: Rates) -> Rates:
    """The same pass rates, each of another problem."""
    values = list(found.values())
    random.Random(5).shuffle(values)
    return dict(zip(found, values, strict=True))


def reversed_(found: Rates) -> Rates:
    """What was solved no longer is, and the other way round."""
    return {name: {"pass_rate": 1.0 - one["pass_rate"]} for name, one in found.items()}


def recipe(folder: Path, found: Rates, seed: int = 0, **sections: object) -> Path:
    """A rehearsal of problems with these pass rates."""
    return rehearsal(folder, len(found), script={"problems": found}, sampling={"seed": seed}, **sections)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of an earlier checkpoint."""
    folder = tmp_path_factory.mktemp("old")
    profile(recipe(folder, rates()), into=folder / "out")
    return folder / "out"


def wrong(folder: Path, found: Rates) -> int:
    """Problems that are not decided for the side on which they lie."""
    sides = {
        name: "too_hard" if one["pass_rate"] < 0.2 else "too_easy" if one["pass_rate"] > 0.8 else "in_band"
        for name, one in found.items()
    }
    told = Ledger(folder).estimates().select("problem_id", "outcome").rows()
    return sum(sides[name] != outcome for name, outcome in told)


def test_a_profile_like_an_earlier_one_is_as_good_and_costs_less(tmp_path: Path, old: Path) -> None:
    again = recipe(tmp_path, rates(), seed=1)
    fresh = profile(again, into=tmp_path / "fresh")
    warm = profile(again, into=tmp_path / "warm", like=[old])
    assert warm.rollouts < 0.8 * fresh.rollouts
    assert wrong(tmp_path / "warm", rates()) <= wrong(tmp_path / "fresh", rates()) + 4
    assert Ledger(tmp_path / "warm").estimates()["n"].min() == 2
    told = Ledger(tmp_path / "warm").manifest()["like"]
    assert [(one["name"], one["problems"]) for one in told] == [("rehearsal", 400)]


@pytest.mark.parametrize("relation", [shuffled, reversed_])
def test_a_history_that_does_not_hold_costs_nothing(
    tmp_path: Path, old: Path, relation: Callable[[Rates], Rates]
) -> None:
    """It is let go at the first look, and what follows is a run without it, rollout by rollout."""
    again = recipe(tmp_path, relation(rates()), seed=1)
    profile(again, into=tmp_path / "fresh")
    profile(again, into=tmp_path / "warm", like=[old])
    assert drawn(tmp_path / "warm") == drawn(tmp_path / "fresh")
    columns = ["problem_id", "n", "k", "p_in_band", "outcome"]
    told = [Ledger(tmp_path / name).estimates().select(columns) for name in ("warm", "fresh")]
    assert told[0].equals(told[1])


def test_a_warm_start_that_was_broken_off_ends_like_one_that_was_not(tmp_path: Path, old: Path) -> None:
    """And needs neither the earlier profile nor its name for it."""
    copy = shutil.copytree(old, tmp_path / "copy")
    limited = recipe(tmp_path / "a", rates(), seed=1, budget={"max_rollouts": 1500})
    with pytest.raises(Stopped, match="budget"):
        profile(limited, into=tmp_path / "out", like=[copy])
    shutil.rmtree(copy)
    unlimited = recipe(tmp_path / "a", rates(), seed=1)
    profile(unlimited, into=tmp_path / "out")
    profile(unlimited, into=tmp_path / "whole", like=[old])
    assert drawn(tmp_path / "out") == drawn(tmp_path / "whole")
    assert Ledger(tmp_path / "out").estimates().equals(Ledger(tmp_path / "whole").estimates())
    before = drawn(tmp_path / "out")
    profile(unlimited, into=tmp_path / "out", like=[old])
    assert drawn(tmp_path / "out") == before


def test_a_profile_begun_without_is_not_continued_with(tmp_path: Path, old: Path) -> None:
    again = recipe(tmp_path, rates(), seed=1)
    profile(again, into=tmp_path / "out")
    with pytest.raises(UsageError, match="begun like no other profile"):
        profile(again, into=tmp_path / "out", like=[old])


def test_a_profile_of_other_problems_is_refused(tmp_path: Path, old: Path) -> None:
    others = jsonl(tmp_path / "o.jsonl", [{"id": f"q{i}", "question": f"other {i}", "answer": "4"} for i in range(9)])
    other = load(rehearsal(tmp_path), [f"problems.source={others}"])
    with pytest.raises(UsageError, match="none of these 9 problems"):
        profile(other, into=tmp_path / "out", like=[old])


def test_problems_are_found_by_what_they_ask_where_ids_differ(tmp_path: Path, old: Path) -> None:
    rows = [{"id": f"new{i}", "question": f"what is 4, asked {i}", "answer": "4"} for i in range(400)]
    renamed = jsonl(tmp_path / "renamed.jsonl", rows)
    found = {f"new{name[1:]}": rate for name, rate in rates().items()}
    again = load(recipe(tmp_path, found), [f"problems.source={renamed}"])
    profile(again, into=tmp_path / "out", like=[old])
    assert Ledger(tmp_path / "out").manifest()["like"][0]["problems"] == 400
    assert wrong(tmp_path / "out", found) < 80


def test_problems_that_the_history_does_not_know_are_measured_as_ever(tmp_path: Path, old: Path) -> None:
    more = rates(600)
    profile(recipe(tmp_path, more, seed=1), into=tmp_path / "out", like=[old])
    found = Ledger(tmp_path / "out").estimates()
    new = found.filter(pl.col("prior_class") == 0)
    assert new.height == 200
    assert new["n"].min() == 8
    assert new["n_pilot"].unique().to_list() == [8]


def test_the_pilot_of_a_known_problem_is_its_own_first_draw(tmp_path: Path, old: Path) -> None:
    profile(recipe(tmp_path, rates(), seed=1), into=tmp_path / "out", like=[old])
    ledger = Ledger(tmp_path / "out")
    pilots = dict(ledger.earlier().select("problem_id", "pilot").iter_rows())  # type: ignore[union-attr]
    assert set(pilots.values()) == {2}
    told = ledger.estimates().select("problem_id", "n_pilot").rows()
    assert all(n == pilots[name] for name, n in told)


def test_a_dry_run_says_what_is_saved(tmp_path: Path, old: Path) -> None:
    again = recipe(tmp_path, rates(), seed=1)
    fresh = plan(again, into=tmp_path / "fresh")
    told = plan(again, into=tmp_path / "warm", like=[old])
    actual = profile(again, into=tmp_path / "warm", like=[old])
    assert told.rollouts == pytest.approx(actual.rollouts, rel=0.25)
    assert not told.guess
    assert told.saved is not None
    assert 0.1 < told.saved < 0.6
    assert fresh.saved is None
    printed = CliRunner().invoke(
        cli, ["profile", str(again), "--dry-run", "--like", str(old), "--into", str(tmp_path / "x")]
    )
    assert printed.exit_code == 0
    assert "fewer than without" in printed.output


def test_a_dry_run_promises_nothing_by_a_history_of_next_to_nothing(tmp_path: Path) -> None:
    profile(recipe(tmp_path / "one", {"p0": {"pass_rate": 0.5}}), into=tmp_path / "old")
    again = recipe(tmp_path, rates(60), seed=1)
    told = plan(again, into=tmp_path / "warm", like=[tmp_path / "old"])
    fresh = plan(again, into=tmp_path / "fresh")
    assert told.saved is None
    assert told.rollouts == pytest.approx(fresh.rollouts, rel=0.1)
    assert told.rests_on == f"the profile {tmp_path / 'old'}, of 1 of these 60 problems"
    printed = CliRunner().invoke(
        cli, ["profile", str(again), "--dry-run", "--like", str(tmp_path / "old"), "--into", str(tmp_path / "x")]
    )
    assert printed.exit_code == 0
    assert "saved" not in printed.output


def test_what_follows_goes_by_the_same_beliefs(tmp_path: Path, old: Path) -> None:
    """Another band, an audit, a second look: the outcomes of the profile's own band stay what they are."""
    profile(recipe(tmp_path, rates(), seed=1), into=tmp_path / "out", like=[old])
    ledger = Ledger(tmp_path / "out")
    before = ledger.estimates()
    written = release(tmp_path / "out", to=tmp_path / "release")
    assert written.summary.kept == before.filter(pl.col("outcome") == "in_band").height
    audit(tmp_path / "out")
    assert ledger.audit() is not None
    assert ledger.estimates().equals(before)


def test_the_same_ids_with_other_questions_are_other_problems(tmp_path: Path, old: Path) -> None:
    rows = [{"id": f"p{number}", "question": f"{number} of another kind", "answer": "4"} for number in range(60)]
    rows[0]["question"] = "what is 4, asked 0"
    again = load(recipe(tmp_path, rates()), [f"problems.source={jsonl(tmp_path / 'other.jsonl', rows)}"])
    profile(again, into=tmp_path / "out", like=[old])
    assert Ledger(tmp_path / "out").earlier()["problem_id"].to_list() == ["p0"]  # type: ignore[index]
    rows[0]["answer"] = "5"
    again = load(recipe(tmp_path, rates()), [f"problems.source={jsonl(tmp_path / 'other.jsonl', rows)}"])
    with pytest.raises(UsageError, match="rollouts of none of these 60 problems"):
        profile(again, into=tmp_path / "none", like=[old])


def test_counts_without_texts_are_matched_by_id(tmp_path: Path) -> None:
    rows = [{"problem_id": f"p{number}", "n": 8, "k": number % 9} for number in range(50)]
    import_rollouts(jsonl(tmp_path / "counts.jsonl", rows), format="counts", into=tmp_path / "counts")
    profile(recipe(tmp_path, rates(60)), into=tmp_path / "out", like=[tmp_path / "counts"])
    assert Ledger(tmp_path / "out").earlier().height == 50  # type: ignore[union-attr]


def test_a_profile_counts_once(tmp_path: Path, old: Path) -> None:
    again = recipe(tmp_path, rates(), seed=1)
    with pytest.raises(UsageError, match="named twice"):
        profile(again, into=tmp_path / "out", like=[old, shutil.copytree(old, tmp_path / "copy")])
    assert not (tmp_path / "out").exists()
