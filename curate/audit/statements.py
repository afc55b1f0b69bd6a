r"""Where a completion states its answer: boxes, and what stands behind words that announce one.

Owns the reading of statements for the audit. Must not import the verifiers, which read one answer to judge it: here
every statement counts, with its place. Linear in the text: of many statements the first and last are read, and no box
further than 300 characters. Announcements are known in English and Chinese, boxes in every language.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

MOST = 256
"""Statements of one kind that are read: the first and last half of this."""

_LONGEST_CONTENT = 300
_REACH = 40

_BOX = re.compile(r"\\boxed\s*\{")
_FRAMED_BOX = re.compile(r"\\fbox\s*\{")
_BLANK = re.compile(r"(?:\\[hv]?phantom\{[^{}]*\}|\\q?quad|\\[ ,;:!]|[\s~?_.])*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_ANNOUNCED = (
    ("nswer", re.compile(r"nswers?\b[^\n.:=]{0,60}?(?::|=|\b(?:is|are)\b)[\s:*]*")),
    ("NSWER", re.compile(r"NSWERS?\b[^\n.:=]{0,60}?(?::|=|\b(?:IS|ARE)\b)[\s:*]*")),
    ("<answer>", re.compile(r"<answer>\s*")),
    ("####", re.compile(r"####\s*")),
    ("A:", re.compile(r"(?:^|\n)\s{0,8}A:\s*")),
    ("答案", re.compile(r"答案[^\n。:：=]{0,20}?[:：=是为為][\s*]*")),
)
_TIE = re.compile(r"(?:[\s$,;.()\[\]\\]|and\b|or\b)*")


class Statement(NamedTuple):
    """A place where a completion says: this is the answer."""

    start: int
    end: int
    content: str
    """What is in the box, or up to 40 characters of the line behind the announcement, to the next statement at most."""
    boxed: bool

    def gives(self, answer: str) -> bool:
        """Whether the answer stands in it, not as a part of a longer number or word: 4 is not in 14."""
        return self._place(answer) >= 0

    def behind(self, answer: str) -> int:
        """Where in the text it goes on behind the answer that it gives."""
        return self.end if self.boxed else self.end - len(self.content) + self._place(answer) + len(answer)

    def _place(self, answer: str) -> int:
        place = self.content.find(answer)
        while place >= 0:
            around = self.content[max(0, place - 1) : place] + " " + self.content[place + len(answer) :][:1]
            if not any(map(str.isalnum, around)):
                break
            place = self.content.find(answer, place + 1)
        return place


def statements(text: str) -> list[Statement]:
    """Every place that states an answer, in order; of more than ``MOST`` of a kind, the first and the last."""
    found = [
        Statement(opening.start(), end, content, True)
        for word, box in (("\\boxed", _BOX), ("\\fbox", _FRAMED_BOX))
        if (first := text.find(word)) >= 0
        for opening in _both_ends(list(box.finditer(text, first)))
        for end, content in (_braced(text, opening.end()),)
        if not _BLANK.fullmatch(content)  # a place to fill in, such as ``7\boxed{\phantom{2}}3``
    ]
    for word, pattern in _ANNOUNCED:
        if word in text:
            for opening in _both_ends(list(pattern.finditer(text))):
                content = text[opening.end() : opening.end() + _REACH].partition("\n")[0]
                found.append(Statement(opening.start(), opening.end() + len(content), content, False))
    found.sort()
    for position, (one, following) in enumerate(pairwise(found)):
        if not one.boxed and one.end > following.start:  # ``the answer is \boxed{4}`` gives it once
            kept = max(0, len(one.content) - (one.end - following.start))
            found[position] = one._replace(end=following.start, content=one.content[:kept])
    return found


def _both_ends(found: list[re.Match[str]]) -> list[re.Match[str]]:
    half = MOST // 2
    return found if len(found) <= MOST else found[:half] + found[-half:]


def _braced(text: str, start: int) -> tuple[int, str]:
    """Where the braces that opened before ``start`` close, and what is in them; 300 characters where they do not."""
    depth = 1
    for brace in _BRACE.finditer(text, start, start + _LONGEST_CONTENT):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.end(), text[start : brace.start()]
    return min(len(text), start + _LONGEST_CONTENT), text[start : start + _LONGEST_CONTENT]


def last_place(text: str, answer: str | None, found: list[Statement]) -> int:
    """Where the last statement of the answer begins; else where its text stands last; else the end of the text."""
    if found:
        # ``The answer is $\boxed{4}$`` is one statement, which begins with its words.
        last = found[-1]
        for one in reversed(found[:-1]):
            if one.end < last.start or any(map(str.isalnum, one.content)):
                break
            last = one
        return last.start
    place = text.rfind(answer) if answer else -1
    return place if place >= 0 else len(text)


def different_boxes(text: str, found: list[Statement]) -> int:
    """How many answers the boxes give, those tied together being one."""
    answers: list[list[str]] = []
    end = -1
    for one in found:
        if not one.boxed:
            continue
        content = "".join(one.content.split())
        tie = _TIE.match(text, end, one.start) if 0 <= end <= one.start else None
        if tie and tie.end() == one.start:
            answers[-1].append(content)
        else:
            answers.append([content])
        end = one.end
    return len({tuple(sorted(set(answer))) for answer in answers})
