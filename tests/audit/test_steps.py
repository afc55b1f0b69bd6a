"""The step check on cases worked by hand, on chains built at random, and on texts made to hold it up."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curate.audit.steps import NOTHING, check

TRUE = [
    # plain
    ("12*7=84", 1),
    ("12 x 7 = 84", 1),
    ("12 × 7 = 84", 1),
    ("84 ÷ 12 = 7", 1),
    ("5 – 3 = 2 and 5 − 3 = 2", 2),
    ("2*6=12; 7*6+1=43; 4*6+4=28; \\boxed{2832}", 3),
    ("(3 + 4) * (2 - 5) = -21", 1),
    ("7 - -7 * 4 = 35", 1),
    ("2^10 = 1024 and 2**3 = 8", 2),
    ("5! = 120", 1),
    ("1,200 * 3 = 3,600.", 1),
    ("84 = 12*7", 1),
    ("[3 + 4] * 2 = 14", 1),
    # chains
    ("12*7 = (10+2)*7 = 70+14 = 84", 3),
    ("12 * 7\n= 84", 1),
    ("12 * 7\n\n  = 84\nand 3 * 4 =\n\n12", 2),
    ("First we add.\n3 + 4\nThen, a line later, = 9 is said.\nx + 4\n= 9", 0),
    ("12 * 7 ＝ 84", 1),
    ("x = 5 * 3 = 15", 1),
    ("3 * 4 = 12 + 5 = 17", 2),  # runs on over the equals sign, as many write
    # fractions, decimals, percentages
    ("6/8 = 3/4 = 0.75", 2),
    ("2 1/2 * 4 = 10", 1),
    ("10/3 = 3.33", 1),
    ("10/3 = 3.3...", 1),
    ("10/3 = 3", 1),
    ("20/3 = 6.66", 1),  # cut, not rounded
    ("2/3 = 0.67. Then 0.67 * 300 = 200", 2),  # worked on with what was rounded
    ("0.1*7 = 0.7000000000000001", 1),
    ("22/7 ≈ 3.14", 1),
    ("98 * 51 ≈ 5000", 1),
    ("3 / 1/4 = 12", 1),
    ("5% of 200 = 10", 1),
    ("20% * 60 = 12", 1),
    ("12/60 * 100 = 20%", 1),
    ("100% - 20% = 80%", 1),
    # money, units, words
    ("$3 x 4 = $12", 1),
    ("She pays 3 * $1.50 = $4.50 each day.", 1),
    ("16 eggs - 3 eggs for breakfast - 4 eggs = 9 eggs", 1),
    ("5 hours/day * 3 days = 15 hours", 1),
    ("12 times 4 = 48", 1),
    ("There are 3 + 4 = 7 apples, so we have: 7 * 2 = 14 of them", 2),
    ("There are 3 + 4 = 7\n= 21/3 apples", 2),
    ("He has 20 - 3*4 = 8 left", 1),
    # annotations of GSM8K
    ("so 3 + 4 = <<3+4=7>>7 eggs", 1),
    ("for 2 * 9 = $<<2*9=18>>18 per day", 1),
    # LaTeX
    (r"\frac{3}{4} \times 8 = 6", 1),
    (r"\[ \frac{11}{8} - \frac{3}{8} = \frac{11 - 3}{8} = \frac{8}{8} = 1 \]", 3),
    (r"$\frac12 + \frac13 = \frac56$", 1),
    (r"\(2\frac{1}{2} \cdot 4 = 10\)", 1),
    (r"\sqrt{50} = 5\sqrt{2}", 1),
    (r"\sqrt{16} + 1 = 5", 1),
    (r"\binom{5}{2} = 10", 1),
    (r"180^\circ - 60^\circ = 120^\circ", 1),
    (r"2\pi \cdot 3 = 6\pi \approx 18.85", 2),
    (r"1{,}200 \cdot 2 = 2{,}400", 1),
    (r"7200 \text{ seconds} \div 60 \text{ seconds/minute} = 120 \text{ minutes}", 1),
    ("\\begin{align*}\n3+4 &= 7 \\\\\n5 \\cdot 7 &= 35\n\\end{align*}", 2),
    (r"\left(\frac{1}{2}\right)^2 = \boxed{\frac{1}{4}}", 1),
    (r"(-12)^2 = 144, so (-12)^2 < 200", 1),
    # labels and bullets
    ("1. 3 + 4 = 7\n2) 5 + 6 = 11\n- 2 * 3 = 6\n* 4 - 1 = 3\nStep 4 - 2 * 5 = 10\n(5) 1 + 1 = 2", 6),
    ("**Total:** 3 * 4 = **12**", 1),
    ("共有 3*4=12 个", 1),
]

FALSE = [
    ("47*83=3911", "47*83 = 3911"),
    ("12 x 7 = 85", "12 * 7 = 85"),
    ("12*7 = 85 = 84 + 1", "12*7 = 85"),
    ("2*6=12; 7*6+1=44; \\boxed{442}", "7*6+1 = 44"),
    ("10/3 = 3.43", "10/3 = 3.43"),
    ("3.1 * 2 = 6.3", "3.1 * 2 = 6.3"),
    ("11/3 = 3", "11/3 = 3"),
    ("2 1/2 * 4 = 11", "(2+1/2) * 4 = 11"),
    ("5% of 200 = 11", "5% * 200 = 11"),
    ("22/7 ≈ 4", "22/7 ≈ 4"),
    ("$3 x 4 = $13", "3 * 4 = 13"),
    ("3 boxes * 4 pens = 13 pens", "3 * 4 = 13"),
    ("Take 2 times 3 + 4 = 7 apples.", "2 * 3 + 4 = 7"),
    ("so 8 / 3 = 2 apples", "8 / 3 = 2"),
    ("27000-54 = <<27000-54=26456>>26456 left", "27000-54 = 26456"),
    (r"\frac{3}{4} \times 8 = 7", "((3)/(4)) * 8 = 7"),
    (r"\sqrt{50} = 5\sqrt{3}", "√(50) = 5√(3)"),
    (r"\binom{5}{2} = 20", "((5)∁(2)) = 20"),
    ("and so 12345678901234567890 + 1 = 12345678901234567890", "12345678901234567890 + 1 = 12345678901234567890"),
    ("- 1 * 50 = 51", "1 * 50 = 51"),
    ("((3 * 4) * (7 - 2)) = ((12) * (6))", "((3 * 4) * (7 - 2)) = ((12) * (6))"),
]

NOT_A_STEP = [
    "",
    "The answer is 5.",
    "x = 5",
    "x + 3 = 7",
    "3x + 5 = 20, so 3x = 15",
    "3x - 3 * 4 = 3",
    "2(x+1) * 3 = 9",
    "4 * 5 = 4y",
    "15 = 5 * n",
    "f(3) = 9, f(3 + 1) = 17 and P(A) = 3/4",
    r"\log_2 8 = 4 and \log_2 (3 + 5) = 4 and \sin 30 + 1 = 7",
    r"\sqrt[3]{8} = 3",
    r"\begin{pmatrix} 3 \\ 1 + 1 \end{pmatrix} = \begin{pmatrix} 4 \\ 5 \end{pmatrix}",
    r"\sum_{k=1}^{3} 2 \cdot 3 = 18",
    "17 mod 5 + 1 = 3",
    "17 % 5 = 2",
    "3 dozen = 36",
    "180 minutes = 3 hours",
    "60 * 3 minutes = 3 hours",
    "3 feet + 6 inches = 42 inches",
    "170 / 60 = 2 hours 50",
    "150 + 350 = 0.5 thousand",
    "17 / 5 = 2 remainder 7",
    "5:30 + 2 = 7:30",
    "1 + 2 + ... + 10 = 55",
    r"1 + 2 + \cdots + 10 = 54",
    "Is 3 * 4 = 13?",
    "3 * 4 != 13, 3 * 4 <= 13, 3 * 4 == 13",
    "x += 3 * 4",
    "5 / 0 = 0",
    "the price - 3 * 4 = 20",
    "3, 5, 7 = 4",
    "12,5 * 2 = 30",
    "$1 / 2 = 50 cents and $2.50 - $2.24 = 26 cents",
    "Eric has 4 + Chad has 6 + Jeff has 6 + 1 = <<4+6+6=16>>16 stars",
    "The remaining 10 = 62,300/10",
    "60 + 20% = 72",
    "6 / 2(1 + 2) = 9 or 1",
    "3 * 4 = 12x",
    r"5 = 17 - 2 \cdot 6k",
    "9^9^9^9 = 1",
    "200! = 1",
]


@pytest.mark.parametrize(("text", "steps"), TRUE)
def test_true_steps_are_found(text: str, steps: int) -> None:
    said = check(text, None)
    assert (said.stated, said.false, said.first_false) == (steps, 0, None)


@pytest.mark.parametrize(("text", "step"), FALSE)
def test_a_false_step_is_found_and_named(text: str, step: str) -> None:
    said = check(text, None)
    assert (said.false, said.first_false) == (1, step)


@pytest.mark.parametrize("text", NOT_A_STEP)
def test_what_cannot_be_worked_out_is_not_called_false(text: str) -> None:
    assert check(text, None).false == 0


@pytest.mark.parametrize("text", ["", "x = 5", "x + 3 = 7", "3 dozen = 36", "180 minutes = 3 hours", "P(A) = p"])
def test_a_definition_is_no_step(text: str) -> None:
    assert check(text, "5") == NOTHING


@pytest.mark.parametrize(
    ("text", "answer", "follows"),
    [
        ("3*4 = 12. The answer is 12", "12", True),
        ("3*4 = 12", "$12", True),
        ("3*4 = 12", "x = 12", True),
        ("7/2 = 3.5, so 4 buses", "4", True),
        ("1/4 = 0.25", "25", True),
        ("6/8 = 3/4", r"\frac{3}{4}", True),
        ("2*6=12; 7*6+1=43; 4*6+4=28; \\boxed{2832}", "2832", True),  # the columns spell it
        ("2*6=12; 7*6+1=43; 4*6+4=28; \\boxed{2842}", "2842", False),
        ("3*4 = 12. \\boxed{700}", "700", False),
        ("3*4 = 12. Then x = 700", "700", None),  # a relation that was not read came last
        ("3*4 = 12, 5*7 = 35 and 6*6 = 36", "35", None),  # one of the results
        ("177+153=330; \\boxed{0}", "0", None),  # its last digit may have been asked for
        ("2*2 = 4, 3*3 = 9, 5*5 = 25: two of them are even", "2", None),  # it may be a count
        ("3*4 = 12", "odd", None),
        ("3*4 = 12", None, None),
        ("nothing is stated", "12", None),
    ],
)
def test_whether_the_answer_follows_from_the_last_step(text: str, answer: str | None, follows: bool | None) -> None:
    assert check(text, answer).follows is follows


numbers = st.integers(0, 999)
SPELLED = {"*": ["*", " * ", " x ", " × ", r" \times ", r" \cdot "], "+": ["+", " + "], "-": ["-", " - ", " − "]}


@st.composite
def chains(draw: st.DrawFn) -> tuple[str, Fraction]:
    """An expression in one of the notations, and its value as exact fractions have it."""
    value = Fraction(draw(numbers))
    text = f"{value}"
    for sign in draw(st.lists(st.sampled_from("+-*/"), min_size=1, max_size=4)):
        operand = draw(st.integers(1, 99))
        if sign == "/":
            fraction = draw(st.booleans())
            text = rf"\frac{{{text}}}{{{operand}}}" if fraction else f"({text}) / {operand}"
            value /= operand
        else:
            text = f"({text}){draw(st.sampled_from(SPELLED[sign]))}{operand}"
            value = {"+": value + operand, "-": value - operand, "*": value * operand}[sign]
    return text, value


def shown(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


@given(chain=chains(), before=st.sampled_from(["", "So we get ", "Step 2: ", "$", r"\[ ", "1. ", "x = "]))
@settings(max_examples=400, deadline=None)
def test_a_chain_worked_right_is_never_false(chain: tuple[str, Fraction], before: str) -> None:
    text, value = chain
    assume(text != shown(value))  # an expression equals itself: nothing is stated
    said = check(f"{before}{text} = {shown(value)}", None)
    assert (said.stated, said.false) == (1, 0)


@given(chain=chains(), off=st.integers(1, 50))
@settings(max_examples=400, deadline=None)
def test_a_chain_whose_result_is_off_is_found(chain: tuple[str, Fraction], off: int) -> None:
    text, value = chain
    wrong = value + off if value.denominator == 1 else value + Fraction(off, value.denominator)
    assume((wrong.denominator == 1) == (value.denominator == 1))  # a whole number may be a rounded one
    assert check(f"{text} = {shown(wrong)}", None).false == 1


@given(st.text(alphabet="0123456789+-*/=().,%$ x\\{}frac^!√\n<>≈", max_size=400), st.text("0123456789./=-", max_size=9))
@settings(max_examples=600, deadline=None)
def test_no_text_breaks_it(text: str, answer: str) -> None:
    said = check(text, answer)
    assert 0 <= said.false <= said.stated
    assert (said.first_false is None) == (said.false == 0)


@pytest.mark.parametrize(
    "text",
    [
        "=" * 100_000,
        "= " * 50_000,
        "1=" * 50_000,
        "1+" * 50_000 + "1=2",
        "1+1=2;" * 16_000,
        "(" * 100_000 + "=1",
        "1=" + "(" * 100_000,
        ("(" * 200 + "1+1" + ")" * 200 + "=2 ") * 240,
        "-" * 99_000 + "1=1",
        "9^" * 50_000 + "9=1",
        "9^9^9^9=1 " * 10_000,
        "99999!=1 (99!)!=2 " * 5_000,
        "1" * 100_000 + "+1=2",
        "1/" * 50_000 + "3=1",
        "\\frac{" * 16_000 + "=1",
        "\\frac{1}{2}" * 9_000 + "=1",
        "\\text{" * 16_000 + "=1",
        "^{" * 50_000 + "=1",
        "<<" * 50_000 + "=1",
        "<<1=" * 25_000,
        "3 eggs " * 14_000 + "* 4 = 12",
        "3 eggs and * " * 8_000 + "= 12",
        "1 a " * 25_000 + "x = 3",
        "½" * 100_000 + "=1",
        ", " * 50_000 + "1+1=2",
        "a " * 50_000 + "1+1=2",
        "2 " * 50_000 + "=1",
    ],
    ids=lambda text: text[:12],
)
def test_the_work_is_linear_in_the_text(text: str) -> None:
    began = time.process_time()
    check(text, text[:40])
    assert time.process_time() - began < 5
