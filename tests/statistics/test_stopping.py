"""The stopping table against brute force, and what it does to a set of problems."""

from __future__ import annotations

from functools import cache
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.statistics import (
    Prior,
    Side,
    estimate,
    fit_prior,
    frontier,
    jeffreys,
    make_grid,
    operating_characteristics,
    stopping_table,
)

LOW, HIGH = 0.25, 0.75


def small_prior(seed: int) -> Prior:
    """A lumpy prior of nine cells, three on each side of the edges: little enough to add up by hand."""
    grid = make_grid((LOW, HIGH), cells=9)
    return Prior(grid, np.random.default_rng(seed).dirichlet(np.full(grid.p.size, 0.7)))


def side_by_hand(prior: Prior, n: int, k: int, confidence: float) -> int:
    mass = [w * p**k * (1 - p) ** (n - k) for w, p in zip(prior.weights, prior.grid.p, strict=True)]
    sides = [0.0, 0.0, 0.0]
    for p, m in zip(prior.grid.p, mass, strict=True):
        sides[0 if p < LOW else 2 if p > HIGH else 1] += m / sum(mass)
    return next((side for side in range(3) if sides[side] >= confidence), 3)


def play(prior, policy, pilot, step, cap, confidence):
    """Rollouts, share decided, share wrong of a policy (a set of states to go on from), by all sequences of draws."""
    rollouts = decided = wrong = 0.0
    for draws in product((0, 1), repeat=cap):
        n = pilot
        while n < cap and (n, sum(draws[:n])) in policy:
            n = min(n + step, cap)
        side = side_by_hand(prior, n, sum(draws[:n]), confidence)
        for w, p in zip(prior.weights, prior.grid.p, strict=True):
            chance = w * p ** sum(draws) * (1 - p) ** (cap - sum(draws))
            rollouts += chance * n
            decided += chance * (side != 3)
            wrong += chance * (side != 3 and side != (0 if p < LOW else 2 if p > HIGH else 1))
    return rollouts, decided, wrong


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("price", [2.0, 9.0])
def test_no_policy_at_all_is_better_than_the_table(seed, price):
    # Pilot 2, step 1, cap 4: seven states to go on from or not, so 128 policies, each played on all 16 sequences.
    prior = small_prior(seed)
    states = [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3)]
    costs = []
    for chosen in product((False, True), repeat=7):
        policy = {state for state, on in zip(states, chosen, strict=True) if on}
        rollouts, decided, _ = play(prior, policy, 2, 1, 4, 0.8)
        costs.append(rollouts + price * (1 - decided))
    table = stopping_table(prior, LOW, HIGH, confidence=0.8, pilot=2, step=1, cap=4, price=price)
    ours = operating_characteristics(table, prior)
    assert ours.rollouts + price * (1 - ours.share_decided) == pytest.approx(min(costs), abs=1e-9)


