"""``curate export``: what it prints for a person and for a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import jsonl

from curate.cli.main import run

DEMO = Path(__file__).resolve().parent.parent.parent / "profiles" / "demo"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    assert run(["filter", str(DEMO), "--to", str(folder)]) == 0
    return folder


def test_a_person_is_told_what_was_written(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "train.parquet"
    kept = json.loads((out / "manifest.json").read_text())["rows"]["default"]
    capsys.readouterr()
    assert run(["export", str(out), "--for", "verl", "--to", str(file), "--option", "ability=sums"]) == 0
    captured = capsys.readouterr()
    assert f"{file}: {kept} problems of default for verl\n" in captured.out
    assert "read by: verl.utils.dataset.rl_dataset, verl 0.9.1\n" in captured.out
    assert f'curate.reward("{out}", ...)' in captured.out
    assert "columns: data_source, prompt, ability, reward_model, extra_info\n" in captured.out
    assert "ability: sums\n" in captured.out
    assert "several" not in captured.out
    assert captured.err == ""
    assert file.exists()


def test_a_script_gets_it_as_json(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "control.jsonl"
    capsys.readouterr()
    assert run(["export", str(out), "--for", "trl", "--to", str(file), "--config", "control", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["path"], said["trainer"], said["config"]) == (str(file), "trl", "control")
    assert said["rows"] == len(file.read_text().splitlines())
    assert said["columns"][0] == "prompt"


def test_imported_rollouts_are_exported_with_the_recipe_of_their_prompts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"question": "2+2?", "answer": ["4", "four"], "completion": f"\\boxed{{{4 + index % 2}}}"}
        for index in range(64)
    ]
    jsonl(tmp_path / "log.jsonl", rows)
    assert run(["import", "log.jsonl", "--format", "jsonl", "--into", "mine", "--verifier", "exact"]) == 0
    assert run(["filter", "mine", "--to", "out"]) == 0
    capsys.readouterr()
    assert run(["export", "out", "--for", "verl", "--to", "train.jsonl"]) == 2
    assert "--recipe RECIPE" in capsys.readouterr().err
    recipe = Path(__file__).resolve().parent.parent.parent / "recipes" / "gsm8k-vllm.yaml"
    assert run(["export", "out", "--for", "verl", "--to", "train.jsonl", "--recipe", str(recipe)]) == 0
    assert "several accepted references: 1 problems" in capsys.readouterr().out
    (row,) = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    assert row["prompt"][-1]["content"].startswith("2+2?\n\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--for", "vrl", "--to", "a.parquet"], 2, "did you mean 'verl'?"),
        (["--for", "trl"], 2, "Missing option '--to'"),
        (["--to", "a.parquet"], 2, "Missing option '--for'"),
        (["--for", "trl", "--to", "a.csv"], 2, "--to a.parquet"),
        (["--for", "trl", "--to", "a.parquet", "--config", "kept"], 2, "it has default"),
        (["--for", "skyrl", "--to", "a.parquet", "--option", "env_clas=x"], 2, "did you mean 'env_class'?"),
        (["--for", "skyrl", "--to", "a.parquet", "--option", "env_class"], 2, "write key.path=value"),
    ],
)
def test_what_makes_no_sense_is_said(
    out: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run(["export", str(out), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


def test_a_profile_is_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(DEMO), "--for", "trl", "--to", str(tmp_path / "a.parquet")]) == 1
    captured = capsys.readouterr()
    assert "the manifest of a profile" in captured.err
    assert "curate filter DIR --to OUT" in captured.err
