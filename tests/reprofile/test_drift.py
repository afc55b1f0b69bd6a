"""What moved between two profiles: outcomes, directions, crossings, groups, and what makes them incomparable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from builders import FINGERPRINT, manifest, problem, rollout, verdict

import curate
from curate.cli.main import run
from curate.errors import LedgerError, UsageError
from curate.ledger import Ledger
from curate.records import Problem, VerdictKind
from curate.summary import estimate_anew


def measured(
    folder: Path, passes: Mapping[str, tuple[int, int]], problems: Sequence[Problem] = (), **changes: Any
) -> Path:
    """A profile of problems that pass k of n."""
    ledger = Ledger(folder)
    known = {one.problem_id: one for one in problems}
    with ledger.writing():
        told = [known.get(name, problem(name, metadata={"topic": name[0]})) for name in passes]
        ledger.write_problems(told, ["" for _ in told])
        ledger.write_manifest(manifest(name=folder.name, **changes))
        drawn = [(name, index, index < k) for name, (k, n) in passes.items() for index in range(n)]
        ledger.append_rollouts([rollout(name, index) for name, index, _ in drawn])
        kinds = {True: VerdictKind.PASS, False: VerdictKind.FAIL}
        ledger.append_verdicts(FINGERPRINT, [verdict(name, index, kinds[passed]) for name, index, passed in drawn])
        estimate_anew(ledger)
    return folder


def at(step: int) -> dict[str, Any]:
    """The manifest of a checkpoint."""
    revision = f"sha256:{step}"
    return {
        "model": {"path": f"run/checkpoint-{step}", "revision": revision, "chat_template": "none"},
        "protocol": {"model.revision": revision, "sampling.temperature": 1.0},
    }


BEFORE = {"a1": (32, 64), "a2": (64, 64), "a3": (0, 64), "b1": (60, 64), "b2": (32, 64), "b3": (4, 8), "b4": (32, 64)}
AFTER = {"a1": (32, 64), "a2": (32, 64), "a3": (0, 64), "b1": (2, 64), "b2": (64, 64), "b3": (4, 8), "b5": (1, 8)}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return measured(tmp_path / "old", BEFORE, **at(0)), measured(tmp_path / "new", AFTER, **at(400))


def test_outcomes_migrate_and_add_up(two: tuple[Path, Path]) -> None:
    found = curate.compare(*two)
    assert (found.common, found.compared, found.only_before, found.only_after) == (6, 6, 1, 1)
    assert sum(count for row in found.migration.values() for count in row.values()) == 6
    assert found.migration["in_band"] == {
        "in_band": 2, "too_hard": 0, "too_easy": 1, "undecided": 0, "unverifiable": 0
    }  # fmt: skip
    assert found.migration["too_easy"]["in_band"] == 1
    assert found.migration["too_easy"]["too_hard"] == 1
    assert found.migration["too_hard"]["too_hard"] == 1
    assert (found.entered, found.left) == (("a2",), ("b2",))


def test_regressions_come_first_then_gains_then_the_rest(two: tuple[Path, Path]) -> None:
    found = curate.compare(*two)
    assert [one.problem_id for one in found.changes[:3]] == ["b1", "a2", "b2"]
    assert [one.changed for one in found.changes] == [True] * 3 + [False] * 3
    assert (found.fell, found.rose, found.warnings) == (2, 1, ())
    worst = found.changes[0]
    # Under Jeffreys the posteriors are Beta(60.5, 4.5) and Beta(2.5, 62.5).
    assert worst.difference == pytest.approx(2.5 / 65 - 60.5 / 65, abs=1e-4)
    assert worst.p_decrease == pytest.approx(1.0)
    assert (worst.k_before, worst.n_before, worst.k_after, worst.n_after) == (60, 64, 2, 64)
    assert worst.low is not None
    assert worst.low < worst.difference < (worst.high or 1.0)


def test_groups_are_listed_by_their_mean_change(two: tuple[Path, Path]) -> None:
    found = curate.compare(*two)
    assert found.group_key == "topic"
    a, b = found.groups
    # a: (32.5 - 64.5) / 65 of one problem in three; b: one down by 58/65, one up by 32/65, of three.
    assert (a.name, a.after - a.before) == ("a", pytest.approx(-32 / 65 / 3, abs=1e-4))
    assert (b.name, b.problems, b.fell, b.rose, b.entered, b.left) == ("b", 3, 1, 1, 0, 1)
    assert b.after - b.before == pytest.approx((32 - 58) / 65 / 3, abs=1e-4)
    assert found.mean_change == pytest.approx(-58 / 65 / 6, abs=1e-4)
    with pytest.raises(UsageError, match="there are: topic"):
        curate.compare(*two, by="subject")


def test_two_ways_of_measuring_are_told(tmp_path: Path) -> None:
    old = measured(tmp_path / "old", BEFORE, **at(0))
    protocol = {"model.revision": "sha256:400", "sampling.temperature": 0.6, "prompt.template": "{{ question }}!"}
    band = {"low": 0.4, "high": 0.6, "confidence": 0.9, "group_size": 8}
    new = measured(tmp_path / "new", AFTER, protocol=protocol, band=band)
    found = curate.compare(old, new)
    assert found.protocol == {"sampling.temperature": (1.0, 0.6), "prompt.template": (None, "{{ question }}!")}
    assert found.warnings[0].startswith("sampling.temperature was 1.0, is 0.6")
    assert "the bands are [0.2, 0.8] at 0.9 and [0.4, 0.6] at 0.9: both are decided by the second" in found.warnings
    assert found.band.low == 0.4


def test_the_same_checkpoint_twice_is_told(two: tuple[Path, Path]) -> None:
    found = curate.compare(two[0], two[0])
    assert (found.fell, found.rose, found.entered, found.left) == (0, 0, (), ())
    assert found.warnings == ("both are of the same checkpoint under the same protocol: what differs is chance",)


def test_problems_are_matched_by_content_where_ids_differ(tmp_path: Path) -> None:
    old = measured(tmp_path / "old", {"x": (4, 8), "y": (4, 8), "z": (0, 8)}, **at(0))
    renamed = [problem("n", question="question of x"), problem("y", question="another"), problem("z")]
    new = measured(tmp_path / "new", {"n": (8, 8), "y": (4, 8), "z": (0, 8)}, renamed, **at(4))
    found = curate.compare(old, new)
    assert sorted((one.problem_id, one.k_before, one.k_after) for one in found.changes) == [("n", 4, 8), ("z", 0, 0)]
    assert (found.common, found.by_content, found.only_before, found.only_after) == (2, 1, 1, 1)
    assert "1 ids are the same and their question or references are not, y for one" in found.warnings[0]


def test_a_problem_without_rollouts_is_counted_and_not_judged(tmp_path: Path) -> None:
    old = measured(tmp_path / "old", {"x": (4, 8), "y": (4, 8)}, **at(0))
    new = measured(tmp_path / "new", {"x": (4, 8), "y": (0, 0)}, **at(4))
    found = curate.compare(old, new)
    assert (found.common, found.compared) == (2, 1)
    last = found.changes[-1]
    assert (last.problem_id, last.difference, last.q, last.changed, last.pass_rate_after) == (
        "y", None, None, False, None
    )  # fmt: skip
    assert last.after == "undecided"


def test_what_cannot_be_compared_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no profile here"):
        curate.compare(two[0], tmp_path / "none")
    other = measured(tmp_path / "other", {"q": (4, 8)})
    with pytest.raises(UsageError, match="no problem in common"):
        curate.compare(two[0], other)
    with pytest.raises(UsageError, match="false discovery rate"):
        curate.compare(*two, fdr=1.0)


def test_a_person_sees_it_and_a_script_gets_it(two: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", *map(str, two), "--limit", "1"]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()]
    assert "6 common problems; 1 only before, 1 only after" in said
    assert "run/checkpoint-400 at sha256:400, step 400" in said
    assert ["b1", "60/64", "2/64", "-0.892"] in [row[:4] for row in rows]
    assert "1 more: --json lists them all" in said
    assert said.index("\nfell ") < said.index("\nrose ")
    assert run(["compare", *map(str, two), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changes"][0]["problem_id"] == "b1"
    assert told["after"]["step"] == 400
    assert run(["compare", str(two[0])]) == 2
