"""The warm start: priors of classes of problems, from what earlier checkpoints solved and what the new one shows.

Owns the classes, and how far the earlier counts are believed. Takes and gives numpy arrays; must not import any other
room: who reads the earlier profiles, and who draws, is not its business.

Problems that should have like pass rates make a class, and each class has a prior of its own. It is the prediction of
the ability model, each problem's earlier posterior shifted by the ability and widened by the spread that the new counts
themselves show, mixed with the prior that all problems have together. The share of the prediction is learned from the
new counts: a history that says nothing of them (shuffled, reversed, of another kind of problem) gets a share near 0,
and below a half it is let go: what is left is what a run without any history would believe.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curate.statistics import ability
from curate.statistics.prior import FEWEST_PROBLEMS, Floats, Grid, Ints, Prior, chunks, fit_prior, likelihood

MOST_CLASSES = 20
FEWEST_IN_CLASS = 15
"""A class has at least so many problems on average."""
STRENGTH = 30.0
"""How many problems of a class its prediction is worth; more where the share of the prediction is smaller."""
HOLDS = 0.5
"""Below this share of the prediction the history does not hold, and is let go whole: priors, tables and pilots."""
QUARTER = 4
"""A problem with a history begins with the pilot over this: a pilot is for a prior that is yet to be learned."""
ROUNDS = 30
"""Of the search for classes."""
UNKNOWN_SHIFT = 0.5
"""Standard error of the new checkpoint's ability, in logits, before anything was drawn."""


def first_draw(pilot: int) -> int:
    """The first rollouts of a problem with a history, where one without gets ``pilot``."""
    return -(-pilot // QUARTER)


def classify(n: Ints, k: Ints, grid: Grid, low: float, high: float, most: int = MOST_CLASSES) -> Ints:
    """Put problems that should have like pass rates into one class.

    Args:
        n: Shape (checkpoints, problems): scored rollouts at each earlier checkpoint, 0 where none; the last checkpoint
            is the nearest.
        k: Passes; same shape.
        grid: The grid of pass rates.
        low: Lower edge of the band.
        high: Upper edge of the band.
        most: Most classes, at least 1.

    Returns:
        Shape (problems,): the class of each, from 1, in the order of their expected pass rates; 0 for a problem that no
        earlier checkpoint tried.
    """
    known = np.flatnonzero((n > 0).any(axis=0))
    masses = _expected(n[:, known], k[:, known], grid)
    edges = (low / 4, low, (3 * low + high) / 4, (low + 3 * high) / 4, high, (3 + high) / 4)
    bins = np.searchsorted(edges, grid.p)
    raw = _clusters(masses @ np.eye(len(edges) + 1)[bins], max(1, min(most, known.size // FEWEST_IN_CLASS)))
    names = np.unique(raw)
    means = [float((masses[raw == name] @ grid.p).mean()) for name in names]
    of = np.zeros(n.shape[1], np.int64)
    for number, name in enumerate(names[np.argsort(means, kind="stable")], start=1):
        of[known[raw == name]] = number
    return of


def expect(classes: int, of: Ints, n: Ints, k: Ints, grid: Grid) -> Prior:
    """The prior of each class before anything is drawn: that the new checkpoint is about as able as the last one.

    Args:
        classes: How many classes there are beside 0.
        of: Shape (problems,): the class of each, 0 without a history.
        n: Shape (checkpoints, problems): rollouts at each earlier checkpoint.
        k: Passes; same shape.
        grid: The grid of pass rates.

    Returns:
        As ``fit_classes``; problems without a history are expected to be like all others.
    """
    known = of > 0
    masses = _expected(n[:, known], k[:, known], grid)
    all_together = Prior(grid, masses.mean(axis=0))
    each = [masses[of[known] == number] for number in range(1, classes + 1)]
    priors = [Prior(grid, inside.mean(axis=0)) if len(inside) else all_together for inside in each]
    return replace(all_together, classes=tuple(priors))


def fit_classes(classes: int, of: Ints, n: Ints, k: Ints, drawn: Ints, passed: Ints, grid: Grid) -> tuple[Prior, bool]:
    """Learn the prior of each class from the new checkpoint's counts.

    Args:
        classes: How many classes there are beside 0.
        of: Shape (problems,): the class of each, 0 without a history.
        n: Shape (checkpoints, problems): rollouts at each earlier checkpoint.
        k: Passes; same shape.
        drawn: Shape (problems,): the new checkpoint's scored rollouts; 0 for a problem that teaches nothing.
        passed: Passes; same shape.
        grid: The grid to learn on.

    Returns:
        The prior of the problems without a history, with those of the classes, and whether the history holds. Where
        it does not, and for a class of which no problem is given, a class has what all have together.
    """
    alike, known, fresh = fit_prior(drawn, passed, grid), of > 0, of == 0
    # Problems without a history may be of another kind than the rest: they have a prior of their own once it can be.
    own = fit_prior(drawn[fresh], passed[fresh], grid) if (drawn[fresh] > 0).sum() >= FEWEST_PROBLEMS else alike
    if not known.any():
        return replace(own, classes=(own,) * classes), False
    together = fit_prior(drawn[known], passed[known], grid)
    predicted = ability.forecast(n[:, known], k[:, known], drawn[known], passed[known], grid)
    share = _share(drawn[known], passed[known], predicted, together)
    priors = [together] * classes
    for name in np.unique(of[known]).tolist() if share >= HOLDS else []:
        inside = of[known] == name
        base = share * predicted[inside].mean(axis=0) + (1.0 - share) * together.weights
        counts = drawn[known][inside], passed[known][inside]
        priors[name - 1] = fit_prior(*counts, grid, towards=base / base.sum(), strength=STRENGTH / share**2)
    return replace(own, classes=tuple(priors)), share >= HOLDS


def _expected(n: Ints, k: Ints, grid: Grid) -> Floats:
    """Shape (problems, cells): each problem's pass rate at an ability near the last one's."""
    fitted = ability.fit(n, k)
    return ability.predicted_masses(fitted, float(fitted.ability[-1]), UNKNOWN_SHIFT, grid)


def _clusters(shares: Floats, size: int) -> Ints:
    """Put like distributions together: k-means on their roots, whose distance is Hellinger's; a cluster may be empty.

    Args:
        shares: Shape (problems, bins), rows summing to 1, the bins in ascending order.
        size: Most clusters, at least 1.
    """
    roots = np.sqrt(shares)
    order = np.argsort(shares @ np.arange(shares.shape[1]), kind="stable")
    centres = roots[order[(2 * np.arange(size) + 1) * order.size // (2 * size)]]
    nearest = np.zeros(order.size, np.int64)
    for _ in range(ROUNDS):
        nearest = (roots @ centres.T - 0.5 * (centres**2).sum(axis=1)).argmax(axis=1)
        for number in np.unique(nearest):
            centres[number] = roots[nearest == number].mean(axis=0)
    return nearest


def _share(n: Ints, k: Ints, predicted: Floats, together: Prior) -> float:
    """The share of the prediction in the mixture that fits best, as if two problems more had been seen, one of each."""
    fits = np.empty((2, n.size))
    for rows in chunks(n.size, together.grid):
        likely = likelihood(together.grid, n[rows], k[rows])
        fits[0, rows] = (likely * predicted[rows]).sum(axis=1)
        fits[1, rows] = likely @ together.weights
    share = 0.5
    for _ in range(200):
        believed = share * fits[0] / (share * fits[0] + (1 - share) * fits[1])
        share = float((believed.sum() + 1.0) / (n.size + 2.0))
    return share
