"""Allocation: how many rollouts a problem gets.

Owns the two rules, fixed and adaptive. Must not draw, and must not look at a clock: what a problem gets follows from
the verdicts alone, whatever order they arrive in, so that a run which was broken off ends like one that was not.

The adaptive rule goes in rounds that overlap. Every problem gets its pilot. The prior is learned from the pilots of the
scouts, half of the problems, which are drawn first; the others' pilots keep the engine full meanwhile. The prior gives
the Bayes-optimal stopping table, and each problem goes on under it alone, step by step, until the table stops it. When
all have stopped, the prior is learned again from everything, and those that its table would not have stopped go on.
A problem is always judged by its first rollouts up to where its rule has come, never by whichever have arrived: short
rollouts finish first and pass more often.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from curate.recipe import BandSection, BudgetSection
from curate.records import Problem, Prompt, VerdictKind
from curate.statistics import prior as priors
from curate.statistics.stopping import StoppingTable, stopping_table

ROUNDS = 8
"""Most times that the prior is learned again at the end. Each reopens fewer problems than the one before."""

FEWEST_SCOUTS = 50
"""Below so many problems there is no prior to learn."""

MOST_SCOUTS = 20_000
"""More pilots teach the prior nothing that matters."""

COSTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Relative costs that tables are made for; a problem takes the nearest by ratio."""


class Mark(IntEnum):
    """What is known of one rollout of a problem."""

    ABSENT = 0
    UNJUDGED = 1
    PASS = 2
    FAIL = 3
    UNSCORED = 4

    @classmethod
    def of(cls, kind: VerdictKind) -> Mark:
        """The mark of a verdict."""
        return cls[kind.name]


