"""The answer space, on questions written by hand; sizes are counted by the reader."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest
from scipy.stats import beta

from curate.audit.answers import FIRM, LEAN, AnswerKind, answer_space, answer_spaces, key, template
from curate.demo.families import problem_set


@pytest.mark.parametrize(
    ("question", "answer", "kind", "size"),
    [
        ("Is 91 prime?", "No", AnswerKind.YES_NO, 2),
        ("The sky is green.", r"\text{False}", AnswerKind.TRUE_FALSE, 2),
        ("What is the parity of the 40th term?", "even", AnswerKind.PARITY, 2),
        ("Pick one.\n(A) 3\n(B) 4\n(C) 5\n(D) 6", "C", AnswerKind.CHOICE, 4),
        ("Pick one. A. 3  B. 4  C. 5", "(b)", AnswerKind.CHOICE, 3),
        ("Pick one.\nA) three apples\nB) four pears", "four pears", AnswerKind.CHOICE, 2),
        (r"$\textbf{(A)}\ 3 \qquad \textbf{(B)}\ 4 \qquad \textbf{(C)}\ 5$", r"\textbf{(B)}", AnswerKind.CHOICE, 3),
        ("Which is larger, A=47*83 or B=62*63?", "A", AnswerKind.CHOICE, 2),
        ("Who is older, Tom or Jane?", "Jane", AnswerKind.EITHER, 2),
        ("Who is older, Tom or Jane?", "Tom", AnswerKind.EITHER, 2),
        ("Which is larger, 3/7 or 4/9?", "4/9", AnswerKind.EITHER, 2),
        ("Which is the larger of 341 and 352?", "352", AnswerKind.EITHER, 2),
        ("Find the greatest of 12, 35 and 17.", "35", AnswerKind.EITHER, 3),
        ("Is it red, green, blue, or yellow?", "red", AnswerKind.EITHER, 4),
        ("What is the last digit of 7^100?", "1", AnswerKind.DIGIT, 10),
        ("What is the units digit of $3^{20}$?", "$1$", AnswerKind.DIGIT, 10),
        ("Find the 2019th digit after the decimal point of 1/7.", "4", AnswerKind.DIGIT, 10),
        ("What is the remainder when 100 is divided by 7?", "2", AnswerKind.REMAINDER, 7),
        (r"Find $x$ with $x \equiv 5 \pmod{12}$, $0 \le x < 12$.", "5", AnswerKind.REMAINDER, 12),
        ("On which day of the week does 1 May fall?", "Tuesday", AnswerKind.CALENDAR, 7),
    ],
)
def test_a_form_that_leaves_few_answers_is_recognised(question, answer, kind, size):
    found = answer_space(question, (answer,), {})
    assert (found.kind, found.size) == (kind, size)
    assert found.guess_rate == pytest.approx(1 / size)
    assert found.few
    assert found.a + found.b == pytest.approx(LEAN)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 3874+9921?", "13795"),
        ("How many integers are 3 or more and below 7, or 9?", "3"),
        ("How many two-digit numbers have a digit sum of 4?", "4"),
        ("Let A=3 and B=4. What is A+B?", "7"),
        ("What is the remainder when 5^100 is divided by 1000?", "625"),
        ("A train leaves point A. Then B. When does it arrive?", "noon"),
        ("Tom and Jane have 5 apples. How many has Tom?", "2"),
        ("What is 2+2?", ""),
    ],
)
def test_other_questions_are_open(question, answer):
    found = answer_space(question, (answer,), {})
    assert (found.kind, found.size, found.guess_rate) == (AnswerKind.OPEN, None, None)
    assert math.isnan(found.a)
    assert math.isnan(found.b)
    assert not found.few


def test_more_answers_than_a_few_leave_a_rate_and_no_presumption():
    found = answer_space("What is the remainder when 7^9 is divided by 40?", ("7",), {})
    assert (found.kind, found.size, found.few) == (AnswerKind.REMAINDER, 40, False)
    assert found.guess_rate == pytest.approx(1 / 40)


def test_with_nothing_else_known_a_guess_between_two_lies_where_the_module_says():
    found = answer_space("Is 91 prime?", ("no",), {})
    assert beta.interval(0.95, found.a, found.b) == pytest.approx((0.29, 0.71), abs=0.005)


def test_references_that_lean_move_the_guess():
    # 90 others of which 81 are no, and 20 draws at one half: (81 + 10) / 110.
    siblings = {"no": 82, "yes": 9}
    assert answer_space("Is 91 prime?", ("no",), siblings).guess_rate == pytest.approx(91 / 110)
    assert answer_space("Is 7 prime?", ("yes",), siblings).guess_rate == pytest.approx((8 + 10) / (82 + 8 + 20))


def test_what_the_model_says_of_other_problems_counts_most():
    # 20 draws at one half from the form, 40 at 0.9 from 1000 answers.
    found = answer_space("Is 91 prime?", ("no",), {}, {"No.": 900, "yes": 60, "I cannot say": 40})
    assert found.guess_rate == pytest.approx((20 * 0.5 + 40 * 0.9) / 60)
    assert found.a + found.b == pytest.approx(FIRM)
    # A few answers say less: 10 of them count as 10.
    few = answer_space("Is 91 prime?", ("no",), {}, {"no": 10})
    assert (few.a, few.b) == pytest.approx((20, 10))


def test_accepting_both_answers_leaves_nothing_to_guess():
    found = answer_space("Is it 0?", ("yes", "no"), {})
    assert found.guess_rate == pytest.approx(1.0, abs=0.05)
    assert found.b > 0


def test_few_references_among_many_siblings_are_all_there_are():
    questions = [f"Classify {number}." for number in range(30)]
    found = answer_spaces(questions, [(["ham", "eggs", "toast"][number % 3],) for number in range(30)])
    assert {(one.kind, one.size) for one in found} == {(AnswerKind.SPREAD, 3)}
    # 9 others of 29 share the reference, and 20 draws at a third.
    assert found[0].guess_rate == pytest.approx((9 + 20 / 3) / 49)


def test_references_that_differ_are_open_and_common_ones_are_told():
    questions = [f"What is f({number})?" for number in range(100)]
    answers = [("0",)] * 11 + [(str(1000 + number),) for number in range(89)]
    found = answer_spaces(questions, answers)
    assert {one.kind for one in found[11:]} == {AnswerKind.OPEN}
    assert {one.kind for one in found[:11]} == {AnswerKind.COMMON}
    assert found[0].guess_rate == pytest.approx(10 / 99)
    assert not found[0].few  # the question itself left the answer open


def test_a_form_is_not_diluted_by_problems_of_another():
    questions = ["Is 91 prime?", *(f"Compute {word}." for word in "abcdefghijklmnopqrstuvwxyz")]
    found = answer_spaces(questions, [("no",), *((str(number),) for number in range(26))])
    assert found[0].guess_rate == pytest.approx(0.5)


def test_a_models_own_answers_to_a_problem_say_nothing_of_how_it_would_guess():
    questions = [f"Is {number} prime?" for number in range(40)]
    answers = [("yes" if number % 2 else "no",) for number in range(40)]
    said = [Counter({"yes": 8, "no": 2})] * 40
    told = answer_spaces(questions, answers, said)
    changed = answer_spaces(questions, answers, [Counter({"no": 10}), *said[1:]])
    assert told[0] == changed[0]
    assert told[1].guess_rate > 0.6 > 0.4 > told[0].guess_rate


def test_siblings_and_keys():
    assert template("Is  12.5*3 even?") == template("is 7*1,000 even?") != template("Is 7+1 even?")
    assert key(r" \boxed{\text{Even}}. ") == "even"
    assert key("$(C)$") == "c"
    assert key("12.50") == "12.50"


def test_the_demos_guessable_families_and_no_others():
    exercises = problem_set()
    found = answer_spaces([one.question for one in exercises], [(one.answer,) for one in exercises])
    few = {family: [] for family in {one.family for one in exercises}}
    for exercise, space in zip(exercises, found, strict=True):
        few[exercise.family].append(space.few)
    closed = {"parity-table", "parity-product", "larger", "last-digit-sum"}
    assert {family for family, flags in few.items() if all(flags)} == closed
    assert {family for family, flags in few.items() if any(flags)} == closed


def test_few_of_real_word_problems_are_taken_for_guesses(third_party_data):
    lines = (third_party_data / "problems" / "gsm8k_test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    found = answer_spaces([row["question"] for row in rows], [(row["answer"].split("####")[-1],) for row in rows])
    assert sum(space.few for space in found) <= 2
    assert max(space.guess_rate or 0.0 for space in found) < 0.05
