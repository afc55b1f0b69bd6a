"""The grid, the Jeffreys prior and the learned prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from curate.statistics import Grid, Prior, fit_prior, jeffreys, make_grid
from curate.statistics.prior import FEWEST_PROBLEMS, distinct, likelihood


def cdf(prior: Prior, p: float) -> float:
    return float(prior.grid.regions(p, 1.0)[0] @ prior.weights)


def hats(grid: Grid) -> np.ndarray:
    """Piecewise-linear bumps over 49 knots, built by interpolation rather than by formula."""
    knots = np.linspace(0.0, np.pi / 2, 49)
    columns = [np.interp(grid.theta, knots, unit) for unit in np.eye(49)]
    return np.stack(columns, axis=1) * grid.widths[:, None]


@pytest.mark.parametrize("edges", [(), (0.2, 0.8), (0.125, 0.875), (0.02, 0.98), (0.0, 1.0), (0.5, 0.5)])
def test_the_grid_covers_the_unit_interval_and_ends_cells_at_the_edges(edges):
    grid = make_grid(edges)
    assert grid.boundaries[0] == 0.0
    assert np.sin(grid.boundaries[-1]) ** 2 == 1.0
    assert (grid.widths > 0).all()
    for edge in edges:
        assert np.abs(np.sin(grid.boundaries) ** 2 - edge).min() < 1e-15


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (0.0, 0.6), (0.3, 1.0), (0.0, 1.0), (0.5, 0.5), (0.123, 0.124)])
@pytest.mark.parametrize("edges", [(), (0.2, 0.8)])
def test_regions_share_out_every_cell_and_give_jeffreys_masses_exactly(low, high, edges):
    grid = make_grid(edges, cells=37)
    regions = grid.regions(low, high)
    assert np.allclose(regions.sum(axis=0), 1.0, atol=1e-12)
    assert regions.min() >= 0.0
    beta = stats.beta(0.5, 0.5)
    expected = [beta.cdf(low), beta.cdf(high) - beta.cdf(low), beta.sf(high)]
    assert regions @ jeffreys(grid).weights == pytest.approx(expected, abs=1e-12)


def test_a_band_that_ends_at_0_or_1_leaves_nothing_outside():
    grid = make_grid((0.0, 1.0))
    below, _, above = grid.regions(0.0, 1.0)
    assert below.max() == 0.0
    assert above.max() == 0.0


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.2), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_band_that_is_none_is_refused(low, high):
    with pytest.raises(ValueError, match="band"):
        make_grid().regions(low, high)


def test_distinct_pairs_name_each_problem_once():
    n, k, which = distinct(np.array([[8, 8], [0, 8]]), np.array([[3, 2], [0, 3]]))
    assert list(zip(n, k, strict=True)) == [(0, 0), (8, 2), (8, 3)]
    assert which.tolist() == [[2, 1], [0, 2]]
    assert [part.size for part in distinct([], [])] == [0, 0, 0]


@pytest.mark.parametrize(("n", "k"), [([4], [5]), ([4], [-1]), ([4, 4], [1]), ([-1], [-2])])
def test_counts_that_no_problem_can_have_are_refused(n, k):
    with pytest.raises(ValueError, match=r"passes|shape"):
        distinct(n, k)


def test_the_likelihood_is_the_binomial_one_up_to_its_own_maximum():
    grid = make_grid(cells=200)
    n, k = np.array([0, 1, 8, 24, 4096]), np.array([0, 1, 0, 9, 1000])
    expected = stats.binom.pmf(k[:, None], n[:, None], grid.p) / stats.binom.pmf(k, n, k / np.maximum(n, 1))[:, None]
    assert likelihood(grid, n, k) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_too_few_problems_teach_nothing():
    grid = make_grid()
    few = np.full(FEWEST_PROBLEMS - 1, 8)
    assert fit_prior(few, few, grid).problems == 0
    assert np.array_equal(fit_prior(few, few, grid).weights, jeffreys(grid).weights)
    unseen = np.concatenate([few, np.zeros(100, int)])
    assert fit_prior(unseen, unseen, grid).problems == 0
    assert fit_prior(np.append(few, 8), np.append(few, 0), grid).problems == FEWEST_PROBLEMS


def test_the_fit_satisfies_the_conditions_of_a_maximum():
    # For a mixture sum_j w_j h_j, the gradient of the objective in every w_j must equal the total count:
    # sum_i L_i(h_j) / L_i(w) + s m_j / w_j = N + s, with s = 2 pseudo-problems and m_j Jeffreys' mass at knot j.
    rng = np.random.default_rng(3)
    n = rng.integers(4, 40, 300)
    k = rng.binomial(n, rng.beta(0.5, 1.0, 300))
    grid = make_grid((0.2, 0.8))
    prior = fit_prior(n, k, grid)
    bumps = hats(grid)
    mass = bumps.sum(axis=0) / (np.pi / 2)
    height, residual, *_ = np.linalg.lstsq(bumps, prior.weights, rcond=None)
    assert residual.sum() < 1e-20
    weights = height * bumps.sum(axis=0)
    fits = stats.binom.pmf(k[:, None], n[:, None], grid.p) @ (bumps / bumps.sum(axis=0))
    gradient = fits.T @ (1 / (fits @ weights)) + 2 * mass / weights
    assert gradient == pytest.approx(np.full(49, 302.0), rel=1e-5)


def test_no_general_optimiser_finds_a_better_fit():
    rng = np.random.default_rng(4)
    n = np.full(80, 12)
    k = rng.binomial(n, rng.beta(0.4, 0.4, 80))
    grid = make_grid(cells=300)
    bumps = hats(grid)
    mass = bumps.sum(axis=0) / (np.pi / 2)
    fits = stats.binom.pmf(k[:, None], n[:, None], grid.p) @ (bumps / bumps.sum(axis=0))

    def loss(weights):
        return -np.log(fits @ weights).sum() - 2 * mass @ np.log(weights)

    def loss_of_free(free):
        return loss(np.exp(free - free.max()) / np.exp(free - free.max()).sum())

    found = optimize.minimize(loss_of_free, np.log(mass), method="L-BFGS-B", options={"maxfun": 10**5})
    height = np.linalg.lstsq(bumps, fit_prior(n, k, grid).weights, rcond=None)[0]
    ours = loss(height * bumps.sum(axis=0))
    assert ours <= found.fun + 1e-9
    assert ours == pytest.approx(found.fun, abs=1e-2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=60, max_size=90))
def test_a_learned_prior_is_one_has_no_hole_and_mirrors(problems):
    n = np.array([size for size, _ in problems])
    k = np.array([round(size * share) for size, share in problems])
    grid = make_grid((0.2, 0.8))
    prior = fit_prior(n, k, grid)
    assert prior.weights.sum() == pytest.approx(1.0, abs=1e-12)
    seen = np.count_nonzero(n)
    floor = 2 / (seen + 2) if seen >= FEWEST_PROBLEMS else 1
    assert (prior.weights >= floor * jeffreys(grid).weights * (1 - 1e-6)).all()
    assert fit_prior(n, n - k, grid).weights[::-1] == pytest.approx(prior.weights, abs=1e-8)


@pytest.mark.parametrize("shape", [(2.0, 3.0), (0.3, 0.3), (1.0, 1.0), (0.3, 6.0)])
def test_a_large_set_gives_back_the_distribution_it_was_drawn_from(shape):
    rng = np.random.default_rng(5)
    n = np.full(50_000, 24)
    k = rng.binomial(n, rng.beta(*shape, n.size))
    prior = fit_prior(n, k, make_grid())
    # 24 rollouts blur theta by 0.1: the distribution is known to two percent or so where theta is 3 blurs from 0 and
    # pi/2, while nearer, at p = 0.02 (theta 0.14), very different ones explain the same counts. Ten pseudo-problems of
    # Jeffreys would smooth these smooth shapes to within 0.015, and lumpy ones away: two leave an error of up to 0.023.
    for p in (0.1, 0.2, 0.5, 0.8, 0.9):
        assert cdf(prior, p) == pytest.approx(stats.beta(*shape).cdf(p), abs=0.025)


def test_stopping_by_looking_does_not_bias_the_fit():
    # Draw until two passes, at most 24: k/n overshoots, since a lucky start ends the drawing.
    rng = np.random.default_rng(6)
    p = rng.beta(1.0, 3.0, 40_000)
    draws = rng.random((p.size, 24)) < p[:, None]
    passes = draws.cumsum(axis=1)
    n = np.where(passes[:, -1] >= 2, (passes >= 2).argmax(axis=1) + 1, 24)
    k = passes[np.arange(p.size), n - 1]
    assert (k / n).mean() > 0.25 + 0.05
    prior = fit_prior(n, k, make_grid())
    mean = prior.weights @ prior.grid.p
    assert mean == pytest.approx(0.25, abs=4 * np.sqrt(0.0375 / p.size) + 0.002)
    for q in (0.1, 0.2, 0.5):
        assert cdf(prior, q) == pytest.approx(stats.beta(1, 3).cdf(q), abs=0.02)


def test_a_set_of_hopeless_problems_is_learned_as_such():
    grid = make_grid((0.02, 0.98))
    prior = fit_prior(np.full(2_000, 24), np.zeros(2_000, int), grid)
    assert cdf(prior, 0.003) > 0.98
