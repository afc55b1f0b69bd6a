"""The genuine pass rate: how often a problem is solved by work that supports the answer.

Owns what the counts of audited passes say: the posterior of a pass being genuine, its product with the pass rate,
whether genuine passes would outvote shortcuts in a trainer's group, and how much a shortcut would gain there. Takes and
gives numpy arrays; must not import any other room: who says that a pass is genuine (checked steps, a judge) is not its
business, and neither is how far they are to be trusted.

Of a problem's passes some were audited and some of those found genuine. A pass is genuine with probability q, which is
Beta(a + genuine, b + audited - genuine). The pass rate p has its own posterior; p and q are taken as independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curate.statistics.groups import Scaling, group_numbers, success_advantage
from curate.statistics.posterior import expectation, masses, quantiles
from curate.statistics.prior import Floats, Prior

WEAK = 2.0
"""Strength of the prior of q, in audited passes: two of a problem's own say as much."""
NODES = 128
"""Quantiles by which each factor of the genuine pass rate is represented; the interval's ends are good to 0.002."""


@dataclass(frozen=True, eq=False)
class Genuine:
    """What is known of each problem's genuine passes; every array has the shape of the counts."""

    p_genuine: Floats
    """Probability that a pass is genuine: the mean of q."""
    rate: Floats
    """The genuine pass rate: the posterior mean of p q."""
    low: Floats
    high: Floats
    """Its equal-tailed credible interval."""
    p_outvote: Floats
    """The lower bound on the probability that genuine passes outnumber shortcuts in a group that has a pass."""
    risk: Floats
    """What a shortcut stands to gain: P(lone | mixed) x the lone success's advantage x P(shortcut | pass)."""


def genuine_prior(audited: ArrayLike, genuine: ArrayLike, strength: float = WEAK) -> tuple[float, float]:
    """A weak prior of q from all problems of a set: centred on the share of their audited passes that is genuine.

    Args:
        audited: Audited passes of each problem.
        genuine: Those found genuine.
        strength: How many audited passes the prior is worth, above 0.

    Returns:
        a and b, which sum to ``strength``. Without any audited pass both are half of it.

    Raises:
        ValueError: counts that no problem can have, or a strength that is none.
    """
    seen, found = _audits(audited, genuine)
    if strength <= 0.0:
        raise ValueError(f"the strength of a prior is above 0, got {strength}")
    share = (float(found.sum()) + 1.0) / (float(seen.sum()) + 2.0)
    return strength * share, strength * (1.0 - share)


def genuine(
    prior: Prior,
    n: ArrayLike,
    k: ArrayLike,
    audited: ArrayLike,
    genuine: ArrayLike,
    group_size: int,
    *,
    a: float = WEAK / 2,
    b: float = WEAK / 2,
    level: float = 0.95,
    scaling: Scaling = "sample",
) -> Genuine:
    """Estimate each problem's genuine passes.

    A problem none of whose passes was audited has the prior's q. A lone success among G is normalised to the largest
    advantage that a group can give, so the risk is greatest where passes are rare and not genuine, and goes to 0 where
    all are genuine or the groups' passes are many.

    Args:
        prior: How pass rates are spread.
        n: Scored rollouts of each problem.
        k: Passes of each problem, from 0 to n; same shape as n.
        audited: Passes that were audited, at most k; same shape.
        genuine: Audited passes that were found genuine; same shape.
        group_size: G of the trainer, at least 2.
        a: First parameter of q's Beta prior, above 0; see ``genuine_prior``.
        b: Second parameter, above 0.
        level: Mass of the credible interval, in (0, 1); the bound of ``p_outvote`` takes q at the lower end of a
            one-sided interval of that mass.
        scaling: What the trainer divides the centred reward by.

    Returns:
        Arrays of the shape of n.

    Raises:
        ValueError: counts that no problem can have, parameters that no Beta has, or a group too small.
    """
    from scipy.special import betaincinv

    seen, found = _audits(audited, genuine)
    rollouts, passes = np.asarray(n, dtype=np.int64), np.asarray(k, dtype=np.int64)
    if seen.shape != passes.shape or (seen > passes).any():
        raise ValueError("audited passes must be passes: one count for each problem, at most k")
    if a <= 0.0 or b <= 0.0 or not 0.0 < level < 1.0:
        raise ValueError(f"needs a, b > 0 and 0 < level < 1, got a={a}, b={b}, level={level}")
    if group_size < 2:
        raise ValueError(f"a group that compares has at least two rollouts, got {group_size}")
    alpha, beta = a + found, b + seen - found
    p_genuine = alpha / (alpha + beta)
    rate = expectation(prior, rollouts, passes, prior.grid.p[None, :])[0] * p_genuine
    low, high = _interval(prior, rollouts, passes, seen, found, (a, b), level)
    groups = group_numbers(prior, rollouts, passes, group_size)
    lone = np.divide(groups.p_lone, groups.p_mixed, out=np.ones_like(rate), where=groups.p_mixed > 0.0)
    advantage = success_advantage(group_size, 1, scaling)
    return Genuine(
        p_genuine=p_genuine,
        rate=rate,
        low=low,
        high=high,
        p_outvote=_outvote(prior, rollouts, passes, betaincinv(alpha, beta, 1.0 - level), group_size),
        risk=lone * advantage * (1.0 - p_genuine),
    )


