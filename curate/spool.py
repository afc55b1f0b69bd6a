"""A spool: rows of many problems set down on disk as they come, and read back problem by problem.

Owns the parts that hold them meanwhile. Must not know what the rows are: rollouts come in the order in which they were
drawn, and whoever compares those of one problem needs all of them together, without all problems' in memory.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from curate import durable

ROWS = 1 << 15
"""Rows that are held at once: before they are written, and again when whole problems are read, unless one has more."""

_ROW_GROUP = 1 << 12
_PLACE = "_place"


class Spool:
    """Rows on disk while a ``with`` block lasts, and nowhere after it.

    Args:
        folder: Where the parts are written, under names that a later writer of the profile sweeps away if this one is
            killed.
        names: The problems in the order in which they are read back. Rows of others come last.
    """

    def __init__(self, folder: Path, names: pl.Series) -> None:
        self._stem = folder / f"{durable.TEMPORARY}{uuid.uuid4().hex}"
        self._places = pl.DataFrame({"problem_id": names}).with_row_index(_PLACE)
        self._counts = np.zeros(len(names) + 1, np.int64)
        self._waiting: list[pl.DataFrame] = []
        self._parts: list[Path] = []

    def __enter__(self) -> Spool:
        with durable.writable(self._stem.parent):
            self._stem.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.unlink(missing_ok=True)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows with a ``problem_id`` and an ``index``; all that are added have the same columns.

        Raises:
            LedgerUnwritable: the folder cannot be written, or the disk is full.
        """
        self._waiting.append(rows)
        if sum(frame.height for frame in self._waiting) >= ROWS:
            self._set_down()

    def problems(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """All rows, sorted by problem and index: whole problems in each frame, and about ``ROWS`` rows.

        Args:
            columns: The columns wanted, all without.
        """
        if self._waiting:
            self._set_down()
        if not self._parts:
            return
        kept = pl.all() if columns is None else pl.col(*dict.fromkeys(["problem_id", "index", *columns]), _PLACE)
        rows = pl.scan_parquet(self._parts, glob=False).select(kept)
        for first, last in self._ranges():
            found = rows.filter(pl.col(_PLACE).is_between(first, last, closed="left")).collect()
            yield found.sort(_PLACE, "index").drop(_PLACE)

    def scan(self) -> pl.LazyFrame:
        """All rows as a lazy frame, in the order in which they were added where that was the problems' and indices'."""
        if self._waiting:
            self._set_down()
        return pl.scan_parquet(self._parts, glob=False).drop(_PLACE)

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """First and last, exclusive, places of problems that have about ``ROWS`` rows together."""
        behind = np.cumsum(self._counts)
        first = 0
        while first < len(behind):
            before = behind[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(behind, before + ROWS, side="right")))
            if behind[last - 1] > before:
                yield first, last
            first = last

    def _set_down(self) -> None:
        rows = pl.concat(self._waiting).join(self._places, on="problem_id", how="left", maintain_order="left")
        self._waiting = []
        rows = rows.with_columns(pl.col(_PLACE).fill_null(self._places.height)).sort(_PLACE, "index")
        self._counts += np.bincount(rows[_PLACE].to_numpy(), minlength=len(self._counts))
        part = self._stem.with_name(f"{self._stem.name}-{len(self._parts)}.parquet")
        self._parts.append(part)
        with durable.writable(part.parent):
            rows.write_parquet(part, compression="lz4", row_group_size=_ROW_GROUP)
