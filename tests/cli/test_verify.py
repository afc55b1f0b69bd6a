"""``curate verify``: what it prints for a person and for a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import profile, rollout

from curate.cli.main import run
from curate.ledger import Ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A profile whose verdicts are wrong: every rollout boxes 4, the reference, and half of them failed."""
    return profile(tmp_path / "out", {"half": [True, False] * 16, "all": [True] * 32}).path


def test_a_person_sees_the_table_the_flips_and_examples(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(folder), "--verifier", "exact"]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()]
    assert ["was", "pass", "48", "0", "0"] in rows
    assert ["was", "fail", "16", "0", "0"] in rows
    assert any(row[:5] == ["half", "in_band", "too_easy", "16/32", "32/32"] for row in rows)
    assert "half #1\n  reference: 4\n" in said
    assert "was fail: 4 (equal)" in said
    assert "now pass: 4 (equal)" in said
    assert "--adopt" in said


def test_a_script_gets_all_of_it_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(folder), "--verifier", "exact", "--option", "answer=boxed", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["changes"]["verdicts"]["fail"] == {"pass": 16, "fail": 0, "unscored": 0}
    assert found["changes"]["flips"][0]["problem_id"] == "half"
    assert len(found["changes"]["examples"]) == 10
    assert found["changes"]["examples"][0]["before"] == {"verdict": "fail", "answer": "4", "reason": "equal"}
    assert (found["judged"], found["compared"], found["counts"], found["summary"]) == (64, 1, False, None)
    named = Ledger(folder).manifest()["verifiers"][found["fingerprint"]]
    assert named["verifier.options"] == {"answer": "boxed"}


def test_adopting_prints_where_the_profile_stands_now(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(folder), "--verifier", "exact", "--adopt"]) == 0
    assert "64 rollouts, 100.0% of them pass" in capsys.readouterr().out
    assert Ledger(folder).estimates()["k"].to_list() == [32, 32]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--verifier", "maths"], 2, "unknown verifier 'maths'"),
        (["--verifier", "exact", "--option", "case"], 2, "write key.path=value"),
        (["--verifier", "exact", "--option", "cases=true"], 2, "did you mean 'case'?"),
        ([], 2, "Missing option '--verifier'"),
    ],
)
def test_what_makes_no_sense_is_said(
    folder: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(folder), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


def test_completions_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = profile(tmp_path / "out", {"a": [False]})
    with ledger.writing():
        ledger.append_rollouts([rollout("a", 1, completion=r"so \[ x = [bold]4[/bold] \] \boxed{4}")])
    assert run(["verify", str(ledger.path), "--verifier", "exact"]) == 0
    assert r"...so \[ x = [bold]4[/bold] \] \boxed{4}" in capsys.readouterr().out
    assert run(["verify", str(ledger.path), "--verifier", "exact", "--adopt"]) == 0
    capsys.readouterr()
    assert run(["show", str(ledger.path), "a"]) == 0
    assert "\n" + r"so \[ x = [bold]4[/bold] \] \boxed{4}" in capsys.readouterr().out
