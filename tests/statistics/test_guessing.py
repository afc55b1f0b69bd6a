"""Guessing against scipy, statsmodels, the enumeration of every count, and simulated datasets."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import beta as beta_function
from scipy.stats import beta, betabinom, binom
from statsmodels.stats.multitest import multipletests

from curate.statistics.guessing import (
    GuessVerdict,
    corrected,
    false_discoveries,
    guess_test,
    guess_verdicts,
    guessable,
    lucky_share,
    p_luck,
)

BINARY = (50.0, 50.0)
"""A guess rate of about a half, known within about 0.1."""


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (10.0, 10.0), (2.0, 18.0), (0.5, 40.0), (30.5, 0.5), (0.3, 0.3)])
def test_the_test_is_the_tail_of_the_beta_binomial(a, b):
    for n in (0, 1, 2, 8, 33, 128):
        k = np.arange(n + 1)
        found = guess_test(np.full(n + 1, n), k, a, b)
        assert found == pytest.approx(betabinom.sf(k - 1, n, a, b), abs=1e-11, rel=1e-8)
        # Summed over all counts by the formula itself.
        mass = np.array([comb(n, j) * beta_function(a + j, b + n - j) / beta_function(a, b) for j in range(n + 1)])
        assert found == pytest.approx([mass[j:].sum() for j in k], abs=1e-11, rel=1e-8)


def test_a_guess_rate_that_is_known_exactly_gives_the_binomial_test():
    k = np.arange(33)
    assert guess_test(np.full(33, 32), k, 1e7, 3e7) == pytest.approx(binom.sf(k - 1, 32, 0.25), rel=1e-4)


def test_tails_too_small_for_a_double_stay_on_their_side():
    assert guess_test([4096, 4096, 4096], [0, 1, 4096], 1e6, 1e6).tolist() == [1.0, 1.0, 0.0]
    assert guess_test([8, 0], [0, 0], 2.0, 2.0).tolist() == [1.0, 1.0]


def test_the_test_is_exact_under_its_own_hypothesis():
    # Over all counts that guessing can bring, the p-value is at most x with probability at most x.
    n, (a, b) = 24, (5.0, 5.0)
    k = np.arange(n + 1)
    values, chance = guess_test(np.full(n + 1, n), k, a, b), betabinom.pmf(k, n, a, b)
    for level in (0.001, 0.01, 0.05, 0.2, 0.5):
        assert chance[values <= level].sum() <= level + 1e-12
    # And it is no more cautious than whole counts force it to be: the next count would break the level.
    assert chance[values <= 0.05].sum() > 0.05 - chance[np.flatnonzero(values <= 0.05)[0] - 1]


def test_open_answers_are_no_hypotheses():
    found = guess_test([8, 8, 8], [0, 8, 8], [np.nan, np.nan, 1.0], [np.nan, np.nan, 1.0])
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(1 / 9)  # Beta(1, 1): every count from 0 to 8 is equally likely
    assert guess_test([], [], [], []).size == 0


@pytest.mark.parametrize(("dependent", "method"), [(False, "fdr_bh"), (True, "fdr_by")])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_discoveries_are_those_of_statsmodels(dependent, method, rate):
    draw = np.random.default_rng(3)
    for size in (1, 2, 10, 300):
        for effect in (0.0, 2.0, 6.0):
            values = draw.uniform(size=size) ** (1 + effect * (draw.uniform(size=size) < 0.4))
            expected = multipletests(values, rate, method=method)[0]
            assert false_discoveries(values, rate, dependent=dependent).tolist() == expected.tolist()


def test_what_is_no_hypothesis_changes_nothing_for_the_others():
    values = np.array([0.001, 0.02, 0.03, 0.5])
    alone = false_discoveries(values)
    among = false_discoveries(np.concatenate([np.full(1000, np.nan), values]))
    assert among[1000:].tolist() == alone.tolist()
    assert not among[:1000].any()
    assert not false_discoveries([np.nan, np.nan]).any()


@pytest.mark.parametrize("truly_better", [0, 40, 160])
def test_the_rate_of_false_discoveries_is_held_over_simulated_datasets(truly_better):
    draw = np.random.default_rng(11)
    shares = []
    for _ in range(400):
        guess = draw.beta(*BINARY, size=200)
        known = np.where(np.arange(200) < truly_better, 0.6, 0.0)
        passes = draw.binomial(32, guess + known * (1 - guess))
        found = false_discoveries(guess_test(np.full(200, 32), passes, *BINARY), 0.1)
        shares.append(found[truly_better:].sum() / max(1, found.sum()))
        if truly_better:
            assert found[:truly_better].sum() > 0
    # Three standard errors above what the rule promises: the rate times the share of true hypotheses.
    assert np.mean(shares) <= 0.1 * (1 - truly_better / 200) + 3 * np.std(shares) / 20


def test_correction_for_guessing_by_hand():
    # Of 100 rollouts on a yes-or-no question 75 pass: 50 are known, and half of the other 50 are lucky.
    assert corrected(0.75, 0.5) == pytest.approx(0.5)
    assert lucky_share(0.75, 0.5) == pytest.approx(25 / 75)
    # With four choices and 55 passes, 40 are known and a quarter of 60 are lucky.
    assert corrected(0.55, 0.25) == pytest.approx(0.4)
    assert lucky_share(0.55, 0.25) == pytest.approx(15 / 55)
    assert corrected([0.3, 0.5, 1.0], [0.5, 0.5, 0.5]).tolist() == [0.0, 0.0, 1.0]
    assert lucky_share([0.3, 0.5, 1.0, 0.4], [0.5, 0.5, 0.5, 0.0]).tolist() == [1.0, 1.0, 0.0, 0.0]


def test_the_share_of_luck_is_that_of_a_model_that_knows_or_guesses():
    draw = np.random.default_rng(5)
    for known, guess in ((0.3, 0.5), (0.1, 0.25), (0.6, 0.1)):
        knows = draw.uniform(size=400_000) < known
        passes = knows | (draw.uniform(size=400_000) < guess)
        p = passes.mean()
        assert lucky_share(p, guess) == pytest.approx((passes & ~knows).sum() / passes.sum(), abs=0.006)
        assert corrected(p, guess) == pytest.approx(known, abs=0.005)


@pytest.mark.parametrize(("n", "k"), [(0, 0), (8, 0), (8, 5), (24, 17), (64, 48), (128, 128)])
@pytest.mark.parametrize(("a", "b"), [(10.0, 10.0), (2.0, 18.0), (16.5, 0.5)])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_probability_of_luck_is_the_double_integral(n, k, a, b, share):
    # Over p, of the probability that g is so high: p* solves g (1 - p) = share (1 - g) p.
    def mass_below(g: float) -> float:
        return float(beta.cdf(g / (g + share * (1 - g)), k + 0.5, n - k + 0.5) * beta.pdf(g, a, b))

    expected = quad(mass_below, 0, 1, points=[0.05, 0.5, 0.9, 0.999], limit=400)[0]
    assert p_luck([n], [k], a, b, share=share)[0] == pytest.approx(expected, abs=2e-4)


def test_the_probability_of_luck_by_simulation_over_many_problems_at_once():
    n, k = np.array([16, 16, 24, 8, 8]), np.array([9, 13, 3, 0, 8])
    a, b = np.array([10.0, 10.0, 4.0, np.nan, 10.0]), np.array([10.0, 10.0, 36.0, np.nan, 10.0])
    draw = np.random.default_rng(2)
    p = draw.beta(k + 0.5, n - k + 0.5, size=(200_000, 5))
    g = draw.beta(np.nan_to_num(a, nan=1.0), np.nan_to_num(b, nan=1.0), size=(200_000, 5))
    expected = (lucky_share(p, g) >= 0.5).mean(axis=0)
    expected[3] = 0.0
    assert p_luck(n, k, a, b) == pytest.approx(expected, abs=0.004)
    assert p_luck(n.reshape(5, 1), k.reshape(5, 1), a.reshape(5, 1), b.reshape(5, 1)).shape == (5, 1)


def test_the_three_verdicts():
    n = np.array([128, 128, 8, 128, 8, 8])
    k = np.array([120, 64, 5, 60, 1, 0])
    a = np.array([50.0, 50.0, 50.0, np.nan, np.nan, np.nan])
    found = guess_verdicts(n, k, a, a)
    better, guessing, unclear = GuessVerdict.BETTER, GuessVerdict.GUESSING, GuessVerdict.UNCLEAR
    # The third is a half too, as far as one knows, but 8 rollouts do not show it. Open answers: one pass is enough.
    assert found == [better, guessing, unclear, better, better, unclear]
    assert unclear.value == "not enough evidence"


def test_few_rollouts_never_show_that_a_problem_is_guessing_unless_they_fail():
    # 4 of 4 to 8 of 8 and the like: no count near the guess rate is called equivalence at 4 rollouts.
    k = np.arange(2, 5)
    assert GuessVerdict.GUESSING not in guess_verdicts(np.full(3, 4), k, *BINARY)


def test_verdicts_over_simulated_datasets_of_models_that_know_or_guess():
    draw = np.random.default_rng(4)
    guess = draw.beta(*BINARY, size=4000)
    known = np.where(np.arange(4000) < 2000, 0.0, 0.8)
    passes = draw.binomial(64, guess + known * (1 - guess))
    found = np.array(guess_verdicts(np.full(4000, 64), passes, *BINARY))
    assert (found[:2000] == GuessVerdict.GUESSING).mean() > 0.75
    assert (found[2000:] == GuessVerdict.GUESSING).mean() == 0.0
    assert (found[2000:] == GuessVerdict.BETTER).mean() > 0.95
    better = found == GuessVerdict.BETTER
    assert better[:2000].sum() / better.sum() < 0.05


@pytest.mark.parametrize("rollouts", [8, 16, 64])
@pytest.mark.parametrize(("answers", "least"), [(2, 0.96), (4, 0.95), (10, 0.9)])
def test_guessers_are_flagged_however_few_their_rollouts(rollouts, answers, least):
    draw = np.random.default_rng(rollouts + answers)
    a, b = 20 / answers, 20 - 20 / answers
    passes = draw.binomial(rollouts, draw.beta(a * 3, b * 3, size=4000))
    assert guessable(np.full(4000, rollouts), passes, a, b, True).mean() > least


def test_what_is_mostly_known_is_not_flagged_once_it_is_shown():
    draw = np.random.default_rng(8)
    for answers, known in ((2, 0.85), (4, 0.7), (10, 0.5)):
        passes = draw.binomial(64, known + (1 - known) / answers, size=2000)
        assert guessable(np.full(2000, 64), passes, 20 / answers, 20 - 20 / answers, True).mean() < 0.05


def test_the_burden_of_proof():
    # 6 of 8 on a yes-or-no question may be luck: flagged where the form of the question makes that likely.
    assert guessable([8], [6], *BINARY, True).tolist() == [True]
    assert guessable([8], [6], *BINARY, False).tolist() == [False]
    # 0.7 is better than chance beyond doubt, and 3 of 7 passes are luck all the same: shown only by many rollouts.
    assert guess_verdicts([200], [140], 5000.0, 5000.0) == [GuessVerdict.BETTER]
    assert guessable([200], [140], 5000.0, 5000.0, True).tolist() == [True]
    assert guessable([2000], [1400], 5000.0, 5000.0, True).tolist() == [False]
    # An open answer is never flagged, not even without a pass.
    assert not guessable([8, 8], [0, 3], np.nan, np.nan, True).any()
    assert guessable([64], [0], 2.0, 48.0, False).tolist() == [True]


@pytest.mark.parametrize(
    "call",
    [
        lambda: guess_test([8], [9], 1.0, 1.0),
        lambda: guess_test([8, 8], [1], 1.0, 1.0),
        lambda: guess_test([8], [1], 0.0, 1.0),
        lambda: guess_test([8], [1], np.nan, 1.0),
        lambda: false_discoveries([0.5], 0.0),
        lambda: false_discoveries([1.5]),
        lambda: p_luck([8], [1], 1.0, 1.0, share=0.0),
        lambda: guessable([8], [1], 1.0, 1.0, True, confidence=0.5),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ValueError, match=r"lie|Beta|differ"):
        call()
