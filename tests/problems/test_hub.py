"""Hub datasets, through the real client against a small server; and local dataset folders.

The client reads its settings when it is imported, so each test of the Hub asks in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from publish.hub_server import Hub

from curate.errors import ProblemsError
from curate.problems import load
from curate.recipe import ProblemsSection

COMMIT = "c0ffee" * 6 + "c0ff"
CARD = """---
license: odc-by
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train.jsonl}
  - {split: test, path: main/test.jsonl}
- config_name: socratic
  data_files:
  - {split: train, path: main/test.jsonl}
---
"""
FILES = {
    "README.md": CARD.encode(),
    "main/train.jsonl": b'{"question": "1+1?", "answer": "2"}\n{"question": "2+2?", "answer": "4"}\n',
    "main/test.jsonl": b'{"question": "3+3?", "answer": "6"}\n',
}
ASK = """
import json, sys
from curate.errors import ProblemsError
from curate.problems import load
from curate.recipe import ProblemsSection
for settings in json.loads(sys.argv[1]):
    try:
        found = load(ProblemsSection(**settings))
        print(json.dumps([found.source, [[p.question, *p.answers] for p in found.problems], found.license]))
    except ProblemsError as error:
        print(json.dumps([error.where, error.message, error.hint]))
"""


def ask(endpoint: str, home: Path, settings: list[dict[str, Any]], *, offline: bool = False) -> list[Any]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    said = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(settings)], env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with Hub() as served:
        served.add("some/sums", FILES, sha=COMMIT)
        yield served.endpoint


TRAIN = [f"some/sums@{COMMIT}", [["1+1?", "2"], ["2+2?", "4"]], "odc-by"]
TEST = [f"some/sums@{COMMIT}", [["3+3?", "6"]], None]
"""Asked for by its commit, the Hub is not asked for more than its files."""


def test_a_hub_dataset_loads_at_a_commit_and_every_mistake_says_the_way_out(hub: str, tmp_path: Path) -> None:
    main = {"source": "some/sums", "config": "main"}
    answers = ask(
        hub,
        tmp_path,
        [
            main,
            {**main, "split": "test", "revision": COMMIT},
            {**main, "limit": 1},
            {"source": "some/sums"},
            {**main, "config": "mian"},
            {**main, "split": "dev"},
            {**main, "revision": "v9"},
            {**main, "question": "qestion"},
            {"source": "no/where"},
            {"source": "two words"},
        ],
    )
    assert answers[0] == TRAIN
    assert answers[1] == TEST
    assert answers[2] == [TRAIN[0], TRAIN[1][:1], "odc-by"]
    where = [answer[0] for answer in answers[3:]]
    assert where == ["some/sums"] * 5 + ["no/where", "two words"]
    said = [answer[1:] for answer in answers[3:]]
    assert said[0] == ["the dataset has several configs", "set problems.config to one of: main, socratic"]
    assert said[1] == ["there is no config 'mian'", "set problems.config to one of: main, socratic"]
    assert said[2] == ["there is no split 'dev'", "set problems.split to one of: train, test"]
    assert said[3] == ["there is no revision 'v9'", "set problems.revision to a branch, tag or commit"]
    assert said[4][0] == "there is no column 'qestion' for the question"
    assert said[5][0] == "the Hub has no such dataset, or does not show it to you"
    assert said[6][0] == "'two words' is neither a file nor the name of a Hub dataset"


def test_offline_what_was_read_before_is_read_again_and_nothing_else(hub: str, tmp_path: Path) -> None:
    main = {"source": "some/sums", "config": "main"}
    assert ask(hub, tmp_path, [main]) == [TRAIN]
    answers = ask(
        "http://127.0.0.1:9",
        tmp_path,
        [main, {**main, "revision": COMMIT}, {**main, "revision": "d" * 40}, {**main, "revision": "v1"},
         {"source": "no/where"}],
        offline=True,
    )  # fmt: skip
    assert answers[:2] == [[*TRAIN[:2], None], [*TRAIN[:2], None]]
    assert answers[2][1] == f"revision {'d' * 40} was asked for, only {COMMIT} is in the local cache"
    assert answers[3][1:] == [
        "the Hub cannot be asked which commit 'v1' is",
        "connect, or set problems.revision to a commit",
    ]
    assert answers[4][1].startswith("the Hub cannot be reached")
    assert answers[4][2] == "connect, or name a local file in problems.source"


# -- local folders --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_dataset_folder_loads_like_the_hub(folder: Path) -> None:
    found = load(ProblemsSection(source=str(folder), config="main", split="train"))
    assert [(problem.question, problem.answers) for problem in found.problems] == [("1+1?", ("2",)), ("2+2?", ("4",))]
    assert found.source == str(folder)


def test_a_config_that_is_needed_is_asked_for(folder: Path) -> None:
    with pytest.raises(ProblemsError, match="the dataset has several configs") as caught:
        load(ProblemsSection(source=str(folder)))
    assert caught.value.hint == "set problems.config to one of: main, socratic"
    with pytest.raises(ProblemsError, match="there is no split 'dev'") as caught:
        load(ProblemsSection(source=str(folder), config="main", split="dev"))
    assert caught.value.hint == "set problems.split to one of: train, test"


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="holds no data files") as caught:
        load(ProblemsSection(source=str(tmp_path)))
    assert caught.value.where == str(tmp_path)


def test_a_folder_of_parquet_keeps_nested_columns(tmp_path: Path) -> None:
    frame = pl.DataFrame({"q": ["a?", "b?"], "r": [{"t": ["1", "2"]}, {"t": []}], "n": [1.5, None]})
    frame.write_parquet(tmp_path / "train.parquet")
    found = load(ProblemsSection(source=str(tmp_path), question="q", answer="r.t"))
    assert [problem.answers for problem in found.problems] == [("1", "2"), ()]
    assert [problem.metadata["n"] for problem in found.problems] == [1.5, None]


def test_a_broken_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ProblemsError, match="cannot load the dataset") as caught:
        load(ProblemsSection(source=str(tmp_path)))
    assert caught.value.where == str(tmp_path)
