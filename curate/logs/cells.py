"""Cells: what the readers of several formats share in taking a log's rows apart.

Owns the reading of rows with their places, and the text of a chat message. Must not know any one format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError, UsageError
from curate.problems.files import Row, lines, open_file, parquet, parse_line


class NotOfFormat(ProblemsError):
    """A row that lacks what every row of the format has: where all are like it, the file is of another format."""


Placed = Iterator[tuple[str, Row | ProblemsError]]
"""The place and the row of each rollout of a file; the complaint in place of a row that is broken."""

QUESTION = ("question", "problem", "prompt", "input", "query")
ANSWER = ("answer", "expected_answer", "ground_truth", "solution", "target")
"""Columns that data sets keep questions and references in, the most telling first."""


def rows(path: Path) -> Placed:
    """The rows of a Parquet file, or of JSON Lines under any other name.

    Raises:
        ProblemsError: the file as a whole cannot be read. A Parquet file has no lines that could be broken alone.
    """
    if path.suffix.lower() == ".parquet":
        yield from ((f"{path}: row {number}", row) for number, row in parquet(path))
        return
    for number, line in lines(path):
        if not line.isspace():
            try:
                yield f"{path}:{number}", parse_line(line)
            except ProblemsError as error:
                yield f"{path}:{number}", NotOfFormat(error.message, hint=error.hint)


def each(placed: Placed, take: Callable[[Row], Iterable[Row]]) -> Placed:
    """The plain rows that a format makes of each of its rows, under their place.

    Args:
        placed: The format's rows.
        take: Makes plain rows of one; what it cannot make anything of is a broken row, whatever it raises over it.
    """
    for place, row in placed:
        if isinstance(row, ProblemsError):
            yield place, row
            continue
        try:
            taken = list(take(row))
        except ProblemsError as error:
            yield place, error
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
            yield place, ProblemsError(f"this is not shaped as a row of this format: {error}")
        else:
            yield from ((place, one) for one in taken)


def table(path: Path) -> Placed:
    """The rows of a problem file of any kind, each with its place."""
    source = open_file(path)
    for number, row in source.rows:
        yield source.place(number), row


def document(path: Path) -> Row:
    """A file that is one JSON object.

    Raises:
        ProblemsError: it cannot be read, or is something else.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ProblemsError(f"not readable as JSON: {error}", where=str(path)) from error
    if not isinstance(found, dict):
        raise ProblemsError("expected a JSON object", where=str(path))
    return found


def sidecar(path: Path) -> Row:
    """A JSON object beside a log that says where the rollouts came from; empty where there is none that can be read."""
    try:
        return document(path)
    except ProblemsError:
        return {}


def first(row: Row, names: tuple[str, ...]) -> Any:
    """The first of several columns that holds something; None where none does."""
    return next((row[name] for name in names if row.get(name) is not None), None)


def mapping(value: Any) -> Row:
    """The value where it is a mapping, else an empty one: logs leave out or null what they do not know."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def spoken(message: Any) -> str:
    """The text that a model wrote in one chat message, its reasoning put back in front where that stands apart.

    As our own engine does: ``<think>reasoning</think>content``, without the closing tag where it never ended.
    A part that is no text is left out. A refusal is what the model said.
    """
    if isinstance(message, str):
        return message
    message = mapping(message)
    content, thought = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
    said: list[str] = [content] if isinstance(content, str) else []
    thoughts = [thought] if isinstance(thought, str) else []
    for part in listed(content):
        kind = mapping(part).get("type")
        if isinstance(part, str):
            said.append(part)
        elif kind == "reasoning":
            thoughts.append(str(part.get("reasoning") or part.get("text") or ""))
        elif isinstance(mapping(part).get("text"), str):
            said.append(part["text"])
    if not said and isinstance(message.get("refusal"), str):
        said.append(message["refusal"])
    thinking = "".join(thoughts)
    if not thinking:
        return "".join(said)
    return f"<think>{thinking}</think>{''.join(said)}" if said else f"<think>{thinking}"


def asked(messages: list[Any]) -> list[dict[str, str]]:
    """A prompt's turns with their text alone, as problems keep a chat."""
    return [
        {"role": str(turn["role"]), "content": spoken(turn)}
        for turn in messages
        if isinstance(turn, dict) and isinstance(turn.get("role"), str)
    ]


def chosen(rewards: dict[str, Any], reward: str | None, what: str) -> Any:
    """The one of several rewards that counts as the log's verdict.

    Args:
        rewards: By name.
        reward: The name asked for; None takes the only one there is, ``none`` takes none.
        what: What the format calls them, for the complaint.

    Raises:
        UsageError: there are several and none is named, or none of that name.
    """
    if reward == "none" or (reward is None and not rewards):
        return None
    if reward is None and len(rewards) == 1:
        return next(iter(rewards.values()))
    if reward is not None and reward in rewards:
        return rewards[reward]
    names = ", ".join(map(repr, rewards)) or "none"
    message = f"the log has no {what} {reward!r}" if reward else f"the log has several {what}s: {names}"
    raise UsageError(
        message,
        where="--reward",
        hint=f"there are: {names}" if reward else "name the one that is its verdict, or --reward none to read none",
    )
