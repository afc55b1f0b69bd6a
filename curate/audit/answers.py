"""The answer space: how likely a guess is to pass, told from questions and references alone, without a rollout.

Owns the forms of question that leave few answers, and what the references of similar problems say about guessing. Must
not sample nor know a model; what a model says of other problems may be handed in as counts.

Two sources are joined. The form of a question tells how many answers there are: options with letters, yes or no, even
or odd, "A or B?", a digit, a remainder. The references of its siblings, the problems whose questions are the same but
for their numbers, tell how those are spread: a guesser who has seen the dataset says "no" where nine in ten answers are
no. Where a form is not recognised the spread alone may show that there are few answers, and where there are many it
shows which are common.

A guesser leans: it says yes more often than no, and to some questions more than to others. So a guess rate is a Beta
and no number: with two answers and nothing else known, 95% of it lies between 0.29 and 0.71. How the model answers the
siblings, where that is known, is the firmest word on how it would guess.

Known weaknesses: the forms are English; options that stand in another column than the question are seen only through
the spread; a choice among words ("Tom or Jane?") is counted short when its list is long.
"""

from __future__ import annotations

import calendar
import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

LEAN = 20.0
"""How firmly a guess rate is believed that no answers of the model support, in draws."""
FIRM = 60.0
"""How firmly it is believed at most, in draws: a guesser's lean differs from question to question."""
FEW = 20
"""No more answers than this are few: a guess passes once in twenty."""
HOPELESS = 0.02
"""A guess that passes less often than this is no explanation of any pass: the answer is open."""
SIBLINGS = 20
"""So many problems must share a template before the spread of their references is believed."""
UNSEEN = 0.1
"""Most probability of a reference not seen among the siblings for which their answers count as all there are."""


class AnswerKind(StrEnum):
    """What tells how many answers there are."""

    CHOICE = "choice"
    YES_NO = "yes or no"
    TRUE_FALSE = "true or false"
    PARITY = "even or odd"
    EITHER = "one of those named"
    DIGIT = "digit"
    REMAINDER = "remainder"
    CALENDAR = "day or month"
    SPREAD = "few among siblings"
    COMMON = "common reference"
    OPEN = "open"


Form = tuple[AnswerKind, int | None]
"""What a question's form tells: the kind, and how many answers there are."""

_OPEN: Form = (AnswerKind.OPEN, None)


@dataclass(frozen=True, slots=True)
class AnswerSpace:
    """What a guess may do for one problem."""

    kind: AnswerKind
    size: int | None
    """How many answers there are; None where there are many, or nobody can say."""
    guess_rate: float | None
    """How often a guess passes: the mean of the Beta; None where the answer is open."""
    a: float
    """First parameter of the guess rate's Beta; NaN where the answer is open."""
    b: float

    @property
    def few(self) -> bool:
        """Whether the question itself leaves few answers, so that a pass must be shown to be more than a guess."""
        return self.size is not None and self.size <= FEW


@dataclass(slots=True)
class Siblings:
    """What is known of the problems that a guesser could not tell from this one."""

    references: Counter[str] = field(default_factory=Counter)
    """How often each reference occurs among them, by ``key``."""
    said: Counter[str] = field(default_factory=Counter)
    """How often the model gave each of these there, by ``key``; empty where nobody knows."""
    answered: int = 0
    """How often the model gave any answer there."""
    _total: int | None = None

    def total(self) -> int:
        """How many references there are; counted once, so ask when all are in."""
        if self._total is None:
            self._total = self.references.total()
        return self._total


def answer_space(
    question: str,
    answers: tuple[str, ...],
    siblings: Mapping[str, int],
    said: Mapping[str, int] | None = None,
) -> AnswerSpace:
    """How likely a guess is to pass one problem.

    Args:
        question: The question.
        answers: Its accepted references; none makes the answer open.
        siblings: How often each reference occurs among the problems like this one, itself included: those of its
            template, of the same form, or all where nothing is known of its form. May be empty.
        said: How often the model gave each answer on those problems, on this one not at all. None where nobody knows.

    Returns:
        Its kind, size and guess rate. The guess rate begins at one in ``size``, moves to the share of the references
        among the siblings as these become many, and then to the share of the model's own answers.
    """
    accepted = _keys(answers)
    like = Siblings()
    for name, count in siblings.items():
        like.references[key(name)] += count
    for name, count in (said or {}).items():
        like.said[key(name)] += count
        like.answered += count
    return _space(_form(question, accepted), accepted, like, (0, 0))


def answer_spaces(
    questions: Sequence[str], answers: Sequence[tuple[str, ...]], said: Sequence[Mapping[str, int]] = ()
) -> list[AnswerSpace]:
    """How likely a guess is to pass each problem of a set: ``AnswerSpaces`` where all is at hand at once.

    Args:
        questions: All of the set, in any order.
        answers: The accepted references of each.
        said: How often the model gave each answer, for each problem; empty where nobody knows.

    Returns:
        One space for each problem, in order.
    """
    spaces = AnswerSpaces(questions, answers)
    for place, counts in enumerate(said):
        spaces.hear(place, counts)
    return spaces.told()


