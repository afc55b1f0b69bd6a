"""How much of a text belongs to no language: damaged characters, fragments of many scripts, letters run together.

Owns the table of scripts. Must not know what the text is for: LaTeX, code and text without blanks are language here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter

_CONTROLS = bytes(b for b in [*range(32), 127] if b not in b"\t\n\r\f\v")
_VOWELS = b"aeiouyAEIOUY"
_LETTERS = bytes(b for b in range(128) if chr(b).isalpha())
_SOUNDS = bytes(
    ord("v" if b in _VOWELS else "c" if b in _LETTERS else "!" if b in _CONTROLS else " ") for b in range(256)
)
_WITHOUT_VOWEL = 12
_WITHOUT_BLANK = 60
_STRETCH = re.compile(rb"[cv]{%d,}|c{%d,}" % (_WITHOUT_BLANK, _WITHOUT_VOWEL))

_SCRIPTS: tuple[tuple[int, str], ...] = (
    (0x0080, "damaged"),  # the second set of control characters
    (0x00A0, ""),
    (0x00C0, "latin"),
    (0x0250, ""),
    (0x0370, "greek"),
    (0x0400, "cyrillic"),
    (0x0530, "armenian"),
    (0x0590, "hebrew"),
    (0x0600, "arabic"),
    (0x0700, "syriac"),
    (0x0750, "arabic"),
    (0x0780, "other"),
    (0x08A0, "arabic"),
    (0x0900, "devanagari"),
    (0x0980, "bengali"),
    (0x0A00, "gurmukhi"),
    (0x0A80, "gujarati"),
    (0x0B00, "oriya"),
    (0x0B80, "tamil"),
    (0x0C00, "telugu"),
    (0x0C80, "kannada"),
    (0x0D00, "malayalam"),
    (0x0D80, "sinhala"),
    (0x0E00, "thai"),
    (0x0E80, "lao"),
    (0x0F00, "tibetan"),
    (0x1000, "myanmar"),
    (0x10A0, "georgian"),
    (0x1100, "east asian"),
    (0x1200, "ethiopic"),
    (0x13A0, "other"),
    (0x1780, "khmer"),
    (0x1800, "other"),
    (0x1E00, "latin"),
    (0x1F00, "greek"),
    (0x2000, ""),  # punctuation, arrows, mathematics, box drawing
    (0x2E80, "east asian"),
    (0xA000, "other"),
    (0xAC00, "east asian"),
    (0xD800, "damaged"),  # lone surrogates, then private use
    (0xF900, "east asian"),
    (0xFB00, ""),
    (0xFB50, "arabic"),
    (0xFE00, ""),
    (0xFE70, "arabic"),
    (0xFF00, ""),  # full-width forms
    (0xFFF9, "damaged"),  # the replacement character among them
    (0x10000, "other"),
    (0x1D400, ""),  # mathematical letters, emoji
    (0x20000, "east asian"),
    (0x40000, "damaged"),
)
"""First code point -> the script that reigns from there on; blank for what belongs to every script."""

_STARTS = [start for start, _ in _SCRIPTS]
_EVERYWHERE = {"", "latin", "greek"}


def garbage(text: str) -> float:
    """Share of characters that belong to no language; see ``TextSignals.garbage``."""
    if not text:
        return 0.0
    sounds = text.encode("ascii", "replace").translate(_SOUNDS)
    broken = sounds.count(b"!")
    if b"c" * _WITHOUT_VOWEL in sounds or b"c" * _WITHOUT_BLANK in sounds.replace(b"v", b"c"):
        broken += sum(found.end() - found.start() for found in _STRETCH.finditer(sounds))
    if not text.isascii():
        broken += _foreign(text)
    return broken / len(text)


def _foreign(text: str) -> int:
    """Characters that are damaged, or letters of a script that is not the text's own."""
    scripts: Counter[str] = Counter()
    for character, times in Counter(text).items():
        if not character.isascii():
            scripts[_SCRIPTS[bisect_right(_STARTS, ord(character)) - 1][1]] += times
    damaged = scripts.pop("damaged", 0)
    others = [times for script, times in scripts.items() if script not in _EVERYWHERE]
    return damaged + sum(others) - max(others, default=0)
