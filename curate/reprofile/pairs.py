"""Pairs: which problem of one profile is which of another.

Owns the matching of two profiles' problems. Must not look at their rollouts.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.problems import stored
from curate.problems.rows import content_id
from curate.records import Problem


@dataclass(frozen=True)
class Pairs:
    """The common problems of two profiles, and what is not common."""

    before: tuple[str, ...]
    """Ids in the first profile."""
    after: tuple[str, ...]
    """Ids of the same problems in the second, in its order."""
    by_content: int
    """How many of them have another id, and were matched by question and references."""
    other_content: tuple[str, ...]
    """Ids that both have, for problems whose question or references differ: these are not the same problem."""
    only_before: int
    only_after: int


def match(before: pl.DataFrame, after: pl.DataFrame) -> Pairs:
    """Match problems by id where question and references are the same too, the others by question and references.

    Args:
        before: ``Ledger.problems()`` of the first profile.
        after: The same of the second.
    """
    old, new = ({one.problem_id: _content(one) for one in stored(frame)} for frame in (before, after))
    pairs = {name: name for name, content in new.items() if old.get(name) == content}
    other = tuple(name for name in new if name in old and name not in pairs)
    # Of several with the same content (duplicates) none can be told from the other: the first stands for them.
    free = {content: name for name, content in reversed(old.items()) if name not in pairs}
    free.pop(_content(Problem("", "", ())), None)  # counts that were imported without a text
    by_content = 0
    for name, content in new.items():
        if name not in pairs and content in free:
            pairs[name] = free.pop(content)
            by_content += 1
    ordered = [name for name in new if name in pairs]
    return Pairs(
        before=tuple(pairs[name] for name in ordered),
        after=tuple(ordered),
        by_content=by_content,
        other_content=other,
        only_before=len(old) - len(pairs),
        only_after=len(new) - len(pairs),
    )


def _content(problem: Problem) -> str:
    return content_id(problem.question, problem.messages, problem.answers)
