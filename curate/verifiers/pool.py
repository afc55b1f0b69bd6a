"""The pool: cases in, judgements out, over worker processes that may hang or die without costing another case.

Owns the split into batches and the replacement of workers. Must not know any kind of verifier, engines or the ledger.
One thread stands behind each worker and may block on it; callers wait on futures, so one event loop can ask for many
judgements at once and a busy loop never makes a worker look late.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from curate.errors import VerifierError
from curate.records import Case, Comparison, Judgement, VerdictKind
from curate.verifiers.memory import Key, Memory, comparison
from curate.verifiers.process import START_SECONDS, Gone, Late, WorkerProcess
from curate.verifiers.protocol import (
    DIED,
    NO_ANSWER,
    NO_REFERENCE,
    TIMEOUT,
    Comparer,
    ReferenceReader,
    Ruling,
    Verifier,
)

GRACE = 0.75
"""Seconds past the timeout that a worker's own alarm has to end a case, before the worker is killed."""

BATCH = 16
"""Cases sent to a worker at once, at most. Small: a caller waits for whole batches."""

RECYCLE = 20_000
"""Cases after which a worker is replaced: computer algebra caches grow, and this bounds them."""

STARTS = 3
"""Times a worker may die while starting before the pool gives up."""

CHECKED = 16_384
"""Problems whose references are checked at a time: each comparison under way costs about a kilobyte."""


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """One thing for a worker to rule on."""

    payload: Case | Key
    done: Future[Ruling]


