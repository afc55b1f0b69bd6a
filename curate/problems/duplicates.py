"""Which rows repeat each other, and ids that name each row once.

Owns every comparison between problems. Must not read files. Nothing is dropped: what repeats is set aside and says
what it repeats, so that the rows still add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from curate.errors import ProblemsError
from curate.problems.rows import clip, normalise, question_key
from curate.records import Problem, Reason


def distinct_ids(problems: Sequence[Problem], place: Callable[[int], str], id_column: str | None) -> list[Problem]:
    """Give later copies of an id the suffix ``-2``, ``-3``, ... in source order.

    Copies share an id when they have the same content: always with a content hash, and with an id column only where
    question and references are equal too.

    Args:
        problems: In source order; ids may repeat.
        place: Where the problem at a position came from, for the complaint.
        id_column: The column that the ids are from; None for content hashes.

    Raises:
        ProblemsError: a row has no id, or two rows with one id differ; names the first.
    """
    taken = {problem.problem_id for problem in problems}
    first: dict[str, int] = {}
    copies: dict[str, int] = {}
    distinct: list[Problem] = []
    for position, problem in enumerate(problems):
        name = problem.problem_id
        if not name:
            raise ProblemsError(
                f"no id in column {id_column!r}",
                where=place(position),
                hint="give every row an id, or leave problems.id out for content hashes",
            )
        if name not in first:
            first[name] = position
            distinct.append(problem)
            continue
        if id_column is not None and _content(problems[first[name]]) != _content(problem):
            raise ProblemsError(
                f"the id {name!r} stands for two different problems; the first is at {place(first[name])}",
                where=place(position),
                hint="choose another column for problems.id, or leave it out for content hashes",
            )
        number = copies.get(name, 1) + 1
        while f"{name}-{number}" in taken:
            number += 1
        copies[name] = number
        distinct.append(replace(problem, problem_id=f"{name}-{number}"))
    return distinct


def set_duplicates_aside(problems: Sequence[Problem]) -> list[Problem]:
    """Keep the first verifiable problem of each question, set the others aside as duplicates of it.

    A problem already set aside stays as it is and is never the one kept, so an empty reference cannot displace a
    usable one. Where the references differ the reason shows both: one of them is wrong.
    """
    kept: dict[bytes, Problem] = {}
    marked: list[Problem] = []
    for problem in problems:
        if problem.set_aside is None:
            original = kept.setdefault(question_key(problem), problem)
            if original is not problem:
                why = f"same question as {original.problem_id}"
                if _answers(original) != _answers(problem):
                    why += f" with another answer: {_shown(problem)} against {_shown(original)}"
                problem = replace(problem, set_aside=Reason.DUPLICATE, set_aside_why=why)
        marked.append(problem)
    return marked


def _content(problem: Problem) -> tuple[bytes, frozenset[str]]:
    return question_key(problem), _answers(problem)


def _answers(problem: Problem) -> frozenset[str]:
    return frozenset(normalise(answer) for answer in problem.answers)


def _shown(problem: Problem) -> str:
    return " or ".join(repr(clip(answer)) for answer in problem.answers)
