"""Counts: k of n for each problem, without any text: what a filtered dataset or a paper's table has.

Owns the columns ``n``, and ``k`` or ``pass_rate``. Each count becomes n rollouts without a text, k of which pass, so
that estimates, bands and releases come from them as from any other; the manifest says that there are no texts, and
whatever needs one refuses. In which order the passes came is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import ANSWER, QUESTION, Placed, chosen, each, first, table
from curate.logs.origin import Asked, Origin
from curate.logs.rollouts import MAX_INDEX
from curate.problems.files import Row
from curate.problems.rows import MISSING, lookup

FILES = ("*.jsonl", "*.json", "*.csv", "*.parquet")
COLUMNS = ("n", "k", "pass_rate")


def read(path: Path, asked: Asked) -> Placed:
    """n rows for each problem, the passing ones first.

    Raises:
        UsageError: a reward was named: the counts are all there is.
    """
    chosen({}, asked.reward, "reward")
    return each(table(path), lambda row: _rollouts(row, asked))


def origin(_path: Path) -> Origin:
    """Nothing is known."""
    return Origin()


def _rollouts(row: Row, asked: Asked) -> Iterator[Row]:
    cell = {name: lookup(row, asked.columns.get(name) or name) for name in COLUMNS}
    n = _whole(cell["n"], "n")
    if n == 0:
        raise ProblemsError("n is 0: nothing was drawn of this problem")
    k = _of_rate(cell["pass_rate"], n) if cell["k"] in (MISSING, None) else _whole(cell["k"], "k")
    if k > n:
        raise ProblemsError(f"{k} of {n} cannot pass")
    metadata = {name: value for name, value in row.items() if name not in (*COLUMNS, *QUESTION, *ANSWER)}
    base = {**row, "question": first(row, QUESTION), "answer": first(row, ANSWER), "metadata": metadata}
    for index in range(n):
        yield {**base, "index": index, "completion": "", "finish_reason": "stop", "reward": float(index < k)}


def _whole(value: Any, name: str) -> int:
    text = value.strip() if isinstance(value, str) else value
    try:
        whole = int(text)
        if float(text) != whole or not 0 <= whole < MAX_INDEX or isinstance(text, bool):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        shown = "missing" if value is MISSING else repr(value)
        hint = f"name its column: --column {name}=..." if value is MISSING else None
        raise ProblemsError(f"{name} is {shown}, not a whole number", hint=hint) from error
    return whole


def _of_rate(value: Any, n: int) -> int:
    try:
        k = float(value) * n
        if not 0 <= k <= n or not math.isclose(k, round(k), abs_tol=0.01):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        shown = "missing" if value is MISSING else repr(value)
        raise ProblemsError(
            f"neither k nor a pass_rate that is a share of {n}: the pass_rate is {shown}",
            hint="name the columns: --column k=..., or --column pass_rate=...",
        ) from error
    return round(k)
