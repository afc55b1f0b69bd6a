"""Throughput: the whole of ``curate profile`` against the bare library on the same requests, and without any engine.

Prints rollouts per second and ratios measured in one run. ``python tests/benchmarks/throughput.py [transformers|vllm]``
takes the engine that is installed; the scripted engine, which draws nothing real, measures the scheduler alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builders import rehearsal

from curate import problems
from curate.engines.checkpoint import resolve
from curate.problems import prompts
from curate.profiling import profile
from curate.recipe import Recipe, load
from curate.records import Request
from curate.scheduler import LARGEST_REQUEST, seed_of

RECIPE = Path(__file__).resolve().parent.parent.parent / "recipes" / "demo.yaml"
BARRIER = 64
"""Prompts that the best-known script of the field waits for before it sends the next."""
BATCH = 64
"""Rollouts of one bare ``generate`` call: the engine's own default."""


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


def bare_transformers(recipe: Recipe, asked: list[Request], batch: int | None) -> tuple[float, int]:
    """Seconds of plain ``model.generate`` over the same requests, model loaded, and completion tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    checkpoint = resolve(recipe.model)
    torch.set_num_threads(int(recipe.engine.options.get("threads", torch.get_num_threads())))
    model = AutoModelForCausalLM.from_pretrained(checkpoint.source, dtype=torch.float32).eval()
    pad = model.generation_config.pad_token_id or 0
    prompts_at_once = max(1, BATCH // asked[0].n)
    coded = [(checkpoint.encode(one.prompt), one.n) for one in asked]

    def draw(part: list[tuple[list[int], int]]) -> int:
        """One batch, padded on the left, and how many tokens it gave."""
        width = max(len(ids) for ids, _ in part)
        ids = torch.tensor([[pad] * (width - len(ids)) + ids for ids, _ in part])
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids, _ in part])
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=recipe.sampling.temperature,
                top_k=0,
                num_return_sequences=part[0][1],
                max_new_tokens=recipe.sampling.max_tokens,
                pad_token_id=pad,
            )
        return int((out[:, width:] != pad).sum())

    draw(coded[:1])
    begun, tokens = time.perf_counter(), 0
    size = batch or len(coded)
    for start in range(0, len(coded), size):
        part = sorted(coded[start : start + size], key=lambda one: len(one[0]))
        for first in range(0, len(part), prompts_at_once):
            tokens += draw(part[first : first + prompts_at_once])
    return time.perf_counter() - begun, tokens


def bare_vllm(recipe: Recipe, asked: list[Request], batch: int | None) -> tuple[float, int]:
    """Seconds of plain ``LLM.generate`` over the same requests, model loaded, and completion tokens."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import LLM, SamplingParams

    checkpoint = resolve(recipe.model)
    # What the engine sets on a CPU, too: without it vLLM cannot draw by seeds there.
    llm = LLM(checkpoint.source, dtype="float32", enforce_eager=True, enable_chunked_prefill=False)
    coded = [
        (
            {"prompt_token_ids": checkpoint.encode(one.prompt)},
            SamplingParams(n=one.n, seed=one.seed, max_tokens=recipe.sampling.max_tokens),
        )
        for one in asked
    ]
    llm.generate([coded[0][0]], [coded[0][1]], use_tqdm=False)
    begun, tokens = time.perf_counter(), 0
    size = batch or len(coded)
    for start in range(0, len(coded), size):
        prompts_, parameters = zip(*coded[start : start + size], strict=True)
        for output in llm.generate(list(prompts_), list(parameters), use_tqdm=False):
            tokens += sum(len(one.token_ids) for one in output.outputs)
    seconds = time.perf_counter() - begun
    llm.llm_engine.engine_core.shutdown()
    return seconds, tokens


def whole(recipe: Recipe, rollouts: int) -> tuple[float, int]:
    """Seconds from the first request of ``curate profile`` to the last rollout it recorded, and completion tokens."""
    from curate.ledger import Ledger

    with tempfile.TemporaryDirectory() as folder:
        marks: list[float] = []
        profile(
            recipe,
            into=folder,
            fixed_n=rollouts,
            report=lambda tally: marks.append(time.time()) if tally.drawn == 0 else None,
        )
        drawn = Ledger(folder).rollouts(["created", "completion_tokens"])
        # The last report before anything was drawn is at most a tick before the first request.
        return float(drawn["created"].max()) - max(marks), int(drawn["completion_tokens"].sum())  # type: ignore[arg-type]


def real(kind: str, rollouts: int = 8, rounds: int = 3) -> None:
    """Compare on a real engine and the demo's model, the three in turn, and the medians of their seconds."""
    options = "{threads: 1}" if kind == "transformers" else "{}"
    recipe = load(RECIPE, (f"engine.kind={kind}", f"engine.options={options}"))
    asked = requests(recipe, rollouts)
    total = sum(one.n for one in asked)
    bare = bare_transformers if kind == "transformers" else bare_vllm
    ways: dict[str, Callable[[], tuple[float, int]]] = {
        "the bare engine": lambda: bare(recipe, asked, None),
        f"a loop with a {BARRIER}-prompt barrier": lambda: bare(recipe, asked, BARRIER),
        "curate profile": lambda: whole(recipe, rollouts),
    }
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(way())
            print(f"{kind}, {name}: {taken[name][-1][0]:.1f} s", file=sys.stderr)
    print(f"\n{kind}: {total:,} rollouts of the demo's model, medians of {rounds} rounds\n")
    print("| what | seconds | rollouts/s | tokens/s | ratio |\n|---|---:|---:|---:|---:|")
    alone = median(seconds for seconds, _ in taken["the bare engine"])
    for name, found in taken.items():
        seconds, tokens = median(one[0] for one in found), median(one[1] for one in found)
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
