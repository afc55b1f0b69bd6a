"""Two profiles of one model agree problem by problem, as two samples of one coin do."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from curate.ledger import Ledger
from curate.profiling import profile
from curate.recipe import load

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "demo.yaml"
ROLLOUTS = 64


def counts(folder: Path, *overrides: str) -> pl.DataFrame:
    """Profile a mix of easy, in-band and hard problems of the demo; returns id, n and k."""
    profile(load(RECIPE, overrides), into=folder, fixed_n=ROLLOUTS)
    return Ledger(folder).estimates().select("problem_id", "n", "k")


def z_scores(first: pl.DataFrame, second: pl.DataFrame) -> list[float]:
    """Two-sample z of each problem's pass rates, where there was anything to differ in."""
    both = first.join(second, on="problem_id", validate="1:1")
    assert both.height == first.height == second.height
    scores = []
    for _, n, k, m, j in both.iter_rows():
        pooled = (k + j) / (n + m)
        if 0.0 < pooled < 1.0:
            scores.append((k / n - j / m) / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))
    return scores


def agree(first: pl.DataFrame, second: pl.DataFrame) -> None:
    """The z-scores are standard normal in sum of squares, in mean, and at the largest."""
    scores = z_scores(first, second)
    assert len(scores) >= 25
    total = sum(score**2 for score in scores)
    low, high = stats.chi2(len(scores)).ppf([0.0005, 0.9995])
    assert low < total < high
    assert abs(sum(scores)) / math.sqrt(len(scores)) < 3.5
    assert max(map(abs, scores)) < stats.norm.ppf(1 - 0.0005 / len(scores)) + 0.5


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every eighth problem of the demo, so that every family is there."""
    from curate.recipe import resolve_path

    source = resolve_path("curate.demo:problems.jsonl")
    assert source is not None
    lines = source.read_text().splitlines(keepends=True)
    file = tmp_path_factory.mktemp("mixed") / "problems.jsonl"
    file.write_text("".join(lines[::8]))
    return file


def test_another_seed_gives_the_same_pass_rates(tmp_path: Path, mixed: Path) -> None:
    pytest.importorskip("torch")
    folder = f"problems.source={mixed}"
    first = counts(tmp_path / "0", folder)
    second = counts(tmp_path / "1", folder, "sampling.seed=1")
    agree(first, second)
    texts = [Ledger(tmp_path / name).rollouts(["completion"])["completion"].to_list() for name in "01"]
    assert texts[0] != texts[1]


@pytest.mark.vllm
def test_vllm_gives_the_pass_rates_of_transformers(tmp_path: Path, mixed: Path) -> None:
    folder = f"problems.source={mixed}"
    vllm = ("engine.kind=vllm", "engine.options={}", "sampling.seed=1")
    agree(counts(tmp_path / "t", folder), counts(tmp_path / "v", folder, *vllm))
