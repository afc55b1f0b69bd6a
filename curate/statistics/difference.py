"""The difference: how far a problem's pass rate moved between two profiles, and how sure that is.

Owns the posterior of ``p_B - p_A``, the evidence that there is a difference at all, and the correction for asking that
of many problems at once. Takes and gives numpy arrays; must not import any other room.

The difference: each profile's posterior is its own, under its own prior, learned from its own counts. So nothing is
assumed of how checkpoints are related, and a problem of which one profile knows little has a wide difference.

Its significance: two figures that must agree, because each alone fails somewhere (``tests/benchmarks/drift.py``).

- Twice the posterior's smaller tail, corrected over the problems as Benjamini and Hochberg (1995) do with p-values. It
  holds whatever the changes look like. Being no p-value, it named something in up to 10% of simulated sets of problems
  in which nothing had changed, where 5% was asked for.
- The local false discovery rate (Efron et al. 2001): the probability not to have changed, from the Bayes factor of "two
  pass rates, one from each prior" against "one pass rate, from the priors' average" and the share of changed problems
  that is learned from all factors. Under no change a factor's mean is 1 whatever rule ended the sampling: it named
  something in about 2% of such sets. But where changes are unlike two draws from the priors (all of them by a half,
  say), up to 11% of what it named had not changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curate.statistics.posterior import masses
from curate.statistics.prior import Floats, Grid, Ints, Prior, chunks, likelihood, to_theta

BINS = 512
"""Equal bins of pass rate for the distribution of the difference: its quantiles are good to about one of them."""


@dataclass(frozen=True, eq=False)
class Difference:
    """What is known of each problem's change; every array has the shape of the counts."""

    before: Floats
    after: Floats
    """Posterior means of the two pass rates."""
    low: Floats
    high: Floats
    """Equal-tailed credible interval of it."""
    p_decrease: Floats
    """Posterior probability that ``p_B < p_A``."""
    variance: Floats
    """Posterior variance of it: variances of problems add."""
    log_factor: Floats
    """Logarithm of the Bayes factor for a change against none; below 0 speaks for none."""

    @property
    def mean(self) -> Floats:
        """Posterior mean of ``p_B - p_A``, in [-1, 1]."""
        result: Floats = self.after - self.before
        return result

    @property
    def tail(self) -> Floats:
        """Twice the probability of the less probable direction, in [0, 1]: small where the direction is sure."""
        result: Floats = np.minimum(1.0, 2.0 * np.minimum(self.p_decrease, 1.0 - self.p_decrease))
        return result


def difference(
    before: Prior,
    n_before: ArrayLike,
    k_before: ArrayLike,
    after: Prior,
    n_after: ArrayLike,
    k_after: ArrayLike,
    level: float = 0.95,
) -> Difference:
    """The posterior of each problem's change of pass rate.

    Args:
        before: The prior of the first profile.
        n_before: Scored rollouts of each problem there, at least 0.
        k_before: Passes of each problem there, from 0 to n; same shape.
        after: The prior of the second profile, on any grid.
        n_after: As ``n_before``, same shape.
        k_after: As ``k_before``.
        level: Mass of the credible interval, in (0, 1).

    Returns:
        Arrays of the shape of the counts. With n = 0 on a side, that side is its prior.

    Raises:
        ValueError: counts that no problem can have, or of differing shapes.
    """
    counts = [np.asarray(values, dtype=np.int64) for values in (n_before, k_before, n_after, k_after)]
    shape = counts[0].shape
    if any(values.shape != shape for values in counts):
        raise ValueError(f"counts differ in shape: {', '.join(str(values.shape) for values in counts)}")
    for n, k in (counts[:2], counts[2:]):
        if (k < 0).any() or (k > n).any():
            raise ValueError("passes must lie between 0 and the number of rollouts")
    if not counts[0].size:
        return Difference(*(np.zeros(shape) for _ in range(7)))
    distinct, which = np.unique(np.stack([values.ravel() for values in counts]), axis=1, return_inverse=True)
    grid = Grid(np.union1d(before.grid.boundaries, after.grid.boundaries))
    first, second = (_on(grid, prior) for prior in (before, after))
    found = np.empty((7, distinct.shape[1]))
    for rows in chunks(distinct.shape[1], grid):
        found[:, rows] = _differ(first, second, distinct[:, rows], level)
    return Difference(*(values[which.ravel()].reshape(shape) for values in found))


