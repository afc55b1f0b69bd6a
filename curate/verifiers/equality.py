r"""Whether two cleaned mathematical texts mean the same: rules first, algebra by math-verify last.

Owns the order of the rules and the guards around math-verify. Imports sympy and math-verify, so it is only imported in
a worker. Nothing here may catch a timeout, which travels as a ``BaseException``.

Rules of the text come first because they are exact where algebra guesses: words, percentages, numerals with a base,
plain numbers, lists part by part. What is left is parsed. Two expressions without decimals are then compared by value:
at 30 digits where they are constants, at fixed points where they hold variables, which settles nearly all of them in
a millisecond and cannot be fooled by magnitude. math-verify decides the rest, and an equality it finds is thrown out
where the values contradict it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from curate.verifiers import extract, latex
from curate.verifiers.units import unit
from curate.verifiers.values import agree, exact, near, real_roots, solution_sets_agree

MAX_ANSWER = 10_000
"""Characters past which an answer equals only itself: no reference is that long, and parsing it takes minutes."""

MAX_PARTS = 64
"""Parts of a list that are matched one by one, at most."""

COARSE = Fraction(1, 1000)
"""Relative difference past which a decimal is not a rounding of the other value, however small both are."""

_GREEK = r"\\(?:alpha|beta|gamma|theta|phi|lambda|mu|sigma)"
_NAMED = rf"(?:(?:\\(?:angle|vec|overline|mathbf|hat|bar) ?)?\{{? ?[a-zA-Z]{{1,3}} ?\}}?|{_GREEK})"
_ASSIGNED = re.compile(
    rf"^\s*{_NAMED}(?:_\{{?\w+\}}?)?(?:\([^()=<>]{{1,20}}\))?\s*(?:=|\\approx|:=)\s*([^=<>]+)$|^([^=<>]+)=\s*[a-zA-Z]$"
)
_MEMBER = re.compile(r"^\s*([a-zA-Z])\s*\\in\s+(.+)$|^\s*([a-zA-Z])\s*\\in\s*([\\(\[{].+)$")
_RELATION = re.compile(r"[=<>]|\\(?:leq?|geq?|lt|gt|neq?|in|approx|equiv)(?![a-zA-Z])")
_UNEQUAL = re.compile(r"\\neq?(?![a-zA-Z])")
_SEVERAL = re.compile(
    r"\\(?:pm|mp|cup|cap|setminus|mathbb)(?![a-zA-Z])|[=<>]|\\(?:leq?|geq?|lt|gt|neq?|in)(?![a-zA-Z])"
)
# Units are dropped by our own rules: math-verify's would take the t off 3t and the h off \\pi r^2 h.
_PLAIN = [
    LatexExtractionConfig(
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
        )
    ),
    ExprExtractionConfig(),
]
_TARGETS = {"latex": LatexExtractionConfig(), "expr": ExprExtractionConfig()}


class Equality:
    """The rules under one set of options; see ``curate.verifiers.math.Settings`` for what each means."""

    def __init__(
        self,
        *,
        tolerance: float,
        float_rounding: int,
        order: str,
        strict: bool,
        allow_set_relation_comp: bool,
        targets: tuple[str, ...],
    ) -> None:
        self._tolerance = Fraction(tolerance)
        self._rounding = float_rounding
        self._order = order
        self._strict = strict
        self._sets = allow_set_relation_comp
        self._targets = [_TARGETS[name] for name in targets]
        # Rollouts of one problem come together: its reference is parsed once and not once a rollout.
        self.reference: Callable[[str], str | None] = lru_cache(4096)(self._reference)
        self._parse: Callable[[str], list[Any]] = lru_cache(1024)(_parsed)
        self._read: Callable[[str], list[Any]] = lru_cache(1024)(self._extracted)

        self._rules = (
            self._as_choices,
            self._as_words,
            self._as_percentages,
            self._as_degrees,
            self._as_quantities,
            self._as_residues,
            self._as_numerals,
            self._as_ratios,
            self._as_numbers,
            self._as_one_and_many,
            self._as_lists,
        )

    def same(self, reference: str, answer: str) -> bool:
        """Whether an answer, as extracted, means the reference, as ``reference()`` returned it."""
        if self._targets:
            gold, said = self._read(reference), self._read(answer)
            return self._verify(gold, said) or self._equal(latex.clean(_text(gold)), latex.clean(_text(said)))
        if len(answer) > MAX_ANSWER:
            return _bare(answer) == _bare(reference)
        return self._equal(reference, latex.clean(answer))

    def _reference(self, reference: str) -> str | None:
        """The reference as it is compared, or None where it holds nothing that an answer could be compared with."""
        if self._targets:
            return reference if self._read(reference) else None
        text = extract.boxed(reference) if "\\boxed" in reference or "\\fbox" in reference else reference
        text = latex.clean(text) if text and len(text) <= MAX_ANSWER else ""
        if not text:
            return None
        value = latex.both_signs(latex.percent(text) or latex.degrees(text) or text)
        if latex.number(text) is not None or latex.words(text) or latex.based(text):
            return text
        parsed = (_expression(self._parse(part)) for part in (value, _right_side(value)))
        return text if any(expression is not None for expression in parsed) else None

    def _equal(self, gold: str, said: str) -> bool:
        if _bare(gold) == _bare(said) or latex.untexted(gold) == latex.untexted(said):
            return True
        gold, said = _ungrouped(*_unassigned(gold, said))
        if _UNEQUAL.search(gold) and _UNEQUAL.search(said):  # what is left out is a solution set too
            gold, said = _UNEQUAL.sub("=", gold), _UNEQUAL.sub("=", said)
        gold, said = latex.both_signs(gold), latex.both_signs(said)
        for rule in self._rules:
            verdict = rule(gold, said)
            if verdict is not None:
                return verdict
        return self._verify(self._parse(gold), self._parse(said))

    def _as_words(self, gold: str, said: str) -> bool | None:
        wanted = latex.words(gold)
        if wanted is None:
            return None
        return wanted == (latex.words(said) or said.rstrip(".").casefold())

    def _as_choices(self, gold: str, said: str) -> bool | None:
        """A choice that is written with letter and text is either."""
        wanted, given = latex.label(gold), latex.label(said)
        if wanted is None and given is None:
            return None
        if wanted is not None and given is not None:
            return wanted[0] == given[0] and self._equal(wanted[1], given[1])
        (letter, text), plain = (wanted, said) if wanted is not None else (given or ("", ""), gold)
        return letter == latex.untexted(plain).strip("()").upper() or self._equal(text, plain) or None

    def _as_ratios(self, gold: str, said: str) -> bool | None:
        wanted, given = latex.ratio(gold), latex.ratio(said)
        return None if wanted is None or given is None else wanted == given

    def _as_percentages(self, gold: str, said: str) -> bool | None:
        """p% is p%; where one side has no sign it is p/100, or p from 1 on: sources disagree on what to leave out."""
        wanted, given = latex.percent(gold), latex.percent(said)
        if wanted is None and given is None:
            return None
        if wanted is not None and given is not None:
            return self._equal(wanted, given)
        sign, plain = (wanted or given or "", said if wanted is not None else gold)
        value = latex.number(sign)
        if (value is None or abs(value) >= 1) and self._equal(sign, plain):
            return True
        return self._equal(_times(sign, 1, 100), plain)

    def _as_degrees(self, gold: str, said: str) -> bool | None:
        """Degrees are their number, and their radians."""
        wanted, given = latex.degrees(gold), latex.degrees(said)
        if wanted is None and given is None:
            return None
        if wanted is not None and given is not None:
            return self._equal(wanted, given)
        angle, plain = (wanted or given or "", said if wanted is not None else gold)
        return self._equal(angle, plain) or self._equal(_times(angle, 1, 180) + "\\pi", plain)

    def _as_quantities(self, gold: str, said: str) -> bool | None:
        """Two units convert or contradict; what is not two known units is left to those who drop units."""
        wanted, given = unit(gold), unit(said)
        if wanted is None or given is None or wanted == given:
            return None
        if wanted.dimensions != given.dimensions:
            return False
        factor = given.factor / wanted.factor
        return self._equal(_value(gold), _times(_value(said), factor.numerator, factor.denominator))

    def _as_residues(self, gold: str, said: str) -> bool | None:
        """Residues are equal by their modulus, which may be left out, since the question states it."""
        wanted, given = latex.congruence(gold), latex.congruence(said)
        if wanted is None and given is None:
            return None
        if wanted is None or given is None:
            return self._equal(wanted[0] if wanted else gold, given[0] if given else said)
        if wanted[1] != given[1]:
            return False
        x, y = latex.number(wanted[0]), latex.number(given[0])
        return (x - y) % wanted[1] == 0 if x is not None and y is not None else self._equal(wanted[0], given[0])

    def _as_numerals(self, gold: str, said: str) -> bool | None:
        """A numeral with a base is its digits; the base may be left out, since the question states it."""
        wanted, given = latex.based(gold), latex.based(said)
        if wanted is None and given is None:
            return None
        if wanted is not None and given is not None:
            return wanted == given
        based, plain = (wanted, said) if wanted is not None else (given, gold)
        return based is not None and based[0] == (_bare(plain).upper().lstrip("0") or "0")

    def _as_numbers(self, gold: str, said: str) -> bool | None:
        wanted = latex.number(latex.without_unit(gold))
        if wanted is None:
            return None
        given = latex.number(latex.without_letter(latex.without_unit(said)))
        if given is None:
            return None
        return self._close(wanted, given, decimal="." in gold or "." in said)

    def _close(self, wanted: Fraction, given: Fraction, *, decimal: bool) -> bool:
        if wanted == given:
            return True
        gap, size = abs(wanted - given), max(abs(wanted), abs(given))
        if gap <= self._tolerance * size:
            return True
        same_rounded = decimal and round(wanted, self._rounding) == round(given, self._rounding)
        return same_rounded and gap <= COARSE * size

    def _as_lists(self, gold: str, said: str) -> bool | None:
        wanted, given = latex.listing(gold), latex.listing(said)
        if wanted is not None and len(wanted.parts) == 1 and wanted.opening in ("(", r"\{"):
            return self._equal(wanted.parts[0], said) if given is None or len(given.parts) == 1 else None
        if given is not None and len(given.parts) == 1 and given.opening in ("(", r"\{"):
            return self._equal(gold, given.parts[0]) if wanted is None else None
        if wanted is None or given is None or "\\pm" in gold + said or len(wanted.parts) > MAX_PARTS:
            return None
        if _RELATION.search(gold) and not _RELATION.search(said) and len(wanted.parts) != len(given.parts):
            return None
        brackets = {(wanted.opening, wanted.closing), (given.opening, given.closing)} - {("", "")}
        if len(brackets) == 2:
            return None if (r"\{", r"\}") in brackets else False
        if len(wanted.parts) != len(given.parts):
            return False
        shape = brackets.pop() if brackets else ("", "")
        bare = wanted.opening != given.opening
        if bare and shape not in {("(", ")"), (r"\{", r"\}")}:
            return None
        if shape == (r"\{", r"\}") or (shape == ("", "") and not self._in_order(wanted.parts)):
            return self._matched(wanted.parts, given.parts)
        return all(map(self._equal, wanted.parts, given.parts))

    def _as_one_and_many(self, gold: str, said: str) -> bool | None:
        """A list without brackets is one value only where each of its parts is that value, in other words."""
        wanted, given = latex.listing(gold), latex.listing(said)
        if (wanted is None) == (given is None) or _SEVERAL.search(gold + said):
            return None
        many = wanted or given
        if many is None or many.opening:
            return None
        one = said if wanted is not None else gold
        return all(self._equal(one, part) for part in many.parts)

    def _in_order(self, parts: tuple[str, ...]) -> bool:
        if self._order != "auto":
            return self._order == "exact"
        numbers = [number for part in parts if (number := latex.number(part)) is not None]
        sizes = [abs(number) for number in numbers]
        sorted_in_some_way = any(
            given == sorted(given, reverse=down) for given in (numbers, sizes) for down in (False, True)
        )
        return len(parts) == len(numbers) >= 3 and not sorted_in_some_way

    def _matched(self, wanted: tuple[str, ...], given: tuple[str, ...]) -> bool:
        left = list(given)
        for part in wanted:
            found = next((i for i, other in enumerate(left) if self._equal(part, other)), None)
            if found is None:
                return False
            del left[found]
        return True

    def _extracted(self, text: str) -> list[Any]:
        found: list[Any] = parse(text, self._targets, parsing_timeout=None)
        return found

    def _verify(self, gold: list[Any], said: list[Any]) -> bool:
        wanted, given = _expression(gold), _expression(said)
        by_value = None
        if wanted is not None and given is not None:
            decimal = wanted.has(sympy.Float) or given.has(sympy.Float)
            x, y = exact(wanted), exact(given)
            if x is not None and y is not None:
                by_value = self._close(x, y, decimal=decimal)
            else:
                by_value = agree(wanted, given, float(COARSE))
                if by_value is False:
                    by_value = agree(real_roots(wanted), real_roots(given), float(COARSE))
            exactly = x is not None and y is not None
            if by_value is True and not self._targets and (exactly or not decimal):
                return by_value
            if self._tolerance and near(wanted, given, float(self._tolerance)):
                return True
        if by_value is False:
            return False
        if wanted is not None and given is not None and self._sets and solution_sets_agree(wanted, given):
            return True
        return bool(
            verify(
                gold,
                said,
                float_rounding=self._rounding,
                strict=self._strict,
                allow_set_relation_comp=self._sets,
                timeout_seconds=None,
            )
        )


def _parsed(text: str) -> list[Any]:
    found: list[Any] = parse(f"\\boxed{{{latex.without_unit(text)}}}", _PLAIN, parsing_timeout=None)
    return found


def _expression(parsed: list[Any]) -> Any:
    """What a text was parsed to, or None where it was not."""
    return next((found for found in parsed if not isinstance(found, str)), None)


def _text(parsed: list[Any]) -> str:
    """The text that was parsed, as math-verify normalised it."""
    return next((found for found in parsed if isinstance(found, str)), "")


def _bare(text: str) -> str:
    return text.replace(" ", "")


def _value(text: str) -> str:
    """A quantity without its unit."""
    return latex.without_letter(latex.without_unit(text))


def _ungrouped(gold: str, said: str) -> tuple[str, str]:
    """Both without the commas between thousands, except where the other side is a list of such parts."""
    for other in (gold, said):
        listing = None if latex.grouped(other) else latex.listing(other)
        if listing is not None and listing.opening in {"", r"\{"}:
            return gold, said
    return latex.ungrouped(gold), latex.ungrouped(said)


def _times(text: str, top: int, bottom: int) -> str:
    value = latex.number(text)
    if value is None:
        return rf"\frac{{{top}}}{{{bottom}}}\left({text}\right)"
    value = value * top / bottom
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _unassigned(gold: str, said: str) -> tuple[str, str]:
    """Both without ``x =`` or ``x in`` where only one of them has it."""
    if not _RELATION.search(gold):
        return gold, _right_side(said)
    if not _RELATION.search(said):
        return _right_side(gold), said
    return gold, said


def _right_side(text: str) -> str:
    if found := _ASSIGNED.match(text):
        return (found.group(1) or found.group(2)).strip()
    if found := _MEMBER.match(text):
        return (found.group(2) or found.group(4)).strip()
    return text
