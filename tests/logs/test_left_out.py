"""Rows that are left out, of another step, of no model or of no sense, are told and counted, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import jsonl

from curate import logs
from curate.errors import ProblemsError, UsageError


def row(problem: str = "a", **changes: Any) -> dict[str, Any]:
    return {"problem_id": problem, "question": f"{problem}?", "answer": "2", "completion": "It is 2.", **changes}


@pytest.mark.parametrize("written", ["jsonl", "parquet"])
def test_a_whole_float_is_the_step_that_it_equals(tmp_path: Path, written: str) -> None:
    rows = [row(step=10.0), row("b", step=20.0), row("c", step=10.0)]
    if written == "jsonl":
        path = jsonl(tmp_path / "x.jsonl", [{**rows[0], "step": 10}, *rows[1:]])
    else:
        path = tmp_path / "x.parquet"
        pl.DataFrame(rows).write_parquet(path)
    found = logs.steps(path, written)
    assert (found.files, found.n_bad_lines) == ({10: (path,), 20: (path,)}, 0)
    log = logs.read(path, written, step=10)
    assert (log.step, log.n_rollouts, log.n_others) == (10, 2, 1)


@pytest.mark.parametrize(
    ("step", "words"),
    [("20", "the step is '20', not a whole number"), (2.5, "the step is 2.5"), (None, "this row has no step")],
)
def test_a_row_that_tells_no_step_is_named_or_counted(tmp_path: Path, step: Any, words: str) -> None:
    good = jsonl(tmp_path / "a10.jsonl", [row(step=10)])
    bad = jsonl(tmp_path / "b20.jsonl", [row("b", step=20), row("c", step=step)])
    with pytest.raises(ProblemsError) as caught:
        logs.steps([good, bad], "jsonl")
    assert caught.value.where == f"{bad}:2"
    assert words in caught.value.message
    assert "--skip-bad-lines" in str(caught.value.hint)
    found = logs.steps([good, bad], "jsonl", skip_bad_lines=True)
    assert (found.files, found.n_bad_lines) == ({10: (good,), 20: (bad,)}, 1)
    assert found.bad_lines[0].startswith(f"{bad}:2: {words}")


def test_a_log_whose_every_step_is_a_text_says_so(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(step="10"), row("b", step="20")])
    for skip in (False, True):
        with pytest.raises(ProblemsError, match="the step is '10', not a whole number"):
            logs.steps(path, "jsonl", skip_bad_lines=skip)
    with pytest.raises(UsageError, match="no row of the log has a step"):
        logs.steps(path, "jsonl", columns={"step": None})


def test_bad_rows_of_another_step_are_not_counted_for_this_one(tmp_path: Path) -> None:
    rows = [row(step=10), row("b", step=20, reward="x"), row("c", step=10, reward="y"), row("d", step="10")]
    path = jsonl(tmp_path / "x.jsonl", rows)
    log = logs.read(path, "jsonl", step=10, skip_bad_lines=True)
    assert (log.n_rollouts, log.n_bad_lines, log.n_others) == (1, 2, 1)
    assert [line.partition(": ")[0] for line in log.bad_lines] == [f"{path}:3", f"{path}:4"]
    with pytest.raises(ProblemsError, match="no row can be read; the first: the reward is 'x'"):
        logs.read(path, "jsonl", step=20, skip_bad_lines=True)


def test_a_row_without_a_model_is_of_none_of_several(tmp_path: Path) -> None:
    drawn = [row(model=name, completion=str(name)) for name in ("A", "B", "A", None)]
    lost = row(completion=None, error="refused")
    log = logs.read(jsonl(tmp_path / "x.jsonl", [*drawn, lost]), "jsonl", model="A")
    assert [one.completion for one, _ in log.rollouts()] == ["A", "A"]
    assert (log.n_rollouts, log.n_errors, log.n_others) == (2, 1, 2)
    # Of the one model that there is, it is.
    alone = logs.read(jsonl(tmp_path / "y.jsonl", [drawn[0], drawn[3]]), "jsonl", model="A")
    assert (alone.n_rollouts, alone.n_others) == (2, 0)


@pytest.mark.parametrize("said", ["None", "null", "", 0, False])
def test_an_error_that_says_there_was_none_leaves_the_answer(tmp_path: Path, said: Any) -> None:
    log = logs.read(jsonl(tmp_path / "x.jsonl", [row(error=said)]), "jsonl")
    assert (log.n_rollouts, log.n_errors) == (1, 0)


def test_a_row_of_many_rollouts_is_one_bad_row(tmp_path: Path) -> None:
    rows = [row(completion=["2"] * 3, reward=["x", "y", 1.0]), row("b", completion=["2"], reward=["z"])]
    log = logs.read(path := jsonl(tmp_path / "x.jsonl", rows), "jsonl", skip_bad_lines=True)
    assert log.n_bad_lines == 2
    assert [line.partition(": ")[0] for line in log.bad_lines] == [f"{path}:1", f"{path}:2"]
