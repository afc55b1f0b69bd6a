"""The vLLM engine: AsyncLLM inside this process, many requests in flight, each rollout drawn by its own seed.

Owns the settings and the noise of vLLM. Must not import vllm at the top: an engine's library is loaded when that engine
is opened.

Rollout i of a request draws with ``seed + i``, as vLLM gives its children seeds, so that one rollout asked again
alone is the same draw. The prompt is rendered and tokenised here, by the same code as for the transformers engine, and
handed over as token ids; prefix caching keeps it from being computed once for each rollout. Requests are cut into
pieces of at most 32 rollouts, since vLLM has hung on very wide ones, and no more than ``max_in_flight`` rollouts are
handed to it at once, since a long queue slows it down.

Options (``engine.options``):
    max_in_flight: rollouts handed to vLLM at once, at least 1; default twice its ``max_num_seqs``, because a request
        that waits for its slowest rollout leaves places empty.
    anything else: a field of vLLM's ``AsyncEngineArgs``, such as ``tensor_parallel_size``, ``max_model_len``,
        ``gpu_memory_utilization``, ``max_num_seqs``, ``dtype`` or ``enforce_eager``. Those that the recipe already
        says (model, revision, trust_remote_code, seed) are refused.

Environment: vLLM's log goes to stderr from level ERROR on, and its usage reports are off; ``VLLM_LOGGING_LEVEL``,
``VLLM_LOGGING_STREAM`` and ``VLLM_NO_USAGE_STATS`` change that. Where vLLM runs on a CPU, the defaults are those that
suit a small model: ``dtype: float32``, ``enforce_eager: true`` and 1 GiB for the cache (``VLLM_CPU_KVCACHE_SPACE``);
and ``enable_chunked_prefill: false``, without which vLLM 0.32 cannot draw by seeds on a CPU.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import os
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import Field

from curate.engines.checkpoint import Checkpoint, check_fits, check_room, context_length, resolve
from curate.engines.options import Settings, need, read, unknown
from curate.errors import EngineError, RecipeError, RequestError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, FinishReason, ModelIdentity, Prompt, Request

WIDEST = 32
"""Rollouts of one vLLM request at most."""
OURS = {
    "model": "model.path",
    "tokenizer": "model.path",
    "revision": "model.revision",
    "tokenizer_revision": "model.revision",
    "trust_remote_code": "model.trust_remote_code",
    "seed": "sampling.seed",
}
"""Fields of AsyncEngineArgs that another place of the recipe says."""


class Options(Settings):
    """The options that are ours and not vLLM's."""

    max_in_flight: int | None = Field(default=None, ge=1)


def connect(model: ModelSection, engine: EngineSection, sampling: SamplingSection) -> VllmEngine:
    """Make the engine without loading weights.

    Raises:
        RecipeError: an option is unknown, or is said elsewhere in the recipe.
        EngineMissing: vLLM is not installed.
        EngineError: the model cannot be found, or ``max_tokens`` fills its context.
    """
    need("vllm", extra="vllm")
    own = {key: value for key, value in engine.options.items() if key in Options.model_fields}
    theirs = {key: value for key, value in engine.options.items() if key not in own}
    options = read(Options, own, where="engine.options")
    if theirs:
        _check_names(theirs)
    checkpoint = resolve(model)
    check_room(sampling, context_length(checkpoint.config))
    return VllmEngine(checkpoint, options, theirs, sampling)