def p_unchanged(log_factors: ArrayLike) -> Floats:
    """The probability of each problem not to have changed, the share that did being learned from all of them.

    Args:
        log_factors: As ``Difference.log_factor``, of all problems that were asked, one dimension. One problem more,
            which is known not to have changed, is counted with them: of a handful, none is called changed lightly.

    Returns:
        Of the same shape, in [0, 1]; all 1 where the factors speak for no change together.
    """
    factors = np.exp(np.minimum(np.asarray(log_factors, dtype=np.float64), 600.0))
    share = 0.1
    for _ in range(1000):
        changed = share * factors / (share * factors + 1.0 - share)
        learned = float(changed.sum() / (factors.size + 1))
        if abs(learned - share) < 1e-9:
            break
        share = learned
    result: Floats = (1.0 - share) / (share * factors + 1.0 - share)
    return result


def q_values(tails: ArrayLike, unchanged: ArrayLike) -> Floats:
    """The false discovery rate of calling changed a problem and all that changed more surely.

    Args:
        tails: As ``Difference.tail``, of all problems that were asked, one dimension.
        unchanged: As ``p_unchanged`` gives it, same shape.

    Returns:
        Of the same shape, in [0, 1]: the larger of the rate of Benjamini and Hochberg by the tails, and of the mean of
        the probabilities over the problem and all with a smaller one. To call changed all at or below r keeps the
        expected share of unchanged ones among them at or below r.
    """
    tail, local = (np.asarray(values, dtype=np.float64) for values in (tails, unchanged))
    ranks = np.arange(1, tail.size + 1)
    by_tail, by_local = np.empty_like(tail), np.empty_like(local)
    order = np.argsort(tail, kind="stable")
    by_tail[order] = np.minimum.accumulate((tail[order] * tail.size / ranks)[::-1])[::-1]
    order = np.argsort(local, kind="stable")
    by_local[order] = local[order].cumsum() / ranks
    return np.clip(np.maximum(by_tail, by_local), 0.0, 1.0)


def _differ(first: Prior, second: Prior, counts: Ints, level: float) -> Floats:
    """The seven figures of ``Difference`` for each column of counts, shape (7, columns)."""
    n_first, k_first, n_second, k_second = counts
    a, b = masses(first, n_first, k_first), masses(second, n_second, k_second)
    p = first.grid.p
    likelihoods = likelihood(first.grid, n_first, k_first), likelihood(first.grid, n_second, k_second)
    together = np.maximum((likelihoods[0] * likelihoods[1]) @ ((first.weights + second.weights) / 2), 1e-300)
    factor = np.log(likelihoods[0] @ first.weights) + np.log(likelihoods[1] @ second.weights) - np.log(together)
    means = a @ p, b @ p
    variance = a @ p**2 - means[0] ** 2 + b @ p**2 - means[1] ** 2
    # Within a cell both are constant in theta: half of what both have there is a decrease.
    decrease = (a * (b.cumsum(axis=1) - b / 2)).sum(axis=1)
    size = 2 * BINS
    binned = [np.fft.rfft(np.diff(_cumulative(first.grid, mass), axis=1), size, axis=1) for mass in (a, b)]
    spread = np.clip(np.roll(np.fft.irfft(binned[1] * binned[0].conj(), size, axis=1), BINS, axis=1), 0.0, None)
    interval = np.clip([_quantile(spread, q) for q in ((1 - level) / 2, (1 + level) / 2)], -1.0, 1.0)
    figures = [np.clip(decrease, 0.0, 1.0), np.maximum(variance, 0.0), factor]
    return np.stack([*means, *interval, *figures])


def _on(grid: Grid, prior: Prior) -> Prior:
    """The same prior on a grid that has all its boundaries: exact, because it is constant in theta within a cell."""
    if grid.boundaries.size == prior.grid.boundaries.size:
        return Prior(grid, prior.weights, prior.problems)
    cumulative = np.concatenate([[0.0], prior.weights.cumsum()])
    return Prior(grid, np.diff(np.interp(grid.boundaries, prior.grid.boundaries, cumulative)), prior.problems)


def _cumulative(grid: Grid, mass: Floats) -> Floats:
    """The posterior mass below the edges of ``BINS`` equal bins of pass rate, shape (rows, BINS + 1)."""
    position = np.interp(to_theta(np.linspace(0.0, 1.0, BINS + 1)), grid.boundaries, np.arange(grid.boundaries.size))
    cell = np.minimum(position.astype(np.int64), mass.shape[1] - 1)
    below: Floats = mass.cumsum(axis=1)[:, cell] - mass[:, cell] * (1.0 - (position - cell))
    return below


def _quantile(spread: Floats, q: float) -> Floats:
    """A quantile of differences, of which ``spread`` has the masses about -1, -1 + 1/BINS, ..., each a bin wide."""
    cumulative = spread.cumsum(axis=1)
    wanted = q * cumulative[:, -1]
    at = (cumulative < wanted[:, None]).sum(axis=1)
    rows = np.arange(len(spread))
    inside = (wanted - (cumulative[rows, at] - spread[rows, at])) / np.maximum(spread[rows, at], 1e-300)
    result: Floats = -1.0 + (at - 0.5 + inside) / BINS
    return result
