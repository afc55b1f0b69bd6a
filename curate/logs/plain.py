"""Plain rows: JSON Lines and Parquet logs with one rollout in each row, or one problem with a list of completions.

Owns what such a row needs: nothing where it is one rollout, it is in the shape that every format hands on. Where the
completion is a list, so may be what else differs from one rollout to the next: ``code[]`` and ``score[]`` of
Qwen2.5-Math's evaluation, ``responses[]`` of many datasets. A plain log says of its protocol what its columns say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curate.errors import ProblemsError
from curate.logs.cells import Placed, each, rows
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row
from curate.problems.rows import MISSING, lookup

FILES = ("*.jsonl", "*.parquet")
_EACH = ("completion", "reward", "finish_reason", "prompt_tokens", "completion_tokens", "error", "index")
"""What may be a list beside a list of completions."""


def read(path: Path, asked: Asked) -> Placed:
    """The place and the row of each rollout of one file; the complaint in place of a row that is broken.

    Raises:
        ProblemsError: the file as a whole cannot be read. A Parquet file has no lines that could be broken alone.
    """
    columns = {name: asked.columns.get(name, name) for name in _EACH}
    return each(rows(path), lambda row: _taken_apart(row, columns))


def origin(_path: Path) -> Origin:
    """Nothing is known."""
    return Origin()


def _taken_apart(row: Row, columns: dict[str, str | None]) -> Iterator[Row]:
    """The row; where its completion is a list, one for each of them: the other lists must be as long."""
    if not isinstance(lookup(row, str(columns["completion"])), list):
        yield row
        return
    cells = {column: lookup(row, column) for column in columns.values() if column is not None}
    lists = {column: cell for column, cell in cells.items() if cell is not MISSING and isinstance(cell, list)}
    drawn = lists[str(columns["completion"])]
    for column, cell in lists.items():
        if len(cell) != len(drawn):
            raise ProblemsError(f"column {column!r} is a list of {len(cell)}, the completions are {len(drawn)}")
    for position in range(len(drawn)):
        # A dotted name that is a column of its own is found before the path that it spells.
        yield {**row, **{column: cell[position] for column, cell in lists.items()}}
