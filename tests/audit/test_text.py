r"""Hand-worked signals of small texts, properties that hold for any, and the time that awkward ones take."""

from __future__ import annotations

import time
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.audit.language import garbage
from curate.audit.repetition import looping_tail, repetitions
from curate.audit.text import LONGEST, signals, work

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300) | st.text(
    st.sampled_from(r"ab12=+ \{}$.:A#" + "\n的д�"), max_size=300
)
PIECES = st.lists(
    st.sampled_from(
        ["The answer is 4. ", r"\boxed{4}", r"\boxed{", "}", "#### 4\n", "A: 4\n", "2+2=4; ", "so ", "答案是4"]
    )
)


def repeated(text: str) -> float:
    return repetitions([text])[0][1]


# -- repetition -------------------------------------------------------------------------------------------------------


def test_repetition_is_the_share_of_4_grams_said_before() -> None:
    # Twelve words make nine 4-grams. Words 9-12 are words 1-4 again, so one of the nine has been said before.
    assert repeated("we add two and three to get five we add two and") == pytest.approx(1 / 9)
    assert repeated("one two three four five six seven eight nine ten") == 0
    # Ten times the same word: seven 4-grams, all alike, six of them repeats.
    assert repeated("no " * 10) == pytest.approx(6 / 7)


def test_a_few_words_cannot_repeat() -> None:
    assert repeated("no no no no no no no") == 0


def test_text_without_blanks_is_read_by_characters() -> None:
    sentence = "因为每个班有三十名学生所以两个班一共有六十名学生"
    assert repeated(sentence) == 0
    # Twice n characters make 2n - 11 runs of 12, of which the last n - 11 are repeats and the n others are not.
    n = len(sentence)
    assert repeated(sentence * 2) == pytest.approx((n - 11) / (2 * n - 11))


@given(st.lists(ANY_TEXT | st.text(st.sampled_from("ab \n\x00\x1f\u2028\u3000é"), max_size=90), max_size=6))
def test_texts_taken_together_are_counted_one_by_one(texts: list[str]) -> None:
    for text, (count, share) in zip(texts, repetitions(texts), strict=True):
        words = text.split()
        assert count == len(words)
        if len(words) >= 8 and len("".join(words)) <= 15 * len(words):
            grams = [tuple(words[place : place + 4]) for place in range(len(words) - 3)]
            assert share == pytest.approx(1 - len(set(grams)) / len(grams))


def test_more_copies_repeat_more() -> None:
    line = "first we take three of the five apples and then we count them once more "
    shares = [repeated(line * copies) for copies in (1, 2, 4, 8)]
    assert shares[0] == 0
    assert shares == sorted(set(shares))


# -- loops ------------------------------------------------------------------------------------------------------------


def longest_loop(text: str) -> int:
    """By trying every period of every end: the definition, and nothing clever."""
    best = 0
    for length in range(36, len(text) + 1):
        end = text[-length:]
        if any(end[period:] == end[:-period] for period in range(1, length // 3 + 1)):
            best = length
    return best


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("so " * 12 + "so", 1.0),
        ("x" * 36 + "abc" * 12, 0.5),  # 36 of 72 characters
        ("start\n" + "wait, let me check. " * 5 + "wait, l", 107 / 113),  # the last unit is cut
        ("wait, let me check. " * 2, 0.0),  # said twice is no loop
        ("=" * 35, 0.0),  # too short to be one
        ("the loop the loop the loop the loop the loop, and out again", 0.0),
        ("", 0.0),
    ],
)
def test_a_loop_at_the_end(text: str, share: float) -> None:
    assert looping_tail(text) == pytest.approx(share)


@given(st.text("ab", max_size=20), st.text("ab ", min_size=1, max_size=12), st.integers(1, 12), st.integers(0, 11))
def test_the_longest_loop_is_found(start: str, unit: str, copies: int, cut: int) -> None:
    text = (start + unit * copies + unit[:cut]).rstrip()
    assert round(looping_tail(text) * len(text)) == longest_loop(text)


