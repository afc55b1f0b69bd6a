"""The verifier ``code``: a program passes when it does what the problem's tests ask, in a sandbox.

Owns the reading of programs and the ruling. Must not run a model's code in this process, nor let an expected output
into the sandbox: only tests written in Python are run beside the program, because they cannot be run elsewhere.

A program that crashes, or uses up what it was allowed, failed. A sandbox that could not run it says nothing about it:
``unscored``.
"""

from __future__ import annotations

import ast
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.errors import RecipeError
from curate.records import Case
from curate.verifiers import codetests, options
from curate.verifiers.codetests import Suite
from curate.verifiers.protocol import NO_ANSWER, NO_REFERENCE, NOT_PARSED, TIMEOUT, Limits, Ruling
from curate.verifiers.sandbox import (
    ISOLATIONS,
    SECONDS_TO_END,
    SECONDS_TO_START,
    WALL,
    Allowance,
    Cell,
    Run,
    Sandbox,
    SandboxError,
    choose,
)

_FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_PYTHON = ("python", "py", "python3")
_LONGEST_BARE = 100_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What a recipe may say under ``verifier.options``."""

    tests: str = ""
    """The metadata column with the tests; empty: they are the references."""
    entry_point: str = "entry_point"
    """The metadata column with the name of the function under test, where the tests do not name it."""
    compare: str = field(default="lines", metadata={"choices": ("lines", "tokens")})
    """Whether an output is compared line by line, or word by word however the words are spread over lines."""
    tolerance: float = field(default=0.0, metadata={"least": 0.0})
    """By how much numbers in outputs may differ, absolutely or relative to the larger."""
    credit: str = field(default="share", metadata={"choices": ("share", "all")})
    """The reward: the ``share`` of tests passed; or 1 for ``all`` and else 0, which stops at the first failure."""
    isolation: str = field(default="auto", metadata={"choices": ("auto", *ISOLATIONS)})
    """How programs are confined; auto: as strongly as the system allows."""
    test_timeout: int = field(default=5, metadata={"least": 1})
    """Whole seconds of processor time for one test, and three times that by the clock; tests in Python share one."""
    timeout: int = field(default=60, metadata={"least": 1})
    """Whole seconds for all tests of one program, by the clock."""
    memory: int = field(default=1024, metadata={"least": 64})
    """MiB of address space for each process of a program."""
    output: int = field(default=16, metadata={"least": 1})
    """MiB that a program may print, or write to one file."""
    processes: int = field(default=32, metadata={"least": 1})
    """Processes and threads of a program at once."""


class Code:
    """Runs programs against tests."""

    def __init__(self, settings: Settings) -> None:
        # Another Python may run the same program differently.
        self.version = f"code 1 (Python {sys.version_info.major}.{sys.version_info.minor})"
        # The tests' own clock must ring before the worker's, which knows nothing of the program.
        self.limits = Limits(settings.timeout + int(SECONDS_TO_START + 2 * SECONDS_TO_END))
        self._settings = settings
        self._allowance = Allowance(settings.test_timeout, settings.memory, settings.output, settings.processes)
        self._cell = Cell()
        self._isolation: str

    def load(self) -> None:
        """Find out how programs can be confined here.

        Raises:
            VerifierError: in no way, or not in the one that is wanted.
        """
        self._isolation = choose(self._settings.isolation, self._allowance).name

    def complaint(self, references: Sequence[str], metadata: Mapping[str, Any]) -> str | None:
        """Why a problem's references are no tests; None where they are, or where the tests are elsewhere."""
        if self._settings.tests:
            return None
        if not references:
            return NO_REFERENCE
        # A name that the tests leave open and the metadata lacks is no fault of theirs: any will do here.
        name = str(metadata.get(self._settings.entry_point) or "candidate")
        return NOT_PARSED if codetests.read(references, name) is None else None

    def judge(self, case: Case) -> Ruling:
        """The share of tests that the completion's program passes."""
        given = [case.metadata.get(self._settings.tests)] if self._settings.tests else list(case.answers)
        if not given or given == [None]:
            return Ruling(None, None, NO_REFERENCE)
        suite = codetests.read(given, str(case.metadata.get(self._settings.entry_point) or ""))
        if suite is None:
            return Ruling(None, None, NOT_PARSED)
        source = program(case.completion)
        if source is None:
            return Ruling(0.0, None, NO_ANSWER)
        try:
            with Sandbox(self._cell, source, self._allowance, self._isolation) as sandbox:
                return self._ruling(suite, source, sandbox)
        except SandboxError as error:
            return Ruling(None, source, f"error: the sandbox failed: {error}")

    def _ruling(self, suite: Suite, source: str, sandbox: Sandbox) -> Ruling:
        deadline = time.monotonic() + self._settings.timeout
        passed, fault = 0, ""
        for job, expected in _jobs(suite):
            left = deadline - time.monotonic()
            run = sandbox.run(job, left) if left > 0 else None
            if run is None or run.cut:  # the time for all tests ended
                if not fault:
                    return Ruling(None, source, TIMEOUT)
                break
            right = len(run.passed) if suite.source else int(not run.fault and self._right(suite, run, expected))
            passed += right
            if right < (suite.units or 1):
                fault = fault or run.fault or ("a failed assertion" if suite.source else "a wrong result")
                if self._settings.credit == "all":
                    break
        share = passed / suite.size if self._settings.credit == "share" else float(passed == suite.size)
        reason = f"{passed} of {suite.size} tests passed" + (f", first failure: {fault}" if fault else "")
        if sandbox.isolation.name != "namespaces":
            reason += f" (isolation: {sandbox.isolation})"
        return Ruling(share, source, reason)

    def _right(self, suite: Suite, run: Run, expected: Any) -> bool:
        tolerance = self._settings.tolerance
        if suite.name:
            return codetests.same_value(expected, run.report, tolerance=tolerance)
        by_tokens = self._settings.compare == "tokens"
        output = run.output.decode("utf-8", "replace")
        return codetests.same_text(expected, output, by_tokens=by_tokens, tolerance=tolerance)


