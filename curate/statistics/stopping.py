"""When to stop drawing rollouts of a problem: the Bayes-optimal table, and what a table does to a set of problems.

Owns the backward induction, the table it gives, and the exact operating characteristics of a table. Takes and gives
numpy arrays; must not import any other room: the scheduler asks the table, the table knows no scheduler.

The state of a problem is its counts (n, k). Stopping costs ``price`` if no side of the band has the posterior mass
that was asked for, else nothing; going on costs the rollouts of one step. The value of a state is the smaller of the
two, ``V(n, k) = min(price * undecided(n, k), cost * m + E[V(n + m, k')])``, from the cap backwards.

Everything rests on one operator. Of n + 1 exchangeable draws with k passes, the first n have k with probability
(n + 1 - k) / (n + 1), else k - 1. So for any quantity weighted by the probability of its state,
``thin(f)(n, k) = f(n+1, k) (n+1-k)/(n+1) + f(n+1, k+1) (k+1)/(n+1)`` takes one draw back, and m of them are a step. It
adds nonnegative numbers only, and turns the beta-binomial predictive at the cap into the one at every smaller n, for
any prior. A table for a cap of 128 takes a few milliseconds, so it is made anew whenever the prior is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curate.errors import UsageError
from curate.statistics.posterior import Side, decide
from curate.statistics.prior import Floats, Prior

LARGEST_CAP = 4096
"""A table has cap^2 / 2 states for each cost."""
NEARLY = 0.05
"""How far below the confidence asked for a problem counts as nearly decided."""


@dataclass(frozen=True, eq=False)
class StoppingTable:
    """What to do with a problem at any counts, for one prior, one band and one price."""

    low: float
    high: float
    confidence: float
    pilot: int
    """Rollouts that every problem gets."""
    step: int
    """Rollouts of each further request; the last one is shorter where the cap is nearer."""
    cap: int
    price: float
    """Rollouts of mean cost that one decided problem is worth."""
    costs: Floats
    """Shape (costs,): expected tokens of one rollout relative to the mean, ascending."""
    sides: NDArray[np.int8]
    """Shape (cap + 1, cap + 1): the ``Side`` that counts [n, k] decide for; meaningless for k > n."""
    nearly: NDArray[np.bool_]
    """Shape (cap + 1, cap + 1): counts [n, k] that miss the confidence by less than ``NEARLY``."""
    continues: NDArray[np.bool_]
    """Shape (costs, cap + 1, cap + 1): draw another step at [n, k]. Below the pilot it is always true."""
    decided_later: NDArray[np.float32]
    """Shape (costs, cap + 1, cap + 1): probability that a problem which goes on ends decided; 0 where it stops."""
    rollouts_later: NDArray[np.float32]
    """Shape (costs, cap + 1, cap + 1): expected rollouts still to draw; 0 where it stops."""

    def continue_(self, n: ArrayLike, k: ArrayLike, cost: ArrayLike = 1.0) -> NDArray[np.bool_]:
        """Whether to draw on. Any n is answered, whether or not the pilot and steps lead there; at the cap, no.

        Args:
            n: Scored rollouts of each problem, at least 0.
            k: Passes of each problem, from 0 to n.
            cost: Expected tokens of one of its rollouts relative to the mean; the nearest of ``costs`` by ratio counts.
        """
        going_on: NDArray[np.bool_] = self.continues[self._at(n, k, cost)] & (np.asarray(n) < self.cap)
        return going_on

    def nearly_decided(self, n: ArrayLike, k: ArrayLike) -> NDArray[np.bool_]:
        """Whether a little sharper prior may decide a problem without another rollout: such problems should go last.

        While the prior is learned from the same run, draw these only once no other problem with fewer than
        ``prior.LEARN_FROM`` rollouts wants more, and fit the prior anew before. What the others tell decides many of
        them: in six simulated sets the order saved 2 to 18% of all rollouts at the same share decided. At and past the
        cap it is False.

        Args:
            n: Scored rollouts of each problem, at least 0.
            k: Passes of each problem, from 0 to n.
        """
        _, drawn, passes = self._at(n, k, 1.0)
        close: NDArray[np.bool_] = self.nearly[drawn, passes] & (np.asarray(n) < self.cap)
        return close

    def next_request(self, n: ArrayLike, k: ArrayLike, cost: ArrayLike = 1.0) -> NDArray[np.int64]:
        """How many rollouts to ask for now: what the pilot still lacks, then a step, never past the cap; 0 to stop."""
        drawn = np.asarray(n, dtype=np.int64)
        size = np.where(drawn < self.pilot, self.pilot - drawn, np.minimum(self.step, self.cap - drawn))
        return np.where(self.continue_(n, k, cost), size, 0)

    def gain(self, n: ArrayLike, k: ArrayLike, cost: ArrayLike = 1.0) -> Floats:
        """The expected gain of going on, for each unit of expected cost: what a budget should be spent by.

        It is ``(V_stop - V_continue) / (cost * rollouts to come)``, in rollouts of mean cost for each such rollout: at
        least 0, and 0 where the table stops. Unlike the decision, the order it gives depends little on the price.
        """
        at = self._at(n, k, cost)
        spent = self.costs[at[0]] * self.rollouts_later[at]
        saved = self.price * self.decided_later[at]
        return np.where(self.continue_(n, k, cost), np.maximum(saved / np.maximum(spent, 1e-300) - 1.0, 0.0), 0.0)

    def _at(self, n: ArrayLike, k: ArrayLike, cost: ArrayLike) -> tuple[NDArray[np.int64], ...]:
        drawn, passes = np.asarray(n, dtype=np.int64), np.asarray(k, dtype=np.int64)
        between = np.sqrt(self.costs[1:] * self.costs[:-1])
        bucket = np.searchsorted(between, np.asarray(cost, dtype=np.float64))
        beyond = drawn > self.cap
        return np.broadcast_arrays(bucket, np.where(beyond, self.cap, drawn), np.where(beyond, 0, passes))


@dataclass(frozen=True, eq=False)
class OperatingCharacteristics:
    """What a table does to problems whose pass rates follow a prior. Exact, no simulation."""

    rollouts: float
    """Expected rollouts of a problem, the pilot included."""
    share_decided: float
    """Share of problems that end decided."""
    share_wrong: float
    """Share of problems that end decided for a side on which they do not lie."""
    error_rate: float
    """Share of wrong ones among the decided; 0 where none is decided."""
    p: Floats
    """Shape (cells,): the prior's pass rates; the next three are given a problem of that pass rate."""
    rollouts_by_p: Floats
    decided_by_p: Floats
    wrong_by_p: Floats


