"""Excerpts: a text that can be cut to any length from its middle.

Owns the cut. A page of fifty thousand problems cannot carry every rollout whole; what is cut is cut from the middle,
because an answer stands at the end, and the place says how much is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from curate.visible import visible

MOST = 100_000
"""Characters of a text that a page shows at most, however few problems it has."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text whose unseen characters are visible, and of whose middle some may be missing."""

    text: str
    length: int
    """Characters of the whole."""

    def cut(self, most: int) -> str:
        """The text with at most so many of its characters, the first 3/5 and the last 2/5 of them.

        Args:
            most: At least 0; no more than what ``take`` was given.
        """
        if self.length <= most:
            return self.text
        tail = most * 2 // 5
        return f"{self.text[: most - tail]}[…{self.length - most}…]{self.text[len(self.text) - tail :]}"


def take(text: str, most: int) -> Excerpt:
    """Make an excerpt that can later be cut to ``most`` characters or fewer: no more than twice as many are held.

    Args:
        text: What a model or a dataset wrote.
        most: At least 1.
    """
    if len(text) <= 2 * most:
        whole = visible(text)
        return Excerpt(whole, len(whole))
    # Of a text that is cut anyway, the middle is not looked at.
    return Excerpt(visible(text[:most])[:most] + visible(text[-most:])[-most:], len(text))
