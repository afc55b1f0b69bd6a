"""Rollouts that other tools drew: every row is checked, none is guessed at."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import logs
from curate.errors import CurateError, ProblemsError, UsageError
from curate.problems import load
from curate.recipe import ProblemsSection
from curate.records import Reason, Rollout


def row(problem: str = "a", **changes: Any) -> dict[str, Any]:
    """A row of a problem whose answer is 2."""
    plain = {"problem_id": problem, "question": f"{problem}?", "answer": "2", "completion": "It is 2."}
    return {name: value for name, value in {**plain, **changes}.items() if value is not ...}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return path


def complaint(path: Path, **settings: Any) -> CurateError:
    with pytest.raises(CurateError) as caught:
        logs.read(path, "jsonl", **settings)
    return caught.value


# -- what is read ---------------------------------------------------------------------------------------------------


def test_a_row_is_one_rollout(tmp_path: Path) -> None:
    rows = [
        row("a", index=0, completion="one", reward=1, finish_reason="stop", prompt_tokens=5, completion_tokens=7),
        row("b", index=3, completion="two", reward=0.25, finish_reason="length"),
        row("a", index=1, completion="", reward=None),
    ]
    path = jsonl(tmp_path / "x.jsonl", rows)
    os.utime(path, (1_000_000, 1_000_000))
    log = logs.read(path, "jsonl")
    fixed: dict[str, Any] = {"seed": -1, "engine": "import jsonl", "created": 1_000_000.0}
    none = {"prompt_tokens": 0, "completion_tokens": 0}
    assert list(log.rollouts()) == [
        (Rollout("a", 0, completion="one", finish_reason="stop", prompt_tokens=5, completion_tokens=7, **fixed), 1.0),
        (Rollout("b", 3, completion="two", finish_reason="length", **none, **fixed), 0.25),
        (Rollout("a", 1, completion="", finish_reason="stop", **none, **fixed), None),
    ]
    assert [(problem.problem_id, problem.question, problem.answers) for problem in log.problems] == [
        ("a", "a?", ("2",)),
        ("b", "b?", ("2",)),
    ]
    assert (log.n_rollouts, log.n_rewards, log.n_unknown_finish, log.n_bad_lines) == (3, 2, 1, 0)


def test_the_rollouts_can_be_read_again(tmp_path: Path) -> None:
    log = logs.read(jsonl(tmp_path / "x.jsonl", [row(), row("b")]), "jsonl")
    assert list(log.rollouts()) == list(log.rollouts())


def test_without_an_index_rows_count_up_within_their_problem_over_all_files(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "1.jsonl", [row("a"), row("b"), row("a")])
    second = jsonl(tmp_path / "2.jsonl", [row("b"), row("a")])
    log = logs.read([first, second], "jsonl")
    assert [(rollout.problem_id, rollout.index) for rollout, _ in log.rollouts()] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2),
    ]  # fmt: skip


def test_without_an_id_a_problem_has_the_one_it_has_in_a_problem_file(tmp_path: Path) -> None:
    rows = [
        {"question": "1+1?", "answer": 2},
        {"question": " 1+1? ", "answer": "2"},
        {"question": "x?", "answer": [1, 2]},
    ]
    problems = load(ProblemsSection(source=str(jsonl(tmp_path / "p.jsonl", rows)))).problems
    log = logs.read(jsonl(tmp_path / "l.jsonl", [{**each, "completion": "c"} for each in rows]), "jsonl")
    assert [problem.problem_id for problem in log.problems] == [problems[0].problem_id, problems[2].problem_id]
    assert log.problems[1].answers == ("1", "2")
    assert [rollout.index for rollout, _ in log.rollouts()] == [0, 1, 0]


def test_repeated_questions_and_empty_references_are_set_aside_as_ever(tmp_path: Path) -> None:
    rows = [row("a"), row("b", question="a?", answer="3"), row("c", answer=None), row("d", question="")]
    found = logs.read(jsonl(tmp_path / "x.jsonl", rows), "jsonl").problems
    assert [problem.set_aside for problem in found] == [
        None, Reason.DUPLICATE, Reason.UNVERIFIABLE, Reason.UNVERIFIABLE,
    ]  # fmt: skip
    assert found[1].set_aside_why == "same question as a with another answer: '3' against '2'"


@pytest.mark.parametrize(
    ("said", "meant"),
    [("stop", "stop"), ("EOS", "stop"), (" end_turn ", "stop"), ("length", "length"), ("MAX_TOKENS", "length")],
)
def test_other_names_of_how_a_rollout_ended_are_known(tmp_path: Path, said: str, meant: str) -> None:
    log = logs.read(jsonl(tmp_path / "x.jsonl", [row(finish_reason=said)]), "jsonl")
    assert [rollout.finish_reason for rollout, _ in log.rollouts()] == [meant]


def test_columns_may_have_other_names_and_nest(tmp_path: Path) -> None:
    rows = [{"uid": 7, "prompt": "1+1?", "gt": {"value": 2}, "response": "2", "index": 900, "score": 1.0, "step": 3}]
    columns = {"problem_id": "uid", "question": "prompt", "answer": "gt.value", "completion": "response"}
    log = logs.read(jsonl(tmp_path / "x.jsonl", rows), "jsonl", columns={**columns, "reward": "score", "index": None})
    assert [problem.problem_id for problem in log.problems] == ["7"]
    assert [(rollout.index, rollout.completion, reward) for rollout, reward in log.rollouts()] == [(0, "2", 1.0)]
    assert (log.unused_columns, log.step) == (("index",), 3)


def test_metadata_is_that_of_the_first_row(tmp_path: Path) -> None:
    rows = [row(metadata={"level": 1}), row(metadata={"level": 2})]
    assert logs.read(jsonl(tmp_path / "x.jsonl", rows), "jsonl").problems[0].metadata == {"level": 1}


def test_parquet_says_the_same_as_json_lines(tmp_path: Path) -> None:
    rows = [row("a", index=0, reward=1.0), row("a", index=1, reward=None), row("b", index=0, reward=0.0)]
    frame = pl.DataFrame(rows)
    frame.write_parquet(tmp_path / "x.parquet")
    lines = logs.read(jsonl(tmp_path / "x.jsonl", rows), "jsonl")
    table = logs.read(tmp_path / "x.parquet", "parquet")
    assert table.problems == lines.problems
    assert [(r.problem_id, r.index, r.completion, reward) for r, reward in table.rollouts()] == [
        (r.problem_id, r.index, r.completion, reward) for r, reward in lines.rollouts()
    ]
    assert {rollout.engine for rollout, _ in table.rollouts()} == {"import parquet"}


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (row(completion=None), "the completion is null, not text"),
        (row(completion={"a": 1}), "the completion is {'a': 1}, not text"),
        (row(index=-1), "the index is -1, not a whole number from 0 to 1048575"),
        (row(index=1.5), "the index is 1.5"),
        (row(index=True), "the index is True"),
        (row(index="1"), "the index is '1'"),
        (row(index=2**20), "the index is 1048576"),
        (row(finish_reason="ended"), "the finish_reason is 'ended'"),
        (row(finish_reason=0), "the finish_reason is 0"),
        (row(reward="1.0"), "the reward is '1.0', not a number"),
        (row(reward=float("inf")), "the reward is inf, not a number"),
        (row(prompt_tokens=-1), "the prompt_tokens is -1"),
        (row(metadata="level 1"), "the metadata is 'level 1', not a mapping"),
        (row(answer={"value": 2}), "column 'answer' holds a mapping"),
        (row(problem_id=["a"]), "column 'problem_id' holds a list"),
    ],
)
def test_a_bad_cell_is_refused_by_line(tmp_path: Path, bad: dict[str, Any], words: str) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row("other", index=0 if "index" in bad else ...), bad])
    error = complaint(path)
    assert error.where == f"{path}:2"
    assert words in error.message


def test_a_missing_column_names_the_nearest_and_all(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(completion=..., completions="2")])
    error = complaint(path)
    assert (error.where, error.message) == (f"{path}:1", "there is no column 'completion' for the completion")
    assert error.hint == "did you mean 'completions'? The columns are: problem_id, question, answer, completions"


def test_a_column_that_no_row_has_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(idx=0), row("b", uid=1, idx=0)])
    error = complaint(path, columns={"index": "number"})
    assert (type(error), error.where) == (UsageError, "--column index=number")
    assert error.message == "there is no column 'number' for the index"
    assert error.hint == "The columns are: problem_id, question, answer, completion, idx, uid"
    # One row that has it is enough.
    assert logs.read(path, "jsonl", columns={"index": "idx", "prompt_tokens": "uid"}).n_rollouts == 2


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row()])
    path.write_text(path.read_text() + '{"question": \n' + path.read_text())
    error = complaint(path)
    assert error.where == f"{path}:2"
    assert error.message.startswith("not JSON")
    assert error.hint == "--skip-bad-lines leaves such rows out, and counts them"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"question": "b?"}, "another question"), ({"answer": "3"}, "another reference")],
)
def test_one_id_for_two_problems_names_both_lines(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(), row("b", question="c?"), row(**changes)])
    error = complaint(path)
    assert error.where == f"{path}:3"
    assert error.message == f"problem_id 'a' has {words} than at {path}:1"


def test_an_index_twice_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(index=0), row("b", index=0), row(index=0)])
    error = complaint(path)
    assert (error.where, error.message) == (f"{path}:3", "index 0 of problem 'a' was there before")


def test_indices_on_some_rows_only_are_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(index=0), row("b")])
    error = complaint(path)
    assert (error.where, error.message) == (f"{path}:2", f"this row has no index, the row at {path}:1 has one")
    path = jsonl(tmp_path / "y.jsonl", [row(), row("b", index=0)])
    assert complaint(path).message == f"this row has an index, the row at {path}:1 has none"


def test_bad_lines_are_counted_and_leave_no_trace_when_that_is_asked_for(tmp_path: Path) -> None:
    rows = [
        row("bad", index=0, reward="x"),
        row("a", index=0),
        row("a", index=0, completion="again"),
        row("a", index=1, answer="3"),
        row("a", index=1, completion="good"),
    ]
    path = jsonl(tmp_path / "x.jsonl", rows)
    path.write_text(path.read_text() + "junk\n" * 9)
    log = logs.read(path, "jsonl", skip_bad_lines=True)
    assert [(rollout.index, rollout.completion) for rollout, _ in log.rollouts()] == [(0, "It is 2."), (1, "good")]
    assert [problem.problem_id for problem in log.problems] == ["a"]
    assert (log.n_rollouts, log.n_bad_lines, len(log.bad_lines)) == (2, 12, 5)
    assert log.bad_lines[0] == f"{path}:1: the reward is 'x', not a number"


def test_a_log_of_bad_lines_only_is_refused_all_the_same(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row(completion=3)] * 2)
    error = complaint(path, skip_bad_lines=True)
    assert error.where == f"{path}:1"
    assert error.message == "no row can be read; the first: the completion is 3, not text"


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.jsonl").message == "there is no such file"
    assert complaint(tmp_path).message == "there is no jsonl log in this folder"
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert (complaint(empty).message, complaint(empty).where) == ("the file is empty", str(empty))
    empty.write_text("\n\n")
    assert (complaint(empty).message, complaint(empty).where) == ("it holds no rows", str(empty))
    junk = tmp_path / "x.parquet"
    junk.write_bytes(b"PAR1 junk")
    with pytest.raises(ProblemsError, match="not a whole Parquet file"):
        logs.read(junk, "parquet", skip_bad_lines=True)


def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [row()])
    with pytest.raises(UsageError, match="unknown log format 'xml'") as caught:
        logs.read(path, "xml")
    assert caught.value.where == "--format"
    assert "The formats are: jsonl, parquet, open-r1" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"did you mean 'jsonl'\? The formats are: jsonl, parquet"):
        logs.read(path, "josnl")
    with pytest.raises(UsageError, match="named twice"):
        logs.read([path, tmp_path / "." / "x.jsonl"], "jsonl")
    with pytest.raises(UsageError, match="no log file"):
        logs.read([], "jsonl")
    with pytest.raises(UsageError, match="no column 'complection'") as caught:
        logs.read(path, "jsonl", columns={"complection": "response"})
    assert caught.value.hint == "did you mean 'completion'?"
    with pytest.raises(UsageError, match="'completion' cannot be left out"):
        logs.read(path, "jsonl", columns={"completion": None})


# -- properties -----------------------------------------------------------------------------------------------------

DRAWN = st.tuples(st.sampled_from("abc"), st.text(max_size=8), st.none() | st.sampled_from([0.0, 0.5, 1.0]))


@given(st.lists(DRAWN, min_size=1, max_size=12))
def test_no_rollout_is_lost_and_no_index_is_given_twice(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str, float | None]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "x.jsonl"
    jsonl(path, [row(name, completion=text, reward=reward) for name, text, reward in drawn])
    log = logs.read(path, "jsonl")
    read = list(log.rollouts())
    assert [(rollout.problem_id, rollout.completion, reward) for rollout, reward in read] == drawn
    for name in "abc":
        own = [rollout.index for rollout, _ in read if rollout.problem_id == name]
        assert own == list(range(len(own)))
    assert log.n_rollouts == len(drawn)
    assert log.n_rewards == sum(reward is not None for _, _, reward in drawn)


# -- third-party files ----------------------------------------------------------------------------------------------


def test_real_rollouts_import_once_they_are_plain_rows(third_party_data: Path, tmp_path: Path) -> None:
    text = (third_party_data / "rollouts" / "qwen25math_math100x8.jsonl").read_text(encoding="utf-8")
    given = [json.loads(line) for line in text.splitlines()]
    rows = [
        {"question": each["question"], "answer": each["gt"], "completion": completion, "reward": float(passed)}
        for each in given
        for completion, passed in zip(each["code"], each["score"], strict=True)
    ]
    log = logs.read(jsonl(tmp_path / "x.jsonl", rows), "jsonl")
    assert (len(log.problems), log.n_rollouts, log.n_rewards) == (100, 800, 800)
    assert sum(reward or 0 for _, reward in log.rollouts()) == sum(sum(each["score"]) for each in given)
    assert max(rollout.index for rollout, _ in log.rollouts()) == 7
