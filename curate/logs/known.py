"""Known problems: what a log only names, filled in from files of problems.

Owns how a row of a log finds its problem: by id, by an id and the number of its draw, or by its question. Must not
read logs. Batch output has an id and no question, TRL's completions have a prompt and no reference, verl's dumps have a
prompt that the chat template has wrapped: with the problems beside them they verify and compare like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import ANSWER, QUESTION, asked, first, listed, mapping, table
from curate.problems.files import Row
from curate.problems.rows import MISSING, lookup, normalise, read_question

_IDS = ("custom_id", "problem_id", "id", "unique_id", "task_id")
_DRAW = re.compile(r"(?P<id>.+?)[-_:/#.]+(?:sample|rollout|draw|rs|n|s)?[-_:]?\d+\Z", re.DOTALL)
"""An id with the number of a draw after it, as batches need one custom_id for every request."""


class Known:
    """The problems of some files.

    Args:
        paths: Files of problems, or a batch's own input: JSONL, JSON, CSV or Parquet. Rows of one id complete each
            other, so that a batch's input may give the questions and another file the references.
        columns: Our name to the files', where they call a column otherwise.

    Raises:
        ProblemsError: a file cannot be read, or no row of it has a question or an id.
    """

    def __init__(self, paths: Iterable[str | Path], columns: Mapping[str, str | None]) -> None:
        self._by_id: dict[str, Row] = {}
        self._by_question: dict[str, Row] = {}
        self._found: dict[str, Row | None] = {}
        self._columns = {name: column for name, column in columns.items() if column}
        self.named: set[str] = set()
        """The columns of another name that there are."""
        for path in map(Path, paths):
            for place, row in table(path):
                if isinstance(row, ProblemsError):
                    raise ProblemsError(row.message, where=place, hint=row.hint)
                self._take(row, place)

    def _take(self, row: Row, place: str) -> None:
        columns = self._columns
        self.named.update(column for column in columns.values() if lookup(row, column) is not MISSING)
        named = columns.get("problem_id") or next((name for name in _IDS if row.get(name) is not None), None)
        name = None if named is None else _given(row, named)
        question = _given(row, columns.get("question") or "") or first(row, QUESTION) or _sent(row)
        if question is None and name is None:
            raise ProblemsError(
                f"a problem without an id and without a question: the columns are {', '.join(row) or 'none'}",
                where=place,
                hint=f"the question is looked for in {', '.join(QUESTION)}, the id in {', '.join(_IDS)}; "
                "--column question=... or --column problem_id=... names another",
            )
        answer = _given(row, columns.get("answer") or "")
        answer = first(row, ANSWER) if answer is None else answer
        plain = {"question": question, "answer": answer}
        metadata = {
            key: value for key, value in row.items() if key not in (*QUESTION, *ANSWER, "body", "url", "method")
        }
        known = {key: value for key, value in plain.items() if value is not None} | {"metadata": metadata}
        if name is not None:
            known = self._by_id[str(name)] = {**self._by_id.get(str(name), {}), **known}
        if question is not None:
            self._by_question.setdefault(normalise(_text(question)), known)

    def fill(self, row: Row) -> Row:
        """The row with question, reference and metadata of its problem.

        Raises:
            ProblemsError: no problem, or several with the same claim, is meant.
        """
        named, question = self._cell(row, "problem_id"), self._cell(row, "question")
        known = None if named is None else self._named(str(named))
        if known is None and question is not None:
            known = self._asked(normalise(_text(question)))
        if known is None:
            meant = f"id {named!r}" if question is None else f"the question {_text(question)[-80:]!r}"
            raise ProblemsError(f"--problems has no problem of {meant}")
        # The id of a request is none of a problem: its question and reference name it, as they do in a profile.
        told = {**known, "problem_id": None}
        return {**row, **told, **{self._columns[name]: told[name] for name in told if name in self._columns}}

    def _cell(self, row: Row, name: str) -> Any:
        """What the log has, under the name that it was said to have there, else under ours."""
        found = _given(row, self._columns.get(name, name))
        return row.get(name) if found is None else found

    def _named(self, name: str) -> Row | None:
        if name in self._by_id:
            return self._by_id[name]
        drawn = _DRAW.fullmatch(name)
        return self._by_id.get(drawn["id"]) if drawn else None

    def _asked(self, question: str) -> Row | None:
        """The problem of a question, or the one with the longest question inside a prompt."""
        if question in self._by_question:
            return self._by_question[question]
        if question not in self._found:
            inside = [known for known in self._by_question if known and known in question]
            self._found[question] = self._by_question[max(inside, key=len)] if inside else None
        return self._found[question]


def _given(row: Row, column: str) -> Any:
    found = lookup(row, column) if column else None
    return None if found is MISSING else found


def _sent(row: Row) -> Any:
    """The prompt in a line of a batch's input."""
    body = mapping(row.get("body"))
    messages = listed(body.get("messages")) or body.get("prompt") or body.get("input")
    return asked(messages) if isinstance(messages, list) else messages


def _text(question: Any) -> str:
    return read_question(question, "question")[0]
