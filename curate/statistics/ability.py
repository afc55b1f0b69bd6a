"""The ability of a checkpoint and the difficulty of a problem: what pass rates of earlier checkpoints say of the next.

Owns the item response model, where a new checkpoint stands from a few anchor problems, what it should solve how often,
and the check that says when that must not be trusted. Takes and gives numpy arrays; must not import any other room.

Checkpoint c solves problem i with probability ``sigmoid(slope_i (ability_c - location_i) + spread e_ci)``, e standard
normal: the Rasch model (1PL), or Birnbaum's (2PL) with slopes, for binomial counts, and with a residual for each
problem at each checkpoint. Without it the model would claim that all problems move together, and be sure of it.

It is fitted by marginal maximum likelihood (Bock and Aitkin 1981): the problem's location is summed over, on a grid,
under a distribution of locations that is learned with the rest. Estimating a location for each problem beside the
abilities, the plain way, is biased however many problems there are, and worst with the two or three checkpoints that
are usual here (Neyman and Scott 1948; a shift comes out up to twice too large). Penalties keep apart what counts cannot
tell: a little of a broad normal in the distribution of locations, log-normals for the slopes and for the spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from curate.statistics.prior import Floats, Grid, Ints
from curate.statistics.rasch import ABILITY_SD, CELL, ETA, REACH, Counts, Points, joint, maximise, points

MOST_FITTED = 4000
"""More problems tell the abilities and the spread nothing that matters; every problem gets its location."""


@dataclass(frozen=True, slots=True, eq=False)
class AbilityFit:
    """The fitted model. Locations are centred: their mean over the problems is 0."""

    location: Floats
    """Shape (problems,): posterior mean of each location, the ability that solves it half the time, in logits."""
    location_sd: Floats
    """Shape (problems,): its posterior standard deviation."""
    slope: Floats
    """Shape (problems,): posterior mean of each slope; 1 in the Rasch model."""
    ability: Floats
    """Shape (checkpoints,), in logits."""
    covariance: Floats
    """Shape (checkpoints, checkpoints): of the abilities relative to the first, whose row and column are 0."""
    spread: float
    """Standard deviation, in logits, of a problem at a checkpoint around the model, beyond binomial noise."""
    grid_location: Floats
    grid_slope: Floats
    """Shape (points,): the locations and slopes that the posterior is spread over."""
    posterior: Floats
    """Shape (problems, points), rows summing to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What each problem should be solved how often; shape (problems,) each."""

    mean: Floats
    low: Floats
    high: Floats
    """Equal-tailed interval of the pass rate."""


@dataclass(frozen=True, slots=True)
class TopicShift:
    """How one topic moved, next to all problems together."""

    topic: str
    problems: int
    """Those of the topic that were measured."""
    shift: float
    """How far its problems' own ability lies from the common one, in logits."""
    z: float
    """The shift over its standard error."""
    p_value: float
    """Of a shift at least so large were all to move alike, two-sided, after Holm's correction over the topics."""


