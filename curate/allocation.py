"""Allocation: how many rollouts a problem gets.

Owns the two rules, fixed and adaptive. Must not draw, and must not look at a clock: what a problem gets follows from
the verdicts alone, whatever order they arrive in, so that a run which was broken off ends like one that was not.

The adaptive rule goes in stages. Every problem gets its pilot; the prior is learned from it and gives the
Bayes-optimal stopping table, under which each problem goes on alone, step by step, until the table stops it or the
stage ends. The prior is learned anew at each stage, from the first rollouts of the scouts, four problems in five; a
stage's table waits for all scouts to come so far, and the others' rollouts keep the engine full meanwhile. The last
stage's table holds to the end, and its prior is the one that the problems are estimated with: a problem stops just past
the confidence asked for, and under a prior that moved on many would lie just short of it.

A run that was begun ``--like`` earlier profiles goes the same way, with a prior and a table for each class of problems
that should have like pass rates (``statistics.warm``), and with smaller pilots and steps: less is to be learned.

A problem is always judged by its first rollouts up to where its rule has come, never by whichever have arrived: short
rollouts finish first and pass more often.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import polars as pl

from curate.earlier import history
from curate.layout import EARLIER
from curate.recipe import BandSection, BudgetSection
from curate.records import Problem
from curate.statistics import prior as priors
from curate.statistics import warm
from curate.statistics.prior import Prior
from curate.statistics.stopping import StoppingTable, operating_characteristics, stopping_table
from curate.tracks import Track

STAGES = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Where the prior is learned anew, in pilots. Early stages are close: the first table knows least."""

SCOUTS = 0.8
"""Share of the problems whose rollouts teach the prior; the rest is there to keep the engine full."""

MOST_SCOUTS = 20_000
"""More problems teach the prior nothing that matters."""

COSTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Relative costs that tables are made for; a problem takes the nearest by ratio."""


TABLE_STATES = 2**22
"""States of all tables of a stage together, for each cost: with a larger cap there are fewer classes of problems."""


class Allocation(Protocol):
    """Says what to draw."""

    def begin(self, tracks: Sequence[Track]) -> Sequence[Track]:
        """Take all problems of the run; returns them in the order in which their first requests should go."""

    def target(self, track: Track, /) -> int:
        """How many rollouts a problem should hold now; no more than it holds: nothing for now.

        Called when none of its requests is outstanding, and once more for a problem that has ``failed``.
        """

    def priority(self, track: Track, /) -> float:
        """What goes first: higher before lower; equal ones in the order they came."""

    prior: Prior | None
    """What was learned of the spread of pass rates; None where nothing was."""

    def forecast(self) -> int:
        """Rollouts that all problems are expected to hold in the end, as far as is known now."""

    def released(self, dry: bool, /) -> Sequence[Track]:
        """Problems whose target must be asked for again, because something was learned.

        Args:
            dry: Nothing is queued or in flight.
        """


class Fixed:
    """Every problem gets the same number of rollouts.

    Args:
        rollouts: At least 1.
    """

    def __init__(self, rollouts: int) -> None:
        self.prior: Prior | None = None
        self._rollouts = rollouts
        self._problems = 0

    def begin(self, tracks: Sequence[Track]) -> Sequence[Track]:
        """In source order."""
        self._problems = len(tracks)
        return tracks

    def target(self, _track: Track, /) -> int:
        """The same for all."""
        return self._rollouts

    def priority(self, _track: Track, /) -> float:
        """In source order."""
        return 0.0

    def forecast(self) -> int:
        """Exact."""
        return self._rollouts * self._problems

    def released(self, _dry: bool, /) -> Sequence[Track]:
        """Nothing is ever learned."""
        return ()


class Adaptive:
    """Draws more where the outcome is in doubt and stops where it is clear; see the module.

    Args:
        band: The band and the confidence.
        budget: Pilot, step, cap and price. With a budget of rollouts or tokens, what goes first is what is expected to
            gain most for each token; without one everything is drawn anyway, and the longest goes first, so that the
            engine is not left with a few problems at the end.
        earlier: What earlier profiles know of the problems, as ``Ledger.earlier`` has it; None where nothing is known.
    """

    def __init__(self, band: BandSection, budget: BudgetSection, earlier: pl.DataFrame | None = None) -> None:
        self._band = band
        self._budget = budget
        self._limited = budget.max_rollouts is not None or budget.max_tokens is not None
        self._pilot = min(budget.pilot, budget.cap)
        # With a history the first table rests on smaller pilots, and holds no longer than until a full one is there.
        stages = STAGES if earlier is not None else STAGES[1:]
        self._ends = [round(self._pilot * stage) for stage in stages] + [budget.cap]
        """Position at which each stage ends."""
        self._grid = priors.make_grid(edges=(band.low, band.high))
        self._tracks: Sequence[Track] = ()
        self._scouts: Sequence[Track] = ()
        self._behind: set[Track] = set()
        """Scouts that have not come to the next table's stage."""
        self._waiting: list[Track] = []
        """All that have, and wait for that table."""
        self._earlier = earlier
        self._pilots = [self._pilot]
        """Of each class."""
        if earlier is not None:
            by_class = earlier.unique("prior_class").sort("prior_class")
            self._pilots += by_class["pilot"].to_list()
        self._tables: list[list[StoppingTable]] = []
        """Of each stage, for each class."""
        self._ranks: list[np.ndarray] = []
        self._between = np.sqrt(np.array(COSTS[1:]) * np.array(COSTS[:-1]))
        self._mean_tokens = 0.0
        self.prior: Prior | None = None
        """As last learned; None before the first table."""

    def begin(self, tracks: Sequence[Track]) -> Sequence[Track]:
        """Scouts first, chosen by a hash of their ids: the order of a source is often that of difficulty."""
        shuffled = sorted(tracks, key=lambda track: _shuffle(track.problem.problem_id))
        self._tracks = tracks
        size = min(max(math.ceil(SCOUTS * len(tracks)), priors.FEWEST_PROBLEMS), MOST_SCOUTS)
        self._scouts = shuffled[:size]
        self._behind = set(self._scouts)
        return shuffled

    def target(self, track: Track, /) -> int:
        """The pilot, then step by step under the table of its stage."""
        if track.failed:
            self._behind.discard(track)
            return 0
        while True:
            size = self._size(track)
            if not size and track.stage + 1 < len(self._ends) and track.stage < len(self._tables):
                track.stage += 1
                continue
            if not size:
                break
            until = track.position + size
            if track.missing(until):
                return until
            track.advance(until)
        if track.stage == len(self._tables):
            self._waiting.append(track)
            self._behind.discard(track)
        return track.position

    def priority(self, track: Track, /) -> float:
        """Pilots before steps; then the largest gain, or without a budget the scouts and the longest way first."""
        if track.position < self._pilots[track.prior_class] or not self._ranks:
            return math.inf
        rank = float(self._ranks[track.prior_class][self._bucket(track), track.n, track.k])
        return rank if self._limited else rank + 1e6 * (track.stage + 1 < len(self._ends))

    def forecast(self) -> int:
        """The pilots, until there is a table; then what the last table expects of every problem."""
        return round(sum(track.position + self.to_come(track) for track in self._tracks))

    def to_come(self, track: Track) -> float:
        """Rollouts that a problem is expected to want beyond those that its rule has looked at."""
        if track.failed:
            return 0.0
        if not self._tables:
            return float(self._pilots[track.prior_class] - track.position)
        return float(self._tables[-1][track.prior_class].rollouts_later[self._bucket(track), track.n, track.k])

    def released(self, dry: bool, /) -> Sequence[Track]:
        """Everyone who waited for a table that can now be made."""
        if len(self._tables) == len(self._ends) or not self._waiting or (self._behind and not dry):
            return ()
        self._learn()
        self._behind = {track for track in self._scouts if not track.failed}
        waiting, self._waiting = self._waiting, []
        return waiting

    def _size(self, track: Track) -> int:
        """How many more rollouts the rule wants to look at within its stage; 0 for none."""
        if track.position < self._pilots[track.prior_class]:
            return self._pilots[track.prior_class] - track.position
        if track.stage >= len(self._tables) or track.position >= self._ends[track.stage]:
            return 0
        table = self._tables[track.stage][track.prior_class]
        if track.position < table.pilot:
            return table.pilot - track.position
        going_on = table.continues[self._bucket(track), track.n, track.k]
        if going_on and track.stage + 1 < len(self._ends) and table.nearly[track.n, track.k]:
            return 0  # until the others have made the prior sharper, which may decide it without another rollout
        return min(table.step, self._budget.cap - track.position) if going_on else 0

    def _bucket(self, track: Track) -> int:
        tokens = track.mean_tokens()
        if not self._mean_tokens or not tokens:
            return COSTS.index(1.0)
        return int(np.searchsorted(self._between, tokens / self._mean_tokens))

    def _learn(self) -> None:
        """Fit the prior to what the rule has looked at of the scouts, and make the next table."""
        taught = [track for track in self._scouts if track.n]
        if taught:
            self._mean_tokens = sum(track.mean_tokens() for track in taught) / len(taught)
        n = np.array([track.n for track in taught], dtype=np.int64)
        k = np.array([track.k for track in taught], dtype=np.int64)
        holds = False
        if self._earlier is None:
            self.prior = priors.fit_prior(n, k, self._grid)
        else:
            of = np.array([track.prior_class for track in taught], dtype=np.int64)
            before = history(self._earlier, [track.problem.problem_id for track in taught])
            self.prior, holds = warm.fit_classes(len(self._pilots) - 1, of, *before, n, k, self._grid)
        budget = self._budget
        # A history that does not hold gives no shorter pilots either: they would only decide early.
        pilots = [pilot if holds and number else None for number, pilot in enumerate(self._pilots)]
        each = zip((self.prior, *self.prior.classes), pilots, strict=True)
        tables = [table_of(prior, self._band, budget, pilot) for prior, pilot in each]
        self._tables.append(tables)
        if self._limited:
            n, k = np.indices((budget.cap + 1, budget.cap + 1))
            self._ranks = [np.stack([table.gain(n, k, cost) for cost in COSTS]) for table in tables]
        else:
            self._ranks = [table.rollouts_later for table in tables]


