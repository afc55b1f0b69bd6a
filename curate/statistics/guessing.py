"""Guessing: whether the passes of a problem are more than a guess would bring.

Owns the exact test against a guess rate that is itself uncertain, the control of false discoveries over many problems,
and what a pass is worth where a guess may bring one. Takes and gives numpy arrays; must not import any other room: how
a guess rate was come by (the form of the answer, or a probe that sampled bare answers) is not its business.

The guess rate g of a problem is Beta(a, b). A probe that drew m bare answers of which j passed makes Beta(a, b) into
Beta(a + j, b + m - j), because the Beta is conjugate. NaN stands for a problem whose answer is open: a guess is
hopeless there, and no pass is luck.

Two questions are asked of the counts, and they are not the same:

- Are the passes more frequent than guessing explains? A test (``guess_test``), whose answer for enough rollouts is yes
  for every problem that the model solves ever so little: at a pass rate of 0.55 a yes-or-no question is no pure guess.
- How many of the passes are luck? Under the oldest model of guessing, in which a model knows the answer or guesses it
  (the correction for guessing of formula scoring; the lower asymptote of Birnbaum's three-parameter logistic, 1968), a
  problem with pass rate p is known with probability ``(p - g) / (1 - g)``, and of its passes the share
  ``g (1 - p) / ((1 - g) p)`` is luck; all of them where p <= g. That share decides what training would reinforce. At
  0.55 it is 82% of the passes of a yes-or-no question, at 0.67 half, at 0.9 a ninth.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curate.statistics.posterior import expectation
from curate.statistics.prior import Floats, Ints, Prior, jeffreys, make_grid

Bools = NDArray[np.bool_]

HALF = 0.5
"""The share of lucky passes from which a problem is one to guess: a pass is then no more likely earned than not."""


class GuessVerdict(StrEnum):
    """What the counts say about guessing."""

    GUESSING = "indistinguishable from guessing"
    BETTER = "better than guessing"
    UNCLEAR = "not enough evidence"


def guess_test(n: ArrayLike, k: ArrayLike, a: ArrayLike, b: ArrayLike) -> Floats:
    """The p-value of "no more than a guess": P(at least k passes in n draws | guess rate ~ Beta(a, b)).

    Exact: the upper tail of the beta-binomial distribution. It is 1 for k = 0, and conservative as every exact test of
    counts is. Valid where n was not chosen by looking at the passes; where rollouts were drawn until the outcome was
    clear it is a good guide, and the posterior of ``p_luck`` is not touched by that.

    Args:
        n: Scored rollouts of each problem, at least 0.
        k: Passes of each problem, from 0 to n; same shape as n.
        a: First parameter of the guess rate's Beta, above 0; NaN where a guess is hopeless. Of the shape of n, or one.
        b: Second parameter, above 0; NaN where a is.

    Returns:
        Of the shape of n; NaN where a guess is hopeless, because nothing is tested there.

    Raises:
        ValueError: counts that no problem can have, or parameters that no Beta has.
    """
    from scipy.special import betaln, gammaln

    rollouts, passes, first, second = _checked(n, k, a, b)
    tested = ~np.isnan(first)
    rows, which = np.unique(
        np.stack([rollouts[tested], passes[tested], first[tested], second[tested]]), axis=1, return_inverse=True
    )
    size, start, alpha, beta = rows
    # The tail that begins on its own side of the mean is summed: its largest terms come first, and none is lost to
    # underflow that matters. The other is its complement.
    upper = start > size * alpha / (alpha + beta)
    at = np.where(upper, start, np.maximum(start - 1, 0))
    log = gammaln(size + 1) - gammaln(at + 1) - gammaln(size - at + 1)
    term = np.exp(log + betaln(alpha + at, beta + size - at) - betaln(alpha, beta)) * (start > 0)
    total = term.copy()
    going = np.flatnonzero(np.where(upper, at < size, at > 0))
    while going.size:
        here, of, x, y, up = at[going], size[going], alpha[going], beta[going], upper[going]
        # Each term from its neighbour nearer to the mean; both ratios begin at the smaller of the two counts.
        low = np.where(up, here, here - 1)
        ratio = (of - low) * (x + low) / ((low + 1) * (y + of - low - 1))
        term[going] *= np.where(up, ratio, 1.0 / ratio)
        total[going] += term[going]
        at[going] = np.where(up, here + 1, here - 1)
        going = going[np.where(up, here + 1 < of, here - 1 > 0)]
    tails = np.clip(np.where(upper, total, 1.0 - total), 0.0, 1.0)
    result = np.full(rollouts.shape, np.nan)
    result[tested] = tails[which.ravel()]
    return result


def false_discoveries(p_values: ArrayLike, rate: float = 0.05, *, dependent: bool = False) -> Bools:
    """Which hypotheses to reject so that at most ``rate`` of the rejected are true, on average over datasets.

    The step-up rule of Benjamini and Hochberg (1995): the largest i whose i-th smallest p-value is at most
    ``rate * i / m`` is rejected with all smaller ones. It holds for independent p-values and for positively dependent
    ones.

    Args:
        p_values: Each in [0, 1]; NaN is no hypothesis: it is not counted among the m, and never rejected. Problems
            with open answers must be NaN and not 0: sure rejections in great number would lend their share of errors
            to the few that are in doubt.
        rate: In (0, 1).
        dependent: Hold under any dependence, at the price of a factor of about log m (Benjamini and Yekutieli 2001).

    Returns:
        Of the shape of p_values. All False where there is no hypothesis.

    Raises:
        ValueError: a rate or a p-value out of its bounds.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not 0.0 < rate < 1.0:
        raise ValueError(f"the rate of false discoveries lies in (0, 1), got {rate}")
    tested = values[~np.isnan(values)]
    if (tested < 0).any() or (tested > 1).any():
        raise ValueError("a p-value lies in [0, 1]")
    count = tested.size
    if not count:
        return np.zeros(values.shape, dtype=np.bool_)
    order = np.arange(1, count + 1)
    penalty = float((1.0 / order).sum()) if dependent else 1.0
    ascending = np.sort(tested)
    met = np.flatnonzero(ascending <= rate * order / (count * penalty))
    threshold = ascending[met[-1]] if met.size else -1.0
    with np.errstate(invalid="ignore"):
        rejected: Bools = values <= threshold
    return rejected


