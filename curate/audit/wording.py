"""Words that stand by numbers: units, operators that are spelled out, and what changes or goes on with a number.

Owns the lists. Must not read an expression: ``sides`` asks what a word beside one means. English only.
"""

from __future__ import annotations

import re

# Words that make what follows them part of something that is not read here.
WORKING = frozenset(
    re.findall(
        r"\w+",
        """
        mod modulo times plus minus by over per of than from to until sin cos tan cot sec csc arcsin arccos arctan log
        ln exp lim sum gcd lcm max min sqrt root square cube choose point
        """,
    )
)
# Words that change the number before them, or go on with it.
SCALING = frozenset(
    re.findall(
        r"\w+",
        """
        mod modulo times plus minus by over of or out choose divided multiplied remainder rem rest with whole full
        complete million billion trillion thousand hundred dozen dozens half halves third thirds quarter quarters tenth
        tenths hundredth hundredths squared cubed percent point and th st nd rd more less pairs to
        """,
    )
)
_FAMILIES = (
    "second sec minute min hour hr day week month year decade century",
    "mm cm m km millimeter centimeter meter kilometer inch inche in foot feet ft yard yd mile mi",
    "mg g kg gram kilogram milligram ounce oz pound lb lbs ton",
    "ml l ml liter litre milliliter gallon quart pint cup tablespoon teaspoon",
    "cent penny pennie nickel dime quarter dollar buck",
)
# A unit without a final s -> the family in which it converts. One side in hours and one in minutes say nothing.
_CONVERTS = {unit: family for family in _FAMILIES for unit in family.split()}
_NO_UNIT = (
    "and|or|is|are|was|were|be|then|so|if|has|have|had|than|mod|dozen|hundred|thousand|million|billion|half|plus|minus|times"
    "|divided|multiplied|which|equals|sin|cos|tan|log|ln|x|to|from|thirds?|quarters?"
)
UNITS = re.compile(
    rf"(?<=[\d)%])(?:[ \t]*/[ \t]*|[ \t]+|-)(?!(?:{_NO_UNIT})\b)[A-Za-z]{{2,}}"
    rf"(?:(?:[ \t]*/[ \t]*|[ \t]+)(?!(?:{_NO_UNIT})\b)[A-Za-z']{{2,}}){{0,3}}"
    r"(?=[ \t]*(?:[-+*/)\]^×÷−–·]|[xX][ \t]|$))"
)
SAID = {
    **dict.fromkeys(("times", "multiplied by"), "*"),
    **{"plus": "+", "minus": "-", "divided by": "/", "percent of": "% *", "of": "*", "percent": "%"},
}
SAID_SIGN = re.compile(r"\b(times|multiplied by|plus|minus|divided by|percent of|of|percent)\b")
_WORD = re.compile(r"[A-Za-z]+")


def convert(words: str) -> bool:
    """Whether two of the words are units that convert into each other, as hours and minutes do."""
    found = units(words)
    return len({_CONVERTS[unit] for unit in found}) < len(found)


def units(words: str) -> frozenset[str]:
    """The units among words that convert into others."""
    stems = (word.lower().removesuffix("s") for word in _WORD.findall(words))
    return frozenset(stem for stem in stems if stem in _CONVERTS)