@pytest.mark.parametrize(("pilot", "step", "cap"), [(1, 1, 9), (2, 3, 10), (4, 4, 11), (3, 2, 3), (20, 4, 7)])
@pytest.mark.parametrize("cost", [0.5, 1.0, 3.0])
def test_the_table_is_the_recursion_of_its_definition(pilot, step, cap, cost):
    prior = small_prior(11)
    price, confidence = 6.0, 0.85

    def chance(n, k, m, j):
        weights = prior.weights * prior.grid.p**k * (1 - prior.grid.p) ** (n - k)
        drawn = comb(m, j) * prior.grid.p**j * (1 - prior.grid.p) ** (m - j)
        return float(weights @ drawn / weights.sum())

    @cache
    def value(n, k):
        stop = price * (side_by_hand(prior, n, k, confidence) == 3)
        return stop if n >= cap else min(stop, go_on(n, k))

    def go_on(n, k):
        m = min(step, cap - n)
        return cost * m + sum(chance(n, k, m, j) * value(n + m, k + j) for j in range(m + 1))

    table = stopping_table(
        prior, LOW, HIGH, confidence=confidence, pilot=pilot, step=step, cap=cap, price=price, costs=(cost,)
    )
    for n in range(min(pilot, cap), cap + 1):
        for k in range(n + 1):
            undecided = side_by_hand(prior, n, k, confidence) == 3
            assert (table.sides[n, k] == Side.UNDECIDED) == undecided
            assert bool(table.continue_(n, k, cost)) == (n < cap and go_on(n, k) < price * undecided)
            spent = cost * table.rollouts_later[0, n, k]
            later = spent + price * (1 - table.decided_later[0, n, k]) if table.continue_(n, k) else price * undecided
            assert later == pytest.approx(value(n, k), abs=1e-5)
            if table.continue_(n, k, cost):
                assert table.gain(n, k, cost) == pytest.approx((price - value(n, k)) / spent, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_operating_characteristics_are_those_of_all_sequences(seed):
    prior, truth = small_prior(seed), small_prior(seed + 50)
    table = stopping_table(prior, LOW, HIGH, confidence=0.8, pilot=3, step=2, cap=10, price=20)
    policy = {(n, k) for n in (3, 5, 7, 9) for k in range(n + 1) if table.continue_(n, k)}
    ours = operating_characteristics(table, prior)
    rollouts, decided, wrong = play(prior, policy, 3, 2, 10, 0.8)
    assert (ours.rollouts, ours.share_decided, ours.share_wrong) == pytest.approx((rollouts, decided, wrong), abs=1e-9)
    assert ours.error_rate == pytest.approx(wrong / decided if decided else 0.0)
    elsewhere = operating_characteristics(table, truth)
    assert elsewhere.rollouts == pytest.approx(elsewhere.rollouts_by_p @ truth.weights)
    assert elsewhere.rollouts_by_p == pytest.approx(ours.rollouts_by_p)


def test_looking_ahead_and_playing_forward_agree():
    prior = jeffreys(make_grid((0.2, 0.8)))
    table = stopping_table(prior, 0.2, 0.8)
    forward = operating_characteristics(table, prior)
    assert forward.rollouts == pytest.approx(table.rollouts_later[0, 0, 0], rel=1e-6)
    assert forward.share_decided == pytest.approx(table.decided_later[0, 0, 0], rel=1e-6)


def test_the_sides_are_those_of_the_estimates():
    prior = fit_prior(np.full(100, 16), np.arange(100) % 17, make_grid((0.2, 0.8)))
    table = stopping_table(prior, 0.2, 0.8, cap=64)
    for n in (0, 8, 13, 64):
        k = np.arange(n + 1)
        assert np.array_equal(estimate(prior, np.full(n + 1, n), k, 0.2, 0.8).side(0.9), table.sides[n, : n + 1])


def test_nearly_decided_problems_miss_the_confidence_by_less_than_a_twentieth():
    prior = jeffreys(make_grid((0.2, 0.8)))
    table = stopping_table(prior, 0.2, 0.8, cap=32)
    for n in (0, 8, 12, 31):
        k = np.arange(n + 1)
        found = estimate(prior, np.full(n + 1, n), k, 0.2, 0.8)
        most = np.max([found.p_below, found.p_in_band, found.p_above], axis=0)
        assert np.array_equal(table.nearly_decided(np.full(n + 1, n), k), (most >= 0.85) & (most < 0.9))
    assert table.nearly[8].any()
    assert not table.nearly_decided(np.full(33, 32), np.arange(33)).any()


def test_decided_problems_are_wrong_no_more_often_than_the_confidence_allows():
    prior = jeffreys(make_grid((0.2, 0.8)))
    for confidence in (0.8, 0.9, 0.99):
        table = stopping_table(prior, 0.2, 0.8, confidence=confidence)
        assert 0 < operating_characteristics(table, prior).error_rate <= 1 - confidence


def test_clear_problems_stop_at_once_and_hopeless_edges_are_given_up():
    prior = jeffreys(make_grid((0.2, 0.8)))
    table = stopping_table(prior, 0.2, 0.8)
    assert not table.continue_([8, 8], [0, 8]).any()
    assert bool(table.continue_(8, 2))
    assert table.sides[100, 20] == Side.UNDECIDED
    assert not table.continue_(100, 20)
    eager = stopping_table(prior, 0.2, 0.8, price=1e9)
    assert bool(eager.continue_(100, 20))
    # Even at any price there is nothing to buy at 25 of 124: no count at the cap decides.
    assert (eager.sides[128, 25:30] == Side.UNDECIDED).all()
    assert not eager.continue_(124, 25)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 40))