def genuine_masses(
    prior: Prior,
    n: ArrayLike,
    k: ArrayLike,
    audited: ArrayLike,
    genuine: ArrayLike,
    low: float,
    high: float,
    *,
    a: float = WEAK / 2,
    b: float = WEAK / 2,
) -> Floats:
    """The posterior mass of the genuine pass rate below, in and above a band.

    At a pass rate p the genuine one is at most x with probability ``P(q <= x / p)``; that is averaged over p.

    Args:
        prior: How pass rates are spread.
        n: Scored rollouts of each problem.
        k: Passes of each problem; same shape as n.
        audited: Passes that were audited, at most k; same shape.
        genuine: Audited passes that were found genuine; same shape.
        low: Lower edge of the band, inclusive, in [0, high].
        high: Upper edge of the band, inclusive, in [low, 1].
        a: First parameter of q's Beta prior, above 0.
        b: Second parameter, above 0.

    Returns:
        Shape (3, *n.shape), summing to 1 over the first axis.

    Raises:
        ValueError: counts that no problem can have, or a band that is none.
    """
    from scipy.special import betainc

    seen, found = _audits(audited, genuine)
    rollouts, passes = np.asarray(n, dtype=np.int64), np.asarray(k, dtype=np.int64)
    if not 0.0 <= low <= high <= 1.0:
        raise ValueError(f"a band needs 0 <= low <= high <= 1, got {low} and {high}")
    under = np.minimum(np.array([low, high])[:, None] / prior.grid.p, 1.0)
    below = np.empty((2, rollouts.size))
    pairs, which = np.unique(np.stack([seen.ravel(), found.ravel()]), axis=1, return_inverse=True)
    for number, (of, good) in enumerate(pairs.T):
        rows = np.flatnonzero(which.ravel() == number)
        tails = betainc(a + good, b + of - good, under)
        below[:, rows] = expectation(prior, rollouts.ravel()[rows], passes.ravel()[rows], tails)
    outer, inner = np.clip(below, 0.0, 1.0)
    return np.stack([outer, inner - outer, 1.0 - inner]).reshape(3, *rollouts.shape)


def cot_pass_at(n: ArrayLike, correct: ArrayLike, k: int) -> Floats:
    """CoT-Pass@K: the probability that of k rollouts at least one has both a right answer and right reasoning.

    The unbiased estimate ``1 - C(n - c, k) / C(n, k)`` of Pass@K (Chen and others, arXiv 2107.03374), where c counts
    the rollouts whose reasoning is right too (Wen and others, arXiv 2506.14245). With c = 0 it is 0.

    Args:
        n: Rollouts of each problem, at least k.
        correct: Those right in both; same shape.
        k: At least 1.

    Raises:
        ValueError: counts that no problem can have.
    """
    from scipy.special import gammaln

    rollouts, right = np.asarray(n, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if k < 1 or (rollouts < k).any() or (right < 0).any() or (right > rollouts).any():
        raise ValueError("needs 1 <= k <= n and 0 <= correct <= n for each problem")
    wrong = rollouts - right
    left = np.maximum(wrong, k)
    log = gammaln(left + 1) - gammaln(left - k + 1) - gammaln(rollouts + 1) + gammaln(rollouts - k + 1)
    result: Floats = np.where(wrong < k, 1.0, -np.expm1(np.minimum(log, 0.0)))
    return result


def _outvote(prior: Prior, n: np.ndarray, k: np.ndarray, q: Floats, size: int) -> Floats:
    """P(more genuine passes than shortcuts | a pass) in a group of ``size``, for a given q of each problem.

    Of m passes more than half are genuine; a tie is not won. It rises with q whatever p is, so at a lower bound of q it
    is a lower bound.
    """
    from scipy.special import bdtrc, gammaln

    m = np.arange(1, size + 1)
    orders = gammaln(size + 1) - gammaln(m + 1) - gammaln(size - m + 1)
    log = orders[:, None] + np.multiply.outer(m, prior.grid.log_p) + np.multiply.outer(size - m, prior.grid.log_q)
    passing = expectation(prior, n, k, np.exp(log))
    won = bdtrc(m // 2, m, q[..., None])
    result: Floats = (passing * np.moveaxis(won, -1, 0)).sum(axis=0) / passing.sum(axis=0)
    return np.clip(result, 0.0, 1.0)


def _interval(
    prior: Prior,
    n: np.ndarray,
    k: np.ndarray,
    audited: np.ndarray,
    found: np.ndarray,
    weak: tuple[float, float],
    level: float,
) -> tuple[Floats, Floats]:
    """The quantiles of p q, from all products of equally likely quantiles of either."""
    from scipy.special import betaincinv

    rows, which = np.unique(
        np.stack([n.ravel(), k.ravel(), audited.ravel(), found.ravel()]), axis=1, return_inverse=True
    )
    middles = (np.arange(NODES) + 0.5) / NODES
    ends = np.empty((rows.shape[1], 2))
    for start in range(0, rows.shape[1], 64):
        rollouts, passes, seen, good = rows[:, start : start + 64]
        p = quantiles(prior.grid, masses(prior, rollouts, passes), tuple(middles))
        q = betaincinv((weak[0] + good)[:, None], (weak[1] + seen - good)[:, None], middles)
        products = (p[:, :, None] * q[:, None, :]).reshape(len(p), -1)
        ends[start : start + 64] = np.quantile(products, ((1 - level) / 2, (1 + level) / 2), axis=1).T
    low, high = ends[which.ravel()].T.reshape(2, *n.shape)
    return low, high


def _audits(audited: ArrayLike, genuine: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    seen, found = np.asarray(audited, dtype=np.int64), np.asarray(genuine, dtype=np.int64)
    if seen.shape != found.shape or (found < 0).any() or (found > seen).any():
        raise ValueError("genuine passes must lie between 0 and the audited ones, one count for each problem")
    return seen, found
