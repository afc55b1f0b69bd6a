"""What is piped is read by programs and pasted into reports: nothing is cut, and no line ends in spaces."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import jsonl, rehearsal

import curate
from curate.cli.main import run

LONG = "a-problem-whose-name-is-longer-than-a-terminal-is-wide-because-it-holds-where-it-came-from-"


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two profiles of problems with long names; the later one passes where the earlier failed, and the reverse."""
    here = tmp_path_factory.mktemp("piped")
    ids = [f"{LONG}{number}" for number in range(12)]
    rows = [{"id": name, "question": f"four? {number}", "answer": "4"} for number, name in enumerate(ids)]
    for step, (low, high) in {"before": (0.0, 1.0), "after": (1.0, 0.0)}.items():
        script = {"problems": {name: {"pass_rate": low if at < 6 else high} for at, name in enumerate(ids)}}
        recipe = rehearsal(here / step, script=script)
        jsonl(here / step / "problems.jsonl", rows)
        curate.profile(recipe, into=here / "profiles" / step, fixed_n=24)
    return here / "profiles"


@pytest.mark.parametrize(
    ("command", "whole"),
    [
        (("compare", "before", "after"), f"{LONG}7"),
        (("show", "before"), "pass rate below the band"),
        (("verify", "before", "--verifier", "numeric"), "now unscored"),
        (("audit", "before"), "passes"),
        (("schedule", "after"), ""),
    ],
)
def test_nothing_is_cut_and_no_line_ends_in_spaces(
    profiles: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], whole: str
) -> None:
    name, *rest = command
    named = [str(profiles / one) if (profiles / one).is_dir() else one for one in rest]
    capsys.readouterr()
    assert run([name, *named]) == 0
    said = capsys.readouterr().out
    assert whole in said
    assert "…" not in said
    assert [line for line in said.splitlines() if line != line.rstrip()] == []
