"""Whether the steps that a completion states are true: every equality of plain arithmetic is found and worked out.

Owns the finding of such equalities in any text, and what is said of them. Must not know a problem, a verdict or a
model, and must not import a judge: a flag is evidence for a person or for a share, never a verdict. No algebra and no
sympy: a side with a variable is not checked.

What is read: integers, decimals, thousands separators, fractions, mixed numbers, percentages, powers, roots,
factorials, binomials and pi, with the usual operators (also ``x``, ``×``, ``÷``, ``\\times``, ``\\frac``), currency
signs and unit words; in chains ``a = b = c``, over line breaks, in calculator annotations ``<<3*4=12>>`` and in work by
columns, ``2*6=12; 7*6+1=43``. What has two readings is counted where one of them is true, and left out where none is: a
false step is one that has no reading under which it holds.

Known weaknesses: a quoted or refuted claim (``3*4 = 13 is wrong``) is read as claimed; steps in words, in algebra, and
true steps of a wrong approach are not seen.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from curate.audit import arithmetic, notation, sides, wording
from curate.audit.arithmetic import Value
from curate.audit.sides import WINDOW, Side

APPROXIMATE = 0.05
"""How far the sides of ``≈`` may differ, as a part of the larger."""

ROUNDED_WORK = 0.01
"""How far two sides that are both computed may differ where decimals are in them, which may have been rounded."""

_ABOUT_PI: dict[str, Value] = dict.fromkeys(("3.14", "3.142", "3.1416", "3.14159", "3.141592"), math.pi)
"""How pi is written in decimals: it may be worked with as it is written, or as what it is."""

_RELATIONS = ("=", "≈", "approx")
# A pattern that begins with one letter is searched for several times as fast as one that begins with a choice.
_EQUALS = re.compile(r"=(?<![<>!=:+*/~^-]=)(?![=>])")
_ABOUT = re.compile(r"≈(?![=>])")


@dataclass(frozen=True, slots=True)
class StepCheck:
    """What the stated steps of one completion are worth."""

    stated: int
    """Equalities with something to compute on a side that could be worked out, at least 0."""
    false: int
    """Those that hold under no reading, at most ``stated``."""
    follows: bool | None
    """Whether the final answer is the last step's value or is spelled by columns; None where that cannot be told."""
    first_false: str | None
    """The first false step, in plain notation; None where there is none."""


NOTHING = StepCheck(0, 0, None, None)
"""Of a completion that states no step which can be checked."""


@dataclass(slots=True)
class _Work:
    """What was read so far."""

    stated: int = 0
    false: int = 0
    first_false: str | None = None
    results: list[Value] = field(default_factory=list)
    standing: dict[str, Value] = field(default_factory=_ABOUT_PI.copy)
    """Rounded numbers as they are written -> the values that they were rounded from."""
    unread: bool = False
    """Whether the last relation was not one that could be judged."""


def check(completion: str, answer: str | None) -> StepCheck:
    """Find the steps that a completion states, and work them out.

    Args:
        completion: Any text; the work is linear in its length.
        answer: The final answer as the verifier extracted it, or None.

    Returns:
        ``stated`` is 0 for a text without a checkable equality, which says nothing about it.
    """
    completion = completion.replace("＝", "=")
    if "=" not in completion and "≈" not in completion and "\\approx" not in completion:
        return NOTHING
    text = notation.plain(_stating(completion))
    marks = [found.span() for found in _EQUALS.finditer(text)]
    if "≈" in text:
        marks = sorted(marks + [found.span() for found in _ABOUT.finditer(text)])
    work = _Work()
    ended = 0
    left: Side | None
    right: Side | None = None
    for n, (start, end) in enumerate(marks):
        if right is not None and right.fills:
            left = right
        elif (value := _plain_truth(text, ended, start, end)) is not None:
            work.stated += 1
            work.results.append(value)
            work.unread = False
            right, ended = None, end
            continue
        else:
            left_from = max(ended, start - WINDOW)
            left = sides.left_side(text[left_from:start], left_from == ended)
        right = None
        work.unread = True
        if left is not None:
            right_to = marks[n + 1][0] if n + 1 < len(marks) else len(text)
            right = sides.right_side(text[end : min(right_to, end + WINDOW)], right_to - end <= WINDOW)
            if right is not None and (left.computed or right.computed):
                _judge(work, left, right, text[start] == "≈")
                work.unread = False
        ended = end
    if not work.stated:
        return NOTHING
    return StepCheck(work.stated, work.false, _follows(work, completion, answer), work.first_false)


# The commonest step, ``there are 3 + 4 = 7 apples``: what is before it, read backwards, and what is behind.
_BEFORE = re.compile(r"[ $]*([0-9]{1,9}) ?([-+*/]) ?([0-9]{1,9})(?: *\n|[ $]+(?::|([A-Za-z]{2,})[ \n]))")
_BEHIND = re.compile(r"[ \n$]*([0-9]{1,9})(?=[ $]{0,2}(?:[.,]?[ \n]+[A-WYZa-wyz]|\n\s{0,9}[^\s=≈]))")
_REACH = 48


