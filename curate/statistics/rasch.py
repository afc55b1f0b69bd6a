"""The likelihood of the ability model: a problem's location and slope summed over, on a grid of logits.

Owns the grid, the marginal likelihood with its penalties, and the search for its maximum. Takes and gives numpy arrays;
must not import any other room. What the model says, and of what use it is, stands in ``statistics.ability``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse, special, stats

from curate.statistics.prior import Floats, Ints, distinct

CELL = 0.15
"""Width of a cell of the logit scale: a little less than the standard error of 128 rollouts at a half."""
REACH = 9.0
"""The scale ends here on both sides; a pass rate of one in 8,000 is not told from none."""
ETA = np.linspace(-REACH, REACH, 2 * round(REACH / CELL) + 1)
SLOPE_SD = 0.4
"""Standard deviation of the log of a slope."""
LEAST_SPREAD = 0.12
"""Below this a spread changes no prediction, and the grid cannot tell it."""
MOST_SPREAD = 3.0
USUAL_SPREAD, SPREAD_SD = 0.5, 0.7
"""The spread's log-normal penalty: median, and standard deviation of its log. One checkpoint alone leaves it there."""
ABILITY_SD = 3.0
"""Standard deviation of the penalty on an ability, about the first checkpoint's: it binds only where all passes or all
fails would put a checkpoint at infinity."""
LOCATION_SD, PSEUDO_PROBLEMS = 3.0, 2.0
"""The distribution of locations has so many problems' worth of a normal this broad in it."""
SMOOTH = 0.5
"""It is smoothed by a normal this broad at every step (Silverman and others 1990): a handful of points would fit best,
and draw every problem towards one of them."""
ROUNDS, EM_STEPS, NEWTON_STEPS = 12, 30, 8
"""Most rounds, and what each does: the masses of the locations, then everything else."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The counts of one checkpoint, each distinct pair once."""

    fits: Floats
    """Shape (pairs, logits): the likelihood of each pair, relative to its largest value."""
    which: Ints
    """Shape (problems,): each problem's pair."""

    @classmethod
    def of(cls, n: Ints, k: Ints) -> Counts:
        """From one checkpoint's rollouts and passes of each problem; no rollouts fit everywhere."""
        rollouts, passes, which = distinct(n, k)
        log = np.multiply.outer(passes, special.log_expit(ETA))
        log += np.multiply.outer(rollouts - passes, special.log_expit(-ETA))
        return cls(np.exp(log - log.max(axis=1, keepdims=True)), which)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The points over which a problem's location and slope are spread."""

    location: Floats
    slope: Floats
    """Shape (points,): location by location, the slopes of each together."""

    def spread_out(self, ability: float, spread: float, se: float = 0.0) -> Floats:
        """Shape (logits, points): how each point's logit at an ability is spread, columns summing to 1."""
        density = np.exp(-0.5 * self._apart(ability) ** 2 / (spread**2 + (self.slope * se) ** 2))
        summed: Floats = density / density.sum(axis=0)
        return summed

    def slopes_of(self, ability: float, spread: float) -> tuple[Floats, Floats, Floats]:
        """``spread_out``, and its derivatives in the ability and in the log of the spread."""
        apart, density = self._apart(ability), self.spread_out(ability, spread)
        by_ability = density * apart * (self.slope / spread**2)
        by_spread = density * (apart / spread) ** 2
        return (
            density,
            by_ability - density * by_ability.sum(axis=0),
            by_spread - density * by_spread.sum(axis=0),
        )

    def _apart(self, ability: float) -> Floats:
        logits = np.clip(self.slope * (ability - self.location), -REACH, REACH)
        apart: Floats = ETA[:, None] - logits
        return apart


def points(slopes: bool) -> tuple[Points, Floats]:
    """The points, and the share that each has of its location's mass: the penalty on slopes."""
    if not slopes:
        ones = np.ones(ETA.size)
        return Points(ETA, ones), ones
    steps, locations = np.arange(-2.0, 3.0), ETA[::2]
    share = stats.norm.pdf(steps) / stats.norm.pdf(steps).sum()
    where, slope = np.meshgrid(locations, np.exp(SLOPE_SD * steps), indexing="ij")
    return Points(where.ravel(), slope.ravel().astype(np.float64)), np.tile(share, locations.size)


