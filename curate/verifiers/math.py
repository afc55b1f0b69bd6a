r"""The verifier ``math``: whether two mathematical answers mean the same, by rules of their text and by math-verify.

Owns mathematical equality and its guards. Must not read completions beyond the extracted answer. sympy and math-verify
load on the first comparison, which happens in a worker: this module itself is cheap to import.

The reference is parsed once, inside ``\boxed{}``: bare, a fifth of real references do not match themselves.
math-verify's own timeouts are switched off, because they report a timeout as a wrong answer; the worker's alarm is the
only clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from curate.verifiers import extract, options
from curate.verifiers.protocol import DIFFERENT, EQUAL, NOT_PARSED, Limits

if TYPE_CHECKING:
    from curate.verifiers.equality import Equality

VERSION = 2
"""Counts up with every change, here or in what this rests on, that may change a verdict."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a recipe may say under ``verifier.options``."""

    tolerance: float = field(default=0.0, metadata={"least": 0.0})
    """Relative difference at which two numbers still count as equal; 0: only what the rules below accept."""
    float_rounding: int = field(default=6, metadata={"least": 0, "most": 15})
    """Decimal places to which a decimal and an exact value must agree."""
    order: str = field(default="auto", metadata={"choices": ("auto", "any", "exact")})
    """Whether the order of a list without brackets matters. Auto: only where the reference is three numbers or more
    that are sorted neither by value nor by size: solutions are mostly listed sorted, and sequences mostly are not."""
    strict: bool = True
    """math-verify's: false lets variables match by position, and a set match a tuple."""
    allow_set_relation_comp: bool = True
    """math-verify's: an inequality may answer a reference that is a set."""
    targets: tuple[str, ...] = field(default=(), metadata={"choices": ("latex", "expr")})
    """Read references and completions with math-verify's own extraction of these, not with ours."""
    timeout: int = field(default=5, metadata={"least": 1})
    """Whole seconds for one comparison."""
    memory: int = field(default=4096, metadata={"least": 512})
    """MiB of address space for a worker."""


class Math:
    """Compares mathematical answers."""

    def __init__(self, settings: Settings) -> None:
        self.version = f"math {VERSION} (math-verify {version('math-verify')})"
        self.limits = Limits(settings.timeout, settings.memory)
        self._settings = settings
        self._equality: Equality

    def extract(self, completion: str) -> str | None:
        """The answer that the completion gives, or the end of the completion where ``targets`` are set."""
        if self._settings.targets:
            return extract.in_english(completion) or None
        return extract.answer(completion)

    def load(self) -> None:
        """Import the algebra and warm its parser; a worker does this once, outside any case's time."""
        from curate.verifiers.equality import Equality

        settings = asdict(self._settings)
        del settings["timeout"], settings["memory"]
        self._equality = Equality(**settings)
        self.compare("$\\frac{x+1}{2}$", "\\frac{x}{2}+\\frac{1}{2}")

    def compare(self, reference: str, answer: str) -> tuple[float | None, str]:
        """1 where both mean the same; ``load`` comes first."""
        wanted = self._equality.reference(reference)
        if wanted is None:
            return None, NOT_PARSED
        return (1.0, EQUAL) if self._equality.same(wanted, answer) else (0.0, DIFFERENT)


def connect(given: dict[str, Any]) -> Math:
    """The verifier with these options.

    Raises:
        RecipeError: an option that it does not know or cannot use.
    """
    return Math(options.read(Settings, given))
