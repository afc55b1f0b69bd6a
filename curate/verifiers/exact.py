"""The verifier ``exact``: the answer is the reference, letter by letter, after a declared normalisation.

Owns equality of strings. Must not know mathematics: ``1/2`` is not ``0.5`` here.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any

from curate.verifiers import extract, options
from curate.verifiers.protocol import DIFFERENT, EQUAL, NOT_PARSED, Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """What a recipe may say under ``verifier.options``."""

    case: bool = False
    """Whether capital letters matter."""
    whitespace: bool = False
    """Whether the kind and number of blanks inside matter; those around never do."""
    answer: str = field(default="auto", metadata={"choices": ("auto", "boxed", "last_line", "all")})
    """Where the answer is: ``boxed``, the ``last_line`` with text, ``all`` of it, or boxed else last line."""
    timeout: int = field(default=5, metadata={"least": 1})
    memory: int = field(default=4096, metadata={"least": 256})


class Exact:
    """Compares strings."""

    version = "exact 1"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.limits = Limits(settings.timeout, settings.memory)

    def load(self) -> None:
        """Nothing to import."""

    def extract(self, completion: str) -> str | None:
        """The boxed text, else the last line with text on it."""
        where = self._settings.answer
        found = extract.boxed(completion) if where in ("auto", "boxed") else None
        if found is None and where != "boxed":
            text = completion.strip()
            found = text if where == "all" else text[text.rfind("\n") + 1 :]
        return (found or "").strip() or None

    def compare(self, reference: str, answer: str) -> tuple[float | None, str]:
        """1 where both are the same text; a reference without any text is not one."""
        wanted = self._normal(reference)
        if not wanted:
            return None, NOT_PARSED
        return (1.0, EQUAL) if self._normal(answer) == wanted else (0.0, DIFFERENT)

    def _normal(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text).strip()
        if not self._settings.whitespace:
            text = " ".join(text.split())
        return text if self._settings.case else text.casefold()


def connect(given: dict[str, Any]) -> Exact:
    """The verifier with these options.

    Raises:
        RecipeError: an option that it does not know or cannot use.
    """
    return Exact(options.read(Settings, given))
