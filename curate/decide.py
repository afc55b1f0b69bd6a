"""Decide: counts and audit -> estimates -> outcome, reasons and the next step of every problem.

Owns the columns of ``estimates.parquet``, the audit's reasons, and the rules that turn numbers into outcomes. Must not
sample, verify, or know how a release looks. Everything here is pure and repeatable: another band is another call, never
another rollout.

How the reasons relate. ``too_hard``, ``too_easy`` and ``undecided`` are sides of the band: a problem has at most one of
them. ``duplicate`` excludes them, because such a problem is never sampled; so does ``unverifiable``, because nothing is
measured by a reference that cannot be used. ``engine_error`` comes with ``undecided``, or in its place where not one
rollout came. ``truncated``, ``guessable``, ``shortcut`` and ``suspect_label`` may come with any, and with each other.
Every excluded problem has at least one reason, and exactly one ``main_reason``: these add up to the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import polars as pl

from curate.earlier import history
from curate.layout import EARLIER
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import NextStep, Outcome, Reason, VerdictKind
from curate.statistics import confidence, genuine, posterior, prior, warm
from curate.statistics.prior import Floats, Grid, Prior

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

EVIDENCE = pl.Schema(
    [
        ("n_audited", pl.Int64),
        ("n_passes", pl.Int64),
        ("n_checked", pl.Int64),
        ("n_shortcut", pl.Int64),
        ("n_steps_false", pl.Int64),
        ("n_repetitive", pl.Int64),
        ("guess_kind", pl.String),
        ("guess_rate", pl.Float64),
        ("guess_p", pl.Float64),
        ("guess_verdict", pl.String),
        ("p_luck", pl.Float64),
        ("guessable", pl.Boolean),
        ("p_genuine", pl.Float64),
        ("genuine_rate", pl.Float64),
        ("genuine_low", pl.Float64),
        ("genuine_high", pl.Float64),
        ("p_outvote", pl.Float64),
        ("risk", pl.Float64),
        ("p_label_wrong", pl.Float64),
        ("label_why", pl.String),
        ("majority_answer", pl.String),
        ("majority_count", pl.Int64),
        ("reference_count", pl.Int64),
    ]
)
"""What an audit knows of each problem.

