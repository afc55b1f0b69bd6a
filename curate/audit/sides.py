"""The sides of an equality: which part of the text around it is the expression, and whether that is surely all of it.

Owns the reading of one side: where it begins or ends, unit words, labels, brackets that belong to the sentence, and
what else it may say. Must not judge: whether two sides agree is asked in ``steps``. A side that may be cut short, by a
variable, a function or a word that is not understood, is not sure, and nothing is called false by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from curate.audit import arithmetic, notation, wording
from curate.audit.arithmetic import Value

WINDOW = arithmetic.LONGEST
"""Characters on each side of an equals sign that are looked at."""

KEPT = 1 << 14
"""Expressions that are remembered: the rollouts of one problem state the same steps over and over."""

_SIGNS = " \t+-*/^().,%$!xX√π×✕÷∕⁄−–·⋅∙∗²³½¼¾°€£∁[]"
_RUN = re.compile(rf"[\d{re.escape(_SIGNS)}]*")
_DIGITS_AND_SIGNS = "0123456789" + _SIGNS
_OPERATION = re.compile(r"[\d)%!πxX]\s*[-+*/^(√∁xπ]|[√!]")
_STOP = re.compile(r".*[.,](?=\s)", re.DOTALL)
_END = re.compile(r"[.,](?=[\s.]|$)")
_TIMES = re.compile(r"(?<=[\d)%])[xX](?=\d)|(?<= )[xX](?= [\d(.-])")
_FIRST = re.compile(r"\(*[-+]?[\d,]*\.?\d+%?")
_MIXED = re.compile(r"(?<![\d./^])(\d+)(?:[ ]+(\d+)/(\d+)| ?\(\((\d+)\)/\((\d+)\)\))")
_SPACED_FRACTION = re.compile(r"/ +(\d+/\d+)")
_ASIDE = re.compile(r"[\d)%] \(")
_BESIDE = re.compile(r"\d[ ]+\d")
_LAST_WORD = re.compile(r"\\?[A-Za-z]+$")
_DIGITS = tuple("0123456789")
_NEXT_WORDS = re.compile(r"[ \t$]*(\\?)([A-Za-z]+)((?:[ \t]+[A-Za-z]+){0,3})[ \t$]*(\S?)[ \t$]*(\d?)")
_COMPUTING = re.compile(r"[+*/×÷][ $]*(?:[A-Za-z'$]+[ $]*)+$")
_LABEL = re.compile(r"(?:step|case|part|day|week|year|problem|question|example|option|method|line|no)\.?$", re.I)
_LABEL_LONGEST = 9
_NUMBERED = re.compile(r"\(?\d{1,2}(?: ?[-:.)] )")

_DIGIT = re.compile(r"\d")
_SIGN = re.compile(r"[-+*/^×÷−–·]|\b(?:times|multiplied|plus|minus|divided|of|percent|x)\b")
_BRACKET = re.compile(r"[()\[\]]")
_CLAUSE = re.compile(r".*(?:[.;:?!,](?=\s)|[=<>≈⇒\n])", re.DOTALL)
_OPENERS = frozenset("([:;<>⇒→∴\"'“‘—|=≈#>")


@dataclass(slots=True)
class Side:
    """One side of an equality."""

    text: str
    value: Value
    computed: bool
    """Whether there is anything to work out: an operator, a root, a factorial."""
    sure: bool
    """Whether this is certainly all of the side, so that a mismatch is a false step."""
    others: tuple[str, ...] = ()
    """Other texts that the side may be."""
    fills: bool = False
    """Whether it is all that stands between its relation and the next: then it is the left side of that one."""
    words: str = ""
    """Words that stand by its numbers, which may be units."""
    behind: str = ""
    """What follows a right side and was not looked at yet: ``settle`` does, for the few sides where it matters."""


def readings(side: Side, standing: dict[str, Value]) -> list[Side]:
    """What else a side may say: with a bullet that was a sign, with a percent sign as a unit, with a mixed number, with
    a fraction that blanks set off, as in ``3 / 1/4``, with what its rounded numbers stand for."""
    found = [one for text in side.others for one in reading(_ascii(text))]
    if "%" in side.text:
        found += reading(side.text, percent=1)
    if _MIXED.search(side.text):
        found += reading(_MIXED.sub(_mixed, side.text))
    if _SPACED_FRACTION.search(side.text):
        found += reading(_SPACED_FRACTION.sub(r"/(\1)", side.text))
    if "." in side.text and any(number in side.text for number in standing):
        found += reading(side.text, standing=standing)
    return found


def runs_on_from(side: Side) -> list[Side]:
    """The number that a side begins with: in ``3*4 = 12+5 = 17`` a calculation runs on over the equals signs."""
    first = _FIRST.match(side.text) if side.computed else None
    return reading(first.group()) if first else []


def _mixed(found: re.Match[str]) -> str:
    whole, *parts = (part for part in found.groups() if part is not None)
    return f"({whole}+{parts[0]}/{parts[1]})"


def reading(text: str, percent: int = 100, standing: dict[str, Value] | None = None) -> list[Side]:
    """The side that a text is, as a list of one; an empty one where it is none."""
    value = arithmetic.evaluate(text, percent, standing)
    return [] if value is None else [Side(text, value, _computed(text), True)]


def _computed(text: str) -> bool:
    return _OPERATION.search(text) is not None


def _ascii(text: str) -> str:
    """An expression in the signs that ``arithmetic.evaluate`` reads."""
    if "$" in text or "[" in text or "\t" in text or not text.isascii():
        text = text.translate(notation.SIGNS).strip()
    return _TIMES.sub("*", text) if "x" in text or "X" in text else text


def left_side(before: str, whole: bool, words: bool = True) -> Side | None:
    """The side that ends where a relation stands.

    Args:
        before: The text up to the relation.
        whole: Whether it begins where the text or another relation's right side does, so that nothing is cut off.
        words: Whether unit words and operators in words may be taken out.
    """
    before = before.rstrip(" \t\n$")
    if not before:
        return None
    if before[-1].isalpha() and before[-1] != "π":
        return _left_in_words(before, whole) if words and before[-2:].isalpha() else None
    run = _run_before(before)
    if not run or (len(run) == len(before) and not whole):
        return None
    expression, sure = _last_expression(run)
    if not expression:
        return None
    context = before[: len(before) - len(expression)]
    said = context.rstrip(" \t$")
    begins = not said or said[-1] == "\n"
    others: tuple[str, ...] = ()
    if (sign := expression[0]) in "+-*/^×÷−–·":
        bare = expression[1:].lstrip()
        if begins and sign in "+-*−–" and bare != expression[1:]:
            others, expression = ((expression,) if sign in "-−–" else ()), bare
        elif sign not in "-−–" or not (begins or _unary(context, expression)):
            return _left_in_words(before, whole) if words else None
    opens = begins or _opens(said, len(said) < len(context))
    if not opens and words and (side := _left_in_words(before, whole)) is not None:
        return side
    if sure and not begins and (not _computed(expression) or _COMPUTING.search(said[-40:])):
        sure = False  # the end of a sum whose other terms are in words
    if (label := _NUMBERED.match(expression)) and (begins or _LABEL.search(context.rstrip(" ")[-_LABEL_LONGEST:])):
        others = (*others, expression[label.end() :])
    side = _read(expression, others, sure and opens)
    if side is not None and "$" in run:
        side.words = "dollar"
    return side


def _run_before(text: str) -> str:
    """The digits and signs that a text ends with."""
    stem = text.rstrip(_DIGITS_AND_SIGNS)
    if stem and stem[-1].isdecimal():  # a digit of another script
        found = _RUN.match(text[::-1])
        return found.group()[::-1] if found else ""
    return text[len(stem) :]


def _last_expression(run: str) -> tuple[str, bool]:
    """What a run of signs before a relation ends with, behind the last sentence, label or bracket that is not its own,
    and whether nothing of it is lost."""
    cut = 0
    if (". " in run or ", " in run) and (stop := _STOP.match(run)):
        cut = stop.end()
    sure = True
    if "(" in run or ")" in run or "[" in run or "]" in run:
        opened, closed = _unmatched(run)
        if closed >= cut:
            cut = closed + 1
            sure = _NUMBERED.match(run[max(0, closed - 2) : closed + 2]) is not None
        if opened and opened[-1] >= cut:
            cut = opened[-1] + 1
            sure = True
    return run[cut:].lstrip(" \t$xX"), sure


def _left_in_words(before: str, whole: bool) -> Side | None:
    """The same with unit words taken out, ``times`` and ``5% of`` in signs; None where that leaves nothing to read."""
    segment = before
    if clause := _CLAUSE.match(segment):
        segment, whole = segment[clause.end() :], True
    if not (_DIGIT.search(segment) and _SIGN.search(segment)):
        return None
    said = wording.SAID_SIGN.sub(lambda found: wording.SAID[found.group()], segment)
    side = left_side(wording.UNITS.sub("", said), whole, words=False)
    if side is None or not side.computed:
        return None
    side.words += " " + " ".join(wording.UNITS.findall(said))
    side.sure = side.sure and (" of " not in segment or "%" in segment or "percent" in segment)
    return side


def _unary(context: str, expression: str) -> bool:
    """Whether a minus behind this context is a sign, and no operator behind something that was not read."""
    last = context.rstrip(" \t$")[-1:]
    return (
        last in _OPENERS
        or last in ".,!?"
        or (context[-1] in " $" and expression[1:2] not in ("", " ") and last.isalpha())
    )


def _opens(said: str, spaced: bool) -> bool:
    """Whether an expression that begins behind this text, with or without a blank between, is certainly whole."""
    last = said[-1]
    if last.isascii() and last.isalpha():
        word = said[said.rfind(" ") + 1 :]
        if not word.isalpha():
            found = _LAST_WORD.search(word[-24:])
            word = found.group() if found else ""
        if not spaced or not word.isalpha():
            return False
        if word == "and":
            return not said[:-4].endswith(_DIGITS)
        return word in ("a", "A", "I") if len(word) == 1 else word.lower() not in wording.WORKING
    if last == ":":
        return spaced or not said[-2:-1].isdigit()
    if last in ".,!?":
        return spaced
    return last in _OPENERS or (last.isalpha() and not "\u0370" <= last <= "\u03ff")


def right_side(after: str, whole: bool) -> Side | None:
    """The side that begins where a relation stands.

    Args:
        after: The text from the relation on.
        whole: Whether it ends where the text or another relation's left side does, so that nothing is cut off.
    """
    money = "$" in after[:3]
    after = after.lstrip(" \t\n$")
    found = _RUN.match(after)
    run = found.group() if found else ""
    if len(run) == len(after) and not whole:
        return None
    if not run:
        return None
    rate = after[len(run) : len(run) + 1].isalpha()
    expression, sure, aside = _first_expression(run, rate)
    if not expression:
        return None
    rest = after[len(expression) :]
    side = _read(expression, (aside,) if aside else (), sure)
    if side is None:
        return None
    if money:
        side.words = "dollar"
    if not rest or rest.isspace():
        side.fills = side.sure
    else:
        side.behind = rest
    return side


def settle(side: Side) -> None:
    """Look at what follows a side, whether that makes it unsure and which words stand there: asked of few sides."""
    rest, side.behind = side.behind, ""
    if not rest:
        return
    if words := _NEXT_WORDS.match(rest.removeprefix("/")):
        side.words += " " + words[2]
        side.sure = side.sure and _closes_in_words(words)
    else:
        side.sure = side.sure and _closes(rest)


def _first_expression(run: str, rate: bool) -> tuple[str, bool, str]:
    """What a run of signs behind a relation begins with, whether nothing of it is lost, and what comes before an aside,
    as in ``= 12 (3 + 9)``, which may be a factor too.

    Args:
        run: The signs.
        rate: Whether a letter follows, so that a slash at the end begins a unit, as in ``= $5/hour``.
    """
    whole = run
    if ("." in run or "," in run) and (end := _END.search(run)):
        run = run[: end.start()]
    if "(" in run or ")" in run or "[" in run or "]" in run:
        opened, closed = _unmatched(run, first=True)
        cuts = [position for position in (*opened[:1], closed) if position >= 0]
        run = run[: min(cuts, default=len(run))]
    expression = run.rstrip(" \t$")
    sure = True
    while expression and expression[-1] in "+-*/^xX×÷−–·":
        sure = sure and rate and expression[-1] == "/" and len(expression) == len(whole)
        expression = expression[:-1].rstrip(" \t$")
    if " (" in expression and (beside := _ASIDE.search(expression)):
        return expression, False, expression[: beside.end() - 2]
    return expression, sure, ""


def _closes_in_words(words: re.Match[str]) -> bool:
    """Whether an expression in front of these words is certainly whole."""
    command, word, more, sign, digit = words.groups()
    if command or len(word) == 1 or word.lower() in wording.SCALING:
        return False
    if sign and (sign in "?=+*/^×÷" or (digit and sign in "-−–")):
        return False
    follows = more.split()
    return not (sign.isdigit() and (follows[-1:] == ["and"] or (not follows and bool(wording.units(word)))))


def _closes(rest: str) -> bool:
    """Whether an expression in front of this text is certainly whole."""
    stripped = rest.lstrip(" \t$")
    first, second = stripped[:1], stripped[1:2]
    if first == "." or first == "," or first == ":":
        return not second.isdigit() and second != "\\"
    if first == "(":
        return stripped is not rest
    return (
        first in ("", "\n", ")", "]", "…", "°") or first in "<>;!⇒→∴\"'”’—#" or not (first.isascii() or first in "∛±")
    )


@lru_cache(maxsize=KEPT)
def _unmatched(run: str, first: bool = False) -> tuple[tuple[int, ...], int]:
    """Where brackets open that do not close, and where the last, or first, one closes that was not opened, or -1."""
    opened: list[int] = []
    closed = -1
    for found in _BRACKET.finditer(run):
        if found.group() in "([":
            opened.append(found.start())
        elif opened:
            opened.pop()
        else:
            closed = found.start()
            if first:
                break
    return tuple(opened), closed


def _read(expression: str, others: tuple[str, ...], sure: bool) -> Side | None:
    """The side that an expression is; its first readable text where there are several."""
    text, value, computed, last = _worked(expression)
    if last:
        others, sure = (*others, last), False
    if value is not None:
        return Side(text, value, computed, sure, others)
    for other in others:
        for side in reading(_ascii(other)):
            side.sure = False
            return side
    return None


@lru_cache(maxsize=KEPT)
def _worked(expression: str) -> tuple[str, Value | None, bool, str]:
    """An expression in plain signs, its value, whether there is anything to compute, and where several numbers stand
    beside one another, what begins with the last of them."""
    if found := arithmetic.simple(expression):
        return expression, *found, ""
    text = _ascii(expression)
    last = ""
    if beside := _BESIDE.search(text):
        if (mixed := _MIXED.sub(_mixed, text)) != text:
            text = mixed
        else:
            last = text[beside.end() - 1 :]
    return text, arithmetic.evaluate(text), _computed(text), last
