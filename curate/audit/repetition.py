"""Whether a text repeats itself: the share of it that was said before, and a loop at its end.

Owns the counting of runs of words and the search for a period. Must not know what a text is for, nor when a share is
too much: ``text`` has the thresholds. Linear in the text but for one sort of its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

_NGRAM = 4
_FEWEST_WORDS = 8
_LETTERS_A_WORD = 15
_CHARACTER_NGRAM = 12

_TAIL = 4096
_ANCHOR = 12
_STEP = 64
_UNITS = 3

_TOGETHER = 1 << 15
"""Characters of texts that are looked at together: enough that numpy's calls cost little, few enough for a cache."""
_INK = np.array([not chr(code).isspace() for code in range(0x3002)])
"""Whether a character is no white space; the last one, which is none, speaks for all beyond."""
_BASE = 0x9E3779B97F4A7C15
_PAIR, _PAIRS = np.uint64(0x1F3D5B79A2C4E685), np.uint64(0x6C8E9CF570932BD5)


def repetitions(texts: Sequence[str]) -> list[tuple[int, float]]:
    """Of each text how many words it has, and the share of 4-grams that occurred before, as ``TextSignals`` says.

    Texts are taken together because a word is no string here but a sum over its characters: with strings, and a set of
    tuples of them, this would take longer than all other signals.
    """
    return [found for group in _groups(texts) for found in _repetitions(group)]


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    characters = 0
    for text in texts:
        if group and characters + len(text) > _TOGETHER:
            yield group
            group, characters = [], 0
        group.append(text)
        characters += len(text) + 1
    if group:
        yield group


def _repetitions(texts: list[str]) -> Iterator[tuple[int, float]]:
    joined = "\n".join(texts)
    codes = (
        np.frombuffer(joined.encode(), np.uint8)
        if joined.isascii()
        else np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    )
    ink = np.zeros(len(codes) + 2, np.bool_)
    _INK.take(codes, out=ink[1:-1], mode="clip")
    edges = np.flatnonzero(ink[1:] != ink[:-1])
    starts, ends = edges[::2], edges[1::2]
    grams = _grams(codes, starts, ends)
    letters = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(ends - starts, out=letters[1:])
    first = 0
    for text, last in zip(texts, np.searchsorted(starts, _behind(texts)).tolist(), strict=True):
        words = last - first
        if letters[last] - letters[first] > _LETTERS_A_WORD * words:
            yield words, _of_characters("".join(text.split()))
        elif words < _FEWEST_WORDS:
            yield words, 0.0
        else:
            own = grams[first : last - _NGRAM + 1]
            own.sort()
            yield words, 1 - (1 + int(np.count_nonzero(own[1:] != own[:-1]))) / len(own)
        first = last


def _behind(texts: list[str]) -> NDArray[np.int64]:
    """Where each text ends among all of them, and the next one has not begun."""
    return np.cumsum([len(text) + 1 for text in texts]) - 1


def _grams(codes: NDArray[np.unsignedinteger], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.uint64]:
    """A number of 64 bits for each word and the three that follow it, the same one for the same words."""
    powers, inverse = _powers(1 << len(codes).bit_length())
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum((codes + 1) * powers[: len(codes)], out=sums[1:])  # a null counts too
    words = (sums.take(ends) - sums.take(starts)) * inverse.take(starts)
    pairs = words[:-1] * _PAIR + words[1:]
    return pairs[:-2] * _PAIRS + pairs[2:]


@cache
def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base, and of its inverse, modulo 2^64: a word's sum is the same wherever it stands."""
    base, inverse = (np.full(count, value, np.uint64) for value in (_BASE, pow(_BASE, -1, 2**64)))
    return np.cumprod(base), np.cumprod(inverse)


def _of_characters(run: str) -> float:
    total = len(run) - _CHARACTER_NGRAM + 1
    if total < _CHARACTER_NGRAM:
        return 0.0
    return 1 - len({run[place : place + _CHARACTER_NGRAM] for place in range(total)}) / total


def looping_tail(text: str) -> float:
    """Share of the text that its periodic end takes; see ``TextSignals.looping_tail``."""
    text = text.rstrip()
    tail = text[-_TAIL:]
    anchor = tail[-_ANCHOR:]
    longest = 0
    place = len(tail) - _ANCHOR
    # A loop of period p and 36 characters or more holds its last 12 characters p from its end too, so each place where
    # they stand again is a period to try. Few texts have many, and no try costs more than three slices.
    while place > 0 and (place := tail.rfind(anchor, 0, place + _ANCHOR - 1)) >= 0:
        period = len(tail) - _ANCHOR - place
        if _UNITS * period > len(tail):
            break
        if tail[-period:] == tail[-2 * period : -period] == tail[-3 * period : -2 * period]:
            length = _periodic_end(text, period)
            if length >= _UNITS * _ANCHOR:
                longest = max(longest, length)
            # Fine and Wilf: a shorter other period is a multiple of this one, and reaches no further.
            place = min(place, len(tail) - _ANCHOR - (length - period))
    return longest / len(text) if text else 0.0


def _periodic_end(text: str, period: int) -> int:
    """Length of the longest end of a text that has a period."""
    start = len(text) - period
    while start >= _STEP and text[start - _STEP : start] == text[start - _STEP + period : start + period]:
        start -= _STEP
    while start and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return len(text) - start
