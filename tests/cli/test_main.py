"""The command group: it answers at once, every command has help with an example, and errors are text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from curate.cli.main import COMMANDS, cli, run

README = Path(__file__).resolve().parent.parent.parent / "README.md"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_an_example_json_and_a_place_in_the_readme(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"Example:\n\s+curate {name} ?", said)
    assert "--json" in said
    assert f"curate {name}" in README.read_text()


def test_the_commands_are_listed_in_the_order_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    listed = re.findall(r"^  ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(COMMANDS)
    assert cli.name == "cli"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["profil"], 2, "No such command 'profil'"),
        (["profile"], 2, "Missing argument 'RECIPE'"),
        (["profile", "nowhere.yaml", "--fixed", "8"], 2, "nowhere.yaml"),
        (["filter", "nowhere", "--to", "out"], 1, "there is no profile here"),
        (["filter", "nowhere", "--to", "out", "--band", "half"], 2, "write LOW:HIGH, e.g. 0.2:0.8"),
        (["profile", "x.yaml", "--shard", "5/4"], 2, "write I/N with 1 <= I <= N"),
        (["show", "nowhere"], 1, "curate profile RECIPE"),
        (["import", "nowhere.jsonl", "--format", "jsonl", "--into", "x"], 1, "there is no such file"),
        (["import", "x", "--format", "csv", "--into", "x"], 1, "no such file"),
    ],
)
def test_errors_are_text_with_an_exit_code(
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "curate.cli.main", "show", "nowhere", "--debug"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode != 0
    assert "Traceback" in said.stderr
    assert "LedgerError" in said.stderr


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CURATE_FILTER_TO", "out")
    assert run(["filter", "nowhere"]) == 1
    assert "there is no profile here" in capsys.readouterr().err
