"""Visible text: what a model or a dataset wrote, made safe to look at.

Owns which characters a reader cannot see and what stands in their place. Must not import anything of ours: the terminal
and the page show the same. An escape sequence would drive a terminal, a bidirectional override turns an answer around,
a character of no width hides in an identifier; a person who judges a rollout has to see all three.
"""

from __future__ import annotations

import json
import re

_UNSEEN = re.compile(
    "["
    # Controls but tab and newline; a carriage return alone lets a line overwrite itself.
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    # Formats: soft hyphen, joiners, bidirectional marks and overrides, separators, tags.
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
    # Letters and marks that draw nothing: fillers, the grapheme joiner, Mongolian selectors, blank Braille.
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0"
    # What no file can hold, and what is no character.
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    "]"
)


def visible(text: str) -> str:
    r"""The text with every unseen character as ``⟨U+202E⟩``, its code in hexadecimal.

    Tabs and newlines stay; ``\r\n`` becomes a newline. Text without such characters comes back as it is, LaTeX, emoji
    and right-to-left scripts included.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n"))


def escaped(document: str) -> str:
    """A JSON document that says the same with every unseen character as an escape, such as ``\\u202e``."""
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], document)


def excerpt(text: str, most: int) -> str:
    """The beginning of a text on one line: blanks are single, and an ellipsis stands where it was cut.

    Args:
        text: The text, unseen characters and all.
        most: Characters, at least 1.
    """
    # Cut twice: a huge line is not worth splitting whole.
    line = " ".join(visible(text[: 8 * most]).split())
    cut = len(line) > most or len(text) > 8 * most
    return f"{line[: most - 1]}…" if cut else line
