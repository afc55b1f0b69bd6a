"""Running: what is due is profiled, stage after stage.

Owns ``curate schedule --run``. Must not decide what is due (due does) nor how it is drawn (profiling does).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from curate import durable
from curate.profiling import Report, profile
from curate.recipe import Recipe
from curate.reprofile.due import schedule
from curate.reprofile.emit import begun_like, problem_ids, recipe_of, refuse_release
from curate.reprofile.policy import Policy
from curate.reprofile.schedules import Schedule
from curate.summary import Summary

STAGES = 3
"""What was broken off, the anchors, and what they ask for."""


def run_schedule(
    paths: str | Path | Sequence[str | Path],
    *,
    model: str | None = None,
    policy: Policy | None = None,
    recipe: Recipe | str | Path | None = None,
    report: Report | None = None,
    tell: Callable[[Schedule], None] | None = None,
) -> tuple[Schedule, Summary | None]:
    """Profile what is due: the anchors, then what they leave in doubt.

    The new checkpoint's profile is written beside the old ones, with the problems it is about in ``due.ids``. Interrupt
    it as you like: the same call goes on.

    Args:
        paths: As for ``schedule``.
        model: As for ``schedule``.
        policy: As for ``schedule``.
        recipe: The recipe to change; None takes the base profile's own.
        report: As for ``profile``.
        tell: Called with what is due before each stage.

    Returns:
        What is due still, which is nothing unless the engine failed on it; and where the new profile stands, None where
        nothing was due.

    Raises:
        UsageError: a release was named, whose problems are not known; or no recipe is known.
        CurateError: as ``schedule`` and ``profile``.
    """
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    found, summary = schedule(named, model=model, policy=policy), None
    for _ in range(STAGES):
        if not found.due:
            break
        if tell is not None:
            tell(found)
        refuse_release(found)
        assert found.into is not None
        ids, file = problem_ids(found), None
        if ids is not None:
            file = found.into / "due.ids"
            text = "".join(f"{one}\n" for one in ids)
            durable.write(file, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))  # type: ignore[misc]
        summary = profile(recipe_of(found, recipe, file), into=found.into, like=begun_like(found), report=report)
        found = schedule([*named, found.into], model=model, policy=policy)
    return found, summary
