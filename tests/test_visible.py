"""Visible text: nothing that a reader cannot see stays unseen, and nothing else is touched."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from curate.visible import escaped, excerpt, visible


def test_no_control_format_surrogate_or_separator_stays() -> None:
    hidden = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and chr(code) not in "\t\n"
    ]
    assert len(hidden) > 2_000
    assert [f"{ord(one):04X}" for one in hidden if visible(one) != f"⟨U+{ord(one):04X}⟩"] == []


@pytest.mark.parametrize(
    "text", ["", "plain\ttext\n", r"\frac{1}{2} $x^2$ <b>", "Ünïcödé 数学 עברית", "👍🏽 ❤️", "a" * 100_000]
)
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text


def test_an_escape_sequence_and_an_override_are_shown() -> None:
    assert visible("\x1b[2J\x1b]0;title\x07") == "⟨U+001B⟩[2J⟨U+001B⟩]0;title⟨U+0007⟩"
    assert visible("a\u202eb\u200bc\U000e0041") == "a⟨U+202E⟩b⟨U+200B⟩c⟨U+E0041⟩"
    assert visible("one\r\ntwo\rthree") == "one\ntwo⟨U+000D⟩three"


def test_an_excerpt_is_one_line_of_bounded_length() -> None:
    assert excerpt("a\n\n b\tc", 10) == "a b c"
    assert excerpt("abcdef", 6) == "abcdef"
    assert excerpt("abcdefg", 6) == "abcde…"
    assert excerpt("x" * 10_000_000, 20) == "x" * 19 + "…"
    assert excerpt(" " * 1_000 + "late", 20) == "…"
    assert excerpt("\u202e" * 100, 20) == "⟨U+202E⟩⟨U+202E⟩⟨U+" + "…"


def test_an_escaped_document_says_the_same() -> None:
    value = {"a\u202e": ["\x9b2J", "\ud800", "\U000e0041", "数\n"]}
    document = escaped(json.dumps(value, ensure_ascii=False))
    assert document == r'{"a\u202e": ["\u009b2J", "\ud800", "\udb40\udc41", "数\n"]}'
    assert json.loads(document) == value
