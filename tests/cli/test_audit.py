"""``curate audit``, and what ``filter`` and ``show`` say after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import rehearsal
from passes import every_kind

from curate.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return every_kind(tmp_path / "profile").path


def test_a_person_sees_the_flags_the_queue_and_what_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(folder)]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()]
    assert any(row[:2] == ["wrong_step", "12"] for row in rows)
    assert any(row[:2] == ["skipped", "24"] for row in rows)
    assert any(row[0:1] == ["label"] and "2868" in row and "majority" in row for row in rows)
    assert "kept: 6 by the band, 4 after the audit" in said
    # Reasons overlap, the second number of each does not: 2 + 2 + 1 are the five that were left out.
    assert [row[:3] for row in rows if row[:1] in (["shortcut"], ["suspect_label"], ["duplicate"], ["too_hard"])] == [
        ["shortcut", "2", "2"],
        ["suspect_label", "2", "2"],
        ["duplicate", "1", "1"],
        ["too_hard", "1", "0"],
    ]


def test_a_script_gets_all_of_it_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(folder), "--json", "--workers", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["flagged"]["any"] == 36
    assert found["reasons"] == {"shortcut": 2, "suspect_label": 2}
    assert found["suspects"][0]["problem_id"] == "label"
    assert found["suspects"][0]["competing"][0] == ["2868", 30]
    assert sum(found["summary"]["main_reasons"].values()) == 9 - found["summary"]["kept"]


def test_show_says_why_a_problem_is_flagged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["show", str(folder)])
    assert "not audited: curate audit" in capsys.readouterr().out
    run(["audit", str(folder)])
    capsys.readouterr()
    run(["show", str(folder)])
    assert "curate audit" not in capsys.readouterr().out
    run(["show", str(folder), "false"])
    said = capsys.readouterr().out
    assert "12 of 16 passes flagged, 12 for a false step" in said
    assert "wrong_step: 7*6+2 = 45" in said
    run(["show", str(folder), "label"])
    said = capsys.readouterr().out
    assert "(majority): reached 0 times; other answers: 2868 x30, 3000 x1, 3001 x1" in " ".join(said.split())


def test_filter_says_whether_the_profile_was_audited(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["filter", str(folder), "--to", str(tmp_path / "out")])
    assert "not audited" in capsys.readouterr().out
    assert run(["filter", str(folder), "--to", str(tmp_path / "out"), "--genuine"]) == 1
    assert "needs an audit" in capsys.readouterr().err
    run(["audit", str(folder)])
    capsys.readouterr()
    run(["filter", str(folder), "--to", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert "not audited" not in said
    assert "(default 4, excluded 5, control 4)" in said
    assert run(["filter", str(folder), "--to", str(tmp_path / "out"), "--genuine"]) == 0


def test_a_probe_is_drawn_first_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = rehearsal(tmp_path, 6, script={"default": {"pass_rate": 0.5}})
    assert run(["profile", str(recipe), "--into", str(tmp_path / "out"), "--fixed", "8"]) == 0
    assert run(["audit", str(tmp_path / "out"), "--probe", "guess", "--draws", "4"]) == 0
    assert "probes used: guess 6" in capsys.readouterr().out
    assert run(["audit", str(tmp_path / "out"), "--probe", "judge"]) == 2
    assert "names no judge" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["--workers", "0"], 2, "0 is not in the range"), ([], 1, "there is no profile here")],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", str(tmp_path / "none"), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
