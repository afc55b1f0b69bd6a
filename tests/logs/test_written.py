"""Logs that the tools wrote themselves (tests/logs/written) are read as their own files say they should be."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from builders import jsonl

from curate import logs
from curate.errors import ProblemsError, UsageError
from curate.records import FailedRequest

WRITTEN = Path(__file__).parent / "written"
TINY = "tiny"
"""What the demo's model is called in these logs."""


def drawn(log: logs.LogBatch) -> list[tuple[str, str, str, float | None]]:
    """Question, completion, finish reason and reward of every rollout, sorted."""
    asked = {problem.problem_id: problem.question for problem in log.problems}
    return sorted(
        ((asked[one.problem_id], one.completion, one.finish_reason, reward) for one, reward in log.rollouts()),
        key=str,
    )


def failed(log: logs.LogBatch) -> list[FailedRequest]:
    return [one for one, _ in log.entries() if isinstance(one, FailedRequest)]


def answers(log: logs.LogBatch) -> dict[str, tuple[str, ...]]:
    return {problem.question: problem.answers for problem in log.problems}


# -- TRL 1.16.0 -----------------------------------------------------------------------------------------------------


def test_trl_steps_are_apart_and_one_reward_is_named() -> None:
    with pytest.raises(UsageError, match=r"several rewards: 'accuracy', 'short'"):
        logs.read(WRITTEN / "trl", "trl")
    with pytest.raises(
        UsageError, match=r"several steps of a policy in training: 1 \(8 rows\), 2 \(8 rows\)"
    ) as caught:
        logs.read(WRITTEN / "trl", "trl", reward="accuracy")
    assert "--every-step" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no 3 among its steps"):
        logs.read(WRITTEN / "trl", "trl", reward="accuracy", step=3)
    log = logs.read(WRITTEN / "trl", "trl", reward="accuracy", step=2)
    assert (log.n_rollouts, log.n_rewards, log.n_others, log.step) == (8, 8, 8, 2)
    assert answers(log) == {"What is 47*6?": (), "What is 9+5?": ()}
    assert {turn.role for problem in log.problems for turn in problem.messages} == {"user"}
    files = {
        step: [path.name for path in paths]
        for step, paths in logs.steps(WRITTEN / "trl", "trl", reward="none").files.items()
    }
    assert files == {1: ["completions_00001.parquet"], 2: ["completions_00002.parquet"]}


def test_trl_gets_its_references_from_the_problems(tmp_path: Path) -> None:
    problems = tmp_path / "problems.csv"
    problems.write_text("question,answer,family\nWhat is 9+5?,14,add\nWhat is 47*6?,282,mul\nWhat is 1+1?,2,add\n")
    log = logs.read(WRITTEN / "trl", "trl", reward="none", step=1, problems=[problems])
    assert answers(log) == {"What is 47*6?": ("282",), "What is 9+5?": ("14",)}
    assert {problem.question: problem.metadata["family"] for problem in log.problems}["What is 9+5?"] == "add"
    assert log.n_rewards == 0
    problems.write_text("question,answer\nWhat is 47*6?,282\n")
    with pytest.raises(ProblemsError, match="--problems has no problem of the question 'What is 9\\+5"):
        logs.read(WRITTEN / "trl", "trl", reward="none", step=1, problems=[problems])


def test_older_trl_has_texts_for_prompts_and_completions(tmp_path: Path) -> None:
    """Made by hand after TRL 0.24, ``_logs["prompt"]`` of which is the prompt with its special tokens, as a text."""
    prompt = "<|im_start|>user\nWhat is 9+5?<|im_end|>\n<|im_start|>assistant\n"
    columns = {"step": [3], "prompt": [prompt], "completion": ["14"], "accuracy": [None], "advantage": [0.0]}
    pl.DataFrame(columns, schema_overrides={"accuracy": pl.Float64}).write_parquet(
        tmp_path / "completions_00003.parquet"
    )
    problems = tmp_path / "problems.csv"
    problems.write_text("question,answer\nWhat is 9+5?,14\n")
    log = logs.read(tmp_path, "trl", problems=[problems])
    assert (answers(log), log.step, log.n_rewards) == ({"What is 9+5?": ("14",)}, 3, 0)


def completions(path: Path, **rewards: list[float | None]) -> Path:
    """Four completions of one step, by hand, with nulls where pandas had NaN."""
    columns = {"step": [1] * 4, "prompt": ["What is 9+5?"] * 4, "completion": ["14", "15", "14", "15"]}
    types = dict.fromkeys(rewards, pl.Float64)
    pl.DataFrame({**columns, **rewards, "advantage": [0.0] * 4}, schema_overrides=types).write_parquet(path)
    return path


