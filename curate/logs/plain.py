"""Plain rows: JSON Lines and Parquet logs with one rollout in each row.

Owns what such a row needs: nothing, it is in the shape that every format hands on. A plain log says nothing of its
protocol but what its columns say: ``model`` and ``step`` where it has them.
"""

from __future__ import annotations

from pathlib import Path

from curate.logs.cells import Placed, rows
from curate.logs.origin import Asked, Origin

FILES = ("*.jsonl", "*.parquet")


def read(path: Path, _asked: Asked) -> Placed:
    """The place and the row of each rollout of one file; the complaint in place of a row that is broken.

    Raises:
        ProblemsError: the file as a whole cannot be read. A Parquet file has no lines that could be broken alone.
    """
    return rows(path)


def origin(_path: Path) -> Origin:
    """Nothing is known."""
    return Origin()
