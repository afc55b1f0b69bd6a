"""The harness: what runs in the program's own process, beside it.

Owns the three ways to put a program to the test: as a script with an input, as a function with arguments, under tests
written in Python. Must not hold anything that the program may not read: here it could read it. Imports little, because
each run pays for it.

Under tests, each one that passes is reported together with a proof read at that moment: bytes that are nowhere in this
process before. A program that prints a marker, exits early or fakes the report's format therefore passes nothing. It
does not stop a program that looks for the harness, or for the file with the proofs, in its own process.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

RESULT, TOKENS, BEGAN = 3, 4, 5
"""Files of a run beyond the usual three: its report, the proofs for it, and whether it was confined."""

TOKEN = 8
"""Bytes of one proof. As many as a pipe holds can be given to a run: ``MOST_UNITS``."""

MOST_UNITS = 8_000
UNIT = "__unit__"
"""The name by which a test says which one it is: ``with __unit__(3): assert ...``."""
CANDIDATE = "__candidate__"
"""The name of the function under test."""

_INDEX = 4
_Write = Callable[[int, bytes], int]


def task(job: dict[str, Any], program: str) -> Callable[[], None]:
    """What is to be run in this process.

    Args:
        job: ``kind`` and what it needs: ``stdin`` nothing; ``call`` a ``name`` and ``arguments``; ``tests`` their
            ``source`` and the ``name`` of the function under test, which may be empty.
        program: Source of the program.
    """
    name = "__main__" if job["kind"] == "stdin" else "solution"
    module = ModuleType(name)
    for ours in [known for known in sys.modules if known.partition(".")[0] == "curate"]:
        del sys.modules[ours]
    sys.modules[name] = module
    sys.argv = ["program.py"]

    def run() -> None:
        exec(compile(program, "program.py", "exec"), module.__dict__)

    if job["kind"] == "call":
        return _call(run, module, job["name"], job["arguments"])
    if job["kind"] == "tests":
        return _tests(run, module, job["name"], job["source"])
    return run


def _call(run: Callable[[], None], module: ModuleType, name: str, arguments: list[Any]) -> Callable[[], None]:
    write, dumps = os.write, json.dumps

    def call() -> None:
        run()
        value = _find(module, name)(*arguments)
        _write_all(write, dumps(value, default=lambda other: other.tolist()).encode())

    return call


def _tests(run: Callable[[], None], module: ModuleType, name: str, source: str) -> Callable[[], None]:
    # Taken before the program is loaded: it may put its own in their place.
    known, read, write = dict(vars(builtins)), os.read, os.write

    reported: set[bytes] = set()

    class Unit:
        """One test; what it raises is its failure and nobody else's. It may be come to more than once."""

        def __init__(self, index: int) -> None:
            self._index = index.to_bytes(_INDEX, "big")

        def __enter__(self) -> None:
            pass

        def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
            if error is None:
                if self._index not in reported:
                    reported.add(self._index)
                    write(RESULT, self._index + read(TOKENS, TOKEN))
                return False
            write(RESULT, self._index + bytes(TOKEN))
            return isinstance(error, Exception)

    def check() -> None:
        run()
        names = {**module.__dict__, "__builtins__": known, UNIT: Unit}
        if name:
            names[CANDIDATE] = names[name] = _find(module, name)
        exec(compile(source, "tests.py", "exec"), names)

    return check


def proven(report: bytes, proofs: list[bytes]) -> list[int]:
    """Which tests passed by a report: those with a proof that is the next one, and without a failure.

    Args:
        report: What the run wrote; anything.
        proofs: Those that were given to the run, one for each test.
    """
    passed: set[int] = set()
    failed: set[int] = set()
    left = iter(proofs)
    size = _INDEX + TOKEN
    for start in range(0, len(report) - size + 1, size):
        index, proof = int.from_bytes(report[start : start + _INDEX], "big"), report[start + _INDEX : start + size]
        if proof == bytes(TOKEN):
            failed.add(index)
        elif proof == next(left, None) and index < len(proofs):
            passed.add(index)
        else:
            return []
    return sorted(passed - failed)


def _find(module: ModuleType, name: str) -> Callable[..., Any]:
    """The function of that name, or the method of a class ``Solution``."""
    names = module.__dict__
    if name not in names and "Solution" in names:
        method: Callable[..., Any] = getattr(names["Solution"](), name)
        return method
    if name not in names:
        raise NameError(f"name {name!r} is not defined")
    function: Callable[..., Any] = names[name]
    return function


def _write_all(write: _Write, data: bytes) -> None:
    while data:
        data = data[write(RESULT, data) :]
