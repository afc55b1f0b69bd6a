"""The value of an expression: exactly where it is rational, at fixed points where it holds variables.

Owns the numeric judgement behind the verifier ``math``. Imports sympy, so it is only imported in a worker.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import cycle, islice
from typing import Any

import sympy

MAX_BITS = 200_000
"""Bits of an exact value, at most; a larger one is compared by other means."""

DIGITS = 30
"""Digits at which expressions are evaluated."""

FINE = 1e-25
"""Relative difference past which two expressions without decimals differ."""

CANCELLED = 300
"""Digits at which two constants that agree at ``DIGITS`` are subtracted: 10^40 + pi is not 10^40 + 3."""

# sympy has no value for an expression, and says so in many ways.
_NO_VALUE = (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError)

# Of both signs, irrational-looking, and of no simple relation to one another, so that an identity that holds at all
# of them is one. The first are inside (-1, 1), where inverse functions and roots of 1 - x^2 are real.
_POINTS = (
    (Fraction(3719, 10007), Fraction(-4547, 10009), Fraction(6521, 10037), Fraction(-8311, 10039)),
    (Fraction(27191, 10061), Fraction(14143, 10067), Fraction(35803, 10069), Fraction(19997, 10079)),
    (Fraction(-17863, 10091), Fraction(29573, 10093), Fraction(-12251, 10099), Fraction(22963, 10103)),
)


def exact(expression: Any) -> Fraction | None:
    """The rational value of an expression of numbers, sums, products and integer powers; None for anything else.

    A decimal stands for the digits that were written.
    """
    if not isinstance(expression, sympy.Basic):
        return None
    if isinstance(expression, sympy.Rational):
        return Fraction(int(expression.p), int(expression.q)) if expression.q else None
    if isinstance(expression, sympy.Float):
        try:
            return Fraction(str(expression))
        except ValueError:
            return None
    if isinstance(expression, sympy.UnevaluatedExpr):
        return None
    if isinstance(expression, sympy.Add | sympy.Mul):
        total = Fraction(0) if isinstance(expression, sympy.Add) else Fraction(1)
        for argument in expression.args:
            value = exact(argument)
            if value is None:
                return None
            total = total + value if isinstance(expression, sympy.Add) else total * value
            if _bits(total) > MAX_BITS:
                return None
        return total
    if isinstance(expression, sympy.Pow):
        base, power = exact(expression.base), exact(expression.exp)
        if base is None or power is None or power.denominator != 1 or (base == 0 and power < 0):
            return None
        if abs(power) * _bits(base) > MAX_BITS:
            return None
        return base ** int(power)
    return None


def agree(wanted: Any, given: Any, coarse: float) -> bool | None:
    """Whether two expressions have the same values.

    Args:
        wanted: A parsed expression.
        given: Another.
        coarse: Relative difference that is allowed where a decimal is in either of them.

    Returns:
        None where values cannot tell: other kinds than expressions, different variables, functions without a value.
    """
    if not (isinstance(wanted, sympy.Expr) and isinstance(given, sympy.Expr)):
        return None
    if wanted.is_Matrix or given.is_Matrix:
        return None
    wanted, given = _named(wanted), _named(given)
    if isinstance(wanted, sympy.Symbol) or isinstance(given, sympy.Symbol):
        return None
    if wanted.has(sympy.UnevaluatedExpr) or given.has(sympy.UnevaluatedExpr):
        return None
    symbols = sorted(wanted.free_symbols, key=str)
    if len(symbols) > 8 or set(symbols) != given.free_symbols:
        return None
    limit = coarse if wanted.has(sympy.Float) or given.has(sympy.Float) else FINE
    compared = 0
    for points in _POINTS if symbols else _POINTS[:1]:
        # Variables past the fourth take the same points, moved, so that no two are equal.
        places = {
            s: p + i // 4 for i, (s, p) in enumerate(zip(symbols, islice(cycle(points), len(symbols)), strict=True))
        }
        x, y = _put(wanted, places), _put(given, places)
        if limit == FINE and (p := exact(x)) is not None and (q := exact(y)) is not None:
            if p != q:
                return False
            compared += 1
            continue
        v, w = _valued(x), _valued(y)
        if v is None or w is None:
            if (v is None) != (w is None):
                return None
            continue
        if _apart(v, w) > limit or (limit == FINE and _differ_far_behind(x, y)):
            return False
        compared += 1
    return True if compared == len(_POINTS if symbols else _POINTS[:1]) else None


def real_roots(expression: Any) -> Any:
    """A constant with the odd roots of negative numbers real, as schools take them, and not principal."""

    def odd(root: Any) -> bool:
        return bool(
            root.is_Pow and root.exp.is_Rational and root.exp.q % 2 and root.exp.q > 1 and root.base.is_negative
        )

    if not isinstance(expression, sympy.Expr) or expression.is_Matrix or expression.free_symbols:
        return expression
    return expression.replace(odd, lambda root: (-1) ** root.exp.p * sympy.Pow(-root.base, root.exp))


def near(wanted: Any, given: Any, tolerance: float) -> bool:
    """Whether two constants differ by at most ``tolerance`` of the larger one; False for what has no value."""
    if not (isinstance(wanted, sympy.Expr) and isinstance(given, sympy.Expr)) or wanted.is_Matrix or given.is_Matrix:
        return False
    if wanted.free_symbols or given.free_symbols:
        return False
    x, y = _valued(wanted), _valued(given)
    return x is not None and y is not None and _apart(x, y) <= tolerance


def solution_sets_agree(wanted: Any, given: Any) -> bool:
    """Whether a set of reals and the inequalities that describe it are the same; several inequalities mean either.

    False where neither is a set and the other inequalities in one variable, or both inequalities in the same one.
    """
    if wanted.free_symbols and {s.name for s in wanted.free_symbols} == {s.name for s in given.free_symbols}:
        if wanted.has(sympy.Eq) or given.has(sympy.Eq):
            return False  # equations without a real solution are not all the same
        described = _described(wanted)
        return described is not None and bool(described == _described(given))
    for region, relations in ((wanted, given), (given, wanted)):
        if isinstance(region, sympy.Interval | sympy.Union) and (described := _described(relations)) is not None:
            return bool(region == described or region.symmetric_difference(described) == sympy.S.EmptySet)
    return False


def _named(expression: Any) -> Any:
    """The expression with its variables told apart by name alone, and ``i`` the imaginary unit.

    The parser makes a variable real or not by what stands around it. Unit vectors keep their ``i``.
    """
    names = {symbol.name for symbol in expression.free_symbols}
    unit = sympy.Symbol("i") if names & {"j", "k"} else sympy.I
    renamed = {s: unit if s.name == "i" else sympy.Symbol(s.name) for s in expression.free_symbols}
    return expression.subs(renamed, simultaneous=True) if renamed else expression


def _differ_far_behind(wanted: Any, given: Any) -> bool:
    """Whether two constants that agree at ``DIGITS`` differ in digits behind those."""
    try:
        gap = (wanted - given).evalf(2, maxn=CANCELLED)
        # evalf says with one bit of precision that it found nothing but rounding.
        return any(bool(part) and (not part.is_Float or part._prec > 1) for part in gap.as_real_imag())
    except _NO_VALUE:
        return False  # no value for the difference: what was seen before stands


def _described(relations: Any) -> Any:
    """The reals that satisfy an inequality, a chain of them, or any of several; None for anything else."""
    if isinstance(relations, sympy.FiniteSet):
        parts = [_described(relation) for relation in relations.args]
        return None if not parts or None in parts else sympy.Union(*parts)
    chain = getattr(relations, "_unsorted_args", relations.args) if isinstance(relations, sympy.And) else (relations,)
    if not all(isinstance(relation, sympy.core.relational.Relational) for relation in chain):
        return None
    if len(relations.free_symbols) != 1:
        return None
    try:
        return sympy.Intersection(*(relation.as_set() for relation in chain))
    except (NotImplementedError, AttributeError, ValueError, TypeError):
        return None  # sympy cannot solve it


def _put(expression: Any, places: dict[Any, Fraction]) -> Any:
    """The expression at a point, or None where it has no value there."""
    numbers = {symbol: sympy.Rational(value.numerator, value.denominator) for symbol, value in places.items()}
    try:
        return expression.subs(numbers)
    except _NO_VALUE:
        return None


def _valued(expression: Any) -> tuple[Any, Any] | None:
    """Real and imaginary part, or None where the expression has no finite value."""
    try:
        value = expression.evalf(DIGITS, maxn=4 * DIGITS)
        real, imaginary = value.as_real_imag() if isinstance(value, sympy.Expr) else (None, None)
    except _NO_VALUE:
        return None
    if not (isinstance(real, sympy.Number) and isinstance(imaginary, sympy.Number)):
        return None
    if not (real.is_finite and imaginary.is_finite):
        return None
    return real, imaginary


def _apart(x: tuple[Any, Any], y: tuple[Any, Any]) -> Any:
    """The difference of two complex values as a part of the larger one; 0 where both are 0."""
    size = max(abs(part) for part in (*x, *y))
    return max(abs(a - b) for a, b in zip(x, y, strict=True)) / size if size else 0


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()
