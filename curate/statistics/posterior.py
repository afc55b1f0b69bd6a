"""The posterior: what the counts of a problem say about its pass rate, under a prior.

Owns point estimates, credible intervals, band masses and the side of the band they decide for. Takes and gives numpy
arrays; must not import any other room.

Stopping early makes k/n biased: a rule that stops at the first pass leaves lucky counts behind. The posterior is not
touched by that, because the likelihood is the same for every stopping rule. So the posterior is what is published.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curate.statistics.prior import Floats, Grid, Ints, Prior, chunks, distinct, likelihood


class Side(IntEnum):
    """Where a problem lies, in the order of the rows of ``Grid.regions``."""

    BELOW = 0
    IN_BAND = 1
    ABOVE = 2
    UNDECIDED = 3


@dataclass(frozen=True, eq=False)
class Estimates:
    """What is known of each problem; every array has the shape of the counts."""

    pass_rate: Floats
    """Posterior mean."""
    ci_low: Floats
    ci_high: Floats
    """Equal-tailed credible interval: with 95%, 2.5% of the posterior lies on each side."""
    p_below: Floats
    p_in_band: Floats
    p_above: Floats
    """Posterior mass below, in and above the band; they sum to 1."""

    def side(self, confidence: float) -> NDArray[np.int8]:
        """The side whose mass is at least ``confidence``, else undecided; values of ``Side``.

        Args:
            confidence: In (0.5, 1], inclusive of equality; above a half, no two sides can reach it.
        """
        return decide(np.stack([self.p_below, self.p_in_band, self.p_above]), confidence)


def decide(masses: Floats, confidence: float) -> NDArray[np.int8]:
    """The side whose mass is at least ``confidence``, else undecided.

    Args:
        masses: Shape (3, ...): posterior mass below, in and above the band.
        confidence: In (0.5, 1].

    Returns:
        Values of ``Side``, of shape ``masses.shape[1:]``.

    Raises:
        ValueError: the confidence would let two sides win.
    """
    if not 0.5 < confidence <= 1.0:
        raise ValueError(f"confidence must lie in (0.5, 1], got {confidence}")
    best = masses.argmax(axis=0)
    return np.where(masses.max(axis=0) >= confidence, best, int(Side.UNDECIDED)).astype(np.int8)


def estimate(prior: Prior, n: ArrayLike, k: ArrayLike, low: float, high: float, level: float = 0.95) -> Estimates:
    """Estimate every problem from its counts. With n = 0, the prior itself.

    Args:
        prior: Best on a grid that has the band's edges as boundaries: ``make_grid(edges=(low, high))``.
        n: Scored rollouts of each problem, at least 0.
        k: Passes of each problem, from 0 to n; same shape as n.
        low: Lower edge of the band, inclusive, in [0, high].
        high: Upper edge of the band, inclusive, in [low, 1].
        level: Mass of the credible interval, in (0, 1).

    Returns:
        Arrays of the shape of n. Under the Jeffreys prior they agree with Beta(k + 1/2, n - k + 1/2), on a grid
        made for the band: the mean to 1e-7; the ends of the interval and the masses outside the band to 2e-5 for n up
        to 128 and to 5e-4 for n up to 4096.

    Raises:
        ValueError: counts that no problem can have, or a band that is none.
    """
    rollouts, passes, which = distinct(n, k)
    regions = prior.grid.regions(low, high)
    columns = np.vstack([prior.grid.p, regions]).T
    linear = np.empty((rollouts.size, 4))
    interval = np.empty((rollouts.size, 2))
    for rows in chunks(rollouts.size, prior.grid):
        mass = masses(prior, rollouts[rows], passes[rows])
        linear[rows] = mass @ columns
        interval[rows] = quantiles(prior.grid, mass, ((1 - level) / 2, (1 + level) / 2))
    np.clip(linear, 0.0, 1.0, out=linear)
    return Estimates(*(column[which] for column in (linear[:, 0], *interval.T, *linear[:, 1:].T)))


def expectation(prior: Prior, n: ArrayLike, k: ArrayLike, values: Floats) -> Floats:
    """Average functions of the pass rate over each problem's posterior.

    Args:
        prior: The prior.
        n: Scored rollouts of each problem.
        k: Passes of each problem; same shape as n.
        values: Shape (functions, cells): each function at ``prior.grid.p``.

    Returns:
        Shape (functions, *n.shape).
    """
    rollouts, passes, which = distinct(n, k)
    averages = np.empty((len(values), rollouts.size))
    for rows in chunks(rollouts.size, prior.grid):
        averages[:, rows] = values @ masses(prior, rollouts[rows], passes[rows]).T
    return averages[:, which]


def masses(prior: Prior, n: Ints, k: Ints) -> Floats:
    """The posterior mass of every cell, shape (len(n), cells), rows summing to 1. Holds all of it: mind the memory."""
    mass = likelihood(prior.grid, n, k)
    mass *= prior.weights
    mass /= mass.sum(axis=1, keepdims=True)
    return mass


def quantiles(grid: Grid, mass: Floats, levels: tuple[float, ...]) -> Floats:
    """Quantiles in p, shape (rows, levels): linear in theta within a cell, so continuous in the level."""
    cumulative = np.cumsum(mass, axis=1)
    rows = np.arange(len(mass))
    columns = []
    for level in levels:
        cell = np.minimum(np.count_nonzero(cumulative < level, axis=1), mass.shape[1] - 1)
        before = cumulative[rows, cell] - mass[rows, cell]
        inside = np.clip((level - before) / mass[rows, cell], 0.0, 1.0)
        columns.append(np.sin(grid.boundaries[cell] + inside * grid.widths[cell]) ** 2)
    return np.stack(columns, axis=1)
