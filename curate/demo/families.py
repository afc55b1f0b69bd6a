"""The demo's problems: how they are drawn and how they are worked.

Owns the families, pure and seeded. A question's text alone says everything about a problem: family, steps and answer
are recomputed from it. Must not import torch, a tokenizer or any room: what judges the model knows nothing of it.

Additions and multiplications are worked in columns, from the ones upwards, each with the carry of the one before; the
answer is the last result, followed by the last digits of those before it::

    What is 472*6?      2*6=12; 7*6+1=43; 4*6+4=28; \\boxed{2832}

The guessable families have few answers, and steps too big for a tiny model to take at once::

    Is the digit sum of 47*83 even or odd?          47*83=3901; 3+9+0+1=13; \\boxed{odd}
    Which is larger, A=47*83 or B=62*63?            47*83=3901; 62*63=3906; \\boxed{B}
    What is the last digit of 47+38+92+15+61+77?    47+38+92=177; 15+61+77=153; 177+153=330; \\boxed{0}

``parity-table`` asks the second kind of question of products in the times table, which the model knows: two possible
answers alone do not make a pass a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from random import Random

SUM = re.compile(r"What is (\d+)\+(\d+)\?")
PRODUCT = re.compile(r"What is (\d+)\*(\d)\?")
PARITY = re.compile(r"Is the digit sum of (\d+)\*(\d+) even or odd\?")
LARGER = re.compile(r"Which is larger, A=(\d+)\*(\d+) or B=(\d+)\*(\d+)\?")
LAST_DIGIT = re.compile(r"What is the last digit of (\d+(?:\+\d+){5})\?")


@dataclass(frozen=True, slots=True)
class Exercise:
    """A question with its answer and the steps that lead there."""

    family: str
    question: str
    answer: str
    steps: tuple[str, ...]
    """Equalities ``expression=integer`` in the order they are written, e.g. ``7*6=42`` and ``4*6+4=28``."""

    @property
    def worked(self) -> str:
        """The solution with visible steps, e.g. ``7*6=42; 4*6+4=28; \\boxed{282}``."""
        return "; ".join((*self.steps, self.bare))

    @property
    def bare(self) -> str:
        """The answer and nothing else, e.g. ``\\boxed{282}``."""
        return f"\\boxed{{{self.answer}}}"


def read(question: str) -> Exercise:
    """Recompute everything about a problem from the text of its question.

    Raises:
        ValueError: the question is of no family.
    """
    if (found := SUM.fullmatch(question)) and len(found[1]) == len(found[2]):
        return _sum(question, found[1], found[2])
    if found := PRODUCT.fullmatch(question):
        return _product(question, found[1], found[2])
    if found := PARITY.fullmatch(question):
        return _parity(question, found[1], found[2])
    if found := LARGER.fullmatch(question):
        return _larger(question, *found.groups())
    if found := LAST_DIGIT.fullmatch(question):
        return _last_digit(question, found[1].split("+"))
    raise ValueError(f"a question of no family: {question!r}")


def _step(expression: str) -> str:
    return f"{expression}={evaluate(expression)}"


def _result(step: str) -> str:
    return step.partition("=")[2]


def _columns(columns: list[str]) -> tuple[tuple[str, ...], str]:
    """Work columns from the ones upwards, each with the carry of the one before.

    Returns:
        The steps, and the number that they spell: the last step's result, then the last digits of those before it.
    """
    steps: list[str] = []
    for column in columns:
        carry = _result(steps[-1])[:-1] if steps else ""
        steps.append(_step(f"{column}+{carry}" if carry else column))
    return tuple(steps), _result(steps[-1]) + "".join(step[-1] for step in reversed(steps[:-1]))


def _sum(question: str, a: str, b: str) -> Exercise:
    steps, total = _columns([f"{x}+{y}" for x, y in zip(reversed(a), reversed(b), strict=True)])
    return Exercise(f"add-{len(a)}", question, total, steps)


def _product(question: str, a: str, b: str) -> Exercise:
    steps, product = _columns([f"{x}*{b}" for x in reversed(a)])
    return Exercise(f"mul-{len(a)}", question, product, steps)


def _parity(question: str, a: str, b: str) -> Exercise:
    product = _step(f"{a}*{b}")
    digits = "+".join(_result(product))
    steps = (product, _step(digits)) if "+" in digits else (product,)
    family = "parity-table" if len(a) == len(b) == 1 else "parity-product"
    return Exercise(family, question, "odd" if int(_result(steps[-1])) % 2 else "even", steps)


def _larger(question: str, a: str, b: str, c: str, d: str) -> Exercise:
    steps = (_step(f"{a}*{b}"), _step(f"{c}*{d}"))
    return Exercise("larger", question, "A" if int(a) * int(b) > int(c) * int(d) else "B", steps)


def _last_digit(question: str, terms: list[str]) -> Exercise:
    first, second = _step("+".join(terms[:3])), _step("+".join(terms[3:]))
    total = _step(f"{_result(first)}+{_result(second)}")
    return Exercise("last-digit-sum", question, total[-1], (first, second, total))


def _number(rng: Random, digits: int) -> int:
    return rng.randrange(10 ** (digits - 1), 10**digits) if digits > 1 else rng.randrange(10)


def _ask_sum(digits: int) -> Callable[[Random], str]:
    return lambda rng: f"What is {_number(rng, digits)}+{_number(rng, digits)}?"


def _ask_product(digits: int) -> Callable[[Random], str]:
    return lambda rng: f"What is {_number(rng, digits)}*{rng.randrange(2, 10)}?"


def _ask_parity(digits: int) -> Callable[[Random], str]:
    low = 10 ** (digits - 1) + 1
    return lambda rng: (
        f"Is the digit sum of {rng.randrange(low, 10**digits)}*{rng.randrange(low, 10**digits)} even or odd?"
    )


def _ask_larger(rng: Random) -> str:
    """Two products within 3% of each other, so that a glance at the leading digits does not tell."""
    while True:
        a, b, c, d = (rng.randrange(12, 100) for _ in range(4))
        if a * b != c * d and abs(a * b - c * d) <= 0.03 * min(a * b, c * d):
            return f"Which is larger, A={a}*{b} or B={c}*{d}?"


def _ask_last_digit(rng: Random) -> str:
    return f"What is the last digit of {'+'.join(str(rng.randrange(10, 100)) for _ in range(6))}?"


FAMILIES: dict[str, Callable[[Random], str]] = {
    **{f"add-{digits}": _ask_sum(digits) for digits in range(1, 6)},
    **{f"mul-{digits}": _ask_product(digits) for digits in range(1, 6)},
    "parity-table": _ask_parity(1),
    "parity-product": _ask_parity(2),
    "larger": _ask_larger,
    "last-digit-sum": _ask_last_digit,
}
"""Family -> a function that draws the text of one question."""

SMALL = ("add-1", "mul-1", "parity-table")
"""Families of no more than a hundred questions: the model is trained on all of them."""

COUNTS = {
    **{"add-1": 24, "add-2": 24, "add-3": 40, "add-4": 52, "add-5": 20},
    **{"mul-1": 24, "mul-2": 40, "mul-3": 44, "mul-4": 52, "mul-5": 20},
    **{"parity-table": 24, "parity-product": 48, "larger": 48, "last-digit-sum": 28},
}
"""How many problems of each family ``problems.jsonl`` holds: 488 in all."""


def draw(family: str, rng: Random) -> Exercise:
    """Draw one problem of a family; the same generator state draws the same problem.

    Raises:
        KeyError: there is no such family.
    """
    return read(FAMILIES[family](rng))


def problem_set() -> list[Exercise]:
    """The problems of ``problems.jsonl``, in its order: always the same ones, no two alike.

    Training leaves them out, but for those of the ``SMALL`` families.
    """
    exercises: dict[str, Exercise] = {}
    for family, count in COUNTS.items():
        rng = Random(f"problems {family}")
        wanted = len(exercises) + count
        while len(exercises) < wanted:
            exercise = draw(family, rng)
            exercises[exercise.question] = exercise
    return list(exercises.values())


def evaluate(expression: str) -> int:
    """The value of an expression of ``+`` and ``*`` over non-negative integers, e.g. ``4*6+4`` -> 28."""
    return sum(prod(int(factor) for factor in term.split("*")) for term in expression.split("+"))