def corrected(p: ArrayLike, g: ArrayLike) -> Floats:
    """The pass rate with its luck taken out: ``(p - g) / (1 - g)``, and 0 where p <= g.

    How often the model knows the answer, if it knows it or guesses. With g = 0 it is p.

    Args:
        p: Pass rates, in [0, 1].
        g: Guess rates, in [0, 1).
    """
    rate, guess = np.asarray(p, dtype=np.float64), np.asarray(g, dtype=np.float64)
    result: Floats = np.maximum(rate - guess, 0.0) / (1.0 - guess)
    return result


def lucky_share(p: ArrayLike, g: ArrayLike) -> Floats:
    """The share of passes that are luck: ``g (1 - p) / ((1 - g) p)``, and 1 where p <= g.

    A model that does not know the answer, which it does not with probability ``(1 - p) / (1 - g)``, passes at the rate
    g all the same. With g = 0 no pass is luck; with p = 1 none is either.

    Args:
        p: Pass rates, in (0, 1].
        g: Guess rates, in [0, 1).
    """
    rate, guess = np.asarray(p, dtype=np.float64), np.asarray(g, dtype=np.float64)
    result: Floats = np.minimum(guess * (1.0 - rate) / ((1.0 - guess) * rate), 1.0)
    return result


def p_luck(
    n: ArrayLike, k: ArrayLike, a: ArrayLike, b: ArrayLike, *, prior: Prior | None = None, share: float = HALF
) -> Floats:
    """The posterior probability that at least ``share`` of a problem's passes are luck.

    ``lucky_share(p, g) >= share`` where ``g >= share p / (share p + 1 - p)``, so the probability is the average of the
    Beta's upper tail there over the posterior of p; p and g are taken as independent. With n = 0 it is what the prior
    says.

    Args:
        n: Scored rollouts of each problem, at least 0.
        k: Passes of each problem, from 0 to n; same shape as n.
        a: First parameter of the guess rate's Beta, above 0; NaN where a guess is hopeless. Of the shape of n, or one.
        b: Second parameter, above 0; NaN where a is.
        prior: How pass rates are spread; Jeffreys where it is not given.
        share: In (0, 1].

    Returns:
        Of the shape of n; 0 where a guess is hopeless.

    Raises:
        ValueError: counts that no problem can have, parameters that no Beta has, or a share out of its bounds.
    """
    from scipy.special import betaincc

    if not 0.0 < share <= 1.0:
        raise ValueError(f"a share of the passes lies in (0, 1], got {share}")
    rollouts, passes, first, second = _checked(n, k, a, b)
    belief = jeffreys(make_grid()) if prior is None else prior
    p = belief.grid.p
    bound = share * p / (share * p + 1.0 - p)
    result = np.zeros(rollouts.shape)
    tested = np.flatnonzero(~np.isnan(first.ravel()))
    pairs, which = np.unique(np.stack([first.ravel(), second.ravel()])[:, tested], axis=1, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=pairs.shape[1]))
    for number, (alpha, beta) in enumerate(pairs.T):
        rows = tested[order[ends[number - 1] if number else 0 : ends[number]]]
        tail = betaincc(alpha, beta, bound)[None, :]
        result.flat[rows] = expectation(belief, rollouts.ravel()[rows], passes.ravel()[rows], tail)[0]
    return np.clip(result, 0.0, 1.0)


