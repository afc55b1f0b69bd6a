"""Auditing a profile: what is seen in each rollout, what follows for each problem, and what a release makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from builders import FINGERPRINT, problem, rehearsal, rollout, verdict, yaml_file
from passes import FAIL, PASS, Said, every_kind, session, written

import curate
from curate import decide
from curate.auditing import audit
from curate.errors import LedgerError
from curate.ledger import Ledger
from curate.profiling import profile
from curate.publish.release import filter
from curate.recipe import load
from curate.summary import sum_up
from curate.viewing import overview
from curate.viewing import problem as view


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return every_kind(tmp_path / "profile")


def test_every_flag_has_its_evidence(ledger: Ledger) -> None:
    found = audit(ledger.path)
    table = ledger.audit()
    assert table is not None
    assert table["problem_id"].to_list() == ledger.problems()["problem_id"].to_list()
    rows = {row["problem_id"]: row for row in table.iter_rows(named=True)}
    counted = ("n_audited", "n_passes", "n_checked", "n_shortcut", "n_steps_false")
    assert {name: tuple(row[column] for column in counted) for name, row in rows.items()} == {
        "honest": (32, 16, 16, 0, 0),
        "honest too": (32, 20, 20, 0, 0),
        "false": (32, 16, 16, 12, 12),
        "bare": (32, 16, 16, 16, 0),
        "mixed": (32, 16, 16, 8, 0),
        "unscored": (32, 16, 16, 0, 0),
        "label": (32, 0, 0, 0, 0),
        "again": (0, 0, 0, 0, 0),
        "broken": (0, 0, 0, 0, 0),
    }
    assert {name: row["reasons"] for name, row in rows.items() if row["reasons"]} == {
        "false": ["shortcut"],
        "bare": ["shortcut"],
        "label": ["suspect_label"],
        "broken": ["suspect_label"],
    }
    assert rows["honest"]["p_genuine"] > 0.9 > 0.6 > rows["mixed"]["p_genuine"] > 0.4 > rows["bare"]["p_genuine"]
    assert rows["honest"]["risk"] < rows["mixed"]["risk"] < rows["bare"]["risk"]
    assert rows["again"]["genuine_rate"] is None
    # The columns with the false step do not spell the answer either.
    by_text = {"wrong_step": 12, "unsupported": 12, "skipped": 24, "repetitive": 0}
    assert found.flagged == {**by_text, "unneeded": 0, "refuted": 0, "any": 36}
    assert (found.probes, found.cot_pass) == ({}, None)
    assert (found.rollouts, found.passes, found.spoken_of, found.unmeasured) == (228, 100, 76, 0)
    assert found.kept_before == 6
    assert found.summary.kept == 4
    assert found.summary.reasons == {
        "shortcut": 2,
        "suspect_label": 2,
        "duplicate": 1,
        "too_hard": 1,
        "unverifiable": 1,
    }


def test_the_wrong_reference_leads_the_queue_with_what_competes(ledger: Ledger) -> None:
    first, second = audit(ledger.path).suspects
    assert (first.problem_id, first.references, first.reached, first.why) == ("label", ("2823",), 0, "majority")
    assert first.competing == (("2868", 30), ("3000", 1), ("3001", 1))
    assert first.probability > 0.9
    assert (second.problem_id, second.why, second.note) == ("broken", "fails_itself", "parses to nothing")


def test_what_was_seen_in_each_rollout_lies_beside_it(ledger: Ledger) -> None:
    audit(ledger.path)
    seen = ledger.audited_rollouts()
    assert seen is not None
    frame = seen.collect()
    assert frame.height == 228
    assert "completion" not in frame.columns
    # 474*6: 4*6=24; 7*6+2=44, of which the carry is added wrongly.
    row = frame.filter((pl.col("problem_id") == "false") & (pl.col("index") == 0)).row(0, named=True)
    assert (row["steps_stated"], row["steps_false"], row["wrong_step"], row["shortcut"]) == (3, 1, True, True)
    assert row["first_false"].replace(" ", "") == "7*6+2=45"
    failed = frame.filter(pl.col("verdict") != "pass")
    assert not failed["shortcut"].any(), "only a pass can be a shortcut"
    assert failed["work_tokens"].null_count() == 0, "the text of every rollout is measured"


def test_a_coin_flip_is_guessable_and_the_same_rate_on_an_open_question_is_not(tmp_path: Path) -> None:
    said: dict[str, Sequence[Said]] = {}
    problems = []
    for number in range(60):
        name, a, b = f"parity{number}", 12 + number, 95 - number
        reference, other = ("even", "odd") if number % 2 else ("odd", "even")
        problems.append(problem(name, question=f"Is the digit sum of {a}*{b} even or odd?", answers=(reference,)))
        said[name] = [(rf"\boxed{{{reference}}}", PASS, reference), (rf"\boxed{{{other}}}", FAIL, other)] * 16
        name, reference = f"product{number}", str(a * b)
        problems.append(problem(name, question=f"What is {a}*{b}?", answers=(reference,)))
        said[name] = [
            (rf"{a}*{b}={reference}; \boxed{{{reference}}}", PASS, reference),
            (rf"{a}*{b}=7{number}; \boxed{{7{number}}}", FAIL, f"7{number}"),
        ] * 16
    ledger = written(tmp_path / "profile", said, problems)
    found = audit(ledger.path)
    assert found.kept_before == 120
    assert found.reasons["guessable"] == 60
    table = ledger.audit()
    assert table is not None
    flagged = table.filter(pl.col("reasons").list.contains("guessable"))["problem_id"]
    assert flagged.str.starts_with("parity").all()
    assert found.guess_verdicts == {"indistinguishable from guessing": 60}
    assert found.summary.kept == 60


def test_a_second_audit_replaces_the_first_and_is_the_same(ledger: Ledger) -> None:
    estimates = (ledger.path / "estimates.parquet").read_bytes()
    cost = ledger.manifest()["cost"]
    digests = []
    for _ in range(2):
        audit(ledger.path, workers=1)
        files = sorted([ledger.path / "audit.parquet", *(ledger.path / "audit").iterdir()])
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2
    assert (ledger.path / "estimates.parquet").read_bytes() == estimates
    assert ledger.manifest()["cost"] == cost, "an audit is no part of what the rollouts cost"
    assert [one["command"] for one in ledger.manifest()["sessions"]] == ["profile", "audit", "audit"]


def test_an_audit_that_is_broken_off_leaves_the_one_before(ledger: Ledger) -> None:
    audit(ledger.path)
    before = (ledger.path / "audit.parquet").read_bytes()
    with ledger.writing():
        ledger.append_rollouts([rollout("honest", 32, completion=r"\boxed{2832}")])
        ledger.append_verdicts(FINGERPRINT, [verdict("honest", 32, PASS, answer="2832")])
        sum_up(ledger, session())

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(ledger.path, report=interrupted)
    assert (ledger.path / "audit.parquet").read_bytes() == before
    assert audit(ledger.path).rollouts == 229
    assert not list(ledger.path.rglob(".tmp-*"))


def test_an_audit_of_other_rollouts_is_not_used(ledger: Ledger, tmp_path: Path) -> None:
    audit(ledger.path)
    assert filter(ledger.path, to=tmp_path / "out").summary.kept == 4
    assert overview(ledger.path).audit == "current"
    with ledger.writing():
        ledger.append_rollouts([rollout("honest", 32, completion=r"\boxed{2832}")])
        ledger.append_verdicts(FINGERPRINT, [verdict("honest", 32, FAIL, answer="2832")])
        sum_up(ledger, session())
    with pytest.raises(LedgerError, match="of other rollouts or verdicts") as error:
        filter(ledger.path, to=tmp_path / "out")
    assert error.value.hint == f"make it anew: curate audit {ledger.path}"
    seen = overview(ledger.path)
    assert seen.audit == "outdated"
    assert seen.summary.kept == 6
    audit(ledger.path)
    assert filter(ledger.path, to=tmp_path / "out").summary.kept == 4


def test_the_view_of_a_problem_says_why_it_is_flagged(ledger: Ledger) -> None:
    assert view(ledger.path, "false").estimate["n_shortcut"] is None
    audit(ledger.path)
    seen = view(ledger.path, "false")
    assert (seen.estimate["reasons"], seen.estimate["next_step"]) == (["shortcut"], "audit")
    assert [one["wrong_step"] for one in seen.rollouts[:16]] == [True] * 12 + [False] * 4
    assert view(ledger.path, "label").competing == (("2868", 30), ("3000", 1), ("3001", 1))
    assert view(ledger.path, "broken").label_note == "parses to nothing"


def probed(folder: Path) -> Path:
    """A finished profile of six problems on a script, with a judge who refutes two of them.

    Asked for the bare answer it passes half the time; cut before any work it always passes three of the problems.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = {
        "default": {
            "pass_rate": 0.6,
            "right": "first two, then two more make it, so \\boxed{4}",
            "wrong": "\\boxed{5}",
        },
        "prompts": {
            r"(?s)asked [345]\b.*answer is \\boxed\{$": {"pass_rate": 1.0, "right": "4}"},
            r"answer is \\boxed\{$": {"pass_rate": 0.0, "wrong": "7}"},
            r"reasoning\.\\boxed\{$": {"pass_rate": 0.5, "right": "4}", "wrong": "9}"},
        },
    }
    replies = {
        "default": {"pass_rate": 1.0, "right": "YES"},
        "prompts": {"asked [01]\\b": {"pass_rate": 0.0, "wrong": "NO"}},
    }
    judge = {"kind": "scripted", "options": {"script": str(yaml_file(folder / "judge.yaml", replies))}}
    sections = {"judge": {"model": {"path": "a judge"}, "engine": judge}, "early": {"below": 1.0}}
    profile(load(rehearsal(folder, 6, script=script, audit=sections)), into=folder / "out", fixed_n=12)
    return folder / "out"