@given(st.lists(st.sampled_from(["a", "ab", "aab", "a" * 13, "b" * 40, "ab" * 20]), max_size=8))
def test_loops_in_loops_are_found(pieces: list[str]) -> None:
    text = "".join(pieces) * 3
    assert round(looping_tail(text) * len(text)) == longest_loop(text)


def test_a_loop_longer_than_what_is_searched_is_measured_whole() -> None:
    assert looping_tail("start " + "and again " * 10_000) == pytest.approx(100_000 / 100_005, abs=1e-4)


# -- work and the answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("7+5=12", 5),  # three numbers, two signs
        ("12*7 = 84", 5),
        ("it costs $1,250.50 in all", 1),
        (r"\frac{3}{4} \times 8 = 6", 6),  # 3, 4, 8, 6 and two commands are six, = is the seventh
        ("12 × 7 ＝ 84", 5),
        ("每班30人，两班共30×2=60人", 6),
        ("therefore it is even", 0),
        ("well-known, a minus sign counts with neither: 9 - 4", 2),
    ],
)
def test_work_is_numbers_and_signs(text: str, count: int) -> None:
    assert work(text) == count + (text.count("frac") > 0)


def test_work_stands_before_the_last_statement() -> None:
    found = signals(r"7*6=42; 4*6+4=28; \boxed{282}", "282")
    assert (found.work_tokens, found.words_before, found.answer_repeats, found.boxed_answers) == (12, 2, 1, 1)


def test_a_bare_answer_shows_no_work() -> None:
    for bare in (r"\boxed{282}", "The answer is 282.", "#### 282", "282", r"The answer is \boxed{282}."):
        found = signals(bare, "282")
        assert (found.work_tokens, found.answer_first) == (0, False), bare
        assert found.words_before <= 1, bare  # "The"


def test_statements_of_the_answer_are_no_work() -> None:
    found = signals(r"The answer is 84. The answer is 84. #### 84" + "\n" + r"\boxed{84}", "84")
    assert (found.work_tokens, found.answer_repeats) == (0, 4)


def test_the_answer_is_given_whole() -> None:
    assert signals(r"\boxed{14}", "4").answer_repeats == 0
    assert signals("The answer is 4 apples.", "4").answer_repeats == 1
    assert signals(r"The answer is $\boxed{4}$.", "4").answer_repeats == 1


def test_work_between_two_statements_is_before_the_last() -> None:
    assert signals("The answer is 4. 2+2=4; The answer is 4.", "4").work_tokens == 5


def test_work_after_the_answer_is_not_before_it() -> None:
    found = signals("The answer is 84, because 12*7=84.", "84")
    assert (found.work_tokens, found.answer_first) == (0, True)


def test_answer_first_needs_the_answer_and_something_after_it() -> None:
    assert not signals("12*7=84. The answer is 84, as 84/7=12.", "84").answer_first  # work stands before
    assert not signals("The answer is 84.", "84").answer_first  # nothing stands after
    assert not signals("The answer is 80? 12*7=84.", "84").answer_first  # another answer
    assert not signals("The answer is 84, because 12*7=84.", None).answer_first
    reasons = "a sum of two odd numbers is even since each leaves a rest of one and these add to two "
    assert not signals(f"{reasons} so the answer is even, {reasons}", "even").answer_first
    assert signals(f"The answer is even, since {reasons}", "even").answer_first


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("no box", 0),
        (r"\boxed{4} is it: \boxed{ 4 }", 1),
        (r"\boxed{4}, or rather \boxed{5}", 2),
        (r"\boxed{1} and \boxed{2}", 1),
        (r"$\boxed{1}$, $\boxed{2}$ or $\boxed{3}$", 1),
        (r"\boxed{\frac{1}{2}} but not \fbox{2}", 2),
        (r"\boxed{\text{a } b", 1),
        (r"Fill in 3\boxed{\phantom{2}}7 = 3\boxed{\ }7 = 3\boxed{?}7, that is \boxed{4}", 1),
        (r"\boxed{}", 0),
    ],
)
def test_different_boxes(text: str, count: int) -> None:
    assert signals(text, None).boxed_answers == count


