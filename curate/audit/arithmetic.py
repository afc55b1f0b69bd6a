"""The value of a plain arithmetic expression, exactly, and whether two values agree to the precision that is shown.

Owns arithmetic: digits and operators in, numbers out. Must not import sympy: a step that needs algebra is not checked,
and a parser for numbers alone is a hundred times as fast. Everything is bounded: the length of an expression, its
digits, its nesting, and the size of powers, so that no text that a model writes can hold up an audit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

LONGEST = 240
"""Characters of an expression, at most."""

DEEPEST = 24
"""Parentheses inside one another, at most."""

MOST_DIGITS = 60
"""Digits of one number, at most."""

MOST_BITS = 512
"""Bits of a power's numerator or denominator, at most."""

NEARLY = 1e-9
"""Relative difference below which two floating-point values, of roots and of pi, are one."""

_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+|\S")
FLOATING = 10
"""Decimals from which on a number is what a machine calculated, such as ``0.7000000000000001``."""

_OPERAND = r"(?:([0-9]{1,18})(?:\.([0-9]{1,18}))?|\(\(([0-9]{1,18})\)/\(([0-9]{1,18})\)\))"
_SIMPLE = re.compile(rf"{_OPERAND}(?: *([-+*/]) *{_OPERAND})?")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LITERAL = re.compile(r"\(*[-+]?(?:\d[\d,]*(?:\.(\d+))?|\.(\d+))(%?)\)*")

Value = int | Fraction | float


class _Unreadable(Exception):
    """Not an expression, or one beyond the bounds."""


def evaluate(expression: str, percent: int = 100, standing: Mapping[str, Value] | None = None) -> Value | None:
    r"""The value of an expression of numbers, ``+ - * / ^ ! % √ π``, parentheses, and ``∁`` for a binomial coefficient.

    A number or ``)`` before ``(``, ``√`` or ``π`` multiplies, except behind a division, where writers mean different
    things.

    Args:
        expression: Blanks are free; ``1,234`` is a number and ``1,23`` is not.
        percent: What a percent sign divides by: 100, or 1 where it is a unit like any other.
        standing: Numbers, as they are written, that stand for another value: a rounded one for what it was before.

    Returns:
        An exact value, or a float where roots or pi come in; None for anything that is no such expression, is beyond
        the bounds, or has no value, such as a division by zero.
    """
    if not standing and (found := simple(expression)) is not None:
        return found[0]
    if len(expression) > LONGEST:
        return None
    tokens = _TOKEN.findall(expression)
    tokens.append("")
    reader = _Reader(tokens, percent, standing or {})
    try:
        value = reader.sum()
        if tokens[reader.at]:
            return None
        return value if not isinstance(value, float) or math.isfinite(value) else None
    except (_Unreadable, ZeroDivisionError, OverflowError):
        return None


def decimals(expression: str) -> int | None:
    """How many decimals a number is written with, those of its hundredths included for a percentage; None for more
    than a number."""
    found = _LITERAL.fullmatch(expression)
    return len(found[1] or found[2] or "") + 2 * len(found[3]) if found else None


def agree(exact: Value, shown: Value, places: int | None) -> bool:
    """Whether a shown number is a value, rounded to the places that it is shown with or cut there.

    A value that these places can hold must be shown exactly, and one shown as a whole number must be the nearest:
    ``10/3 = 3.33`` and ``10/3 = 3`` agree, ``6.2 = 6.3`` and ``11/3 = 3`` do not.

    Args:
        exact: The value.
        shown: The number.
        places: Its decimals, at least 0; None where it is not shown as one number, and then nothing is rounded.
    """
    if isinstance(exact, float) or isinstance(shown, float):
        if exact == shown:
            return True
        if places is None or not shown:
            return math.isclose(exact, shown, rel_tol=NEARLY, abs_tol=NEARLY)
        step = 10.0**-places if places else 0.5
        return math.isclose(exact, shown, rel_tol=NEARLY, abs_tol=step)
    # Fractions are compared here by hand: their own comparison costs more than the rest of a step.
    if exact.numerator == shown.numerator and exact.denominator == shown.denominator:
        return True
    if places is None or not shown:
        return False
    if places >= FLOATING and math.isclose(exact, shown, rel_tol=NEARLY):
        return True
    scale, below = 10**places, exact.denominator
    if exact.numerator * scale % below == 0:
        return False
    off = abs(exact.numerator * shown.denominator - shown.numerator * below) * scale
    return bool(off < below * shown.denominator if places else off * 2 <= below * shown.denominator)


def near(a: Value, b: Value, part: float) -> bool:
    """Whether two values differ by no more than a part of the larger one; not where one is too large for a float."""
    try:
        return math.isclose(a, b, rel_tol=part)
    except OverflowError:
        return False


