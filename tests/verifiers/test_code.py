"""The verifier ``code``: what it reads and what it rules."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import pytest

from curate.errors import VerifierError
from curate.recipe import VerifierSection
from curate.records import Case, Judgement, VerdictKind
from curate.verifiers import connect, judge_all
from curate.verifiers.code import program
from curate.verifiers.sandbox import Allowance, Isolation, choose

QUICK = {"test_timeout": 1, "timeout": 20, "memory": 256, "output": 1}
"""Limits small enough that running into them costs little."""

ADD = "def add(a, b):\n    return a + b"
CHECK_ADD = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0"


@pytest.fixture(scope="module", params=["auto", "user", "limits"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    """Each way to confine programs that this machine allows."""
    try:
        return choose(request.param, Allowance())
    except VerifierError as error:
        if request.param == "auto":
            raise
        pytest.skip(str(error))


def fenced(source: str) -> str:
    return f"Here it is:\n```python\n{source}\n```\nIt works."


def pairs(*inputs_and_outputs: tuple[Any, Any], name: str | None = None) -> str:
    inputs, outputs = zip(*inputs_and_outputs, strict=True)
    return json.dumps({"inputs": inputs, "outputs": outputs, **({"fn_name": name} if name else {})})


def judge(
    source: str, *references: str, metadata: Mapping[str, Any] | None = None, pass_at: float = 1.0, **options: Any
) -> Judgement:
    section = VerifierSection(kind="code", options={**QUICK, **options}, workers=1, pass_at=pass_at)
    (judgement,) = judge_all(section, [Case(references, fenced(source), "", dict(metadata or {}))])
    return judgement


def judge_each(sources: Sequence[str], reference: str, **options: Any) -> list[Judgement]:
    section = VerifierSection(kind="code", options={**QUICK, **options}, workers=1)
    return judge_all(section, [Case((reference,), fenced(source)) for source in sources])


def processes_with(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(mark: str, seconds: float = 10) -> bool:
    give_up = time.monotonic() + seconds
    while processes_with(mark):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


# What is read.


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("```python\na = 1\n```", "a = 1\n"),
        ("first\n```python\na = 1\n```\nbetter\n```py\na = 2\n```\nrun it\n```bash\npython x.py\n```", "a = 2\n"),
        ("```\na = 1\n```\nthen\n```\na = 2\n```", "a = 2\n"),
        ("<think>\n```python\na = 0\n```\n</think>\n```python\na = 1\n```", "a = 1\n"),
        ("```python\na = 1\n```\n</think>\nprint(2)", "print(2)"),
        ("```Python3\na = 1", "a = 1"),
        ("1. so\n  ```python\n  a = 1\n  ```", "  a = 1\n"),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
        ("def f():\n    return 1", "def f():\n    return 1"),
        ("print(42)", "print(42)"),
        ("Yes", None),
        ("42", None),
        ("I would loop over the list.", None),
        ("", None),
    ],
)
def test_the_program_of_a_completion(completion: str, expected: str | None) -> None:
    assert program(completion) == expected


SUM = "print(sum(map(int, input().split())))"


SHAPES: list[tuple[str, list[str], dict[str, Any]]] = [
    (SUM, [pairs(("1 2\n", "3\n"), ("4 5", "9"))], {}),
    (SUM, ['[{"input": "1 2", "output": "3", "testtype": "stdin"}, {"input": "4 5", "output": "9"}]'], {}),
    (SUM, ['{"input": "1 2", "output": "3"}', '{"input": "4 5", "output": "9"}'], {}),
    (SUM, ['{"language": "python", "test_cases": [{"input": "1 2", "output": "3"}]}'], {}),
    ("print(input() + input())", [pairs((["a", "b"], ["ab"]))], {}),
    (ADD, [pairs(([1, 2], 3), ([2, 2], [4]), name="add")], {}),
    ("class Solution:\n    def add(self, a, b):\n        return a + b", [pairs(([1, 2], 3), name="add")], {}),
    (ADD, ['[{"input": "1\\n2", "output": "3", "testtype": "functional"}]'], {"entry_point": "add"}),
    ("def f():\n    return (1, 2), {3: 'x'}", [pairs(([], [[1, 2], {"3": "x"}]), name="f")], {}),
    (ADD, [CHECK_ADD], {"entry_point": "add"}),
    (ADD, [CHECK_ADD + "\ncheck(add)"], {}),
    (ADD, ["assert add(1, 2) == 3", "assert add(2, 2) == 4"], {}),
    (ADD, ['["assert add(1, 2) == 3", "assert add(2, 2) == 4"]'], {}),
    (ADD, ["from solution import add\n\ndef test_small():\n    assert add(1, 2) == 3"], {}),
    (
        ADD,
        [
            "total = 0\nfor i in range(5):\n    total = add(total, i)\n    assert total == i * (i + 1) // 2",
            "assert add(5, 5) == 10",
        ],
        {},
    ),
]


def test_tests_come_in_many_shapes() -> None:
    section = VerifierSection(kind="code", options=QUICK, workers=1)
    right = [Case(tuple(tests), fenced(source), "", metadata) for source, tests, metadata in SHAPES]
    assert [(found.reward, found.answer) for found in judge_all(section, right)] == [
        (1.0, source + "\n") for source, _, _ in SHAPES
    ]
    other = "def add(a, b):\n    return 77\nf = lambda: 77\nprint(77)"
    wrong = [Case(tuple(tests), fenced(other), "", metadata) for _, tests, metadata in SHAPES]
    assert [found.reward for found in judge_all(section, wrong)] == [0.0] * len(SHAPES)


def test_tests_may_stand_in_a_metadata_column() -> None:
    column = {"cases": {"inputs": ["1 2"], "outputs": ["3"]}}
    assert judge(SUM, "a solution", metadata=column, tests="cases").kind == VerdictKind.PASS
    assert judge(SUM, "a solution", metadata={}, tests="cases").reason == "no reference"


UNREADABLE = [
    "42",
    "def check(candidate):\n    assert candidate(1",
    "print('no assertion')",
    '{"inputs": ["1"], "outputs": []}',
    '{"inputs": [], "outputs": []}',
    '[{"input": "1"}]',
    '{"inputs": [1], "outputs": [2], "fn_name": "f"}',
    "[1, 2]",
    "null",
    "[" * 100_000,
]


def test_a_reference_that_is_no_test_is_unscored_and_found_before_any_rollout() -> None:
    async def check() -> list[str | None]:
        pool = connect(VerifierSection(kind="code", options=QUICK, workers=1))
        try:
            return await pool.check_references([*((text,) for text in UNREADABLE), (CHECK_ADD,), (), ("1", CHECK_ADD)])
        finally:
            await pool.close()

    expected = ["reference not parsed"] * len(UNREADABLE)
    assert asyncio.run(check()) == [*expected, None, "no reference", "reference not parsed"]
    section = VerifierSection(kind="code", options=QUICK, workers=1)
    judged = judge_all(section, [Case((text,), fenced(ADD)) for text in UNREADABLE])
    assert [(found.kind, found.reward, found.reason) for found in judged] == [
        (VerdictKind.UNSCORED, None, "reference not parsed")
    ] * len(UNREADABLE)


def test_a_function_that_nobody_names_is_not_guessed() -> None:
    assert judge(ADD, CHECK_ADD).reason == "reference not parsed"


# What is ruled.


def test_no_program_is_a_failure() -> None:
    (found,) = judge_all(
        VerifierSection(kind="code", options=QUICK), [Case((CHECK_ADD + "\ncheck(add)",), "Who knows?")]
    )
    assert (found.kind, found.reward, found.answer, found.reason) == (VerdictKind.FAIL, 0.0, None, "no answer")


def test_the_reward_is_the_share_of_tests_passed() -> None:
    tests = pairs(("1", "1"), ("2", "2"), ("0", "0"), ("4", "4"))
    source = "n = int(input())\nprint(n // bool(n))"
    found = judge(source, tests)
    assert (found.kind, found.reward) == (VerdictKind.FAIL, 0.75)
    assert found.reason.startswith("3 of 4 tests passed, first failure: ZeroDivisionError")
    assert judge(source, tests, pass_at=0.75).kind == VerdictKind.PASS
    assert judge(source, tests, credit="all").reward == 0.0
    half = judge("add = max", "assert add(1, 2) == 3\nassert add(0, 1) == 1")
    assert half.reward == 0.5
    assert half.reason.startswith("1 of 2 tests passed, first failure: a failed assertion")


@pytest.mark.parametrize(
    ("output", "options", "reward"),
    [
        ("1 2\n3\n", {}, 1.0),
        ("1 2 \n3\t\n\n\n", {}, 1.0),
        ("1\n2\n3\n", {}, 0.0),
        ("1\n2\n3\n", {"compare": "tokens"}, 1.0),
        ("1 2\n3.0000001\n", {}, 0.0),
        ("1 2\n3.0000001\n", {"tolerance": 1e-6}, 1.0),
        ("1 2\n3.1\n", {"tolerance": 1e-6}, 0.0),
        ("1 2\nthree\n", {"tolerance": 1e-6}, 0.0),
        ("1 2\n3\n4\n", {"tolerance": 1e-6}, 0.0),
        ("", {"tolerance": 1e-6}, 0.0),
    ],
)
def test_outputs_are_compared_by_what_is_seen_of_them(output: str, options: dict[str, Any], reward: float) -> None:
    assert judge(f"print({output!r}, end='')", pairs(("", "1 2\n3")), **options).reward == reward


def test_values_are_compared_as_values() -> None:
    tests = pairs(([0], True), ([1], 0.5), ([2], [[1]]), ([3], None), name="f")
    assert judge("f = [True, 0.5, [[1]], None].__getitem__", tests).reward == 1.0
    assert judge("f = [1, 0.5000001, [[1, 2]], 0].__getitem__", tests).reward == 0.0
    assert judge("f = [1, 0.5000001, [[1, 2]], 0].__getitem__", tests, tolerance=1e-6).reward == 0.25
    assert judge("f = lambda n: object()", tests).reward == 0.0


def test_what_is_printed_does_not_matter_to_a_function() -> None:
    assert judge("def add(a, b):\n    print(99)\n    return a + b", pairs(([1, 2], 3), name="add")).reward == 1.0


FAULTS = {
    "while True: pass": "timed out",
    "import time\ntime.sleep(1000)": "timed out",
    "x = bytearray(10 * 10**9)": "out of memory",
    "while True: print('y' * 10_000)": "too much output",
    "def f(: pass": "SyntaxError",
    "raise KeyError('x')": "KeyError",
    "f = lambda: f()\nf()": "RecursionError",
    "import sys\nsys.exit(3)": "exit status 3",
    "import os\nos.abort()": "killed by signal 6",
    "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)": "killed by signal 9",
    "print('\ud800')": "UnicodeEncodeError",
    "print('ok')": "",
}


def test_a_program_that_breaks_has_failed_and_the_reason_says_how(isolation: Isolation) -> None:
    judged = judge_each(list(FAULTS), pairs(("", "ok")), isolation=isolation.name)
    reasons = [found.reason.removesuffix(f" (isolation: {isolation})") for found in judged]
    assert reasons == [
        f"0 of 1 tests passed, first failure: {fault}" if fault else "1 of 1 tests passed" for fault in FAULTS.values()
    ]
    assert [found.kind for found in judged] == [VerdictKind.FAIL] * (len(FAULTS) - 1) + [VerdictKind.PASS]


def test_tests_that_passed_before_a_crash_count() -> None:
    source = "import os\ndef f(n):\n    if n == 2: os._exit(0)\n    return n"
    assert judge(source, "assert f(0) == 0\nassert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3").reward == 0.5


def test_time_that_ends_before_the_tests_do_decides_nothing_unless_one_failed() -> None:
    slow = "import time\nn = int(input())\ntime.sleep(0.6 if n else 0)\nprint(n)"
    numbers = [1] * 10
    undecided = judge(slow, pairs(*((str(n), str(n)) for n in numbers)), timeout=3)
    assert (undecided.kind, undecided.reward, undecided.reason) == (VerdictKind.UNSCORED, None, "timeout")
    failed = judge(slow, pairs(("0", "wrong"), *((str(n), str(n)) for n in numbers)), timeout=3)
    assert failed.kind == VerdictKind.FAIL
    assert failed.reward is not None
    assert 0 < failed.reward < 0.6
