"""Pairs: which problem of one set is which of another.

Owns the matching of two profiles' problems, or of a profile's with a source's. Must not look at their rollouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curate.problems.rows import content_id
from curate.records import Problem


@dataclass(frozen=True)
class Pairs:
    """The common problems of two sets, and what is not common."""

    before: tuple[str, ...]
    """Ids in the first set."""
    after: tuple[str, ...]
    """Ids of the same problems in the second, in its order."""
    by_content: int
    """How many of them have another id, and were matched by question and references."""
    other_content: tuple[str, ...]
    """Ids that both have, for problems whose question or references differ: these are not the same problem."""
    only_before: int
    only_after: int


def match(before: Sequence[Problem], after: Sequence[Problem]) -> Pairs:
    """Match problems by id where question and references are the same too, the others by question and references.

    Where one has no question, as in counts that were imported without texts, its id is all that it is known by.
    """
    old, new = ({one.problem_id: _content(one) for one in some} for some in (before, after))
    unknown = _content(Problem("", "", ()))
    mute = {one.problem_id for one in (*before, *after) if not one.question.strip() and not one.messages}
    pairs = {name: name for name, content in new.items() if name in old and (old[name] == content or name in mute)}
    other = tuple(name for name in new if name in old and name not in pairs)
    # Of several with the same content (duplicates) none can be told from the other: the first stands for them.
    free = {content: name for name, content in reversed(old.items()) if name not in pairs}
    free.pop(unknown, None)
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