def program(completion: str) -> str | None:
    """The program that a completion gives: its last fenced block of Python, else its last fenced block, else all of it.

    What stands before the end of a thought is not looked at. A block that never ends, ends with the completion. A text
    without blocks is a program where it parses as one and is more than names and values.

    Args:
        completion: Any text.
    """
    said = completion.rpartition("</think>")[2]
    blocks = [(found.group(2).lower(), found.group(3)) for found in _FENCE.finditer(said)]
    python = [code for language, code in blocks if language in _PYTHON]
    if blocks:
        return (python or [code for _, code in blocks])[-1]
    said = said.strip("\n")
    return said if len(said) <= _LONGEST_BARE and _is_code(said) else None


def _is_code(text: str) -> bool:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(one, ast.Expr) or isinstance(one.value, ast.Call) for one in body)


def _jobs(suite: Suite) -> Iterator[tuple[dict[str, Any], Any]]:
    """What the harness is to do, and what should come of it, which stays here."""
    if suite.source:
        yield {"kind": "tests", "name": suite.name, "source": suite.source, "units": suite.units}, None
    for given, expected in suite.pairs:
        if suite.name:
            yield {"kind": "call", "name": suite.name, "arguments": given}, expected
        else:
            yield {"kind": "stdin", "stdin": given}, expected


def connect(given: dict[str, Any]) -> Code:
    """The verifier with these options.

    Raises:
        RecipeError: an option that it does not know or cannot use.
    """
    settings = options.read(Settings, given)
    if settings.timeout < WALL * settings.test_timeout:
        raise RecipeError(
            f"expected at least {WALL * settings.test_timeout}, got {settings.timeout}",
            where="verifier.options.timeout",
            hint=f"one test may take {WALL} times its test_timeout by the clock",
        )
    return Code(settings)
