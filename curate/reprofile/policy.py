"""The policy: what makes a profile due, as far as checkpoint, days and training steps tell.

Owns the thresholds and their test against the clock. Must not predict: what needs old rollouts is ``due``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from curate.errors import UsageError
from curate.reprofile.targets import Target
from curate.summary import step_of

ANCHORS = 32
"""Anchor problems by default."""


@dataclass(frozen=True)
class Policy:
    """When a profile is due. A new checkpoint is always needed; without any of these it is enough."""

    every_days: float | None = None
    """Days since the last profile, at least."""
    every_steps: int | None = None
    """Training steps since it, at least."""
    changed: float | None = None
    """Share of the problems whose outcome is expected to be another, at least."""
    budget: float | None = None
    """Most problems to draw again, as a share of all, anchors included: the likeliest changes. None: all that the
    confidence of the band leaves in doubt."""
    anchors: int = ANCHORS
    """Anchor problems; 0 goes without and profiles everything."""


def check(policy: Policy) -> None:
    """Refuse a policy that is none.

    Raises:
        UsageError: names the option.
    """
    for name, share in (("--changed", policy.changed), ("--budget", policy.budget)):
        if share is not None and not 0.0 < share <= 1.0:
            raise UsageError(f"a share lies above 0 and is at most 1, got {share:g}", where=name)
    for name, least in (("--every-days", policy.every_days), ("--every-steps", policy.every_steps)):
        if least is not None and not least > 0:
            raise UsageError(f"must be above 0, got {least:g}", where=name)
    if policy.anchors < 0:
        raise UsageError(f"must be at least 0, got {policy.anchors}", where="--anchors")


def may_be_new(last: Mapping[str, Any], target: Target) -> bool:
    """Whether the target is another checkpoint than a profile's, as far as is known."""
    return target.revision is None or target.revision != last["model"]["revision"]


def by_clock(last: Mapping[str, Any], target: Target, policy: Policy) -> tuple[bool, list[str], list[str]]:
    """Whether it is due by checkpoint, days and steps alone.

    Args:
        last: The manifest of the last profile, or of a release.
        target: The checkpoint that is asked about.
        policy: The thresholds.

    Returns:
        Whether it is, the reasons for either, and notes on what could not be told.
    """
    notes = [f"the checkpoint's revision cannot be told: {target.why_unknown}"] if target.revision is None else []
    if not may_be_new(last, target):
        return False, ["the checkpoint is the one that was profiled"], notes
    days = _days_since(str(last.get("updated") or last.get("profile_updated") or last.get("created")))
    before = step_of(last)
    steps = None if target.step is None or before is None else target.step - before
    said: list[tuple[bool, str]] = []
    if policy.every_days is not None:
        said.append(
            (
                days >= policy.every_days,
                f"{days:.1f} days since the last profile, the policy says {policy.every_days:g}",
            )
        )
    if policy.every_steps is not None:
        if steps is None:
            untold = target.path if target.step is None else "the last profile's"
            told = f"training steps cannot be told from the checkpoints' names ({untold}): "
            notes.append(f"{told}name folders checkpoint-N, or leave --every-steps out")
        else:
            said.append(
                (steps >= policy.every_steps, f"{steps:,} steps since it, the policy says {policy.every_steps:,}")
            )
    if not said and policy.every_steps is None and policy.changed is None:
        if target.revision is None:
            return False, [f"whether there is a new checkpoint cannot be told: {target.why_unknown}"], []
        return True, [f"a new checkpoint: {target.path} at {target.revision[:20]}"], notes
    if not said and policy.changed is None:
        return False, notes, []
    passed = [text for over, text in said if over]
    return bool(passed), passed or [text for _, text in said], notes


def _days_since(moment: str) -> float:
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (datetime.now(UTC) - then.astimezone(UTC)).total_seconds() / 86400