def _plain_truth(text: str, ended: int, start: int, end: int) -> int | None:
    """The value of a step that is plainly whole and true, or None: then its sides are read with all that may be said.

    Most true steps are such; reading their sides in full finds the same, and takes six times as long.
    """
    behind = _BEHIND.match(text, end)
    before = _BEFORE.match(text[max(ended, start - _REACH) : start][::-1]) if behind else None
    if behind is None or before is None:
        return None
    b, sign, a, word = before.groups()
    if word and ((word := word[::-1].lower()) == "and" or word in wording.WORKING):
        return None
    left, right, value = int(a[::-1]), int(b[::-1]), int(behind[1])
    if sign == "/":
        return value if right and left == value * right else None
    return value if value == (left * right if sign == "*" else left + right if sign == "+" else left - right) else None


def _stating(completion: str) -> str:
    """The lines of a completion that hold a relation, and the lines beside them that one runs over to.

    Most lines of a solution in words hold none, and an expression does not go on over a line's end but at a relation.
    """
    if "\n" not in completion:
        return completion
    kept: list[str] = []
    before = ""
    goes_on = False
    for line in completion.split("\n"):
        if "=" in line or "≈" in line or "\\approx" in line:
            if before and line.lstrip(" \t$&\\(").startswith(_RELATIONS):
                kept.append(before)
            kept.append(line)
            before = ""
            goes_on = line.rstrip(" \t$&\\").endswith(_RELATIONS)
        elif line and not line.isspace():
            if goes_on:
                kept.append(line)
            before = "" if goes_on else line
            goes_on = False
    return "\n".join(kept)


def _judge(work: _Work, left: Side, right: Side, approximate: bool) -> None:
    """Count an equality whose sides are known: a true step, a false one, or one that is left out."""
    exact = left.value.__class__ is int is right.value.__class__ and left.value == right.value
    true = exact or _holds(left, right, approximate) or _holds_otherwise(left, right, approximate, work.standing)
    if not true:
        sides.settle(right)
        if not (left.sure and right.sure and _comparable(left, right)):
            return
    if true and left.computed and right.computed and left.text.replace(" ", "") == right.text.replace(" ", ""):
        return
    work.stated += 1
    work.results.append(right.value)
    if not true:
        work.false += 1
        if work.first_false is None:
            work.first_false = f"{left.text} {'≈' if approximate else '='} {right.text}"
    elif not exact and "." in right.text and not right.computed:
        work.standing[right.text] = left.value


def _comparable(left: Side, right: Side) -> bool:
    """Whether two sides that differ contradict: not in hours and minutes, and not where a percentage is added, which is
    often meant of what it is added to."""
    for side in (left, right):
        if "%" in side.text and ("+" in side.text or "-" in side.text):
            return False
    return not wording.convert(f"{left.words} {right.words}")


def _holds(left: Side, right: Side, approximate: bool) -> bool:
    a, b = left.value, right.value
    if arithmetic.agree(a, b, None if right.computed else arithmetic.decimals(right.text)):
        return True
    if not left.computed and arithmetic.agree(b, a, arithmetic.decimals(left.text)):
        return True
    if approximate:
        return arithmetic.near(a, b, APPROXIMATE)
    return left.computed and right.computed and "." in left.text + right.text and arithmetic.near(a, b, ROUNDED_WORK)


def _holds_otherwise(left: Side, right: Side, approximate: bool, standing: dict[str, Value]) -> bool:
    """Whether a step holds under another reading of its sides."""
    lefts = [left, *sides.readings(left, standing)]
    rights = [right, *sides.readings(right, standing), *sides.runs_on_from(right)]
    return any(_holds(a, b, approximate) for a in lefts for b in rights)


def _follows(work: _Work, completion: str, answer: str | None) -> bool | None:
    """Whether the answer is what the last step states, or is spelled by steps that work in columns.

    It is said not to follow only where nothing else can lead to it: not what was stated before or was not read, not a
    count of the steps, not a part of the last value such as its last digit, and not a number said anywhere before.
    """
    if answer is None:
        return None
    value = _value(answer)
    if value is None:
        return None
    last = work.results[-1]
    if _same(last, value):
        return True
    columns = [result for result in work.results if isinstance(result, int) and result >= 0]
    if len(columns) == len(work.results) > 1:
        spelled = str(columns[-1]) + "".join(str(result)[-1] for result in reversed(columns[:-1]))
        if spelled == str(value):
            return True
    if work.unread or completion.count(answer) > 1 or (isinstance(value, int) and 0 <= value <= work.stated):
        return None
    if str(value) in str(last) or any(_same(result, value) for result in work.results):
        return None
    return False


@lru_cache(maxsize=sides.KEPT)
def _value(answer: str) -> Value | None:
    """The number that an answer is, with or without ``x =`` and a unit; None for anything else."""
    if (found := arithmetic.simple(answer)) and not found[1]:
        return found[0]
    side = sides.right_side(notation.plain(answer[-WINDOW:]).rpartition("=")[2], True)
    if side is None:
        return None
    sides.settle(side)
    return side.value if side.sure else None


def _same(result: Value, answer: Value) -> bool:
    """Whether an answer is a result, rounded to a whole number in either direction, as a percentage, or in cents."""
    if isinstance(result, float) or isinstance(answer, float):
        scaled: tuple[Value, ...] = (answer, answer * 100, answer * Fraction(1, 100))
        if any(arithmetic.agree(result, value, None) for value in scaled):
            return True
    elif result == answer or result == answer * 100 or result * 100 == answer:
        return True
    if isinstance(answer, int):
        return not isinstance(result, int) and abs(float(result) - answer) < 1
    return abs(float(result) - float(answer)) < ROUNDED_WORK
