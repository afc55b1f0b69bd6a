"""Figures: the numbers behind the page's drawings.

Owns how problems and rollouts are put into bins. Must not know how they are drawn: frames in, plain values out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from curate import decide
from curate.statistics.groups import group_numbers, success_advantage
from curate.statistics.prior import Prior

BINS = 40
"""Bars of the histogram of pass rates, each 0.025 wide; the last includes 1."""

LENGTH_BINS = 24
RISK_BINS = 20

CLASSES = ("kept", "aside", "too_hard", "too_easy", "undecided")
"""How a sampled problem is coloured: by its outcome, and within the band by whether something else speaks against it.
``aside`` holds the unverifiable, too."""

NAMES = {
    "kept": "kept",
    "aside": "in band, but left out",
    "too_hard": "too hard",
    "too_easy": "too easy",
    "undecided": "undecided",
}
"""The classes of a problem in words."""


def coloured() -> pl.Expr:
    """The class of a row of the estimates that has a scored rollout."""
    outcome = pl.col("outcome")
    other = pl.when(outcome.is_in(["too_hard", "too_easy", "undecided"])).then(outcome).otherwise(pl.lit("aside"))
    return pl.when(decide.kept()).then(pl.lit("kept")).otherwise(other).alias("class")


def histogram(estimates: pl.DataFrame) -> list[list[int]]:
    """Problems with a scored rollout by pass rate: a list of ``BINS`` counts for each of ``CLASSES``."""
    sampled = estimates.filter(pl.col("n") > 0).with_columns(coloured(), bin=_bin(pl.col("pass_rate"), BINS))
    counted = {(name, place): count for name, place, count in sampled.group_by("class", "bin").len().iter_rows()}
    return [[counted.get((name, place), 0) for place in range(BINS)] for name in CLASSES]


def intervals(estimates: pl.DataFrame) -> list[dict[str, Any]]:
    """The mean 95% interval of the problems of one pass rate, rounded to 0.01, and one outcome; ``count`` of them."""
    return (
        estimates.filter(pl.col("n") > 0)
        .group_by(pl.col("pass_rate").round(2).alias("bin"), "outcome")
        .agg(pl.col("pass_rate", "ci_low", "ci_high").mean().round(4), count=pl.len())
        .sort("bin", "outcome")
        .drop("bin")
        .to_dicts()
    )


def lengths(rollouts: pl.DataFrame, estimates: pl.DataFrame) -> dict[str, Any] | None:
    """Passes, failures and cut rollouts by completion tokens; by each problem's mean where the rollouts are not here.

    Returns:
        ``of``: ``rollouts`` or ``problems``; ``top``: tokens at the end of the last bin; ``bins``: (passes, failures,
        cut) of each of ``LENGTH_BINS``; ``medians`` of passes and failures, null without the rollouts. None where
        nothing was scored.
    """
    medians: dict[str, float | None] = {"pass": None, "fail": None}
    scored = rollouts.filter(pl.col("verdict").is_in(["pass", "fail"]))
    if scored.height:
        of, passed, cut = "rollouts", pl.col("verdict") == "pass", pl.col("finish_reason") == "length"
        frame = scored.select(
            tokens=pl.col("completion_tokens").cast(pl.Float64),
            passes=passed.cast(pl.Int64),
            failures=(~passed & ~cut).cast(pl.Int64),
            cut=(~passed & cut).cast(pl.Int64),
        )
        for kind in medians:
            median = scored.filter(pl.col("verdict") == kind)["completion_tokens"].median()
            medians[kind] = float(median) if isinstance(median, int | float) else None
    else:
        of = "problems"
        frame = estimates.filter((pl.col("n") > 0) & pl.col("mean_tokens").is_not_null()).select(
            tokens="mean_tokens",
            passes="k",
            failures=pl.col("n") - pl.col("k") - pl.col("n_truncated"),
            cut="n_truncated",
        )
    if frame.is_empty():
        return None
    longest = float(frame.select(pl.col("tokens").max()).item())
    # A whole number of tokens to a bin, so that the ends can be read.
    top = LENGTH_BINS * max(1, int(np.ceil((longest + 1) / LENGTH_BINS)))
    binned = frame.group_by(_bin(pl.col("tokens") / top, LENGTH_BINS).alias("bin")).agg(
        pl.all().exclude("tokens").sum()
    )
    rows = {row["bin"]: [row["passes"], row["failures"], row["cut"]] for row in binned.iter_rows(named=True)}
    bins = [rows.get(place, [0, 0, 0]) for place in range(LENGTH_BINS)]
    return {"of": of, "top": top, "bins": bins, "medians": medians}


def groups(estimates: pl.DataFrame, belief: Prior, size: int) -> dict[str, Any]:
    """What a trainer's groups of ``size`` rollouts would be, by set of problems and by pass rate.

    Returns:
        ``advantage``: of a lone pass, scaled by the sample's deviation (TRL, verl) and not at all (Dr. GRPO); ``sets``:
        for all sampled problems, those in the band, and the kept ones, how many they are and the means of P(mixed),
        P(lone) and risk (null without an audit); ``bins``: mean P(lone) and mean risk in ``RISK_BINS`` of pass rate,
        null where no problem lies.
    """
    sampled = estimates.filter(pl.col("n") > 0)
    numbers = group_numbers(belief, sampled["n"].to_numpy(), sampled["k"].to_numpy(), size)
    sampled = sampled.with_columns(pl.Series("mixed", numbers.p_mixed), pl.Series("lone", numbers.p_lone))
    sets = {
        "all that were sampled": sampled,
        "in the band, by pass rate alone": sampled.filter(pl.col("outcome") == "in_band"),
        "kept": sampled.filter(decide.kept()),
    }
    binned = sampled.group_by(_bin(pl.col("pass_rate"), RISK_BINS).alias("bin")).agg(pl.col("lone", "risk").mean())
    rows = {row["bin"]: (row["lone"], row["risk"]) for row in binned.iter_rows(named=True)}
    return {
        "size": size,
        "advantage": {"sample": success_advantage(size), "none": success_advantage(size, scaling="none")},
        "sets": [
            {"name": name, "problems": rows_.height, **{key: rows_[key].mean() for key in ("mixed", "lone", "risk")}}
            for name, rows_ in sets.items()
        ],
        "bins": [rows.get(place, (None, None)) for place in range(RISK_BINS)],
    }


def line(values: Sequence[float | None]) -> list[tuple[float, float]]:
    """Points of a line over equally spaced places, x and y in percent of the drawing, y upwards from 0 to 1."""
    last = max(len(values) - 1, 1)
    return [(100 * place / last, 100 - 100 * value) for place, value in enumerate(values) if value is not None]


def _bin(value: pl.Expr, bins: int) -> pl.Expr:
    return (value * bins).floor().cast(pl.Int64).clip(0, bins - 1)
