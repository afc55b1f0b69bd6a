"""The sandbox as a worker sees it: one program, run as often as there are tests, and what came of each run.

Owns the warden's process, the choice of isolation by trying, and the difference between a program that fails and a
sandbox that does. Must not know what is tested, nor run a model's code in this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import VerifierError

ISOLATIONS = ("namespaces", "user", "limits")
"""The ways to run a program, the strongest first; ``docs/verifiers.md`` says what each of them keeps in."""

WALL = 3
"""A test may take so many times its processor seconds by the clock, without those that it waits for a processor."""

SECONDS_TO_START = 20.0
SECONDS_TO_END = 10.0

_HERE = Path(__file__).parent
# Stand-ins for the packages, so that importing the warden does not run ours: the sandbox starts with every program.
_PROGRAM = f"""
import sys, types
for name, path in (("curate", {str(_HERE.parent)!r}), ("curate.verifiers", {str(_HERE)!r})):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from curate.verifiers.warden import main
task = main()
if task is not None:
    task()
"""
# As `-I`, but for the hash seed that is set below: whether a program passes must not depend on the order of its sets.
_COMMAND = (sys.executable, "-s", "-P", "-B", "-c", _PROGRAM)

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""All that a program sees of an environment, but for its own folder: nothing of the caller's."""

_PATHS = sorted(
    {
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        sys.base_exec_prefix,
        *map(sysconfig.get_path, ("stdlib", "purelib")),
    }
)
"""Where this interpreter and its packages are."""


class SandboxError(Exception):
    """The sandbox failed, and not the program in it."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What a way to run programs was found to keep in."""

    name: str
    """One of ``ISOLATIONS``."""
    no_network: bool
    no_files: bool
    """Nothing of the caller's files can be read or changed."""

    def __str__(self) -> str:
        """In words, for a person."""
        kept = [text for text, true in (("no network", self.no_network), ("no files", self.no_files)) if true]
        return f"{self.name}: {', '.join(kept) or 'network and files are open'}"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a program may use up."""

    seconds: int = 5
    """Of processor time, for each of its processes in each run."""
    memory: int = 1024
    """MiB of address space for each of its processes."""
    output: int = 16
    """MiB of output, or of any one file."""
    processes: int = 32
    """Processes and threads at once."""


@dataclass(frozen=True, slots=True)
class Run:
    """How one run ended."""

    fault: str
    """What the program did wrong: ``timed out``, ``out of memory``, ``too much output``, an exception's name, ...; else
    empty."""
    cut: bool
    """It was killed when there was no more time, before it had used up its own."""
    output: bytes
    report: bytes
    """The value that a function gave, as JSON."""
    passed: frozenset[int]
    """The tests that passed, where the run was of tests in Python."""


class Cell:
    """The process in which sandboxes are made, one after another; started when first asked. Use from one thread.

    It is kept from one program to the next, because an interpreter takes longer to start than most programs to run.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()

    def ask(self, message: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send a message, and take the answer: a line, and the bytes that it announces.

        Raises:
            SandboxError: there is no answer, or it tells of a failure. The process is gone then, with all in it.
        """
        try:
            return self._ask(message, time.monotonic() + seconds)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the process and all that runs in it. Idempotent; it starts again when asked again."""
        process, self._process = self._process, None
        self._buffer.clear()
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ask(self, message: dict[str, Any], deadline: float) -> tuple[dict[str, Any], bytes]:
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    _COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=_ENVIRONMENT,
                    start_new_session=True,
                    bufsize=0,
                )
            except OSError as error:
                raise SandboxError(f"it does not start: {error}") from None
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise SandboxError("it has no pipes")
        data = memoryview(json.dumps(message).encode() + b"\n")
        try:
            while data:
                data = data[os.write(stdin.fileno(), data) :]
        except OSError:
            raise SandboxError("it ended early") from None
        while (end := self._buffer.find(b"\n")) < 0:
            self._read(stdout.fileno(), deadline)
        said: dict[str, Any] = json.loads(self._buffer[:end])
        del self._buffer[: end + 1]
        if said["broken"] is not None:
            raise SandboxError(said["broken"])
        size = said.get("output", 0) + said.get("report", 0)
        while len(self._buffer) < size:
            self._read(stdout.fileno(), deadline)
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return said, content

    def _read(self, pipe: int, deadline: float) -> None:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise SandboxError("it does not answer")
        data = os.read(pipe, 1 << 20)
        if not data:
            raise SandboxError("it ended early")
        self._buffer += data


