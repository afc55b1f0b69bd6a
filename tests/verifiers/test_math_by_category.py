r"""Pairs that mathematics decides, by what makes them hard: written down first, then run.

``==`` stands between two that mean the same, ``!=`` between two that do not; the reference is on the left. Where fair
people would disagree (is ``101_2`` the answer ``5``?) the pair is not here.
"""

from __future__ import annotations

import pytest

from curate.verifiers import make
from curate.verifiers.math import Math

CASES = {
    "percent": r"""
25\% == \frac14
25\% == 0.25
\frac{1}{4} == 25\%
0.25 == 25 percent
150\% == 1.5
150\% == \frac{3}{2}
3 == 300\%
100\% == 1
0.5\% == 0.005
0.5\% == \frac{1}{200}
66\frac{2}{3}\% == \frac{2}{3}
-20\% == -0.2
12.5\% == 12.50\%
50\text{ percent} == 50\%
x\% == \frac{x}{100}
40\% != 0.04
40\% != 4
40\% != 41\%
0.4 != 4\%
20\% != -20\%
33\% != \frac13
5\% != 500
\frac{1}{2} != 50
""",
    "mixed numbers": r"""
3\frac{1}{4} == \frac{13}{4}
3\frac14 == 3.25
3 \frac{1}{4} == 13/4
1\tfrac{1}{2} == 1.5
-1\frac{1}{2} == -\frac{3}{2}
\frac{7}{3} == 2\frac{1}{3}
5 3/8 == 5.375
1 1/2 == 3/2
10\frac{10}{11} == \frac{120}{11}
2\frac{1}{2} \text{ hours} == 2.5
2\frac{x}{3} == \frac{2x}{3}
2\frac{\sqrt3}{3} == \frac{2\sqrt{3}}{3}
3\cdot\frac{1}{4} == \frac{3}{4}
3\cdot\frac{1}{4} != 3\frac{1}{4}
-1\frac{1}{2} != -\frac{1}{2}
2\frac{3}{4} != \frac{6}{4}
2\frac{3}{4} != \frac{23}{4}
5 3/8 != 53/8
""",
    "inequalities": r"""
x>3 == 3<x
x \geq -1 == -1 \leq x
x \ge 2 == x \geqslant 2
x≥3 == x\ge 3
x >= 3 == x \ge 3
2<x<5 == 5>x>2
2<x\le5 == 5\ge x>2
a>b>c == c<b<a
0 \le t \le \frac{1}{2} == 0\le t\le 0.5
x<2 \text{ or } x>5 == x>5 \text{ or } x<2
x<2 \text{ or } x>5 == (-\infty,2)\cup(5,\infty)
x\in(3,\infty) == x>3
x \neq 3 == 3 \neq x
-3 < x < 3 == |x|<3
x>3 != x<3
3<x != 3>x
x>3 != x>-3
x>3 != x\ge3
x>3 != 3
2<x\le5 != 2\le x<5
2<x<5 != 2<x
x<2 \text{ or } x>5 != 2<x<5
x<2 \text{ or } x>5 != x<2
x \neq 3 != x = 3
a<b<c != c<b<a
n > 10 != n > 100
""",
    "intervals": r"""
(0,1) == (0, 1.0)
\left[\frac12, 2\right) == [0.5,2)
(-\infty, 3] == (−∞, 3]
(1,2)\cup(3,4) == (3,4)\cup(1,2)
[1,2)\cup[2,3] == [1,3]
[-2,5] == -2\le x\le 5
[0,\infty) == x \ge 0
(-\infty,\infty) == \mathbb{R}
(-\infty,\infty) == x\in\mathbb{R}
\mathbb{R}\setminus\{0\} == (-\infty,0)\cup(0,\infty)
[0,1) != (0,1]
[0,1] != (0,1)
[0,1] != [0,1)
(-\infty,3] != (-\infty,3)
(1,2)\cup(3,4) != (1,2)
(1,2)\cup(3,4) != (1,4)
[-2,5] != -2<x\le5
(0,\infty) != (-\infty,0)
[0,\infty) != x>0
(2,3] != (2,4]
""",
    "sets": r"""
\{1,2,3\} == \{3,1,2\}
\{1,2,3\} == 1, 2, 3
\{-1,1\} == \pm 1
\{2\} == 2
2,3 == 3,2
2,3,5 == 5,3,2
2,3 == 2 \text{ and } 3
2, 3 == x=2, x=3
x=2,x=3 == \{2,3\}
1,-1,i,-i == i,-i,1,-1
\pm 2 == 2,-2
2 \pm \sqrt{3} == 2-\sqrt3, 2+\sqrt3
\pm\frac{1}{2} == \frac{1}{2},-\frac{1}{2}
\{(1,2),(3,4)\} == \{(3,4),(1,2)\}
(1,2),(3,4) == (3,4),(1,2)
\frac{1}{2},\frac{1}{3} == 0.5, 1/3
0, 3, -3 == -3, 0, 3
1, -1, 2, -2 == -2, -1, 1, 2
\emptyset == \{\}
\{1,2,3\} != \{1,2\}
\{1,2\} != \{1,2,3\}
\{1,2\} != \{1,-2\}
2,3 != 2
2 != 2,3
2,3 != 2,3,3.5
x = 2 \text{ or } x = 3 != x=2
\pm 2 != 2
2\pm\sqrt3 != 2+\sqrt3
2\pm\sqrt3 != -2\pm\sqrt3
\{(1,2),(3,4)\} != \{(2,1),(4,3)\}
\{(1,2),(3,4)\} != \{(1,2)\}
\emptyset != \{0\}
\emptyset != 0
\{0\} != \emptyset
\frac{1}{2} != \frac{1}{2}, \frac{1}{3}
10 != 10 \text{ or } 11
a,b != a,c
""",
    "ordered": r"""
(1,2) == (1, 2)
\left(\frac12,3\right) == (0.5,3)
(x,y)=(1,2) == (1,2)
x=1,y=2 == (1,2)
x=1,y=2 == y=2,x=1
a=1,b=2,c=3 == (a,b,c)=(1,2,3)
\langle 1,2 \rangle == \langle 1, 2\rangle
(2,\frac{\pi}{3}) == (2, \pi/3)
(1,2) != (2,1)
(1,2) != (1,2,0)
(1,2,3) != (1,3,2)
(1,2,3) != (1,2)
(3,-4) != (3,4)
(1,2) != x=2, y=1
x=1,y=2 != x=2,y=1
(a,b,c)=(1,2,3) != (3,2,1)
\langle 1,2\rangle != \langle 2,1\rangle
(2,\frac\pi3) != (2,\frac{2\pi}{3})
(1,2) != 1.2
(1,2) != 12
(1,2) != 1
""",
    "units": r"""
10weeks == 10
10weeks != 10 \text{ days}
5\text{ cm} == 5 \mathrm{~cm}
5\text{ cm} == 5cm
5\text{ cm} == 5
5\text{ cm} == 5 \text{ centimeters}
5 == 5\text{ cm}
12 \text{ square inches} == 12\text{ in}^2
10 \text{ mph} == 10 \text{ miles per hour}
3\text{ days} == 3 days
5 \text{ m} == 500 \text{ cm}
2 \text{ hours} == 120 \text{ minutes}
36\pi \text{ cm}^2 == 36\pi
5\text{ cm} != 6\text{ cm}
5\text{ cm} != 5\text{ m}
5\text{ km} != 5 m
2\text{ hours} != 2\text{ minutes}
12 \text{ cm}^2 != 12 \text{ cm}^3
5 \text{ kg} != 5 \text{ g}
36\pi \text{ cm}^2 != 36 \text{ cm}^2
""",
    "money and time": r"""
\$32 == 32 dollars
\$32 == \$32.00
\$5.50 == 5.5
£5 == 5
\$1{,}250.00 == 1250
\$0.50 == 50 \text{ cents}
10:30 == 10:30
\text{10:30 a.m.} == 10:30\text{ a.m.}
\$5.50 != \$5.05
\$5 != 5 \text{ cents}
10:30 != 10:03
10:30\text{ a.m.} != 10:30\text{ p.m.}
3:2 != 2:3
""",
    "thousands": r"""
1,234 == 1234
12,345,678 == 12345678
1{,}234 == 1,234
1{,}234{,}567 == 1234567
10{,}000 == 10000
1\,234 == 1234
1 234 567 == 1234567
1,234.5 == 1234.5
-1,234 == -1234
1,000,000 == 10^6
1,000,000 == 1 \times 10^{6}
2{,}500 \text{ m} == 2500
(1,234) == (1, 234)
1,234 != 1.234
1,234 != (1,234)
(1,234) != 1234
12,34 != 1234
1,2345 != 12345
1,234 != 1,235
1,5 != 15
1,000 != 1
100,000 != 100
12 != 1, 2
""",
    "angles": r"""
\sin(90^{\circ}-x) == \cos x
\sin(90^{\circ}-x) != \sin x
45^\circ == 45
45^\circ == \frac{\pi}{4}
45^\circ == 45 \text{ degrees}
180^\circ == \pi
60° == \frac{\pi}{3}
\sin 60^\circ == \frac{\sqrt3}{2}
\cos(60^\circ) == \frac12
\arctan 1 == \frac{\pi}{4}
\frac{\pi}{6} \text{ radians} == \frac{\pi}{6}
45^\circ != 54^\circ
60^{\circ} != \frac{\pi}{6}
90^\circ != 90\pi
\frac{\pi}{6} != \frac{\pi}{3}
""",
    "Euler's number": r"""
1-\frac1{\mathrm{e}} == 1-e^{-1}
\mathrm{e}^2 == e^2
\exp(2) == e^2
e^{i\pi} == -1
\mathrm{e}^{\mathrm{i}\pi} == -1
e^{\ln 5} == 5
\ln(e^3) == 3
\ln(\mathrm{e}) == 1
\frac{e}{2} == \frac{1}{2}e
1-\frac{1}{\mathrm e} != 1+\frac{1}{e}
\mathrm{e}^{2} != 2e
e^{-1} != e
e != 2.718
2\mathrm{e} != 2
e^x != x^e
""",
    "logarithms": r"""
\log_2 8 == 3
\log_{10} 1000 == 3
\log 100 == 2
\ln 8 == 3\ln 2
\log_2 3 == \frac{\ln 3}{\ln 2}
\ln(ab) != \ln a \cdot \ln b
\ln 8 != \ln 2
\log_2 3 != \log_3 2
""",
    "magnitude": r"""
2^{-99} == \frac{1}{2^{99}}
2^{100} == 1267650600228229401496703205376
3^{50} == 717897987691852588770249
2^{2024} == 4^{1012}
10^{-9} == 0.000000001
6.02\times10^{23} == 602000000000000000000000
6.02e23 == 6.02 \cdot 10^{23}
10^{20000} == 100^{10000}
100! == 100 \cdot 99!
\frac{1}{2^{99}} != \frac{1}{2^{98}}
2^{100} != 1267650600228229401496703205377
10^{100} != 10^{100}+1
10^{20000} != 10^{20000}+1
10^{20}+\sqrt{2} != 10^{20}+\sqrt{3}
10^{40}+\pi != 10^{40}+3
\sqrt{10^{50}+1} != 10^{25}
\pi^{100} != \pi^{100}+1
1-10^{-20} != 1
1+10^{-30} != 1
1+\frac{1}{3^{80}}\pi != 1
10^{-9} != 0
0.0000000012 != 0.0000000013
6.02\times 10^{23} != 6.02\times10^{22}
\frac{2^{2024}-1}{2^{2024}} != 1
1-\frac{1}{2^{100}} != 1-\frac{1}{2^{101}}
\left(\frac{9}{10}\right)^{100} != \left(\frac9{10}\right)^{101}
x+10^{-20} != x
100! != 99!
""",
    "radicals": r"""
\sqrt{8} == 2\sqrt{2}
\sqrt8 == 2\sqrt2
\frac{1}{\sqrt{2}} == \frac{\sqrt{2}}{2}
\sqrt{5+2\sqrt{6}} == \sqrt2+\sqrt3
\sqrt[3]{54} == 3\sqrt[3]{2}
\sqrt[3]{-8} == -2
\frac{\sqrt{6}}{3} == \sqrt{\frac{2}{3}}
\frac{4}{3-\sqrt5} == 3+\sqrt5
5\sqrt{3} + 5\sqrt{2} == 5(\sqrt2+\sqrt3)
\sqrt{x} == x^{1/2}
\sqrt{3} != -\sqrt{3}
\sqrt[3]{2} != \sqrt{2}
3\sqrt{2} != \sqrt{12}
3\sqrt{13} != 3
\frac{4}{3-\sqrt5} != 3-\sqrt{5}
\sqrt{2} != 1.414
\sqrt{a^2} != a
\sqrt{a^2+b^2} != a+b
""",
    "complex": r"""
3+4i == 4i+3
3+4\mathrm{i} == 3+4i
\frac{1}{i} == -i
(1+i)^2 == 2i
i^2 == -1
\frac{1+i}{\sqrt2} == e^{i\pi/4}
\frac{1}{2} + \frac{\sqrt{3}}{2} i == \frac{1+i\sqrt{3}}{2}
-1 \pm 2i == -1+2i, -1-2i
3+4i != 3-4i
3+4i != 4+3i
5i != 5
-1\pm 2i != -1+2i
""",
    "matrices": r"""
\begin{pmatrix}1&2\\3&4\end{pmatrix} == \begin{bmatrix}1&2\\3&4\end{bmatrix}
\begin{pmatrix} 1/2 \\ 3\end{pmatrix} == \begin{pmatrix} 0.5\\ 3\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} != \begin{pmatrix}1&3\\2&4\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} != \begin{pmatrix}1&2\\3&5\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix} != \begin{pmatrix}1\\2\\0\end{pmatrix}
\begin{pmatrix}1&2&3&4\end{pmatrix} != \begin{pmatrix}1&2\\3&4\end{pmatrix}
\begin{pmatrix}\frac{1}{2^{99}}\\1\end{pmatrix} != \begin{pmatrix}\frac{1}{2^{98}}\\1\end{pmatrix}
""",
    "assignments": r"""
x=5 == 5
5 == x=5
x = 5 \text{ cm} == 5
n=7 == $n=7$
a_5 = 11 == 11
AB = 12 == 12
\angle ABC = 60^\circ == 60^\circ
P(A)=\frac13 == \frac13
y=2x+1 == 2x+1
y=2x+1 == y=1+2x
f(x)=x^2-1 == x^2-1
x=5 != x=6
x=5 != 6
y=2x+1 != y=2x-1
y=2x+1 != x=2y+1
f(x)=x^2 != f(x)=x^3
""",
    "equations": r"""
2x+3y=6 == 6=2x+3y
2x+3y=6 == 4x+6y=12
y=\frac{1}{2}x+3 == x-2y+6=0
x^2+y^2=25 == x^2+y^2-25=0
(x-1)^2+(y+2)^2=9 == x^2+y^2-2x+4y-4=0
2x+3y=6 != 2x+3y=7
2x+3y=6 != 2x-3y=6
x^2+y^2=25 != x^2+y^2=5
x^2+y^2=25 != x^2-y^2=25
2x+3y=6 != 2x+3y
""",
    "words and choices": r"""
\text{Monday} == Monday
\text{yes} == Yes
\text{Evelyn} == evelyn
\text{undefined} == undefined
\text{(B)} == B
B == \text{B}
\textbf{(C)} == C
A == (A)
A, C == C, A
\infty == +\infty
\text{Monday} != \text{Tuesday}
\text{yes} != no
\text{odd} != \text{even}
\text{red} != \text{blue}
\text{parallelogram} != \text{rectangle}
\text{True} != \text{False}
\text{Saturday} != 6
(D) != (C)
A, C != A
\infty != -\infty
""",
    "bases": r"""
101_2 == 101_{2}
101_2 == 101
1A_{16} == 1a_{16}
\text{FF}_{16} == FF_{16}
0110_2 == 110_2
101_2 != 101_3
101_2 != 110_2
2012_3 != 2021_3
110_2 != 11_2
""",
    "repeating decimals": r"""
0.\overline{6} == \frac{2}{3}
0.\overline{09} == \frac{1}{11}
0.1\overline{6} == \frac16
0.\overline{142857} == \frac17
0.\overline{9} == 1
1.\overline{3} == \frac43
0.\overline{6} != 0.6
0.1\overline{6} != 0.\overline{16}
3.\overline{142} != \pi
""",
    "counting": r"""
5! == 120
24 == 4!
\frac{10!}{7!} == 720
\binom{10}{3} == 120
\binom{10}{3} == \binom{10}{7}
\dbinom{6}{2} == 15
\binom{n}{2} == \frac{n(n-1)}{2}
n! \cdot (n+1) == (n+1)!
5! != 5
\binom{10}{3} != \binom{10}{4}
\binom{10}{3} != \frac{10}{3}
2^n != n^2
n! != n
""",
    "polynomials": r"""
(x+1)^2 == x^2+2x+1
(x+1)(x-2) == x^2-x-2
(x-2)(x+1) == (x+1)(x-2)
x^3-1 == (x-1)(x^2+x+1)
2(x+3) == 2x+6
a^2-b^2 == (a-b)(a+b)
(a-b)^2 == (b-a)^2
-(a-b) == b-a
\frac{1}{a}+\frac{1}{b} == \frac{a+b}{ab}
xy+yz+zx == zx+xy+yz
x^{-2} == \frac{1}{x^2}
\frac{x}{2}+\frac{x}{3} == \frac{5x}{6}
(2x)^2 == 4x^2
x^{m}x^{n} == x^{m+n}
(x+1)^2 != x^2+1
x^2-x-2 != x^2+x-2
2(x+3) != 2x+3
a-b != b-a
x^2y != xy^2
\frac{a}{b} != \frac{b}{a}
(2x)^2 != 2x^2
x^2 != x^3
5 != 5x
""",
    "functions": r"""
\sin^2 x+\cos^2 x == 1
\tan x == \frac{\sin x}{\cos x}
\sin 2x == 2\sin x\cos x
\cos 2x == 1-2\sin^2 x
\cos(-x) == \cos x
\sec^2 x - \tan^2 x == 1
\sin^{-1} x == \arcsin x
\cot x == \frac{1}{\tan x}
|-5| == 5
|x-1| == |1-x|
\lfloor 3.7 \rfloor == 3
\sum_{k=1}^{10} k == 55
\int_0^1 x\,dx == \frac12
\sin 2x != 2\sin x
\sin(-x) != \sin x
\sin^2 x != \sin x^2
|x| != x
\lfloor x \rfloor != \lceil x \rceil
""",
    "calculus": r"""
x^2+C == C+x^2
\frac{x^3}{3}+C == \frac{1}{3}x^3 + C
x^2+C != x^2
x^2+C != x^3+C
\cos x + C != \sin x + C
""",
    "signs": r"""
-\frac{1}{2} == \frac{-1}{2}
-\frac{1}{2} == \frac{1}{-2}
-(-3) == 3
+3 == 3
5 != -5
-\frac12 != \frac12
2-3 != 3-2
-2^2 != 4
""",
    "rounding": r"""
\frac{1}{8} == 0.125
2.5 == 2.50
0.1 == .1
1.0 == 1
\frac13 != 0.33
\frac13 != 0.333
\frac23 != 0.67
\frac18 != 0.13
\pi != 3.14
\pi != \frac{22}{7}
2.5 != 2.51
3 != 3.0001
12.3456 != 12.3457
0.75 != 3, 4
3/4 != 34
2^5 != 25
""",
    "Unicode": r"""
½ == \frac12
1½ == \frac32
⅝ == \frac58
√2 == \sqrt{2}
2√3 == 2\sqrt3
√(12) == 2√3
2π == 2\pi
x² == x^2
x²−1 == (x-1)(x+1)
10⁻³ == 0.001
x¹⁰ == x^{10}
3×4 == 12
2·3 == 6
6÷2 == 3
−7 == -7
１２３ == 123
５０％ == 50\%
(1，2) == (1,2)
α+β == \beta+\alpha
±2 == \pm 2
x ≤ 3 == x \le 3
√2 != √3
x² != x³
½ != ⅓
−7 != 7
１２３ != 124
""",
    "congruences": r"""
7 \pmod{12} == 7
x \equiv 7 \pmod{12} == 7 \pmod{12}
7 \pmod{12} != 5 \pmod{12}
7 \pmod{12} != 7 \pmod{13}
""",
    "a second list, written after the first passed": r"""
10:30 AM == 10:30\text{ a.m.}
\frac{1}{2} \text{ cup} == 0.5 cups
5 \text{ feet} == 60 \text{ inches}
5 \text{ ft } == 5'
1 \text{ gallon} == 4 \text{ quarts}
60 \text{ mph} != 60 \text{ km/h}
60 \text{ mph} == 60 \text{ miles/hour}
15 \text{ m/s} == 15 m/s
15 \text{ m/s} == 54 \text{ km/h}
2 \text{ years} == 24 \text{ months}
3 \text{ apples} == 3
3 \text{ apples} == 3 apples
\frac{3}{4}\text{ of an hour} == 0.75
7\% \text{ of the total} == 7\%
x=2\text{ cm} == 2 cm
\sqrt{2} \text{ m} != \sqrt{2} \text{ km}
\sqrt{2} \text{ m} == 100\sqrt{2} \text{ cm}
6\text{ square units} == 6
6\text{ square units} == 6 \text{ units}^2
25\text{ dollars} == \$25.00
25 \text{ cents} == \$0.25
25 \text{ cents} == 25
.25 \text{ dollars} == 25 \text{ cents}
(2,3) \cup (5, 7) != (2,3), (5,7)
(2,3) == \left( 2,3 \right)
2x^2 + 3x != 2x^2 - 3x
x_1 = 2, x_2 = 3 == 2, 3
x = 2, 3 == x=3 \text{ or } x=2
y = -\frac{1}{2}x + 3 == y = 3 - \frac{x}{2}
y = -\frac{1}{2}x + 3 == x + 2y = 6
y = -\frac12 x + 3 != y = \frac12 x + 3
r = 3\sin\theta == r=3\sin(\theta)
\frac{x^2}{9}+\frac{y^2}{4}=1 == 4x^2+9y^2=36
\frac{x^2}{9}+\frac{y^2}{4}=1 != \frac{x^2}{4}+\frac{y^2}{9}=1
\frac{n(n+1)(2n+1)}{6} == \frac{2n^3+3n^2+n}{6}
\frac{n(n+1)}{2} != \frac{n(n-1)}{2}
2^{n+1}-2 == 2(2^n-1)
2^{n+1}-2 != 2^{n+1}-1
(-1)^n == (-1)^{n+2}
(-1)^n != (-1)^{n+1}
a^{b^c} != (a^b)^c
\sqrt{x^2+1} != x+1
\ln(x+1) != \ln x + 1
\log_3 27 == 3
\log_{10} x != \ln x
e^{x+y} == e^x e^y
e^{x+y} != e^x+e^y
\frac{1}{1-x} != 1-x
\frac{a+b}{c} == \frac{a}{c}+\frac{b}{c}
\frac{a}{b+c} != \frac{a}{b}+\frac{a}{c}
\arcsin \frac12 == \frac{\pi}{6}
\tan^{-1}(1) == \frac{\pi}{4}
\cos^{-1}(0) == 90^\circ
\sin^{-1} x != \frac{1}{\sin x}
\angle A = 30^\circ == 30
\triangle ABC == \triangle ABC
\vec{v} = \langle 1, 2 \rangle == \langle 1,2 \rangle
\mathbf{i}+2\mathbf{j} == 2\mathbf{j}+\mathbf{i}
\mathbf{i}+2\mathbf{j} != 2\mathbf{i}+\mathbf{j}
\hat{i}+2\hat{j} != 2\hat{i}+\hat{j}
2\hat{i}+3\hat{j} == 3\hat{j}+2\hat{i}
3:4 == 3 : 4
3:4 != 4:3
3:4:5 == 3:4:5
3:4:5 != 3:5:4
1/2 != 2
1/2 == 2/4
\frac{6}{8} == \frac{3}{4}
\frac{-3}{4} == -0.75
(0,0), (1,1) == (1,1), (0,0)
(0,0), (1,1) != (0,0)
(0,0), (1,1) == \{(0,0),(1,1)\}
(0,0) \text{ and } (1,1) == (0,0),(1,1)
(x,y) = (0,0), (1,1) == (0,0),(1,1)
(a,b) = (3,5), (5,3) == (5,3),(3,5)
(a,b) = (3,5), (5,3) != (3,5)
[1,2,3] == [1, 2, 3]
[1,2,3] != [3,2,1]
\text{all real numbers} == \mathbb{R}
\mathbb{R} == (-\infty, \infty)
\mathbb{R} != \mathbb{Z}
\mathbb{Z} != \mathbb{N}
\{x \mid x > 2\} == (2, \infty)
\{x \mid x > 2\} == x > 2
\{x : x>2\} != \{x : x<2\}
\{x \in \mathbb{R} : x > 2\} == x > 2
[2, 5) \cup (7, \infty) == 2 \le x < 5 \text{ or } x > 7
(-\infty,-1] \cup [1,\infty) == x \le -1 \text{ or } x \ge 1
(-\infty,-1] \cup [1,\infty) == |x| \ge 1
(-\infty,-1] \cup [1,\infty) != (-\infty,-1) \cup (1,\infty)
-1 \le x \le 1 == |x| \le 1
-1 \le x \le 1 != |x| < 1
x>2 \text{ and } x<5 == 2<x<5
0 < x < 1 == x \in (0,1)
\max(a,b) == \max(b,a)
\min(a,b) != \max(a,b)
0.1 + 0.2 == 0.3
1.10 == 1.1
1e-7 != 0
1e-7 == 0.0000001
2.0e3 == 2000
5\times 10^3 == 5000
5\times 10^3 != 5\times 10^4
4.5 \times 10^{-5} == 0.000045
4.5 \times 10^{-5} != 4.5\times 10^{-6}
1.23 \times 10^{45} != 1.24\times 10^{45}
1.23 \times 10^{-45} != 1.24\times 10^{-45}
1.23 \times 10^{-45} != 0
0 != 10^{-45}
99999999999999999999 != 99999999999999999998
\frac{10^{30}+1}{10^{30}} != 1
\pi != 3.14159
\pi == 3.14159265
\sqrt{2} == 1.41421356
\sqrt{2}\cdot 10^{-8} != \sqrt{3} \cdot 10^{-8}
\frac{\pi}{10^9} != 0
e^{-50} != 0
\frac{1}{1000000007} != \frac{1}{1000000009}
\frac{1}{1000000007} != 0
2^{31}-1 == 2147483647
2^{64} == 18446744073709551616
20! == 2432902008176640000
20! != 2432902008176640001
\frac{1}{20!} != \frac{1}{21!}
\binom{100}{50} == 100891344545564193334812497256
\binom{100}{50} != 100891344545564193334812497257
F_{100} != F_{99}
a_n = 2n+1 == 2n+1
a_n = 2n+1 != 2n-1
f(x) = 3x == 3x
f(3) = 7 == 7
\text{Yes, } x=3 != \text{No}
\boxed{5} == 5
x = \boxed{5} == 5
5 = x == 5
2 = x == x=2
5. == 5
5! != 5.
+5 == 5
- 5 == -5
--5 != -5
5,  == 5
( 5 ) == 5
[5] == 5
\{5\} == 5
\left\{5\right\} == 5
\displaystyle\frac12 == 1/2
\dfrac{1}{2} == \cfrac{1}{2}
\frac{1}{\frac{1}{2}} == 2
\sqrt{\sqrt{16}} == 2
\sqrt[4]{16} == 2
(-8)^{1/3} == -2
(-8)^{1/3} == 1+i\sqrt{3}
x^{1/3} == \sqrt[3]{x}
|3-5| == 2
|x|^2 == x^2
\lfloor \pi \rfloor == 3
\lceil \pi \rceil == 4
\text{A and B} != \text{A}
\text{A} != \text{B}
C == c
(C) 12 == C
\text{(C) } 12 == 12
A) 5 == A
II and III == II, III
I, II != I, III
\text{I and II} == I, II
\heartsuit != \spadesuit
\text{John} != \text{Joan}
red, blue == blue, red
\text{square} != 4
\text{even} == \text{Even.}
\text{12 apples} == 12
\text{twelve} != 13
\text{none} != 1
\text{one} != \text{two}
(\frac{1}{2}, \frac{\sqrt{3}}{2}) == (0.5, \frac{\sqrt 3}{2})
(\frac{1}{2}, \frac{\sqrt{3}}{2}) != (\frac{\sqrt{3}}{2}, \frac12)
\frac{\sqrt{2}+\sqrt{6}}{4} == \cos 15^\circ
\frac{\sqrt{6}-\sqrt{2}}{4} == \sin 15^\circ
\frac{\sqrt{6}-\sqrt{2}}{4} != \cos 15^\circ
2\cos\frac{\pi}{9} == 2\cos 20^\circ
\tan 75^\circ == 2+\sqrt{3}
\frac{1+\sqrt5}{2} == \frac{2}{\sqrt5-1}
\frac{1+\sqrt5}{2} != \frac{1-\sqrt5}{2}
\frac{1 \pm \sqrt5}{2} == \frac{1+\sqrt5}{2},\frac{1-\sqrt5}{2}
\frac{1 \pm \sqrt5}{2} != \frac{1+\sqrt5}{2}
\frac{1 \pm i\sqrt3}{2} == \frac{1+i\sqrt3}{2},\frac{1-i\sqrt3}{2}
e^{2\pi i/3} == -\frac12+\frac{\sqrt3}{2}i
e^{2\pi i/3} != -\frac12-\frac{\sqrt3}{2}i
i^{2023} == -i
i == -i^3
z = 3+4i == 3+4i
|3+4i| == 5
3:4:5 == 6:8:10
1:2 == 2:4
10:30 != 10:31
1:10 != 2:20
10:30 \text{ AM} != 10:30 PM
(C) 12 != D
(C) 12 != 13
(C) 12 != (D) 12
\textbf{(C)}\ 12 == C
\textbf{(C) }12 == 12
12 == (C) 12
C == (C) 12
C != (B) 12
x>2 \text{ and } x<5 != x<2 \text{ or } x>5
x>2 \text{ or } x<5 != 2<x<5
x<5 \text{ and } x \ge 2 == 2 \le x < 5
2\mathbf{i}+3\mathbf{j} != 2\mathbf{i}+3\mathbf{k}
-2\pm\sqrt{3} == -2-\sqrt3, -2+\sqrt 3
\frac{-1\pm\sqrt{5}}{2} != \frac{1\pm\sqrt5}{2}
\frac{-1\pm\sqrt{5}}{2} == \frac{-1\mp\sqrt5}{2}
0, \pm 1 == -1, 0, 1
\{0, \pm 1\} == \{-1,0,1\}
\{0, \pm 1\} != \{0, 1\}
(\pm 1, 2) == (1,2),(-1,2)
(\pm 1, 2) != (1,2)
x = \pm\sqrt{2} == \sqrt2, -\sqrt2
x=\pm\sqrt2 == x=\sqrt2 \text{ or } x=-\sqrt2
x=\pm\sqrt2 != x=\sqrt2
5 \pm 2 == 3, 7
\pm 2i == 2i, -2i
90^\circ != 1
57^\circ != 1
\vec{v} = (1,2) == (1,2)
P(A \cup B) = \frac12 == 1/2
f(3) = 7 != 3
abc = 12 == 12
2x = 4 != 4
""",
    "polynomials of high degree, and small parts beside variables": r"""
(a+b+c+d+e+f+g+h)^{200} != (a+b+c+d+e+f+g+h)^{200}+1
(x+1)^{50} == (1+x)^{50}
x+10^{-40} != x+10^{-41}
\sin x+10^{-40} != \sin x
\sin x + \cos x == \cos x+\sin x
\frac{x+10^{-40}}{y} != \frac{x}{y}
\sqrt{x}\sqrt{y}+1 == 1+\sqrt{y}\sqrt{x}
""",
    "a third list, all but one of which passed when it was written": r"""
\frac{5}{4} == 1\frac{1}{4}
125\% == \frac{5}{4}
0.125 == 12.5\%
17.5 == 17\frac{1}{2}
17.5 == 35/2
\frac{22}{7} != 3\frac{1}{22}
-\frac{5}{2} == -2\frac12
-\frac{5}{2} != 2\frac12
\left(-\frac{1}{2}, \frac{3}{4}\right) == (-0.5, 0.75)
\left(-\frac{1}{2}, \frac{3}{4}\right) != (0.75, -0.5)
x \le 5 == (-\infty, 5]
x \le 5 != (-\infty, 5)
-5 < x \leq 7 == (-5, 7]
-5 < x \leq 7 != [-5, 7)
[3, \infty) == 3 \le x
x > -\frac{1}{2} == x > -0.5
a \ge b == b \le a
a \ge b != b \ge a
(-3, 0) \cup (0, 3) != (-3, 3)
(-3, 0) \cup (0, 3) == (0,3) \cup (-3,0)
\{-2, 3\} == x = -2 \text{ or } x = 3
\{-2, 3\} != \{2, -3\}
-2, 3 == 3 \text{ and } -2
-2, 3 == x=-2, 3
1, 4, 9, 16 == 16, 9, 4, 1
1, 4, 9, 16 != 1, 4, 9
1, 4, 9, 16 != 1, 4, 9, 15
3, 1, 2 != 1, 3, 2
\sqrt{2}, \sqrt{3} == \sqrt{3}, \sqrt{2}
\frac{3 \pm \sqrt{5}}{2} == \frac{3+\sqrt{5}}{2}, \frac{3-\sqrt{5}}{2}
\frac{3 \pm \sqrt{5}}{2} != \frac{3+\sqrt{5}}{2}
\frac{3 \pm \sqrt{5}}{2} != \frac{-3 \pm \sqrt{5}}{2}
\pm\sqrt{7} == \sqrt{7}, -\sqrt{7}
\pm 4 == 4 \text{ or } -4
12\text{ cm} == 0.12 \text{ m}
12\text{ cm} != 12 \text{ mm}
3.5 \text{ hours} == 210 \text{ minutes}
3.5 \text{ hours} == 3\frac{1}{2}
100 \text{ cm}^2 == 100 \text{ square centimeters}
1000 \text{ cm}^3 == 1 \text{ liter}
45 \text{ mph} == 45
45 \text{ students} == 45
\$12.50 == 12.50 \text{ dollars}
\$12.50 == 12.5
\$1,200 == \$1200.00
€20 != \$20
1{,}000{,}000 == 1000000
1,000,001 != 1000000
2,5 == 5,2
(2,5) != (5,2)
0.5 != 0,6
e^2 - 1 == \mathrm{e}^{2} - 1
e^2-1 != e^{2-1}
\frac{\mathrm{e}-1}{\mathrm{e}} == 1 - \frac{1}{e}
3^{-40} != 3^{-41}
\frac{1}{7^{50}} == 7^{-50}
5^{80} - 1 != 5^{80}
\frac{5^{80}-1}{4} != \frac{5^{80}}{4}
\binom{60}{30} == 118264581564861424
\binom{60}{30} != 118264581564861425
\frac{2}{\sqrt{6}} == \frac{\sqrt{6}}{3}
\frac{2}{\sqrt{6}} != \frac{\sqrt{6}}{2}
\sqrt{7+4\sqrt{3}} == 2+\sqrt3
\sqrt{50} == 5\sqrt2
\sqrt{50} != 2\sqrt5
\sqrt[3]{-27} == -3
\sqrt[3]{16} == 2\sqrt[3]{2}
2-i == -i+2
2-i != i-2
(2+i)(2-i) == 5
\frac{1}{2+i} == \frac{2-i}{5}
\frac{1}{2+i} != \frac{2+i}{5}
\begin{pmatrix} 0 & 1 \\ -1 & 0 \end{pmatrix} == \begin{bmatrix} 0 & 1 \\ -1 & 0 \end{bmatrix}
\begin{pmatrix} 0 & 1 \\ -1 & 0 \end{pmatrix} != \begin{pmatrix} 0 & -1 \\ 1 & 0 \end{pmatrix}
\begin{pmatrix} \sqrt{8} \\ \frac{2}{4} \end{pmatrix} == \begin{pmatrix} 2\sqrt{2} \\ \frac{1}{2} \end{pmatrix}
\text{Friday} == Friday
\text{Friday} != \text{Thursday}
\text{(E)} == E
\text{(E)} != D
1011_2 == 1011_{2}
1011_2 != 1011_{3}
3AF_{16} != 3AE_{16}
0.\overline{27} == \frac{3}{11}
0.\overline{27} != 0.27
0.58\overline{3} == \frac{7}{12}
7! == 5040
\frac{8!}{2!2!} == 10080
\binom{7}{3} == 35
\binom{7}{3} != 21
\log_4 8 == \frac32
\ln\frac{1}{2} == -\ln 2
\log_2 5 != \log_2 6
(x-3)^2+4 == x^2-6x+13
(x-3)^2+4 != x^2-6x+5
\frac{x^2}{2}-\frac{x}{2} == \frac{x(x-1)}{2}
3x^2y-xy^2 == xy(3x-y)
3x^2y-xy^2 != xy(3y-x)
\cos^2 x - \sin^2 x == \cos 2x
\cos^2 x - \sin^2 x != 1
2\sin x \cos x == \sin(2x)
\frac{1}{\cos x} == \sec x
\frac{x^2}{2} + C == \frac{1}{2}x^2 + C
y = 3x - 2 == 3x - y = 2
y = 3x - 2 != y = 3x + 2
y = 3x-2 == y=-2+3x
x^2 + y^2 - 4x = 0 == (x-2)^2+y^2=4
x^2 + y^2 - 4x = 0 != (x-2)^2+y^2=2
p = 7 == 7
p = 7 != -7
\theta = 30^\circ == 30
\theta = \frac{\pi}{6} == 30^\circ
120^\circ == \frac{2\pi}{3}
120^\circ != \frac{\pi}{3}
2:3 != 3:2
2:3 == 4:6
8:15 \text{ p.m.} == 8:15 PM
8:15 \text{ p.m.} != 8:15 \text{ a.m.}
¾ == 0.75
2¾ == \frac{11}{4}
√5+1 == 1+\sqrt{5}
(√5+1)/2 == \frac{1+\sqrt{5}}{2}
x³−x == x(x-1)(x+1)
3·10⁵ == 300000
∞ == \infty
π/4 == \frac{\pi}{4}
θ=π == \pi
|x-2| == |2-x|
|x-2| != x-2
n(n-1) == n^2-n
2^{k+1} == 2\cdot 2^k
2^{k+1} != 2^k+1
\frac{1}{n+1}\binom{2n}{n} == \frac{(2n)!}{n!(n+1)!}
\frac{1}{n+1}\binom{2n}{n} != \binom{2n}{n}
\frac{\pi}{4} + k\pi != \frac{\pi}{4}+2k\pi
0.6667 != \frac{2}{3}
0.667 != \frac{2}{3}
0 != \text{undefined}
-\infty != 0
5 != \infty
5 != 5i
5 != 5\%5
""",
}


def cases() -> list[tuple[str, str, str, float]]:
    found = []
    for category, table in CASES.items():
        for line in table.strip().splitlines():
            left, sign, right = line.partition(" == ")
            if not sign:
                left, sign, right = line.partition(" != ")
            found.append((category, left, right, 1.0 if sign == " == " else 0.0))
    return found


@pytest.fixture(scope="module")
def math() -> Math:
    verifier = make("math", {})
    assert isinstance(verifier, Math)
    verifier.load()
    return verifier


@pytest.mark.parametrize(("category", "reference", "answer", "reward"), cases())
def test_what_mathematics_says(math: Math, category: str, reference: str, answer: str, reward: float) -> None:
    assert math.compare(reference, answer)[0] == reward, category
