"""From one plain row to one rollout of one problem, with every cell checked.

Owns what the columns of a plain row mean. Must not compare rows with each other nor read files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.errors import ProblemsError
from curate.logs.faults import fault
from curate.problems.files import Row
from curate.problems.rows import (
    EMPTY_ANSWER,
    EMPTY_QUESTION,
    MISSING,
    by_pattern,
    content_id,
    jsonable,
    lookup,
    missing_column,
    read_question,
    references,
    scalar,
)
from curate.records import FinishReason, Problem, Reason

REQUIRED = ("question", "answer", "completion")
OPTIONAL = (
    *("problem_id", "index", "finish_reason", "reward", "prompt_tokens", "completion_tokens", "metadata"),
    *("error", "step", "model"),
)

MAX_INDEX = 2**20
"""Indices of rollouts stay below this, as a recipe's cap does."""

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "stop_token": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_new_tokens": "length",
    "max_length": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "incomplete": "length",
    "truncated": "length",
}


@dataclass(frozen=True, slots=True)
class PlainRow:
    """A plain row whose every cell was checked."""

    problem: Problem
    index: int | None
    """None where the log gives none."""
    error: str | None
    """Why the request failed; None where this is a rollout."""
    completion: str
    finish_reason: FinishReason | None
    """None where the log does not say."""
    reward: float | None
    prompt_tokens: int
    completion_tokens: int
    step: int | None
    """Of the policy in training that drew it; None where the log has none."""
    model: str | None


def parse(row: Row, columns: Mapping[str, str | None], answer_pattern: re.Pattern[str] | None = None) -> PlainRow:
    """Check one row.

    Args:
        row: Plain values by column.
        columns: Where each of REQUIRED and OPTIONAL is in the log; None: nowhere.
        answer_pattern: Whose first group, in its last match, is the reference.

    Raises:
        ProblemsError: without a place, which the caller knows: a required column is missing or a cell is not what
            its column holds.
    """
    cell = {name: _cell(row, column) for name, column in columns.items()}
    completion = cell["completion"]
    error = fault(cell["error"], cell["finish_reason"], completion)
    for name in REQUIRED:
        if lookup(row, str(columns[name])) is MISSING and not (name == "completion" and error):
            raise missing_column(str(columns[name]), name, [row])
    if not isinstance(completion, str) and error is None:
        raise ProblemsError(f"the completion is {_shown(completion)}, not text")
    return PlainRow(
        problem=_problem(cell, columns, answer_pattern),
        index=_count(cell["index"], "index", MAX_INDEX),
        error=error,
        completion="" if error is not None else completion,
        finish_reason=None if error is not None else _finish_reason(cell["finish_reason"]),
        reward=_reward(cell["reward"]),
        prompt_tokens=_count(cell["prompt_tokens"], "prompt_tokens", 2**31) or 0,
        completion_tokens=_count(cell["completion_tokens"], "completion_tokens", 2**31) or 0,
        step=step_of(row, columns),
        model=scalar(cell["model"], "model") or None,
    )


def step_of(row: Row, columns: Mapping[str, str | None]) -> int | None:
    """The step of a row, a whole number in any spelling of JSON or Parquet; None where it has none.

    Raises:
        ProblemsError: without a place: it is something else.
    """
    return _count(_cell(row, columns["step"]), "step", 2**63)


def _cell(row: Row, column: str | None) -> Any:
    value = MISSING if column is None else lookup(row, column)
    return None if value is MISSING else value


def _problem(
    cell: Mapping[str, Any], columns: Mapping[str, str | None], answer_pattern: re.Pattern[str] | None
) -> Problem:
    question, messages = read_question(cell["question"], str(columns["question"]))
    answers = references(cell["answer"], str(columns["answer"]))
    missed = EMPTY_ANSWER
    if answer_pattern is not None and answers:
        answers, missed = by_pattern(answer_pattern, answers)
    metadata = cell["metadata"]
    if metadata is not None and not isinstance(metadata, dict):
        raise ProblemsError(f"the metadata is {_shown(metadata)}, not a mapping")
    why = EMPTY_QUESTION if not question.strip() else "" if answers else missed
    return Problem(
        problem_id=scalar(cell["problem_id"], "problem_id") or content_id(question, messages, answers),
        question=question,
        answers=answers,
        messages=messages,
        metadata=jsonable(metadata or {}),
        set_aside=Reason.UNVERIFIABLE if why else None,
        set_aside_why=why,
    )


def _count(value: Any, name: str, limit: int) -> int | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, int) or not 0 <= whole < limit:
        raise ProblemsError(f"the {name} is {_shown(value)}, not a whole number from 0 to {limit - 1}")
    return whole


def _finish_reason(value: Any) -> FinishReason | None:
    if value is None or value in ("", "unknown"):
        return None
    known = _FINISH.get(value.strip().lower()) if isinstance(value, str) else None
    if known is None:
        raise ProblemsError(
            f"the finish_reason is {_shown(value)}", hint=f"it is one of: {', '.join(_FINISH)}; or leave it out"
        )
    return known


def _reward(value: Any) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        reward = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        reward = math.inf
    if not math.isfinite(reward):
        raise ProblemsError(f"the reward is {_shown(value)}, not a number")
    return reward


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