def stopping_table(
    prior: Prior,
    low: float,
    high: float,
    *,
    confidence: float = 0.9,
    pilot: int = 8,
    step: int = 4,
    cap: int = 128,
    price: float | None = None,
    costs: Sequence[float] = (1.0,),
) -> StoppingTable:
    """Make the Bayes-optimal table by backward induction.

    Args:
        prior: How pass rates are spread; best on ``make_grid(edges=(low, high))``.
        low: Lower edge of the band, inclusive.
        high: Upper edge of the band, inclusive.
        confidence: Posterior mass that decides, in (0.5, 1].
        pilot: Rollouts that every problem gets, from 1; a pilot past the cap is cut to the cap.
        step: Rollouts of each further request, from 1.
        cap: Most rollouts of a problem, from 1 to 4,096.
        price: Rollouts of mean cost that one decided problem is worth, above 0; None takes the cap.
        costs: Expected tokens of a rollout relative to the mean, each above 0; one table each.

    Raises:
        UsageError: a cap or a price that no table can have.
    """
    if not 1 <= cap <= LARGEST_CAP:
        raise UsageError(f"no stopping table for a cap of {cap}", where="budget.cap", hint=f"1 to {LARGEST_CAP}")
    worth = float(cap if price is None else price)
    if not worth > 0.0 or pilot < 1 or step < 1 or not min(costs) > 0.0:
        raise UsageError("pilot, step, price and costs must be above 0", where="budget")
    pilot, factors = min(pilot, cap), np.sort(np.asarray(costs, dtype=np.float64))
    shape = (len(factors), cap + 1, cap + 1)
    sides = np.full(shape[1:], int(Side.UNDECIDED), np.int8)
    nearly, continues, later = (
        np.zeros(shape[1:], np.bool_),
        np.zeros(shape, np.bool_),
        np.zeros((2, *shape), np.float32),
    )
    # (3, n + 1): the chance of each count together with each side of the band.
    weighted = (_binomial(prior, cap) @ (prior.weights * prior.grid.regions(low, high)).T).T
    # n -> (3, costs, n + 1): cost to come, share decided and rollouts to come, each weighted by its state's chance.
    values: dict[int, Floats] = {}
    per_draw = np.stack([factors, np.zeros_like(factors), np.ones_like(factors)])
    for n in range(cap, -1, -1):
        chance = weighted.sum(axis=0)
        sides[n, : n + 1] = side = decide(weighted / chance, confidence)
        open_ = side == Side.UNDECIDED
        nearly[n, : n + 1] = open_ & ((weighted / chance).max(axis=0) >= confidence - NEARLY)
        stop = np.stack([worth * open_ * chance, ~open_ * chance, np.zeros(n + 1)])[:, None]
        going_on = np.zeros((len(factors), n + 1), np.bool_)
        values[n] = np.broadcast_to(stop, (3, *going_on.shape))
        if n < cap:
            draws = pilot - n if n < pilot else min(step, cap - n)
            ahead = values[n + draws]
            for _ in range(draws):
                ahead = thin(ahead)
            ahead = ahead + draws * per_draw[..., None] * chance
            going_on = (ahead[0] < stop[0]) | (n < pilot)
            values[n] = np.where(going_on, ahead, stop)
        continues[:, n, : n + 1] = going_on
        later[:, :, n, : n + 1] = np.where(going_on, values[n][1:] / chance, 0.0)
        values.pop(n + max(step, pilot), None)
        weighted = thin(weighted) if n else weighted
    return StoppingTable(
        low, high, confidence, pilot, step, cap, worth, factors, sides, nearly, continues, later[0], later[1]
    )


