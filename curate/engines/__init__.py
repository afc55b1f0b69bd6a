"""Engines: what draws rollouts from a model. One small async protocol, one file for each kind.

Owns everything that touches model weights or a model server. Must not know problems, verifiers or the ledger.
No engine's library is imported before that engine is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from curate.errors import RecipeError
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, ModelIdentity, Prompt, Request


class Engine(Protocol):
    """Draws rollouts. Made cheaply (tokenizer at most), started once, asked many times at once, closed once."""

    name: str
    """Kind and version, e.g. ``vllm 0.32.0``: recorded with every rollout."""
    capacity: int
    """How many rollouts in flight keep it busy; the scheduler stays at about this number."""

    def identity(self) -> ModelIdentity:
        """Which weights and chat template: resolved before anything is loaded.

        Raises:
            EngineError: the model cannot be found.
        """

    def render(self, prompt: Prompt) -> str:
        """The text the model will see for this prompt, chat template applied."""

    async def start(self) -> None:
        """Load the weights, or reach the server.

        Raises:
            EngineError: it cannot be done; names the model and the way out.
        """

    async def generate(self, request: Request) -> list[Completion]:
        """Draw ``request.n`` rollouts, in the order of their seeds.

        Safe to call many times concurrently, up to ``capacity`` rollouts and beyond (it queues). Cancelling the
        call stops the work where the engine can.

        Returns:
            Up to ``request.n`` completions, the i-th drawn with ``request.seed + i``. Fewer is allowed only from
            the end; the scheduler asks for the rest again.

        Raises:
            RequestError: this request failed; others may go on.
            EngineError: the engine is gone.
        """

    async def close(self) -> None:
        """Free the weights or the connections. Idempotent."""


KINDS: dict[str, str] = {
    "transformers": "curate.engines.transformers",
    "vllm": "curate.engines.vllm",
    "openai": "curate.engines.openai",
    "scripted": "curate.engines.scripted",
}
"""Kind -> module; each module has ``connect(model, engine, sampling) -> Engine``."""


def connect(model: ModelSection, engine: EngineSection, sampling: SamplingSection) -> Engine:
    """Make the engine that a recipe names, without loading weights.

    Raises:
        RecipeError: unknown kind, or options the engine does not know.
        EngineMissing: the engine's extra is not installed.
        EngineError: the model cannot be found.
    """
    if engine.kind not in KINDS:
        raise RecipeError(
            f"unknown engine {engine.kind!r}", where="engine.kind", hint=f"one of: {', '.join(sorted(KINDS))}"
        )
    module: Any = import_module(KINDS[engine.kind])
    made: Engine = module.connect(model, engine, sampling)
    return made
