"""The confidence sequence: its definition, its exact coverage, and the fixed-n interval."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln, xlog1py, xlogy
from statsmodels.stats.proportion import proportion_confint

from curate.statistics import clopper_pearson, confidence_sequence


@cache
def intervals(alpha, a):
    """The confidence sequence at all counts up to 200: one pair of arrays over k for each n."""
    n = np.repeat(np.arange(201), np.arange(201) + 1)
    k = np.concatenate([np.arange(size + 1) for size in range(201)])
    low, high = confidence_sequence(n, k, alpha, a, a)
    return [(low[n == size], high[n == size]) for size in range(201)]


def log_ratio(n, k, p, a, b):
    """Log of the mixture's likelihood over the likelihood at p, from the definition."""
    return betaln(a + k, b + n - k) - betaln(a, b) - xlogy(k, p) - xlog1py(n - k, -p)


def test_nothing_drawn_excludes_nothing():
    low, high = confidence_sequence([0], [0])
    assert (low[0], high[0]) == (0.0, 1.0)


def test_without_a_pass_the_upper_end_has_a_closed_form():
    # k = 0: B(1/2, n + 1/2) / B(1/2, 1/2) = (1 - p)^n / alpha. For n = 1 the left side is 1/2: 1 - p = alpha / 2.
    low, high = confidence_sequence([1, 8, 100], [0, 0, 0])
    assert low.tolist() == [0.0, 0.0, 0.0]
    assert high[0] == pytest.approx(1 - 0.05 / 2, abs=1e-12)
    for at, n in ((1, 8), (2, 100)):
        mixture = np.prod([(i + 0.5) / (i + 1) for i in range(n)])  # B(1/2, n+1/2)/B(1/2, 1/2) = prod (2i+1)/(2i+2)
        assert high[at] == pytest.approx(1 - (0.05 * mixture) ** (1 / n), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5000),
    st.floats(0, 1),
    st.floats(0.001, 0.5),
    st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    st.floats(0.2, 4),
)
def test_the_ends_are_where_the_ratio_reaches_its_bound(n, share, alpha, a, b):
    k = round(n * share)
    low, high = (float(end[0]) for end in confidence_sequence([n], [k], alpha, a, b))
    assert 0 <= low <= k / n <= high <= 1
    bound = -np.log(alpha)
    for end, closed in ((low, k == 0), (high, k == n)):
        if not closed and 1e-12 < end < 1 - 1e-12:
            assert log_ratio(n, k, end, a, b) == pytest.approx(bound, rel=1e-6, abs=1e-6)
    mirrored = confidence_sequence([n], [n - k], alpha, b, a)
    assert mirrored[0][0] == pytest.approx(1 - high, abs=1e-12)


@pytest.mark.parametrize("p", [0.001, 0.01, 0.05, 0.1, 0.125, 0.2, 0.3, 0.37, 0.5, 0.64, 0.8, 0.9, 0.98, 0.999])
@pytest.mark.parametrize(("alpha", "a"), [(0.05, 0.5), (0.05, 1.0), (0.2, 0.5)])
def test_the_chance_of_ever_excluding_the_truth_up_to_200_is_at_most_alpha(p, alpha, a):
    # Exact: alive[k] is the probability of k passes with p inside at every n so far. No rule, however it stops,
    # can be caught outside more often than the path ever leaves.
    alive = np.ones(1)
    for n in range(1, 201):
        alive = np.append(alive * (1 - p), 0.0) + np.append(0.0, alive * p)
        low, high = intervals(alpha, a)[n]
        alive = np.where((low <= p) & (p <= high), alive, 0.0)
    ever = 1 - alive.sum()
    assert ever <= alpha
    if 0.05 <= p <= 0.95:
        assert ever > alpha / 10


def test_an_interval_for_fixed_n_does_not_survive_peeking():
    # The same enumeration over the 95% Clopper-Pearson interval: a rule that waits for an exclusion finds one.
    p, alive = 0.3, np.ones(1)
    for n in range(1, 201):
        alive = np.append(alive * (1 - p), 0.0) + np.append(0.0, alive * p)
        low, high = clopper_pearson(np.full(n + 1, n), np.arange(n + 1))
        alive = np.where((low <= p) & (p <= high), alive, 0.0)
    assert 1 - alive.sum() > 0.2


def test_a_stopper_that_waits_for_a_wrong_interval_is_rarely_served():
    rng = np.random.default_rng(9)
    p = rng.choice([0.05, 0.2, 0.5, 0.8], 3000)
    passes = (rng.random((p.size, 400)) < p[:, None]).cumsum(axis=1)
    n = np.broadcast_to(np.arange(1, 401), passes.shape)
    low, high = confidence_sequence(n, passes)
    ever_out = ((low > p[:, None]) | (high < p[:, None])).any(axis=1)
    assert ever_out.mean() <= 0.05
    assert ever_out.any()


@pytest.mark.parametrize(("alpha", "a"), [(0.0, 0.5), (1.0, 0.5), (0.05, 0.0)])
def test_parameters_out_of_bounds_are_refused(alpha, a):
    with pytest.raises(ValueError, match="alpha"):
        confidence_sequence([1], [1], alpha, a)


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_clopper_pearson_agrees_with_statsmodels(alpha):
    for n in (1, 8, 24, 128):
        k = np.arange(n + 1)
        low, high = clopper_pearson(np.full(n + 1, n), k, alpha)
        expected = proportion_confint(k, n, alpha=alpha, method="beta")
        assert low == pytest.approx(np.nan_to_num(expected[0], nan=0.0), abs=1e-12)
        assert high == pytest.approx(np.nan_to_num(expected[1], nan=1.0), abs=1e-12)
    assert [end.tolist() for end in clopper_pearson([0], [0])] == [[0.0], [1.0]]
