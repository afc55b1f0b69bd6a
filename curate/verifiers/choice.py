"""The verifier ``choice``: the letter of a multiple-choice question, however the model wrote it.

Owns the reading of letters. The text of the chosen option counts as its letter where the problem's metadata lists the
options; so this verifier needs the case's metadata and is a ``Judge``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.records import Case
from curate.verifiers import extract, options
from curate.verifiers.protocol import DIFFERENT, EQUAL, NO_ANSWER, NO_REFERENCE, NOT_PARSED, Limits, Ruling

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a recipe may say under ``verifier.options``."""

    letters: str = "ABCDE"
    """The letters that can be chosen; the options' texts belong to them in this order."""
    column: str = "choices"
    """The metadata column with the options: texts, a mapping of letter to text, or ``{text: [], label: []}``."""
    timeout: int = field(default=5, metadata={"least": 1})
    memory: int = field(default=4096, metadata={"least": 256})


class Choice:
    """Compares letters."""

    version = "choice 1"

    def __init__(self, settings: Settings) -> None:
        self._column = settings.column
        self._letters = settings.letters.upper()
        self.limits = Limits(settings.timeout, settings.memory)
        one = f"[{re.escape(self._letters)}]"
        # Upper case only where prose may stand around: "a" is an article. A letter that begins a word is none.
        self._said = re.compile(
            rf"(?:answer|option|choice)\b[^.\n]{{0,40}}?(?:\bis\b|:|=|\b)\s*[*_$\\({{\[\"']*(?:text{{)?\(?({one})(?![A-Za-z'])"
        )
        self._marked = re.compile(rf"(?:\(({one})\)|\*\*({one})\b[.):]?[^*]{{0,80}}\*\*)")
        # "not A" denies a letter, and "A plan" begins with an article.
        self._lone = re.compile(
            rf"(?<![A-Za-z'])(?<!\bnot )(?<!\bnon )(?<!\bnicht )(?<!不是)(?<!不是 )({one})"
            r"(?![A-Za-z']|(?<=A) (?!or\b|and\b)[a-z])"
        )
        begins = rf"^[\s(\[*$\\{{]*(?:(?:text|math)[a-z]*\s*{{\s*\(?)?({one})"
        self._alone = re.compile(rf"{begins}(?:[.):\]*$}}]|\s*$)", re.IGNORECASE)
        self._first = re.compile(rf"{begins}\s", re.IGNORECASE)

    def load(self) -> None:
        """Nothing to import."""

    def complaint(self, references: Sequence[str], metadata: Mapping[str, Any]) -> str | None:
        """Why no letter could be right: no reference is one, nor the text of an option."""
        if not references:
            return NO_REFERENCE
        return None if self._wanted(references, metadata) else NOT_PARSED

    def judge(self, case: Case) -> Ruling:
        """1 where the completion's letter, or the option whose text it gives, is a reference's."""
        wanted = self._wanted(case.answers, case.metadata)
        if not wanted:
            return Ruling(None, None, NOT_PARSED if case.answers else NO_REFERENCE)
        given = self._chosen(case.completion, _texts(case.metadata.get(self._column), self._letters))
        if given is None:
            return Ruling(0.0, None, NO_ANSWER)
        return Ruling(1.0, given, EQUAL) if given in wanted else Ruling(0.0, given, DIFFERENT)

    def _wanted(self, references: Sequence[str], metadata: Mapping[str, Any]) -> set[str]:
        texts = _texts(metadata.get(self._column), self._letters)
        return {letter for reference in references if (letter := self._letter(reference, texts, short=True))}

    def _chosen(self, completion: str, texts: dict[str, str]) -> str | None:
        inside = extract.boxed(completion)
        if inside is not None:
            return self._letter(inside, texts, short=True)
        return self._letter(completion[-extract.TAIL :], texts, short=False)

    def _letter(self, text: str, texts: dict[str, str], *, short: bool) -> str | None:
        """The letter that a text names: an option's own text, a lone letter, or the last one stated in prose."""
        named = texts.get(_plain(text))
        if named is not None:
            return named
        if short:
            found = self._alone.match(text.strip()) or self._first.match(text.strip())
            return found.group(1).upper() if found else None
        for pattern in (self._said, self._alone, self._marked):
            if matches := pattern.findall(text.strip()):
                last = matches[-1]
                return (last if isinstance(last, str) else next(group for group in last if group)).upper()
        last_line = text.strip().rpartition("\n")[2]
        named = texts.get(_plain(last_line))
        if named is not None:
            return named
        letters = self._lone.findall(last_line)
        return letters[-1] if len(set(letters)) == 1 else None


def _plain(text: str) -> str:
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)
    return " ".join(text.strip(" \n\t*$.").casefold().split())


def _texts(column: object, letters: str) -> dict[str, str]:
    """Option text -> letter, from whichever shape the column has; empty where there are none."""
    pairs: Iterable[tuple[object, object]] = ()
    if isinstance(column, dict) and isinstance(column.get("text"), list):
        labels = column.get("label") or letters
        pairs = zip(labels, column["text"], strict=False)
    elif isinstance(column, dict):
        pairs = column.items()
    elif isinstance(column, list):
        pairs = zip(letters, column, strict=False)
    found: dict[str, str] = {}
    repeated: set[str] = set()
    for letter, text in pairs:
        plain = _plain(str(text))
        repeated |= {plain} & found.keys()
        found[plain] = str(letter).upper()
    return {text: letter for text, letter in found.items() if text and text not in repeated}


def connect(given: dict[str, Any]) -> Choice:
    """The verifier with these options.

    Raises:
        RecipeError: an option that it does not know or cannot use.
    """
    return Choice(options.read(Settings, given))