def into_classes(gathered: pl.DataFrame, band: BandSection, budget: BudgetSection) -> pl.DataFrame:
    """Give each problem that earlier profiles know its class and its pilot.

    Args:
        gathered: As ``earlier.gather`` gives it.
        band: The band.
        budget: The pilot of a problem of which nothing is known, and the cap, on whose square a table's size depends.

    Returns:
        A frame of schema ``EARLIER``.
    """
    grid = priors.make_grid(edges=(band.low, band.high))
    most = min(warm.MOST_CLASSES, max(1, TABLE_STATES // budget.cap**2))
    of = warm.classify(*history(gathered, gathered["problem_id"]), grid, band.low, band.high, most)
    first = warm.first_draw(min(budget.pilot, budget.cap))
    return gathered.with_columns(prior_class=pl.Series(of, dtype=pl.Int64), pilot=pl.lit(first, dtype=pl.Int64)).select(
        EARLIER.names()
    )


def expected_of(
    problems: Sequence[Problem], band: BandSection, budget: BudgetSection, known: pl.DataFrame
) -> tuple[float, float, float]:
    """What a run costs that goes by what earlier profiles know.

    Args:
        problems: Those to be sampled, at least one.
        band: The band.
        budget: The budget.
        known: A frame of schema ``EARLIER``.

    Returns:
        Expected rollouts of a problem; the same of a run that knows nothing of them, both under the same belief of how
        they are solved; and the share decided.
    """
    grid = priors.make_grid(edges=(band.low, band.high))
    counts, size = history(known, known["problem_id"]), int(known["prior_class"].to_numpy().max())
    prior = warm.expect(size, known["prior_class"].to_numpy(), *counts, grid)
    of = dict(known.select("problem_id", "prior_class").iter_rows())
    pilots = {0: None, **dict(known.select("prior_class", "pilot").unique().iter_rows())}
    # A handful of problems says nothing of all others.
    unknown = prior if known.height >= priors.FEWEST_PROBLEMS else priors.jeffreys(grid)
    many = Counter(of.get(problem.problem_id, 0) for problem in problems)
    shares = [(count / len(problems), (unknown, *prior.classes)[number], number) for number, count in many.items()]
    alike = priors.Prior(grid, sum((share * belief.weights for share, belief, _ in shares), np.zeros(grid.p.size)))
    without = table_of(alike, band, budget)
    rollouts = fresh = decided = 0.0
    for share, belief, number in shares:
        found = operating_characteristics(table_of(belief, band, budget, pilots[number]), belief)
        rollouts += share * found.rollouts
        decided += share * found.share_decided
        fresh += share * operating_characteristics(without, belief).rollouts
    return rollouts, fresh, decided


def table_of(prior: Prior, band: BandSection, budget: BudgetSection, pilot: int | None = None) -> StoppingTable:
    """The stopping table of a recipe's band and budget, for every cost of ``COSTS``.

    With another pilot, which is that of problems with a history, no step is larger than half of it.
    """
    return stopping_table(
        prior,
        band.low,
        band.high,
        confidence=band.confidence,
        pilot=budget.pilot if pilot is None else pilot,
        step=budget.step if pilot is None else min(budget.step, max(1, pilot // 2)),
        cap=budget.cap,
        price=budget.price,
        costs=COSTS,
    )


def _shuffle(problem_id: str) -> bytes:
    return hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()
