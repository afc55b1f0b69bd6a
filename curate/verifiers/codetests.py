"""Tests of programs: what a reference asks of a program, and whether an output is what was asked for.

Owns the shapes that tests come in and the comparison of outputs. Must not run any program. It reads references in the
calling process too, and so imports nothing heavy.

The shapes, in a reference or in a metadata column, as JSON where it is text:

    {"inputs": [...], "outputs": [...], "fn_name"?: ...}      TACO, APPS, PRIME
    [{"input": ..., "output": ..., "testtype"?: ...}, ...]    LiveCodeBench, DeepCoder
    {"test_cases": [...]}, {"tests": [...]}                   around either, or around asserts
    ["assert f(1) == 2", ...]                                 MBPP, AceCode
    Python source with asserts, ``check(candidate)``          HumanEval
    or functions ``test_*()``                                 KodCode
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.verifiers.harness import CANDIDATE, MOST_UNITS, UNIT

_CHECK = "check"


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one problem: either ``pairs`` or a ``source``."""

    pairs: tuple[tuple[Any, Any], ...] = ()
    """Inputs and expected outputs: texts for a script; arguments and a value for a function."""
    name: str = ""
    """The function under test; empty where the program is a script, or the tests in Python name it themselves."""
    source: str = ""
    """Tests in Python, in which each unit says its number."""
    units: int = 0
    """Tests in the source."""

    @property
    def size(self) -> int:
        """How many tests there are; at least one."""
        return len(self.pairs) or self.units


def read(given: Sequence[Any], entry_point: str = "") -> Suite | None:
    """The tests that a problem gives, all its references taken together; None where they are none.

    Args:
        given: Text, or what JSON text would hold.
        entry_point: The function under test, where the tests leave it open.
    """
    suites = [_read(one, entry_point) for one in given]
    found = [suite for suite in suites if suite is not None]
    if not found or len(found) < len(suites):
        return None
    if len(found) == 1:
        return found[0]
    if all(suite.pairs for suite in found) and len({suite.name for suite in found}) == 1:
        return Suite(tuple(pair for suite in found for pair in suite.pairs), found[0].name)
    if all(isinstance(one, str) for one in given) and all(suite.source for suite in found):
        return _python("\n".join(given), entry_point)
    return None


def _read(given: Any, entry_point: str) -> Suite | None:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return _python(given, entry_point)
    name = ""
    if isinstance(given, dict):
        for around in ("test_cases", "tests"):
            if isinstance(given.get(around), list):
                name, given = str(given.get("fn_name") or ""), given[around]
                break
        else:
            given = _rows(given)
    if not isinstance(given, list) or not given:
        return None
    if all(isinstance(one, str) for one in given):
        return _python("\n".join(given), entry_point)
    return _pairs(given, name or entry_point, named=bool(name))