class Sandbox:
    """One program in its sandbox; a context manager.

    Args:
        cell: Where it is made; holds one sandbox at a time.
        program: Its source.
        allowance: What it may use up.
        isolation: One of ``ISOLATIONS``.

    Raises:
        SandboxError: on entering: this system does not allow that isolation, or anything else is in the way.
    """

    def __init__(self, cell: Cell, program: str, allowance: Allowance, isolation: str) -> None:
        self._cell = cell
        self._allowance = allowance
        self._setting: dict[str, Any] = {
            "isolation": isolation,
            "program": program,
            "paths": _PATHS,
            "seconds": allowance.seconds,
            "memory": allowance.memory * 2**20,
            "output": allowance.output * 2**20,
            "processes": allowance.processes,
        }
        self.isolation: Isolation

    def __enter__(self) -> Sandbox:
        """Make the sandbox."""
        name = self._setting["isolation"]
        try:
            self._folder = None if name == "namespaces" else tempfile.mkdtemp(prefix="curate-")
        except OSError as error:
            raise SandboxError(f"no folder can be made: {error}") from None
        try:
            said, _ = self._cell.ask({**self._setting, "folder": self._folder}, SECONDS_TO_START)
        except BaseException:
            self._remove_folder()
            raise
        self.isolation = Isolation(name, said["no_network"], said["no_files"])
        return self

    def __exit__(self, *_: object) -> None:
        """Kill whatever is left of the program, and remove its folder."""
        with contextlib.suppress(SandboxError):
            self._cell.ask({"kind": "end"}, SECONDS_TO_END)
        self._remove_folder()

    def run(self, job: dict[str, Any], most: float) -> Run:
        """Run the program once.

        Args:
            job: What ``harness.task`` is to do.
            most: Seconds by the clock after which it is killed, whatever it was allowed.

        Raises:
            SandboxError: it could not be run, or was killed for what other processes used up.
        """
        ended, content = self._cell.ask(
            {**job, "seconds": WALL * self._allowance.seconds, "most": most}, most + SECONDS_TO_END
        )
        if ended["starved"] and ended["code"] == -9:
            raise SandboxError("the machine ran out of memory")
        size = ended["output"]
        return Run(
            self._fault(ended), ended["late"] == "cut", content[:size], content[size:], frozenset(ended["passed"])
        )

    def _fault(self, ended: dict[str, Any]) -> str:
        code = ended["code"]
        if ended["late"] or (code == -9 and ended["used"] >= self._allowance.seconds - 0.5):
            return "timed out"
        if max(ended["output"], ended["report"]) >= self._setting["output"]:
            return "too much output"
        if code == 0:
            return ""
        if code < 0:
            return f"killed by signal {-code}"
        last = ended["errors"].rstrip().rpartition("\n")[2]
        name = last.partition(":")[0].rpartition(".")[2].strip()
        if name == "MemoryError":
            return "out of memory"
        return name[:40] if name.isidentifier() else f"exit status {code}"

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def choose(wanted: str, allowance: Allowance) -> Isolation:
    """The strongest isolation that works here, found by running a program under each.

    Args:
        wanted: One of ``ISOLATIONS``, or ``auto`` for the strongest that works.
        allowance: What the trial may use up.

    Raises:
        VerifierError: not one works, or not the one that is wanted; says why.
    """
    why: list[str] = []
    cell = Cell()
    for name in ISOLATIONS if wanted == "auto" else (wanted,):
        try:
            with Sandbox(cell, _TRIAL, allowance, name) as sandbox:
                ran = sandbox.run({"kind": "stdin", "stdin": "6 7\n"}, SECONDS_TO_START)
                if ran.output == b"42\n" and not ran.fault:
                    return sandbox.isolation
                why.append(f"{name}: {ran.fault or 'a wrong output'}")
        except SandboxError as error:
            why.append(f"{name}: {error}")
        finally:
            cell.end()
    raise VerifierError(
        f"no program can be run in isolation here ({'; '.join(why)})",
        hint="verifier.options.isolation names one way; auto takes the strongest that works",
    )


# Modules from everywhere: the standard library's own, one in C, and one that opens a shared library.
_TRIAL = "import decimal, random, hashlib, ctypes, json\nprint(eval('{}*{}'.format(*input().split())))"
