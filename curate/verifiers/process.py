"""One worker process as its parent sees it: start, send, receive with a deadline, kill.

Owns the process handle and the pipes' bytes. Must not know what is being verified, nor asyncio: it is driven by one
thread that may block, so that a busy event loop never makes a worker look late.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from curate.errors import VerifierError
from curate.verifiers.protocol import Limits
from curate.verifiers.worker import HEADER, frame

START_SECONDS = 120.0
"""How long a worker may take to import its verifier on a busy machine."""

# The parent's import path, so that a worker finds what the parent finds however that was arranged.
_PROGRAM = "import sys; sys.path[:] = {path!r}; from curate.verifiers.worker import main; main({parent})"


class Late(Exception):
    """Nothing came before the deadline."""


class Gone(Exception):
    """The process ended."""


class WorkerProcess:
    """A running worker. Use from one thread; ``kill`` from any."""

    def __init__(self, kind: str, options: dict[str, Any], limits: Limits, version: str) -> None:
        program = _PROGRAM.format(path=[entry or str(Path.cwd()) for entry in sys.path], parent=os.getpid())
        # A fixed hash seed: the order of sympy's sets, and so a verdict at the limit of time, must not vary by worker.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise VerifierError("the worker process has no pipes")
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._buffer = bytearray()
        self._hello = (kind, options, limits, version)
        self.served = 0

    def wait_until_ready(self) -> None:
        """Block until the verifier is open in the worker.

        Raises:
            VerifierError: it cannot be opened; says why.
            Gone: the process was killed.
        """
        try:
            self.send(self._hello, START_SECONDS)
            complaint = self.receive(START_SECONDS)
        except Late:
            self.kill()
            raise VerifierError(f"a verifier's worker did not start within {START_SECONDS:.0f} s") from None
        if complaint is not None:
            self.kill()
            raise VerifierError(f"a verifier's worker did not start: {complaint}")

    def send(self, message: object, seconds: float) -> None:
        """Hand a message over.

        Raises:
            Gone: the process has ended.
            Late: it did not take the message in time.
        """
        data = memoryview(frame(message))
        deadline = time.monotonic() + seconds
        while data:
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, deadline)
            except (BrokenPipeError, ValueError, OSError):
                raise Gone from None

    def receive(self, seconds: float) -> Any:
        """The next message.

        Raises:
            Gone: the process ended before a whole message came.
            Late: no whole message came in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            if len(self._buffer) >= HEADER.size:
                end = HEADER.size + HEADER.unpack_from(self._buffer)[0]
                if len(self._buffer) >= end:
                    message = pickle.loads(bytes(self._buffer[HEADER.size : end]))
                    del self._buffer[:end]
                    return message
            self._wait(self._out, select.POLLIN, deadline)
            try:
                data = os.read(self._out, 65536)
            except (ValueError, OSError):
                raise Gone from None
            if not data:
                raise Gone
            self._buffer += data

    def kill(self) -> None:
        """End the process now, and what it started in its session: reward functions start processes. Idempotent."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process, take its exit status and close the pipes. Only from the thread that uses it."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _wait(self, file: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(file, event)
        if poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return
        # This thread may have waited for the interpreter after the deadline: what is there by now counts.
        if not poll.poll(0):
            raise Late
