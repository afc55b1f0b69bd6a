"""The transformers engine: batched ``model.generate`` on a CPU or one GPU, each rollout drawn by its own seed.

Owns the loop that turns many small requests into full batches. Must not import torch or transformers at the top:
an engine's library is loaded when that engine is opened.

Requests queue on the event loop; one worker thread owns the model and runs one batch after another. A batch starts
with the rollouts of the oldest request and is filled with those nearest to it in prompt length, so that little is
padded and nothing starves; a request may be spread over several batches, and is handed back with the last of them.
The thread never touches the queue and the event loop never touches the model, so nothing is locked.

Options (``engine.options``):
    device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; default a GPU where there is one.
    dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``; default ``auto``, on a CPU
        ``float32``.
    batch_size: rollouts of one ``generate`` call, at least 1; default 64. A batch that runs out of memory is drawn
        in halves, and later ones are made no larger than those.
    threads: CPU threads of torch, at least 1; default torch's own choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

from pydantic import Field

from curate.engines.batch import Row, Weights, in_halves
from curate.engines.checkpoint import Checkpoint, check_fits, check_room, context_length, resolve
from curate.engines.options import Settings, need, read
from curate.errors import EngineError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, ModelIdentity, Prompt, Request


class Options(Settings):
    """What ``engine.options`` may say; the module's docstring has the meaning of each."""

    device: str | None = Field(default=None, pattern=r"^(cpu|mps|cuda(:\d+)?)$")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    batch_size: int = Field(default=64, ge=1)
    threads: int | None = Field(default=None, ge=1)


def connect(model: ModelSection, engine: EngineSection, sampling: SamplingSection) -> TransformersEngine:
    """Make the engine without loading weights.

    Raises:
        RecipeError: an option is unknown or cannot have that value.
        EngineMissing: torch or transformers is not installed.
        EngineError: the model cannot be found, or ``max_tokens`` fills its context.
    """
    options = read(Options, engine.options, where="engine.options")
    need("torch", extra="transformers")
    need("transformers", extra="transformers")
    checkpoint = resolve(model)
    check_room(sampling, context_length(checkpoint.config))
    return TransformersEngine(checkpoint, options, sampling)


@dataclass(eq=False)
class Job:
    """One request, and what has come back of it."""

    ids: list[int]
    request: Request
    answer: asyncio.Future[list[Completion]]
    taken: int = 0
    """How many of its rollouts are in a batch or drawn."""
    drawn: dict[int, Completion] = field(default_factory=dict)
    """By offset in the request."""


class TransformersEngine:
    """Batches requests for ``model.generate``; see the module."""

    def __init__(self, checkpoint: Checkpoint, options: Options, sampling: SamplingSection) -> None:
        self.name = f"transformers {version('transformers')}"
        self.capacity = 2 * options.batch_size
        """One batch running and one waiting, so that the next is full when the running one ends."""
        self._checkpoint = checkpoint
        self._options = options
        self._sampling = sampling
        self._context = context_length(checkpoint.config)
        self._weights: Weights | None = None
        self._open: set[Job] = set()
        """Every request that waits for an answer."""
        self._queue: list[Job] = []
        """Those with rollouts in no batch yet, oldest first."""
        self._arrived = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="curate-transformers")
        self._unable: str | None = "the transformers engine is not started"
        """Why no request is taken: not started, broken or closed. None while it works."""

    def identity(self) -> ModelIdentity:
        """Which weights and chat template."""
        return self._checkpoint.identity()

    def render(self, prompt: Prompt) -> str:
        """The text the model will see, chat template applied."""
        return self._checkpoint.render(prompt)

    async def start(self) -> None:
        """Load the weights and begin to take requests."""
        loop = asyncio.get_running_loop()
        self._weights = await loop.run_in_executor(self._worker, self._load)
        self._unable = None
        self._serving = asyncio.create_task(self._serve(self._weights), name="curate-transformers")

    async def generate(self, request: Request) -> list[Completion]:
        """Draw ``request.n`` rollouts.

        Cancelling takes the rollouts that are in no batch yet out of the queue; a running batch goes on for the
        others in it, and ends at its next token where nobody waits for any of it.
        """
        if self._unable is not None:
            raise EngineError(self._unable)
        if request.n < 1:
            return []
        ids = self._checkpoint.encode(request.prompt)
        check_fits(len(ids), self._sampling, self._context)
        job = Job(ids, request, asyncio.get_running_loop().create_future())
        self._open.add(job)
        self._queue.append(job)
        self._arrived.set()
        try:
            return await job.answer
        finally:
            self._open.discard(job)
            if job in self._queue:
                self._queue.remove(job)

    async def close(self) -> None:
        """Fail whatever waits, stop the running batch at its next token, and free the weights."""
        self._give_up("the transformers engine is closed")
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
            self._serving = None
        await asyncio.get_running_loop().run_in_executor(None, self._worker.shutdown)
        self._weights = None

    async def _serve(self, weights: Weights) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrived.wait()
                await asyncio.sleep(0)  # whoever was answered just now asks again before the next batch is made
                batch = self._next_batch(min(self._options.batch_size, weights.room))
                if not batch:
                    self._arrived.clear()
                    continue
                drawn = await loop.run_in_executor(self._worker, _draw, weights, batch)
                for (job, offset), one in zip(batch, drawn, strict=True):
                    _hand_back(job, offset, one)
        except Exception as error:
            self._give_up(f"the transformers engine broke down: {error}")
            raise

    def _load(self) -> Weights:
        import torch

        if self._options.threads is not None:
            torch.set_num_threads(self._options.threads)  # of the calling thread, hence here
        return Weights(self._checkpoint, self._options.device, self._options.dtype, self._sampling)

    def _next_batch(self, size: int) -> list[tuple[Job, int]]:
        if not self._queue:
            return []
        length = len(self._queue[0].ids)
        batch: list[tuple[Job, int]] = []
        for job in sorted(self._queue, key=lambda job: abs(len(job.ids) - length)):
            room = size - len(batch)
            if not room:
                break
            until = min(job.request.n, job.taken + room)
            batch += [(job, offset) for offset in range(job.taken, until)]
            job.taken = until
        self._queue = [job for job in self._queue if job.taken < job.request.n]
        return batch

    def _give_up(self, why: str) -> None:
        self._unable = why
        self._queue.clear()
        for job in self._open:
            if not job.answer.done():
                job.answer.set_exception(EngineError(why))


def _draw(weights: Weights, batch: Sequence[tuple[Job, int]]) -> list[Completion | RequestError]:
    """Run one batch, on the worker thread."""

    def abandoned() -> bool:
        return all(job.answer.done() for job, _ in batch)

    rows = [Row(job.ids, job.request.seed + offset) for job, offset in batch]
    return in_halves(lambda part: weights.draw(part, abandoned), rows)


def _hand_back(job: Job, offset: int, one: Completion | RequestError) -> None:
    if job.answer.done():
        return
    if isinstance(one, RequestError):
        job.answer.set_exception(one)
        return
    job.drawn[offset] = one
    if len(job.drawn) == job.request.n:
        job.answer.set_result([job.drawn[i] for i in range(job.request.n)])