def test_what_probes_drew_is_used(tmp_path: Path) -> None:
    folder = probed(tmp_path)
    before = audit(folder)
    assert before.flagged["unneeded"] == before.flagged["refuted"] == 0
    curate.probe_guess(folder)
    curate.probe_early(folder)
    curate.probe_judge(folder)
    found = audit(folder)
    passes = dict(Ledger(folder).estimates().select("problem_id", "k").iter_rows())
    assert found.probes["guess"] == 6
    assert found.probes["judge"] == sum(passes.values())
    # All passes of the problems that the judge refutes, and of the others the four that were cut.
    assert found.flagged["refuted"] == passes["p0"] + passes["p1"]
    assert found.flagged["unneeded"] == sum(min(passes[name], 4) for name in ("p3", "p4", "p5"))
    table = Ledger(folder).audit()
    assert table is not None
    rows = {row["problem_id"]: row for row in table.iter_rows(named=True)}
    assert all(0.25 < row["guess_rate"] < 0.75 for row in rows.values())
    assert {name for name, row in rows.items() if "shortcut" in row["reasons"]} >= {"p0", "p1"}
    assert "shortcut" not in rows["p2"]["reasons"]
    assert found.cot_pass is not None
    k, passing, reasoned = found.cot_pass
    assert k == 8
    # Of six problems two have no pass with right reasoning; 8 of 12 draws of the others hold one for sure or nearly.
    assert 0.6 < reasoned <= 4 / 6 + 1e-9 < passing