class AnswerSpaces:
    """How likely a guess is to pass each problem of a set, as the model's answers to them come in.

    A problem's siblings are the problems of its template where these are at least ``SIBLINGS``, else those of the same
    form and size, else, where its form tells nothing, all of the set. Of answers that are no reference only the number
    is kept, so that what is held grows with the problems and not with what the model says.

    Args:
        questions: All of the set, in any order.
        answers: The accepted references of each.
    """

    def __init__(self, questions: Sequence[str], answers: Sequence[tuple[str, ...]]) -> None:
        self._accepted = [_keys(texts) for texts in answers]
        self._forms = [_form(question, keys) for question, keys in zip(questions, self._accepted, strict=True)]
        templates = [template(question) for question in questions]
        sizes = Counter(templates)
        groups = [name if sizes[name] >= SIBLINGS else form for name, form in zip(templates, self._forms, strict=True)]
        like: defaultdict[Hashable, Siblings] = defaultdict(Siblings)
        self._whole = like[_OPEN] = Siblings()
        self._like = [like[group] for group in groups]
        for place, keys in enumerate(self._accepted):
            for siblings in self._circles(place):
                siblings.references.update(keys)
        self._own = [(0, 0)] * len(questions)

    def hear(self, place: int, counts: Mapping[str, int]) -> None:
        """Take how often the model gave each answer to the problem of this place, as it gave it."""
        said = Counter[str]()
        for text, count in counts.items():
            said[key(text)] += count
        told, answered = self._own[place]
        self._own[place] = told + sum(said[name] for name in self._accepted[place]), answered + said.total()
        for siblings in self._circles(place):
            siblings.answered += said.total()
            for name in said.keys() & siblings.references.keys():
                siblings.said[name] += said[name]

    def told(self) -> list[AnswerSpace]:
        """One space for each problem, in order, by all that was heard."""
        return list(map(_space, self._forms, self._accepted, self._like, self._own))

    def _circles(self, place: int) -> tuple[Siblings, ...]:
        like = self._like[place]
        return (like,) if like is self._whole else (like, self._whole)


def _space(form: Form, accepted: set[str], siblings: Siblings, own: tuple[int, int]) -> AnswerSpace:
    """Join what the form says with what the siblings say, whose answers include the model's own to this problem: how
    often an accepted one, and how many."""
    kind, size = form
    if kind is AnswerKind.OPEN and accepted:
        kind, size = _spread(siblings)
    references = siblings.total()
    alike = sum(max(0, siblings.references[name] - 1) for name in accepted)
    others = max(0, references - len(accepted))
    strength = LEAN if size else 0.0
    uniform = min(len(accepted) / size, 1.0) if size else 0.0
    share = (alike + strength * uniform) / (others + strength) if others + strength else 0.0
    told = sum(siblings.said[name] for name in accepted) - own[0]
    answered = siblings.answered - own[1]
    weight = min(1.0, (FIRM - LEAN) / answered) if answered > 0 else 0.0
    strength = LEAN + weight * answered
    a = LEAN * share + weight * told
    if not size and a / strength < HOPELESS:
        return AnswerSpace(AnswerKind.OPEN, None, None, math.nan, math.nan)
    # A Beta has no parameter of 0: an answer that all siblings share, or none, is not certain for that.
    first, second = max(a, 0.5), max(strength - a, 0.5)
    return AnswerSpace(kind, size, first / (first + second), first, second)


def template(question: str) -> str:
    """A question with its numbers masked: siblings share it."""
    return " ".join(_NUMBER.sub("#", question).casefold().split())


def key(answer: str) -> str:
    """An answer as guesses are counted: without case, spaces at the ends, a full stop, or the dress of LaTeX."""
    if answer.isalnum():
        return answer.casefold()
    text = answer.strip()
    for _ in range(4):
        bare = _DRESSED.sub(lambda found: found[1] or found[2] or found[3], text).strip().removesuffix(".")
        if bare == text:
            break
        text = bare
    return " ".join(text.casefold().split())


_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DRESSED = re.compile(r"^\$(.+)\$$|^\\(?:boxed|text|textbf|mathrm|mathbf)\{(.*)\}$|^\(([A-Za-z])\)$", re.DOTALL)

