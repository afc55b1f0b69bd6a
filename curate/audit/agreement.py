"""Agreement: how probable a reference is wrong, given which answers a problem's rollouts agree on.

Owns the model and its arithmetic: counts in, probabilities out. Must not import any other room, nor know what an answer
is or what a reference looks like by itself.

The model. A problem has a right answer, and wrong ones. A rollout reaches the right answer with probability p;
otherwise it takes a wrong one, and wrong answers repeat as a Chinese restaurant process of concentration alpha makes
them repeat (Ewens 1972): near 0 all wrong rollouts agree, far above 1 no two do. How p and alpha are spread over the
problems is learned from the profile itself, on a grid, by EM. Two stories are then compared for each problem:

- the reference is right: its k rollouts are the right ones, and the other answers are wrong ones;
- it is wrong: another answer's rollouts are the right ones (or nobody's are), and whoever wrote the reference drew it
  from the same wrong answers as the model draws its own.

Every answer seen has one label in both stories, so the labels' probabilities cancel and counts are enough. What a
majority is worth follows: where this model's wrong answers scatter and its right ones are common, 6 rollouts of 8 for
another answer are strong evidence; where it hardly ever solves a problem, or its wrong answers agree, they are not.

Its weakness: what all rollouts of one model share, it cannot see. Strong models agree on wrong answers too: on the
choice questions of one leaderboard two models that were both wrong gave the same answer in 60% of cases (arXiv
2506.07962).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BASE_RATE = 0.02
"""How probable a reference is wrong before anything is known of it.

Fixed and not learned: a model that cannot solve a set looks like one whose references are wrong. Audits of benchmarks
found 1 to 5% (arXiv 2103.14749 on ten test sets; arXiv 2502.03461 on GSM8K and others).
"""

SIGNED_RATE = 0.5
"""The same where the reference itself gives cause for doubt. A judgement, not a measurement."""

COMPETITORS = 3
"""Other answers that are tried as the right one; a rarer one could never outweigh them."""

LEARN_FROM = 20_000
"""Problems that teach how p and alpha are spread; more would say the same."""

_RATES = np.sin((np.arange(16) + 0.5) * np.pi / 32) ** 2
_CONCENTRATIONS = 10.0 ** np.arange(-1.0, 3.0, 0.5)
_PSEUDO_PROBLEMS = 1.0
"""A problem's worth of mass spread evenly over the grid, so that nothing is impossible because it was not seen."""
_ROUNDS = 40
_CHUNK = 4096


