"""The ability model: against a logistic regression with dummies, and against simulated checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from curate.statistics import ability, make_grid

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


def checkpoints(
    seed: int,
    abilities: list[float],
    *,
    problems: int = 400,
    rollouts: int = 24,
    spread: float = 0.0,
    wide: float = 2.0,
) -> Counts:
    """Pass rates, rollouts and passes of checkpoints that solve problems with normal locations."""
    rng = np.random.default_rng(seed)
    location = rng.normal(0.0, wide, problems)
    at = np.array(abilities)[:, None] - location + spread * rng.normal(size=(len(abilities), problems))
    n = np.full(at.shape, rollouts)
    return expit(at), n, rng.binomial(n, expit(at))


def test_abilities_are_those_of_a_logistic_regression_with_a_dummy_for_each_problem_and_checkpoint() -> None:
    sm = pytest.importorskip("statsmodels.api")
    _, n, k = checkpoints(1, [0.0, 0.6, 1.4], problems=60, rollouts=400, wide=1.0)
    problem, checkpoint = np.tile(np.arange(60), 3), np.repeat(np.arange(3), 60)
    dummies = np.concatenate([np.eye(60)[problem], np.eye(3)[checkpoint][:, 1:]], axis=1)
    counts = np.stack([k.ravel(), (n - k).ravel()], axis=1)
    free = sm.GLM(counts, dummies, family=sm.families.Binomial()).fit()
    found = ability.fit(n, k)
    assert found.ability[1:] - found.ability[0] == pytest.approx(free.params[-2:], abs=0.01)
    assert -(found.location - found.location.mean()) == pytest.approx(
        free.params[:60] - free.params[:60].mean(), abs=0.1
    )
    assert found.spread == pytest.approx(0.0, abs=0.15)


def test_a_shift_is_not_doubled_with_two_checkpoints_and_few_rollouts() -> None:
    """Where each problem has its own free location, 2 rollouts each would give about 1.5 for a shift of 1."""
    shifts, errors = [], []
    for seed in range(20):
        _, n, k = checkpoints(seed, [0.0, 1.0], rollouts=2)
        found = ability.fit(n, k)
        shifts.append(found.ability[1] - found.ability[0])
        errors.append(np.sqrt(found.covariance[1, 1]))
    assert np.mean(shifts) == pytest.approx(1.0, abs=0.1)
    assert np.std(shifts) == pytest.approx(np.mean(errors), rel=0.4)


@pytest.mark.parametrize("spread", [0.3, 0.8])
def test_the_spread_around_the_model_is_found(spread: float) -> None:
    found = [ability.fit(*checkpoints(seed, [0.0, 0.5], spread=spread)[1:]).spread for seed in range(10)]
    assert np.mean(found) == pytest.approx(spread, rel=0.12)


def test_steeper_problems_have_larger_slopes() -> None:
    rng = np.random.default_rng(2)
    location, slope = rng.normal(0, 1, 120), np.repeat([0.6, 1.6], 60)
    p = expit(slope * (np.array([-2.0, -0.7, 0.7, 2.0])[:, None] - location))
    n = np.full(p.shape, 32)
    found = ability.fit(n, rng.binomial(n, p), slopes=True)
    assert found.slope[:60].mean() < 0.8
    assert found.slope[60:].mean() > 1.3
    assert found.location - found.location.mean() == pytest.approx(location - location.mean(), abs=1.2)


def test_predicted_intervals_hold_what_they_claim() -> None:
    held, widths = [], []
    for seed in range(20):
        p, n, k = checkpoints(seed, [0.0, 0.4, 1.2], spread=0.4)
        found = ability.fit(n[:2], k[:2])
        few = np.zeros(400, int)
        few[ability.anchors(found, 0.5, 40)] = 8
        where, se = ability.place(found, few, np.random.default_rng(seed).binomial(few, p[2]))
        told = ability.predict(found, where, se)
        held.append(((told.low <= p[2]) & (p[2] <= told.high)).mean())
        widths.append((told.high - told.low).mean())
        assert np.abs(told.mean - p[2]).mean() < 0.1
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    assert np.mean(widths) < 0.4


def test_a_checkpoint_is_placed_within_its_standard_error() -> None:
    off = []
    for seed in range(40):
        p, n, k = checkpoints(seed, [0.0, 0.0, 0.8], spread=0.3)
        found = ability.fit(n[:2], k[:2])
        few = np.zeros(400, int)
        few[ability.anchors(found, 0.0, 30)] = 8
        where, se = ability.place(found, few, np.random.default_rng(seed).binomial(few, p[2]))
        off.append((where - found.ability[:2].mean() - 0.8) / se)
    assert np.mean(off) == pytest.approx(0.0, abs=0.5)
    assert np.std(off) == pytest.approx(1.0, abs=0.35)


def test_anchors_are_the_problems_that_tell_most() -> None:
    """Within a standard error of a half, and known well; the never and the always solved tell nothing."""
    n = np.array([[8, 128, 8, 8, 128]])
    k = np.array([[4, 64, 0, 8, 128]])
    found = ability.fit(np.repeat(n, 2, axis=0), np.repeat(k, 2, axis=0))
    order = ability.anchors(found, float(found.ability[-1]), 5).tolist()
    assert order[:2] == [1, 0]
    assert ability.anchors(found, 0.0, 2).size == 2


def test_the_masses_on_a_grid_are_the_same_prediction() -> None:
    _, n, k = checkpoints(3, [0.0, 0.4], spread=0.4)
    found, grid = ability.fit(n, k), make_grid(edges=(0.2, 0.8))
    masses = ability.predicted_masses(found, 0.3, 0.1, grid)
    assert masses.sum(axis=1) == pytest.approx(np.ones(400))
    assert masses @ grid.p == pytest.approx(ability.predict(found, 0.3, 0.1).mean, abs=1e-3)


def test_one_topic_that_moved_by_itself_is_named_and_a_common_shift_names_none() -> None:
    alarms, found_it = 0, 0
    topics = ["algebra"] * 100 + ["geometry"] * 300
    for seed in range(20):
        p, n, k = checkpoints(seed, [0.0, 0.3, 0.8], spread=0.3)
        found = ability.fit(n[:2], k[:2])
        where, _ = ability.place(found, n[2], k[2])
        alarms += ability.misfit(found, n[2], k[2], where, topics)[0].p_value < 0.05
        gone = np.where(np.array(topics) == "algebra", p[2], expit(logit(p[2]) - 1.0))
        lost = np.random.default_rng(seed).binomial(n[2], gone)
        where, _ = ability.place(found, n[2], lost)
        first = ability.misfit(found, n[2], lost, where, topics)[0]
        found_it += first.p_value < 0.05
        assert first.topic == "algebra" or first.shift < 0
    assert alarms <= 4
    assert found_it == 20


def test_nothing_measured_says_nothing() -> None:
    found = ability.fit([[0, 8, 8]], [[0, 8, 0]])
    assert found.location[0] == pytest.approx(found.location.mean(), abs=1.0)
    assert ability.place(found, [0, 0, 0], [0, 0, 0]) == (found.ability[-1], ability.ABILITY_SD)
    with pytest.raises(ValueError, match="passes"):
        ability.fit([[4]], [[5]])
    with pytest.raises(ValueError, match="at least one"):
        ability.fit(np.zeros((0, 3)), np.zeros((0, 3)))
