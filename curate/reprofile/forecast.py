"""The forecast: how probably each problem has another outcome at a new checkpoint.

Owns how old profiles become the counts of an ability model, and its answer becomes a probability for each problem. Must
not decide what is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.statistics import ability, make_grid
from curate.statistics.ability import AbilityFit, TopicShift
from curate.statistics.prior import Floats, Grid, Ints, Prior

SLOPES_FROM = 3
"""From so many old profiles on, problems may differ in how fast they answer to ability: fewer cannot tell."""
BATCH = 2000
"""Problems whose predicted distributions are held at once."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is expected of each problem at the new checkpoint; arrays over the problems of the base profile."""

    fitted: AbilityFit
    ability: float
    se: float
    """Where the new checkpoint stands, and its standard error, in logits; 0 is where the mean problem is solved half
    the time."""
    placed: bool
    """Whether rollouts of the new checkpoint say so; else it is a guess from the last ones."""
    sides: Floats
    """Shape (problems, 3): predicted mass below, in and above the band."""
    p_change: Floats
    """Predicted mass on the other sides than the one that the base profile decided for, or leaned to."""
    shifts: tuple[TopicShift, ...]
    """How each topic moved beside the rest, the least likely first; empty without topics, or before anything was
    measured."""
    thirds: tuple[TopicShift, ...]
    """The same of the thirds by difficulty: ``easy``, ``middle``, ``hard``."""


def counts(ledgers: Sequence[Ledger], problem_ids: pl.Series) -> tuple[Ints, Ints]:
    """Scored rollouts and passes of problems, shape (profiles, problems); 0 where a profile lacks one."""
    names = problem_ids.to_frame("problem_id")
    found = [
        names.join(
            ledger.estimates().select("problem_id", "n", "k"), on="problem_id", how="left", maintain_order="left"
        )
        for ledger in ledgers
    ]
    n, k = (np.array([frame[name].fill_null(0).to_numpy() for frame in found], np.int64) for name in ("n", "k"))
    return n, k


def forecast(
    old: Sequence[Ledger],
    new: Sequence[Ledger],
    base: pl.DataFrame,
    band: BandSection,
    topics: Sequence[str] | None = None,
    ahead: float = 0.0,
) -> Forecast:
    """Predict every problem of the base profile at a new checkpoint.

    Args:
        old: Profiles of earlier checkpoints, oldest first, at least one.
        new: What was measured of the new checkpoint already: profiles of some of the problems; may be none.
        base: Estimates of the profile whose outcomes are asked about.
        band: The band to go by.
        topics: The topic of each problem of ``base``; None where there are none.
        ahead: Without ``new``: how far the ability is expected to have moved, in logits. The standard error is then as
            large again.
    """
    n, k = counts(old, base["problem_id"])
    fitted = ability.fit(n, k, slopes=len(old) >= SLOPES_FROM)
    shifts: tuple[TopicShift, ...] = ()
    thirds: tuple[TopicShift, ...] = ()
    if new:
        n_new, k_new = (each.sum(axis=0) for each in counts(new, base["problem_id"]))
        at, se = ability.place(fitted, n_new, k_new)
        shifts = tuple(ability.misfit(fitted, n_new, k_new, at, topics)) if topics is not None else ()
        thirds = tuple(ability.misfit(fitted, n_new, k_new, at))
    else:
        at, se = float(fitted.ability[-1]) + ahead, max(abs(ahead), float(np.sqrt(fitted.covariance[-1, -1])))
    grid = make_grid(edges=(band.low, band.high))
    regions = grid.regions(band.low, band.high)
    batches = _predicted(fitted, at, se, grid, np.arange(base.height))
    sides = np.concatenate([masses @ regions.T for masses in batches])
    side = base.select("p_below", "p_in_band", "p_above").to_numpy().argmax(axis=1)
    return Forecast(
        fitted=fitted,
        ability=at,
        se=se,
        placed=bool(new),
        sides=sides,
        p_change=1.0 - sides[np.arange(base.height), side],
        shifts=shifts,
        thirds=thirds,
    )


def spread_of(found: Forecast, which: Ints, band: BandSection) -> Prior:
    """How the pass rates of some of the problems are expected to be spread: what a profile of them will cost."""
    grid = make_grid(edges=(band.low, band.high))
    batches = _predicted(found.fitted, found.ability, found.se, grid, which)
    total = sum((masses.sum(axis=0) for masses in batches), np.full(grid.p.size, 1e-9))
    return Prior(grid, total / total.sum(), which.size)


def _predicted(fitted: AbilityFit, at: float, se: float, grid: Grid, which: Ints) -> Iterator[Floats]:
    """The predicted distributions of some problems over the grid, a batch of them at a time."""
    for start in range(0, which.size, BATCH):
        some = replace(fitted, posterior=fitted.posterior[which[start : start + BATCH]])
        yield ability.predicted_masses(some, at, se, grid)
