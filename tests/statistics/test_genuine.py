"""Genuine passes against simulation, enumeration and hand-worked numbers."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import binom

from curate.statistics.genuine import cot_pass_at, genuine, genuine_masses, genuine_prior
from curate.statistics.prior import Prior, fit_prior, jeffreys, make_grid

GRID = make_grid((0.2, 0.8))
JEFFREYS = jeffreys(GRID)


def point(p: float) -> tuple[Prior, float]:
    """A prior with all its mass in the cell of p, and the pass rate that stands for that cell."""
    cell = int(np.abs(GRID.p - p).argmin())
    return Prior(GRID, np.eye(GRID.p.size)[cell]), float(GRID.p[cell])


@pytest.mark.parametrize(
    ("n", "k", "audited", "found"), [(8, 0, 0, 0), (8, 2, 2, 0), (16, 9, 9, 7), (64, 40, 8, 8), (128, 3, 3, 1)]
)
def test_the_genuine_pass_rate_is_that_of_simulated_draws(n, k, audited, found):
    draw = np.random.default_rng(n + k)
    p = draw.beta(k + 0.5, n - k + 0.5, size=1_000_000)
    q = draw.beta(1.5 + found, 0.5 + audited - found, size=1_000_000)
    made = genuine(JEFFREYS, [n], [k], [audited], [found], 8, a=1.5, b=0.5)
    assert made.rate[0] == pytest.approx((p * q).mean(), abs=1e-3)
    assert made.low[0] == pytest.approx(np.quantile(p * q, 0.025), abs=2e-3)
    assert made.high[0] == pytest.approx(np.quantile(p * q, 0.975), abs=3e-3)
    assert made.p_genuine[0] == pytest.approx(q.mean(), abs=1e-3)


@pytest.mark.parametrize(
    ("n", "k", "audited", "found"), [(8, 0, 0, 0), (8, 2, 2, 0), (16, 9, 9, 7), (64, 40, 8, 8), (128, 120, 60, 30)]
)
def test_the_masses_around_a_band_are_those_of_simulated_draws(n, k, audited, found):
    draw = np.random.default_rng(n + k)
    made = draw.beta(k + 0.5, n - k + 0.5, size=1_000_000) * draw.beta(
        1.5 + found, 0.5 + audited - found, size=1_000_000
    )
    below, inside, above = genuine_masses(JEFFREYS, [n], [k], [audited], [found], 0.2, 0.8, a=1.5, b=0.5)
    assert below[0] == pytest.approx((made < 0.2).mean(), abs=3e-3)
    assert inside[0] == pytest.approx(((made >= 0.2) & (made <= 0.8)).mean(), abs=3e-3)
    assert above[0] == pytest.approx((made > 0.8).mean(), abs=3e-3)


def test_masses_of_many_problems_are_those_of_each_and_a_band_of_all_holds_all():
    rows = [(8, 3, 3, 1), (16, 9, 9, 7), (8, 3, 3, 1), (0, 0, 0, 0)]
    together = genuine_masses(JEFFREYS, *np.array(rows).T, 0.2, 0.8)
    assert together.shape == (3, 4)
    for place, row in enumerate(rows):
        alone = genuine_masses(JEFFREYS, *np.array([row]).T, 0.2, 0.8)
        assert together[:, place] == pytest.approx(alone[:, 0])
    assert together.sum(axis=0) == pytest.approx(1.0)
    assert genuine_masses(JEFFREYS, *np.array(rows).T, 0.0, 1.0)[1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="a band needs"):
        genuine_masses(JEFFREYS, [8], [3], [3], [1], 0.8, 0.2)


def test_the_interval_covers_what_it_says_over_problems_drawn_from_the_prior():
    draw = np.random.default_rng(9)
    p, q = draw.beta(0.5, 0.5, size=3000), draw.beta(1.5, 0.5, size=3000)
    passes = draw.binomial(16, p)
    found = draw.binomial(passes, q)
    made = genuine(JEFFREYS, np.full(3000, 16), passes, passes, found, 8, a=1.5, b=0.5)
    covered = ((made.low <= p * q) & (p * q <= made.high)).mean()
    assert covered == pytest.approx(0.95, abs=0.013)


def test_the_outvote_is_the_enumeration_of_every_group_at_the_lower_bound():
    from scipy.stats import beta

    prior, p = point(0.4)
    q = float(beta.ppf(0.05, 1 + 6, 1 + 2))
    chance = {"fail": 1 - p, "genuine": p * q, "shortcut": p * (1 - q)}
    won = any_pass = 0.0
    for group in product(chance, repeat=6):
        weight = float(np.prod([chance[one] for one in group]))
        any_pass += weight * any(one != "fail" for one in group)
        won += weight * (group.count("genuine") > group.count("shortcut"))
    made = genuine(prior, [20], [8], [8], [6], 6, a=1.0, b=1.0)
    assert made.p_outvote[0] == pytest.approx(won / any_pass, abs=1e-9)


def test_a_lower_bound_rises_with_evidence_and_stays_below_the_truth():
    n, k = np.array([64, 64, 64]), np.array([32, 32, 32])
    audited, found = np.array([0, 4, 32]), np.array([0, 4, 32])
    made = genuine(JEFFREYS, n, k, audited, found, 8)
    assert made.p_outvote[0] < made.p_outvote[1] < made.p_outvote[2] < 1.0
    assert made.p_outvote[2] > 0.95
    assert genuine(JEFFREYS, [64], [32], [32], [0], 8).p_outvote[0] < 0.001


@pytest.mark.parametrize(("p", "audited", "found"), [(0.03, 2, 0), (0.3, 10, 5), (0.9, 20, 20)])
def test_the_risk_is_that_of_simulated_groups(p, audited, found):
    prior, p = point(p)
    draw = np.random.default_rng(1)
    size, groups = 8, 400_000
    q = draw.beta(1 + found, 1 + audited - found, size=groups)
    passed = draw.uniform(size=(groups, size)) < p
    counts = passed.sum(axis=1)
    mixed = (counts > 0) & (counts < size)
    lone = counts == 1
    rewards = np.eye(size)[0]
    advantage = (1 - rewards.mean()) / rewards.std(ddof=1)
    shortcut = draw.uniform(size=groups) > q
    expected = advantage * (lone & shortcut).sum() / mixed.sum()
    made = genuine(prior, [30], [20], [audited], [found], size, a=1.0, b=1.0)
    assert made.risk[0] == pytest.approx(expected, abs=0.02)


def test_risk_at_the_extremes():
    # Never a pass yet: whatever group is mixed has a lone success, nearly; nothing is known of it.
    rare = genuine(JEFFREYS, [128], [0], [0], [0], 8)
    assert rare.risk[0] == pytest.approx(7 / np.sqrt(8) * 0.5, rel=0.05)
    shown = genuine(JEFFREYS, [128], [64], [64], [64], 8, a=1.9, b=0.1)
    assert shown.risk[0] < 0.001
    # Dr. GRPO's advantage of a lone success is 7/8 where the sample's is 7/sqrt(8).
    unscaled = genuine(JEFFREYS, [128], [0], [0], [0], 8, scaling="none")
    assert rare.risk[0] / unscaled.risk[0] == pytest.approx(8 / np.sqrt(8))


def test_the_prior_of_a_set_is_centred_on_its_share():
    assert genuine_prior([10, 20, 0], [9, 15, 0]) == pytest.approx((2 * 25 / 32, 2 * 7 / 32))
    assert genuine_prior([], []) == (1.0, 1.0)
    # Unaudited passes are believed as the set's are; two audited ones move that half of the way.
    a, b = genuine_prior(np.full(50, 4), np.full(50, 4))
    made = genuine(JEFFREYS, [8, 8], [4, 4], [0, 2], [0, 0], 8, a=a, b=b)
    assert made.p_genuine[0] > 0.99
    assert made.p_genuine[1] == pytest.approx(made.p_genuine[0] / 2)


def test_a_learned_prior_and_many_shapes():
    draw = np.random.default_rng(0)
    n = np.full(200, 8)
    k = draw.binomial(8, draw.beta(2, 2, size=200))
    prior = fit_prior(n, k, GRID)
    made = genuine(prior, n.reshape(20, 10), k.reshape(20, 10), k.reshape(20, 10), k.reshape(20, 10), 8)
    assert made.rate.shape == made.low.shape == made.p_outvote.shape == made.risk.shape == (20, 10)
    assert ((made.low <= made.rate) & (made.rate <= made.high)).all()
    assert genuine(prior, [], [], [], [], 8).rate.size == 0


@pytest.mark.parametrize("k", [1, 2, 5])
def test_cot_pass_at_is_the_share_of_all_draws_with_one_right(k):
    n = 7
    for correct in range(n + 1):
        draws = list(combinations(range(n), k))
        expected = sum(min(draw) < correct for draw in draws) / len(draws)
        assert cot_pass_at([n], [correct], k)[0] == pytest.approx(expected, abs=1e-12)


def test_cot_pass_at_is_unbiased():
    n, c = np.full(13, 12), np.arange(13)
    weights = binom.pmf(c, 12, 0.15)
    assert weights @ cot_pass_at(n, c, 4) == pytest.approx(1 - 0.85**4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: genuine(JEFFREYS, [8], [4], [5], [1], 8),
        lambda: genuine(JEFFREYS, [8], [4], [4], [5], 8),
        lambda: genuine(JEFFREYS, [8], [4], [4], [1], 1),
        lambda: genuine(JEFFREYS, [8], [4], [4], [1], 8, a=0.0),
        lambda: genuine_prior([1], [2]),
        lambda: genuine_prior([1], [1], 0.0),
        lambda: cot_pass_at([4], [1], 5),
        lambda: cot_pass_at([4], [5], 1),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ValueError, match=r"passes|needs|group|strength"):
        call()