def operating_characteristics(table: StoppingTable, prior: Prior, cost: float = 1.0) -> OperatingCharacteristics:
    """What a table does to problems that follow a prior, by forward recursion over the states.

    Args:
        table: The table.
        prior: How the problems' pass rates are truly spread; need not be the prior that the table was made from.
        cost: Relative cost of a rollout, as in ``StoppingTable.continue_``.
    """
    regions = prior.grid.regions(table.low, table.high)
    ends = np.zeros((len(Side), prior.weights.size))
    rollouts = np.zeros(prior.weights.size)
    # reach[n][k]: of the orders in which n draws can have k passes, the share along which the table comes to n.
    reach = {0: np.ones(1)}
    for n in range(table.cap + 1):
        if n not in reach:
            continue
        here, passes = reach.pop(n), np.arange(n + 1)
        draws = table.next_request(np.full(n + 1, n), passes, cost)
        stopped = np.where(draws == 0, here, 0.0)
        if stopped.any():
            chance = stopped[:, None] * _binomial(prior, n)
            rollouts += n * chance.sum(axis=0)
            for side in Side:
                ends[side] += chance[table.sides[n, : n + 1] == side].sum(axis=0)
        if (draws > 0).any():
            onwards = np.where(draws > 0, here, 0.0)
            for _ in range(int(draws.max())):
                onwards = _extend(onwards)
            reach[n + int(draws.max())] = onwards
    decided = ends[: Side.UNDECIDED].sum(axis=0)
    wrong = (ends[: Side.UNDECIDED] * (1.0 - regions)).sum(axis=0)
    share_decided, share_wrong = float(decided @ prior.weights), float(wrong @ prior.weights)
    return OperatingCharacteristics(
        rollouts=float(rollouts @ prior.weights),
        share_decided=share_decided,
        share_wrong=share_wrong,
        error_rate=share_wrong / share_decided if share_decided > 0.0 else 0.0,
        p=prior.grid.p,
        rollouts_by_p=rollouts,
        decided_by_p=decided,
        wrong_by_p=wrong,
    )


def frontier(
    prior: Prior,
    low: float,
    high: float,
    prices: ArrayLike,
    *,
    confidence: float = 0.9,
    pilot: int = 8,
    step: int = 4,
    cap: int = 128,
) -> tuple[Floats, Floats]:
    """The fewest rollouts that decide a share of the problems: the bound that no rule of this shape can beat.

    Each price gives the rule that is best at that price, so the points lie on the lower convex hull of what is
    possible, and what lies between two of them is reached by choosing between the two rules at random. A price
    doubles as a cost: a table for price P and cost 1 is the one for price 1 and cost 1/P.

    Args:
        prior: How pass rates are spread; rules know it.
        low: Lower edge of the band, inclusive.
        high: Upper edge of the band, inclusive.
        prices: Rollouts that one decided problem is worth, each above 0.
        confidence: Posterior mass that decides.
        pilot: Rollouts that every problem gets.
        step: Rollouts of each further request.
        cap: Most rollouts of a problem.

    Returns:
        Share decided and expected rollouts of a problem, both ascending, of the shape of prices.
    """
    costs = 1.0 / np.sort(np.asarray(prices, dtype=np.float64))
    table = stopping_table(
        prior, low, high, confidence=confidence, pilot=pilot, step=step, cap=cap, price=1.0, costs=tuple(costs)
    )
    return (
        table.decided_later[::-1, 0, 0].astype(np.float64),
        table.rollouts_later[::-1, 0, 0].astype(np.float64),
    )


def thin(weighted: Floats) -> Floats:
    """Take one draw back: from a quantity over k = 0..n+1, weighted by its state's probability, to k = 0..n.

    Args:
        weighted: Shape (..., n + 2).

    Returns:
        Shape (..., n + 1), with the same sum along the last axis.
    """
    size = weighted.shape[-1] - 1
    passes = np.arange(size) / size
    result: Floats = weighted[..., :-1] * (1 - passes) + weighted[..., 1:] * (passes + 1 / size)
    return result


def _extend(share: Floats) -> Floats:
    """Draw one more: from the share of orders over k = 0..n to k = 0..n+1. The transpose of ``thin``."""
    passes = np.arange(share.size + 1) / share.size
    result: Floats = np.append(share, 0.0) * (1 - passes) + np.append(0.0, share) * passes
    return result


def _binomial(prior: Prior, n: int) -> Floats:
    """The binomial distribution at every p of the grid, shape (n + 1, cells)."""
    from scipy.special import gammaln

    k = np.arange(n + 1)
    orders = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    log = np.stack([orders, k, n - k], axis=1) @ np.stack(
        [np.ones_like(prior.grid.p), prior.grid.log_p, prior.grid.log_q]
    )
    result: Floats = np.exp(log)
    return result
