"""Bands: every problem's side of every band that can be dragged on the page, decided here and only looked up there.

Owns the edges that a dragged band snaps to, and the table of sides. The page does no statistics: the posterior decides
in Python, as it does for ``filter``, and what a page counts for a band is what a release of that band would hold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.recipe import BandSection
from curate.statistics.posterior import expectation
from curate.statistics.prior import Ints, Prior

STEP = 0.025
"""A dragged edge moves by so much pass rate."""

NEVER = 255
"""In the table: there is no such edge."""


def edges(band: BandSection) -> list[float]:
    """The pass rates that an edge can be dragged to, ascending: multiples of ``STEP``, and the profile's own."""
    grid = [round(number * STEP, 3) for number in range(round(1 / STEP) + 1)]
    return sorted({*grid, band.low, band.high})


def sides(prior: Prior, n: Ints, k: Ints, at: list[float], confidence: float) -> NDArray[np.uint8]:
    """For each pair of counts, which bands it is in, below and above.

    A side is decided where its posterior mass reaches the confidence. The mass in a band grows with its upper edge, the
    mass below with the lower one, and the mass above as the upper one falls: so a threshold says all of it.

    Args:
        prior: What the profile was estimated with.
        n: Scored rollouts, shape (pairs,).
        k: Passes.
        at: The edges, ascending, at most 254 of them.
        confidence: In (0.5, 1).

    Returns:
        Shape (pairs, len(at) + 2). Column i < len(at): the position of the lowest upper edge with which a band that
        begins at edge i holds the problem, or ``NEVER``. Then the position of the lowest lower edge that the problem is
        below of, or ``NEVER``; then how many of the first edges it is above of.
    """
    # Both shares come from the grid's own regions, because that is what ``filter`` decides by.
    regions = [prior.grid.regions(edge, edge) for edge in at]
    below = expectation(prior, n, k, np.stack([region[0] for region in regions])).T
    above = expectation(prior, n, k, np.stack([region[2] for region in regions])).T
    table = np.full((len(n), len(at) + 2), NEVER, dtype=np.uint8)
    for low in range(len(at)):
        inside = below[:, low:] - below[:, low, None] >= confidence
        table[:, low] = np.where(inside.any(axis=1), low + inside.argmax(axis=1), NEVER)
    reached = below >= confidence
    table[:, -2] = np.where(reached.any(axis=1), reached.argmax(axis=1), NEVER)
    table[:, -1] = (above >= confidence).sum(axis=1)
    return table
