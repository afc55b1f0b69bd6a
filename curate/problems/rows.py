"""What the cells of a row mean: question, chat, references, metadata, and the content hash that names them.

Owns the conversion of one row into one problem. Must not read files nor compare rows with each other. Complaints carry
no place: the caller knows it and adds it.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final

from curate.errors import ProblemsError
from curate.problems.files import Row
from curate.recipe import ProblemsSection, digest
from curate.records import Message, Problem, Reason

MISSING: Final = object()
"""What :func:`lookup` returns where a row has no such column; None is a value."""

EMPTY_QUESTION = "the question is empty"
EMPTY_ANSWER = "the reference answer is empty"


def to_problem(row: Row, section: ProblemsSection, pattern: re.Pattern[str] | None) -> Problem:
    """One row as a problem, set aside as unverifiable where it has no question or no reference.

    Its ``problem_id`` is the text of the id column (empty where the row has none), or the content hash; neither is
    unique yet. A column that the row lacks counts as empty: whether any row has it is for the caller to see.

    Raises:
        ProblemsError: a cell holds something that no question, reference or id can be.
    """
    question, messages = read_question(_cell(row, section.question), section.question)
    answers = references(_cell(row, section.answer), section.answer)
    why = "" if question.strip() else EMPTY_QUESTION
    if not answers:
        why = why or EMPTY_ANSWER
    elif pattern is not None:
        answers, missed = by_pattern(pattern, answers)
        why = why or missed
    if section.id is None:
        problem_id = content_id(question, messages, answers)
    else:
        problem_id = scalar(_cell(row, section.id), section.id) or ""
    mapped = {section.question, section.answer, section.id}
    return Problem(
        problem_id=problem_id,
        question=question,
        answers=answers,
        messages=messages,
        metadata={name: jsonable(value) for name, value in row.items() if name not in mapped},
        set_aside=Reason.UNVERIFIABLE if why else None,
        set_aside_why=why,
    )


def lookup(row: Row, column: str) -> Any:
    """The cell of a column; ``outer.inner`` reaches into a nested column unless a column has that very name."""
    if column in row:
        return row[column]
    node: Any = row
    for part in column.split("."):
        if not isinstance(node, dict) or part not in node:
            return MISSING
        node = node[part]
    return node


def missing_column(column: str, role: str, rows: Iterable[Row]) -> ProblemsError:
    """The complaint that no row has a column: names the nearest one and lists those there are."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            names[name] = None
            if isinstance(value, dict):
                names.update(dict.fromkeys(f"{name}.{inner}" for inner in value))
    close = get_close_matches(column, names, n=1, cutoff=0.7) or [
        name for name in names if name.lower() == column.lower()
    ]
    nearest = f"did you mean {close[0]!r}? " if close else ""
    return ProblemsError(
        f"there is no column {column!r} for the {role}", hint=f"{nearest}The columns are: {', '.join(names)}"
    )


def read_question(value: Any, column: str) -> tuple[str, tuple[Message, ...]]:
    """The question as text, and the source's own chat where the cell is one.

    A chat is a list of mappings with ``role`` and ``content`` (text, or parts of type ``text``); other keys of a turn
    are not used. Its question is the last user turn; empty where it has none. Text is kept as it is.

    Raises:
        ProblemsError: the cell is a mapping or no chat, a turn is no text, or the chat ends with the answer.
    """
    if not isinstance(value, list | tuple):
        return (value, ()) if isinstance(value, str) else (scalar(value, column) or "", ())
    messages = tuple(_message(turn, column) for turn in value)
    if messages and messages[-1].role == "assistant":
        raise ProblemsError(
            f"the chat in column {column!r} ends with an assistant turn, which would show the model an answer",
            hint="remove the last turn",
        )
    asked = [message.content for message in messages if message.role == "user"]
    return (asked[-1] if asked else ""), messages


