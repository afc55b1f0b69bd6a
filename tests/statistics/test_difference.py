"""The difference of two pass rates: against Beta distributions, and against sets in which nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special, stats

from curate.statistics import fit_prior, jeffreys, make_grid
from curate.statistics.difference import difference, p_unchanged, q_values

GRID = make_grid((0.2, 0.8))
PAIRS = [(8, 4, 8, 4), (40, 25, 40, 10), (128, 0, 8, 8), (24, 1, 24, 23), (100, 100, 100, 97)]


@pytest.mark.parametrize(("n", "k", "m", "j"), PAIRS)
def test_it_agrees_with_two_beta_posteriors(n: int, k: int, m: int, j: int) -> None:
    found = difference(jeffreys(GRID), [n], [k], jeffreys(make_grid((0.1, 0.9))), [m], [j])
    a, b = stats.beta(k + 0.5, n - k + 0.5), stats.beta(j + 0.5, m - j + 0.5)
    # With a uniform variable u = F_a(p_a): P(p_b < p_a) is the mean of F_b at a's quantiles.
    decrease = integrate.quad(lambda u: b.cdf(a.ppf(u)), 0, 1, limit=500)[0]
    assert found.mean[0] == pytest.approx(b.mean() - a.mean(), abs=1e-6)
    assert found.variance[0] == pytest.approx(a.var() + b.var(), abs=1e-6)
    assert found.p_decrease[0] == pytest.approx(decrease, abs=2e-4)
    for end, wanted in ((found.low[0], 0.025), (found.high[0], 0.975)):
        # Good to one bin of 1/512: the mass below the end, moved by so much, lies on either side of what is wanted.
        less, more = (
            integrate.quad(lambda u, at=at: b.cdf(a.ppf(u) + at), 0, 1, limit=500)[0]
            for at in (end - 1 / 512, end + 1 / 512)
        )
        assert less - 1e-4 <= wanted <= more + 1e-4


@pytest.mark.parametrize(("n", "k", "m", "j"), PAIRS)
def test_the_factor_is_that_of_beta_functions(n: int, k: int, m: int, j: int) -> None:
    """Under Jeffreys: the evidence of each count alone over that of both together, all of them Beta functions."""
    found = difference(jeffreys(GRID), [n], [k], jeffreys(GRID), [m], [j]).log_factor[0]
    one = special.betaln(0.5, 0.5)
    alone = special.betaln(k + 0.5, n - k + 0.5) + special.betaln(j + 0.5, m - j + 0.5) - 2 * one
    both = special.betaln(k + j + 0.5, n + m - k - j + 0.5) - one
    assert found == pytest.approx(alone - both, abs=2e-3)


def test_many_and_few_come_in_the_shape_they_were_asked_in() -> None:
    belief = jeffreys(GRID)
    found = difference(belief, [[8, 8], [0, 4]], [[4, 8], [0, 1]], belief, [[8, 8], [0, 4]], [[4, 0], [0, 1]])
    assert found.mean.shape == (2, 2)
    assert found.mean[0, 1] == pytest.approx(-0.5 / 9 * 16, abs=1e-5)  # means 8.5/9 and 0.5/9
    assert found.mean[1].tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    assert difference(belief, [], [], belief, [], []).mean.shape == (0,)
    with pytest.raises(ValueError, match="passes"):
        difference(belief, [4], [5], belief, [4], [4])
    with pytest.raises(ValueError, match="shape"):
        difference(belief, [4], [4], belief, [4, 4], [4, 4])


def test_extremes_stay_finite() -> None:
    found = difference(jeffreys(GRID), [100_000], [0], jeffreys(GRID), [100_000], [100_000])
    assert np.isfinite([found.log_factor[0], found.low[0], found.high[0]]).all()
    assert found.mean[0] == pytest.approx(1.0, abs=1e-4)
    assert p_unchanged(found.log_factor)[0] < 1e-6


def test_q_is_the_larger_of_both_rates() -> None:
    # The means of what is surer: 0, (0 + 0.1)/2, (0 + 0.1 + 0.5)/3.
    assert q_values([0.0, 0.0, 0.0], [0.5, 0.0, 0.1]).tolist() == pytest.approx([0.2, 0.0, 0.05])
    tails = np.array([0.2, 0.004, 0.03, 0.9, 0.03])
    assert q_values(tails, np.zeros(5)).tolist() == pytest.approx(stats.false_discovery_control(tails).tolist())


def test_nothing_is_called_changed_where_nothing_did() -> None:
    """At a rate of 5% at most about 1 in 20 sets may name anything; of 40 sets, 7 and more would be a 0.3% chance."""
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.beta(0.4, 0.6, 200)
        n, m = np.full(200, 16), np.full(200, 24)
        k, j = rng.binomial(n, p), rng.binomial(m, p)
        found = difference(fit_prior(n, k, GRID), n, k, fit_prior(m, j, GRID), m, j)
        named += bool((q_values(found.tail, p_unchanged(found.log_factor)) <= 0.05).any())
    assert named < 7


def test_of_what_is_called_changed_few_did_not() -> None:
    """A fifth of the problems changed by a half; what is named holds about 5% of the others, and most of the fifth."""
    false, named, true = 0, 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.0, 1.0, 300)
        moved = np.arange(300) < 60
        n = np.full(300, 32)
        k, j = rng.binomial(n, p), rng.binomial(n, np.where(moved, (p + 0.5) % 1.0, p))
        found = difference(fit_prior(n, k, GRID), n, k, fit_prior(n, j, GRID), n, j)
        called = q_values(found.tail, p_unchanged(found.log_factor)) <= 0.05
        false, named, true = false + (called & ~moved).sum(), named + called.sum(), true + (called & moved).sum()
    assert false / named < 0.08
    assert true / 600 > 0.75
