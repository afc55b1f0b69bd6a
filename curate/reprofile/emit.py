"""Emit: the files that run what is due, by hand or on a clock.

Owns the recipe of a schedule and the forms that other programs take: cron, systemd, Slurm, GitHub, Hugging Face jobs.
Must not run anything. What runs once (``recipe``, ``slurm``, ``hf-jobs``) draws what is due now; what runs on a clock
(``cron``, ``systemd``, ``github``) asks ``curate schedule --run`` each time.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from curate import durable
from curate import recipe as recipes
from curate.errors import UsageError
from curate.ledger import Ledger
from curate.recipe import Recipe
from curate.reprofile.schedules import Schedule

SHARDS = 8
"""Tasks of a Slurm array."""
GPU_IMAGE = "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime"
"""Image of a Hugging Face job; curate and the recipe's engine are installed into it."""
CPU_IMAGE = "python:3.12"
"""The same where the engine needs no GPU of the job's."""
KNOWN = ("manifest.json", "problems.parquet", "estimates.parquet", "history.parquet")
"""All that another profile takes from one that it is begun like; a job need not carry its rollouts."""


@dataclass(frozen=True)
class _Job:
    """What the forms are made from."""

    schedule: Schedule
    name: str
    folder: Path
    again: tuple[str, ...]
    recipe: Recipe
    """As written; of what runs on a clock, the one to go by."""

    @property
    def engine(self) -> str:
        """The kind of the recipe's engine."""
        return self.recipe.engine.kind

    @property
    def package(self) -> str:
        """What pip installs: curate with what the engine needs."""
        return "curate-rlvr" if self.engine == "scripted" else f"curate-rlvr[{self.engine}]"

    def profile_command(self) -> str:
        """What profiles the recipe that was written."""
        like = [word for path in begun_like(self.schedule) for word in ("--like", str(path))]
        into = ["--into", str(self.schedule.into)] if self.schedule.into is not None else []
        return shlex.join(["curate", "profile", str(self.folder / f"{self.name}.yaml"), *into, *like])

    def again_command(self, program: str = "curate") -> str:
        """What asks again, and profiles what is due then."""
        return shlex.join([program, "schedule", *self.again, "--run"])


