"""Where a completion's answer is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.verifiers import extract


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (r"First \boxed{1}. No wait, after thinking about this for much longer it is \boxed{2}.", "2"),
        (r"\boxed{1} and \boxed{2}", "1,2"),
        (r"\boxed{3}, that is \boxed{3}", "3"),
        (r"= \boxed{6/2} = \boxed{3}", "3"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{185\}", "185\\"),
        (r"\fbox{7}", "7"),
        (r"\boxed 7", "7"),
        (r"it is $\boxed{28}$ percent", r"28\%"),
        ("cut off at \\boxed{12", "12"),
        (r"\boxed{}", None),
        (r"\boxed{1}, which is wrong, so \boxed{2}", "2"),
        (r"<think>maybe \boxed{3}</think> The answer is 4.", "4"),
        (r"<think>it is \boxed{3}</think> ", "3"),
        (r"<think>2</think> <answer>x^2+1</answer>", "x^2+1"),
        (r"so <answer>The answer is \boxed{\sqrt{2}}.</answer> Done with 7.", r"\sqrt{2}"),
        (r"<answer>3</answer>, no: <answer>B</answer>", "B"),
        ("<answer></answer>", None),
        ("12 apples and 3 pears.\n#### 15", "15"),
        ("Thus the answer is 5.", "5"),
        (r"The final answer is $\frac{1}{2}$.", r"\frac{1}{2}"),
        ("Therefore, the answers are $3$ and $4$.", "3, 4"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("The answer is no solution.", "no solution"),
        ("The answer is (B).", "(B)"),
        ("Answer:\n\n$$\n12\n$$", "12"),
        ("2 of 8 * 100% is the answer as a percentage: 2 / 8\nA: 25", "25"),
        ("答案：每份应该是 (\\frac{2}{7}) 吨。", r"\frac{2}{7}"),
        ("小明总共有99颗弹珠。", "99"),
        ("Réponse : 41 euros, dont 12 en pièces.", "41"),
        ("It costs $18 and then $5", "5"),
        (r"Therefore, \[ x = \frac{3}{4} \]", r"x = \frac{3}{4}"),
        ("x^2+2x+1", "x^2+2x+1"),
        (r"10\text{ units}", r"10\text{ units}"),
        ("1,000,000", "1,000,000"),
        ("Marta", "Marta"),
        ("I have no idea at all", None),
        ("", None),
        ("   \n", None),
    ],
)
def test_the_answer_of(completion: str, answer: str | None) -> None:
    assert extract.answer(completion) == answer


def test_an_answer_that_is_not_boxed_is_looked_for_at_the_end_only() -> None:
    assert extract.answer("the answer is 5" + " and so on" * extract.TAIL) is None
    assert extract.answer(r"\boxed{5}" + " and so on" * extract.TAIL) == "5"


@given(st.text(max_size=300))
def test_any_text_is_read_without_complaint(text: str) -> None:
    found = extract.answer(text)
    assert found is None or (found == found.strip() and found)


@given(st.text(alphabet=r"\{}[]()$boxed answeris:=12.,% ", max_size=200))
def test_so_is_text_made_of_markup(text: str) -> None:
    found = extract.answer(text)
    assert found is None or (found == found.strip() and found)


@given(st.text(alphabet="abc123+-*/^() ", min_size=1, max_size=40).map(str.strip).filter(bool), st.text(max_size=50))
def test_what_is_boxed_is_found(inside: str, before: str) -> None:
    assert extract.boxed(f"{before.replace(chr(92), '')}\\boxed{{{inside}}}") == inside