class VllmEngine:
    """Hands requests to AsyncLLM; see the module."""

    def __init__(
        self, checkpoint: Checkpoint, options: Options, arguments: dict[str, Any], sampling: SamplingSection
    ) -> None:
        self.name = f"vllm {_version()}"
        self.capacity = options.max_in_flight or 512
        """Until ``start``, a guess where ``max_in_flight`` is not given."""
        self._checkpoint = checkpoint
        self._options = options
        self._arguments = arguments
        self._sampling = sampling
        self._context: int | None = None
        self._llm: Any = None
        self._numbers = itertools.count()
        self._pieces: set[asyncio.Task[list[Completion]]] = set()
        self._entrance = asyncio.Lock()
        self._places = asyncio.Semaphore(self.capacity)

    def identity(self) -> ModelIdentity:
        """Which weights and chat template."""
        return self._checkpoint.identity()

    def render(self, prompt: Prompt) -> str:
        """The text the model will see, chat template applied."""
        return self._checkpoint.render(prompt)

    async def start(self) -> None:
        """Load the weights, in a process of vLLM's own.

        Raises:
            EngineError: vLLM cannot serve this model here; says why.
        """
        _set_environment()
        with _stdout_to_stderr():
            from vllm import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.async_llm import AsyncLLM

            defaults: dict[str, Any] = {
                "enable_prefix_caching": True,
                "disable_log_stats": True,
                "use_tqdm_on_load": False,
            }
            if current_platform.is_cpu():
                os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
                # A seeded request whose prompt is computed in two steps kills vLLM's process on a CPU ("CPU Generator
                # does not use offset"): no prompt is cut in two there.
                defaults |= {"dtype": "float32", "enforce_eager": True, "enable_chunked_prefill": False}
            try:
                arguments = AsyncEngineArgs(
                    model=self._checkpoint.source,
                    revision=self._checkpoint.commit,
                    tokenizer_revision=self._checkpoint.commit,
                    trust_remote_code=self._checkpoint.trust_remote_code,
                    **(defaults | self._arguments),
                )
                # LLM_CLASS takes vLLM's defaults for throughput rather than those for latency.
                self._llm = AsyncLLM.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)
            except Exception as error:
                raise EngineError(
                    f"vLLM cannot serve {self._checkpoint.named}: {error}",
                    where="engine",
                    hint="VLLM_LOGGING_LEVEL=INFO shows vLLM's own log",
                ) from error
        self._context = self._llm.model_config.max_model_len
        if self._options.max_in_flight is None:
            self.capacity = 2 * self._llm.vllm_config.scheduler_config.max_num_seqs
        self._places = asyncio.Semaphore(self.capacity)
        check_room(self._sampling, self._context)

    async def generate(self, request: Request) -> list[Completion]:
        """Draw ``request.n`` rollouts. Cancelling aborts them in vLLM."""
        if self._llm is None:
            raise EngineError("the vllm engine is not started, or closed")
        ids = self._checkpoint.encode(request.prompt)
        check_fits(len(ids), self._sampling, self._context)
        # At temperature 0 vLLM refuses n > 1.
        widest = min(WIDEST, self.capacity) if self._sampling.temperature > 0.0 else 1
        pieces = [(request.seed + first, min(widest, request.n - first)) for first in range(0, request.n, widest)]
        tasks = [asyncio.create_task(self._draw(ids, seed, n)) for seed, n in pieces]
        self._pieces.update(tasks)
        try:
            drawn = await asyncio.gather(*tasks)
        except BaseException as error:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            caller: Any = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and not caller.cancelling():
                raise EngineError("the vllm engine was closed") from None
            raise
        finally:
            self._pieces.difference_update(tasks)
        return [completion for piece in drawn for completion in piece]

    async def close(self) -> None:
        """Fail whatever waits, end vLLM's process and free the weights."""
        llm, self._llm = self._llm, None
        for task in self._pieces:
            task.cancel()
        await asyncio.sleep(0)
        if llm is not None:
            llm.shutdown()

    async def _draw(self, ids: list[int], seed: int, n: int) -> list[Completion]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        parameters = SamplingParams(
            n=n,
            seed=seed,
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            top_k=self._sampling.top_k or 0,
            max_tokens=self._sampling.max_tokens,
            stop=list(self._sampling.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        async with self._room(n):
            try:
                stream = self._llm.generate({"prompt_token_ids": ids}, parameters, f"curate-{next(self._numbers)}")
                outputs = [output async for output in stream]
            except EngineDeadError as error:
                raise EngineError(
                    f"vLLM's process ended: {error}", where="engine", hint="run the same command again to continue"
                ) from error
            except Exception as error:
                raise RequestError(f"vLLM refused or lost the request: {_cause(error)}") from error
        if not outputs:
            raise RequestError("vLLM ended the request without an output")
        return [_completion(one, len(ids)) for one in sorted(outputs[-1].outputs, key=lambda one: one.index)]

    @contextlib.asynccontextmanager
    async def _room(self, n: int) -> AsyncIterator[None]:
        """Take n places, first come first served; one taker at a time, lest two hold half of what each needs."""
        taken = 0
        try:
            async with self._entrance:
                for _ in range(n):
                    await self._places.acquire()
                    taken += 1
            yield
        finally:
            for _ in range(taken):
                self._places.release()


def _completion(output: Any, prompt_tokens: int) -> Completion:
    reasons: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
    reason = reasons.get(output.finish_reason)
    if reason is None:
        raise RequestError(f"vLLM ended a rollout with {output.finish_reason!r}")
    return Completion(output.text, reason, prompt_tokens, len(output.token_ids))


def _check_names(given: dict[str, Any]) -> None:
    for key in given:
        if key in OURS:
            raise RecipeError("said elsewhere in the recipe", where=f"engine.options.{key}", hint=f"set {OURS[key]}")
    _set_environment()
    with _stdout_to_stderr():
        from vllm import AsyncEngineArgs

    known = [field.name for field in dataclasses.fields(AsyncEngineArgs) if field.name not in OURS]
    for key in given:
        if key not in known:
            raise unknown(key, [*known, *Options.model_fields], where=f"engine.options.{key}")


def _set_environment() -> None:
    """What vLLM reads when it is imported; what the user has set stays."""
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send to stderr what libraries below Python print: stdout carries data.

    The engine's process inherits the descriptor, so that it keeps printing there.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _version() -> str:
    """Of either package that holds vLLM."""
    for package in ("vllm", "vllm-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            return version(package)
    return "unknown"


def _cause(error: BaseException) -> str:
    """What lies at the bottom: vLLM wraps what happened in an exception without a text."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