``n_audited``, ``n_passes``: scored rollouts and passes when it was made; ``n_checked``: passes that could be looked at;
``n_shortcut``: those of them that are flagged; ``n_steps_false``, ``n_repetitive``: those with a false stated step, and
those that repeat themselves. ``guess_*``, ``p_luck``, ``guessable``: the answer space and the test against guessing
(``statistics.guessing``). ``p_genuine``: mean posterior of a pass being genuine; ``genuine_*``: the genuine pass rate
with its 95% interval; ``p_outvote``: probability that the genuine passes of a group outnumber its shortcuts; ``risk``:
what a group's lone pass would reinforce (``statistics.genuine``). ``p_label_wrong``, ``label_why``, ``majority_*``,
``reference_count``: the reference (``audit.references``).
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
        pilot: How many first rollouts make the pilot, at least 1; of a problem that earlier profiles know, those that
            it was begun with.

    Returns:
        A frame of schema ``COUNTS``; a problem without rollouts has zeros, and a null ``mean_tokens``. ``prior_class``
        follows where the profile was begun ``--like`` others: 0 for a problem that they do not know.
    """
    known = ledger.earlier()
    pilots = pl.DataFrame(schema=EARLIER) if known is None else known
    rollouts = ledger.rollouts(["problem_id", "index", "finish_reason", "completion_tokens"])
    verdicts = ledger.verdicts(fingerprint, ["problem_id", "index", "verdict"])
    judged = rollouts.join(verdicts, on=["problem_id", "index"], how="inner").join(
        pilots.select("problem_id", "pilot"), on="problem_id", how="left"
    )
    scored = pl.col("verdict") != VerdictKind.UNSCORED
    passed = pl.col("verdict") == VerdictKind.PASS
    first = pl.col("index") < pl.col("pilot").fill_null(pilot)
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
    found = (
        problems.join(counted, on="problem_id", how="left", maintain_order="left")
        .join(_missing(ledger, rollouts), on="problem_id", how="left", maintain_order="left")
        .with_columns(pl.col("n", "k", "n_unscored", "n_truncated", "n_missing", "n_pilot", "k_pilot").fill_null(0))
        .select(COUNTS.names())
        .cast(COUNTS)
    )
    return found if known is None else with_classes(found, known)


def with_classes(frame: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """A frame of problems, with the ``prior_class`` of each."""
    classes = earlier.select("problem_id", "prior_class")
    joined = frame.join(classes, on="problem_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("prior_class").fill_null(0))


def _missing(ledger: Ledger, rollouts: pl.DataFrame) -> pl.DataFrame:
    """Rollouts that a failed request asked for and that no later one brought."""
    asked = ledger.failed_requests().select(
        "problem_id", pl.int_ranges("first_index", pl.col("first_index") + pl.col("n"), dtype=pl.Int32).alias("index")
    )
    never_came = asked.explode("index").unique().join(rollouts, on=["problem_id", "index"], how="anti")
    return never_came.group_by("problem_id").agg(n_missing=pl.len().cast(pl.Int64))


def learn(counts: pl.DataFrame, band: BandSection, earlier: pl.DataFrame | None = None) -> Prior:
    """Learn from all counts how pass rates are spread; Jeffreys where they are too few.

    Args:
        counts: As ``count`` gives them.
        band: The band.
        earlier: What earlier profiles know, as ``Ledger.earlier`` has it: then each class has a prior of its own.
    """
    grid = prior.make_grid(edges=(band.low, band.high))
    n, k = counts["n"].to_numpy(), counts["k"].to_numpy()
    if earlier is None:
        return prior.fit_prior(n, k, grid)
    of, classes = counts["prior_class"].to_numpy(), int(earlier["prior_class"].to_numpy().max())
    return warm.fit_classes(classes, of, *history(earlier, counts["problem_id"]), n, k, grid)[0]


def each_class(frame: pl.DataFrame, belief: Prior) -> Iterator[tuple[Prior, np.ndarray]]:
    """The prior of each class of problems, and which rows of a frame it is for; without ``prior_class``, for all."""
    if "prior_class" not in frame.columns:
        yield belief, np.ones(frame.height, np.bool_)
        return
    of = frame["prior_class"].to_numpy()
    for number, one in enumerate((belief, *belief.classes)):
        rows = of == number
        if rows.any():
            yield one, rows


def to_frame(belief: Prior) -> pl.DataFrame:
    """A prior as the ledger keeps it, with those of its classes."""
    return pl.concat(
        pl.DataFrame({"theta": one.grid.boundaries[:-1], "weight": one.weights}).with_columns(
            problems=pl.lit(one.problems, pl.Int64)
        )
        for one in (belief, *belief.classes)
    )


def from_frame(frame: pl.DataFrame) -> Prior:
    """The prior that the ledger kept."""
    theta, weight, problems = (frame[name].to_numpy() for name in ("theta", "weight", "problems"))
    begins = np.flatnonzero(theta == 0.0)
    grid = Grid(np.append(theta[: np.append(begins, theta.size)[1]], np.pi / 2))
    priors = [Prior(grid, weight[begin : begin + grid.widths.size], int(problems[begin])) for begin in begins.tolist()]
    return replace(priors[0], classes=tuple(priors[1:]))


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
    found = _estimates(counts, band, belief)
    low, high = confidence.confidence_sequence(n, k)
    pilot = (pl.col("k_pilot") / pl.col("n_pilot")).fill_nan(None)
    frame = counts.select(*COUNTS.names(), *_class_of(counts)).with_columns(
        *(pl.Series(field.name, getattr(found, field.name)) for field in fields(found)),
        pl.Series("cs_low", low),
        pl.Series("cs_high", high),
        pilot.alias("pass_rate_pilot"),
        _outcomes(found.side(band.confidence)),
    )
    return _with_reasons(frame).select(
        "problem_id",
        *("n", "k", "n_unscored", "n_truncated", "n_missing"),
        *("pass_rate", "ci_low", "ci_high", "cs_low", "cs_high", "pass_rate_pilot", "n_pilot", "k_pilot"),
        *("p_below", "p_in_band", "p_above", "mean_tokens"),
        *_class_of(frame),
        *("outcome", "next_step", "set_aside", "set_aside_why", "reasons"),
    )


def _class_of(frame: pl.DataFrame) -> tuple[str, ...]:
    return ("prior_class",) if "prior_class" in frame.columns else ()


def _estimates(counts: pl.DataFrame, band: BandSection, belief: Prior) -> posterior.Estimates:
    """Each problem's, by the prior of its class."""
    n, k = counts["n"].to_numpy(), counts["k"].to_numpy()
    columns = np.empty((6, n.size))
    for one, rows in each_class(counts, belief):
        found = posterior.estimate(one, n[rows], k[rows], band.low, band.high)
        columns[:, rows] = [getattr(found, field.name) for field in fields(found)]
    return posterior.Estimates(*columns)


def kept() -> pl.Expr:
    """Whether a row of the estimates is published as training data: in the band, with no reason against it."""
    return (pl.col("outcome") == Outcome.IN_BAND) & (pl.col("reasons").list.len() == 0)


def next_step() -> pl.Expr:
    """What to do with a row of the estimates by its ``reasons``; null where there are none."""
    return main_reason().replace_strict({reason.value: step.value for reason, step in NEXT_STEP.items()}, default=None)


