"""Throughput: the whole of ``curate profile`` against the bare engine on the same requests, and without any engine.

Prints rollouts per second and ratios measured in one run. ``python tests/benchmarks/throughput.py [transformers|vllm]``
takes the engine that is installed; the scripted engine, which draws nothing real, measures the scheduler alone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builders import rehearsal

from curate import engines, problems
from curate.engines import Engine
from curate.problems import prompts
from curate.profiling import profile
from curate.recipe import Recipe, load
from curate.records import Completion, Request
from curate.scheduler import LARGEST_REQUEST, seed_of

RECIPE = Path(__file__).resolve().parent.parent.parent / "recipes" / "demo.yaml"
BARRIER = 64
"""Prompts that the best-known script of the field waits for before it sends the next."""


def requests(recipe: Recipe, rollouts: int) -> list[Request]:
    """The requests that ``curate profile --fixed`` makes of a recipe."""
    render = prompts.renderer(recipe.prompt)
    return [
        Request(
            one.problem_id,
            render(one),
            first,
            min(LARGEST_REQUEST, rollouts - first),
            seed_of(0, one.problem_id, first),
        )
        for one in problems.load(recipe.problems).problems
        for first in range(0, rollouts, LARGEST_REQUEST)
    ]


async def bare(engine: Engine, asked: list[Request], batch: int | None = None) -> list[Completion]:
    """Everything at once, or so many requests at a time with a barrier between."""
    size = batch or len(asked)
    drawn: list[Completion] = []
    for start in range(0, len(asked), size):
        for completions in await asyncio.gather(*(engine.generate(one) for one in asked[start : start + size])):
            drawn += completions
    return drawn


async def timed(recipe: Recipe, asked: list[Request], batch: int | None) -> tuple[float, int]:
    """Seconds of drawing, model loaded, and completion tokens."""
    engine = engines.connect(recipe.model, recipe.engine, recipe.sampling)
    await engine.start()
    try:
        await engine.generate(asked[0])
        begun = time.perf_counter()
        drawn = await bare(engine, asked, batch)
        return time.perf_counter() - begun, sum(completion.completion_tokens for completion in drawn)
    finally:
        await engine.close()


def whole(recipe: Recipe, rollouts: int) -> float:
    """Seconds between the first and the last rollout that ``curate profile`` recorded, its loading left out."""
    from curate.ledger import Ledger

    with tempfile.TemporaryDirectory() as folder:
        marks: list[float] = []
        profile(
            recipe,
            into=folder,
            fixed_n=rollouts,
            report=lambda tally: marks.append(time.time()) if tally.drawn == 0 else None,
        )
        created = Ledger(folder).rollouts(["created"])["created"]
        # The last report before anything was drawn is at most a tick before the first request.
        return float(created.max()) - max(marks)  # type: ignore[arg-type]


def real(kind: str, rollouts: int = 16) -> None:
    """Compare on a real engine and the demo's model."""
    options = "{threads: 1}" if kind == "transformers" else "{}"
    recipe = load(RECIPE, (f"engine.kind={kind}", f"engine.options={options}"))
    asked = requests(recipe, rollouts)
    total = sum(one.n for one in asked)
    print(f"\n{kind}: {total:,} rollouts of the demo's model\n")
    print("| what | seconds | rollouts/s | tokens/s | ratio |\n|---|---:|---:|---:|---:|")
    alone, tokens = asyncio.run(timed(recipe, asked, None))
    stalled, _ = asyncio.run(timed(recipe, asked, BARRIER))
    ours = whole(recipe, rollouts)
    for name, seconds in (
        ("the bare engine", alone),
        (f"a loop with a {BARRIER}-prompt barrier", stalled),
        ("curate profile", ours),
    ):
        print(f"| {name} | {seconds:.1f} | {total / seconds:,.0f} | {tokens / seconds:,.0f} | {alone / seconds:.2f} |")


def scripted(count: int = 10_000, rollouts: int = 32) -> None:
    """How many rollouts the scheduler, the pool and the ledger handle when the engine takes no time."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = rehearsal(Path(folder), count, script={"capacity": 4096}, verifier={"kind": "exact", "workers": None})
        begun = time.perf_counter()
        profile(recipe, into=Path(folder) / "out", fixed_n=rollouts)
        seconds = time.perf_counter() - begun
    rate = count * rollouts / seconds
    print(f"\nscripted engine: {count * rollouts:,} rollouts in {seconds:.1f} s, {rate:,.0f} rollouts/s,")
    print("problems loaded, everything verified, recorded and estimated within that time")


if __name__ == "__main__":
    scripted()
    for kind in sys.argv[1:] or [kind for kind in ("transformers", "vllm") if find_spec(kind) is not None]:
        real(kind)