# -- language ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        r"Let $\alpha = \frac{\sqrt{3}}{2}$, so $x \longrightarrow \infty$ and $\mathbb{R} \ni x \approx 0.866$.",
        "由题意，设 $x$ 为学生人数，则 $2x + 3 = 15$，解得 $x = 6$。答案是 $\\boxed{6}$。",
        "def solve(n: int) -> int:\n\treturn sum(i for i in range(n) if i % 3 == 0)\r\n",
        "Пусть x — число яблок. Тогда 2x = 8, α = 4.",
        "答えは三です。カタカナと漢字 and English.",
        "😀 → ∑ ≤ 3½ “quoted” naïve Größe",
        "Donaudampfschifffahrtsgesellschaftskapitän",
        "https://example.com/a/b_c-d?e=f&g=hhhh",
        "",
    ],
)
def test_languages_formulas_and_code_are_no_garbage(text: str) -> None:
    assert garbage(text) <= 0.01


def test_garbage_is_counted_by_characters() -> None:
    assert garbage("ab\ufffd\x00\x9f\ud800\ue000cd") == pytest.approx(5 / 9)
    # Two Hangul and two Thai letters, of which one script may be the text's own: two of the eight are foreign.
    assert garbage("in 에하 คร") == pytest.approx(2 / 8)
    assert garbage("qwrtpsdfghjk") == 1.0  # twelve consonants
    assert garbage("say qwrtpsdfghj") == 0.0  # eleven
    assert garbage("abe" * 19) == 0.0  # 57 letters without a blank
    assert garbage("abe" * 20) == 1.0


# -- any text ---------------------------------------------------------------------------------------------------------


@given(ANY_TEXT | PIECES.map("".join), st.none() | st.text(max_size=5) | st.just("4"))
def test_signals_are_bounded(text: str, answer: str | None) -> None:
    found = signals(text, answer)
    for share in (found.repetition, found.looping_tail, found.garbage):
        assert 0 <= share <= 1
    assert found.characters == len(text)
    assert 0 <= found.words_before <= found.words <= len(text)
    assert 0 <= found.work_tokens <= work(text)
    assert found == signals(text, answer)
    if not answer:
        assert (found.answer_repeats, found.answer_first) == (0, False)


@given(PIECES.map("".join).filter(lambda text: "\\boxed{" not in text.replace(r"\boxed{4}", "")))
def test_how_lines_are_spaced_does_not_matter(text: str) -> None:
    plain, spaced = signals(text, "4"), signals(text.replace(" ", "  ") + "\n \n", "4")
    assert (plain.repetition, plain.work_tokens, plain.boxed_answers) == (
        spaced.repetition,
        spaced.work_tokens,
        spaced.boxed_answers,
    )
    assert plain.answer_repeats == spaced.answer_repeats


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "ab ", "1", " ", "\n", "\ud800", "\\", "{", r"\boxed{", r"\boxed{4}", "answer ", "answer is ", "\nA:"),
        *("#", "的", "д한ก", "1.", "\x00", "b", "answer" + " " * 50, "a" * 1300 + "b", "a" * 12 + "b"),
    ],
)
def test_any_text_takes_linear_time(unit: str) -> None:
    text = (unit * (10_000_000 // len(unit) + 1))[:10_000_000]
    began = time.perf_counter()
    signals(text, "4")
    signals(text[:-1] + "!", unit)
    assert time.perf_counter() - began < 20  # about 0.3 s on a quiet machine; a quadratic step would take minutes


def test_one_long_word_and_a_long_answer() -> None:
    word = "".join(chr(97 + i * i % 26) for i in range(100_000))
    assert signals(word, word).words == 1


def test_both_ends_of_a_longer_text_are_read() -> None:
    middle = "2+2=4 " * LONGEST
    found = signals(r"\boxed{3}" + middle + r"\boxed{4}", "4")
    assert (found.boxed_answers, found.characters) == (2, len(middle) + 18)


@settings(max_examples=20)
@given(st.integers(0, 40))
def test_a_text_at_the_limit_is_like_any_other(extra: int) -> None:
    shares: list[Any] = [astuple(signals("so " * ((LONGEST + more) // 3), None))[2] for more in (-30, extra)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)