@dataclass(slots=True, eq=False)
class Track:
    """How far one problem has come."""

    problem: Problem
    prompt: Prompt
    marks: bytearray = field(default_factory=bytearray)
    """One ``Mark`` for each index, earlier runs included."""
    pilot: int = 0
    """How many first rollouts are its pilot."""
    pilot_tokens: int = 0
    """Completion tokens of those of them that are held."""
    position: int = 0
    """How many of its first rollouts its rule has looked at."""
    n: int = 0
    """Scored rollouts among those."""
    k: int = 0
    """Passes among those."""
    outstanding: int = 0
    """Requests queued or in flight; a decision is taken only when there is none."""
    failed: bool = False
    """Its requests failed too often; it is left for another run."""

    def drew(self, index: int, mark: Mark, tokens: int) -> None:
        """Take a rollout that was drawn."""
        if index >= len(self.marks):
            self.marks.extend(bytes(index + 1 - len(self.marks)))
        self.marks[index] = mark
        if index < self.pilot:
            self.pilot_tokens += tokens

    def missing(self, until: int) -> list[int]:
        """The indices below ``until`` that were not drawn."""
        short = range(len(self.marks), until)
        return [index for index in range(min(until, len(self.marks))) if not self.marks[index]] + list(short)

    def advance(self, position: int) -> None:
        """Look at the rollouts up to a position; all must be there."""
        looked_at = self.marks[self.position : position]
        passes = looked_at.count(Mark.PASS)
        self.n += passes + looked_at.count(Mark.FAIL)
        self.k += passes
        self.position = position


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
    """

    def __init__(self, band: BandSection, budget: BudgetSection) -> None:
        self._band = band
        self._budget = budget
        self._limited = budget.max_rollouts is not None or budget.max_tokens is not None
        self._pilot = min(budget.pilot, budget.cap)
        self._grid = priors.make_grid(edges=(band.low, band.high))
        self._tracks: Sequence[Track] = ()
        self._teachers: Sequence[Track] = ()
        """The scouts."""
        self._scouts: set[Track] = set()
        """Those of them whose pilots the first table still waits for."""
        self._waiting: list[Track] = []
        """Those with a pilot, while there is no table."""
        self._table: StoppingTable | None = None
        self._ranks: np.ndarray | None = None
        self._buckets = np.sqrt(np.array(COSTS[1:]) * np.array(COSTS[:-1]))
        self._mean_tokens = 0.0
        self._rounds = 0
        self._forecast = 0
        self.prior = priors.jeffreys(self._grid)
        """As last learned."""

    def begin(self, tracks: Sequence[Track]) -> Sequence[Track]:
        """Scouts first, chosen by a hash of their ids: the order of a source is often that of difficulty."""
        self._tracks = tracks
        self._forecast = self._pilot * len(tracks)
        shuffled = sorted(tracks, key=lambda track: _shuffle(track.problem.problem_id))
        size = min(max(FEWEST_SCOUTS, len(tracks) // 2), MOST_SCOUTS)
        self._teachers = shuffled[:size]
        self._scouts = set(self._teachers)
        return shuffled

    def target(self, track: Track, /) -> int:
        """The pilot, then step by step under the table."""
        if track.failed:
            self._scouts.discard(track)
            return 0
        while True:
            size = self._size(track)
            if not size:
                break
            until = track.position + size
            if track.missing(until):
                return until
            track.advance(until)
        if self._table is None:
            self._waiting.append(track)
            self._scouts.discard(track)
        return track.position

    def priority(self, track: Track, /) -> float:
        """Pilots first, scouts' before others'; then the largest gain, or without a budget the longest way to go."""
        if track.position < self._pilot or self._ranks is None:
            return float("inf")
        return float(self._ranks[self._bucket(track), track.n, track.k])

    def forecast(self) -> int:
        """The pilots, until there is a table; then what the table expected when it was made."""
        return self._forecast

    def released(self, dry: bool, /) -> Sequence[Track]:
        """Everyone who waited for the first table; at the end, those whom a better prior would not have stopped."""
        if self._table is None:
            if self._scouts and not dry:
                return ()
            self._learn([track for track in self._teachers if track.position])
            waiting, self._waiting = self._waiting, []
            return waiting
        if not dry or self._rounds >= ROUNDS:
            return ()
        self._rounds += 1
        self._learn(self._tracks)
        return [track for track in self._tracks if not track.failed and self._size(track)]

    def _size(self, track: Track) -> int:
        """How many more rollouts the rule wants to look at; 0 to stop."""
        if track.position < self._pilot:
            return self._pilot - track.position
        if self._table is None or track.position >= self._budget.cap:
            return 0
        going_on = self._table.continues[self._bucket(track), track.n, track.k]
        return min(self._budget.step, self._budget.cap - track.position) if going_on else 0

    def _bucket(self, track: Track) -> int:
        if not self._mean_tokens or not track.pilot_tokens:
            return COSTS.index(1.0)
        return int(np.searchsorted(self._buckets, track.pilot_tokens / self._pilot / self._mean_tokens))

    def _learn(self, tracks: Sequence[Track]) -> None:
        """Fit the prior to what the rule has looked at, and make the table anew."""
        if not self._mean_tokens:
            held = [track.pilot_tokens for track in tracks if track.pilot_tokens]
            self._mean_tokens = sum(held) / len(held) / self._pilot if held else 0.0
        n = np.array([track.n for track in tracks], dtype=np.int64)
        k = np.array([track.k for track in tracks], dtype=np.int64)
        self.prior = priors.fit_prior(n, k, self._grid)
        budget, band = self._budget, self._band
        self._table = table = stopping_table(
            self.prior,
            band.low,
            band.high,
            confidence=band.confidence,
            pilot=self._pilot,
            step=budget.step,
            cap=budget.cap,
            price=budget.price,
            costs=COSTS,
        )
        if self._limited:
            size = budget.cap + 1
            counts, passes = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
            self._ranks = np.stack([table.gain(counts, passes, cost) for cost in COSTS])
        else:
            self._ranks = table.rollouts_later
        # A problem that has no pilot yet expects what the mean problem does.
        expected = [
            track.position + table.rollouts_later[self._bucket(track), track.n, track.k] for track in self._tracks
        ]
        self._forecast = round(sum(expected))


def _shuffle(problem_id: str) -> bytes:
    return hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()