def test_trl_never_takes_another_reward_in_another_row(tmp_path: Path) -> None:
    halves: dict[str, list[float | None]] = {"math": [1.0, 0.0, None, None], "code": [None, None, 0.5, 0.25]}
    path = completions(tmp_path / "completions_00001.parquet", **halves)
    with pytest.raises(UsageError, match="several rewards: 'math', 'code'"):
        logs.read(path, "trl")
    log = logs.read(path, "trl", reward="code")
    assert [reward for _, reward in log.rollouts()] == [None, None, 0.5, 0.25]
    # Nor in another file.
    one = completions(tmp_path / "completions_00002.parquet", math=[1.0] * 4)
    two = completions(tmp_path / "completions_00003.parquet", code=[1.0] * 4)
    assert logs.read(one, "trl").n_rewards == 4
    for reader in (logs.read, logs.steps):
        with pytest.raises(UsageError, match="several rewards: 'math', 'code'"):
            reader([one, two], "trl")
    with pytest.raises(UsageError, match="no reward 'code'"):
        logs.read([one, two], "trl", reward="code")
    lines = tmp_path / "x.jsonl"
    rows = [{key: value for key, value in row.items() if value is not None} for row in pl.read_parquet(path).to_dicts()]
    with pytest.raises(UsageError, match="several rewards: 'math', 'code'"):
        logs.read(jsonl(lines, rows), "trl")


# -- lm-eval 0.4.13 -------------------------------------------------------------------------------------------------

SUMS = WRITTEN / "lm-eval" / "samples_sums_2026-11-25T17-48-27.329092.jsonl"
SUMS4 = WRITTEN / "lm-eval" / "samples_sums4_2026-11-25T17-48-27.329092.jsonl"


def test_lm_eval_reads_one_of_its_filters_and_what_the_results_say() -> None:
    with pytest.raises(UsageError, match="several filters") as caught:
        logs.read(SUMS, "lm-eval")
    assert "exact_match,boxed or exact_match,number" in str(caught.value.hint)
    with pytest.raises(UsageError):
        logs.read(SUMS, "lm-eval", reward="exact_match,strict")
    log = logs.read(SUMS, "lm-eval", reward="exact_match,number")
    assert answers(log) == {"What is 9+5?": ("14",), "What is 47*6?": ("282",), "What is 8+6?": ("14",)}
    assert [reward for *_, reward in drawn(log)] == [1.0, 1.0, 1.0]
    assert (log.origin.model, log.origin.temperature, log.origin.max_tokens) == (TINY, 1.0, 160)
    assert (log.origin.template, log.origin.tool_version) == ("{{question}}", "0.4.13")
    assert str(log.origin.chat_template).startswith("sha256:")


def test_lm_eval_repeats_have_no_reward_of_their_own() -> None:
    log = logs.read(SUMS4, "lm-eval", reward="exact_match,boxed")
    assert (log.n_rollouts, log.n_rewards, len(log.problems)) == (12, 0, 3)
    assert sorted(one.index for one, _ in log.rollouts()) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


# -- Inspect 0.3.285 ------------------------------------------------------------------------------------------------


def test_inspect_archives_are_read_without_inspect() -> None:
    log = logs.read(WRITTEN / "inspect", "inspect")
    right = ("What is 9+5?", "9+5=14; the answer is 14", "stop", 1.0)
    cut = ("What is 47*6?", "; ".join(["7*6=42", "4*6+4=28"] * 20), "length", 0.0)
    assert drawn(log) == [cut, cut, right, right]
    assert [one.error for one in failed(log)] == ["RuntimeError('Error code: 503 - the server is overloaded')"] * 2
    assert answers(log) == {"What is 9+5?": ("14",), "What is 47*6?": ("282",), "What is 8+6?": ("14",)}
    assert {problem.metadata["id"]: problem.metadata["family"] for problem in log.problems}["b"] == "mul-2"
    assert (log.origin.model, log.origin.temperature, log.origin.tool_version) == ("mockllm/model", 1.0, "0.3.285")


def test_inspect_json_logs_say_the_same() -> None:
    log = logs.read(WRITTEN / "inspect" / "sums.json", "inspect", reward="match")
    archive = logs.read(WRITTEN / "inspect" / "sums.eval", "inspect")
    assert drawn(log) == drawn(archive)
    assert (log.n_errors, log.origin) == (0, archive.origin)
    with pytest.raises(UsageError, match="no scorer 'choice'"):
        logs.read(WRITTEN / "inspect" / "sums.json", "inspect", reward="choice")


