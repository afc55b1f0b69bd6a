"""The demo's problems: worked by hand, recomputed with plain integers, and the file that ships."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.resources import files
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.demo.families import COUNTS, FAMILIES, draw, problem_set, read


def shipped() -> list[dict[str, str]]:
    text = files("curate.demo").joinpath("problems.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def recomputed(question: str) -> str:
    """The answer from nothing but the numbers in the question."""
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    if "last digit" in question:
        return str(sum(numbers) % 10)
    if "larger" in question:
        a, b, c, d = numbers
        return "AB"[a * b < c * d]
    if "digit sum" in question:
        a, b = numbers
        return ("even", "odd")[sum(int(digit) for digit in str(a * b)) % 2]
    a, b = numbers
    return str(a + b if "+" in question else a * b)


@pytest.mark.parametrize(
    ("question", "family", "worked"),
    [
        ("What is 2+9?", "add-1", r"2+9=11; \boxed{11}"),
        ("What is 18+42?", "add-2", r"8+2=10; 1+4+1=6; \boxed{60}"),
        ("What is 905+195?", "add-3", r"5+5=10; 0+9+1=10; 9+1+1=11; \boxed{1100}"),
        ("What is 0*7?", "mul-1", r"0*7=0; \boxed{0}"),
        ("What is 472*6?", "mul-3", r"2*6=12; 7*6+1=43; 4*6+4=28; \boxed{2832}"),
        ("Is the digit sum of 2*3 even or odd?", "parity-table", r"2*3=6; \boxed{even}"),
        ("Is the digit sum of 47*83 even or odd?", "parity-product", r"47*83=3901; 3+9+0+1=13; \boxed{odd}"),
        ("Which is larger, A=47*83 or B=62*63?", "larger", r"47*83=3901; 62*63=3906; \boxed{B}"),
        (
            "What is the last digit of 47+38+92+15+61+77?",
            "last-digit-sum",
            r"47+38+92=177; 15+61+77=153; 177+153=330; \boxed{0}",
        ),
    ],
)
def test_a_question_is_worked_as_by_hand(question: str, family: str, worked: str) -> None:
    exercise = read(question)
    assert (exercise.family, exercise.worked) == (family, worked)
    assert exercise.bare == worked.split("; ")[-1]


@pytest.mark.parametrize("question", ["What is 905+95?", "What is 47*83?", "Which is larger?", "What is 1+2? ", ""])
def test_other_questions_are_refused(question: str) -> None:
    with pytest.raises(ValueError, match="no family"):
        read(question)


@given(st.sampled_from(list(FAMILIES)), st.integers())
def test_every_drawn_problem_is_of_its_family_and_every_step_and_answer_true(family: str, seed: int) -> None:
    exercise = draw(family, Random(seed))
    assert exercise.family == family
    assert exercise.answer == recomputed(exercise.question)
    for step in exercise.steps:
        expression, result = step.split("=")
        assert eval(re.sub(r"\b0+(?=\d)", "", expression)) == int(result)
    assert draw(family, Random(seed)) == exercise


def test_the_shipped_file_is_what_the_families_draw() -> None:
    drawn = [{"question": e.question, "answer": e.answer, "family": e.family} for e in problem_set()]
    assert shipped() == drawn


def test_the_shipped_file_has_no_question_twice_and_enough_of_each_family() -> None:
    rows = shipped()
    assert len(rows) >= 400
    assert len({row["question"] for row in rows}) == len(rows)
    assert Counter(row["family"] for row in rows) == COUNTS


def test_every_shipped_reference_is_right() -> None:
    assert [row["question"] for row in shipped() if row["answer"] != recomputed(row["question"])] == []


def test_neither_answer_of_a_guessable_family_is_favoured() -> None:
    for family in ("parity-product", "larger"):
        answers = Counter(row["answer"] for row in shipped() if row["family"] == family)
        assert len(answers) == 2
        assert min(answers.values()) >= 0.4 * answers.total()
