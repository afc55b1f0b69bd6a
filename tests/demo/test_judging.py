"""The judge of visible steps: accepts the work a question asks for, and nothing that differs from it in one digit."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.demo.families import FAMILIES, Exercise, draw
from curate.demo.judging import Work, boxed, judge, statements

exercises = st.builds(lambda family, seed: draw(family, Random(seed)), st.sampled_from(list(FAMILIES)), st.integers())


@given(exercises)
def test_worked_solutions_are_shown_work_and_bare_ones_bare(exercise: Exercise) -> None:
    assert judge(exercise.question, exercise.worked) is Work.SHOWN
    assert judge(exercise.question, exercise.bare) is Work.BARE
    assert boxed(exercise.worked) == exercise.answer
    assert [said.text for said in statements(exercise.worked)] == list(exercise.steps)
    assert all(said.true for said in statements(exercise.worked))


@given(exercises, st.data())
def test_one_digit_changed_anywhere_in_the_work_is_flawed(exercise: Exercise, data: st.DataObject) -> None:
    worked = exercise.worked
    place = data.draw(st.sampled_from([i for i, character in enumerate(worked) if character.isdigit()]))
    digit = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != worked[place]]))
    assert judge(exercise.question, worked[:place] + digit + worked[place + 1 :]) is Work.FLAWED


@given(exercises, st.data())
def test_a_changed_digit_in_a_result_makes_that_statement_false(exercise: Exercise, data: st.DataObject) -> None:
    step = data.draw(st.sampled_from(exercise.steps))
    place = data.draw(st.integers(step.index("=") + 1, len(step) - 1))
    digit = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != step[place]]))
    [said] = statements(step[:place] + digit + step[place + 1 :])
    assert not said.true


@given(exercises, st.data())
def test_a_missing_or_repeated_step_is_flawed(exercise: Exercise, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(exercise.steps) - 1))
    fewer = [*exercise.steps[:at], *exercise.steps[at + 1 :]]
    more = [*exercise.steps[: at + 1], *exercise.steps[at:]]
    assert judge(exercise.question, "; ".join([*fewer, exercise.bare])) is not Work.SHOWN
    assert judge(exercise.question, "; ".join([*more, exercise.bare])) is Work.FLAWED


@given(exercises, st.text("0123456789+*=; \\boxed{}AB", max_size=40))
def test_any_text_gets_a_judgement(exercise: Exercise, text: str) -> None:
    assert judge(exercise.question, exercise.worked + "; " + text + "x") is Work.FLAWED
    assert isinstance(judge(exercise.question, text), Work)


@pytest.mark.parametrize(
    ("completion", "work"),
    [
        (r"2*6=12; 7*6+1=43; 4*6+4=28; \boxed{2832}", Work.SHOWN),
        (r"6*2=12;1+7*6=43;  4*6+4=28;\boxed{2832}", Work.SHOWN),  # spaces and the order of terms are free
        (r"4*6=24; 7*6=42; 2*6=12; \boxed{2832}", Work.FLAWED),  # all true, another method
        (r"7*6+1=43; 2*6=12; 4*6+4=28; \boxed{2832}", Work.FLAWED),  # a carry before it is known
        (r"2*6=12; 7*6+1=43; 4*6+4=28; \boxed{2833}", Work.FLAWED),  # does not follow
        (r"2*6=12; 7*6+1=44; 4*6+4=28; \boxed{2832}", Work.FLAWED),  # a false step, the right answer
        (r"3*6=18; 7*6+1=43; 4*6+4=28; \boxed{2832}", Work.FLAWED),  # true, but of another number
        (r"2*6=12; 7*6+1=43; 4*6+4=28; 1+1=2; \boxed{2832}", Work.FLAWED),
        (r"2*6=12; 7*6+1=43; 4*6+4=28", Work.FLAWED),
        (r"\boxed{1} \boxed{2832}", Work.FLAWED),
        (r"So \boxed{2832}", Work.FLAWED),
        (r" \boxed{2832}", Work.BARE),
        (r"\boxed{7}", Work.BARE),
        ("", Work.FLAWED),
    ],
)
def test_judgements_by_hand(completion: str, work: Work) -> None:
    assert judge("What is 472*6?", completion) is work


def test_a_question_of_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match="no family"):
        judge("What is love?", r"\boxed{1}")


def test_statements_are_evaluated_whatever_the_question_was() -> None:
    said = statements(r"7*8=56; 6 + 7 + 1 = 13; 2*3+4*5=26; \boxed{3}")
    assert [(one.text, one.true) for one in said] == [("7*8=56", True), ("6+7+1=13", False), ("2*3+4*5=26", True)]


def test_the_last_box_counts() -> None:
    assert boxed(r"\boxed{1} no, \boxed{2}") == "2"
    assert boxed("no box") is None