def main_reason() -> pl.Expr:
    """The reason that a row of the estimates is counted by, the one that asks for its next step; null without any."""
    ordered = [reason.value for step in _FIRST for reason in Reason if NEXT_STEP[reason] is step]
    return pl.coalesce(pl.when(pl.col("reasons").list.contains(name)).then(pl.lit(name)) for name in ordered)


def audit_reasons() -> pl.Expr:
    """The reasons that an audit's evidence gives against a row, as a list.

    ``guessable`` where that flag is set; ``shortcut`` where more than half of the passes that were looked at are
    flagged; ``suspect_label`` where something speaks against the reference and it is at least as probably wrong as
    right.
    """
    suspected = (pl.col("p_label_wrong") >= _MOSTLY) & (pl.col("label_why") != "")
    tests = {
        Reason.GUESSABLE: pl.col("guessable"),
        Reason.SHORTCUT: pl.col("n_shortcut") > _MOSTLY * pl.col("n_checked"),
        Reason.SUSPECT_LABEL: suspected,
    }
    said = [pl.when(test.fill_null(False)).then(pl.lit(reason.value)) for reason, test in tests.items()]
    return pl.concat_list(said).list.drop_nulls()


def with_audit(estimates: pl.DataFrame, audit: pl.DataFrame | None) -> pl.DataFrame:
    """Join an audit's evidence and reasons to the estimates.

    Args:
        estimates: As ``estimate`` gives them.
        audit: ``problem_id``, the columns of ``EVIDENCE`` and ``reasons``; a problem that it does not know has no
            evidence. None where no audit was made.

    Returns:
        The estimates, in their order, with the columns of ``EVIDENCE`` (null without an audit), ``reasons`` in the
        order of ``Reason``, and the ``next_step`` that they ask for together.
    """
    if audit is None:
        audit = pl.DataFrame(schema={"problem_id": pl.String, **EVIDENCE, "reasons": pl.List(pl.String)})
    found = audit.select("problem_id", *(pl.col(name).cast(kind) for name, kind in EVIDENCE.items()), audited="reasons")
    joined = estimates.drop("next_step").join(found, on="problem_id", how="left", maintain_order="left")
    either = [pl.col(name).list.contains(reason.value) for reason in Reason for name in ("reasons", "audited")]
    said = [
        pl.when(own | other.fill_null(False)).then(pl.lit(reason.value))
        for reason, own, other in zip(Reason, either[::2], either[1::2], strict=True)
    ]
    return (
        joined.with_columns(reasons=pl.concat_list(said).list.drop_nulls())
        .with_columns(next_step=next_step())
        .drop("audited")
    )


def by_genuine_rate(estimates: pl.DataFrame, audit: pl.DataFrame, band: BandSection, belief: Prior) -> pl.DataFrame:
    """The estimates, decided anew by applying the band to the genuine pass rate.

    ``p_below``, ``p_in_band``, ``p_above`` and ``outcome`` are then those of the pass rate times the share of passes
    that are genuine; the pass rate and its interval stay what they were.

    Args:
        estimates: As ``estimate`` gives them.
        audit: As for ``with_audit``; of a problem that it does not know no pass was looked at.
        band: The band to decide by.
        belief: How pass rates are spread over the problems.
    """
    looked = audit.select("problem_id", "n_checked", "n_shortcut")
    frame = estimates.join(looked, on="problem_id", how="left", maintain_order="left")
    n, k = frame["n"].to_numpy(), frame["k"].to_numpy()
    checked, flagged = (frame[name].fill_null(0).to_numpy() for name in ("n_checked", "n_shortcut"))
    a, b = genuine.genuine_prior(checked, checked - flagged)
    found: Floats = np.empty((3, n.size))
    for one, rows in each_class(frame, belief):
        seen, real = checked[rows], (checked - flagged)[rows]
        found[:, rows] = genuine.genuine_masses(one, n[rows], k[rows], seen, real, band.low, band.high, a=a, b=b)
    names = ("p_below", "p_in_band", "p_above")
    decided = frame.with_columns(
        *(pl.Series(name, mass) for name, mass in zip(names, found, strict=True)),
        _outcomes(posterior.decide(found, band.confidence)),
    )
    return _with_reasons(decided).select(estimates.columns)


def outdated(estimates: pl.DataFrame, audit: pl.DataFrame) -> bool:
    """Whether an audit was made of other rollouts or verdicts than the estimates were."""
    both = estimates.select("problem_id", "n", "k").join(audit, on="problem_id", how="left")
    same = (pl.col("n") == pl.col("n_audited")) & (pl.col("k") == pl.col("n_passes"))
    return not both.select(same.fill_null(False).all()).item()


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
    # What was set aside, a duplicate say, may have rollouts of a time when it was not: they are not asked.
    mostly_unscored = ~set_aside & (drawn > 0) & (pl.col("n_unscored") > _MOSTLY * drawn)
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
    return frame.with_columns(next_step=next_step())
