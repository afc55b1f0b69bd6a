"""How much faster the verifier ``math`` judges real rollouts than a plain loop over math-verify, and at what memory.

    python tests/benchmarks/verify_throughput.py [--rollouts 100000] [--plain 4000] [--workers 2] [--distinct 200000]

Reads the 800 rollouts of ``rollouts/qwen25math_math100x8.jsonl`` of the third-party data, repeated to the number asked
for, so answers repeat as they do there. The plain loop is one process, parses the boxed reference and the completion
of each rollout and compares them; it runs over the first ``--plain`` rollouts. Then ``--distinct`` answers of 1,000
characters, no two alike, go through the verifier ``exact``: the worst case for what the pool remembers. Not a test: it
prints, and asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import time
from pathlib import Path

import psutil

from curate.recipe import VerifierSection
from curate.records import Case, VerdictKind
from curate.verifiers import connect

DEFAULT_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rollouts", type=int, default=100_000)
    arguments.add_argument("--plain", type=int, default=4_000)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--distinct", type=int, default=200_000)
    asked = arguments.parse_args()

    data = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", DEFAULT_DATA))
    lines = (data / "rollouts" / "qwen25math_math100x8.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    distinct = [Case((row["gt"],), completion) for row in rows for completion in row["code"]]
    cases = list(itertools.islice(itertools.cycle(distinct), asked.rollouts))

    plain, plain_seconds = plain_loop(cases[: asked.plain])
    passed, seconds, memory = asyncio.run(pooled("math", cases, asked.workers))
    del cases
    plain_rate, rate = len(plain) / plain_seconds, len(passed) / seconds
    differing = sum(a != b for a, b in zip(plain, passed, strict=False))
    print(f"plain loop     {plain_rate:10.0f} rollouts/s  ({len(plain)} rollouts, {plain_seconds:.1f} s)")
    print(
        f"verifier math  {rate:10.0f} rollouts/s  ({len(passed)} rollouts, {seconds:.1f} s, start of workers included)"
    )
    print(f"ratio          {rate / plain_rate:10.1f}")
    print(f"verdicts that differ: {differing} of {len(plain)}")
    print("memory of this process and its workers, MiB, at each quarter:", " ".join(f"{m:.0f}" for m in memory))

    worst = [Case(("4",), f"\\boxed{{{number:01000}}}") for number in range(asked.distinct)]
    passed, seconds, memory = asyncio.run(pooled("exact", worst, asked.workers))
    print(f"all distinct   {len(passed) / seconds:10.0f} rollouts/s  ({len(passed)} rollouts, {seconds:.1f} s)")
    print("memory at each quarter, the cases' own texts included:", " ".join(f"{m:.0f}" for m in memory))


def plain_loop(cases: list[Case]) -> tuple[list[bool], float]:
    """What a script without this package does."""
    from math_verify import parse, verify

    logging.disable(logging.WARNING)
    began = time.perf_counter()
    passed = []
    for case in cases:
        passed.append(verify(parse(f"\\boxed{{{case.answers[0]}}}"), parse(case.completion)))
    return passed, time.perf_counter() - began


async def pooled(kind: str, cases: list[Case], workers: int) -> tuple[list[bool], float, list[float]]:
    """The same cases through the pool, in calls of 1,000 of which several are under way at once."""
    began = time.perf_counter()
    pool = connect(VerifierSection(kind=kind, workers=workers))
    passed: list[bool] = []
    memory: list[float] = []
    try:
        await pool.start()
        quarter = -(-len(cases) // 4)
        for first in range(0, len(cases), quarter):
            part = cases[first : first + quarter]
            calls = [pool.judge(part[i : i + 1000]) for i in range(0, len(part), 1000)]
            for judgements in await asyncio.gather(*calls):
                passed += [judgement.kind is VerdictKind.PASS for judgement in judgements]
            processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
            memory.append(sum(process.memory_info().rss for process in processes) / 2**20)
        return passed, time.perf_counter() - began, memory
    finally:
        await pool.close()


if __name__ == "__main__":
    main()
