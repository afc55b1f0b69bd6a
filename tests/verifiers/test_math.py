"""What the verifier ``math`` takes as the same answer, and what it does not."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.verifiers import make
from curate.verifiers.math import Math


def opened(**options: Any) -> Math:
    verifier = make("math", options)
    assert isinstance(verifier, Math)
    verifier.load()
    return verifier


@pytest.fixture(scope="module")
def math() -> Math:
    return opened()


EQUAL = r"""
50\% | 0.5
\frac{1}{4} | 25%
12.5\% | \frac{1}{8}
12.5\% | 12.5
33\frac{1}{3}\% | \frac{1}{3}
8\% | 8
2\frac{1}{2} | \frac{5}{2}
2 1/2 | 2.5
-2\frac{1}{2} | -2.5
3-1/2 | 2.5
x > 3 | 3 < x
x \ge 3 | 3 \le x
3 < x < 5 | 5 > x > 3
x<3 | (-\infty,3)
(-\infty,3) | x<3
[2,5) | 2 \le x < 5
x\in[2,5) | 2 \le x < 5
(-\infty,-2)\cup(3,\infty) | x<-2 \text{ or } x>3
1{,}234 | 1234
1,234 | 1234
1\,234 | 1234
1,234,567.5 | 1234567.5
\$1,234 | 1234
6,\!543 | 6543
5\text{ cm} | 5
5\ \mathrm{cm}^2 | 5
5 | 5 \text{ m/s}
5 | 5 m
36\pi | 36 \pi \text{ cm}^3
2\sqrt{3} | \sqrt{12} units
18 | \$18.00
18 | 18 dollars
90 | 90^{\circ}
90 | 90 degrees
\frac{\pi}{4} | 45^\circ
\tan 45^\circ | 1
x = 5 | 5
2x+3 | y = 3+2x
f(x)=x^2 | x^2
(1,2) | x=1, y=2
(1,2) | (x,y)=(1,2)
1,2 | 2,1
1, 2 | x=1 \text{ or } x=2
\{1,2\} | 2, 1
1 \pm \sqrt{2} | 1+\sqrt{2}, 1-\sqrt{2}
\pm 3 | -3 \text{ and } 3
0.\overline{3} | \frac{1}{3}
0.1\overline{6} | 1/6
\frac{1}{3} | 0.333333
1.5e8 | 150000000
1.5 \cdot 10^{-3} | 0.0015
10^{20} | 100000000000000000000
\frac{\sqrt{3}}{3} | \frac{1}{\sqrt{3}}
1-\frac{1}{\mathrm{e}} | 1-1/e
\pi | 3.141593
\text{Marta} | marta
\text{no solution} | No solution
\text{June 5} | June 5
\text{(A)} | A
(B) | B
212_3 | 212
212_{3} | 212_3
(x-1)(x+1) | x^2-1
\sin^2 x+\cos^2 x | 1
\sin 30^\circ | \frac{1}{2}
x^2+y^2=1 | y^2+x^2=1
y = 2x+1 | 2x - y + 1 = 0
\begin{pmatrix}1\\2\end{pmatrix} | \begin{bmatrix}1\\ 2\end{bmatrix}
3+4i | 4i+3
(2, \pi/2) | \left( 2, \frac{\pi}{2} \right)
\binom{5}{2} | 10
−5 | -5
½ | 0.5
\emptyset | \varnothing
\emptyset | \{\}
7 | 7.
185\ | 185
2k\pi, k\in\mathbb{Z} | 2\pi k
True | true
42 | **42**
42 | $42$.
1/1000000 | 0.000001
"""

DIFFERENT = r"""
1/2^{99} | 1/2^{98}
10^{-20} | 10^{-21}
10^{-20} | 0
2^{1000}+1 | 2^{1000}
10^{30} | 10^{30}+1
e^{-100} | e^{-101}
0.0000001 | 0.0000002
0.00000001 | 0
x/2^{99} | x/2^{98}
1-1/\mathrm{e} | 1+1/\mathrm{e}
1-\frac{1}{\mathrm{e}} | 1+\frac{1}{\mathrm{e}}
\sqrt{11},-\sqrt{7} | \sqrt{11}
\sqrt{11} | \sqrt{11},-\sqrt{7}
1,2,3 | 1,2
1,2 | 1,2,3
x=1 \text{ or } x=2 | x=2
x=1, x=2 | 2
\pm 3 | 3
3 | \pm 3
1 \pm \sqrt{2} | 1+\sqrt{2}
(1,2),(3,4) | (1,2)
(1,2) | (2,1)
(1,2) | [1,2]
[0,1] | \{0,1\}
5\sqrt{7} | 5
5\sqrt{7} | \sqrt{7}
212_3 | 212_4
11_8 | 11_9
x>3 | x<3
x>3 | x \ge 3
3<x<5 | 3 \le x<5
(-\infty,3) | (-\infty,3]
(0,1)\cup(1,2) | (0,2)
50\% | 0.05
0.5 | 0.5\%
5\% | 5.1\%
2\frac{1}{2} | 21/2
\frac{1}{3} | 0.33
\pi | 3.14
\pi | \frac{22}{7}
\text{even} | odd
\text{no solution} | 0
A | B
x=1 | y=1
\sin x | \cos x
3+4i | 3-4i
\begin{pmatrix}1\\2\end{pmatrix} | \begin{pmatrix}2\\1\end{pmatrix}
\begin{pmatrix}1&2\end{pmatrix} | \begin{pmatrix}1\\2\end{pmatrix}
\sqrt{x^2} | x
12,34 | 1234
1.5e8 | 1.5e7
5 | 5x
2 | 2 ab
3t | 3
3h | 3g
\pi r^2 h | \pi r^2
123456789012345678901 | 123456789012345678902
1000000000.1 | 1000000000.2
g(2)<g(1)<g(4) | g(2)<g(4)<g(1)
2n\pi | n\pi
5 | 1/0
0.\overline{3} | 0.3
4, 9, -3 | 9, 4, -3
5.001 | 5
"""


def pairs(table: str) -> list[tuple[str, str]]:
    return [
        (left.strip(), right.strip()) for left, _, right in (line.partition(" |") for line in table.split("\n") if line)
    ]


@pytest.mark.parametrize(("reference", "answer"), pairs(EQUAL))
def test_these_mean_the_same(math: Math, reference: str, answer: str) -> None:
    assert math.compare(reference, answer) == (1.0, "equal")


@pytest.mark.parametrize(("reference", "answer"), pairs(DIFFERENT))
def test_these_do_not(math: Math, reference: str, answer: str) -> None:
    assert math.compare(reference, answer) == (0.0, "different")


@pytest.mark.parametrize("reference", ["", " ", "$$", r"\frac{1}{", r"\boxed{}", "x" * 20_000])
def test_a_reference_without_meaning_is_told_from_a_wrong_answer(math: Math, reference: str) -> None:
    assert math.compare(reference, "5") == (None, "reference not parsed")


def test_a_reference_may_come_boxed_or_in_dollars(math: Math) -> None:
    for reference in (r"\boxed{\frac{3}{4}}", r"$\frac{3}{4}$", r"The answer is \boxed{0.75}."):
        assert math.compare(reference, "3/4") == (1.0, "equal")


def test_a_tolerance_is_off_unless_asked_for() -> None:
    loose = opened(tolerance=0.01)
    assert opened().compare("3", "3.01")[0] == 0.0
    assert loose.compare("3", "3.01")[0] == 1.0  # 0.01 / 3.01 = 0.0033
    assert loose.compare("3", "3.05")[0] == 0.0  # 0.05 / 3.05 = 0.016
    assert loose.compare(r"\pi", "3.14")[0] == 1.0
    assert loose.compare(r"\pi", "3.2")[0] == 0.0
    assert loose.compare("(1,3)", "(1,3.01)")[0] == 1.0


def test_the_order_of_a_bare_list_is_an_option() -> None:
    assert opened(order="any").compare("4, 9, -3", "9, 4, -3")[0] == 1.0
    assert opened(order="exact").compare("1, 2", "2, 1")[0] == 0.0
    assert opened(order="exact").compare("1, 2", "1, 2.0")[0] == 1.0


def test_decimals_agree_to_as_many_places_as_asked_for() -> None:
    assert opened(float_rounding=2).compare(r"\frac{8}{3}", "2.667")[0] == 1.0
    assert opened().compare(r"\frac{8}{3}", "2.667")[0] == 0.0


def test_targets_read_completions_as_math_verify_does() -> None:
    latex = opened(targets=["latex"])
    assert latex.extract("so $x = 4$ and the rest is 7") == "so $x = 4$ and the rest is 7"
    assert latex.compare("$4$", "so $x = 4$ and the rest is 7")[0] == 1.0
    assert opened(targets=["expr"]).compare("7", "so $x = 4$ and the rest is 7")[0] == 1.0
    assert latex.compare("no formula", "4") == (None, "reference not parsed")


numbers = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=999)


@settings(max_examples=60, deadline=None)
@given(numbers)
def test_a_fraction_is_itself_however_it_is_written(math: Math, value: Fraction) -> None:
    top, bottom = value.numerator, value.denominator
    written = [
        f"{top}/{bottom}",
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"x = \dfrac{{{top}}}{{{bottom}}}",
        f"${top}/{bottom}$",
    ]
    for reference in written:
        for answer in written:
            assert math.compare(reference, answer)[0] == 1.0


@settings(max_examples=60, deadline=None)
@given(numbers, numbers)
def test_two_fractions_are_the_same_only_if_they_are(math: Math, left: Fraction, right: Fraction) -> None:
    wrote = [rf"\frac{{{value.numerator}}}{{{value.denominator}}}" for value in (left, right)]
    assert math.compare(*wrote)[0] == float(left == right)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms())
def test_a_sorted_list_is_a_set_and_a_part_of_it_is_not(math: Math, values: list[int], random: Any) -> None:
    reference = ", ".join(map(str, sorted(values)))
    shuffled = random.sample(values, len(values))
    assert math.compare(reference, ", ".join(map(str, shuffled)))[0] == 1.0
    assert math.compare(reference, ", ".join(map(str, shuffled[1:])))[0] == 0.0