def references(value: Any, column: str) -> tuple[str, ...]:
    """The accepted references in a cell, each once, in order: any one of them is right.

    A list gives one for each of its elements, nested lists included; None, NaN and blank text give none, so an empty
    list, or a list of nothing but those, is a missing reference and not a reference that is empty.

    Raises:
        ProblemsError: the cell holds a mapping or bytes; a mapping's parts are named as ``column.part``.
    """
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(text for part in value for text in references(part, column)))
    text = scalar(value, column)
    return (text,) if text else ()


def scalar(value: Any, column: str) -> str | None:
    """The text of one cell, stripped; None for None and NaN.

    Numbers are written exactly and without an exponent where they are whole: 7, 0.1, 7.25, and 7.0 as 7, because a
    table turns a column of integers into floats when one of them is missing. Text is never reinterpreted: "7.0" stays.
    True and False are written as JSON does.

    Raises:
        ProblemsError: the cell holds a mapping, a list or bytes.
    """
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, Decimal):
        if value.is_nan():
            return None
        return str(int(value)) if value.is_finite() and value == value.to_integral_value() else format(value, "f")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict):
        parts = [f"{column}.{part}" for part in value]
        raise ProblemsError(
            f"column {column!r} holds a mapping, not text", hint=f"name one of its parts: {', '.join(parts)}"
        )
    held = "a list" if isinstance(value, list | tuple) else type(value).__name__
    raise ProblemsError(f"column {column!r} holds {held}, not text")


def content_id(question: str, messages: tuple[Message, ...], answers: tuple[str, ...]) -> str:
    """16 hex digits over the normalised question (the whole chat where there is one) and the references."""
    return digest([_asked(question, messages), [normalise(answer) for answer in answers]])


def question_key(problem: Problem) -> bytes:
    """The same bytes for the same question, after :func:`normalise`; a chat counts with all its turns."""
    asked = _asked(problem.question, problem.messages)
    text = asked if isinstance(asked, str) else "\x00".join(part for turn in asked for part in turn) + "\x00"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def normalise(text: str) -> str:
    """Unicode NFC, runs of white space as one space, none at the ends. Case and punctuation carry meaning: kept."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def jsonable(value: Any) -> Any:
    """A metadata value as JSON can hold it.

    NaN becomes None, infinities, decimals and dates their text. Bytes, such as a picture's, become a note of their
    number and digest: this project is about text, and a profile that carries pictures would be one in disguise.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {str(key): jsonable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(part) for part in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}"
    return value.isoformat() if isinstance(value, datetime | date | time) else str(value)


def clip(text: str, width: int = 60) -> str:
    """At most so many characters of a text, its end kept, for messages: references stand at the end."""
    return text if len(text) <= width else f"…{text[-width + 1 :]}"


def extract(pattern: re.Pattern[str], text: str) -> str:
    """The reference in a text: the first group of the pattern's last match, stripped; empty where there is none."""
    found = [match.group(1) or "" for match in pattern.finditer(text)]
    return found[-1].strip() if found else ""


def by_pattern(pattern: re.Pattern[str], answers: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The references in some texts, at least one, or none at all and why: what the pattern misses is no reference."""
    found = [extract(pattern, answer) for answer in answers]
    missed = [answer for answer, reference in zip(answers, found, strict=True) if not reference]
    if missed:
        return (), f"answer_pattern finds no reference in {clip(missed[0])!r}"
    return tuple(dict.fromkeys(found)), ""


def _cell(row: Row, column: str) -> Any:
    value = lookup(row, column)
    return None if value is MISSING else value


def _asked(question: str, messages: tuple[Message, ...]) -> str | list[list[str]]:
    if messages:
        return [[message.role, normalise(message.content)] for message in messages]
    return normalise(question)


def _message(turn: Any, column: str) -> Message:
    role = turn.get("role") if isinstance(turn, dict) else None
    content = turn.get("content") if isinstance(turn, dict) else None
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise ProblemsError(f"a chat turn in column {column!r} has parts that are not text")
        content = "".join(part["text"] for part in content)
    if not isinstance(role, str) or not isinstance(content, str):
        raise ProblemsError(
            f"column {column!r} holds a list that is no chat: a turn lacks a text in 'role' or 'content'",
            hint='a chat is a list like [{"role": "user", "content": "..."}]',
        )
    return Message(role, content)
