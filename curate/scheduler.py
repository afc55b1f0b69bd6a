"""The scheduler: allocate -> sample -> verify -> record, without a barrier.

Owns the order in which rollouts are asked for and how many are in flight. Every problem advances on its own, as soon
as its own requests are complete, and the engine is kept at its capacity until the queue is dry. Must not know what is
on disk beyond what it is told a problem already holds, nor how an allocation is computed.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from curate.allocation import Allocation
from curate.engines import Engine
from curate.errors import EngineError, RequestError
from curate.judging import Judge, verify
from curate.recorder import Recorder
from curate.records import (
    Completion,
    FailedRequest,
    Request,
    Rollout,
    VerdictKind,
)
from curate.tracks import Mark, Track

LARGEST_REQUEST = 32
"""Most rollouts asked for at once: a request of hundreds has hung engines, and is lost whole when one fails."""

ATTEMPTS = 4
"""How often a request is tried before its problem is left as an ``engine_error`` of this run."""

FAILURES_IN_A_ROW = 50
"""So many requests that failed without a success since they began mean that the engine is gone, not that it stumbles.

A hundred that hung together while others came back count for nothing: they tell of one moment, and are asked again.
"""

GRACE = 5.0
"""Seconds that verdicts under way get when a run ends early; what they miss is judged by the next run."""

_SPACE = 20
"""Bits between the seeds of two problems: an index stays below 2**20."""


@dataclass(slots=True)
class Tally:
    """Running totals of this run, for progress and for the manifest."""

    problems: int = 0
    finished: int = 0
    """Problems that need no further rollout."""
    expected: int = 0
    """Rollouts that this run will draw, as far as is known now."""
    drawn: int = 0
    passes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed_requests: int = 0
    judged_again: int = 0
    """Rollouts of earlier runs whose problems have another reference now."""
    budget_spent: bool = False
    """A budget ended the run before every problem was finished."""


def seed_of(run_seed: int, problem_id: str, index: int) -> int:
    """The seed of one rollout, below 2**62.

    The seeds of one problem follow each other, because an engine that draws n children from one seed gives child i
    the seed + i; problems are 2**20 apart, so that no two rollouts share a seed.

    Args:
        run_seed: ``sampling.seed`` of the recipe.
        problem_id: Of the problem.
        index: Of the rollout, 0 <= index < 2**20.
    """
    name = hashlib.sha256(f"{run_seed}:{problem_id}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(name[:8], "big") >> (64 - 42) << _SPACE) + index


class Scheduler:
    """Draws what the allocation asks for.

    Args:
        engine: Started.
        judge: Started.
        recorder: Takes every rollout, verdict and failed request.
        allocation: Says how many rollouts a problem needs.
        tally: Kept up to date; anyone may read it.
        seed: The run's.
        timeout: Seconds that one request may take before it counts as failed.
        max_rollouts: Most rollouts to draw in this run; None for no limit.
        max_tokens: Most completion tokens to draw in this run, checked before each request; None for no limit.
        cut_fails: Whether a rollout that was cut at the length limit fails unjudged, as in training.
    """

    def __init__(
        self,
        engine: Engine,
        judge: Judge,
        recorder: Recorder,
        allocation: Allocation,
        tally: Tally,
        *,
        seed: int,
        timeout: float,
        max_rollouts: int | None = None,
        max_tokens: int | None = None,
        cut_fails: bool = True,
    ) -> None:
        self._engine = engine
        self._judge = judge
        self._recorder = recorder
        self._allocation = allocation
        self._seed = seed
        self._timeout = timeout
        self._max_rollouts = max_rollouts
        self._max_tokens = max_tokens
        self._cut_fails = cut_fails
        self.tally = tally
        self._queue: list[tuple[tuple[int, float, int], Track, int, int, int]] = []
        """Order, problem, first index, rollouts, attempt."""
        self._sequence = 0
        self._held = 0
        self._forecast = 0
        self._in_flight = 0
        self._unjudged = 0
        self._backing_off = 0
        self._failures = 0
        self._successes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._judging: set[asyncio.Task[None]] = set()
        """Those of the tasks that wait for verdicts and no longer for the engine."""
        self._done: asyncio.Future[None] | None = None

    async def run(self, tracks: Sequence[Track]) -> None:
        """Draw until every problem is finished or a budget is spent.

        Cancelling it stops what is in flight; what was drawn is in the recorder.

        Raises:
            EngineError: the engine is gone.
        """
        self._done = asyncio.get_running_loop().create_future()
        for track in self._allocation.begin(tracks):
            self.tally.problems += 1
            self._held += sum(mark != Mark.ABSENT for mark in track.marks)
            self._allocate(track)
        self._forecast = self._allocation.forecast()
        try:
            self._release()
            self._pump()
            await self._done
        finally:
            await self._wind_up()

    async def _wind_up(self) -> None:
        """Stop what is being drawn, but let verdicts come in for a moment: what was drawn is better judged now."""
        for task in self._tasks - self._judging:
            task.cancel()
        if self._judging:
            await asyncio.wait(self._judging, timeout=GRACE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- allocate -------------------------------------------------------------------------------------------------

    def _allocate(self, track: Track) -> None:
        """Queue what a problem needs now. Called only while none of its requests is outstanding."""
        missing = track.missing(self._allocation.target(track))
        if not missing or track.failed:
            self.tally.finished += 1
            return
        for first, n in _runs(missing):
            track.outstanding += 1
            self._enqueue(track, first, n, 0)

    def _release(self) -> None:
        """Let go on whom the allocation was not sure about before, as long as that teaches it something new."""
        while released := self._allocation.released(self._idle()):
            for track in released:
                self.tally.finished -= 1
                self._allocate(track)
            self._forecast = self._allocation.forecast()
        self.tally.expected = max(self._forecast - self._held, self.tally.drawn + self._in_flight)

    def _enqueue(self, track: Track, first: int, n: int, attempt: int) -> None:
        # Retries go first: the rest of their problem waits for them.
        self._sequence += 1
        order = (-attempt, -self._allocation.priority(track), self._sequence)
        heapq.heappush(self._queue, (order, track, first, n, attempt))

    def _pump(self) -> None:
        """Fill the engine up to its capacity, and notice the end."""
        assert self._done is not None
        if self._done.done():
            return
        if self._idle():
            self._release()
        while self._queue and self._room():
            if self._spent():
                self.tally.budget_spent = True
                self._queue.clear()
                break
            _, track, first, n, attempt = heapq.heappop(self._queue)
            if self._max_rollouts is not None:
                n = self._within_budget(track, first, n, attempt)
            self._in_flight += n
            task = asyncio.get_running_loop().create_task(self._advance(track, first, n, attempt))
            self._tasks.add(task)
            task.add_done_callback(self._finish)
        if self._idle():
            self._done.set_result(None)

    def _idle(self) -> bool:
        return not self._queue and not self._tasks and not self._backing_off

    def _room(self) -> bool:
        # Verdicts that lag behind must not let completions pile up in memory without bound.
        return self._in_flight < self._engine.capacity and self._unjudged < 4 * self._engine.capacity + 4096

    def _spent(self) -> bool:
        rollouts = self._max_rollouts is not None and self.tally.drawn + self._in_flight >= self._max_rollouts
        return rollouts or (self._max_tokens is not None and self.tally.completion_tokens >= self._max_tokens)

    def _within_budget(self, track: Track, first: int, n: int, attempt: int) -> int:
        assert self._max_rollouts is not None
        left = self._max_rollouts - self.tally.drawn - self._in_flight
        if n > left:
            track.outstanding += 1
            self._enqueue(track, first + left, n - left, attempt)
            n = left
        return n

    # -- sample, verify, record -----------------------------------------------------------------------------------

    async def _advance(self, track: Track, first: int, n: int, attempt: int) -> None:
        seed = seed_of(self._seed, track.problem.problem_id, first)
        request = Request(track.problem.problem_id, track.prompt, first, n, seed)
        before = self._successes
        try:
            completions = await self._generate(request)
        except RequestError as error:
            self._in_flight -= n
            self._failures += self._successes == before
            self._fail(track, first, n, attempt, error)
            return
        except BaseException:
            self._in_flight -= n
            raise
        self._in_flight -= n
        self._failures = 0
        self._successes += 1
        rollouts = self._record(track, request, completions)
        self._unjudged += len(rollouts)
        task = asyncio.current_task()
        assert task is not None
        self._judging.add(task)
        self._pump()
        try:
            await self._verify(track, rollouts)
        finally:
            self._unjudged -= len(rollouts)
            self._judging.discard(task)
        if len(completions) < n:
            missing = RequestError(f"the engine returned {len(completions)} of {n} completions")
            # An engine that returns some is getting on with it: the rest is asked for as if for the first time.
            attempt = 0 if completions else attempt
            self._fail(track, first + len(completions), n - len(completions), attempt, missing)
            return
        self._complete(track)

    async def _generate(self, request: Request) -> list[Completion]:
        try:
            async with asyncio.timeout(self._timeout):
                completions = await self._engine.generate(request)
        except TimeoutError as error:
            raise RequestError(f"no answer within {self._timeout:g} s") from error
        if len(completions) > request.n:
            raise RequestError(f"the engine returned {len(completions)} completions where {request.n} were asked for")
        return completions

    def _record(self, track: Track, request: Request, completions: Sequence[Completion]) -> list[Rollout]:
        now = time.time()
        rollouts = [
            Rollout(
                problem_id=request.problem_id,
                index=request.first_index + offset,
                seed=request.seed + offset,
                completion=completion.text,
                finish_reason=completion.finish_reason,
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
                engine=self._engine.name,
                created=now,
            )
            for offset, completion in enumerate(completions)
        ]
        self._recorder.add_rollouts(rollouts)
        tokens = sum(rollout.completion_tokens for rollout in rollouts)
        for rollout in rollouts:
            track.drew(rollout.index, Mark.UNJUDGED, rollout.completion_tokens)
        self.tally.drawn += len(rollouts)
        self.tally.completion_tokens += tokens
        self.tally.prompt_tokens += sum(rollout.prompt_tokens for rollout in rollouts)
        return rollouts

    async def _verify(self, track: Track, rollouts: Sequence[Rollout]) -> None:
        name = track.problem.problem_id
        seen = replace(track.prompt, text=self._engine.render(track.prompt))
        verdicts = await verify(self._judge, {name: track.problem}, rollouts, {name: seen}, cut_fails=self._cut_fails)
        self._recorder.add_verdicts(verdicts)
        for verdict in verdicts:
            track.marks[verdict.index] = Mark.of(verdict.verdict)
            self.tally.passes += verdict.verdict is VerdictKind.PASS

    def _complete(self, track: Track) -> None:
        track.outstanding -= 1
        if track.outstanding:
            return
        self._allocate(track)
        self._release()

    def _fail(self, track: Track, first: int, n: int, attempt: int, error: RequestError) -> None:
        """Record a failed request; ask again after a pause, or leave the problem for another run."""
        problem_id = track.problem.problem_id
        self._recorder.add_error(FailedRequest(problem_id, first, n, str(error), time.time()))
        self.tally.failed_requests += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise EngineError(
                f"{self._failures} requests failed in a row; the last: {error}",
                where=self._engine.name,
                hint="see that the engine is well, then run the same command again: nothing drawn is lost",
            )
        if attempt + 1 >= ATTEMPTS:
            track.failed = True
            self._complete(track)
            return
        self._backing_off += 1
        pause = 0.05 * 4**attempt
        asyncio.get_running_loop().call_later(pause, self._retry, track, first, n, attempt + 1)

    def _retry(self, track: Track, first: int, n: int, attempt: int) -> None:
        self._backing_off -= 1
        self._enqueue(track, first, n, attempt)
        self._pump()

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        assert self._done is not None
        if not task.cancelled() and (error := task.exception()) is not None:
            if not self._done.done():
                self._done.set_exception(error)
            return
        if not self._done.done():
            self._pump()


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Split ascending indices into runs without gaps of at most ``LARGEST_REQUEST``: (first, length) each."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][0] + runs[-1][1] == index and runs[-1][1] < LARGEST_REQUEST:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
