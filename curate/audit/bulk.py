"""Rollouts by the million: the signals of every completion, on all cores, in order, in bounded memory.

Owns the worker processes and the frames that travel to them. Must not know where rollouts come from nor what their
signals mean. A worker is a program of its own, as the verifiers' are and for the same reasons: a fork copies threads
and CUDA contexts that do not survive it, and multiprocessing's spawn runs a user's ``__main__`` a second time.
"""

from __future__ import annotations

import contextlib
import os
import queue
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from io import BytesIO
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

import polars as pl

from curate.audit import steps, text
from curate.audit.repetition import repetitions
from curate.errors import CurateError
from curate.records import VerdictKind

BATCH = 1_000
"""Rollouts that travel to a worker at once."""

WAITING = 2
"""Batches under way for each worker: one that it works at, one on the way."""

MAX_ERROR = 200

INPUTS = ("problem_id", "index", "completion", "answer", "verdict", "finish_reason")
"""The columns that a frame of rollouts needs."""

_HEADER = struct.Struct(">Q")
_PROGRAM = "import sys; sys.path[:] = {path!r}; from curate.audit.bulk import serve; serve()"


def audit_rollouts(frames: Iterable[pl.DataFrame], workers: int | None = None) -> Iterator[pl.DataFrame]:
    """Measure rollouts, frame after frame.

    Args:
        frames: Rollouts with the columns of ``INPUTS``; frames of any size, read as they are needed.
        workers: Processes; None is one for each core that this process may use. With 1, or when everything fits one
            batch, the work is done here.

    Yields:
        A frame for each batch of at most ``BATCH`` rollouts, in the order given whatever the number of workers: the
        columns given but the completion, the fields of ``TextSignals``, ``steps_stated``, ``steps_false``,
        ``answer_follows`` and ``first_false`` of the step check, and ``audit_error``. Steps are checked of passes
        only, and null elsewhere: they are the dearest signal, and a failing rollout taught nothing by its steps. An
        error of ours is recorded in ``audit_error``, with every signal null: it says nothing about the rollout.

    Raises:
        CurateError: a worker died, most often killed for memory.
    """
    batches = (batch for frame in frames for batch in frame.select(INPUTS).iter_slices(BATCH))
    first = list(islice(batches, 2))
    workers = workers or _cores()
    if workers == 1 or len(first) < 2:
        yield from map(measure, chain(first, batches))
        return
    pool = _Pool(workers)
    with ThreadPoolExecutor(workers) as threads:
        try:
            under_way: deque[Future[pl.DataFrame]] = deque()
            for batch in chain(first, batches):
                under_way.append(threads.submit(pool.measure, batch))
                if len(under_way) >= WAITING * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            pool.close()


def measure(batch: pl.DataFrame) -> pl.DataFrame:
    """The signals of one batch, computed here; columns as ``audit_rollouts`` says."""
    completions, answers, verdicts = (batch[name].to_list() for name in ("completion", "answer", "verdict"))
    repeated = repetitions([text.read(completion) for completion in completions])
    columns = zip(*map(_row, completions, answers, verdicts, repeated), strict=True)
    measured = [
        pl.Series(name, values, dtype=kind) for (name, kind), values in zip(SIGNALS.items(), columns, strict=True)
    ]
    return batch.drop("completion").with_columns(measured)


# -- one rollout ------------------------------------------------------------------------------------------------------

_TYPES: dict[str, type[pl.DataType]] = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean}
_TEXT = {field.name: _TYPES[str(field.type)] for field in fields(text.TextSignals)}
_STEPS: dict[str, type[pl.DataType]] = {
    "steps_stated": pl.Int64,
    "steps_false": pl.Int64,
    "answer_follows": pl.Boolean,
    "first_false": pl.String,
}
_text_of = attrgetter(*_TEXT)
_steps_of = attrgetter("stated", "false", "follows", "first_false")

SIGNALS = pl.Schema([*_TEXT.items(), *_STEPS.items(), ("audit_error", pl.String)])
"""The columns that measuring adds."""

_UNCHECKED = (None,) * len(_STEPS)
_UNMEASURED = (None,) * len(_TEXT) + _UNCHECKED


def _row(completion: str, answer: str | None, verdict: str, repeated: tuple[int, float]) -> tuple[Any, ...]:
    try:
        checked = _steps_of(steps.check(completion, answer)) if verdict == VerdictKind.PASS else _UNCHECKED
        return (*_text_of(text.signals(completion, answer, repeated)), *checked, None)
    except Exception as error:  # noqa: BLE001 - the rollout's boundary: recorded in its row
        return (*_UNMEASURED, f"{type(error).__name__}: {error}"[:MAX_ERROR])


# -- processes --------------------------------------------------------------------------------------------------------


class _Pool:
    """Worker processes, started as they are needed; ``measure`` is called from one thread for each."""

    def __init__(self, workers: int) -> None:
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._started: list[subprocess.Popen[bytes]] = []
        for _ in range(workers):
            self._free.put(None)

    def measure(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The signals of a batch, computed by whichever worker is free."""
        process = self._free.get() or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _write(process.stdin, batch)
            measured = _read(process.stdout)
        except (EOFError, OSError) as error:
            raise CurateError(
                f"a worker of the audit died, status {process.wait()}", hint="give it fewer workers, or more memory"
            ) from error
        self._free.put(process)
        return measured

    def _start(self) -> subprocess.Popen[bytes]:
        program = _PROGRAM.format(path=[entry or str(Path.cwd()) for entry in sys.path])
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for process in self._started:
            process.kill()
            process.wait()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve() -> None:
    """What a worker does: measure what comes on stdin until it ends, which it does when the parent dies."""
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not speak into the replies
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _write(replies, measure(_read(requests)))


def _write(pipe: IO[bytes], frame: pl.DataFrame) -> None:
    body = BytesIO()
    frame.write_ipc_stream(body)
    pipe.write(_HEADER.pack(body.tell()))
    pipe.write(body.getbuffer())
    pipe.flush()


def _read(pipe: IO[bytes]) -> pl.DataFrame:
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    size = _HEADER.unpack(header)[0]
    body = pipe.read(size)
    if len(body) < size:
        raise EOFError
    return pl.read_ipc_stream(BytesIO(body))
