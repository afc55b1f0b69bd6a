"""What goes wrong before anything is drawn: each error names the thing, the place and the way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from builders import profile, rehearsal

import curate
from curate.cli.main import run
from curate.ledger import Ledger

LEAST = "{name: mine, problems: {source: FILE}, model: {path: Qwen/Qwen3-4B}, engine: {kind: vllm}}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rehearsal(tmp_path, 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> tuple[str, str, str]:
    """What failed, where, and the hint."""
    assert run(list(arguments)) == code
    return parts(capsys.readouterr().err)


def parts(text: str) -> tuple[str, str, str]:
    """The three lines of an error, below whatever a progress bar wrote."""
    lines = text[text.index("error: ") :].splitlines()
    return lines[0].removeprefix("error: "), lines[1].removeprefix("  at   "), lines[2].removeprefix("  hint ")


def apart(*arguments: str) -> tuple[str, str, str]:
    """The same in a process of its own, to which the Hub is out of reach: its client reads that when it is imported."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "curate.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    return parts(done.stderr)


@pytest.mark.parametrize(
    "command",
    [
        ("show", "out/mine"),
        ("filter", "out/mine", "--to", "x"),
        ("report", "out/mine"),
        ("audit", "out/mine"),
        ("profile", "recipe.yaml", "--into", "x", "--dry-run", "--like", "out/mine"),
    ],
)
def test_a_release_is_no_profile(here: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    curate.profile("recipe.yaml", fixed_n=4)
    curate.filter("profiles/rehearsal", to="out/mine", allow_empty=True)
    what, where, hint = said(capsys, *command)
    assert what == "this is a release, as `curate filter` writes it, and no profile"
    assert where == "out/mine"
    assert "profiles/rehearsal" in hint


@pytest.mark.parametrize("name", ["problems.jsonl", "problems.json", "problems.csv", "problems.parquet"])
def test_a_file_of_problems_is_no_recipe(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (here / name).write_text('[{"question": "1+1?", "answer": "2"}]')
    what, where, hint = said(capsys, "profile", name, code=2)
    assert "a file of problems; what is wanted is a recipe" in what
    assert where == name
    assert LEAST.replace("FILE", name) in hint
    assert "docs/recipe.md" in hint


@pytest.mark.parametrize("value", ["@@(.+)$", r"####\s*(.+)$"])
def test_a_value_that_yaml_takes_otherwise_is_shown_quoted(
    here: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    what, where, hint = said(capsys, "profile", "recipe.yaml", "--set", f"problems.answer_pattern={value}", code=2)
    assert "is not YAML" in what
    assert where == "--set"
    quoted = hint.removeprefix("quote it for YAML too: --set '").removesuffix("'")
    assert curate.load_recipe("recipe.yaml", (quoted,)).problems.answer_pattern == value


def test_a_checkpoint_that_is_not_there_is_a_missing_folder(here: Path) -> None:
    (here / "runs").mkdir()
    engine = ("--set", "engine={kind: transformers}", "--set")
    for path in ("runs/4", "./4", "a/b/c"):
        what, where, hint = apart("profile", "recipe.yaml", "--dry-run", *engine, f"model.path={path}")
        assert f"there is no folder {path!r}" in what
        assert where == "--set model.path"
        assert "config.json" in hint


def test_for_a_checkpoint_that_is_not_there_the_place_is_the_option(here: Path) -> None:
    (here / "runs").mkdir()
    curate.profile("recipe.yaml", fixed_n=4)
    ledger = Ledger("profiles/rehearsal")
    manifest = {key: value for key, value in ledger.manifest().items() if key != "format"}
    ledger.write_manifest({**manifest, "recipe": {**manifest["recipe"], "engine": {"kind": "vllm"}}})
    what, where, _ = apart("schedule", "profiles", "--for", "runs/nope")
    assert "there is no folder 'runs/nope'" in what
    assert where == "--for"


def test_problems_in_a_folder_that_is_here_are_a_missing_file(here: Path) -> None:
    (here / "data").mkdir()
    what, where, _ = apart("profile", "recipe.yaml", "--dry-run", "--set", "problems.source=data/mine")
    assert "there is no file or folder 'data/mine'" in what
    assert where == "data/mine"


def test_a_file_of_an_unknown_suffix_tells_which_are_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.txt").write_text("1+1?\n")
    asked = ("profile", "recipe.yaml", "--dry-run", "--set")
    what, where, hint = said(capsys, *asked, "problems.source=mine.txt")
    assert "suffix '.txt'" in what
    assert where == "mine.txt"
    assert "read are .jsonl, .json, .csv, .parquet" in hint
    what, where, hint = said(capsys, *asked, "problems.source=mien.txt")
    assert (what, where, hint) == ("there is no such file", "mien.txt", "did you mean 'mine.txt'?")


def test_no_rollouts_are_refused_in_a_dry_run_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "recipe.yaml", "--fixed", "0", "--dry-run"]) == 2
    assert "must lie between 1 and" in capsys.readouterr().err


def test_a_kind_that_there_is_not_is_placed_where_it_was_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("recipe.yaml").read_text()
    Path("vlm.yaml").write_text(text.replace("kind: scripted", "kind: vlm"))
    assert said(capsys, "profile", "vlm.yaml", code=2)[:2] == ("unknown engine 'vlm'", "vlm.yaml: engine.kind")
    changed = said(capsys, "profile", "recipe.yaml", "--set", "engine.kind=vlm", code=2)
    assert changed[:2] == ("unknown engine 'vlm'", "--set engine.kind")
    optional = said(capsys, "profile", "recipe.yaml", "--set", "verifier={options: {caes: true}}", code=2)
    assert optional[1] == "--set verifier.options.caes"


def test_a_verifier_that_there_is_not_is_placed_at_its_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curate.profile("recipe.yaml", fixed_n=4)
    asked = ("verify", "profiles/rehearsal", "--verifier")
    assert said(capsys, *asked, "numerc", code=2)[:2] == ("unknown verifier 'numerc'", "--verifier")
    assert said(capsys, *asked, "exact", "--option", "caes=true", code=2)[1:] == (
        "--option caes",
        "did you mean 'case'?",
    )


def test_a_beginning_that_several_problems_have_lists_the_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curate.profile(rehearsal(here, 7), fixed_n=4)
    what, _, hint = said(capsys, "show", "profiles/rehearsal", "p", code=2)
    assert "7 problems" in what
    assert hint == "name one of them: p0, p1, p2, p3, p4, ..."


@pytest.mark.parametrize("command", [("show", "profiles/cut"), ("filter", "profiles/cut", "--to", "x")])
def test_a_profile_that_was_killed_is_to_be_continued(
    here: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    profile(here / "profiles" / "cut", {"a": [True, False]})  # rollouts, and no estimates
    what, where, hint = said(capsys, *command)
    assert "no estimates yet" in what
    assert where == "profiles/cut"
    assert "run the same `curate profile` command again" in hint