_LABEL = re.compile(r"(?<![\w\\])\(?([A-Ja-j])\s*[).:=]")
_DIGIT = re.compile(
    r"\b(?:last|final|units?|ones|tens|hundreds|thousands|first|second|third|leading|leftmost|rightmost|missing|what|which"
    r"|check|(?!with\b|both\b)[a-z]+th|\d+(?:st|nd|rd|th))\s+(?:non-?zero\s+)?digit\b(?!\s+(?:sum|numbers?)\b)"
    r"|\bdigit\s+(?:in|at)\s+the\b",
    re.IGNORECASE,
)
_DIVISOR = re.compile(
    r"\bremainder\b.{0,200}?\b(?:divided\s+by|division\s+by|modulo)\s*\$?(\d+)\b"
    r"|(?:\bmod(?:ulo)?|\\p?mod|\\bmod)\s*[{(\s$]*(\d+)\b",
    re.IGNORECASE | re.DOTALL,
)
_COMPARED = r"\b(?:larger|largest|greater|greatest|bigger|biggest|smaller|smallest|higher|lower|which)\b"
_NUMERIC = re.compile(_COMPARED, re.IGNORECASE)
_OF = re.compile(
    _COMPARED + r"(?:\s+(?:number|value|fraction|integer|one)s?)?\s*(?:\b(?:of|among|between|from)\b|:)\s*(.+)",
    re.IGNORECASE | re.DOTALL,
)
_OR_MORE = re.compile(
    r"\bor\s+(?:more|less|fewer|greater|larger|smaller|higher|lower|above|below|equal|not)\b", re.IGNORECASE
)
_SEPARATOR = re.compile(r",|\bor\b|\band\b", re.IGNORECASE)
_WORDS = {
    frozenset({"yes", "no"}): AnswerKind.YES_NO,
    frozenset({"true", "false"}): AnswerKind.TRUE_FALSE,
    frozenset({"even", "odd"}): AnswerKind.PARITY,
}
_CALENDAR = (
    frozenset(name.casefold() for name in calendar.day_name),
    frozenset(name.casefold() for name in calendar.month_name if name),
)


def _form(question: str, accepted: set[str]) -> Form:
    """What the form of a question says of its answers, given what is accepted."""
    if not accepted:
        return _OPEN
    for words, kind in _WORDS.items():
        if accepted <= words:
            return kind, 2
    for names in _CALENDAR:
        if accepted <= names:
            return AnswerKind.CALENDAR, len(names)
    options = _options(question)
    if options and (accepted <= options.keys() or accepted & {key(text) for text in options.values()}):
        return AnswerKind.CHOICE, len(options)
    named = _named(question, accepted)
    if named:
        return AnswerKind.EITHER, named
    numbers = [int(text) for text in accepted if re.fullmatch(r"\d{1,9}", text)]
    if len(numbers) == len(accepted):
        if max(numbers) <= 9 and _DIGIT.search(question):
            return AnswerKind.DIGIT, 10
        divisors = [int(found[1] or found[2]) for found in _DIVISOR.finditer(question)]
        fitting = [divisor for divisor in divisors if max(numbers) < divisor <= 1 / HOPELESS]
        if fitting and len(set(divisors)) == 1:
            return AnswerKind.REMAINDER, fitting[0]
    return _OPEN


def _options(question: str) -> dict[str, str]:
    """Lettered options, from A on without a gap, as letter (in lower case) -> text. Empty with fewer than two."""
    marks: list[re.Match[str]] = []
    for found in _LABEL.finditer(question):
        if found[1].casefold() == chr(ord("a") + len(marks)):
            marks.append(found)
    if len(marks) < 2:
        return {}
    ends = [*(mark.start() for mark in marks[1:]), len(question)]
    return {
        mark[1].casefold(): question[mark.end() : end].strip(" \t\n;,}") for mark, end in zip(marks, ends, strict=True)
    }


def _named(question: str, accepted: set[str]) -> int | None:
    """How many alternatives a question names ("x, y or z?", "the larger of x and y"), one of which is accepted.

    A number that stands before or after some "or" is an alternative only where things are compared.
    """
    for sentence in re.split(r"(?<=[?!.;])\s+|\n+", _OR_MORE.sub(" ", question)):
        if any(re.search(r"\d", text) for text in accepted) and not _NUMERIC.search(sentence):
            continue
        compared = _OF.search(sentence)
        lists = [(compared[1], True)] if compared else []
        if re.search(r"\bor\b", sentence, re.IGNORECASE):
            lists.append((sentence, False))
        for listed, alone in lists:
            parts = [key(part) for part in _SEPARATOR.split(listed.rstrip(" ?!.;:")) if part.strip()]
            if len(parts) < 2:
                continue
            last = len(parts) - 1
            hits = [at for at, part in enumerate(parts) if any(_is(part, name, at, last) for name in accepted)]
            if hits:
                width = max(len(parts[last].split()), max(len(name.split()) for name in accepted))
                short = [part for part in parts[1:] if len(part.split()) <= width]
                size = len(short) + (alone or 0 in hits or len(short) < 2)
                return size if 2 <= size <= FEW else None
    return None


def _is(part: str, name: str, at: int, last: int) -> bool:
    """Whether an alternative is the name: its whole text, or its end where the sentence leads up to it."""
    if part == name:
        return True
    return at < last and at == 0 and bool(re.search(rf"(?<![\w.]){re.escape(name)}$", part))


def _spread(siblings: Siblings) -> Form:
    """Whether the references of the siblings are few, by how often one was seen only once (Good 1953)."""
    counts = siblings.references
    if len(counts) > FEW or siblings.total() < SIBLINGS:
        return AnswerKind.COMMON, None
    once = sum(count == 1 for count in counts.values())
    if once > UNSEEN * siblings.total():
        return AnswerKind.COMMON, None
    return AnswerKind.SPREAD, max(2, len(counts))


def _keys(answers: Sequence[str]) -> set[str]:
    return {key(answer) for answer in answers if answer.strip()}
