"""The release: it loads with ``datasets``, its configs add up, and two of one profile are the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import profile
from datasets import get_dataset_config_names, load_dataset
from publish import releases

from curate.errors import RecipeError, ReleaseError, UsageError
from curate.ledger import Ledger
from curate.publish import rollouts
from curate.publish.release import add_rollouts, filter


@pytest.fixture
def measured(tmp_path: Path) -> Ledger:
    return releases.measured(tmp_path / "profile")


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
    assert set(control["problem_id"]) <= set(releases.PASSES), "a duplicate is no fair control"


def test_two_releases_of_one_profile_are_the_same_bytes(measured: Ledger, tmp_path: Path) -> None:
    """By processes whose sets and dicts are in another order, a second apart, into folders of other names."""
    write = "import curate, sys; curate.filter(sys.argv[1], to=sys.argv[2], with_rollouts=True)"
    for name, seed in (("one", "1"), ("another-name", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", write, str(measured.path), str(tmp_path / name)]
        subprocess.run(command, env=environment, check=True)
        time.sleep(1.0)
    first, second = (releases.contents(tmp_path / name) for name in ("one", "another-name"))
    assert first == second
    assert len(first) == 8


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
    everything = releases.finish(profile(tmp_path / "all", {"a": [True, False] * 32}))
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


def test_a_release_of_nothing_is_written_when_that_is_allowed_and_loads(measured: Ledger, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    release = filter(measured.path, to=out, band=(0.01, 0.02), allow_empty=True)
    assert release.rows == {"default": 0, "excluded": 6}
    assert get_dataset_config_names(out) == ["default", "excluded"]
    assert load_dataset(out, "excluded", split="train").num_rows == 6
    assert list(load_dataset(out, split="train", streaming=True)) == []
    with pytest.raises(ValueError, match='"train" corresponds to no data'):
        load_dataset(out)
    empty = pl.read_parquet(tmp_path / "out" / "default" / "*.parquet")
    assert empty.height == 0
    assert {"problem_id", "question", "answers", "pass_rate"} <= set(empty.columns)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "**None of 6 problems is kept:**" in card
    assert 'load_dataset("PATH_OR_REPO", "default", split="train", streaming=True)' in card


def test_rollouts_are_sorted_scalars_first_and_in_as_many_files_as_it_takes(measured: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release = filter(measured.path, to=out, with_rollouts=True)
    assert release.rows["rollouts"] == 64 + 64 + 63 + 64 + 5
    loaded = load_dataset(str(out), "rollouts", split="train")
    assert loaded.column_names[:5] == ["problem_id", "index", "verdict", "reward", "outcome"]
    assert loaded.column_names[-2:] == ["answer", "completion"]
    keys = list(zip(loaded["problem_id"], loaded["index"], strict=True))
    assert keys == sorted(keys)
    third = loaded.filter(lambda row: row["problem_id"] == "third")
    assert third["verdict"] == ["pass", "fail", "fail"] * 21
    assert set(third["outcome"]) == {"in_band"}
    outcomes = pl.concat(
        [
            pl.read_parquet(out / name / "*.parquet", columns=["problem_id", "outcome"])
            for name in ("default", "excluded")
        ]
    )
    # 9 bytes a completion: the problems begin at byte 0, 576, 621, 1197 and 1773: files 0, 0, 0, 1 and 2 of 700 bytes.
    count = rollouts.write(measured, "0123456789abcdef", outcomes, tmp_path / "parts", shard=700)
    files = sorted(file.name for file in (tmp_path / "parts").iterdir())
    assert files == [f"train-0000{part}-of-00003.parquet" for part in range(3)]
    assert count == loaded.num_rows
    assert pl.read_parquet(tmp_path / "parts" / "*.parquet").to_dicts() == loaded.to_list()
    assert not list(tmp_path.glob(".tmp-*"))


def test_rollouts_are_added_to_their_own_release_only(measured: Ledger, tmp_path: Path) -> None:
    filter(measured.path, to=tmp_path / "out")
    filter(measured.path, to=tmp_path / "whole", with_rollouts=True)
    assert add_rollouts(tmp_path / "out", measured.path) == 260
    assert releases.contents(tmp_path / "out") == releases.contents(tmp_path / "whole")
    other = releases.finish(profile(tmp_path / "other", {"a": [True, False] * 32}))
    other.write_manifest({**other.manifest(), "protocol_fingerprint": "another"})
    with pytest.raises(ReleaseError, match="made from another profile"):
        add_rollouts(tmp_path / "out", other.path)
    for file in (measured.path / "rollouts").iterdir():
        file.unlink()
    with pytest.raises(ReleaseError, match="not on this disk"):
        filter(measured.path, to=tmp_path / "out", with_rollouts=True)
    assert load_dataset(str(tmp_path / "out"), "rollouts", split="train").num_rows == 260, "the older release stands"


@pytest.mark.parametrize(
    "claim", [{"license": "My Licence"}, {"license": ""}, {"language": ["English"]}, {"language": ["EN"]}]
)
def test_a_claim_that_is_no_code_is_refused(measured: Ledger, tmp_path: Path, claim: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        filter(measured.path, to=tmp_path / "out", **claim)


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
