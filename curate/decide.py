"""Decide: counts -> estimates -> outcome, reasons and the next step of every problem.

Owns the columns of ``estimates.parquet`` and the rules that turn numbers into outcomes. Must not sample, verify, or
know how a release looks. Everything here is pure and repeatable: another band is another call, never another rollout.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import NextStep, Outcome, Reason, VerdictKind
from curate.statistics import confidence, posterior, prior
from curate.statistics.prior import Grid, Prior

COUNTS = pl.Schema(
    [
        ("problem_id", pl.String),
        ("n", pl.Int64),
        ("k", pl.Int64),
        ("n_unscored", pl.Int64),
        ("n_truncated", pl.Int64),
        ("n_missing", pl.Int64),
        ("n_pilot", pl.Int64),
        ("k_pilot", pl.Int64),
        ("mean_tokens", pl.Float64),
        ("set_aside", pl.String),
        ("set_aside_why", pl.String),
    ]
)
"""What the ledger says of each problem.

``n``: scored rollouts; ``k``: passes among them; ``n_unscored``: rollouts whose verifier gave no verdict;
``n_truncated``: scored rollouts cut at the length limit, failures all; ``n_missing``: rollouts that were asked for and
never came; ``n_pilot``, ``k_pilot``: the same as n and k over the first draw only, whose size no outcome has chosen.
"""

NEXT_STEP = {
    Reason.TOO_HARD: NextStep.DEFER,
    Reason.TOO_EASY: NextStep.DROP,
    Reason.UNDECIDED: NextStep.DEFER,
    Reason.TRUNCATED: NextStep.DEFER,
    Reason.GUESSABLE: NextStep.AUDIT,
    Reason.SHORTCUT: NextStep.AUDIT,
    Reason.SUSPECT_LABEL: NextStep.REPAIR,
    Reason.UNVERIFIABLE: NextStep.REPAIR,
    Reason.DUPLICATE: NextStep.DROP,
    Reason.ENGINE_ERROR: NextStep.DEFER,
}
"""What to do about each reason."""

_FIRST = (NextStep.REPAIR, NextStep.AUDIT, NextStep.DROP, NextStep.DEFER)
"""Which step comes first when the reasons of a problem ask for several: what a person must do, before what can wait."""

_MOSTLY = 0.5
"""Above this share of its rollouts, a problem counts as mostly truncated or mostly unscored."""


def count(ledger: Ledger, fingerprint: str, pilot: int) -> pl.DataFrame:
    """Count every problem of a profile, in source order.

    Args:
        ledger: The profile.
        fingerprint: Whose verdicts to count.
        pilot: How many first rollouts make the pilot, at least 1.

    Returns:
        A frame of schema ``COUNTS``; a problem without rollouts has zeros, and a null ``mean_tokens``.
    """
    rollouts = ledger.rollouts(["problem_id", "index", "finish_reason", "completion_tokens"])
    verdicts = ledger.verdicts(fingerprint, ["problem_id", "index", "verdict"])
    judged = rollouts.join(verdicts, on=["problem_id", "index"], how="inner")
    scored = pl.col("verdict") != VerdictKind.UNSCORED
    passed = pl.col("verdict") == VerdictKind.PASS
    first = pl.col("index") < pilot
    counted = judged.group_by("problem_id").agg(
        n=scored.sum().cast(pl.Int64),
        k=passed.sum().cast(pl.Int64),
        n_unscored=(~scored).sum().cast(pl.Int64),
        n_truncated=(scored & (pl.col("finish_reason") == "length")).sum().cast(pl.Int64),
        n_pilot=(scored & first).sum().cast(pl.Int64),
        k_pilot=(passed & first).sum().cast(pl.Int64),
        mean_tokens=pl.col("completion_tokens").mean(),
    )
    problems = ledger.problems().select("problem_id", "set_aside", "set_aside_why")
    return (
        problems.join(counted, on="problem_id", how="left", maintain_order="left")
        .join(_missing(ledger, rollouts), on="problem_id", how="left", maintain_order="left")
        .with_columns(pl.col("n", "k", "n_unscored", "n_truncated", "n_missing", "n_pilot", "k_pilot").fill_null(0))
        .select(COUNTS.names())
        .cast(COUNTS)
    )


def _missing(ledger: Ledger, rollouts: pl.DataFrame) -> pl.DataFrame:
    """Rollouts that a failed request asked for and that no later one brought."""
    asked = ledger.failed_requests().select(
        "problem_id", pl.int_ranges("first_index", pl.col("first_index") + pl.col("n"), dtype=pl.Int32).alias("index")
    )
    never_came = asked.explode("index").unique().join(rollouts, on=["problem_id", "index"], how="anti")
    return never_came.group_by("problem_id").agg(n_missing=pl.len().cast(pl.Int64))


def learn(counts: pl.DataFrame, band: BandSection) -> Prior:
    """Learn from all counts how pass rates are spread; Jeffreys where they are too few."""
    return prior.fit_prior(counts["n"].to_numpy(), counts["k"].to_numpy(), prior.make_grid(edges=(band.low, band.high)))


def to_frame(belief: Prior) -> pl.DataFrame:
    """A prior as the ledger keeps it."""
    columns = {"theta": belief.grid.boundaries[:-1], "weight": belief.weights}
    return pl.DataFrame(columns).with_columns(problems=pl.lit(belief.problems, pl.Int64))


def from_frame(frame: pl.DataFrame) -> Prior:
    """The prior that the ledger kept."""
    boundaries = np.append(frame["theta"].to_numpy(), np.pi / 2)
    return Prior(Grid(boundaries), frame["weight"].to_numpy(), int(frame["problems"][0]))


def estimate(counts: pl.DataFrame, band: BandSection, belief: Prior) -> pl.DataFrame:
    """Estimate and decide every problem.

    Args:
        counts: A frame with at least the columns of ``COUNTS``; an older frame of estimates will do.
        band: The band and the confidence asked for.
        belief: How pass rates are spread over the problems.

    Returns:
        One row for each problem, in the order given: the columns of ``COUNTS`` but the pilot's, the estimates, then
        ``outcome``, ``reasons`` (a list, empty for a kept problem) and ``next_step`` (null for a kept problem).
        Without rollouts the estimates are the prior's.
    """
    n, k = counts["n"].to_numpy(), counts["k"].to_numpy()
    found = posterior.estimate(belief, n, k, band.low, band.high)
    low, high = confidence.confidence_sequence(n, k)
    pilot = (pl.col("k_pilot") / pl.col("n_pilot")).fill_nan(None)
    frame = counts.select(COUNTS.names()).with_columns(
        pl.Series("pass_rate", found.pass_rate),
        pl.Series("ci_low", found.ci_low),
        pl.Series("ci_high", found.ci_high),
        pl.Series("cs_low", low),
        pl.Series("cs_high", high),
        pilot.alias("pass_rate_pilot"),
        pl.Series("p_below", found.p_below),
        pl.Series("p_in_band", found.p_in_band),
        pl.Series("p_above", found.p_above),
        _outcomes(found.side(band.confidence)),
    )
    return _with_reasons(frame).select(
        "problem_id",
        *("n", "k", "n_unscored", "n_truncated", "n_missing"),
        *("pass_rate", "ci_low", "ci_high", "cs_low", "cs_high", "pass_rate_pilot", "n_pilot", "k_pilot"),
        *("p_below", "p_in_band", "p_above", "mean_tokens"),
        *("outcome", "next_step", "set_aside", "set_aside_why", "reasons"),
    )


def kept() -> pl.Expr:
    """Whether a row of the estimates is published as training data: in the band, with no reason against it."""
    return (pl.col("outcome") == Outcome.IN_BAND) & (pl.col("reasons").list.len() == 0)


def _outcomes(sides: np.ndarray) -> pl.Series:
    names = {
        posterior.Side.BELOW: Outcome.TOO_HARD,
        posterior.Side.IN_BAND: Outcome.IN_BAND,
        posterior.Side.ABOVE: Outcome.TOO_EASY,
        posterior.Side.UNDECIDED: Outcome.UNDECIDED,
    }
    return pl.Series("outcome", [names[posterior.Side(side)].value for side in sides], dtype=pl.String)


def _with_reasons(frame: pl.DataFrame) -> pl.DataFrame:
    drawn = pl.col("n") + pl.col("n_unscored")
    set_aside = pl.col("set_aside").is_not_null()
    mostly_unscored = (drawn > 0) & (pl.col("n_unscored") > _MOSTLY * drawn)
    unverifiable = (pl.col("set_aside") == Reason.UNVERIFIABLE).fill_null(False) | mostly_unscored
    # A problem without a scored rollout is decided by nobody, whatever the prior leans to.
    unsampled = set_aside | (pl.col("n") == 0)
    frame = frame.with_columns(
        outcome=pl.when(unverifiable)
        .then(pl.lit(Outcome.UNVERIFIABLE.value))
        .when(unsampled)
        .then(pl.lit(Outcome.UNDECIDED.value))
        .otherwise(pl.col("outcome"))
    )
    undecided = pl.col("outcome") == Outcome.UNDECIDED
    errored = ~set_aside & undecided & (pl.col("n_missing") > 0)
    applies = {
        Reason.TOO_HARD: pl.col("outcome") == Outcome.TOO_HARD,
        Reason.TOO_EASY: pl.col("outcome") == Outcome.TOO_EASY,
        Reason.UNDECIDED: undecided & ~set_aside & ~(errored & (pl.col("n") == 0)),
        Reason.TRUNCATED: (pl.col("n") > 0) & (pl.col("n_truncated") > _MOSTLY * pl.col("n")),
        Reason.UNVERIFIABLE: unverifiable,
        Reason.DUPLICATE: (pl.col("set_aside") == Reason.DUPLICATE).fill_null(False),
        Reason.ENGINE_ERROR: errored,
    }
    said = [pl.when(test).then(pl.lit(reason.value)) for reason, test in applies.items()]
    frame = frame.with_columns(reasons=pl.concat_list(said).list.drop_nulls())
    step = pl.lit(None, dtype=pl.String)
    for candidate in reversed(_FIRST):
        asked_by = [reason.value for reason, step_of in NEXT_STEP.items() if step_of is candidate]
        asks = pl.col("reasons").list.set_intersection(pl.lit(asked_by, dtype=pl.List(pl.String))).list.len() > 0
        step = pl.when(asks).then(pl.lit(candidate.value)).otherwise(step)
    return frame.with_columns(next_step=step)
