"""vLLM and transformers draw from the same distributions: pass rates of the demo's model, problem by problem.

The two never draw the same text for a seed, so the comparison is of counts. Under equal rates the pooled z of each
problem is about standard normal where both outcomes are expected at least five times on each side, and the sum of
their squares about chi-squared; the other problems are lumped by family, which has the same property.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import defaultdict
from importlib.resources import files
from typing import Any

import pytest

pytest.importorskip("transformers")

from scipy import stats

from curate.engines import connect
from curate.recipe import EngineSection, ModelSection, SamplingSection
from curate.records import Completion, Message, Prompt, Request

ROLLOUTS = 64


def problems() -> list[dict[str, str]]:
    """Every eighth problem of the demo, so that each family and length is there."""
    text = (files("curate.demo") / "problems.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()][::8]


def sampled(kind: str, options: dict[str, Any], rows: list[dict[str, str]]) -> list[list[Completion]]:
    """All rollouts of each problem."""
    engine = connect(
        ModelSection(path="curate.demo:model"),
        EngineSection(kind=kind, options=options),
        SamplingSection(temperature=1.0, max_tokens=100),
    )

    async def whole() -> list[list[Completion]]:
        await engine.start()
        try:
            return await asyncio.gather(
                *(
                    engine.generate(
                        Request(str(i), Prompt(messages=(Message("user", row["question"]),)), 0, ROLLOUTS, i << 20)
                    )
                    for i, row in enumerate(rows)
                )
            )
        finally:
            await engine.close()

    return asyncio.run(whole())


def passes(row: dict[str, str], completions: list[Completion]) -> int:
    """How many end in the reference answer, letter by letter."""
    boxes = [re.findall(r"\\boxed\{([^{}]*)\}", one.text) for one in completions]
    return sum(bool(found) and found[-1] == row["answer"] for found in boxes)


def z_score(first: int, second: int, n: int) -> float:
    """Two-sample z for equal proportions, pooled, n draws on either side."""
    pooled = (first + second) / (2 * n)
    return (first - second) / math.sqrt(n * 2 * pooled * (1 - pooled))


def test_z_by_hand() -> None:
    # 30 and 20 of 50: pooled .5, so the difference .2 has standard error sqrt(.25 * 2 / 50) = .1.
    assert z_score(30, 20, 50) == pytest.approx(2.0)


@pytest.mark.vllm
def test_pass_rates_agree() -> None:
    rows = problems()
    first = [passes(row, drawn) for row, drawn in zip(rows, sampled("vllm", {}, rows), strict=True)]
    local = sampled("transformers", {"device": "cpu", "batch_size": 256}, rows)
    second = [passes(row, drawn) for row, drawn in zip(rows, local, strict=True)]

    scores: list[float] = []
    rare: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row, one, other in zip(rows, first, second, strict=True):
        if 10 <= one + other <= 2 * ROLLOUTS - 10:
            scores.append(z_score(one, other, ROLLOUTS))
        else:
            lump = rare[row["family"]]
            lump[:] = [lump[0] + one, lump[1] + other, lump[2] + ROLLOUTS]
    scores += [z_score(one, other, n) for one, other, n in rare.values() if 10 <= one + other <= 2 * n - 10]

    assert len(scores) >= 20  # the demo has problems inside the band
    worst = max(abs(score) for score in scores)
    assert 2 * stats.norm.sf(worst) * len(scores) > 1e-3
    assert stats.chi2.sf(sum(score**2 for score in scores), len(scores)) > 1e-3
    total = z_score(sum(first), sum(second), ROLLOUTS * len(rows))
    assert 2 * stats.norm.sf(abs(total)) > 1e-3
