r"""Signals in the text of one rollout: does it repeat itself, show work, answer once, and is it language at all?

Owns what can be said of a completion from its text alone: measures, not judgements, and the thresholds that turn them
into flags. Must not import any other room, nor know a problem's other rollouts (``relative`` does): pure functions that
run in worker processes over millions of texts that nobody has checked, so every one is linear in what it reads, and a
text longer than ``LONGEST`` is read at both ends only.

A flag is a reason to look, never a verdict. Solutions whose answer is right and whose reasoning is not (arXiv
2502.06217, 2510.07774) look like sound ones, and the published ones are on average longer: most repeat nothing and show
work, so these signals find degenerate passes, not wrong ones. No threshold was fitted to labelled data; each says where
it is from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.audit.language import garbage
from curate.audit.repetition import looping_tail, repetitions
from curate.audit.statements import Statement, different_boxes, last_place, statements

LONGEST = 200_000
"""Characters that are read; of a longer text its first and last halves of this. About 50,000 tokens."""

REPETITIVE = 0.5
"""``repetition`` from which a text is flagged: half of it was said before. The share is about 0.44 in the degenerate
greedy output that Welleck et al. study and about 0.01 in what people write (arXiv 1908.04319); formulas repeat more."""

LOOPING = 0.1
"""``looping_tail`` from which a text is flagged: a tenth of it is its last few words, three times or more."""

RESTATED = 5
"""``answer_repeats`` from which a text is flagged. Solutions state their answer once or twice: in words, then boxed."""

GARBLED = 0.01
"""``garbage`` from which a text is flagged: 20 characters of 2,000. An emoji cut between two tokens leaves 1 to 3."""

SEVERAL = 2
"""``boxed_answers`` from which a text is flagged."""

FEW_WORDS = 15
"""Words before a statement of the answer that are no reasoning yet: a restatement of the question, a polite opening."""


@dataclass(frozen=True, slots=True)
class TextSignals:
    """What one completion's text shows. Everything is about the text as it stands; shares are from 0 to 1."""

    characters: int
    """Length of the text."""
    words: int
    """Runs of anything but white space, in what is read of it. A text without blanks, as in Chinese, has few."""
    repetition: float
    """Share of its word 4-grams that occurred before in it, ``1 - distinct / all``; 0 under 8 words.

    seq-rep-4 of Welleck et al., arXiv 1908.04319; trainers penalise the same share (arXiv 2502.03373, C.2). A text
    whose words are longer than 15 characters on average, as in Chinese, is read in runs of 12 characters instead.
    Weakness: long derivations and enumerations of cases repeat honestly; a lazy pass of one line repeats nothing.
    """
    looping_tail: float
    """Share of the text taken by an end that is one unit three times or more, the last one perhaps cut; else 0.

    The consecutive repetition of arXiv 2206.02369, found exactly as the longest suffix with a period of at most a third
    of its length. Loops of under 36 characters, or whose unit is longer than 1,365, are not seen.
    Weakness: a decimal such as 0.333... at the very end loops; a loop that the model left again does not count.
    """
    answer_repeats: int
    """How often the final answer is stated as such: boxed, or behind ``answer is``, ``A:`` or ``####``; 0 without one.

    Weakness: a model that answers in words and in a box says it twice, and one that checks its result a third time.
    """
    work_tokens: int
    """Numbers and operation signs that stand before the last statement of the answer: visible computation.

    Earlier statements of the answer do not count. Weakness: it counts and does not check: a wrong step, a guess dressed
    up in numbers and a loop all count in full, and reasoning in words alone counts nothing.
    """
    words_before: int
    """Words that stand wholly before the last statement of the answer; all of them where none is found."""
    answer_first: bool
    """The answer is stated with no operation and at most 15 words before it, and work or words follow: whatever comes
    after was written knowing the answer, as in the early answers of arXiv 2307.13702.

    Weakness: a summary placed first, by a model that had thought it through in a hidden part, looks the same.
    """
    boxed_answers: int
    r"""Boxes with different contents. Boxes tied by nothing but ``and``, ``or``, signs and commas are one answer.

    Verifiers take the last box or any, so several different ones are a way to guess more than once
    (lm-evaluation-harness#3644). Weakness: parts of a question boxed one by one differ too, and so does one value in
    two spellings.
    """
    garbage: float
    """Share of characters that belong to no language: undecodable or control characters, private use, letters outside
    the text's own scripts, and letters run together without vowel (12) or blank (60).

    Its own scripts are Latin, Greek and the commonest other one, Chinese, Japanese and Korean counted as one: outputs
    collapse into fragments of many scripts (GLM-5#163). Weakness: one foreign language bleeding in is not seen, and
    ciphers, hashes and gene sequences that the problem asks for are.
    """


def signals(completion: str, answer: str | None, repeated: tuple[int, float] | None = None) -> TextSignals:
    """Measure one completion.

    Args:
        completion: Any text; lone surrogates and control characters included.
        answer: The final answer as the verifier extracted it; None where it found none.
        repeated: What ``repetitions`` says of it, where many texts were asked about at once, which is cheaper.

    Returns:
        The signals; all zero for an empty text.
    """
    text = read(completion)
    words, repetition = repetitions([text])[0] if repeated is None else repeated
    found = statements(text)
    last = last_place(text, answer, found)
    earlier = [one.content for one in found if one.end <= last]
    giving = [one for one in found if one.gives(answer)] if answer else []
    return TextSignals(
        characters=len(completion),
        words=words,
        repetition=repetition,
        looping_tail=looping_tail(completion),
        answer_repeats=len(giving),
        work_tokens=max(
            0, work(text[:last]) - sum(work(answer if answer and answer in one else one) for one in earlier)
        ),
        words_before=words - len(text[last:].split()),
        answer_first=answer is not None and len(giving) > 0 and _answers_first(text, answer, giving[0]),
        boxed_answers=different_boxes(text, found),
        garbage=garbage(text),
    )


def read(completion: str) -> str:
    """What is read of a completion: all of it, or both ends."""
    half = LONGEST // 2
    return completion if len(completion) <= LONGEST else completion[:half] + completion[-half:]


# -- work -------------------------------------------------------------------------------------------------------------

_OPERATORS = b"=+*/^<>"
_WORK_TABLE = bytes(49 if chr(b).isdigit() else 111 if b in _OPERATORS else 32 for b in range(128)) + b" " * 128
_COMMAND = re.compile(r"\\(?:times|cdot|sqrt|div|approx)")
_SIGNS = "×÷·√≤≥≈≡−∑∫→⇒＝＋"
_NUMBER = re.compile(r"\d+(?:[.,]+\d+)*")


def work(text: str) -> int:
    """Count numbers and operation signs; a number keeps its points and commas, a minus sign counts with neither."""
    mapped = text.encode("ascii", "replace").translate(_WORK_TABLE, b".,")
    found = mapped.count(b"o")
    if "\\" in text:
        found += text.count("frac{") + len(_COMMAND.findall(text))
    if text.isascii():
        return found + len(mapped.replace(b"o", b" ").split())
    return found + sum(map(text.count, _SIGNS)) + len(_NUMBER.findall(text))


def _answers_first(text: str, answer: str, first: Statement) -> bool:
    before, after = text[: first.start], text[first.behind(answer) :]
    if len(before.split(None, FEW_WORDS)) > FEW_WORDS or _operations(before):
        return False
    return len(after.split(None, FEW_WORDS)) > FEW_WORDS or _operations(after) > 0


def _operations(text: str) -> int:
    return work(text) - len(_NUMBER.findall(text))
