"""Signals that need a problem's other rollouts, or the profile's typical one; and every text flag as a column.

Owns the comparison of a rollout with its like: work against the problem's failing rollouts and the profile's typical
solution, length against the problem's others. Must not read completions (``text`` did) nor import any other room: a
frame of numbers in, one with more columns out, and some of a profile's problems at a time, once ``typical`` is known.

Known weakness of all of them: they compare with what this model does. Where most rollouts of a problem skip the work,
or are cut, the odd one out is the sound one. A flag says "unlike the others", and published false positives are on
average longer than sound solutions, not shorter.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.audit import text

SKIPPED = 0.25
"""A rollout with less than this share of the work expected of it skipped. Styles differ by a factor of two and more, so
a quarter: three steps of four are missing."""

ONE_STEP = 5
"""Work tokens of one computed equality, ``7+5=12``. Where less than this is expected, nothing can be skipped."""

ENOUGH_FAILURES = 3
"""Failing rollouts from which their median speaks for the problem; below it, all its rollouts speak."""

ENOUGH_LENGTHS = 5
"""Complete rollouts of a problem from which lengths are compared."""

FAR = 3.5
"""Modified z-score beyond which a length is an outlier: Iglewicz and Hoaglin, Detect and Handle Outliers (1993)."""

LEAST_SPREAD = 0.25
"""Spread of the log length that is assumed at least, so that equal lengths make no outlier of a word more: with it, the
nearest length called far is ``exp(3.5 * 0.25)`` = 2.4 times the median or 1/2.4 of it."""

_NORMAL = 1.4826
"""Standard deviation over median absolute deviation, in a normal distribution."""


def typical_work(frames: Iterable[pl.DataFrame]) -> float | None:
    """Work tokens of the profile's typical solution: the median over problems of their complete rollouts' medians.

    Args:
        frames: Whole problems in each: ``problem_id``, ``verdict``, ``finish_reason`` and ``work_tokens`` at least.

    Returns:
        None where no rollout is complete.
    """
    medians = [_medians(frame) for frame in frames]
    return float(np.median(np.concatenate(medians))) if any(map(len, medians)) else None


def relative(frame: pl.DataFrame, typical: float | None = None) -> pl.DataFrame:
    """Add what a rollout shows beside its like, and the flags.

    Args:
        frame: One row a rollout, whole problems: ``problem_id``, ``verdict``, ``finish_reason`` and the fields of
            ``TextSignals``, which are null where a rollout could not be measured. Other columns are kept.
        typical: What ``typical_work`` says of the profile; None where the frame is all of it.

    Returns:
        The same rows in the same order, with these columns more:

        ``work_expected``: work tokens that a solution of this problem shows: the median of its complete failing
        rollouts (of all complete ones where fewer than three fail), or the profile's typical solution where that is
        less or where there are fewer than three.
        ``length_z``: modified z-score of the log length among the problem's complete rollouts; null under five of them.
        Flags, never null: ``truncated``; ``bare`` (no work token and at most 15 words before the answer); ``skipped``
        (bare where the typical solution has a step, or under a quarter of the work expected); ``short`` and ``long``
        (lengths far from the problem's others; a truncated one is not called short); ``repetitive``, ``restated``,
        ``several_answers``, ``garbled`` by the thresholds of ``text``; ``answer_first`` stays as it was measured.
    """
    complete, scored = _complete(), _scored()
    failing = complete & (pl.col("verdict") == "fail")
    if typical is None:
        typical = typical_work([frame])
    work = pl.col("work_tokens")
    length = (pl.col("characters") + 1).log()
    frame = frame.with_columns(
        truncated=(pl.col("finish_reason") == "length").fill_null(False),
        _own=pl.when(failing.sum().over("problem_id") >= ENOUGH_FAILURES)
        .then(work.filter(failing).median().over("problem_id"))
        .when(scored.sum().over("problem_id") >= ENOUGH_FAILURES)
        .then(work.filter(scored).median().over("problem_id")),
        _complete=complete.sum().over("problem_id"),
        _off=length - length.filter(complete).median().over("problem_id"),
    )
    spread = _NORMAL * pl.col("_off").abs().filter(complete).median().over("problem_id")
    z = pl.col("_off") / pl.max_horizontal(spread, pl.lit(LEAST_SPREAD))
    frame = frame.with_columns(
        work_expected=pl.min_horizontal(pl.col("_own"), pl.lit(typical, pl.Float64)),
        length_z=pl.when(pl.col("_complete") >= ENOUGH_LENGTHS).then(z),
        bare=(work == 0) & (pl.col("words_before") <= text.FEW_WORDS),
    )
    skips = (work < SKIPPED * pl.col("work_expected")) & (pl.col("work_expected") >= ONE_STEP)
    flags = {
        "bare": pl.col("bare"),
        "skipped": skips | (pl.col("bare") & (pl.lit(typical, pl.Float64) >= ONE_STEP)),
        "short": (pl.col("length_z") < -FAR) & ~pl.col("truncated"),
        "long": pl.col("length_z") > FAR,
        "repetitive": (pl.col("repetition") >= text.REPETITIVE) | (pl.col("looping_tail") >= text.LOOPING),
        "restated": pl.col("answer_repeats") >= text.RESTATED,
        "several_answers": pl.col("boxed_answers") >= text.SEVERAL,
        "garbled": pl.col("garbage") >= text.GARBLED,
        "answer_first": pl.col("answer_first"),
    }
    return frame.with_columns(flag.fill_null(False).alias(name) for name, flag in flags.items()).drop(
        "_own", "_complete", "_off"
    )


def _complete() -> pl.Expr:
    return (pl.col("finish_reason") != "length") & pl.col("work_tokens").is_not_null()


def _scored() -> pl.Expr:
    return _complete() & pl.col("verdict").is_in(["pass", "fail"])


def _medians(frame: pl.DataFrame) -> NDArray[np.float64]:
    of_problems = frame.filter(_scored()).group_by("problem_id").agg(pl.col("work_tokens").median())
    return of_problems["work_tokens"].to_numpy()
