"""``curate show``: the summary and one problem in the terminal; plain when piped, and nothing in it drives one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import FINGERPRINT, manifest, problem, rollout, verdict

from curate import beliefs, decide
from curate.cli.main import run
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import VerdictKind

LATEX = r"\[\frac{1}{2}\] [bold]not markup[/bold] :smile: " + "x" * 300
HARM = "\x1b[2J\x1b]0;owned\x07 back\x08\x9b31m \u202eturned\u200b end"
PASS, FAIL = VerdictKind.PASS, VerdictKind.FAIL


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ledger = Ledger(tmp_path_factory.mktemp("show") / "profile")
    said = {"half": [FAIL, PASS] * 16, "easy": [PASS] * 32, "harm\x1b[2J": [FAIL] * 32}
    with ledger.writing():
        problems = [problem(name, question=f"{HARM} of {name}", answers=(HARM,)) for name in said]
        ledger.write_problems(problems, [one.question for one in problems])
        ledger.write_manifest(manifest(name="shown\x1b[31m"))
        drawn = [(name, index, kind) for name, kinds in said.items() for index, kind in enumerate(kinds)]
        ledger.append_rollouts(
            [
                rollout(name, index, completion=f"{HARM if name != 'half' else LATEX} number {index}\n" * 3)
                for name, index, _ in drawn
            ]
        )
        ledger.append_verdicts(
            FINGERPRINT, [verdict(name, index, kind, reason=HARM, answer=HARM) for name, index, kind in drawn]
        )
        counts = decide.count(ledger, FINGERPRINT, 8)
        prior = beliefs.learn(counts, BandSection())
        ledger.write_prior(beliefs.to_frame(prior))
        ledger.write_estimates(decide.estimate(counts, BandSection(), prior))
    return ledger.path


def hidden(text: str) -> set[str]:
    """Characters that a terminal would obey or not show."""
    return {one for one in text if unicodedata.category(one) in ("Cc", "Cf") and one not in "\t\n"}


def in_a_terminal(*arguments: str, **environment: str) -> str:
    """What the command writes to a terminal of 80 columns and 24 lines."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "curate.cli.main", *arguments]
    sized = {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    settings = (
        {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "LESS")} | sized | environment
    )
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=settings) as started:
        os.close(theirs)
        said = b"".join(_chunks(ours))
        os.close(ours)
    assert started.returncode == 0
    return said.decode().replace("\r\n", "\n")


def _chunks(file: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(file, 65536)
        except OSError:
            # Linux says that the other end of a terminal has closed by an error.
            return
        if not chunk:
            return
        yield chunk


def test_the_summary_says_what_why_and_how_sure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("shown⟨U+001B⟩[31m  m at sha256:0")
    assert "1 of 3 problems (33%) is kept: it lies in the band [0.2, 0.8] with a probability of at least 0.9" in out
    assert "outcomes: in_band 1, too_easy 1, too_hard 1" in out
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("too_")] == [
        ["too_easy", "1", "drop"],
        ["too_hard", "1", "defer"],
    ]
    assert "next steps: defer 1, drop 1" in out
    assert "how sure: the median 95% interval is the pass rate ± 0.0" in out
    assert "0.50-0.55 │ ████████████████████████████████████████ 1" in out or "0.45-0.50 │ ████" in out
    assert hidden(out) == set()


def test_one_problem_comes_passes_first_whole_and_unbroken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(folder), "half", "--limit", "32"]) == 0
    out = capsys.readouterr().out
    shown = [line.split()[:2] for line in out.splitlines() if line.startswith(("pass #", "fail #"))]
    assert shown == [["pass", f"#{index},"] for index in range(1, 32, 2)] + [
        ["fail", f"#{index},"] for index in range(0, 32, 2)
    ]
    # Longer than any terminal, markup and emoji codes and all: as it was written.
    assert out.splitlines().count(f"{LATEX} number 7") == 3
    assert hidden(out) == set()


def test_nothing_of_a_problem_drives_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(folder), "harm"]) == 0
    out = capsys.readouterr().out
    assert hidden(out) == set()
    shown = "⟨U+001B⟩[2J⟨U+001B⟩]0;owned⟨U+0007⟩ back⟨U+0008⟩⟨U+009B⟩31m ⟨U+202E⟩turned⟨U+200B⟩ end"
    assert f"{shown} number 0" in out.splitlines()
    assert f"reference {shown}" in out.splitlines()
    assert "harm⟨U+001B⟩[2J" in out
    assert run(["show", str(folder), "harm", "--json"]) == 0
    document = capsys.readouterr().out
    assert hidden(document) == set()
    assert json.loads(document)["rollouts"][0]["completion"].startswith(HARM)


def test_a_terminal_gets_colours_and_a_pager_where_it_is_long(folder: Path) -> None:
    pager = {"PAGER": "sed s/^/PAGED:/"}
    long = in_a_terminal("show", str(folder), "half", **pager)
    assert long.count("PAGED:") > 24
    assert "\x1b[32mpass" in long
    at_once = in_a_terminal("show", str(folder), "half", "--no-pager", **pager)
    assert "PAGED:" not in at_once
    assert "\x1b[32mpass" in at_once
    short = in_a_terminal("show", str(folder), "harm", "--limit", "0", **pager)
    assert "PAGED:" not in short
    # Colours are all that reaches the terminal, of what a model wrote nothing does.
    assert {
        one for one in in_a_terminal("show", str(folder), "harm", "--no-pager") if one in "\x07\x08\x9b\u202e"
    } == set()


def test_a_terminal_without_blocks_gets_signs(folder: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "curate.cli.main", "show", str(folder)],
        env={**os.environ, "PYTHONIOENCODING": "ascii:backslashreplace"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "| ########################################" in said