def emit(
    schedule: Schedule,
    kind: str,
    *,
    to: str | Path,
    recipe: Recipe | str | Path | None = None,
    again: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Write what runs a schedule.

    Args:
        schedule: What is due, and of which profiles.
        kind: ``recipe``, ``cron``, ``systemd``, ``slurm``, ``github`` or ``hf-jobs``.
        to: The folder to write into, made where it is missing.
        recipe: The recipe to change; None takes the base profile's own.
        again: The arguments of ``curate schedule`` that ask the same again, for what runs on a clock.

    Returns:
        The files, the one to use last. Nothing for what runs once where nothing is due.

    Raises:
        UsageError: an unknown kind; the profile knows no recipe and none is given; or it is a release, which nothing
            that runs on a clock can profile again.
    """
    if kind not in KINDS:
        raise UsageError(f"cannot write {kind!r}", where="--emit", hint=f"one of: {', '.join(KINDS)}")
    folder = Path(to)
    name = file_name(schedule.into or schedule.base) if kind in ONCE else file_name(schedule.base)
    written: list[Path] = []
    if kind in ONCE:
        if not schedule.due:
            return ()
        ids = problem_ids(schedule)
        if ids is not None:
            written.append(_write(folder / f"{name}.ids", "".join(f"{one}\n" for one in ids)))
        settings = recipe_of(schedule, recipe, written[0] if written else None)
    else:
        # Refused now, by the person who asks, and not every night by what runs on the clock.
        refuse_release(schedule)
        settings = _known_recipe(schedule, recipe)
    job = _Job(schedule, name, folder, tuple(again), settings)
    if kind in ONCE:
        text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
        command = (job.profile_command(),) if kind == "recipe" else ()
        told = "".join(f"# {line}\n" for line in (*schedule.reasons, *schedule.notes, *command))
        written.append(_write(folder / f"{name}.yaml", told + text))
    if kind == "hf-jobs":
        written += _carry(job)
    written += [_write(folder / file, text) for file, text in KINDS[kind](job).items()]
    return tuple(written)


def file_name(path: Path) -> str:
    """What the files of a schedule are called: a profile's name in letters that every program takes in a name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.name).strip("-._") or "profile"


def refuse_release(schedule: Schedule) -> None:
    """Refuse to profile a release again: it does not hold all of its profile.

    Raises:
        UsageError: it is one.
    """
    if schedule.into is None:
        raise UsageError(
            "a release cannot be profiled again: it does not hold all of its profile",
            where=str(schedule.base),
            hint="name the profile's folder, or profile anew with: curate profile RECIPE",
        )


def problem_ids(schedule: Schedule) -> tuple[str, ...] | None:
    """The problems that the new checkpoint's profile is about: what is due, and what it was measured on already.

    Returns:
        None where it is about all of the recipe's.
    """
    if any(item.kind == "all" for item in schedule.items):
        return None
    held: list[str] = []
    if schedule.into is not None and (schedule.into / "problems.parquet").exists():
        held = Ledger(schedule.into).problems().select(pl.col("problem_id"))["problem_id"].to_list()
    return tuple(dict.fromkeys((*held, *schedule.problem_ids)))


def begun_like(schedule: Schedule) -> tuple[Path, ...]:
    """The profiles that the new checkpoint's begins like; none where it was begun, because it keeps what they knew."""
    begun = schedule.into is not None and Ledger(schedule.into).exists()
    return () if begun else schedule.like


def recipe_of(schedule: Schedule, recipe: Recipe | str | Path | None, ids: Path | None) -> Recipe:
    """The recipe that profiles what is due: another checkpoint, and of the problems only those.

    Raises:
        UsageError: the base profile knows no recipe (it was imported, or is a release) and none is given.
        RecipeError: the recipe that is given says what no recipe can say.
    """
    base = _known_recipe(schedule, recipe)
    target = schedule.target
    local = target.revision is None or target.revision.startswith("sha256:")
    changes: dict[str, Any] = {"path": target.path} if local else {"path": target.path, "revision": target.revision}
    if local and target.path != base.model.path:
        changes["revision"] = None
    return base.model_copy(
        update={
            "name": file_name(schedule.into or schedule.base),
            "model": base.model.model_copy(update=changes),
            "problems": base.problems if ids is None else base.problems.model_copy(update={"ids": str(ids)}),
        }
    )


def _known_recipe(schedule: Schedule, recipe: Recipe | str | Path | None) -> Recipe:
    """The recipe that is given, else the base profile's own."""
    if recipe is not None:
        return recipe if isinstance(recipe, Recipe) else recipes.load(recipe)
    known = Ledger(schedule.base).manifest().get("recipe") if (schedule.base / "problems.parquet").exists() else None
    if known is None:
        raise UsageError(
            "no recipe is known of it, because it was imported or is a release",
            where=str(schedule.base),
            hint="name the recipe to go by with --recipe FILE",
        )
    return recipes.parse(known, where=str(schedule.base / "manifest.json"))


def _write(file: Path, text: str) -> Path:
    durable.write(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return file


def _installed() -> str:
    """This installation's ``curate``, absolute: a clock's PATH knows no virtual environment."""
    beside = Path(sys.executable).with_name("curate")
    return str(beside) if beside.exists() else "curate"


def _cron(job: _Job) -> dict[str, str]:
    # In a crontab a percent sign ends the command, unless it is escaped.
    again, log = job.again_command(_installed()), shlex.quote(f"{job.name}.log")
    command = f"cd {shlex.quote(str(Path.cwd()))} && {again} >>{log} 2>&1"
    return {f"{job.name}.cron": f"# crontab {job.name}.cron\n17 3 * * * {command.replace('%', chr(92) + '%')}\n"}


def _systemd(job: _Job) -> dict[str, str]:
    # In a unit a percent sign begins a specifier, and a dollar sign a variable, unless they are doubled.
    escaped = job.again_command(_installed())
    for special, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        escaped = escaped.replace(special, written)
    service = f"""\
[Unit]
Description=Profile what is due of {job.name}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
WorkingDirectory={str(Path.cwd()).replace("%", "%%")}
ExecStart=/usr/bin/env bash -lc "{escaped}"
"""
    timer = f"""\
[Unit]
Description=Ask every night what is due of {job.name}

[Timer]
OnCalendar=*-*-* 03:17:00
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{job.name}.service": service, f"{job.name}.timer": timer}


def _slurm(job: _Job) -> dict[str, str]:
    text = f"""\
#!/bin/bash
#SBATCH --job-name={job.name}
#SBATCH --array=1-{SHARDS}
#SBATCH --gpus=1
#SBATCH --requeue
#SBATCH --output={job.name}-%A-%a.log

# Every task takes a part of the problems; a task that was killed continues where it stopped.
set -euo pipefail
srun {job.profile_command()} --shard "$SLURM_ARRAY_TASK_ID/{SHARDS}"
"""
    return {f"{job.name}.sbatch": text}


def _github(job: _Job) -> dict[str, str]:
    profiles = job.schedule.base.parent
    if profiles.is_relative_to(Path.cwd()):
        profiles = profiles.relative_to(Path.cwd())
    steps: list[dict[str, Any]] = [
        # What was profiled the nights before stays on the machine: it is what the next night goes by.
        {"uses": "actions/checkout@v4", "with": {"clean": False}},
        {"name": "Install", "run": f"python3 -m venv .venv\n.venv/bin/pip install '{job.package}'\n"},
        {"name": "Profile what is due", "run": f".venv/bin/{job.again_command()}\n"},
        {
            "if": "always()",
            "uses": "actions/upload-artifact@v4",
            "with": {"name": job.name, "path": f"{profiles}/", "include-hidden-files": False},
        },
    ]
    workflow = {
        "name": f"profile {job.name}",
        "on": {"schedule": [{"cron": "17 3 * * *"}], "workflow_dispatch": {}},
        # Two runs would write into one profile.
        "concurrency": job.name,
        "jobs": {"profile": {"runs-on": ["self-hosted", "gpu"], "timeout-minutes": 1440, "steps": steps}},
    }
    return {f"{job.name}.yml": yaml.safe_dump(workflow, sort_keys=False, width=200)}


def _carry(job: _Job) -> list[Path]:
    """Copy what the job needs and the Hub has not: local problems, and what the old profiles know."""
    files = [
        (old / name, _like(job, number) / name)
        for number, old in enumerate(begun_like(job.schedule), start=1)
        for name in KNOWN
    ]
    source = _local_problems(job)
    if source is not None:
        files.append((source, job.folder / source.name))
    copied = []
    for here, there in files:
        if here.exists() and here.resolve() != there.resolve():
            there.parent.mkdir(parents=True, exist_ok=True)
            durable.write(there, partial(shutil.copyfile, here))
            copied.append(there)
    return copied


def _like(job: _Job, number: int) -> Path:
    """Where the job finds what an old profile knows, by its place in their order."""
    return job.folder / f"{job.name}.like" / str(number)


def _local_problems(job: _Job) -> Path | None:
    """The file of the problems, where it is one here."""
    source = Path(job.recipe.problems.source)
    return source if source.is_file() else None


def _hf_jobs(job: _Job) -> dict[str, str]:
    def mounted(path: Path) -> str:
        return f"/due/{path.relative_to(job.folder)}"

    inside = ["curate", "profile", f"/due/{job.name}.yaml", "--into", f"/profiles/{job.name}"]
    # Written as a path, or it would be taken for something on the Hub.
    volumes = [(job.folder if job.folder.is_absolute() else f"./{job.folder}", "/due")]
    if problem_ids(job.schedule) is not None:
        inside += ["--set", f"problems.ids=/due/{job.name}.ids"]
    problems, model = _local_problems(job), Path(job.schedule.target.path)
    if problems is not None:
        inside += ["--set", f"problems.source=/due/{problems.name}"]
    if model.is_dir():
        # Under its own name, which tells the training step.
        inside += ["--set", f"model.path=/model/{model.resolve().name}"]
        volumes.append((model.resolve(), f"/model/{model.resolve().name}"))
    for number in range(1, len(begun_like(job.schedule)) + 1):
        inside += ["--like", mounted(_like(job, number))]
    script = f"pip install '{job.package}' && {shlex.join(inside)}"
    flavor, image = ("a10g-small", GPU_IMAGE) if job.engine in ("vllm", "transformers") else ("cpu-basic", CPU_IMAGE)
    mounts = "".join(f"  --volume {shlex.quote(f'{place}:{at}')} \\\n" for place, at in volumes)
    text = f"""\
#!/bin/bash
# BUCKET=owner/name bash {job.name}.sh: one job on the Hub's machines; the profile is left in that bucket.
set -euo pipefail
hf jobs run --name {shlex.quote(job.name)} --flavor "${{FLAVOR:-{flavor}}}" --timeout 1d --secrets HF_TOKEN \
{mounts}  --volume "hf://buckets/${{BUCKET:?owner/name of a bucket}}:/profiles" \
  {image} bash -c {shlex.quote(script)}
"""
    return {f"{job.name}.sh": text}


KINDS: dict[str, Callable[[_Job], dict[str, str]]] = {
    "recipe": lambda _job: {},
    "cron": _cron,
    "systemd": _systemd,
    "slurm": _slurm,
    "github": _github,
    "hf-jobs": _hf_jobs,
}
"""Kind -> what makes its files, by name."""

ONCE = frozenset({"recipe", "slurm", "hf-jobs"})
"""Kinds that run once, so that they need a recipe of what is due now."""
