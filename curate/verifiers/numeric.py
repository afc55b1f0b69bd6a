"""The verifier ``numeric``: the answer is the reference's number, exactly or within a declared tolerance.

Owns comparison of numbers. Must not know algebra: what is not one plain number, decimal, fraction or mixed number is
not compared. Exact fractions throughout, so no tolerance means none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from curate.verifiers import extract, latex, options
from curate.verifiers.protocol import DIFFERENT, EQUAL, NOT_PARSED, Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """What a recipe may say under ``verifier.options``."""

    rel_tolerance: float = field(default=0.0, metadata={"least": 0.0})
    """Largest accepted difference as a part of the reference, inclusive."""
    abs_tolerance: float = field(default=0.0, metadata={"least": 0.0})
    """Largest accepted difference, inclusive; the wider of the two counts."""
    timeout: int = field(default=5, metadata={"least": 1})
    memory: int = field(default=4096, metadata={"least": 256})


class Numeric:
    """Compares numbers."""

    version = "numeric 2"

    def __init__(self, settings: Settings) -> None:
        self._relative = Fraction(str(settings.rel_tolerance))
        self._absolute = Fraction(str(settings.abs_tolerance))
        self.limits = Limits(settings.timeout, settings.memory)

    def load(self) -> None:
        """Nothing to import."""

    def extract(self, completion: str) -> str | None:
        """The answer as the verifier ``math`` finds it."""
        return extract.answer(completion)

    def compare(self, reference: str, answer: str) -> tuple[float | None, str]:
        """1 where both are numbers within the tolerance; an answer that is no number is wrong."""
        wanted, given = _value(reference), _value(answer)
        if wanted is None:
            return None, NOT_PARSED
        if given is None:
            return 0.0, DIFFERENT
        allowed = max(self._absolute, self._relative * abs(wanted))
        return (1.0, EQUAL) if abs(wanted - given) <= allowed else (0.0, DIFFERENT)


def _value(text: str) -> Fraction | None:
    r"""The number that a text is, a percent sign read as hundredths; ``x =`` and a unit in ``\text{}`` are dropped."""
    text = latex.without_unit(latex.clean(text).rpartition("=")[2])
    part = latex.percent(text)
    value = latex.number(text if part is None else part)
    return value / 100 if value is not None and part is not None else value


def connect(given: dict[str, Any]) -> Numeric:
    """The verifier with these options.

    Raises:
        RecipeError: an option that it does not know or cannot use.
    """
    return Numeric(options.read(Settings, given))