def fit(n: ArrayLike, k: ArrayLike, *, slopes: bool = False) -> AbilityFit:
    """Fit locations, abilities and the spread to what was measured at each checkpoint.

    Args:
        n: Shape (checkpoints, problems), each at least 1: scored rollouts; 0 where a problem was not measured.
        k: Passes, from 0 to n; same shape.
        slopes: Let the problems differ in how fast they answer to ability (2PL). Needs several checkpoints that lie
            well apart: with fewer, the slopes' penalty has the last word and they stay near 1.

    Returns:
        The fit. A problem that was never measured has the location that problems have in general.

    Raises:
        ValueError: counts that no problem can have, or none at all.
    """
    rollouts, passes = np.atleast_2d(np.asarray(n, np.int64)), np.atleast_2d(np.asarray(k, np.int64))
    if not rollouts.size:
        raise ValueError("an ability needs at least one checkpoint and one problem")
    places, share = points(slopes)
    measured = np.flatnonzero((rollouts > 0).any(axis=0))
    taught = measured[:: -(-measured.size // MOST_FITTED) or 1]
    rates = [_mean_rate(drawn, passed) for drawn, passed in zip(rollouts, passes, strict=True)]
    counts = [Counts.of(drawn, passed) for drawn, passed in zip(rollouts[:, taught], passes[:, taught], strict=True)]
    found = maximise(counts, places, share, 2.0 * special.logit(np.clip(rates, 0.01, 0.99)))
    posterior = _posterior(rollouts, passes, places, found.ability, found.spread, found.masses)
    location = posterior @ places.location
    centre = float(location[measured].mean()) if measured.size else 0.0
    variance = posterior @ places.location**2 - location**2
    return AbilityFit(
        location=location - centre,
        location_sd=np.sqrt(np.maximum(variance, 0.0)),
        slope=posterior @ places.slope,
        ability=found.ability - centre,
        covariance=found.covariance,
        spread=found.spread,
        grid_location=places.location - centre,
        grid_slope=places.slope,
        posterior=posterior,
    )


def place(fitted: AbilityFit, n: ArrayLike, k: ArrayLike) -> tuple[float, float]:
    """Where a new checkpoint stands, from its counts on any of the problems.

    Args:
        fitted: The fit of earlier checkpoints.
        n: Shape (problems,): scored rollouts, 0 for problems that are no anchors.
        k: Passes; same shape.

    Returns:
        The ability and its standard error, in logits. Without any count, the last checkpoint's ability, and
        ``ABILITY_SD``.
    """
    rollouts, passes = np.asarray(n, np.int64), np.asarray(k, np.int64)
    used = np.flatnonzero(rollouts > 0)
    centre = float(fitted.ability[-1])
    if not used.size:
        return centre, ABILITY_SD
    places, counts = _points(fitted), Counts.of(rollouts[used], passes[used])
    posterior = fitted.posterior[used]

    def loss(ability: float) -> float:
        fits = counts.fits @ places.spread_out(ability, fitted.spread)
        mixed = (posterior * fits[counts.which]).sum(axis=1)
        return float(0.5 * ((ability - centre) / ABILITY_SD) ** 2 - np.log(mixed).sum())

    tried = centre + np.linspace(-3 * ABILITY_SD, 3 * ABILITY_SD, 37)
    best = tried[int(np.argmin([loss(ability) for ability in tried]))]
    found = float(optimize.minimize_scalar(loss, bounds=(best - 0.5, best + 0.5), method="bounded").x)
    step = 0.1
    curvature = (loss(found + step) - 2 * loss(found) + loss(found - step)) / step**2
    return found, float(1.0 / np.sqrt(max(curvature, ABILITY_SD**-2)))


def predict(fitted: AbilityFit, ability: float, se: float = 0.0, *, level: float = 0.95) -> Prediction:
    """The pass rate that each problem should have at an ability.

    The interval holds what is not known of the problem's location and slope, of the ability, and the spread around the
    model. It holds only while all problems move together: see ``misfit``.

    Args:
        fitted: The fit of earlier checkpoints.
        ability: Where the checkpoint stands, in logits.
        se: Its standard error, at least 0.
        level: Mass of the interval, in (0, 1).
    """
    at = _logits(fitted, ability, se)
    edges = np.append(ETA - CELL / 2, REACH + CELL / 2)
    mass = np.concatenate([np.zeros((len(at), 1)), np.cumsum(at, axis=1)], axis=1)
    ends = np.array([[np.interp(tail, row, edges) for tail in ((1 - level) / 2, (1 + level) / 2)] for row in mass])
    return Prediction(at @ special.expit(ETA), special.expit(ends[:, 0]), special.expit(ends[:, 1]))


def predicted_masses(fitted: AbilityFit, ability: float, se: float, grid: Grid) -> Floats:
    """The distribution of each problem's pass rate at an ability, on a grid of pass rates.

    Args:
        fitted: The fit of earlier checkpoints.
        ability: Where the checkpoint stands, in logits.
        se: Its standard error, at least 0.
        grid: The grid of pass rates.

    Returns:
        Shape (problems, cells), rows summing to 1. Holds all of it: mind the memory.
    """
    edges = np.append(ETA - CELL / 2, REACH + CELL / 2)
    inner = special.logit(np.sin(grid.boundaries[1:-1]) ** 2)
    place_of = np.concatenate([[0.0], np.interp(inner, edges, np.arange(edges.size)), [float(ETA.size)]])
    # Shares of each cell of logits that lie below each boundary of the grid.
    below = np.clip(place_of - np.arange(ETA.size)[:, None], 0.0, 1.0)
    masses: Floats = _logits(fitted, ability, se) @ np.diff(below, axis=1)
    return masses


def forecast(n: Ints, k: Ints, drawn: Ints, passed: Ints, grid: Grid) -> Floats:
    """What earlier checkpoints say of a new one's pass rates, problem by problem.

    The new counts of all problems together give the shift of the ability and the spread; where a problem lies comes
    from its earlier counts alone, so that its new ones may be weighed against the prediction.

    Args:
        n: Shape (checkpoints, problems): rollouts at each earlier checkpoint.
        k: Passes; same shape.
        drawn: Shape (problems,): the new checkpoint's rollouts.
        passed: Passes; same shape.
        grid: The grid of pass rates.

    Returns:
        Shape (problems, cells), rows summing to 1.
    """
    whole = fit(np.vstack([n, drawn]), np.vstack([k, passed]))
    masses = whole.posterior.mean(axis=0) + 1e-12
    before = _posterior(np.asarray(n), np.asarray(k), _points(whole), whole.ability[:-1], whole.spread, masses)
    se = float(np.sqrt(whole.covariance[-1, -1]))
    return predicted_masses(replace(whole, posterior=before), float(whole.ability[-1]), se, grid)


def anchors(fitted: AbilityFit, ability: float, size: int, *, rollouts: int = 8) -> Ints:
    """The problems that tell most about a checkpoint's ability.

    Args:
        fitted: The fit of earlier checkpoints.
        ability: Where the checkpoint is expected to stand.
        size: How many, at least 0; all where there are fewer problems.
        rollouts: How many will be drawn of each.

    Returns:
        Positions of the problems, the most telling first. What a problem tells is ``1 / (1/(n p q) + location
        variance + spread^2)`` for a slope of 1: little where it is never or always solved, where its location is not
        known, or where the spread drowns it.
    """
    p = predict(fitted, ability).mean
    noise = 1.0 / np.maximum(rollouts * p * (1 - p), 1e-12) + fitted.spread**2
    tells = fitted.slope**2 / (noise + (fitted.slope * fitted.location_sd) ** 2)
    order: Ints = np.argsort(-tells, kind="stable")[:size].astype(np.int64)
    return order


def misfit(
    fitted: AbilityFit, n: ArrayLike, k: ArrayLike, ability: float, topics: Sequence[str] | None = None
) -> list[TopicShift]:
    """Whether all topics moved alike; where one did not, a prediction must not be trusted there.

    Each topic's problems alone are asked where the checkpoint stands, and the difference to the common ability is put
    in relation to its standard error: since the common one rests on the topic's problems too, its variance is that of
    the topic's less that of the common one (Hausman 1978).

    Args:
        fitted: The fit of earlier checkpoints.
        n: Shape (problems,): scored rollouts of the new checkpoint, 0 where none.
        k: Passes; same shape.
        ability: The common ability, as ``place`` found it from the same counts.
        topics: Shape (problems,): each problem's topic; None takes problems by thirds of location (easy, middle, hard),
            which shows a shift that grows with difficulty.

    Returns:
        One entry for each topic with a measured problem, the least likely first; with one topic, a shift of 0.
    """
    rollouts, passes = np.asarray(n, np.int64), np.asarray(k, np.int64)
    if topics is None:
        edges = np.quantile(fitted.location, [1 / 3, 2 / 3])
        topics = [("easy", "middle", "hard")[int(third)] for third in np.searchsorted(edges, fitted.location)]
    of = np.asarray(topics)
    common = place(fitted, rollouts, passes)[1]
    found = []
    for topic in sorted({str(name) for name, drawn in zip(of, rollouts, strict=True) if drawn}):
        inside = of == topic
        alone, se = place(fitted, np.where(inside, rollouts, 0), passes * inside)
        apart = np.sqrt(max(se**2 - common**2, 0.0))
        z = (alone - ability) / apart if apart > 1e-6 else 0.0
        found.append((topic, int((rollouts[inside] > 0).sum()), alone - ability, float(z)))
    found.sort(key=lambda one: -abs(one[3]))
    p_values = np.array([2 * stats.norm.sf(abs(z)) for *_, z in found])
    corrected = np.minimum(1.0, np.maximum.accumulate(p_values * np.arange(len(found), 0, -1)))
    return [TopicShift(*one, p_value=float(p)) for one, p in zip(found, corrected, strict=True)]


def _points(fitted: AbilityFit) -> Points:
    return Points(fitted.grid_location, fitted.grid_slope)


def _logits(fitted: AbilityFit, ability: float, se: float) -> Floats:
    """Shape (problems, logits): how each problem's logit is spread at an ability."""
    at: Floats = fitted.posterior @ _points(fitted).spread_out(ability, fitted.spread, se).T
    return at


def _posterior(n: Ints, k: Ints, places: Points, ability: Floats, spread: float, masses: Floats) -> Floats:
    """Shape (problems, points): where each problem lies, by its counts at every checkpoint."""
    counts = [Counts.of(drawn, passed) for drawn, passed in zip(n, k, strict=True)]
    fits = [one.fits @ places.spread_out(at, spread) for one, at in zip(counts, ability, strict=True)]
    posterior = joint(fits, [one.which for one in counts]) * masses
    posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior


def _mean_rate(n: Ints, k: Ints) -> float:
    """The mean pass rate of the problems that were measured; a half without any."""
    drawn = n > 0
    return float((k[drawn] / n[drawn]).mean()) if drawn.any() else 0.5
