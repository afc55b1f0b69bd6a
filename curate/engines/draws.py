"""Seeded draws inside ``model.generate``: each rollout by its own seed, whatever else is in its batch.

Owns the sampling of the transformers engine. Must not know requests or prompts: rows of a batch, nothing more.

``generate`` draws a whole batch from one generator, so that a rollout would depend on its neighbours. Here each row
has its own stream of uniforms instead: number t of seed s is a hash of (s, t), and a token is drawn by inverting the
row's cumulative distribution at it, which is an exact draw from the categorical (to double precision) that reads the
vocabulary once. The same seed draws the same text asked alone or among 255 others, as far as the logits are the same:
in float32 they differ by about 1e-6 between batch shapes, so one token in about a million may differ; in bfloat16
more do. A seed does not draw the same text here as in vLLM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from curate.recipe import SamplingSection

_BLOCK = 64
"""Steps whose uniforms are made at once: one by one, a dozen tiny operations would cost as much as a small model."""
_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_MIX = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))


def uniforms(seeds: Any, first: int, count: int) -> Any:
    """Numbers ``first`` to ``first + count - 1`` of each seed's stream, uniform in the open interval (0, 1).

    SplitMix64 (Steele, Lea and Flood 2014) twice, over the seed and then over the step, keeping 52 bits. Two rounds,
    because the seeds of one problem are consecutive and the steps are too.

    Args:
        seeds: int64 tensor, shape (rows,); a seed of 64 bits goes in as its two's complement.
        first: At least 0.
        count: At least 1.

    Returns:
        float64 tensor, shape (rows, count); each is (i + 1/2) / 2^52, so neither 0 nor 1 occurs.
    """
    import torch

    steps = torch.arange(first, first + count, dtype=torch.int64, device=seeds.device)
    bits = _splitmix(_splitmix(seeds)[:, None] + steps)
    return (((bits >> 12) & (2**52 - 1)).double() + 0.5) * 2.0**-52


def _splitmix(state: Any) -> Any:
    """One output of SplitMix64 for each state; int64 arithmetic wraps as the unsigned one does."""
    z = state + _GAMMA
    for shift, factor in _MIX:
        z = (z ^ ((z >> shift) & (2 ** (64 - shift) - 1))) * factor
    return z ^ ((z >> 31) & (2**33 - 1))


class SeededDraw:
    """A logits processor that leaves one token possible: the one drawn.

    With it, ``generate`` runs with ``do_sample=False``. At temperature 0 no processor is needed: the most probable
    token wins, and seeds mean nothing.
    """

    def __init__(self, seeds: Sequence[int], prompt_width: int, sampling: SamplingSection, device: Any) -> None:
        import torch
        from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        signed = [(seed + 2**63) % 2**64 - 2**63 for seed in seeds]
        self.seeds = torch.tensor(signed, dtype=torch.int64, device=device)
        self.prompt_width = prompt_width
        self.block = -1
        self.points: Any = None
        """The uniforms of the steps of one block, shape (rows, _BLOCK)."""
        self.totals = torch.zeros(len(signed), 1, dtype=torch.float64, device=device)
        """Total probability of each row, added up over the steps: not a number once the logits were not."""
        self.warpers: list[Any] = []
        if sampling.temperature != 1.0:
            self.warpers.append(TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_k is not None:
            self.warpers.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1.0:
            self.warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores of shape (rows, vocabulary), written over: 1 at the token drawn, 0 elsewhere."""
        import torch

        for warper in self.warpers:
            scores = warper(input_ids, scores)
        cumulative = torch.cumsum(scores.softmax(dim=-1), dim=-1, dtype=torch.float64)
        total = cumulative[:, -1:]
        self.totals += total
        points = self._uniforms(input_ids.shape[1] - self.prompt_width) * total
        # The clamp matters where the product rounds up to the total, once in 2^53, and for broken rows.
        drawn = torch.searchsorted(cumulative, points, right=True).clamp_(max=scores.shape[1] - 1)
        return scores.zero_().scatter_(1, drawn, 1.0)

    def broken(self) -> Any:
        """Rows whose logits were no distribution at some step, a boolean tensor; asked once, after the batch."""
        return self.totals[:, 0].isnan()

    def _uniforms(self, step: int) -> Any:
        block, column = divmod(step, _BLOCK)
        if block != self.block:
            self.block, self.points = block, uniforms(self.seeds, block * _BLOCK, _BLOCK)
        return self.points[:, column : column + 1]


class StopAtText:
    """A stopping criterion for stop strings that looks at new tokens only, and keeps when each row ended.

    ``generate``'s own looks at the prompt's last tokens too, so that a prompt ending in a newline and a first new
    newline would complete a stop string of two; vLLM's does not.
    """

    def __init__(self, find: Any, rows: int, prompt_width: int, device: Any) -> None:
        import torch

        self.find = find
        self.prompt_width = prompt_width
        self.ended = torch.zeros(rows, dtype=torch.int64, device=device)
        """New tokens of each row up to and with the one that completed a stop string; 0: none did."""

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """True for the rows to end now."""
        import torch

        found = self.find(input_ids[:, self.prompt_width :], scores)
        now = torch.full_like(self.ended, input_ids.shape[1] - self.prompt_width)
        self.ended = torch.where(found & (self.ended == 0), now, self.ended)
        return self.ended > 0


class StopWhenAbandoned:
    """A stopping criterion that ends the whole batch when nobody waits for any of it any more."""

    def __init__(self, abandoned: Callable[[], bool], rows: int, device: Any) -> None:
        import torch

        self.abandoned = abandoned
        self.go_on = torch.zeros(rows, dtype=torch.bool, device=device)
        self.end = ~self.go_on

    def __call__(self, *_: Any, **__: Any) -> Any:
        """All True or all False."""
        return self.end if self.abandoned() else self.go_on