def log_factorials(most: int) -> Floats:
    """``log i!`` for i from 0 to ``most``."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])


@dataclass(frozen=True, eq=False)
class Evidence:
    """The counts of every problem; each array but ``rivals`` is one-dimensional, with an entry for each problem."""

    n: Ints
    """Rollouts with an answer."""
    k: Ints
    """Those that reached the reference."""
    kinds: Ints
    """How many other answers there are."""
    log_sizes: Floats
    """Over the other answers, the sum of ``log (count - 1)!``."""
    rivals: Ints
    """Counts of the commonest other answers, in ``COMPETITORS`` columns; 0 where there is none."""
    prior: Floats
    """Probability that the reference is wrong before its rollouts are looked at, in (0, 1)."""

    def stories(self, part: slice | Ints) -> tuple[Floats, Floats]:
        """Prior times likelihood of the reference being right, and wrong, in every cell; shape (problems, rates,
        concentrations). Each problem is scaled by its own largest number, the same in both.
        """
        n, k, kinds, sizes = self.n[part], self.k[part], self.kinds[part], self.log_sizes[part]
        known = log_factorials(int(n.max(initial=0)))
        right = _log_likelihood(n, k, n - k, kinds, sizes)
        # The reference is one more wrong answer: its k rollouts and itself sit at one table, (k + 1 - 1)! more.
        wrong = [_log_likelihood(n, np.zeros_like(n), n + 1, kinds + 1, sizes + known[k])]
        for rival in self.rivals[part].T:
            without = sizes - known[np.maximum(rival - 1, 0)] + known[k]
            log = _log_likelihood(n, rival, n - rival + 1, kinds, without)
            wrong.append(np.where(rival[:, None, None] > 0, log, -np.inf))
        highest = np.max([one.max(axis=(1, 2)) for one in (right, *wrong)], axis=0)[:, None, None]
        prior = self.prior[part][:, None, None]
        return (1.0 - prior) * np.exp(right - highest), prior * sum(np.exp(one - highest) for one in wrong)


def p_wrong(evidence: Evidence) -> Floats:
    """The probability that each reference is wrong, under the spread that the other problems teach.

    A problem without rollouts has its prior. Always in (0, 1): nobody is sure.
    """
    rates, concentrations = _learn(evidence)
    # A problem must not testify for itself: what looks like a trap would then be evidence that there are traps. Where
    # only every so many-th problem teaches, there are so many that one more or less is nothing.
    alone = 1.0 if len(evidence.n) <= LEARN_FROM else 0.0
    found = np.empty(len(evidence.n))
    for begin in range(0, len(found), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        right, wrong = evidence.stories(part)
        own = _shares(right + wrong, _smoothed(rates), _smoothed(concentrations))
        weights = (_smoothed(rates - alone * own.sum(axis=2)), _smoothed(concentrations - alone * own.sum(axis=1)))
        a, b = (np.einsum("ipa,ip,ia->i", story, *weights) for story in (right, wrong))
        found[part] = b / (a + b)
    return found


def _log_likelihood(
    n: Ints,
    passes: Ints,
    customers: Ints,
    tables: Ints,
    log_f: Floats,
) -> Floats:
    """log P(these passes, and these customers at these tables) in every cell; shape (problems, rates, concentrations).

    The passes are draws in a fixed order; the customers' tables follow Ewens: ``alpha^tables * prod (size - 1)! /
    (alpha (alpha + 1) ... (alpha + customers - 1))``, with ``log_f`` the sum of ``log (size - 1)!``.
    """
    seats = np.arange(int(customers.max(initial=0)))[:, None]
    rising = np.concatenate([np.zeros((1, _CONCENTRATIONS.size)), np.cumsum(np.log(_CONCENTRATIONS + seats), axis=0)])
    of_rates = np.outer(passes, np.log(_RATES)) + np.outer(n - passes, np.log1p(-_RATES))
    of_tables = np.outer(tables, np.log(_CONCENTRATIONS)) + log_f[:, None] - rising[customers]
    cells: Floats = of_rates[:, :, None] + of_tables[:, None, :]
    return cells


def _learn(evidence: Evidence) -> tuple[Floats, Floats]:
    """How many problems stand at each pass rate and at each concentration, by EM over both stories.

    The two are taken to be independent over the problems. Were they not, a corner of the grid (never solved, and all
    wrong rollouts agree) could be learned from the wrong references themselves, and explain them away.
    """
    taught = np.arange(0, len(evidence.n), max(1, -(-len(evidence.n) // LEARN_FROM)))
    likelihood = np.zeros((len(taught), _RATES.size, _CONCENTRATIONS.size))
    for begin in range(0, len(taught), _CHUNK):
        right, wrong = evidence.stories(taught[begin : begin + _CHUNK])
        likelihood[begin : begin + _CHUNK] = right + wrong
    rates, concentrations = np.zeros(_RATES.size), np.zeros(_CONCENTRATIONS.size)
    for _ in range(_ROUNDS):
        total = _shares(likelihood, _smoothed(rates), _smoothed(concentrations)).sum(axis=0)
        rates, concentrations = total.sum(axis=1), total.sum(axis=0)
    return rates, concentrations


def _shares(likelihood: Floats, rates: Floats, concentrations: Floats) -> Floats:
    """The posterior of each problem over the cells, given the weights of the rows and the columns of the grid."""
    shares: Floats = likelihood * (rates[:, None] * concentrations)
    shares /= shares.sum(axis=(1, 2), keepdims=True)
    return shares


def _smoothed(mass: Floats) -> Floats:
    """Weights from the mass along the last axis."""
    held = np.maximum(mass, 0.0) + _PSEUDO_PROBLEMS / mass.shape[-1]
    smoothed: Floats = held / held.sum(axis=-1, keepdims=True)
    return smoothed