def _rows(columns: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Inputs and outputs side by side, as one row for each test."""
    inputs, outputs = columns.get("inputs"), columns.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        return [columns] if {"input", "output"} <= columns.keys() else None
    if len(inputs) != len(outputs):
        return None
    name = {"fn_name": columns["fn_name"]} if columns.get("fn_name") else {}
    return [{"input": one, "output": other, **name} for one, other in zip(inputs, outputs, strict=True)]


def _pairs(rows: list[Any], entry_point: str, *, named: bool) -> Suite | None:
    pairs: list[tuple[Any, Any]] = []
    names: set[str] = set()
    for row in rows:
        if not isinstance(row, dict) or not {"input", "output"} <= row.keys():
            return None
        kind = row.get("testtype") or row.get("type")
        calls = named or bool(row.get("fn_name")) or kind in ("functional", "function_call")
        name = str(row.get("fn_name") or entry_point) if calls else ""
        pair = _call(row["input"], row["output"]) if calls else _texts(row["input"], row["output"])
        if pair is None or (calls and not name.isidentifier()):
            return None
        names.add(name)
        pairs.append(pair)
    return Suite(tuple(pairs), names.pop()) if len(names) == 1 else None


def _texts(given: Any, expected: Any) -> tuple[str, str] | None:
    """An input and an output; a list is one of lines."""
    texts = ["\n".join(map(str, one)) if isinstance(one, list) else one for one in (given, expected)]
    if not all(isinstance(text, str) for text in texts):
        return None
    return texts[0], texts[1]


def _call(given: Any, expected: Any) -> tuple[list[Any], Any] | None:
    """Arguments and a value. Text holds them as JSON: each argument on a line of its own, and the value."""
    try:
        arguments = [json.loads(line) for line in given.splitlines() if line] if isinstance(given, str) else given
    except ValueError:
        return None
    if isinstance(given, str) and isinstance(expected, str):
        try:
            expected = json.loads(expected)
        except ValueError:
            return None
    return (arguments, expected) if isinstance(arguments, list) else None


def _python(source: str, entry_point: str) -> Suite | None:
    """Tests in Python, each numbered; None where it is no Python, tests nothing, or names no function to test."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    numbered = _Numbered()
    tree.body = numbered.statements(tree.body)
    name = ""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if _CHECK in functions and not _calls(tree.body, _CHECK):
        if not entry_point.isidentifier():
            return None
        name = entry_point
        tree.body += ast.parse(f"{_CHECK}({CANDIDATE})").body
    for function in functions.values():
        if function.name == _CHECK:
            function.body = numbered.statements(function.body)
        elif function.name.startswith("test") and not function.args.args and not _calls(tree.body, function.name):
            tree.body.append(numbered.unit(ast.parse(f"{function.name}()").body[0]))
    if not 0 < numbered.count <= MOST_UNITS:
        return None
    return Suite(name=name, source=ast.unparse(ast.fix_missing_locations(tree)), units=numbered.count)


class _Numbered:
    """Gives each statement that asserts something a number, inside which it fails alone."""

    def __init__(self) -> None:
        self.count = 0

    def statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements, with those that assert something wrapped; not those that only define something."""
        return [self.unit(statement) if _asserts(statement) else statement for statement in body]

    def unit(self, statement: ast.stmt) -> ast.stmt:
        """One statement, wrapped."""
        number = self.count
        self.count += 1
        said = ast.Call(ast.Name(UNIT, ast.Load()), [ast.Constant(number)], [])
        return ast.With([ast.withitem(said)], [statement])


def _asserts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return any(isinstance(node, ast.Assert) for node in ast.walk(statement))


def _calls(body: list[ast.stmt], name: str) -> bool:
    """Whether a function is called outside of every definition."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for statement in body
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
    )


def same_text(expected: str, output: str, *, by_tokens: bool, tolerance: float) -> bool:
    """Whether an output is what was expected: line by line, without blanks at their ends and empty lines at the end.

    Args:
        expected: The test's.
        output: The program's.
        by_tokens: How the words are spread over lines and blanks does not matter.
        tolerance: Words that are numbers may differ by so much, absolutely or relative to the larger; 0: by nothing.
    """
    if by_tokens:
        wanted, given = [expected.split()], [output.split()]
    else:
        wanted, given = _lines(expected), _lines(output)
    if wanted == given:
        return True
    if not tolerance or len(wanted) != len(given):
        return False
    return all(
        len(one) == len(other) and all(_close(a, b, tolerance) for a, b in zip(one, other, strict=True))
        for one, other in zip(
            [words if by_tokens else words[0].split() for words in wanted],
            [words if by_tokens else words[0].split() for words in given],
            strict=True,
        )
    )


def same_value(expected: Any, report: bytes, *, tolerance: float) -> bool:
    """Whether the JSON that a function's value became is what was expected.

    A list of one may stand for what it holds: that is how APPS and TACO write values.
    """
    try:
        value = json.loads(report)
    except (ValueError, RecursionError):
        return False
    if _equal(expected, value, tolerance):
        return True
    return isinstance(expected, list) and len(expected) == 1 and _equal(expected[0], value, tolerance)


def _lines(text: str) -> list[list[str]]:
    lines = [[line.rstrip()] for line in text.split("\n")]
    while lines and not lines[-1][0]:
        lines.pop()
    return lines


def _close(one: str, other: str, tolerance: float) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=tolerance, abs_tol=tolerance)
    except ValueError:
        return False


def _equal(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key], tolerance) for key in one)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if tolerance and isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    return bool(one == other)