def guess_verdicts(
    n: ArrayLike,
    k: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    prior: Prior | None = None,
    rate: float = 0.05,
    confidence: float = 0.9,
    dependent: bool = False,
) -> list[GuessVerdict]:
    """Say of each problem whether its passes are more than guessing, over one dataset.

    - ``BETTER``: the test rejects "no more than a guess", with the rate of false discoveries held over all problems
      given; or a guess is hopeless there, and the problem passed.
    - ``GUESSING``: the test does not reject, and with probability at least ``confidence`` half of the passes or more
      are luck. A test that does not reject shows nothing by itself: this is the statement of equivalence that does.
      Its margin is no number of our choosing: it is where a pass becomes more likely luck than not.
    - ``UNCLEAR``: neither; more rollouts, or a probe, would tell.

    Args:
        n: Scored rollouts of each problem, one-dimensional.
        k: Passes of each problem.
        a: First parameter of the guess rate's Beta; NaN where a guess is hopeless.
        b: Second parameter.
        prior: How pass rates are spread; Jeffreys where it is not given.
        rate: Of false discoveries, in (0, 1).
        confidence: In (0.5, 1).
        dependent: As for ``false_discoveries``.

    Returns:
        One verdict for each problem, in order.
    """
    better = false_discoveries(guess_test(n, k, a, b), rate, dependent=dependent)
    _, passes, first, _ = _checked(n, k, a, b)
    better |= np.isnan(first) & (passes > 0)
    guessing = p_luck(n, k, a, b, prior=prior) >= confidence
    verdicts = np.where(better, GuessVerdict.BETTER, np.where(guessing, GuessVerdict.GUESSING, GuessVerdict.UNCLEAR))
    return [GuessVerdict(verdict) for verdict in verdicts]


def guessable(
    n: ArrayLike,
    k: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    few: ArrayLike,
    *,
    prior: Prior | None = None,
    confidence: float = 0.9,
) -> Bools:
    """Which problems to flag: those whose passes are, or may well be, mostly luck.

    The burden of proof lies where the question puts it. A question with few possible answers is one to guess until its
    rollouts show otherwise: it is flagged unless, with probability at least ``confidence``, more than half of its
    passes are earned. Any other is flagged only where, with that probability, half of them or more are luck. So a kept
    problem is one whose passes are known to be mostly earned, as surely as it is known to lie in the band. A pass rate
    of 0.7 on a yes-or-no question, better than chance as it is, is kept only when many rollouts and a firm guess rate
    say so.

    Args:
        n: Scored rollouts of each problem.
        k: Passes of each problem.
        a: First parameter of the guess rate's Beta; NaN where a guess is hopeless: such a problem is never flagged.
        b: Second parameter.
        few: Whether the question itself leaves few possible answers.
        prior: How pass rates are spread; Jeffreys where it is not given.
        confidence: In (0.5, 1).

    Returns:
        Of the shape of n.

    Raises:
        ValueError: counts that no problem can have, parameters that no Beta has, or a confidence out of its bounds.
    """
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0.5, 1), got {confidence}")
    luck = p_luck(n, k, a, b, prior=prior)
    _, _, first, _ = _checked(n, k, a, b)
    burden = np.broadcast_to(np.asarray(few, dtype=np.bool_), luck.shape)
    flagged: Bools = ~np.isnan(first) & np.where(burden, luck > 1.0 - confidence, luck >= confidence)
    return flagged


def _checked(n: ArrayLike, k: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Ints, Ints, Floats, Floats]:
    """The counts as integers and the parameters as floats, all of the shape of n."""
    rollouts, passes = np.asarray(n, dtype=np.int64), np.asarray(k, dtype=np.int64)
    if rollouts.shape != passes.shape:
        raise ValueError(f"n and k differ in shape: {rollouts.shape} and {passes.shape}")
    if (passes < 0).any() or (passes > rollouts).any():
        raise ValueError("passes must lie between 0 and the number of rollouts")
    first, second = (np.broadcast_to(np.asarray(one, dtype=np.float64), rollouts.shape) for one in (a, b))
    if (first <= 0).any() or (second <= 0).any() or (np.isnan(first) != np.isnan(second)).any():
        raise ValueError("a guess rate is Beta(a, b) with a, b > 0, or NaN for both")
    return rollouts, passes, first, second
