"""Verifying again: what another verifier changes, which verdicts count, and that nothing is judged twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import jsonl, profile, rehearsal

import curate
from curate.errors import LedgerError, ProtocolChanged, RecipeError
from curate.importing import import_rollouts
from curate.ledger import Ledger
from curate.recipe import VerifierSection, load
from curate.verifying import verify

EXACT = VerifierSection(kind="exact", workers=1)
NUMERIC = VerifierSection(kind="numeric", workers=1)
MATH = VerifierSection(kind="math", workers=1, options={"timeout": 1})

HANGS = "5^{5^{5^{5^%d}}}"
"""A tower of powers: evaluating it takes longer than anyone has."""


def imported(
    folder: Path, problems: dict[str, tuple[str, list[str]]], verifier: VerifierSection = EXACT, **more: Any
) -> Ledger:
    """A profile of some problems, each with its reference and the answers that its rollouts box."""
    rows = [
        {
            "problem_id": name,
            "question": f"what of {name}?",
            "answer": reference,
            "index": index,
            "completion": f"thinking of {name}, so \\boxed{{{answer}}}",
            **more,
        }
        for name, (reference, answers) in problems.items()
        for index, answer in enumerate(answers)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    import_rollouts(jsonl(folder / "log.jsonl", rows), format="jsonl", into=folder / "out", verifier=verifier)
    return Ledger(folder / "out")


def files(ledger: Ledger) -> dict[str, bytes]:
    """Every file of a profile but the locks, with its bytes."""
    found = (file for file in ledger.path.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {str(file.relative_to(ledger.path)): file.read_bytes() for file in found}


HALVES = {"half": ("0.5", ["1/2"] * 30 + ["2"] * 2), "four": ("4", ["4"] * 16 + ["5"] * 16), "two": ("2", ["3"] * 32)}
"""``exact`` does not see that 1/2 is 0.5; ``numeric`` does."""


def test_another_verifier_is_compared_and_the_profile_is_left_as_it_was(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    before = files(ledger)
    found = verify(ledger.path, NUMERIC)
    assert found.judged == 96
    assert found.changes.verdicts == {
        "pass": {"pass": 16, "fail": 0, "unscored": 0},
        "fail": {"pass": 30, "fail": 50, "unscored": 0},
        "unscored": {"pass": 0, "fail": 0, "unscored": 0},
    }
    assert (found.changes.rollouts, found.changes.changed) == (96, 30)
    assert found.changes.outcomes_before == {"too_hard": 2, "in_band": 1}
    assert found.changes.outcomes_after == {"in_band": 1, "too_easy": 1, "too_hard": 1}
    (flip,) = found.changes.flips
    assert (flip.problem_id, flip.before, flip.after) == ("half", "too_hard", "too_easy")
    assert (flip.passes_before, flip.scored_before, flip.passes_after, flip.scored_after) == (0, 32, 30, 32)
    assert flip.pass_rate_before is not None
    assert flip.pass_rate_after is not None
    assert flip.pass_rate_before < 0.1 < 0.9 < flip.pass_rate_after
    assert not found.counts
    assert found.summary is None
    # What was there is there still, byte by byte; only the manifest has learned who judged.
    after = files(ledger)
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: text for name, text in before.items() if name != "manifest.json"
    }
    manifest = ledger.manifest()
    assert manifest["verifier_fingerprint"] == found.before != found.fingerprint
    assert manifest["verifiers"][found.fingerprint]["verifier.kind"] == "numeric"
    assert manifest["verifiers"][found.before]["verifier.kind"] == "exact"
    assert ledger.verdicts(found.fingerprint).filter(pl.col("verdict") == "pass").height == 46


def test_the_examples_are_rollouts_that_changed_one_of_each_problem_first(tmp_path: Path) -> None:
    many = {f"half{number}": ("0.5", ["1/2", "50\\%"]) for number in range(4)}
    ledger = imported(tmp_path, {**HALVES, **many})
    examples = verify(ledger.path, NUMERIC).changes.examples
    assert [(example.problem_id, example.index) for example in examples[:5]] == [
        ("half", 0),
        *((f"half{number}", 0) for number in range(4)),
    ]
    assert len(examples) == 10
    first = examples[0]
    assert first.references == ("0.5",)
    assert (first.before.verdict, first.before.answer, first.before.reason) == ("fail", "1/2", "different")
    assert (first.after.verdict, first.after.answer, first.after.reason) == ("pass", "1/2", "equal")
    assert first.tail == r"thinking of half, so \boxed{1/2}"


def test_adopting_makes_the_profile_what_it_would_have_been(tmp_path: Path) -> None:
    ledger = imported(tmp_path / "exact", HALVES)
    found = verify(ledger.path, NUMERIC, adopt=True)
    assert found.counts
    assert found.summary is not None
    assert found.summary.outcomes == {"in_band": 1, "too_easy": 1, "too_hard": 1}
    other = imported(tmp_path / "numeric", HALVES, NUMERIC)
    assert ledger.estimates().equals(other.estimates())
    assert ledger.problems().equals(other.problems())
    for key in ("verifier_fingerprint", "protocol", "protocol_fingerprint", "counts"):
        assert ledger.manifest()[key] == other.manifest()[key], key
    # And back again: nothing is judged, and everything is as it was.
    back = verify(ledger.path, EXACT, adopt=True)
    assert (back.judged, back.compared) == (0, 0)
    assert ledger.estimates().equals(imported(tmp_path / "again", HALVES).estimates())


def test_profiling_continues_with_the_adopted_verifier_and_no_other(tmp_path: Path) -> None:
    recipe = rehearsal(tmp_path, 6, script={"default": {"right": r"\boxed{4.0}"}})
    curate.profile(recipe, into=tmp_path / "out", fixed_n=8)
    ledger = Ledger(tmp_path / "out")
    assert ledger.estimates()["k"].sum() == 0
    numeric = load(recipe, ("verifier.kind=numeric",))
    with pytest.raises(ProtocolChanged):
        curate.profile(numeric, into=tmp_path / "out", fixed_n=8)
    curate.verify(tmp_path / "out", numeric.verifier, adopt=True)
    passes = ledger.estimates()["k"].sum()
    assert passes > 0
    assert ledger.manifest()["recipe"]["verifier"]["kind"] == "numeric"
    curate.profile(numeric, into=tmp_path / "out", fixed_n=8)
    assert (ledger.rollouts(["index"]).height, ledger.estimates()["k"].sum()) == (48, passes)
    curate.profile(numeric, into=tmp_path / "out", fixed_n=12)
    curate.profile(numeric, into=tmp_path / "whole", fixed_n=12)
    assert ledger.estimates().equals(Ledger(tmp_path / "whole").estimates())
    assert set(ledger.manifest()["verifiers"]) == {name.name for name in (tmp_path / "out" / "verdicts").iterdir()}
    with pytest.raises(ProtocolChanged, match=r"verifier\.kind was 'numeric', the recipe says 'exact'"):
        curate.profile(recipe, into=tmp_path / "out", fixed_n=12)


def test_truncated_rollouts_stay_failures(tmp_path: Path) -> None:
    ledger = imported(tmp_path, {"a": ("0.5", ["1/2"] * 4)}, finish_reason="length")
    found = verify(ledger.path, NUMERIC, adopt=True)
    assert found.changes.verdicts["fail"]["fail"] == 4
    assert found.summary is not None
    assert (found.summary.passes, found.summary.truncated) == (0, 4)


def test_references_that_fail_the_new_verifier_are_reported_and_their_rollouts_are_not_judged(tmp_path: Path) -> None:
    ledger = imported(tmp_path, {"word": ("cat", ["cat"] * 3 + ["dog"]), "four": ("4", ["4"] * 4)})
    found = verify(ledger.path, NUMERIC)
    (bad,) = found.bad_references
    assert (bad.problem_id, bad.references, bad.why) == ("word", ("cat",), "reference not parsed")
    assert found.judged == 4
    assert found.changes.verdicts["pass"] == {"pass": 4, "fail": 0, "unscored": 3}
    assert found.changes.verdicts["fail"] == {"pass": 0, "fail": 0, "unscored": 1}
    assert {example.after.reason for example in found.changes.examples} == {"reference not parsed"}
    assert found.changes.outcomes_after == {"unverifiable": 1, "undecided": 1}
    verify(ledger.path, NUMERIC, adopt=True)
    row = ledger.estimates().row(0, named=True)
    assert (row["n"], row["reasons"], row["set_aside_why"]) == (0, ["unverifiable"], "reference not parsed")
    # A verifier that can use the reference takes the problem up again.
    verify(ledger.path, EXACT, adopt=True)
    assert ledger.estimates().row(0, named=True)["k"] == 3
    assert ledger.problems()["set_aside"].to_list() == [None, None]


def test_a_verifier_that_cannot_use_the_reference_before_leaves_it_to_one_that_can(tmp_path: Path) -> None:
    ledger = imported(tmp_path, {"word": ("cat", ["cat"] * 8), "four": ("4", ["4"] * 8)}, NUMERIC)
    assert ledger.problems()["set_aside"].to_list() == ["unverifiable", None]
    found = verify(ledger.path, EXACT)
    assert found.bad_references == ()
    assert found.changes.verdicts["unscored"] == {"pass": 8, "fail": 0, "unscored": 0}
    assert [(flip.problem_id, flip.before) for flip in found.changes.flips] == [("word", "unverifiable")]


# -- nothing twice ----------------------------------------------------------------------------------------------------


def test_the_same_call_again_judges_nothing_and_says_the_same(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    first = verify(ledger.path, NUMERIC)
    before = files(ledger)
    again = verify(ledger.path, NUMERIC)
    assert (again.judged, again.compared) == (0, 0)
    assert again.changes == first.changes
    assert {name for name, text in files(ledger).items() if before.get(name) != text} == {"manifest.json"}


def test_only_what_is_missing_is_judged(tmp_path: Path) -> None:
    # Several files of rollouts, some of them judged in part.
    ledger = profile(tmp_path / "out", {"a": [True] * 3})
    verify(ledger.path, EXACT)
    with ledger.writing():
        from builders import rollout

        ledger.append_rollouts([rollout("a", index, completion=r"\boxed{5}") for index in (3, 4)])
    found = verify(ledger.path, EXACT)
    assert found.judged == 2
    said = ledger.verdicts(found.fingerprint).sort("index")
    assert said["verdict"].to_list() == ["pass"] * 3 + ["fail"] * 2


def test_an_answer_that_was_compared_is_never_given_to_a_worker_again(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    first = verify(ledger.path, NUMERIC)
    # Three references, each against itself, and 1/2, 2, 5, 3: 4 and the three references are those already.
    assert first.compared == 3 + 4
    for file in (ledger.path / "verdicts" / first.fingerprint).iterdir():
        file.unlink()
    again = verify(ledger.path, NUMERIC)
    assert (again.judged, again.compared) == (96, 0)
    assert again.changes == first.changes
    sessions = ledger.manifest()["sessions"]
    assert [(one["command"], one["compared"]) for one in sessions] == [("import", 7), ("verify", 7), ("verify", 0)]
    assert sessions[-1]["reused"] == 3 + 96
    assert ledger.manifest()["cost"]["seconds"] == sessions[0]["seconds"]


def test_an_import_and_a_profile_remember_too(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    recipe = rehearsal(tmp_path / "own", 4)
    curate.profile(recipe, into=tmp_path / "own" / "out", fixed_n=20)
    own = Ledger(tmp_path / "own" / "out")
    for each in (ledger, own):
        wanted = each.verdicts(each.manifest()["verifier_fingerprint"]).drop("seconds").sort("problem_id", "index")
        for file in (each.path / "verdicts").rglob("*.parquet"):
            file.unlink()
        if each is own:
            curate.profile(recipe, into=own.path, fixed_n=20)
        else:
            imported(tmp_path, HALVES)
        found = each.verdicts(each.manifest()["verifier_fingerprint"]).drop("seconds").sort("problem_id", "index")
        assert found.equals(wanted)
        last = each.manifest()["sessions"][-1]
        assert last["compared"] == 0
        assert last["reused"] >= wanted.filter(pl.col("answer").is_not_null()).height > 0


def test_timeouts_are_redone_only_when_asked_and_are_never_remembered(tmp_path: Path) -> None:
    ledger = imported(tmp_path, {"a": ("4", ["4", HANGS % 5, "5"])})
    first = verify(ledger.path, MATH)
    assert first.changes.verdicts["fail"] == {"pass": 0, "fail": 1, "unscored": 1}
    assert verify(ledger.path, MATH).judged == 0
    redone = verify(ledger.path, MATH, redo_unscored=True)
    assert (redone.judged, redone.compared) == (1, 1)
    assert redone.changes == first.changes


def test_redoing_the_profiles_own_unscored_verdicts_brings_its_estimates_up_to_date(tmp_path: Path) -> None:
    from builders import verdict

    from curate.records import VerdictKind

    ledger = imported(tmp_path, {"a": ("4", ["4", "4", "5"])})
    own = ledger.manifest()["verifier_fingerprint"]
    # What a run on a machine that stumbled left behind.
    with ledger.writing():
        lost = [verdict("a", index, VerdictKind.UNSCORED, answer="4", reason="worker died") for index in (0, 1)]
        ledger.append_verdicts(own, lost)
    found = verify(ledger.path, EXACT, redo_unscored=True)
    assert found.counts
    assert found.judged == 2
    assert found.changes.verdicts["unscored"] == {"pass": 2, "fail": 0, "unscored": 0}
    example = found.changes.examples[0]
    assert (example.before.reason, example.after.reason) == ("worker died", "equal")
    assert ledger.estimates().select("n", "k", "n_unscored").rows() == [(3, 2, 0)]


def test_a_raw_reward_between_0_and_1_is_remembered_as_it_was(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    strict, lenient = (NUMERIC.model_copy(update={"pass_at": bar}) for bar in (1.0, 0.0))
    assert verify(ledger.path, strict).changes.verdicts["fail"]["pass"] == 30
    found = verify(ledger.path, lenient)
    assert found.changes.verdicts["fail"]["pass"] == 80
    assert set(ledger.verdicts(found.fingerprint)["reward"]) == {0.0, 1.0}
    assert found.compared == 7, "another bar is another verifier"


# -- ends and refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_flushes_says_how_to_continue_and_exits_3(tmp_path: Path, number: signal.Signals) -> None:
    slow = [HANGS % base for base in range(6, 18)]
    problems = {f"p{part}": ("4", ["4", *slow[part::10]]) for part in range(10)}
    ledger = imported(tmp_path, {**problems, **{f"q{more}": ("4", ["4"] * 200) for more in range(10)}})
    options = ["--verifier", "math", "--option", "timeout=1", "--workers", "1", "--adopt"]
    command = [sys.executable, "-m", "curate.cli.main", "verify", str(ledger.path), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    own = ledger.manifest()["verifier_fingerprint"]
    deadline = time.monotonic() + 60
    while len(list((ledger.path / "verdicts").glob("*/*.parquet"))) == len(
        list((ledger.path / "verdicts" / own).iterdir())
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no verdict was flushed"
        time.sleep(0.05)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert out == ""
    assert f"stopped by {number.name}" in said
    assert "run the same command again to continue" in said
    assert "Traceback" not in said
    manifest = ledger.manifest()
    assert manifest["verifier_fingerprint"] == own, "nothing is adopted halfway"
    (fresh,) = {folder.name for folder in (ledger.path / "verdicts").iterdir()} - {own}
    held = ledger.verdicts(fresh)
    assert 0 < held.height < 2022
    # What goes on from here judges the rest: none of what is held.
    found = verify(ledger.path, MATH, adopt=True)
    assert found.judged == 2022 - held.height
    both = ledger.verdicts(fresh)
    assert both.height == 2022
    assert both.join(held, on=both.columns, how="semi", nulls_equal=True).height == held.height
    assert both.filter(pl.col("reason") == "timeout").height == 12


def test_a_profile_without_its_rollouts_is_refused(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    for file in (ledger.path / "rollouts").iterdir():
        file.unlink()
    with pytest.raises(LedgerError, match="not on this disk"):
        verify(ledger.path, NUMERIC)
    with pytest.raises(LedgerError, match="there is no profile here"):
        verify(tmp_path / "nowhere", NUMERIC)
    assert not (tmp_path / "nowhere").exists()


def test_a_verifier_that_does_not_exist_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    ledger = imported(tmp_path, HALVES)
    before = files(ledger)
    with pytest.raises(RecipeError, match="unknown verifier 'maths'"):
        verify(ledger.path, "maths")
    with pytest.raises(RecipeError, match="unknown option"):
        verify(ledger.path, VerifierSection(kind="numeric", options={"tolerance": 1}))
    assert files(ledger) == before
