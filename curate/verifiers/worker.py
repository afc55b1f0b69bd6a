"""The worker process: reads batches of cases from its pipe, answers them one by one, and dies with its parent.

Owns what happens inside a worker: signals, memory limit, the alarm around each case. Must not import the pool, nor
torch or any engine: a worker starts in about a second because it imports one verifier and nothing else.

A worker is a program of its own, not a fork: the parent may hold CUDA contexts and threads that do not survive a fork,
and a user's ``__main__`` must not run twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import pickle
import resource
import signal
import struct
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from curate.errors import VerifierError
from curate.verifiers.protocol import DIED, TIMEOUT, Comparer, Limits, Ruling, Verifier, compare_any

HEADER = struct.Struct(">Q")
"""Each message on the pipes is a length and a pickle: text may hold lone surrogates, which JSON parsers disagree on."""

MAX_REASON = 120
_PR_SET_PDEATHSIG = 1


class Overtime(BaseException):
    """The alarm went off. Not an ``Exception``, so that no ``except Exception`` on the way up mistakes it for one."""


def main(parent: int) -> None:
    """Serve until the pipe ends. ``parent`` is the process to die with."""
    requests, replies = _take_over_the_pipes()
    _outlive_nothing(parent)
    try:
        kind, options, limits, version = _read(requests)
        verifier = _open(kind, options)
        if verifier.version != version:
            raise VerifierError(f"the verifier has changed since this run began: {version} is now {verifier.version}")
        _limit_memory(limits)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must be told why no worker starts
        _write(replies, f"{type(error).__name__}: {error}")
        return
    _write(replies, None)
    work = partial(compare_any, verifier) if isinstance(verifier, Comparer) else verifier.judge
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            for task in _read(requests):
                _write(replies, rule(work, task, limits.timeout))


def rule(work: Callable[[Any], Ruling], task: Any, timeout: int) -> Ruling:
    """The ruling on one task, whatever it does: errors and overtime become unscored rulings.

    Args:
        work: What rules: the comparison of a comparer, or the judge itself.
        task: References and an extracted answer for a comparer, the whole case for a judge.
        timeout: Whole seconds after which the alarm rings.
    """
    began = time.perf_counter()
    answer = task[1] if isinstance(task, tuple) else None
    try:
        signal.alarm(timeout)
        ruling = work(task)
        signal.alarm(0)
        if time.perf_counter() - began >= timeout:  # a bare ``except:`` took the alarm for an answer, or turned it off
            raise Overtime
        if ruling.reward is not None and ruling.reward != ruling.reward:
            ruling = Ruling(None, ruling.answer, "error: the reward is not a number")
    except Overtime:
        ruling = Ruling(None, answer, TIMEOUT)
    except MemoryError:
        ruling = Ruling(None, answer, DIED)
    except Exception as error:  # noqa: BLE001 - the rollout's boundary: recorded in the verdict
        ruling = Ruling(None, answer, f"error: {type(error).__name__}: {error}"[:MAX_REASON])
    finally:
        signal.alarm(0)
    return ruling._replace(seconds=time.perf_counter() - began)


def _take_over_the_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for messages, and send what the verifier prints to stderr."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _outlive_nothing(parent: int) -> None:
    """Ignore Ctrl-C, which the parent handles, ring an alarm as an exception, and die when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _ring)
    if sys.platform == "linux":
        # Ends a worker that is inside a long C call too; elsewhere it ends when it next reads its pipe.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _ring(_number: int, _frame: object) -> None:
    raise Overtime


def _limit_memory(limits: Limits) -> None:
    # Some systems refuse to lower this limit; the workers are then bounded by being replaced from time to time.
    with contextlib.suppress(ValueError, OSError):
        wanted = _mapped() + limits.memory * 2**20
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _mapped() -> int:
    """Bytes of address space in use; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _open(kind: str, options: dict[str, Any]) -> Verifier:
    from curate.verifiers import make

    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    verifier = make(kind, options)
    verifier.load()
    return verifier


def _read(pipe: BinaryIO) -> Any:
    header = pipe.read(HEADER.size)
    if len(header) < HEADER.size:
        raise EOFError
    return pickle.loads(pipe.read(HEADER.unpack(header)[0]))


def _write(pipe: BinaryIO, message: object) -> None:
    pipe.write(frame(message))
    pipe.flush()


def frame(message: object) -> bytes:
    """A message as it travels: its length, then its pickle."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body
