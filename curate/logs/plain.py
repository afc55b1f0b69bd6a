"""Plain rows: JSON Lines and Parquet logs with one rollout in each row.

Owns reading such files. Must not check what the rows say: every format hands its rows on in this shape, and the room
checks them all alike. Nothing is held in memory but the row, or the batch, at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curate.errors import ProblemsError
from curate.problems.files import Row, lines, parquet, parse_line


def read(path: Path, format: str) -> Iterator[tuple[str, Row | ProblemsError]]:
    """The place and the row of each rollout of one file; the complaint in place of a row that is broken.

    Raises:
        ProblemsError: the file as a whole cannot be read. A Parquet file has no lines that could be broken alone.
    """
    if format == "parquet":
        yield from ((f"{path}: row {number}", row) for number, row in parquet(path))
        return
    for number, line in lines(path):
        if not line.isspace():
            try:
                yield f"{path}:{number}", parse_line(line)
            except ProblemsError as error:
                yield f"{path}:{number}", error
