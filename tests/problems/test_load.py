"""From a source to a set of problems: every row comes out, and every complaint names its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ProblemsError
from curate.problems import ProblemSet, load
from curate.recipe import ProblemsSection
from curate.records import Message, Reason


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def loaded(source: Path, **settings: Any) -> ProblemSet:
    return load(ProblemsSection(source=str(source), **settings))


def complaint(source: Path, **settings: Any) -> ProblemsError:
    with pytest.raises(ProblemsError) as caught:
        loaded(source, **settings)
    return caught.value


SUMS = [
    {"question": "1+1?", "answer": "2", "level": 1},
    {"question": "2+2?", "answer": "4", "level": 1},
    {"question": "20+22?", "answer": "42", "level": 2},
]


# -- the plain case -------------------------------------------------------------------------------------------------


def test_each_row_is_a_problem_in_source_order(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "sums.jsonl", SUMS)
    found = loaded(path)
    assert [problem.question for problem in found.problems] == ["1+1?", "2+2?", "20+22?"]
    assert [problem.answers for problem in found.problems] == [("2",), ("4",), ("42",)]
    assert [problem.metadata for problem in found.problems] == [{"level": 1}, {"level": 1}, {"level": 2}]
    assert all(problem.set_aside is None for problem in found.problems)
    assert found.source == str(path)


def test_a_content_hash_names_a_problem_wherever_it_stands(tmp_path: Path) -> None:
    here = loaded(jsonl(tmp_path / "a.jsonl", SUMS)).problems
    there = loaded(jsonl(tmp_path / "b.jsonl", SUMS[::-1])).problems
    assert [problem.problem_id for problem in here] == [problem.problem_id for problem in there][::-1]
    assert all(re.fullmatch("[0-9a-f]{16}", problem.problem_id) for problem in here)
    assert len({problem.problem_id for problem in here}) == 3


def test_an_id_column_names_problems_by_its_text(tmp_path: Path) -> None:
    rows = [{**row, "key": key} for row, key in zip(SUMS, [7, "a/b", 9.0], strict=True)]
    found = loaded(jsonl(tmp_path / "sums.jsonl", rows), id="key")
    assert [problem.problem_id for problem in found.problems] == ["7", "a/b", "9"]
    assert "key" not in found.problems[0].metadata


def test_a_limit_reads_only_the_first_rows(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "sums.jsonl", SUMS)
    path.write_text(path.read_text() + "broken\n")
    assert [problem.question for problem in loaded(path, limit=2).problems] == ["1+1?", "2+2?"]


def test_the_fingerprint_ignores_the_order_and_sees_every_change(tmp_path: Path) -> None:
    def fingerprint(rows: list[dict[str, Any]]) -> str:
        return loaded(jsonl(tmp_path / "x.jsonl", rows), id="id").fingerprint

    rows = [{**row, "id": f"p{position}"} for position, row in enumerate(SUMS)]
    plain = fingerprint(rows)
    assert fingerprint(rows[::-1]) == plain
    assert fingerprint([{**rows[0], "level": 5}, *rows[1:]]) == plain
    for change in ({"id": "q"}, {"question": "1+2?"}, {"answer": "3"}):
        assert fingerprint([{**rows[0], **change}, *rows[1:]]) != plain
    assert fingerprint(rows[:2]) != plain


# -- answers --------------------------------------------------------------------------------------------------------


def test_a_missing_reference_is_set_aside_and_counted(tmp_path: Path) -> None:
    absent: list[Any] = [None, "", "  \t", [], [None, " "], float("nan")]
    rows: list[dict[str, Any]] = [{"question": f"{n}?", "answer": answer} for n, answer in enumerate(absent)]
    rows += [{"question": "no key?"}, {"question": "usable?", "answer": "1"}, {"question": " ", "answer": "1"}]
    problems = loaded(jsonl(tmp_path / "x.jsonl", rows)).problems
    assert len(problems) == len(rows)
    for problem in problems[:7]:
        assert (problem.set_aside, problem.set_aside_why) == (Reason.UNVERIFIABLE, "the reference answer is empty")
        assert problem.answers == ()
    assert problems[7].set_aside is None
    assert (problems[8].set_aside, problems[8].set_aside_why) == (Reason.UNVERIFIABLE, "the question is empty")


def test_an_answer_pattern_takes_its_last_match(tmp_path: Path) -> None:
    rows = [
        {"question": "a?", "answer": "#### 1\nno, wait\n####   1,250  "},
        {"question": "b?", "answer": "2+2 is\n#### 4\n"},
        {"question": "c?", "answer": "never says"},
        {"question": "d?", "answer": "#### "},
        {"question": "e?", "answer": None},
    ]
    problems = loaded(jsonl(tmp_path / "x.jsonl", rows), answer_pattern=r"####[ ]*(.*)$").problems
    assert [problem.answers for problem in problems] == [("1,250",), ("4",), (), (), ()]
    assert [problem.set_aside for problem in problems] == [None, None] + [Reason.UNVERIFIABLE] * 3
    assert problems[2].set_aside_why == "answer_pattern finds no reference in 'never says'"
    assert problems[4].set_aside_why == "the reference answer is empty"


def test_a_pattern_that_matches_nowhere_is_wrong(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", SUMS)
    error = complaint(path, answer_pattern=r"####\s*(.+)$")
    assert error.where == str(path)
    assert "finds no reference in any of 3 rows" in error.message
    assert "'2'" in error.message
    assert "problems.answer_pattern" in str(error.hint)


def test_a_pattern_over_nothing_but_empty_answers_is_not_to_blame(tmp_path: Path) -> None:
    found = loaded(jsonl(tmp_path / "x.jsonl", [{"question": "a?", "answer": None}]), answer_pattern="(.+)")
    assert found.problems[0].set_aside_why == "the reference answer is empty"


def test_a_nested_column_is_reached_by_dots(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "1+1?"}],
            "reward_model": {"style": "rule", "ground_truth": "2"},
            "extra_info": {"index": 11},
        }
    ]
    path = jsonl(tmp_path / "verl.jsonl", rows)
    found = loaded(path, question="prompt", answer="reward_model.ground_truth", id="extra_info.index").problems[0]
    assert (found.problem_id, found.question, found.answers) == ("11", "1+1?", ("2",))
    assert found.messages == (Message("system", "Be exact."), Message("user", "1+1?"))
    assert found.metadata == {"reward_model": {"style": "rule", "ground_truth": "2"}, "extra_info": {"index": 11}}

    error = complaint(path, question="prompt", answer="reward_model")
    assert error.where == f"{path}:1"
    assert error.message == "column 'reward_model' holds a mapping, not text"
    assert "reward_model.ground_truth" in str(error.hint)


# -- missing columns ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (
            {"question": "qestion"},
            "there is no column 'qestion' for the question",
            "did you mean 'question'? The columns are: question, answer, level",
        ),
        (
            {"answer": "Answer"},
            "there is no column 'Answer' for the reference answer",
            "did you mean 'answer'? The columns are: question, answer, level",
        ),
        (
            {"id": "unique_id"},
            "there is no column 'unique_id' for the id",
            "The columns are: question, answer, level",
        ),
    ],
)
def test_a_missing_column_names_the_nearest_and_all(
    tmp_path: Path, settings: dict[str, str], message: str, hint: str
) -> None:
    error = complaint(jsonl(tmp_path / "sums.jsonl", SUMS), **settings)
    assert (error.message, error.hint) == (message, hint)


def test_a_missing_nested_column_shows_the_parts(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{"question": "a?", "reward_model": {"ground_truth": "1"}}])
    error = complaint(path, answer="reward_model.groundtruth")
    assert "did you mean 'reward_model.ground_truth'?" in str(error.hint)


# -- ids and duplicates ---------------------------------------------------------------------------------------------


def test_a_repeated_question_is_kept_once_and_listed(tmp_path: Path) -> None:
    rows = [
        {"question": "How many\n legs  has a cat?", "answer": "4"},
        {"question": "How many legs has a cat?", "answer": "4"},
        {"question": "How many legs has a cat?", "answer": "four"},
        {"question": "how many legs has a cat?", "answer": "4"},
        {"question": "How many legs has a cat", "answer": "4"},
    ]
    problems = loaded(jsonl(tmp_path / "x.jsonl", rows)).problems
    kept = problems[0].problem_id
    assert [problem.set_aside for problem in problems] == [None, Reason.DUPLICATE, Reason.DUPLICATE, None, None]
    assert problems[1].set_aside_why == f"same question as {kept}"
    assert problems[2].set_aside_why == f"same question as {kept} with another answer: 'four' against '4'"
    assert problems[1].problem_id == f"{kept}-2"
    assert len({problem.problem_id for problem in problems}) == 5


def test_letters_composed_or_not_are_the_same_letters(tmp_path: Path) -> None:
    rows = [{"question": "caf\u00e9?", "answer": "1"}, {"question": "cafe\u0301?", "answer": "1"}]
    problems = loaded(jsonl(tmp_path / "x.jsonl", rows)).problems
    assert problems[1].set_aside is Reason.DUPLICATE


def test_an_empty_reference_does_not_displace_a_usable_one(tmp_path: Path) -> None:
    rows = [{"question": "1+1?", "answer": ""}, {"question": "1+1?", "answer": "2"}]
    problems = loaded(jsonl(tmp_path / "x.jsonl", rows)).problems
    assert [problem.set_aside for problem in problems] == [Reason.UNVERIFIABLE, None]


def test_chats_are_duplicates_only_as_a_whole(tmp_path: Path) -> None:
    def chat(system: str) -> dict[str, Any]:
        turns = [{"role": "system", "content": system}, {"role": "user", "content": "Go on."}]
        return {"question": turns, "answer": "1"}

    problems = loaded(jsonl(tmp_path / "x.jsonl", [chat("Add."), chat("Subtract."), chat("Add.")])).problems
    assert [problem.set_aside for problem in problems] == [None, None, Reason.DUPLICATE]


def test_an_id_for_two_problems_names_the_first(tmp_path: Path) -> None:
    rows = [{**SUMS[0], "id": "a"}, {**SUMS[1], "id": "b"}, {**SUMS[2], "id": "a"}]
    path = jsonl(tmp_path / "x.jsonl", rows)
    error = complaint(path, id="id")
    assert error.where == f"{path}:3"
    assert error.message == f"the id 'a' stands for two different problems; the first is at {path}:1"


def test_an_id_for_one_problem_twice_is_a_duplicate(tmp_path: Path) -> None:
    rows = [{**SUMS[0], "id": "a"}, {**SUMS[0], "id": "a"}, {**SUMS[1], "id": "a-2"}]
    problems = loaded(jsonl(tmp_path / "x.jsonl", rows), id="id").problems
    assert [problem.problem_id for problem in problems] == ["a", "a-3", "a-2"]
    assert problems[1].set_aside is Reason.DUPLICATE


@pytest.mark.parametrize("missing", [{}, {"id": None}, {"id": " "}])
def test_a_row_without_its_id_is_named(tmp_path: Path, missing: dict[str, Any]) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{**SUMS[0], "id": "a"}, {**SUMS[1], **missing}])
    error = complaint(path, id="id")
    assert (error.where, error.message) == (f"{path}:2", "no id in column 'id'")


# -- properties -----------------------------------------------------------------------------------------------------

# Carriage returns are left out because polars writes them into CSV bare, where they end a line.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=12)


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_the_same_rows_are_the_same_problems_in_every_format(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    frame = pl.DataFrame({"question": [q for q, _ in rows], "answer": [a for _, a in rows]})
    frame.write_ndjson(folder / "x.jsonl")
    frame.write_parquet(folder / "x.parquet")
    frame.write_csv(folder / "x.csv", quote_style="always")
    (folder / "x.json").write_text(json.dumps(frame.to_dicts()))
    sets = [loaded(folder / f"x.{suffix}") for suffix in ("jsonl", "parquet", "csv", "json")]
    assert [problem.question for problem in sets[0].problems] == [q for q, _ in rows]
    assert all(other.problems == sets[0].problems for other in sets[1:])
    assert len({one.fingerprint for one in sets}) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2"])), min_size=1, max_size=10))
def test_the_rows_add_up(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = jsonl(tmp_path_factory.mktemp("rows") / "x.jsonl", [{"question": q, "answer": a} for q, a in rows])
    problems = loaded(path).problems
    assert len(problems) == len(rows)
    assert len({problem.problem_id for problem in problems}) == len(rows)
    assert sum(problem.set_aside is None for problem in problems) == len({q for q, a in rows if a})
    assert sum(problem.set_aside is Reason.UNVERIFIABLE for problem in problems) == sum(not a for _, a in rows)


# -- third-party files ----------------------------------------------------------------------------------------------


def test_gsm8k_loads_by_its_pattern(third_party_data: Path) -> None:
    path = third_party_data / "problems" / "gsm8k_test.jsonl"
    found = loaded(path, answer_pattern=r"####\s*(.+)$")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(found.problems) == len(lines) == 1319
    # Independently of any pattern: what follows the last marker of each line.
    expected = [json.loads(line)["answer"].rpartition("####")[2].strip() for line in lines]
    assert [problem.answers for problem in found.problems] == [(answer,) for answer in expected]
    assert (expected[0], found.problems[0].answers) == ("18", ("18",))
    assert not any(problem.set_aside for problem in found.problems)


def test_math500_loads_with_its_own_ids(third_party_data: Path) -> None:
    path = third_party_data / "problems" / "math500.jsonl"
    found = loaded(path, question="problem", id="unique_id")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(found.problems) == 500
    assert found.problems[0].problem_id == "test/precalculus/807.json"
    assert found.problems[0].answers == (rows[0]["answer"],)
    assert found.problems[-1].answers == (rows[-1]["answer"],)
    assert list(found.problems[0].metadata) == ["solution", "subject", "level"]


def test_svamp_gives_numbers_as_whole_numbers(third_party_data: Path) -> None:
    path = third_party_data / "problems" / "svamp_test.jsonl"
    found = loaded(path, question="Body", answer="Answer", id="ID")
    rows = pl.read_ndjson(path)
    assert len(found.problems) == rows.height == 1000
    assert [float(problem.answers[0]) for problem in found.problems] == rows["Answer"].to_list()
    assert not any(problem.answers[0].endswith(".0") for problem in found.problems)
