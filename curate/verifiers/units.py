r"""Units behind a number: which are the same, which convert into one another, and which contradict.

Owns the table of units. Must not import sympy. A unit that is not in the table, or that only one side has, says
nothing: sources disagree on whether to write it, and the question usually states it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from curate.verifiers import latex


class Unit(NamedTuple):
    """A unit as a multiple of the base units of its dimensions."""

    dimensions: tuple[tuple[str, int], ...]
    """Base units and their powers, sorted: ``km/h`` is ``(("m", 1), ("s", -1))``."""
    factor: Fraction


_INCH = Fraction(254, 10_000)
_POUND = Fraction(45_359_237, 100_000)
_GALLON = Fraction(3_785_411_784, 10**12)

# Base unit, how many of it, and its power where that is not 1. Names without a final s; a plural is looked up without
# it. Months and years are no number of days.
_TABLE: dict[str, tuple[str, Fraction | int] | tuple[str, Fraction | int, int]] = {
    **dict.fromkeys(("mm", "millimeter", "millimetre"), ("m", Fraction(1, 1000))),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), ("m", Fraction(1, 100))),
    **dict.fromkeys(("m", "meter", "metre"), ("m", 1)),
    **dict.fromkeys(("km", "kilometer", "kilometre"), ("m", 1000)),
    **dict.fromkeys(("in", "inch", "inche"), ("m", _INCH)),
    **dict.fromkeys(("ft", "foot", "feet"), ("m", 12 * _INCH)),
    **dict.fromkeys(("yd", "yard"), ("m", 36 * _INCH)),
    **dict.fromkeys(("mi", "mile"), ("m", 63_360 * _INCH)),
    **dict.fromkeys(("mg", "milligram"), ("g", Fraction(1, 1000))),
    **dict.fromkeys(("g", "gram"), ("g", 1)),
    **dict.fromkeys(("kg", "kilogram"), ("g", 1000)),
    **dict.fromkeys(("lb", "pound"), ("g", _POUND)),
    **dict.fromkeys(("oz", "ounce"), ("g", _POUND / 16)),
    **dict.fromkeys(("s", "sec", "second"), ("s", 1)),
    **dict.fromkeys(("min", "minute"), ("s", 60)),
    **dict.fromkeys(("h", "hr", "hour"), ("s", 3600)),
    "day": ("s", 86_400),
    "week": ("s", 604_800),
    "month": ("month", 1),
    "year": ("month", 12),
    **dict.fromkeys(("ml", "milliliter", "millilitre"), ("m", Fraction(1, 10**6), 3)),
    **dict.fromkeys(("l", "liter", "litre"), ("m", Fraction(1, 1000), 3)),
    "gallon": ("m", _GALLON, 3),
    "quart": ("m", _GALLON / 4, 3),
    "pint": ("m", _GALLON / 8, 3),
    "cup": ("m", _GALLON / 16, 3),
    **dict.fromkeys(("$", "dollar", "buck"), ("$", 1)),
    **dict.fromkeys(("¢", "cent"), ("$", Fraction(1, 100))),
    **dict.fromkeys(("€", "euro"), ("€", 1)),
    "am": ("am", 1),
    "pm": ("pm", 1),
}
_COMPOUND = {"mph": "mile/hour", "kph": "km/hour", "kmh": "km/hour"}

_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_BEHIND = {"squared": 2, "cubed": 3}
_WRAPPER = re.compile(r"\\(?:text|mathrm|mbox|textbf)(?![a-zA-Z])|[{}~]")
_PER = re.compile(r"\s*/\s*|\s+per\s+")
_POWER = re.compile(r"\s*\^?\s*([1-9])$")
_SIGN = re.compile(r"^\s*[-+]?\s*\\?([$€])")


def unit(text: str) -> Unit | None:
    """The unit of a cleaned answer, from the currency sign before it or the words behind; None where none is known."""
    if sign := _SIGN.match(text):
        return _simple(sign.group(1), 1)
    value = latex.without_unit(text)
    tail = text[len(value) :] if text.startswith(value) else ""
    if not tail:
        value = latex.without_letter(text)
        tail = text[len(value) :]
    return _read(" ".join(_WRAPPER.sub(" ", tail).split())) if tail else None


def _read(words: str) -> Unit | None:
    words = words.replace(".", "").lower()
    words = _COMPOUND.get(words, words)
    powers: dict[str, int] = {}
    factor = Fraction(1)
    for position, part in enumerate(_PER.split(words)):
        found = _powered(part)
        if found is None:
            return None
        for base, power in found.dimensions:
            powers[base] = powers.get(base, 0) + (power if position == 0 else -power)
        factor = factor * found.factor if position == 0 else factor / found.factor
    return Unit(tuple(sorted(powers.items())), factor)


def _powered(part: str) -> Unit | None:
    power = 1
    if found := _POWER.search(part):
        part, power = part[: found.start()], int(found.group(1))
    names = part.split()
    if len(names) == 2 and names[0] in _BEFORE:
        names, power = names[1:], _BEFORE[names[0]]
    elif len(names) == 2 and names[1] in _BEHIND:
        names, power = names[:1], _BEHIND[names[1]]
    return _simple(names[0], power) if len(names) == 1 else None


def _simple(name: str, power: int) -> Unit | None:
    found = _TABLE.get(name) or _TABLE.get(name.removesuffix("s"))
    if found is None:
        return None
    base, factor, dimension = found if len(found) == 3 else (*found, 1)
    return Unit(((base, dimension * power),), Fraction(factor) ** power)
