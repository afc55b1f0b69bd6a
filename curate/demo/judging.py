"""The exact judge of a completion's visible steps, for problems of the demo's families.

Owns what is known for certain about a completion: whether the work it shows is the work that its question asks for. An
audit that has to find shortcuts in any text is measured against this. Must not import a room, least of all the audit.

It is strict. The families' work has one form (``families.read(question).worked``), the only one that the model was ever
shown. So work is right exactly when it takes those steps in that order and no others, each of them true, and boxes the
answer that they lead to. Only spaces and the order of summands and factors inside an expression are free.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from curate.demo.families import evaluate, read

EQUALITY = re.compile(r"([0-9]+(?:[+*][0-9]+)*)=([0-9]+)")
BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


class Work(StrEnum):
    """What a completion shows of the way to its answer."""

    SHOWN = "shown"
    """Every step that the question asks for, all true, and the answer that follows from them."""
    BARE = "bare"
    """An answer, right or wrong, and nothing else."""
    FLAWED = "flawed"
    """Anything else: a false, missing, foreign or misplaced step, an answer that does not follow, or none at all."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One equality as a completion writes it."""

    text: str
    true: bool
    """Whether it holds as arithmetic, whatever the question was."""


def judge(question: str, completion: str) -> Work:
    """Say what a completion shows of the way to its answer.

    Args:
        question: A question of one of the families.
        completion: The model's text, without special tokens.

    Returns:
        ``SHOWN`` only where the answer is right too; an empty or unfinished completion is ``FLAWED``.

    Raises:
        ValueError: the question is of no family.
    """
    exercise = read(question)
    *steps, last = completion.replace(" ", "").split(";")
    boxed = BOXED.fullmatch(last)
    if boxed is None:
        return Work.FLAWED
    if not steps:
        return Work.BARE
    asked = [_normal(step) for step in exercise.steps]
    if boxed[1] == exercise.answer and [_normal(step) for step in steps] == asked:
        return Work.SHOWN
    return Work.FLAWED


def statements(completion: str) -> list[Statement]:
    """Find the equalities a completion writes, and evaluate each by itself.

    A flawed completion may consist of true ones: of another problem's digits, say. A general checker of steps can find
    the false ones and no more.
    """
    found = EQUALITY.finditer(completion.replace(" ", ""))
    return [Statement(match[0], evaluate(match[1]) == int(match[2])) for match in found]


def boxed(completion: str) -> str | None:
    """The last boxed answer of a completion; None where there is none."""
    answers = BOXED.findall(completion)
    return answers[-1] if answers else None


def _normal(step: str) -> tuple[list[list[int]], int] | None:
    """An equality as its sorted summands, each of sorted factors, and its result; None where it is no equality."""
    equality = EQUALITY.fullmatch(step)
    if equality is None:
        return None
    terms = sorted(sorted(int(factor) for factor in term.split("*")) for term in equality[1].split("+"))
    return terms, int(equality[2])
