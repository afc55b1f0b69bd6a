"""Tracks: how far each problem of a run has come.

Owns what is known of a problem's rollouts while they are drawn, a mark for each. Must not draw, nor say what to draw.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import polars as pl

from curate.records import Problem, Prompt, VerdictKind

HELD = ("problem_id", "index", "completion_tokens")
"""What a track takes of a rollout that an earlier run drew."""


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
    """How many first rollouts are a full pilot; its class may begin with fewer."""
    tokens: array[int] = field(default_factory=lambda: array("Q"))
    """Completion tokens of each rollout of a full pilot that is held; 0 for one that is not."""
    prior_class: int = 0
    """Whose prior and table it goes by; 0 where nothing was known beforehand."""
    stage: int = 0
    """Whose table it goes by."""
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
            self.tokens.extend([0] * (index + 1 - len(self.tokens)))
            self.tokens[index] = tokens

    def mean_tokens(self) -> float:
        """Completion tokens of a rollout of its pilot, as far as its rule has looked at it."""
        looked_at = min(self.position, self.pilot)
        return sum(self.tokens[:looked_at]) / looked_at if looked_at else 0.0

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


def mark_held(tracks: Mapping[str, Track], rollouts: pl.DataFrame, verdicts: pl.DataFrame) -> None:
    """Bring tracks as far as earlier runs did.

    Args:
        tracks: By problem id; rollouts of other problems are passed over.
        rollouts: With the columns ``HELD``.
        verdicts: ``problem_id``, ``index`` and ``verdict``, of those rollouts that were judged.
    """
    for name, index, tokens, verdict in rollouts.join(verdicts, on=["problem_id", "index"], how="left").iter_rows():
        if name in tracks:
            tracks[name].drew(index, Mark.of(VerdictKind(verdict)) if verdict else Mark.UNJUDGED, tokens)
