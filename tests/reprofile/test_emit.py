"""What runs a schedule: every form can be read by the program that it is for, and names what is due."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from builders import rehearsal

import curate
from curate.cli.main import run
from curate.errors import UsageError
from curate.ledger import Ledger

HERE = str(Path(sys.executable).with_name("curate"))
"""A clock's PATH does not know where this is installed."""


@pytest.fixture
def due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The profile of a checkpoint that is no longer the newest, in a folder whose name asks for quoting."""
    monkeypatch.chdir(tmp_path)
    middle = {f"p{number}": {"pass_rate": 0.5} for number in range(20)}
    recipe = rehearsal(tmp_path / "it's 5% $HOME", 60, script={"default": {"pass_rate": 0.0}, "problems": middle})
    curate.profile(recipe, into="profiles/it's 5% $HOME", fixed_n=8)
    (recipe.parent / "script.yaml").write_text(json.dumps({"default": {"pass_rate": 0.1}}))
    return Path("profiles/it's 5% $HOME")


def written(due: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Path]:
    """The files that a form takes, by suffix."""
    assert run(["schedule", str(due), "--anchors", "5", "--budget", "0.5", "--emit", kind, "--json"]) == 0
    return {Path(name).suffix: Path(name) for name in json.loads(capsys.readouterr().out)["written"]}


def asks_again(words: list[str], due: Path, program: str = "curate") -> bool:
    """Whether a command is the same question, with --run."""
    return words == [program, "schedule", str(due), "--budget", "0.5", "--anchors", "5", "--run"]


def test_the_recipe_profiles_the_anchors_and_nothing_else(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(due, "recipe", capsys)
    found = curate.schedule(due, policy=curate.Policy(anchors=5))
    assert files[".ids"].read_text().split() == list(found.problem_ids)
    recipe = curate.load_recipe(files[".yaml"])
    assert recipe.problems.ids == str(files[".ids"])
    assert found.into is not None
    assert recipe.name == found.into.name
    # The command that is written at its head does it.
    command = next(line for line in files[".yaml"].read_text().splitlines() if line.startswith("# curate profile "))
    words = shlex.split(command.removeprefix("# "))
    assert words == ["curate", "profile", str(files[".yaml"]), "--into", str(found.into), "--like", str(due)]
    assert run(words[1:]) == 0
    assert Ledger(found.into).problems().height == 5
    assert Ledger(found.into).manifest()["model"]["revision"] == found.target.revision


def test_the_cron_line_is_five_times_and_a_command(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(due, "cron", capsys)
    comment, line = files[".cron"].read_text().splitlines()
    assert comment.startswith("#")
    found = re.fullmatch(r"(\d+) (\d+) \* \* \* (.+)", line)
    assert found is not None
    # cron ends the command at a percent sign that is not escaped, and takes the backslash away from one that is.
    assert not re.search(r"(?<!\\)%", found[3])
    command = found[3].replace(r"\%", "%")
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
    assert asks_again(shlex.split(command.split(" && ")[1].split(" >>")[0]), due, HERE)


def test_the_systemd_units_are_read_by_their_rules(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(due, "systemd", capsys)
    units = {}
    for suffix in (".service", ".timer"):
        units[suffix] = configparser.ConfigParser(interpolation=None, strict=True)
        units[suffix].optionxform = str  # type: ignore[assignment, method-assign]
        units[suffix].read(files[suffix])
    assert units[".timer"]["Timer"]["OnCalendar"] == "*-*-* 03:17:00"
    assert units[".service"]["Service"]["Type"] == "oneshot"
    # Unquoted as systemd does it: \" and \\ inside double quotes, %% and $$ for the signs themselves.
    start = units[".service"]["Service"]["ExecStart"]
    head, inside = start.split(' "', 1)
    assert head == "/usr/bin/env bash -lc"
    command = re.sub(r"\\(.)", r"\1", inside.removesuffix('"')).replace("%%", "%").replace("$$", "$")
    assert asks_again(shlex.split(command), due, HERE)
    if shutil.which("systemd-analyze"):
        said = subprocess.run(["systemd-analyze", "verify", str(files[".service"].resolve())], capture_output=True)
        assert files[".service"].name.encode() not in said.stderr


def test_the_slurm_script_is_an_array_of_shards(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(due, "slurm", capsys)
    text = files[".sbatch"].read_text()
    assert subprocess.run(["bash", "-n", str(files[".sbatch"])], check=False).returncode == 0
    assert "#SBATCH --array=1-8\n" in text
    words = shlex.split(text.splitlines()[-1])
    assert words[:3] == ["srun", "curate", "profile"]
    assert words[3] == str(files[".yaml"])
    assert words[-4:] == ["--like", str(due), "--shard", "$SLURM_ARRAY_TASK_ID/8"]


def test_the_workflow_is_yaml_with_a_clock_and_steps(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(due, "github", capsys)
    found = yaml.safe_load(files[".yml"].read_text())
    on = found["on"]
    assert on["schedule"] == [{"cron": "17 3 * * *"}]
    assert on["workflow_dispatch"] == {}
    job = found["jobs"]["profile"]
    assert job["runs-on"] == ["self-hosted", "gpu"]
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    command = next(step["run"] for step in job["steps"] if "schedule" in step.get("run", ""))
    assert asks_again(shlex.split(command.removeprefix(".venv/bin/")), due)
    assert job["steps"][-1]["with"]["path"] == "profiles/"


@pytest.mark.parametrize(
    ("engine", "package", "flavor", "image"),
    [
        ("scripted", "curate-rlvr", "cpu-basic", "python:"),
        ("openai", "curate-rlvr[openai]", "cpu-basic", "python:"),
        ("transformers", "curate-rlvr[transformers]", "a10g-small", "pytorch/pytorch:"),
        ("vllm", "curate-rlvr[vllm]", "a10g-small", "pytorch/pytorch:"),
    ],
)
def test_what_is_installed_is_what_the_recipes_engine_needs(
    due: Path, engine: str, package: str, flavor: str, image: str
) -> None:
    Path("runs").mkdir()
    elsewhere = due.rename("runs/old")
    found = curate.schedule(elsewhere)
    recipe = curate.load_recipe("it's 5% $HOME/recipe.yaml")
    recipe = recipe.model_copy(update={"engine": recipe.engine.model_copy(update={"kind": engine})})
    (flow,) = curate.emit_schedule(found, "github", to="due", recipe=recipe)
    steps = yaml.safe_load(flow.read_text())["jobs"]["profile"]["steps"]
    assert steps[1]["run"].endswith(f"/pip install '{package}'\n")
    assert steps[-1]["with"]["path"] == "runs/"
    script = curate.emit_schedule(found, "hf-jobs", to="due", recipe=recipe)[-1].read_text()
    assert f"pip install '{package}' &&" in script.replace("'\"'\"'", "'")
    assert f"FLAVOR:-{flavor}" in script
    assert f"  {image}" in script


def test_the_hub_job_mounts_what_it_needs(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(due, "hf-jobs", capsys)
    assert subprocess.run(["bash", "-n", str(files[".sh"])], check=False).returncode == 0
    said = subprocess.run(["bash", str(files[".sh"])], capture_output=True, text=True, check=False)
    assert said.returncode != 0
    assert "owner/name of a bucket" in said.stderr
    # `hf` is a function here that shows the words it is given, one a line.
    shown = f"hf() {{ printf '%s\\n' \"$@\"; }}; BUCKET=me/mine; . {shlex.quote(str(files['.sh'].resolve()))}"
    words = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True).stdout.splitlines()
    assert words[:2] == ["jobs", "run"]
    assert {"./due:/due", "hf://buckets/me/mine:/profiles"} <= set(words)
    inside = shlex.split(words[-1].split(" && ")[1])
    name = files[".yaml"].stem
    assert inside[:5] == ["curate", "profile", f"/due/{name}.yaml", "--into", f"/profiles/{name}"]
    assert inside[5:7] == ["--set", f"problems.ids=/due/{name}.ids"]
    # The Hub's own client takes them, too.
    client = shlex.quote(str(Path(sys.executable).parent / "hf"))
    asked = f'hf() {{ {client} jobs run --dry-run "${{@:3}}"; }}; BUCKET=me/mine; . {shlex.quote(str(files[".sh"]))}'
    dry = subprocess.run(
        ["bash", "-c", asked], capture_output=True, text=True, check=False, env={**os.environ, "HF_TOKEN": "hf_none"}
    )
    assert "Job not submitted" in dry.stdout + dry.stderr, dry
    # What it says to do there can be done with what was mounted and nothing else.
    mounts = [word.rsplit(":", 1) for word in words if word.startswith("./")]
    (Path("there") / "profiles").mkdir(parents=True)
    for place, at in mounts:
        shutil.copytree(place, f"there{at}")
    shutil.rmtree("due")
    shutil.rmtree("profiles")
    assert run([re.sub("(^|=)/", r"\1there/", word) for word in inside[1:]]) == 0
    made = Ledger(f"there/profiles/{name}")
    assert [one["problems"] for one in made.manifest()["like"]] == [60]
    assert made.estimates()["prior_class"].min() != 0
    assert made.history()["name"].to_list() == ["rehearsal", name]


def test_nothing_is_written_where_nothing_is_due(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = rehearsal(tmp_path / "a", 5, script={})
    curate.profile(recipe, into=tmp_path / "out", fixed_n=2)
    assert run(["schedule", str(tmp_path / "out"), "--emit", "slurm", "--to", str(tmp_path / "due")]) == 0
    assert capsys.readouterr().out.splitlines() == ["nothing is due: the checkpoint is the one that was profiled"]
    assert not (tmp_path / "due").exists()
    assert run(["schedule", str(tmp_path / "out"), "--emit", "cron", "--run"]) == 2


def test_an_imported_profile_needs_a_recipe_to_go_by(due: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Ledger(due).manifest()
    recipe = Path("it's 5% $HOME/recipe.yaml")
    found = curate.schedule(due)
    Ledger(due).write_manifest({**{k: v for k, v in manifest.items() if k != "format"}, "recipe": None})
    with pytest.raises(UsageError, match="no recipe is known"):
        curate.emit_schedule(found, "recipe", to="due")
    assert len(curate.emit_schedule(found, "recipe", to="due", recipe=recipe)) == 1  # all 60: no ids


@pytest.mark.parametrize("kind", ["cron", "systemd", "github"])
def test_a_clock_is_not_set_for_what_can_never_run(due: Path, kind: str) -> None:
    curate.filter(due, to="release", allow_empty=True)
    Path("checkpoint-7").mkdir()
    Path("checkpoint-7/config.json").write_text("{}")
    found = curate.schedule("release", model="checkpoint-7")
    with pytest.raises(UsageError, match="a release cannot be profiled again"):
        curate.emit_schedule(found, kind, to="due", recipe=Path("it's 5% $HOME/recipe.yaml"))
    found = curate.schedule(due)
    Ledger(due).write_manifest({**Ledger(due).manifest(), "recipe": None})
    with pytest.raises(UsageError, match="no recipe is known"):
        curate.emit_schedule(found, kind, to="due")
    assert not Path("due").exists()
