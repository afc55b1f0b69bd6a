"""Estimates against closed forms, properties, and calibration by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from curate.statistics import (
    LEARN_FROM,
    Estimates,
    Side,
    decide,
    estimate,
    expectation,
    fit_prior,
    jeffreys,
    make_grid,
    stopping_table,
)

GRID = make_grid((0.2, 0.8))
JEFFREYS = jeffreys(GRID)
LEARNED = fit_prior(np.full(200, 8), np.tile(np.arange(8), 25), GRID)


@pytest.mark.parametrize(
    ("n", "tolerance"), [(1, 1e-5), (8, 1e-5), (24, 1e-5), (128, 2e-5), (1024, 2e-4), (4096, 5e-4)]
)
@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (0.125, 0.875), (0.02, 0.98)])
def test_jeffreys_estimates_are_those_of_the_beta_distribution(n, tolerance, low, high):
    k = np.arange(n + 1)
    ours = estimate(jeffreys(make_grid((low, high))), np.full(n + 1, n), k, low, high)
    beta = stats.beta(k + 0.5, n - k + 0.5)
    assert ours.pass_rate == pytest.approx((k + 0.5) / (n + 1), abs=1e-7)
    assert ours.ci_low == pytest.approx(beta.ppf(0.025), abs=tolerance)
    assert ours.ci_high == pytest.approx(beta.ppf(0.975), abs=tolerance)
    assert ours.p_below == pytest.approx(beta.cdf(low), abs=tolerance)
    assert ours.p_in_band == pytest.approx(beta.cdf(high) - beta.cdf(low), abs=2 * tolerance)
    assert ours.p_above == pytest.approx(beta.sf(high), abs=tolerance)


def test_a_grid_made_for_another_band_serves_too():
    k = np.arange(25)
    ours = estimate(JEFFREYS, np.full(25, 24), k, 0.33, 0.61)
    beta = stats.beta(k + 0.5, 24 - k + 0.5)
    assert ours.p_below == pytest.approx(beta.cdf(0.33), abs=1e-4)
    assert ours.p_above == pytest.approx(beta.sf(0.61), abs=1e-4)


def test_without_rollouts_the_estimate_is_the_prior():
    ours = estimate(JEFFREYS, [0], [0], 0.2, 0.8)
    arcsine = stats.beta(0.5, 0.5)
    assert ours.pass_rate[0] == pytest.approx(0.5, abs=1e-12)
    assert ours.ci_low[0] == pytest.approx(arcsine.ppf(0.025), abs=1e-7)
    assert ours.p_below[0] == pytest.approx(arcsine.cdf(0.2), abs=1e-12)


def test_zero_of_eight_is_no_proof_of_hard():
    # The design's remark: 0 of 8 leaves an interval to about .26 with Jeffreys (.32 one that is unconditional).
    ours = estimate(JEFFREYS, [8], [0], 0.2, 0.8)
    assert ours.ci_high[0] == pytest.approx(stats.beta(0.5, 8.5).ppf(0.975), abs=1e-5)
    assert ours.ci_high[0] > 0.26


def test_the_shape_of_the_counts_is_the_shape_of_the_estimates():
    n = np.array([[8, 8, 4], [8, 0, 8]])
    k = np.array([[1, 2, 4], [1, 0, 8]])
    ours = estimate(LEARNED, n, k, 0.2, 0.8)
    assert ours.pass_rate.shape == ours.ci_low.shape == ours.p_above.shape == (2, 3)
    assert ours.pass_rate[0, 0] == ours.pass_rate[1, 0]
    assert estimate(LEARNED, [], [], 0.2, 0.8).pass_rate.shape == (0,)


def test_more_pairs_than_one_chunk_holds_give_the_same_rows():
    n = np.repeat(np.arange(60), 60)
    k = np.minimum(np.tile(np.arange(60), 60), n)
    whole = estimate(LEARNED, n, k, 0.2, 0.8)
    for at in (0, 100, 1900, 3599):
        one = estimate(LEARNED, n[at : at + 1], k[at : at + 1], 0.2, 0.8)
        assert one.ci_low[0] == pytest.approx(whole.ci_low[at], abs=1e-12)
        assert one.p_in_band[0] == pytest.approx(whole.p_in_band[at], abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.floats(0.5, 0.999), st.sampled_from([JEFFREYS, LEARNED]))
def test_estimates_are_ordered_and_rise_with_the_passes(n, level, prior):
    k = np.arange(n + 1)
    ours = estimate(prior, np.full(n + 1, n), k, 0.2, 0.8, level)
    assert ours.p_below + ours.p_in_band + ours.p_above == pytest.approx(np.ones(n + 1), abs=1e-12)
    assert (ours.ci_low < ours.ci_high).all()
    assert (ours.ci_low >= 0).all()
    assert (ours.ci_high <= 1).all()
    for rising in (ours.pass_rate, ours.ci_low, ours.ci_high, ours.p_above, -ours.p_below):
        assert (np.diff(rising) >= -1e-12).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.floats(0, 1), st.floats(0, 0.5))
def test_passes_and_failures_are_symmetric(n, share, low):
    k = round(n * share)
    one = estimate(JEFFREYS, [n], [k], low, 1 - low)
    other = estimate(JEFFREYS, [n], [n - k], low, 1 - low)
    assert one.pass_rate + other.pass_rate == pytest.approx(1.0, abs=1e-9)
    assert one.ci_low + other.ci_high == pytest.approx(1.0, abs=1e-9)
    assert one.p_below == pytest.approx(other.p_above, abs=1e-9)


def test_the_interval_moves_continuously_with_its_level():
    levels = np.linspace(0.5, 0.99, 200)
    lows = np.array([estimate(LEARNED, [20], [7], 0.2, 0.8, level).ci_low[0] for level in levels])
    assert (np.diff(lows) < 0).all()
    assert np.abs(np.diff(lows)).max() < 0.01


def test_the_side_is_the_one_that_reaches_the_confidence():
    masses = np.array([[0.9, 0.05, 0.0, 0.45, 0.1], [0.1, 0.95, 0.1, 0.55, 0.0], [0.0, 0.0, 0.9, 0.0, 0.9]])
    expected = [Side.BELOW, Side.IN_BAND, Side.ABOVE, Side.UNDECIDED, Side.ABOVE]
    assert decide(masses, 0.9).tolist() == expected
    assert decide(masses, 0.55)[3] == Side.IN_BAND
    assert estimate(JEFFREYS, [64, 64, 64, 1], [0, 32, 64, 1], 0.2, 0.8).side(0.9).tolist() == [0, 1, 2, 3]
    for impossible in (0.5, 0.0, 1.01):
        with pytest.raises(ValueError, match="confidence"):
            decide(masses, impossible)


def test_expectations_of_powers_are_ratios_of_beta_functions():
    # Under Jeffreys, E[p | n, k] = (k + 1/2) / (n + 1), E[p^2] = (k + 1/2)(k + 3/2) / ((n + 1)(n + 2)).
    n, k = np.array([[8, 16]]), np.array([[3, 0]])
    ours = expectation(JEFFREYS, n, k, np.stack([GRID.p, GRID.p**2]))
    assert ours.shape == (2, 1, 2)
    assert ours[0] == pytest.approx((k + 0.5) / (n + 1), abs=1e-9)
    assert ours[1] == pytest.approx((k + 0.5) * (k + 1.5) / ((n + 1) * (n + 2)), abs=1e-9)


def profile(p: np.ndarray, rng: np.random.Generator) -> Estimates:
    """Draw a whole profile adaptively, the prior learned on the way, and estimate it."""
    n = np.full(p.size, 8)
    k = rng.binomial(n, p)
    early = (n, k)
    while True:
        prior = fit_prior(*early, GRID)
        table = stopping_table(prior, 0.2, 0.8)
        request = table.next_request(n, k)
        if not request.any():
            return estimate(prior, n, k, 0.2, 0.8)
        teaching = np.where(table.nearly_decided(n, k) | (n >= LEARN_FROM), 0, request)
        request = teaching if teaching.any() else request
        n, k = n + request, k + rng.binomial(request, p)
        early = (np.where(n <= LEARN_FROM, n, early[0]), np.where(n <= LEARN_FROM, k, early[1]))


@pytest.mark.parametrize("shape", [(0.3, 0.3), (1.0, 1.0), (0.3, 3.0)])
def test_of_the_decided_problems_nine_in_ten_lie_where_they_were_decided_to(shape):
    rng = np.random.default_rng(8)
    wrong, decided, excess = 0, 0, 0.0
    for _ in range(4):
        p = rng.beta(*shape, 300)
        estimates = profile(p, rng)
        side = estimates.side(0.9)
        lies = np.where(p < 0.2, Side.BELOW, np.where(p > 0.8, Side.ABOVE, Side.IN_BAND))
        decided += np.count_nonzero(side != Side.UNDECIDED)
        wrong += np.count_nonzero((side != Side.UNDECIDED) & (side != lies))
        excess += (estimates.pass_rate - p).sum()
    assert decided > 0.8 * 1200
    assert 0 < wrong < 0.1 * decided
    # The posterior's standard deviation is at most 0.12 or so: four standard errors over 1,200 problems.
    assert abs(excess) / 1200 < 4 * 0.12 / np.sqrt(1200)
