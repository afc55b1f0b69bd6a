"""Compressed logs are read line by line as their originals are."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from builders import jsonl

from curate import logs
from curate.errors import ProblemsError, UsageError


def row(problem: str = "a", **changes: Any) -> dict[str, Any]:
    return {"problem_id": problem, "question": f"{problem}?", "answer": "2", "completion": "It is 2.", **changes}


def packed(path: Path) -> Path:
    """The file, compressed as its new suffix says, in its own place."""
    if path.suffix == ".gz":
        content = gzip.compress(path.with_suffix("").read_bytes())
    else:
        content = pa.compress(path.with_suffix("").read_bytes(), codec="zstd", asbytes=True)
    path.write_bytes(content)
    path.with_suffix("").unlink()
    return path


def complaint(path: Path) -> ProblemsError:
    with pytest.raises(ProblemsError) as caught:
        logs.read(path, "jsonl")
    return caught.value


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_lines_are_read_and_keep_their_numbers(tmp_path: Path, suffix: str) -> None:
    jsonl(tmp_path / "1.jsonl", [row("a"), row("b")])
    jsonl(tmp_path / "2.jsonl", [row("a"), row("b", reward="x")])
    paths = [packed(tmp_path / f"{number}.jsonl{suffix}") for number in (1, 2)]
    error = complaint(tmp_path)
    assert (error.where, error.message) == (f"{paths[1]}:2", "the reward is 'x', not a number")
    assert logs.read(tmp_path, "jsonl", skip_bad_lines=True).n_rollouts == 3
    # Beside its original a compressed file is the same rows again.
    jsonl(tmp_path / "1.jsonl", [row("a"), row("b")])
    assert logs.read(tmp_path, "jsonl", skip_bad_lines=True).n_rollouts == 3
    with pytest.raises(UsageError, match="named twice"):
        logs.read([paths[0], tmp_path / "1.jsonl"], "jsonl")
    paths[0].write_bytes(paths[0].read_bytes()[:-9])
    assert complaint(paths[0]).message.startswith("cannot read the file: ")


def test_a_compressed_dump_has_the_step_of_its_name(tmp_path: Path) -> None:
    jsonl(tmp_path / "20.jsonl", [{"input": "1+1?", "output": "2", "gts": "2", "score": 1.0}])
    path = packed(tmp_path / "20.jsonl.gz")
    assert logs.steps(tmp_path, "verl").files == {20: (path,)}
    (tmp_path / "rates.csv").write_text("question,answer,n,k\n1+1?,2,4,1\n")
    assert logs.read(packed(tmp_path / "rates.csv.gz"), "counts").n_rollouts == 4
