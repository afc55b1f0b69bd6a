"""The rollouts of a release: every judged one, as a config of its own.

Owns their columns and how they are sorted without holding all texts in memory. Must not judge or draw. Scalars come
first and the completion last, so that the Hub's viewer can draw and filter them.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from curate import durable
from curate.errors import ReleaseError
from curate.ledger import Ledger
from curate.publish import tables

SHARD = 256 * 2**20
"""Bytes of completions in one file: as many are in memory at once."""

COLUMNS = (
    *("problem_id", "index", "verdict", "reward", "outcome", "shortcut", "finish_reason"),
    *("prompt_tokens", "completion_tokens", "seed", "engine", "reason", "answer", "completion"),
)

_JUDGED = [name for name in COLUMNS if name not in ("outcome", "shortcut")]
_KEY = ["problem_id", "index"]


def refuse_without(ledger: Ledger) -> None:
    """Complain where a profile's rollouts are not on this disk.

    Raises:
        ReleaseError: they are not.
    """
    if not ledger.scan_rollouts().head(1).collect().height:
        raise ReleaseError(
            "the rollouts of this profile are not on this disk",
            where=str(ledger.path),
            hint="profile again with the same recipe, which draws the same, or leave --with-rollouts out",
        )


def write(ledger: Ledger, fingerprint: str, outcomes: pl.DataFrame, folder: Path, *, shard: int = SHARD) -> int:
    """Write every judged rollout, sorted by problem and index, in as many files as it takes.

    Args:
        ledger: The profile.
        fingerprint: The verifier whose verdicts count.
        outcomes: ``problem_id`` and ``outcome`` of every problem of the release.
        folder: Where the files go; made where it is missing.
        shard: Bytes of completions in one file, about. A problem is never split.

    Returns:
        How many rollouts there are.
    """
    audited = ledger.audited_rollouts()
    flags = (
        audited.select(*_KEY, "shortcut").collect()
        if audited is not None
        else pl.DataFrame(schema={"problem_id": pl.String, "index": pl.Int32, "shortcut": pl.Boolean})
    )
    places = _places(ledger, outcomes, shard)
    number = int(places["place"].max() or 0) + 1  # type: ignore[arg-type]
    count = 0
    folder.mkdir(parents=True, exist_ok=True)
    with durable.writable(folder), TemporaryDirectory(dir=folder.parent, prefix=durable.TEMPORARY) as scattered:
        _scatter(ledger, fingerprint, places, Path(scattered))
        for place in range(number):
            rows = (
                pl.read_parquet(Path(scattered) / f"{place}.parquet")
                .join(flags, on=_KEY, how="left")
                .sort(_KEY)
                .select(COLUMNS)
            )
            name = f"train-{place:05d}-of-{number:05d}.parquet"
            durable.write(folder / name, lambda file, rows=rows: tables.write(rows, file))  # type: ignore[misc]
            count += rows.height
    return count


def _places(ledger: Ledger, outcomes: pl.DataFrame, shard: int) -> pl.DataFrame:
    """Which file each problem goes to: as many problems together, in their order, as fill one."""
    sizes = (
        ledger.scan_rollouts()
        .group_by("problem_id")
        .agg(size=pl.col("completion").str.len_bytes().cast(pl.Int64).sum())
        .collect(engine="streaming")
    )
    known = outcomes.join(sizes, on="problem_id").sort("problem_id")
    place = (pl.col("size").cum_sum() - pl.col("size")) // shard
    # A problem larger than a file leaves numbers out; the files are counted without gaps.
    return known.select("problem_id", "outcome", place=place.rank("dense").cast(pl.Int64) - 1)


def _scatter(ledger: Ledger, fingerprint: str, places: pl.DataFrame, folder: Path) -> None:
    """Copy the rollouts, a file of them at a time, to the places where they are sorted."""
    from pyarrow import parquet

    with ExitStack() as stack:
        writers: dict[int, parquet.ParquetWriter] = {}
        for rows in ledger.judged(fingerprint, _JUDGED):
            for (place,), part in rows.join(places, on="problem_id").partition_by("place", as_dict=True).items():
                table = part.drop("place").to_arrow()
                if place not in writers:
                    writers[place] = stack.enter_context(
                        parquet.ParquetWriter(folder / f"{place}.parquet", table.schema)
                    )
                writers[place].write_table(table)