def test_requests_lead_from_nothing_to_the_cap_and_no_further(pilot, step, cap):
    table = stopping_table(small_prior(1), LOW, HIGH, confidence=0.99, pilot=pilot, step=step, cap=cap, price=1e6)
    n = np.arange(cap + 5)
    k = n // 2
    request = table.next_request(n, k)
    assert (request >= 0).all()
    assert (request[n >= cap] == 0).all()
    assert (n + request)[n < cap].max() <= cap
    below = n < min(pilot, cap)
    assert ((n + request)[below] == min(pilot, cap)).all()
    assert (request[~below] <= step).all()
    assert np.array_equal(table.continue_(n, k), request > 0)


def test_costly_problems_are_given_up_sooner():
    prior = jeffreys(make_grid((0.2, 0.8)))
    table = stopping_table(prior, 0.2, 0.8, costs=(4.0, 1.0, 0.25))
    assert table.costs.tolist() == [0.25, 1.0, 4.0]
    cheap, mean, dear = table.continues
    assert (cheap >= mean).all()
    assert (mean >= dear).all()
    assert mean.sum() > dear.sum()
    # Nearest by ratio: 1.9 lies nearer to 1, 2.1 nearer to 4.
    n, k = np.meshgrid(np.arange(8, 128), np.arange(8), indexing="ij")
    assert np.array_equal(table.continue_(n, k, 1.9), table.continue_(n, k, 1.0))
    assert np.array_equal(table.continue_(n, k, 2.1), table.continue_(n, k, 4.0))
    alone = stopping_table(prior, 0.2, 0.8, price=128 / 4)
    assert np.array_equal(alone.continues[0], dear)


def test_gain_is_nothing_where_the_table_stops_and_falls_with_the_cost():
    table = stopping_table(jeffreys(make_grid((0.2, 0.8))), 0.2, 0.8, costs=(1.0, 2.0))
    n = np.repeat(np.arange(8, 129, 4), 9)
    k = np.tile(np.arange(9), 31)
    gain = table.gain(n, k)
    assert (gain[~table.continue_(n, k)] == 0).all()
    assert (gain[table.continue_(n, k)] > 0).all()
    assert (table.gain(n, k, 2.0) <= gain).all()


def test_the_frontier_is_convex_and_holds_every_other_rule():
    prior = jeffreys(make_grid((0.2, 0.8)))
    share, rollouts = frontier(prior, 0.2, 0.8, np.geomspace(2, 2000, 25))
    assert (np.diff(share) >= -1e-6).all()
    assert (np.diff(rollouts) >= -1e-4).all()
    assert rollouts[0] == pytest.approx(8.0, abs=0.5)
    moved = np.diff(share) > 1e-4
    slopes = np.diff(rollouts)[moved] / np.diff(share)[moved]
    assert (np.diff(slopes) > 0).all()
    for fixed in (16, 32, 64):
        rule = operating_characteristics(stopping_table(prior, 0.2, 0.8, pilot=fixed, cap=fixed), prior)
        assert np.interp(rule.share_decided, share, rollouts) < rule.rollouts


@pytest.mark.parametrize(
    "wrong", [{"cap": 0}, {"cap": 5000}, {"price": 0.0}, {"pilot": 0}, {"step": 0}, {"costs": (0.0,)}]
)
def test_settings_that_make_no_table_are_refused(wrong):
    with pytest.raises(UsageError):
        stopping_table(small_prior(0), LOW, HIGH, **wrong)
