"""Parts: folders of immutable parquet files, written one flush at a time and read as one table.

Owns how records become columns, and that an unreadable file is named and refused, never skipped. Must not know what the
files are about: the ledger does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import LedgerCorrupt

TOGETHER = 1 << 16
"""Rows that ``together`` holds at once."""

_SURROGATES = re.compile("[\ud800-\udfff]")


def files(folder: Path) -> list[Path]:
    """The parts of a folder, oldest first; none where it does not exist."""
    return sorted(file for file in folder.glob("*.parquet") if not file.name.startswith("."))


def scan(folder: Path, schema: pl.Schema) -> pl.LazyFrame:
    """All parts as one table, to be read when it is asked for."""
    found = files(folder)
    return pl.scan_parquet(found, schema=schema, glob=False) if found else pl.LazyFrame(schema=schema)


def read_all(folder: Path, schema: pl.Schema, columns: Sequence[str] | None) -> pl.DataFrame:
    """All parts as one table; None reads every column.

    Raises:
        LedgerCorrupt: names the file that is unreadable.
    """
    lazy = scan(folder, schema)
    try:
        return (lazy.select(columns) if columns else lazy).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        for file in files(folder):
            read(file, columns)
        raise corrupt(folder, error) from error


def together(folder: Path, columns: Sequence[str]) -> Iterator[tuple[list[Path], list[pl.DataFrame]]]:
    """The parts and what they hold, as many at once as have ``TOGETHER`` rows.

    Raises:
        LedgerCorrupt: a file is unreadable.
    """
    found, frames = list[Path](), list[pl.DataFrame]()
    for file in files(folder):
        found.append(file)
        frames.append(read(file, columns))
        if sum(frame.height for frame in frames) >= TOGETHER:
            yield found, frames
            found, frames = [], []
    if found:
        yield found, frames


def read(file: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """One part; None reads every column.

    Raises:
        LedgerCorrupt: it is unreadable.
    """
    try:
        return pl.read_parquet(file, columns=None if columns is None else list(columns))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise corrupt(file, error) from error


def corrupt(file: Path, error: Exception) -> LedgerCorrupt:
    """The error that names an unreadable file and the way out."""
    return LedgerCorrupt(
        f"unreadable file: {str(error).splitlines()[0]}",
        where=str(file),
        hint="restore it from a backup, or move it away to draw its rollouts again",
    )


def from_records(records: Sequence[object], schema: pl.Schema) -> dict[str, list[Any]]:
    """Records of one kind as columns by name."""
    return {name: list(map(attrgetter(name), records)) for name in schema}


def clean(text: str) -> str:
    """The text as UTF-8 can hold it: lone surrogates become U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
