"""Excerpts: how much of each text fits on the page.

Owns the cut. A page of fifty thousand problems cannot carry every rollout whole; what is cut is cut from the middle,
because an answer stands at the end, and the place says how much is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curate.visible import visible

MOST = 100_000
"""Characters of a text that a page shows at most, however few problems it has."""

_MARK = 14
"""Bytes of the mark in the place of what was cut."""


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
    """Make an excerpt that can later be cut to ``most`` characters or fewer: no more than twice as many are held."""
    whole = visible(text)
    if len(whole) <= 2 * most:
        return Excerpt(whole, len(whole))
    return Excerpt(whole[:most] + whole[-most:], len(whole))


def fitting(excerpts: list[Excerpt], budget: int) -> int:
    """How many characters of each text fit, all cut alike: the largest cut that keeps them within the budget.

    Args:
        excerpts: All texts of a page.
        budget: Bytes for them as they stand in the page; below 0 nothing fits.

    Returns:
        From 0 to ``MOST``; the bytes are estimated from each text's mean, so a caller measures what it wrote.
    """
    lengths = np.array([one.length for one in excerpts], dtype=np.float64)
    held = np.array([max(len(one.text), 1) for one in excerpts], dtype=np.float64)
    bytes_each = np.array([encoded_size(one.text) for one in excerpts], dtype=np.float64) / held

    def size(most: int) -> float:
        return float((np.minimum(lengths, most) * bytes_each + _MARK * (lengths > most)).sum())

    low, high = 0, MOST
    if size(high) <= budget:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= budget else (low, middle)
    return low


def encoded_size(text: str) -> int:
    """Bytes of a text inside the page's JSON, without its quotes."""
    longer = 5 * sum(text.count(sign) for sign in "<>&") + sum(text.count(sign) for sign in '"\\\n\t')
    return len(text.encode()) + longer
