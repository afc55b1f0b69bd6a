"""Schedules: what is said of what is due, as plain values.

Owns the carriers that the decision gives, and that the forms, the run and the command line take.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate.reprofile.policy import Policy
from curate.reprofile.targets import Target


@dataclass(frozen=True)
class Item:
    """Some problems that are due, and why."""

    kind: str
    """``all``, ``anchors``, ``unfinished`` (the new checkpoint's profile was broken off), ``straddling`` (the predicted
    pass rate may lie across an edge from the old outcome), ``untrusted`` (its topic moved unlike the rest), or
    ``quarantined`` (left out for a reason that says nothing of the model)."""
    problem_ids: tuple[str, ...]
    """The most urgent first; empty for a release, whose problems are not read."""
    problems: int
    rollouts: int | None
    """Expected; None where there is nothing to judge by."""
    tokens: int | None
    """Completion tokens of those; None where the old profiles counted none."""


@dataclass(frozen=True)
class Schedule:
    """What is due."""

    due: bool
    reasons: tuple[str, ...]
    """Why it is, or why it is not, in words."""
    notes: tuple[str, ...]
    """What a person should know besides: what could not be told, which topics are not predicted, what comes next."""
    target: Target
    base: Path
    """The profile, or the release, whose outcomes are asked about."""
    into: Path | None
    """The folder of the new checkpoint's profile; None for a release."""
    items: tuple[Item, ...]
    problems: int
    """All problems of the base."""
    measured: int
    """Those of which the new checkpoint has rollouts already."""
    expected_changes: float | None
    """Share of the problems whose outcome is expected to be another; None where nothing says so."""
    rollouts: int | None
    tokens: int | None
    seconds: float | None
    """Expected of all items together; seconds at the speed that was measured. None: unknown."""
    like: tuple[Path, ...]
    """The old profiles, which a profile of the new checkpoint can start from."""
    policy: Policy

    @property
    def problem_ids(self) -> tuple[str, ...]:
        """All that are due, each once, the most urgent first."""
        return tuple(dict.fromkeys(name for item in self.items for name in item.problem_ids))
