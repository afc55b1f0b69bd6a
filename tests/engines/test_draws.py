"""Seeded draws against a reference implementation, and against the distribution they must have."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("transformers")

import torch
from scipy import stats

from curate.engines.draws import SeededDraw, StopAtText, uniforms
from curate.recipe import SamplingSection

WORD = 2**64


def splitmix64(state: int) -> int:
    """One output of Vigna's public-domain splitmix64.c, in plain integers."""
    z = (state + 0x9E3779B97F4A7C15) % WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def draws(logits: list[float], seeds: range, **sampling: Any) -> list[int]:
    """The token each seed draws from the same logits."""
    draw = SeededDraw(seeds, 3, SamplingSection(**sampling), "cpu")
    scores = torch.tensor([logits] * len(seeds))
    tokens: list[int] = draw(torch.zeros(len(seeds), 3, dtype=torch.int64), scores).argmax(dim=1).tolist()
    return tokens


def test_the_reference_is_the_published_one() -> None:
    # The first output of seed 1234567 in the test vectors that implementations of SplitMix64 share.
    assert splitmix64(1234567) == 6457827717110365317


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**62 + 12345, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("step", [0, 1, 4095])
def test_uniforms_are_two_rounds_of_splitmix64(seed: int, step: int) -> None:
    signed = seed - WORD if seed >= 2**63 else seed
    expected = ((splitmix64((splitmix64(seed) + step) % WORD) >> 12) + 0.5) / 2**52
    assert uniforms(torch.tensor([signed]), step, 1).item() == expected
    assert uniforms(torch.tensor([0, signed]), max(step - 2, 0), 3)[1, min(step, 2)].item() == expected


@pytest.mark.parametrize("first", [0, 2**40, 2**63 - 20_001])
def test_uniforms_of_consecutive_seeds_are_uniform_and_unrelated(first: int) -> None:
    seeds = torch.arange(first, first + 20_000)
    now, later = uniforms(seeds, 0, 2).T
    assert stats.kstest(now.numpy(), "uniform").pvalue > 1e-4
    for one, other in ((now[:-1], now[1:]), (now, later), (now[1:], later[:-1])):
        # For independent numbers the correlation's standard deviation is 1/sqrt(20000), about 0.007.
        assert abs(stats.pearsonr(one.numpy(), other.numpy()).statistic) < 0.03


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({}, [0.4, 0.3, 0.2, 0.1, 0.0]),
        # Squared and normalised: 16, 9, 4, 1 of 30.
        ({"temperature": 0.5}, [16 / 30, 9 / 30, 4 / 30, 1 / 30, 0.0]),
        ({"top_k": 2}, [4 / 7, 3 / 7, 0.0, 0.0, 0.0]),
        # .4 and .3 fall short of .75; with .2 they reach it.
        ({"top_p": 0.75}, [4 / 9, 3 / 9, 2 / 9, 0.0, 0.0]),
        ({"temperature": 0.5, "top_k": 3, "top_p": 0.5}, [1.0, 0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_tokens_come_as_often_as_softmax_says(sampling: dict[str, Any], expected: list[float]) -> None:
    logits = [math.log(p) if p else -math.inf for p in (0.4, 0.3, 0.2, 0.1, 0.0)]
    tokens = draws(logits, range(5_000_000, 5_020_000), **sampling)
    counts = [tokens.count(token) for token in range(5)]
    possible = [i for i in range(5) if expected[i] > 0]
    assert sum(counts[i] for i in possible) == 20_000
    if len(possible) > 1:
        wanted = [expected[i] * 20_000 for i in possible]
        assert stats.chisquare([counts[i] for i in possible], wanted).pvalue > 1e-4


def test_a_wide_vocabulary_is_drawn_from_throughout() -> None:
    tokens = [token for first in range(0, 4000, 500) for token in draws([0.0] * 2_000, range(first, first + 500))]
    # Each of ten equal parts is a tenth of the vocabulary.
    assert stats.chisquare([sum(t // 200 == part for t in tokens) for part in range(10)]).pvalue > 1e-4


def test_a_row_draws_the_same_in_any_batch() -> None:
    whole = draws([0.3, -0.2, 1.1, 0.0], range(100, 164))
    assert [draws([0.3, -0.2, 1.1, 0.0], range(seed, seed + 1))[0] for seed in range(100, 164)] == whole


def test_the_step_counts_from_the_end_of_the_prompt() -> None:
    sampling = SamplingSection()
    short = SeededDraw([7], 2, sampling, "cpu")(torch.zeros(1, 6, dtype=torch.int64), torch.zeros(1, 1000))
    long = SeededDraw([7], 12, sampling, "cpu")(torch.zeros(1, 16, dtype=torch.int64), torch.zeros(1, 1000))
    assert short.argmax() == long.argmax()


def test_logits_that_are_no_numbers_are_noticed() -> None:
    draw = SeededDraw([1, 2], 0, SamplingSection(), "cpu")
    draw(torch.zeros(2, 1, dtype=torch.int64), torch.tensor([[0.0, 1.0], [math.nan, 0.0]]))
    draw(torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 2))
    assert draw.broken().tolist() == [False, True]


def test_stop_at_text_sees_no_prompt_and_remembers_when() -> None:
    def ends_in_five(ids: Any, scores: Any) -> Any:
        return ids[:, -1] == 5 if ids.shape[1] else torch.zeros(ids.shape[0], dtype=torch.bool)

    stop = StopAtText(ends_in_five, 2, 2, "cpu")
    assert stop(torch.tensor([[5, 5], [5, 5]]), None).tolist() == [False, False]
    assert stop(torch.tensor([[5, 5, 5], [5, 5, 1]]), None).tolist() == [True, False]
    assert stop(torch.tensor([[5, 5, 5, 1], [5, 5, 1, 5]]), None).tolist() == [True, True]
    assert stop.ended.tolist() == [1, 2]
