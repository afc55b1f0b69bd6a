"""Intervals with a guarantee that holds for every pass rate, prior or no prior.

Owns the anytime-valid confidence sequence, and the two fixed-n intervals that reports quote. Takes and gives numpy
arrays; must not import any other room.

Under pass rate p, the ratio of a Beta(a, b) mixture of likelihoods to the likelihood at p is a nonnegative martingale
of mean 1, so by Ville's inequality it ever reaches 1/alpha with probability at most alpha (Robbins 1970; Howard,
Ramdas, McAuliffe and Sekhon 2021). All p whose ratio is below 1/alpha form a confidence set that covers at every n at
once, whatever rule decided when to stop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curate.statistics.prior import Floats, distinct

BISECTIONS = 60
"""Halvings of an interval of theta no longer than pi/2: down to the last bits of a double."""


def confidence_sequence(
    n: ArrayLike, k: ArrayLike, alpha: float = 0.05, a: float = 0.5, b: float = 0.5
) -> tuple[Floats, Floats]:
    """The anytime-valid confidence sequence: all p with ``B(a+k, b+n-k)/B(a,b) < p^k (1-p)^(n-k) / alpha``.

    With n = 0 it is [0, 1]; with k = 0 it begins at 0, with k = n it ends at 1; k/n is always inside.

    Args:
        n: Scored rollouts of each problem, at least 0.
        k: Passes of each problem, from 0 to n; same shape as n.
        alpha: Probability, over the whole life of a problem, that its p is ever outside; in (0, 1).
        a: First parameter of the mixture, above 0.
        b: Second parameter of the mixture, above 0. The default a = b = 1/2 (Krichevsky and Trofimov 1981) is
            within 9% of the narrowest of a = b in [0.1, 2] on average for p in [0.1, 0.9] and n up to 128, and at
            p = 0.005 and n = 128 it is 16% narrower than a = b = 1 and 34% narrower than a = b = 2. Many problems lie
            near 0 or 1.

    Returns:
        Lower and upper ends, of the shape of n, rounded outwards.

    Raises:
        ValueError: counts that no problem can have, or parameters out of their bounds.
    """
    from scipy.special import betaln, xlogy

    if not 0.0 < alpha < 1.0 or a <= 0.0 or b <= 0.0:
        raise ValueError(f"needs 0 < alpha < 1 and a, b > 0, got alpha={alpha}, a={a}, b={b}")
    rollouts, passes, which = distinct(n, k)
    fails = rollouts - passes
    floor = betaln(a + passes, b + fails) - betaln(a, b) + np.log(alpha)

    def inside(theta: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        kept: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
            2 * (xlogy(passes, np.sin(theta)) + xlogy(fails, np.cos(theta))) > floor
        )
        return kept

    # The log likelihood is concave in p with its top at k/n, which is inside because no mixture of likelihoods
    # exceeds their maximum: one root lies on each side of it.
    top = np.arctan2(np.sqrt(passes), np.sqrt(fails))
    outer_low, inner_low = np.zeros_like(top), top.copy()
    outer_high, inner_high = np.full_like(top, np.pi / 2), top.copy()
    for _ in range(BISECTIONS):
        middle = (outer_low + inner_low) / 2
        kept = inside(middle)
        inner_low, outer_low = np.where(kept, middle, inner_low), np.where(kept, outer_low, middle)
        middle = (outer_high + inner_high) / 2
        kept = inside(middle)
        inner_high, outer_high = np.where(kept, middle, inner_high), np.where(kept, outer_high, middle)
    lows = np.where(passes == 0, 0.0, np.sin(outer_low) ** 2)
    highs = np.where(fails == 0, 1.0, np.sin(outer_high) ** 2)
    return lows[which], highs[which]


def clopper_pearson(n: ArrayLike, k: ArrayLike, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """The exact interval for a count that was fixed beforehand, such as the pilot. With n = 0 it is [0, 1].

    Covers with probability at least ``1 - alpha`` for every p, but only if n was not chosen by looking at the rollouts
    (Clopper and Pearson 1934).

    Args:
        n: Scored rollouts of each problem.
        k: Passes of each problem; same shape as n.
        alpha: Probability of p outside, in (0, 1).

    Returns:
        Lower and upper ends, of the shape of n.
    """
    from scipy.special import betaincinv

    rollouts, passes, which = distinct(n, k)
    fails = rollouts - passes
    lows = np.where(passes == 0, 0.0, betaincinv(np.maximum(passes, 1), fails + 1, alpha / 2))
    highs = np.where(fails == 0, 1.0, betaincinv(passes + 1, np.maximum(fails, 1), 1 - alpha / 2))
    return lows[which], highs[which]
