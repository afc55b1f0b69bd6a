"""Group numbers against the enumeration of every group."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import beta as beta_function

from curate.statistics import group_numbers, jeffreys, make_grid, success_advantage
from curate.statistics.prior import Prior

GRID = make_grid((0.2, 0.8))
JEFFREYS = jeffreys(GRID)


def point(p: float) -> tuple[Prior, float]:
    """A prior with all its mass in the cell of p, and the pass rate that stands for that cell."""
    cell = int(np.abs(GRID.p - p).argmin())
    return Prior(GRID, np.eye(GRID.p.size)[cell]), float(GRID.p[cell])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 10])
@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.8, 0.999])
def test_the_numbers_are_those_of_all_groups_enumerated(size, p):
    prior, exact = point(p)
    mixed = lone = 0.0
    for group in product((0, 1), repeat=size):
        chance = np.prod([exact if passed else 1 - exact for passed in group])
        mixed += chance * (0 < sum(group) < size)
        lone += chance * (sum(group) == 1)
    numbers = group_numbers(prior, [5], [2], size)
    assert numbers.p_mixed[0] == pytest.approx(mixed, abs=1e-12)
    assert numbers.p_lone[0] == pytest.approx(lone, abs=1e-12)


@pytest.mark.parametrize("size", [2, 8, 16, 64])
def test_the_average_over_the_posterior_has_a_closed_form_under_jeffreys(size):
    # E[p^i (1-p)^j | n, k] = B(k + 1/2 + i, n - k + 1/2 + j) / B(k + 1/2, n - k + 1/2).
    n = np.array([0, 8, 8, 8, 128])
    k = np.array([0, 0, 3, 8, 20])

    def moment(i: int, j: int) -> np.ndarray:
        return beta_function(k + 0.5 + i, n - k + 0.5 + j) / beta_function(k + 0.5, n - k + 0.5)

    numbers = group_numbers(JEFFREYS, n, k, size)
    assert numbers.p_mixed == pytest.approx(1 - moment(size, 0) - moment(0, size), abs=1e-7)
    assert numbers.p_lone == pytest.approx(size * moment(1, size - 1), abs=1e-7)


def test_a_problem_never_solved_yet_may_still_give_mixed_groups():
    numbers = group_numbers(JEFFREYS, [8], [0], 8)
    assert numbers.p_mixed[0] > 0.2  # at the point estimate 0/8 it would be 0


@pytest.mark.parametrize("size", [2, 3, 5, 8, 16])
def test_the_advantage_is_that_of_a_group_normalised_by_numpy(size):
    for successes in range(1, size):
        rewards = np.array([1.0] * successes + [0.0] * (size - successes))
        centred = rewards[0] - rewards.mean()
        assert success_advantage(size, successes, "none") == pytest.approx(centred)
        assert success_advantage(size, successes, "population") == pytest.approx(centred / rewards.std())
        assert success_advantage(size, successes, "sample") == pytest.approx(centred / rewards.std(ddof=1))
        for epsilon in (1e-4, 1e-6):
            expected = centred / (rewards.std(ddof=1) + epsilon)
            assert success_advantage(size, successes, "sample", epsilon) == pytest.approx(expected)
    assert success_advantage(size, size) == 0.0


def test_a_lone_success_by_hand():
    # G = 8: sqrt(7) = 2.6458, 7/sqrt(8) = 2.4749, 7/8.
    assert success_advantage(8, scaling="population") == pytest.approx(2.6458, abs=1e-4)
    assert success_advantage(8, scaling="sample") == pytest.approx(2.4749, abs=1e-4)
    assert success_advantage(8, scaling="none") == 0.875
    gains = [success_advantage(8, successes) for successes in range(1, 9)]
    assert gains == sorted(gains, reverse=True)


@pytest.mark.parametrize(("size", "successes"), [(1, 1), (8, 0), (8, 9)])
def test_a_group_without_a_success_has_no_such_advantage(size, successes):
    with pytest.raises(ValueError, match="no passing rollout"):
        success_advantage(size, successes)
    with pytest.raises(ValueError, match="at least one"):
        group_numbers(JEFFREYS, [1], [1], 0)