def test_an_inspect_log_that_was_cut_is_refused(tmp_path: Path) -> None:
    whole = (WRITTEN / "inspect" / "sums.eval").read_bytes()
    cut = tmp_path / "cut.eval"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProblemsError, match=r"not a whole \.eval log") as caught:
        logs.read(cut, "inspect")
    assert caught.value.where == str(cut)


# -- verifiers 0.4.0 and 0.1.14 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "version"), [("v1", "0.4.0"), ("old", "0.1.14")])
def test_verifiers_errors_are_no_failures(kind: str, version: str) -> None:
    log = logs.read(WRITTEN / "verifiers" / kind, "verifiers")
    cut = ("What is 47*6?", ("7*6=42; 4*6+4=28; " * 4), "length", 0.0)
    right = ("What is 9+5?", "9+5=14; \\boxed{14}", "stop", 1.0)
    wrong = ("What is 9+5?", "9+5=15; \\boxed{15}", "stop", 0.0)
    assert [(asked, said.strip(), end, reward) for asked, said, end, reward in drawn(log)] == [
        (asked, said.strip(), end, reward) for asked, said, end, reward in (cut, cut, right, wrong)
    ]
    assert len(failed(log)) == 2
    assert all("the server is overloaded" in one.error for one in failed(log))
    assert answers(log)["What is 8+6?"] == ("14",)
    assert (log.origin.model, log.origin.temperature, log.origin.max_tokens) == (TINY, 1.0, 160)
    assert log.origin.tool_version == version


def test_verifiers_rewards_can_be_chosen_by_name() -> None:
    for kind in ("v1", "old"):
        log = logs.read(WRITTEN / "verifiers" / kind, "verifiers", reward="short")
        assert {reward for *_, reward in drawn(log)} == {1.0}


def test_prime_rl_episodes_have_a_step_and_only_trained_agents_count(tmp_path: Path) -> None:
    """The written episodes, with what prime-rl stamps on them after ``v1/episode.py`` and ``v1/trace.py``."""
    lines = (WRITTEN / "verifiers" / "v1" / "traces.jsonl").read_text().splitlines()
    episodes = [json.loads(line) for line in lines]
    for number, episode in enumerate(episodes):
        episode["run"] = {"type": "train", "id": "r", "work": {"type": "train", "step": 7 + number % 2}}
        judge = {**episode["traces"][0], "agent": {"name": "judge", "trainable": False, "config": {}}}
        episode["traces"].append(judge)
    path = jsonl(tmp_path / "traces.jsonl", episodes)
    with pytest.raises(UsageError, match=r"several steps of a policy in training: 7 \(3 rows\), 8 \(3 rows\)"):
        logs.read(path, "verifiers")
    log = logs.read(path, "verifiers", step=8)
    assert (log.n_rollouts + log.n_errors, log.n_others, log.step) == (3, 3, 8)


# -- verl 0.9.1 -----------------------------------------------------------------------------------------------------


def test_verl_dumps_are_apart_by_step_and_in_the_order_of_their_numbers() -> None:
    with pytest.raises(UsageError, match=r"10 \(4 rows\), 20 \(4 rows\)"):
        logs.read(WRITTEN / "verl", "verl")
    log = logs.read(WRITTEN / "verl", "verl", step=10)
    assert sorted(reward or 0.0 for *_, reward in drawn(log)) == [-0.5, -0.5, 0.5, 0.5]
    log = logs.read(WRITTEN / "verl", "verl", step=10, reward="acc")
    assert {said: reward for _, said, _, reward in drawn(log)} == {
        "so \\boxed{14}": 1.0,
        "so \\boxed{15}": 0.0,
        "so \\boxed{28}": 0.0,
        "so \\boxed{282}": 1.0,
    }
    assert answers(log)["user\nWhat is 9+5?\nassistant\n"] == ("14",)
    assert list(logs.steps(WRITTEN / "verl", "verl").files) == [10, 20]


# -- NeMo Gym 0.4.0 -------------------------------------------------------------------------------------------------


def test_nemo_gym_reads_the_inputs_and_failures_beside_its_rollouts() -> None:
    log = logs.read(WRITTEN / "nemo-gym", "nemo-gym")
    assert drawn(log) == [
        ("What is 47*6?", "so \\boxed{282}", "length", 1.0),
        ("What is 9+5?", "so \\boxed{14}", "stop", 1.0),
        ("What is 9+5?", "so \\boxed{15}", "stop", 0.0),
    ]
    assert [(one.first_index, one.error) for one in failed(log)] == [(1, "502 from the model server")]
    assert answers(log) == {"What is 9+5?": ("14",), "What is 47*6?": ("282",)}
    assert (log.origin.model, log.origin.temperature, log.origin.max_tokens) == (TINY, 1.0, 160)
    assert log.problems[0].metadata["source"] == "sums"