def simple(expression: str) -> tuple[Value | None, bool] | None:
    """The value of one of the commonest expressions, without a descent, and whether it is more than a number.

    Returns:
        None for another expression than a number, ``((3)/(4))``, or two of these and a sign between them.
    """
    found = _SIMPLE.fullmatch(expression)
    if found is None:
        return None
    a, part, top, bottom, sign, b, other, above, below = found.groups()
    left = _operand(a, part, top, bottom)
    if sign is None:
        return left, a is None
    right = _operand(b, other, above, below)
    if left is None or right is None:
        return None, True
    if sign == "/":
        return _divided(left, right), True
    return left * right if sign == "*" else left + right if sign == "+" else left - right, True


def _operand(whole: str | None, part: str | None, top: str, bottom: str) -> Value | None:
    if whole is None:
        return _divided(int(top), int(bottom))
    return int(whole) if part is None else Fraction(int(whole + part), 10 ** len(part))


def _divided(a: Value, b: Value) -> Value | None:
    return _quotient(a, b) if b else None


class _Reader:
    """A descent over the tokens, one method for each rank of operators."""

    __slots__ = ("at", "deep", "percent", "standing", "tokens")

    def __init__(self, tokens: list[str], percent: int, standing: Mapping[str, Value]) -> None:
        self.tokens = tokens
        self.at = 0
        self.deep = 0
        self.percent = percent
        self.standing = standing

    def sum(self) -> Value:
        value = self.product()
        while (token := self.tokens[self.at]) == "+" or token == "-":
            self.at += 1
            term = self.product()
            value = value + term if token == "+" else value - term
        return value

    def product(self) -> Value:
        value = self.factor()
        divided = False
        while True:
            token = self.tokens[self.at]
            if token == "*":
                self.at += 1
                value = value * self.factor()
            elif token == "/":
                self.at += 1
                divided = True
                value = _quotient(value, self.factor())
            elif token == "∁":
                self.at += 1
                value = _choose(value, self.factor())
            elif token and token in "(√π":
                if divided:
                    raise _Unreadable
                value = value * self.factor()
            else:
                return value

    def factor(self) -> Value:
        token = self.tokens[self.at]
        value: Value
        if token.isdecimal() and len(token) <= MOST_DIGITS and not self.standing:
            self.at += 1
            value = int(token)
        elif token == "-" or token == "+":
            self.at += 1
            self.deep += 1
            if self.deep > DEEPEST:
                raise _Unreadable
            value = self.factor()
            self.deep -= 1
            return -value if token == "-" else value
        else:
            value = self.atom()
        while (token := self.tokens[self.at]) and token in "^!%":
            self.at += 1
            if token == "^":
                return _power(value, self.factor())
            value = _factorial(value) if token == "!" else _quotient(value, self.percent)
        return value

    def atom(self) -> Value:
        token = self.tokens[self.at]
        self.at += 1
        if token[:1].isdecimal() or len(token) > 1:
            return (self.standing and self.standing.get(token)) or _number(token)
        if token == "π":
            return math.pi
        if token not in ("(", "√"):
            raise _Unreadable
        self.deep += 1
        if self.deep > DEEPEST:
            raise _Unreadable
        if token == "√":
            value = _root(self.atom())
        else:
            value = self.sum()
            if self.tokens[self.at] != ")":
                raise _Unreadable
            self.at += 1
        self.deep -= 1
        return value


def _number(token: str) -> Value:
    if len(token) > MOST_DIGITS:
        raise _Unreadable
    if "," in token:
        if not _GROUPED.fullmatch(token):
            raise _Unreadable
        token = token.replace(",", "")
    whole, point, part = token.partition(".")
    return Fraction(int(whole + part), 10 ** len(part)) if point else int(whole)


def _quotient(a: Value, b: Value) -> Value:
    if isinstance(a, int) and isinstance(b, int):
        return a // b if a % b == 0 else Fraction(a, b)
    return a / b


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        exponent = exponent.numerator
    if not isinstance(exponent, int) or isinstance(base, float):
        if base < 0 and not isinstance(exponent, int):
            raise _Unreadable
        return float(float(base) ** float(exponent))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > MOST_BITS:
        raise _Unreadable
    return base**exponent if exponent >= 0 else Fraction(1) / base**-exponent


def _factorial(value: Value) -> int:
    if not isinstance(value, int) or not 0 <= value <= 100:
        raise _Unreadable
    return math.factorial(value)


def _choose(n: Value, k: Value) -> int:
    if not isinstance(n, int) or not isinstance(k, int) or not 0 <= n <= MOST_BITS or k < 0:
        raise _Unreadable
    return math.comb(n, k)


def _root(value: Value) -> Value:
    if value < 0:
        raise _Unreadable
    if isinstance(value, float):
        return math.sqrt(value)
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return _quotient(top, bottom)
    return math.sqrt(value)