class VerifierPool:
    """Judges cases with one verifier in killable worker processes.

    Args:
        verifier: The verifier, opened in this process for its cheap half; each worker opens its own.
        kind: Its kind, and
        options: its options, from which the workers open it.
        pass_at: A reward of at least this passes.
        workers: Most worker processes at once; None: one for each core this process may use. They start as work comes.
    """

    def __init__(
        self, verifier: Verifier, kind: str, options: dict[str, Any], *, pass_at: float, workers: int | None
    ) -> None:
        self.version = verifier.version
        self._limits = verifier.limits
        self._comparer = verifier if isinstance(verifier, Comparer) else None
        self._reader = verifier if isinstance(verifier, ReferenceReader) else None
        self._kind = kind
        self._options = options
        self._pass_at = pass_at
        self._size = workers or _cores()
        self._batches: queue.SimpleQueue[list[_Task] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._processes: set[WorkerProcess] = set()
        self._unfinished = 0
        self._pending: dict[Key, Future[Ruling]] = {}
        self._memory = Memory()
        self._tell: Callable[[Comparison], None] | None = None
        self.compared = 0
        """Pairs or cases that were given to workers."""
        self.reused = 0
        """Rulings asked for that were there already, or under way."""
        self._closed = False

    async def start(self) -> None:
        """Start one worker and wait until its verifier is open; the others start as work arrives. Idempotent.

        Raises:
            VerifierError: the verifier cannot be opened in a worker, or the pool was closed.
        """
        ready: Future[None] = Future()
        with self._lock:
            if self._closed:
                raise _closed()
            if self._threads:
                return
            self._hire(ready)
        await asyncio.wrap_future(ready)

    def remember(self, known: Iterable[Comparison], tell: Callable[[Comparison], None]) -> None:
        """Take up what earlier runs compared, and pass on what this one will. Nothing to a verifier that never caches.

        Only what is certain is passed on: a timeout or an error may end otherwise next time.

        Args:
            known: Comparisons by this very verifier, the oldest first.
            tell: Called from any thread with each new comparison.
        """
        if self._comparer is None:
            return
        with self._lock:
            self._tell = tell
            for one in known:
                self._memory.recall(one)

    async def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """Judge cases; safe to call many times at once.

        Args:
            cases: Any number; equal (references, extracted answer) pairs are compared once.

        Returns:
            One judgement for each case, in their order, when all are there; empty for no cases.

        Raises:
            VerifierError: no worker can be started, or the pool was closed meanwhile.
        """
        if self._closed:
            raise _closed()
        rulings: list[Ruling | Future[Ruling]] = []
        tasks: list[_Task] = []
        try:
            for position, case in enumerate(cases):
                if position % 256 == 255:
                    await asyncio.sleep(0)  # extracting answers is cheap, yet others run on this loop too
                rulings.append(self._rule_or_ask(case, tasks))
        finally:
            self._submit(tasks)  # also when cancelled meanwhile: another caller may wait for one of them already
        await _wait(rulings)
        judgements: list[Judgement] = []
        counted: set[Future[Ruling]] = set()
        for ruling in rulings:
            if isinstance(ruling, Future):
                cost = ruling.result() if ruling not in counted else ruling.result()._replace(seconds=0.0)
                counted.add(ruling)
                ruling = cost
            judgements.append(self._judgement(ruling))
        return judgements

    async def check_references(
        self, items: Sequence[tuple[str, ...]], metadata: Sequence[Mapping[str, Any]] | None = None
    ) -> list[str | None]:
        """Run each problem's references against themselves.

        Verifiers that need the whole completion cannot: they may complain of references that they cannot read.

        Args:
            items: The accepted references of each problem.
            metadata: Each problem's; None: they have none.

        Returns:
            For each item None where at least one reference is recognised as right when given as the answer, else why
            not: ``no reference``, ``reference not parsed``, ``timeout``, ``does not match itself``, ...

        Raises:
            VerifierError: no worker can be started, or the pool was closed meanwhile.
        """
        if self._closed:
            raise _closed()
        if self._reader is not None:
            return [self._reader.complaint(*each) for each in zip(items, metadata or [{}] * len(items), strict=True)]
        if self._comparer is None:
            return [None if references else NO_REFERENCE for references in items]
        complaints: list[str | None] = []
        for first in range(0, len(items), CHECKED):
            tasks: list[_Task] = []
            asked = [[self._ask(((r,), r), tasks) for r in group] for group in items[first : first + CHECKED]]
            self._submit(tasks)
            await _wait([ruling for group in asked for ruling in group])
            known = ([one.result() if isinstance(one, Future) else one for one in group] for group in asked)
            complaints += [_complaint(rulings, self._pass_at) for rulings in known]
        return complaints

    async def close(self) -> None:
        """Kill the workers; judgements still awaited raise. Idempotent."""
        with self._lock:
            self._closed = True
            processes, threads = list(self._processes), list(self._threads)
        for process in processes:
            process.kill()
        for _ in threads:
            self._batches.put(None)
        await asyncio.to_thread(_join, threads)
        while not self._batches.empty():
            for task in self._batches.get() or ():
                self._fail(task, _closed())

    def _rule_or_ask(self, case: Case, tasks: list[_Task]) -> Ruling | Future[Ruling]:
        if self._comparer is None:
            self.compared += 1
            task = _Task(case, Future())
            tasks.append(task)
            return task.done
        if not case.answers:
            return Ruling(None, None, NO_REFERENCE)
        answer = self._comparer.extract(case.completion)
        if answer is None:
            return Ruling(0.0, None, NO_ANSWER)
        return self._ask((case.answers, answer), tasks)

    def _ask(self, key: Key, tasks: list[_Task]) -> Ruling | Future[Ruling]:
        """The cached ruling, or the future of one that is under way, else a new task."""
        with self._lock:
            known = self._memory.get(key) or self._pending.get(key)
            if known is not None:
                self.reused += 1
                return known
            self.compared += 1
            task = _Task(key, Future())
            self._pending[key] = task.done
        tasks.append(task)
        return task.done

    def _submit(self, tasks: list[_Task]) -> None:
        size = max(1, min(BATCH, -(-len(tasks) // (self._size * 2))))
        batches = [tasks[first : first + size] for first in range(0, len(tasks), size)]
        with self._lock:
            closed = self._closed
            if not closed:
                self._unfinished += len(batches)
                for batch in batches:
                    self._batches.put(batch)
                while len(self._threads) < min(self._size, self._unfinished):
                    self._hire(None)
        if closed:
            for task in tasks:
                self._fail(task, _closed())

    def _hire(self, ready: Future[None] | None) -> None:
        thread = threading.Thread(target=self._serve, args=(ready,), name="curate-verifier", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, ready: Future[None] | None) -> None:
        """One thread's life: keep a worker process and pass batches through it."""
        worker: WorkerProcess | None = None
        try:
            if ready is not None:
                try:
                    worker = self._open_worker()
                    ready.set_result(None)
                except VerifierError as error:
                    ready.set_exception(error)
            while (batch := self._batches.get()) is not None:
                todo = deque(batch)
                try:
                    worker = self._work(todo, worker)
                except VerifierError as error:
                    worker = None
                    for task in todo:
                        self._fail(task, error)
                finally:
                    with self._lock:
                        self._unfinished -= 1
        finally:
            self._discard(worker)

    def _work(self, todo: deque[_Task], worker: WorkerProcess | None) -> WorkerProcess | None:
        """Settle all of ``todo``, in order, with as many workers as that takes; returns the last one if it lives."""
        while todo:
            if worker is not None and worker.served >= RECYCLE:
                self._discard(worker)
                worker = None
            worker = worker or self._open_worker()
            try:
                worker.send([task.payload for task in todo], START_SECONDS)
            except (Gone, Late):  # it died while idle, which is no case's fault
                self._discard(worker)
                worker = None
                continue
            while todo and worker is not None:
                began = time.monotonic()
                try:
                    ruling = worker.receive(self._limits.timeout + GRACE)
                    worker.served += 1
                    lost = ruling.reason == DIED  # out of memory: its heap is not worth keeping
                except (Gone, Late) as event:
                    lost = True
                    reason = TIMEOUT if isinstance(event, Late) else DIED
                    ruling = Ruling(None, _answer(todo[0]), reason, time.monotonic() - began)
                if lost:
                    self._discard(worker)
                    worker = None
                if self._closed:
                    raise _closed()
                self._settle(todo.popleft(), ruling)
        return worker

    def _open_worker(self) -> WorkerProcess:
        for _ in range(STARTS):
            with self._lock:
                if self._closed:
                    raise _closed()
                worker = WorkerProcess(self._kind, self._options, self._limits, self.version)
                self._processes.add(worker)
            try:
                worker.wait_until_ready()
            except Gone:
                self._discard(worker)
                continue
            except VerifierError:
                self._discard(worker)
                raise
            return worker
        raise VerifierError(
            f"the verifier's worker died {STARTS} times while starting",
            hint="is there memory enough? verifier.options.memory limits each worker, verifier.workers their number",
        )

    def _discard(self, worker: WorkerProcess | None) -> None:
        if worker is not None:
            worker.close()
            with self._lock:
                self._processes.discard(worker)

    def _settle(self, task: _Task, ruling: Ruling) -> None:
        if isinstance(task.payload, tuple):
            with self._lock:
                self._pending.pop(task.payload, None)
                self._memory.keep(task.payload, ruling)
            found = comparison(task.payload, ruling)
            if self._tell is not None and found is not None:
                self._tell(found)
        task.done.set_result(ruling)

    def _fail(self, task: _Task, error: VerifierError) -> None:
        if isinstance(task.payload, tuple):
            with self._lock:
                self._pending.pop(task.payload, None)
        task.done.set_exception(error)

    def _judgement(self, ruling: Ruling) -> Judgement:
        if ruling.reward is None:
            kind = VerdictKind.UNSCORED
        else:
            kind = VerdictKind.PASS if ruling.reward >= self._pass_at else VerdictKind.FAIL
        return Judgement(kind, ruling.reward, ruling.answer, ruling.reason, ruling.seconds)


async def _wait(rulings: Sequence[object]) -> None:
    # Not gather: a caller that is cancelled must not cancel a comparison that another caller waits for.
    futures = {ruling for ruling in rulings if isinstance(ruling, Future)}
    if futures:
        waiting = [asyncio.wrap_future(future) for future in futures]
        for one in waiting:
            one.add_done_callback(_seen)
        await asyncio.wait(waiting)


def _seen(future: asyncio.Future[Ruling]) -> None:
    """Look at an error, which asyncio else prints: whoever still waits reads it from the pool's own future."""
    if not future.cancelled():
        future.exception()


def _complaint(rulings: list[Ruling], pass_at: float) -> str | None:
    """Why none of a problem's references is recognised as right when given as the answer; None where one is."""
    if not rulings:
        return NO_REFERENCE
    if any(ruling.reward is not None and ruling.reward >= pass_at for ruling in rulings):
        return None
    return "does not match itself" if rulings[0].reward is not None else rulings[0].reason


def _answer(task: _Task) -> str | None:
    return task.payload[1] if isinstance(task.payload, tuple) else None


def _closed() -> VerifierError:
    return VerifierError("the verifier was closed")


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
