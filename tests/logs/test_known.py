"""A log that only names its problems finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import jsonl

from curate import logs
from curate.errors import ProblemsError, UsageError
from curate.logs.known import Known

PROBLEMS = [
    {"id": "gsm8k-12", "question": "What is 1+1?", "answer": "2", "level": "easy"},
    {"id": "gsm8k-1", "question": "What is 1+1? Say why.", "answer": "2, because"},
    {"id": 7, "problem": "What is 2+2?", "solution": "4"},
]


def known(tmp_path: Path, rows: list[dict[str, Any]] | None = None, **columns: str) -> Known:
    return Known([jsonl(tmp_path / "problems.jsonl", PROBLEMS if rows is None else rows)], columns)


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("gsm8k-12", "What is 1+1?"),
        ("gsm8k-1", "What is 1+1? Say why."),
        ("gsm8k-1-0", "What is 1+1? Say why."),
        ("gsm8k-12_sample_3", "What is 1+1?"),
        ("gsm8k-12/rs10", "What is 1+1?"),
        ("7", "What is 2+2?"),
        ("7:15", "What is 2+2?"),
    ],
)
def test_an_id_may_have_the_number_of_its_draw_behind_it(tmp_path: Path, name: str, question: str) -> None:
    found = known(tmp_path).fill({"problem_id": name, "question": None})
    assert (found["question"], found["problem_id"]) == (question, None)


def test_a_question_is_found_inside_its_prompt_and_the_longest_one_counts(tmp_path: Path) -> None:
    problems = known(tmp_path)
    template = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
    asked = {answer: template.format(question) for question, answer in (("What is  1+1?", "2"), ("What is 2+2?", "4"))}
    assert all(problems.fill({"question": prompt})["answer"] == answer for answer, prompt in asked.items())
    assert problems.fill({"question": template.format("What is 1+1? Say why.")})["answer"] == "2, because"
    chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is 1+1?"}]
    found = problems.fill({"question": chat, "completion": "2"})
    assert (found["question"], found["completion"], found["metadata"]["level"]) == ("What is 1+1?", "2", "easy")


@pytest.mark.parametrize("row", [{"problem_id": "gsm8k-13"}, {"problem_id": "gsm8k"}, {"question": "What is 3+3?"}])
def test_a_problem_that_is_not_there_is_no_other(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(ProblemsError, match="--problems has no problem of"):
        known(tmp_path).fill({"question": None, **row})


def test_columns_of_the_problems_may_have_other_names(tmp_path: Path) -> None:
    rows = [{"key": "a", "text": "What is 1+1?", "gold": {"value": "2"}}]
    problems = known(tmp_path, rows, problem_id="key", question="text", answer="gold.value")
    assert problems.fill({"problem_id": "a"})["answer"] == "2"
    with pytest.raises(ProblemsError, match="without a question: the columns are gold, topic") as caught:
        known(tmp_path, [{"gold": "2", "topic": "sums"}])
    assert "the question is looked for in question, problem, prompt" in str(caught.value.hint)
    assert "the id in custom_id, problem_id, id" in str(caught.value.hint)


@pytest.mark.parametrize("mine", [{"q": "1+1?"}, {"question": "1+1?"}, {"key": "a"}])
def test_columns_of_another_name_are_the_problems_or_the_logs(tmp_path: Path, mine: dict[str, str]) -> None:
    problems = jsonl(tmp_path / "problems.jsonl", [{"key": "a", "q": "1+1?", "ref": "2"}])
    log = jsonl(tmp_path / "log.jsonl", [{**mine, "completion": "2"}])
    columns = {"problem_id": "key", "question": "q", "answer": "ref"}
    read = logs.read(log, "jsonl", problems=[problems], columns=columns)
    assert [(problem.question, problem.answers) for problem in read.problems] == [("1+1?", ("2",))]
    with pytest.raises(UsageError, match="no column 'refs' for the index"):
        logs.read(log, "jsonl", problems=[problems], columns={**columns, "index": "refs"})
