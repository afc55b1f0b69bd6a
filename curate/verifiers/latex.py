r"""The text of a mathematical answer, before anything is parsed: one spelling for what is written in many.

Owns rewriting and splitting of LaTeX and plain notation by rules that need no algebra. Must not import sympy: plain
numbers, most answers, are decided here without it. Nothing here changes what an expression means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from curate.verifiers import typography

MAX_DIGITS = 4_000
"""Digits of a plain number that is read as one; Python itself refuses longer ones from 4,300 on."""

_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_SIZES = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])\.?")
_SPACES = re.compile(r"(?<!\\)\\(?:[,;:!> ]|quad(?![a-zA-Z])|qquad(?![a-zA-Z])|hspace\{[^{}]*\}|phantom\{[^{}]*\})|~")
_GROUPS = re.compile(r"(?<=\d)(?:\s*\{,\}\s*(?:\\!\s*)?|\s*,?\s*(?:\\!\s*)+|\\,\s*)(?=\d{3}(?!\d))")
_UPRIGHT = re.compile(
    r"(?:(?<![a-zA-Z])\\(?:mathrm|mathit|operatorname|text)\s*\{\s*([ei])\s*\}|\{\\rm\s+([eid])\}"
    r"|\\mathrm ([ei])(?![a-zA-Z]))"
)
# An argument without braces is one sign: digits and letters are read so by the parser, commands and roots are not.
_NAME = r"\\(?!sqrt|[dtc]?frac|text|math|left|right)[a-zA-Z]+"
_SIGN = rf"(\\sqrt ?(?:\{{[^{{}}]*\}}|\d)|{_NAME})"
_BARE_TOP = re.compile(rf"(\\[dtc]?frac) ?{_SIGN}")
_BARE_BOTTOM = re.compile(rf"(\\[dtc]?frac) ?(?:\{{([^{{}}]*(?:\{{[^{{}}]*\}}[^{{}}]*)?)\}}|([0-9a-zA-Z])) ?{_SIGN}")
_BARE_ROOT = re.compile(rf"(\\sqrt) ?(\\[dtc]?frac ?(?:\{{[^{{}}]*\}}|\d) ?(?:\{{[^{{}}]*\}}|\d)|{_NAME})")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES_INSIDE = re.compile(r"(\d+(?:\.\d+)?) ?\^ ?(?:\{ ?\\circ ?\}|\\circ(?![a-zA-Z]))")
_QUALIFIED = re.compile(
    r"(?<=\S)\s*(?:,|\\text\{\s*,?\s*(?:where|for)\s*\})\s*[a-z](?:\s*,\s*[a-z])*\s*\\in\s*\\mathbb\s*\{?[ZNRQC]\}?(?:\^\+)?$"
)
_SAID_SETS = tuple(
    (re.compile(rf"^(?:\\text ?\{{ ?)?(?:{name})\.?(?: ?\}})?$", re.IGNORECASE), sign)
    for name, sign in (
        (r"(?:all|the set of all|any) real(?:s| numbers?)", r"\mathbb{R}"),
        (r"(?:the )?empty set|no (?:real )?solutions?", r"\emptyset"),
    )
)
_BOLD = re.compile(r"\\(?:textbf|mathbf|boldsymbol|bm|pmb|textit|textsf|mathsf|textrm|textnormal)(?![a-zA-Z])\s*")
_REPEATING = re.compile(r"(?<!\d)(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?(?![\d\\])")
_SCIENTIFIC = re.compile(r"^([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d{1,4})$")
_AND = re.compile(r"\s*,?\s*(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z]))\s*")
_MIXED = re.compile(r"(?<![\d.,/^_{}a-zA-Z])(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])")
_PERCENT = re.compile(r"\s*(?:\\?%|\\text\{\s*(?:percent|\\?%)\s*\}|(?:percent|percentage|pct)\b)\.?$", re.IGNORECASE)
_BASE = re.compile(r"^([0-9A-Za-z]+)_(?:\{?(\d+)\}?|\{?\\text\{(\w+)\}\}?)$")
_THOUSANDS = re.compile(r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_DECIMAL = re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)$")
_FRACTION = re.compile(
    r"^([-+]?)\s*(?:\\[dtc]?frac\s*\{\s*([-+]?\d+)\s*\}\s*\{\s*([-+]?\d+)\s*\}|\\[dtc]?frac\s*(\d)\s*(\d)|(\d+)\s*/\s*(\d+))$"
)
_MIXED_LATEX = re.compile(r"^([-+]?)\s*(\d+)\s*\\[dtc]?frac\s*(?:\{(\d+)\}\{(\d+)\}|(\d)(\d))$")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf|mathbf|operatorname)\s*\{([^{}]*)\}")
# Words only: letters that stand at once behind a number, or one or two of them, are variables more often than units.
_SHORT_UNITS = "cm|mm|km|ft|in|yd|mi|kg|mg|lb|oz|hr|ml|mL"
_UNIT = rf"(?!(?:sin|cos|tan|log|sqrt|infty|mod|and|or)\b)(?:[A-Za-z]{{3,}}|{_SHORT_UNITS})"
_UNITS = re.compile(
    r"(?:\s*\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}"
    rf"|(?:(?<=[\d)}}\]])|(?<=\\pi)) {_UNIT}(?: (?:{_UNIT}|of))*\.?)"
    r"(?:\s*\^\s*\{?\s*\d\s*\}?)?$"
)
_ONE_LETTER_UNIT = re.compile(r"^([-+]?[\d.,]+) [a-zA-Z](?:\^\{?\d\}?)?$")
_JOINED_UNIT = re.compile(
    r"(?<=\d)(weeks?|days?|hours?|minutes?|seconds?|years?|months?|meters?|feet|inches|miles?|dollars?|cents?|cm|mm|km|kg)$"
)
_CURRENCY = re.compile(r"\\?[$€£¥₹]")
_WORDS = re.compile(r"^[A-Za-zÀ-ɏ][A-Za-zÀ-ɏ'’.\- ]*$")

_MODULUS = re.compile(
    r"\s*(?:\\pmod ?\{? ?(\d+) ?\}?|\( ?(?:\\?mod|\\(?:text|mathrm|operatorname)\{ ?mod ?\}) ?\{?(\d+)\}? ?\))$"
)
_CLOCK = re.compile(r"(\d{1,2}:\d\d) ?([ap])\.? ?m\.?$", re.IGNORECASE)
_RATIO = re.compile(r"^\d+(?:\.\d+)?(?: ?(?::|\\colon) ?\d+(?:\.\d+)?)+$")
_TIME = re.compile(r"^\d{1,2}:[0-5]\d$")
_BUILT = re.compile(
    r"^\\\{ ?([a-zA-Z]) ?(?:\\in ?\\mathbb ?\{?R\}? ?)?"
    r"(?:\\mid(?![a-zA-Z])|\\colon|:|\||\\vert(?![a-zA-Z])) ?(.+?) ?\\\}$"
)
_BOTH = re.compile(
    r"^([a-zA-Z]) ?((?:[<>]|\\[lg]e(?:q|qslant)?(?![a-zA-Z]))=?) ?([^<>=,\\a-zA-Z]+) ?\\text ?\{ ?and ?\} ?"
    r"\1 ?((?:[<>]|\\[lg]e(?:q|qslant)?(?![a-zA-Z]))=?) ?([^<>=,\\a-zA-Z]+)$"
)
_ONE_LETTER_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm|pmb|mathsf) ?\{ ?([a-zA-Z]) ?\}")
_TEXTED_NUMBER = re.compile(r"^\\text ?\{ ?(\d[\d.,/]*) ((?!and\b|or\b)[A-Za-z]+) ?\}$")
_LABEL = re.compile(r"^(?:\\text(?:bf|rm|sf|it)? ?\{ ?)?(?:\(([A-J])\)|([A-J])\))(?: ?\} ?| )(?=\S)(.+)$")
_DEGREES = re.compile(r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)\s*$|\s+degrees?$|\\text\{\s*degrees?\s*\}$")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
_CHAIN = re.compile(r"[<>]=?|=|\\(?:leqslant|geqslant|leq?|geq?|lt|gt|neq?)(?![a-zA-Z])")
_FLIPPED = {">": "<", r"\gt": "<", ">=": r"\le", r"\ge": r"\le", r"\geq": r"\le", r"\geqslant": r"\le"}

_OPEN = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle"}
_TOKEN = re.compile(r"\\(?:langle|rangle|[{}]|begin|end)|\\.|[()\[\]{},;]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listing:
    """Several values in one answer: bare (no brackets), a set, or something ordered in brackets."""

    opening: str
    parts: tuple[str, ...]
    closing: str


def clean(text: str) -> str:
    """One spelling for an answer: no delimiters, sizes, thousands separators or typographic signs."""
    # Single blanks from here on: the patterns below allow optional ones, and would try every split of a long run.
    text = _single_spaced(typography.plain(text))
    for _ in range(4):
        before = text
        text = text.strip().rstrip(".,;").rstrip()
        if text.endswith("\\") and not text.endswith("\\\\"):
            text = text[:-1].rstrip()
        for opening, closing in _WRAPPERS:
            inner = text[len(opening) : -len(closing)]
            wrapped = text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing)
            if wrapped and opening not in inner and closing not in inner:
                text = inner.strip()
        if text == before:
            break
    text = _GROUPS.sub("", text)
    text = _single_spaced(_SPACES.sub(" ", _SIZES.sub("", text)))
    text = _BUILT.sub(r"\2", _CLOCK.sub(r"\1\\text{ \2m}", _TEXTED_NUMBER.sub(r"\1\\text{ \2}", text)))
    text = _AND.sub(", ", _BOTH.sub(_chained, text))
    text = _UPRIGHT.sub(lambda match: next(filter(None, match.groups())), text)
    if "frac" in text or "sqrt" in text:
        text = _BARE_TOP.sub(r"\1{\2}", text)
        text = _BARE_BOTTOM.sub(lambda match: rf"{match[1]}{{{match[2] or match[3]}}}{{{match[4]}}}", text)
        text = _BARE_ROOT.sub(r"\1{\2}", text)
    if _TRIGONOMETRIC.search(text):
        text = _DEGREES_INSIDE.sub(r"\\left(\\frac{\1\\pi}{180}\\right)", text)
    text = _QUALIFIED.sub("", text).replace(r"\varnothing", r"\emptyset")
    text = r"\emptyset" if text.replace(" ", "") in {r"\{\}", r"\text{\emptyset}"} else text
    text = next((sign for name, sign in _SAID_SETS if name.match(text)), text)
    text = _ONE_LETTER_BOLD.sub(r"\1", text)
    text = _BOLD.sub(r"\\text", text) if "\\text" in text or "\\math" in text or "\\b" in text else text
    text = _REPEATING.sub(_repeating, text)
    text = _SCIENTIFIC.sub(r"\1\\times10^{\2}", text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    return ascending(_JOINED_UNIT.sub(r" \1", _single_spaced(text)))


def percent(text: str) -> str | None:
    """What stands before a percent sign that ends a text, or None where none does."""
    found = _PERCENT.search(text)
    return text[: found.start()].strip() or None if found else None


def based(text: str) -> tuple[str, str] | None:
    """Digits and base of a numeral such as ``204_5`` or ``1A_{16}``, or None."""
    found = _BASE.match(text.replace(" ", ""))
    if not found or not any(digit.isdigit() for digit in found.group(1)) or not found.group(2):
        return None
    return found.group(1).upper().lstrip("0") or "0", found.group(2)


def number(text: str) -> Fraction | None:
    """The exact value of a plain integer, decimal, fraction or mixed number, or None for anything else."""
    text = text.strip()
    if len(text) > MAX_DIGITS:
        return None
    if _THOUSANDS.match(text):
        text = text.replace(",", "")
    if _DECIMAL.match(text):
        return Fraction(text)
    if found := _FRACTION.match(text):
        sign, *pairs = found.groups()
        top, bottom = (int(part) for part in pairs if part is not None)
        return (-1 if sign == "-" else 1) * Fraction(top, bottom) if bottom else None
    if found := _MIXED_LATEX.match(text):
        sign, *parts = found.groups()
        whole, top, bottom = (int(part) for part in parts if part is not None)
        return (-1 if sign == "-" else 1) * (whole + Fraction(top, bottom)) if bottom else None
    return None


def without_unit(text: str) -> str:
    r"""A value without currency signs and without the unit behind it: ``\\text{}``, or words after a blank.

    A text that is nothing but words stays as it is.
    """
    bare = _CURRENCY.sub("", text).strip()
    for _ in range(3):
        shorter = _UNITS.sub("", bare).strip()
        if not shorter or shorter == bare or shorter[-1] in "+-*/^_=<>,{(":
            break
        bare = shorter
    return bare


def without_letter(text: str) -> str:
    """A number without one letter after a blank, which where a number is expected is its unit: ``5 m``."""
    found = _ONE_LETTER_UNIT.match(text)
    return found.group(1) if found else text


def degrees(text: str) -> str | None:
    """What stands before a degree sign that ends a text, or None where none does."""
    found = _DEGREES.search(text)
    return text[: found.start()].strip() or None if found else None


def congruence(text: str) -> tuple[str, int] | None:
    r"""Residue and modulus of ``7 \\pmod{12}`` or ``x \\equiv 7 \\pmod{12}``, or None."""
    found = _MODULUS.search(text)
    modulus = number(found.group(1) or found.group(2)) if found else None
    if not found or not modulus:
        return None
    residue = text[: found.start()].rpartition(r"\equiv")[2].strip()
    return (residue, int(modulus)) if residue else None


def grouped(text: str) -> bool:
    """Whether a text is one number with commas between its thousands, or as well a list: ``1,234``."""
    return bool(_THOUSANDS.match(text))


def ungrouped(text: str) -> str:
    """A number without those commas; anything else as it is."""
    return text.replace(",", "") if grouped(text) else text


def ratio(text: str) -> tuple[Fraction, ...] | None:
    """The terms of a ratio such as ``3:4:5``, the first one of them made 1 unless it is 0, or those of a time."""
    if not _RATIO.match(text):
        return None
    terms = [Fraction(term) for term in re.split(r" ?(?::|\\colon) ?", text)]
    return tuple(terms) if _TIME.match(text) or not terms[0] else tuple(term / terms[0] for term in terms)


def both_signs(text: str) -> str:
    r"""A value with one ``\\pm``, alone or in a list, as the two values that it stands for; anything else as it is."""
    if "\\pm" not in text and "\\mp" not in text:
        return text
    found = listing(text)
    if found is None or found.opening not in {"", r"\{"}:
        found = Listing("", (text,), "")
    parts: list[str] = []
    for part in found.parts:
        signs = _PLUS_MINUS.findall(part)
        if len(signs) != len(set(signs)):  # two that may go together or not
            return text
        upper, lower = (_signed(part, plus, minus) for plus, minus in ("+-", "-+"))
        parts += [upper, lower] if signs else [part]
    return found.opening + ", ".join(parts) + found.closing


def label(text: str) -> tuple[str, str] | None:
    """Letter and text of a choice that is written with both, such as ``(C) 12``, or None."""
    found = _LABEL.match(text)
    return (found.group(1) or found.group(2), found.group(3)) if found else None


def untexted(text: str) -> str:
    r"""A text without the wrappers of ``\text{}`` and without blanks, in lower case where it is words."""
    plain = _TEXT.sub(lambda match: match.group(1), text)
    plain = plain.casefold() if _WORDS.match(plain.strip()) and len(plain.strip()) > 2 else plain
    return "".join(plain.split())


def ascending(text: str) -> str:
    r"""A chain of inequalities written from large to small, the other way round: ``5 > x > 3`` is ``3 < x < 5``."""
    signs = _CHAIN.findall(text)
    if len(signs) < 2 or any(sign not in _FLIPPED for sign in signs) or "," in text:
        return text
    terms = [term.strip() for term in _CHAIN.split(text)]
    turned = [terms[-1]]
    for term, sign in zip(terms[-2::-1], signs[::-1], strict=True):
        turned += [_FLIPPED[sign], term]
    return " ".join(turned)


def words(text: str) -> str | None:
    r"""A text that is words and no mathematics, in lower case without ``\text{}``; None for anything else.

    One or two letters are a variable or a choice and not words, and so is a run of letters outside ``\text{}`` without
    a blank, which is a product of variables as often as a word.
    """
    plain = _TEXT.sub(lambda match: match.group(1), text).replace("{", "").replace("}", "").strip()
    plain = " ".join(plain.split())
    if not _WORDS.match(plain) or len(plain) < 3:
        return None
    if plain == text.strip() and " " not in plain:
        return None
    if not any(len(word) > 2 for word in re.split(r"[ .\-]", plain)):
        return None
    return plain.rstrip(".").casefold()


def listing(text: str) -> Listing | None:
    """The parts of a text that is a list at its top level, or of what its outer brackets hold; None for one value.

    Brackets may differ, as those of half-open intervals do.
    """
    text = text.strip()
    opening = next((mark for mark in _OPEN if text.startswith(mark)), "")
    if opening:
        depth = 0
        for token in _TOKEN.finditer(text):
            depth += _step(token.group())
            if depth == 0:
                if token.end() == len(text):
                    parts = _split(text[len(opening) : token.start()])
                    return Listing(opening, parts, token.group()) if parts else None
                break
    parts = _split(text)
    return Listing("", parts, "") if parts and len(parts) > 1 else None


def _signed(text: str, plus: str, minus: str) -> str:
    return (
        _PLUS_MINUS.sub(lambda sign: plus if sign.group() == r"\pm" else minus, text).strip().removeprefix("+").strip()
    )


def _chained(match: re.Match[str]) -> str:
    """``x > 2 and x < 5`` as one chain, which commas cannot say: they stand for ``or``."""
    letter, sign, bound, other_sign, other = match.groups()
    upward = [sign[0] == ">" or sign.startswith(r"\g") for sign in (sign, other_sign)]
    if upward[0] == upward[1]:
        return match.group()
    if not upward[0]:
        sign, bound, other_sign, other = other_sign, other, sign, bound
    return f"{bound} {_FLIPPED[sign]} {letter} {other_sign} {other}"


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _split(text: str) -> tuple[str, ...]:
    """The parts between top-level commas and semicolons; none where brackets do not match or a part is empty."""
    depth, start, parts = 0, 0, []
    for token in _TOKEN.finditer(text):
        if token.group() in ",;":
            if depth == 0:
                parts.append(text[start : token.start()].strip())
                start = token.end()
        else:
            depth += _step(token.group())
            if depth < 0:
                return ()
    parts.append(text[start:].strip())
    return tuple(parts) if depth == 0 and all(parts) else ()


def _step(token: str) -> int:
    if token in {"(", "[", "{", r"\{", r"\langle", r"\begin"}:
        return 1
    return -1 if token in {")", "]", "}", r"\}", r"\rangle", r"\end"} else 0


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, cycle = match.groups()
    if len(fixed) + len(cycle) > 50:
        return match.group()
    shift, nines = 10 ** len(fixed), 10 ** len(cycle) - 1
    value = Fraction(int(whole or "0")) + Fraction(int(fixed or "0"), shift) + Fraction(int(cycle), shift * nines)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