def joint(fits: Sequence[Floats], which: Sequence[Ints]) -> Floats:
    """The likelihood of each problem's counts at all checkpoints, relative to its largest over the points.

    Args:
        fits: For each checkpoint, shape (pairs, points).
        which: For each checkpoint, shape (problems,): each problem's pair.
    """
    product = np.ones((which[0].size, fits[0].shape[1]))
    for fit, pair in zip(fits, which, strict=True):
        product *= fit[pair]
        product /= product.max(axis=1, keepdims=True)
    return product


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Where the likelihood is largest."""

    ability: Floats
    """Shape (checkpoints,), the first 0."""
    covariance: Floats
    """Shape (checkpoints, checkpoints): of the abilities; the first row and column are 0."""
    spread: float
    masses: Floats
    """Shape (points,): how locations and slopes are spread over the problems."""


def maximise(counts: Sequence[Counts], places: Points, share: Floats, start: Floats) -> Fitted:
    """Find abilities, spread and masses, by turns.

    Args:
        counts: Of each checkpoint, on the same problems.
        places: The points.
        share: Shape (points,): as ``points`` gives it.
        start: Shape (checkpoints,): a first guess at the abilities.
    """
    rows, many = np.unique(np.stack([one.which for one in counts]), axis=1, return_counts=True)
    problems = _Problems(counts, list(rows), many.astype(np.float64), places)
    broad = share * np.exp(-0.5 * (places.location / LOCATION_SD) ** 2)
    broad /= broad.sum()
    masses, at = broad, np.append(start[1:] - start[0], np.log(USUAL_SPREAD))
    limits = [(-3 * ABILITY_SD, 3 * ABILITY_SD)] * (len(counts) - 1) + [(np.log(LEAST_SPREAD), np.log(MOST_SPREAD))]
    before = np.inf
    for _ in range(ROUNDS):
        masses = problems.masses(at, masses, broad, share)
        found = optimize.minimize(
            problems.loss,
            at,
            args=(masses,),
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": NEWTON_STEPS},
        )
        at = found.x
        if before - found.fun < 0.01:
            break
        before = float(found.fun)
    return Fitted(np.append(0.0, at[:-1]), problems.covariance(at, masses), float(np.exp(at[-1])), masses)


@dataclass(frozen=True, slots=True, eq=False)
class _Problems:
    """Problems with the same counts everywhere, each kind once."""

    counts: Sequence[Counts]
    which: Sequence[Ints]
    many: Floats
    places: Points

    def masses(self, at: Floats, masses: Floats, broad: Floats, share: Floats) -> Floats:
        """A few steps of expectation maximisation for the masses of the locations; slopes keep the penalty's share."""
        spread, ability = float(np.exp(at[-1])), np.append(0.0, at[:-1])
        fits = [one.fits @ self.places.spread_out(here, spread) for one, here in zip(self.counts, ability, strict=True)]
        likely = joint(fits, self.which)
        locations = np.unique(self.places.location)
        each = masses.size // locations.size
        smooth = np.exp(-0.5 * ((locations[:, None] - locations) / SMOOTH) ** 2)
        smooth /= smooth.sum(axis=0)
        for _ in range(EM_STEPS):
            summed = masses * (likely.T @ (self.many / (likely @ masses))) + PSEUDO_PROBLEMS * broad
            by_location = smooth @ summed.reshape(-1, each).sum(axis=1)
            masses = np.repeat(by_location / by_location.sum(), each) * share
        return masses

    def loss(self, at: Floats, masses: Floats) -> tuple[float, Floats]:
        """The penalised marginal likelihood's negative logarithm, and its gradient.

        Args:
            at: Shape (checkpoints,): the abilities but the first, then the log of the spread.
            masses: Shape (points,).
        """
        spread, ability = float(np.exp(at[-1])), np.append(0.0, at[:-1])
        found = []
        for one, here in zip(self.counts, ability, strict=True):
            density, by_ability, by_spread = self.places.slopes_of(here, spread)
            fits = one.fits @ density + 1e-300
            found.append((fits, one.fits @ by_ability / fits, one.fits @ by_spread / fits))
        log = np.zeros((self.many.size, masses.size))
        for (fits, _, _), pair in zip(found, self.which, strict=True):
            log += np.log(fits)[pair]
        top = log.max(axis=1, keepdims=True)
        likely = np.exp(log - top) * masses
        mixed = likely.sum(axis=1, keepdims=True)
        likely *= self.many[:, None] / mixed
        value = -float(self.many @ (np.log(mixed) + top)[:, 0])
        gradient = np.zeros(ability.size + 1)
        for position, ((fits, by_ability, by_spread), pair) in enumerate(zip(found, self.which, strict=True)):
            kind = np.arange(pair.size)
            summed = sparse.csr_array((np.ones(pair.size), (pair, kind)), shape=(len(fits), pair.size)) @ likely
            gradient[position] = -float((summed * by_ability).sum())
            gradient[-1] -= float((summed * by_spread).sum())
        off = (at[-1] - np.log(USUAL_SPREAD)) / SPREAD_SD
        value += 0.5 * off**2 + 0.5 * float(((ability / ABILITY_SD) ** 2).sum())
        gradient[-1] += off / SPREAD_SD
        gradient[:-1] += ability / ABILITY_SD**2
        return value, gradient[1:]

    def covariance(self, at: Floats, masses: Floats) -> Floats:
        """From the curvature of the loss, by differences of its gradient."""
        step, size = 0.05, at.size
        curvature = np.empty((size, size))
        for position, off in enumerate(step * np.eye(size)):
            ahead, behind = self.loss(at + off, masses)[1], self.loss(at - off, masses)[1]
            curvature[position] = (ahead - behind) / (2 * step)
        found = np.zeros((size, size))
        found[1:, 1:] = np.linalg.pinv((curvature + curvature.T) / 2)[:-1, :-1]
        return found
