"""Problems: from a Hub dataset or a file to problems with ids, references and prompts.

Owns what a row of the user's data means, and which rows cannot be profiled and why. Must not know engines, verifiers
or the ledger. ``load`` is the door; ``prompts`` turns a problem into what a model is sent. Every row comes out, also
the duplicates and those without a reference: they are set aside, never dropped.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from curate.errors import ProblemsError
from curate.problems.duplicates import distinct_ids, set_duplicates_aside
from curate.problems.files import Row, Source, lines, open_file
from curate.problems.hub import open_folder, open_hub
from curate.problems.rows import EMPTY_ANSWER, EMPTY_QUESTION, MISSING, lookup, missing_column, to_problem
from curate.recipe import ProblemsSection, digest, resolve_path
from curate.records import Message, Problem, Reason

__all__ = ["ProblemSet", "fingerprint", "load", "stored"]


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """All problems of one source."""

    problems: tuple[Problem, ...]
    """One for each row, in source order; those set aside included."""
    source: str
    """What was read: the path as the recipe names it, or the Hub id and commit as ``owner/name@commit``."""
    fingerprint: str
    """Digest of ids, questions, chats and references; the same in any order of rows."""
    license: str | None = None
    """The licence that a Hub dataset names, as the Hub writes it; None where none is known."""


def load(section: ProblemsSection) -> ProblemSet:
    """Read the problems that a recipe names.

    ``source`` is a file or folder where one exists or is meant (see :func:`curate.recipe.resolve_path`), else a Hub
    dataset; ``config``, ``split`` and ``revision`` have no meaning for a file and are not used there. ``question``,
    ``answer`` and ``id`` may reach into nested columns: ``reward_model.ground_truth``.

    Returns:
        As many problems as rows were read, at most ``limit``; of those, the ones that the file ``ids`` lists.

    Raises:
        ProblemsError: the source cannot be read or holds no rows, a column is missing, ids are missing or ambiguous,
            ``answer_pattern`` finds nothing in any row, or the file of ids cannot be read or lists one that no row has.
    """
    source = _open(section)
    pattern = re.compile(section.answer_pattern, re.MULTILINE) if section.answer_pattern else None
    unseen = {section.question: "question", section.answer: "reference answer"}
    if section.id is not None:
        unseen[section.id] = "id"
    problems: list[Problem] = []
    numbers: list[int] = []
    examples: list[Row] = []
    for number, row in islice(source.rows, section.limit):
        if unseen:
            unseen = {column: role for column, role in unseen.items() if lookup(row, column) is MISSING}
            if unseen and len(examples) < 1000:
                examples.append(row)
        try:
            problems.append(to_problem(row, section, pattern))
        except ProblemsError as error:
            raise ProblemsError(error.message, where=source.place(number), hint=error.hint) from error
        numbers.append(number)
    if not problems:
        raise ProblemsError("it holds no rows", where=source.name)
    for column, role in unseen.items():
        complaint = missing_column(column, role, examples)
        raise ProblemsError(complaint.message, where=source.name, hint=complaint.hint)
    if pattern is not None:
        _refuse_wrong_pattern(problems, section, source)
    problems = distinct_ids(problems, lambda position: source.place(numbers[position]), section.id)
    problems = set_duplicates_aside(problems)
    if section.ids is not None:
        problems = _only(problems, section.ids, source)
    return ProblemSet(tuple(problems), source.identity, fingerprint(problems), source.license)


def fingerprint(problems: list[Problem] | tuple[Problem, ...]) -> str:
    """16 hex digits that name a set of problems by ids, questions, chats and references, whatever their order."""
    return digest(
        sorted(
            digest([p.problem_id, p.question, [[m.role, m.content] for m in p.messages], list(p.answers)])
            for p in problems
        )
    )


def _only(problems: list[Problem], name: str, source: Source) -> list[Problem]:
    """The problems that a file of ids lists, in source order."""
    file = resolve_path(name) or Path(name)
    wanted = {line.decode(errors="replace").strip() for _, line in lines(file)} - {""}
    missing = wanted.difference(problem.problem_id for problem in problems)
    if missing:
        raise ProblemsError(
            f"{len(missing)} of its {len(wanted)} ids are not in {source.name}, {min(missing)!r} for one",
            where=str(file),
            hint="was it made for another source, revision or id column?",
        )
    return [problem for problem in problems if problem.problem_id in wanted]


def _open(section: ProblemsSection) -> Source:
    path = resolve_path(section.source)
    if path is None:
        return open_hub(section)
    source = open_folder(path, section) if path.is_dir() else open_file(path)
    # As the recipe names it: a resolved path would say where somebody's home is in every release.
    return replace(source, identity=section.source)


def _refuse_wrong_pattern(problems: list[Problem], section: ProblemsSection, source: Source) -> None:
    """One row that a pattern misses is that row's fault; all of them are the pattern's."""
    tried = [problem for problem in problems if problem.set_aside_why not in (EMPTY_QUESTION, EMPTY_ANSWER)]
    if tried and all(problem.set_aside for problem in tried):
        raise ProblemsError(
            f"answer_pattern {section.answer_pattern!r} finds no reference in any of {len(tried)} rows; "
            f"the first: {tried[0].set_aside_why}",
            where=source.name,
            hint="correct problems.answer_pattern, or leave it out where the column is the reference itself",
        )


def stored(frame: pl.DataFrame) -> list[Problem]:
    """The problems that a profile keeps, as they were before they were written.

    Args:
        frame: ``Ledger.problems()``.
    """
    return [
        Problem(
            problem_id=row["problem_id"],
            question=row["question"],
            answers=tuple(row["answers"]),
            metadata=json.loads(row["metadata"]),
            messages=tuple(Message(**turn) for turn in row["messages"]),
            set_aside=Reason(row["set_aside"]) if row["set_aside"] else None,
            set_aside_why=row["set_aside_why"],
        )
        for row in frame.iter_rows(named=True)
    ]