def test_estimates_that_a_killed_run_left_behind_are_brought_up_to_date(ledger: Ledger) -> None:
    with ledger.writing():
        ledger.append_rollouts([rollout("honest", 32, completion=r"\boxed{2832}")])
        ledger.append_verdicts(FINGERPRINT, [verdict("honest", 32, PASS, answer="2832")])
    assert ledger.estimates()["n"][0] == 32
    audit(ledger.path)
    estimates, table = ledger.estimates(), ledger.audit()
    assert table is not None
    assert (estimates["n"][0], estimates["k"][0]) == (33, 17)
    assert not decide.outdated(estimates, table)


def test_a_problem_that_came_after_the_audit_has_no_evidence() -> None:
    estimates = pl.DataFrame(
        {"problem_id": ["new"], "n": [4], "k": [2], "reasons": [["undecided"]], "next_step": ["defer"]}
    )
    known = pl.DataFrame(
        {"problem_id": ["old"], **{name: [None] for name in decide.EVIDENCE}, "reasons": [["shortcut"]]}
    )
    joined = decide.with_audit(estimates, known)
    assert joined.select("problem_id", "reasons", "n_shortcut", "next_step").rows() == [
        ("new", ["undecided"], None, "defer")
    ]
    assert decide.outdated(estimates, known)


def test_without_rollouts_there_is_nothing_to_audit(ledger: Ledger) -> None:
    for file in (ledger.path / "rollouts").iterdir():
        file.unlink()
    with pytest.raises(LedgerError, match="rollouts of this profile are not on this disk"):
        audit(ledger.path)
    with pytest.raises(LedgerError, match="no profile"):
        audit(ledger.path / "none")


def test_workers_change_nothing(ledger: Ledger) -> None:
    with ledger.writing():
        for index in range(3):
            rows = [
                rollout("honest", 100 + 1000 * index + more, completion=r"2*6=12; 7*6+1=43; 4*6+4=28; \boxed{2832}")
                for more in range(1000)
            ]
            ledger.append_rollouts(rows)
            ledger.append_verdicts(
                FINGERPRINT, [verdict(one.problem_id, one.index, PASS, answer="2832") for one in rows]
            )
        sum_up(ledger, session())
    seen = []
    for workers in (1, 2):
        audit(ledger.path, workers=workers)
        seen.append((ledger.path / "audit" / "rollouts.parquet").read_bytes())
    assert seen[0] == seen[1]


def test_the_call_of_the_package_is_the_command() -> None:
    assert curate.audit_profile is audit
