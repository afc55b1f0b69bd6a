"""Formats: which kinds of logs there are, who reads each, and which files of a folder are of it.

Owns the names that a user gives. Must not read a log: that is for the module of its format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError, UsageError
from curate.problems.files import COMPRESSED, uncompressed

FORMATS: dict[str, str] = {
    "jsonl": "curate.logs.plain",
    "parquet": "curate.logs.plain",
    "open-r1": "curate.logs.open_r1",
    "nemo-skills": "curate.logs.nemo_skills",
    "openai-batch": "curate.logs.openai_batch",
    "verl": "curate.logs.verl",
    "trl": "curate.logs.trl",
    "lm-eval": "curate.logs.lm_eval",
    "inspect": "curate.logs.inspect_log",
    "verifiers": "curate.logs.verifiers_log",
    "rllm": "curate.logs.rllm",
    "nemo-gym": "curate.logs.nemo_gym",
    "counts": "curate.logs.counts",
}
"""Format -> module; each has ``FILES``, the names of its logs in a folder, ``read(path, asked)``, an iterator of places
and plain rows, and ``origin(path)``, what a log says of its protocol."""

COUNTS = "counts"
"""The one format whose rollouts have no texts."""

_LINES = (".jsonl", ".csv")
"""Ends of the names of logs that are read line by line, so that they may be compressed."""

_PARTS = re.compile(r"(\d+)")


def reader(format: str) -> Any:
    """The module of a format.

    Raises:
        UsageError: there is no such format.
    """
    if format not in FORMATS:
        close = get_close_matches(format, FORMATS, n=1)
        nearest = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"unknown log format {format!r}", where="--format", hint=f"{nearest}The formats are: {', '.join(FORMATS)}"
        )
    return import_module(FORMATS[format])


def files_of(paths: str | Path | Iterable[str | Path], format: str) -> tuple[Path, ...]:
    """The files of a log, in the order given; a folder stands for those of the format in it.

    Raises:
        ProblemsError: there is no such file, or no log of the format in a folder.
        UsageError: no file is named, or one twice.
    """
    given = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not given:
        raise UsageError("no log file is named")
    files: list[Path] = []
    for path in given:
        if not path.exists():
            raise ProblemsError("there is no such file", where=str(path))
        files += _inside(path, format) if path.is_dir() else [path]
    seen: set[Path] = set()
    for path in files:
        known = uncompressed(path.resolve())
        if known in seen:
            raise UsageError("this log file is named twice", where=str(path))
        seen.add(known)
    return tuple(files)


def _inside(folder: Path, format: str) -> list[Path]:
    """The logs of a format in a folder, numbers in their names in order; the first kind of name that there is.

    One that was compressed counts where its original is gone.
    """
    names: tuple[str, ...] = reader(format).FILES
    for pattern in names:
        endings = COMPRESSED if pattern.endswith(_LINES) else ()
        packed = [path for ending in endings for path in folder.glob(pattern + ending)]
        both = [*folder.glob(pattern), *(path for path in packed if not uncompressed(path).exists())]
        if found := [path for path in both if path.is_file()]:
            return sorted(
                found, key=lambda path: [int(part) if part.isdigit() else part for part in _PARTS.split(path.name)]
            )
    raise ProblemsError(
        f"there is no {format} log in this folder", where=str(folder), hint=f"such are: {', '.join(names)}"
    )
