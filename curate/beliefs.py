"""Beliefs: how pass rates are spread over the problems, learned from counts, and kept in the ledger.

Owns the way between a frame of problems and the priors of ``statistics``: one for all, or where a profile was begun
``--like`` earlier ones, one for each class of them. Must not estimate or decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from curate.earlier import history
from curate.recipe import BandSection
from curate.statistics import prior, warm
from curate.statistics.prior import Grid, Prior


def learn(counts: pl.DataFrame, band: BandSection, earlier: pl.DataFrame | None = None) -> Prior:
    """Learn from all counts how pass rates are spread; Jeffreys where they are too few.

    Args:
        counts: As ``count`` gives them.
        band: The band.
        earlier: What earlier profiles know, as ``Ledger.earlier`` has it: then each class has a prior of its own.
    """
    grid = prior.make_grid(edges=(band.low, band.high))
    n, k = counts["n"].to_numpy(), counts["k"].to_numpy()
    if earlier is None:
        return prior.fit_prior(n, k, grid)
    of, classes = counts["prior_class"].to_numpy(), int(earlier["prior_class"].to_numpy().max())
    return warm.fit_classes(classes, of, *history(earlier, counts["problem_id"]), n, k, grid)[0]


def each_class(frame: pl.DataFrame, belief: Prior) -> Iterator[tuple[Prior, np.ndarray]]:
    """The prior of each class of problems, and which rows of a frame it is for; without ``prior_class``, for all."""
    if "prior_class" not in frame.columns:
        yield belief, np.ones(frame.height, np.bool_)
        return
    of = frame["prior_class"].to_numpy()
    for number, one in enumerate((belief, *belief.classes)):
        rows = of == number
        if rows.any():
            yield one, rows


def to_frame(belief: Prior) -> pl.DataFrame:
    """A prior as the ledger keeps it, with those of its classes."""
    return pl.concat(
        pl.DataFrame({"theta": one.grid.boundaries[:-1], "weight": one.weights}).with_columns(
            problems=pl.lit(one.problems, pl.Int64)
        )
        for one in (belief, *belief.classes)
    )


def from_frame(frame: pl.DataFrame) -> Prior:
    """The prior that the ledger kept."""
    theta, weight, problems = (frame[name].to_numpy() for name in ("theta", "weight", "problems"))
    begins = np.flatnonzero(theta == 0.0)
    grid = Grid(np.append(theta[: np.append(begins, theta.size)[1]], np.pi / 2))
    priors = [Prior(grid, weight[begin : begin + grid.widths.size], int(problems[begin])) for begin in begins.tolist()]
    return replace(priors[0], classes=tuple(priors[1:]))
