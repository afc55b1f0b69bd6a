"""The release: it loads with ``datasets``, its configs add up, and two of one profile are the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from builders import profile
from datasets import get_dataset_config_names, load_dataset

from curate import decide
from curate.errors import RecipeError, ReleaseError
from curate.ledger import Ledger
from curate.publish.release import filter
from curate.recipe import BandSection
from curate.records import Reason

PASSES = {
    "easy": [True] * 64,
    "half": [True, False] * 32,
    "third": [True, False, False] * 21,
    "hard": [False] * 64,
    "edge": [True] + [False] * 4,
}


def finish(ledger: Ledger, counts: pl.DataFrame) -> None:
    prior = decide.learn(counts, BandSection())
    ledger.write_prior(decide.to_frame(prior))
    ledger.write_estimates(decide.estimate(counts, BandSection(), prior))


@pytest.fixture
def measured(tmp_path: Path) -> Ledger:
    ledger = profile(tmp_path / "profile", PASSES, {"again": Reason.DUPLICATE})
    counts = decide.count(ledger, ledger.manifest()["verifier_fingerprint"], 8)
    finish(ledger, counts)
    return ledger


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_release_loads_and_adds_up(measured: Ledger, tmp_path: Path) -> None:
    release = filter(measured.path, to=tmp_path / "out")
    assert release.rows == {"default": 2, "excluded": 4, "control": 2, "repair": 1}
    out = str(tmp_path / "out")
    assert sorted(get_dataset_config_names(out)) == ["control", "default", "excluded", "repair"]
    kept = load_dataset(out, split="train")
    assert kept["problem_id"] == ["half", "third"]
    assert kept.features["answers"].feature.dtype == "string"
    assert kept.features["question"].dtype == "string"
    assert kept[0]["k"] == 32
    assert kept[0]["answers"] == ["4"]
    excluded = {row["problem_id"]: row for row in load_dataset(out, "excluded", split="train")}
    assert {name: (row["reasons"], row["next_step"]) for name, row in excluded.items()} == {
        "again": (["duplicate"], "drop"),
        "easy": (["too_easy"], "drop"),
        "edge": (["undecided"], "defer"),
        "hard": (["too_hard"], "defer"),
    }
    assert excluded["again"]["note"] == "told so"
    control = load_dataset(out, "control", split="train")
    assert control.num_rows == 2
    assert set(control["problem_id"]) <= set(PASSES), "a duplicate is no fair control"


def test_two_releases_of_one_profile_are_the_same_bytes(measured: Ledger, tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        filter(measured.path, to=tmp_path / name)
        files = sorted(file for file in (tmp_path / name).rglob("*") if file.is_file())
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 7


def test_another_band_samples_nothing_and_replaces_the_older_release(measured: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter(measured.path, to=out)
    release = filter(measured.path, to=out, band=(0.0, 1.0))
    assert release.rows == {"default": 5, "excluded": 1, "control": 5}
    assert json.loads((out / "manifest.json").read_text())["band"]["high"] == 1.0
    narrow = filter(measured.path, to=out, band=(0.3, 0.7), confidence=0.95)
    assert load_dataset(str(out), split="train")["problem_id"] == ["half"]
    assert narrow.summary.band.confidence == 0.95


def test_a_config_without_rows_is_not_written(measured: Ledger, tmp_path: Path) -> None:
    everything = profile(tmp_path / "all", {"a": [True, False] * 32})
    counts = decide.count(everything, everything.manifest()["verifier_fingerprint"], 8)
    finish(everything, counts)
    release = filter(everything.path, to=tmp_path / "out")
    assert release.rows == {"default": 1, "control": 1}
    assert get_dataset_config_names(str(tmp_path / "out")) == ["default", "control"]
    assert load_dataset(str(tmp_path / "out"), split="train").num_rows == 1


def test_a_release_of_nothing_is_refused_and_an_older_one_stands(measured: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filter(measured.path, to=out)
    with pytest.raises(ReleaseError, match="no problem was kept out of 6"):
        filter(measured.path, to=out, band=(0.01, 0.02))
    assert load_dataset(str(out), split="train").num_rows == 2


def test_a_folder_of_something_else_is_not_overwritten(measured: Ledger, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ReleaseError, match=r"other files"):
        filter(measured.path, to=tmp_path)
    with pytest.raises(ReleaseError, match="holds a profile"):
        filter(measured.path, to=measured.path)
    assert (measured.path / "problems.parquet").exists()


@pytest.mark.parametrize("band", [(0.8, 0.2), (-0.1, 0.5), (0.2, 1.5), (float("nan"), 0.5)])
def test_a_band_that_is_none_is_refused(measured: Ledger, tmp_path: Path, band: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match="0 <= low <= high <= 1"):
        filter(measured.path, to=tmp_path / "out", band=band)


def test_the_card_says_whose_band_it_is(measured: Ledger, tmp_path: Path) -> None:
    filter(measured.path, to=tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "2 of 6 problems are kept:** each lies in the competence band [0.2, 0.8] of `m`" in card
    assert "| `too_hard` | 1 |" in card
    assert "sampling.temperature" in card
