"""Examples: which rollouts a page shows of each problem, what was answered how often, and how long rollouts are.

Owns the choice. Must not hold more completions than are shown: the ledger is read a file at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from curate.ledger import Ledger

ANSWERS = 6
"""Different answers of a problem that the page lists, the commonest first; the others are counted together."""


def judged_rollouts(ledger: Ledger, fingerprint: str) -> pl.DataFrame:
    """Every judged rollout on this disk without its text, sorted; no rows where there are none.

    Returns:
        ``problem_id, index, verdict, answer, reason, finish_reason, completion_tokens``.
    """
    rollouts = ledger.rollouts(["problem_id", "index", "finish_reason", "completion_tokens"])
    verdicts = ledger.verdicts(fingerprint, ["problem_id", "index", "verdict", "answer", "reason"])
    return rollouts.join(verdicts, on=["problem_id", "index"], how="inner").sort("problem_id", "index")


def answered(rollouts: pl.DataFrame) -> pl.DataFrame:
    """What was answered how often.

    Returns:
        ``problem_id`` and ``answers``, a list of (answer, verdict, count) with the commonest first, null standing for
        no answer and, with the verdict ``other``, for all beyond the first ``ANSWERS``.
    """
    keys = ["problem_id", "answer", "verdict"]
    counted = (
        rollouts.group_by(keys)
        .agg(count=pl.len())
        .sort(["problem_id", "count", "verdict", "answer"], descending=[False, True, False, False], nulls_last=True)
        .with_columns(place=pl.int_range(pl.len()).over("problem_id"))
    )
    others = (
        counted.filter(pl.col("place") >= ANSWERS)
        .group_by("problem_id", maintain_order=True)
        .agg(answer=pl.lit(None, pl.String), verdict=pl.lit("other"), count=pl.col("count").sum().cast(pl.UInt32))
    )
    listed = counted.filter(pl.col("place") < ANSWERS).select(*keys, "count")
    return (
        pl.concat([listed, others.select(*keys, "count")])
        .group_by("problem_id", maintain_order=True)
        .agg(answers=pl.struct("answer", "verdict", "count"))
    )


def choose(rollouts: pl.DataFrame, signals: pl.DataFrame | None, shortcuts: pl.Series) -> pl.DataFrame:
    """One passing and one failing rollout of each problem that has them.

    The pass is the first that is like most of the problem's passes: a flagged one where the problem is left out for
    shortcuts, else one without a flag. The failure is the first with the commonest wrong answer, complete ones before
    those that were cut.

    Args:
        rollouts: As ``judged_rollouts`` gives them.
        signals: What an audit saw in each: ``problem_id``, ``index``, ``shortcut`` and the flags; None without one.
        shortcuts: Ids of the problems that are left out for shortcuts.

    Returns:
        The chosen rows with their signals, sorted by problem, the pass first.
    """
    scored = rollouts.filter(pl.col("verdict").is_in(["pass", "fail"]))
    if signals is not None:
        scored = scored.join(signals, on=["problem_id", "index"], how="left", maintain_order="left")
    else:
        scored = scored.with_columns(shortcut=pl.lit(False), first_false=pl.lit(None, pl.String))
    unlike = pl.col("shortcut").fill_null(False) != pl.col("problem_id").is_in(shortcuts.implode())
    failed = pl.col("verdict") == "fail"
    common = pl.len().over("problem_id", "verdict", "answer")
    order = [
        *("problem_id", failed.alias("failed")),
        *((unlike & ~failed).alias("unlike"), (failed & (pl.col("finish_reason") == "length")).alias("cut")),
        *(pl.when(failed).then(-common.cast(pl.Int64)).otherwise(0).alias("rare"), "index"),
    ]
    return scored.sort(order).unique(["problem_id", "verdict"], keep="first", maintain_order=True)


def texts(ledger: Ledger, fingerprint: str, chosen: pl.DataFrame) -> Iterator[tuple[str, str, str]]:
    """The completions of the chosen rollouts: problem, verdict, text; a file of the ledger at a time."""
    keys = chosen.select("problem_id", "index")
    for frame in ledger.judged(fingerprint, ["problem_id", "index", "verdict", "completion"]):
        found = frame.join(keys, on=["problem_id", "index"], how="semi")
        yield from found.select("problem_id", "verdict", "completion").iter_rows()
