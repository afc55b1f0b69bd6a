"""Logs of tools that do not install here, made by hand after their source, which each test names; and counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import jsonl

from curate import logs
from curate.errors import ProblemsError, UsageError
from curate.records import FailedRequest

CHAT = [{"role": "user", "content": "1+1?"}]


def said(log: logs.LogBatch) -> list[tuple[str, str, float | None]]:
    return [(one.completion, one.finish_reason, reward) for one, reward in log.rollouts()]


def failed(log: logs.LogBatch) -> list[str]:
    return [one.error for one, _ in log.entries() if isinstance(one, FailedRequest)]


def asked(log: logs.LogBatch) -> list[tuple[str, tuple[str, ...]]]:
    return [(problem.question, problem.answers) for problem in log.problems]


def complaint(path: Path, format: str, **more: Any) -> ProblemsError:
    with pytest.raises(ProblemsError) as caught:
        logs.read(path, format, **more)
    return caught.value


# -- open-r1, scripts/pass_rate_filtering/compute_pass_rate.py at 00ca5948 -------------------------------------------


def test_open_r1_has_a_list_of_generations_and_of_rewards(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "prompt": ["1+1?", "2+2?"],
            "solution": ["2", "4"],
            "source": ["a", "b"],
            "pass_rate_generations": [["2", "3"], ["4", "4"]],
            "pass_rate_rewards": [[1.0, 0.0], [1.0, float("nan")]],
        }
    )
    frame.write_parquet(tmp_path / "gen.parquet")
    log = logs.read(tmp_path, "open-r1")
    assert asked(log) == [("1+1?", ("2",)), ("2+2?", ("4",))]
    assert [(one.index, one.completion, reward) for one, reward in log.rollouts()] == [
        (0, "2", 1.0),
        (1, "3", 0.0),
        (0, "4", 1.0),
        (1, "4", None),
    ]
    assert [problem.metadata for problem in log.problems] == [{"source": "a"}, {"source": "b"}]


def test_open_r1_rewards_must_match_the_generations(tmp_path: Path) -> None:
    row = {"prompt": "1+1?", "solution": "2", "pass_rate_generations": ["2", "3"], "pass_rate_rewards": [1.0]}
    path = jsonl(tmp_path / "gen.jsonl", [row])
    error = complaint(path, "open-r1")
    assert (error.where, error.message) == (
        f"{path}:1",
        "'pass_rate_rewards' is no list of 2 rewards, one for each generation",
    )


# -- NeMo-Skills, nemo_skills/inference/generate.py at 025b4859 ------------------------------------------------------


def skills(seed: int, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    base = {"problem": "1+1?", "expected_answer": "2", "subset_for_metrics": "easy", "num_generated_tokens": 7 + seed}
    return [{**base, **row} for row in rows]


def test_nemo_skills_seeds_are_the_draws_of_one_problem(tmp_path: Path) -> None:
    right = {"generation": "2", "predicted_answer": "2", "symbolic_correct": True, "finish_reason": "stop"}
    cut = {"generation": "1+1 is", "predicted_answer": None, "symbolic_correct": False, "finish_reason": "length"}
    error = {"generation": "", "error": "context_window_exceeded", "num_generated_tokens": 0, "symbolic_correct": False}
    for seed, row in ((2, cut), (10, error), (1, right)):
        jsonl(tmp_path / f"output-rs{seed}.jsonl", skills(seed, row))
    log = logs.read(tmp_path, "nemo-skills")
    assert said(log) == [("2", "stop", 1.0), ("1+1 is", "length", 0.0)]
    assert [one.completion_tokens for one, _ in log.rollouts()] == [8, 9]
    assert failed(log) == ["context_window_exceeded"]
    assert asked(log) == [("1+1?", ("2",))]
    assert log.problems[0].metadata == {"subset_for_metrics": "easy"}


def test_nemo_skills_keeps_the_reasoning_and_takes_the_verdict_that_is_named(tmp_path: Path) -> None:
    parsed = {"generation": "2", "_full_generation": "hm</think>2", "symbolic_correct": False, "judge_correct": True}
    split = {"generation": "2", "reasoning_content": "hm", "symbolic_correct": False, "judge_correct": True}
    path = jsonl(tmp_path / "output.jsonl", skills(0, parsed, split))
    assert said(logs.read(path, "nemo-skills")) == [("hm</think>2", "stop", 0.0), ("<think>hm</think>2", "stop", 0.0)]
    assert logs.read(path, "nemo-skills", reward="judge_correct").n_rewards == 2
    assert {reward for *_, reward in said(logs.read(path, "nemo-skills", reward="judge_correct"))} == {1.0}
    assert logs.read(path, "nemo-skills", reward="none").n_rewards == 0


# -- batch output: OpenAI's API reference; vLLM's entrypoints/openai/run_batch.py ------------------------------------


def answered(custom_id: str, *texts: str, status: int = 200, **body: Any) -> dict[str, Any]:
    choices = [
        {"index": number, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for number, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 9 * len(texts)}
    whole = {"object": "chat.completion", "model": "m", "choices": choices, "usage": usage, **body}
    response = {"status_code": status, "request_id": "r", "body": whole}
    return {"id": "b", "custom_id": custom_id, "response": response, "error": None}


PROBLEMS = [{"id": "p1", "question": "1+1?", "answer": "2"}, {"id": "p-2", "question": "2+2?", "answer": 4}]


def test_batch_output_finds_its_problems_by_custom_id(tmp_path: Path) -> None:
    problems = jsonl(tmp_path / "problems.jsonl", PROBLEMS)
    path = jsonl(tmp_path / "out.jsonl", [answered("p1", "2", "3"), answered("p-2-0", "4"), answered("p-2-1", "5")])
    log = logs.read(path, "openai-batch", problems=[problems])
    assert asked(log) == [("1+1?", ("2",)), ("2+2?", ("4",))]
    assert [(one.index, one.completion, one.completion_tokens) for one, _ in log.rollouts()] == [
        (0, "2", 0),
        (1, "3", 0),
        (0, "4", 9),
        (1, "5", 9),
    ]
    assert log.origin.model == "m"
    error = complaint(jsonl(tmp_path / "x.jsonl", [answered("p9", "2")]), "openai-batch", problems=[problems])
    assert error.message == "--problems has no problem of id 'p9'"


def test_a_batch_without_its_problems_says_what_is_missing(tmp_path: Path) -> None:
    given = [{"custom_id": "p1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": CHAT}}]
    batch_input = jsonl(tmp_path / "in.jsonl", given)
    assert "give it as --problems" in str(complaint(batch_input, "openai-batch").hint)
    path = jsonl(tmp_path / "out.jsonl", [answered("p1", "2")])
    log = logs.read(path, "openai-batch", problems=[batch_input])
    assert asked(log) == [("1+1?", ())]
    answers = jsonl(tmp_path / "answers.jsonl", [{"custom_id": "p1", "answer": "2"}])
    log = logs.read(path, "openai-batch", problems=[batch_input, answers])
    assert asked(log) == [("1+1?", ("2",))]
    assert log.problems[0].messages[0].content == "1+1?"


def test_failed_requests_of_a_batch_are_no_answers(tmp_path: Path) -> None:
    refused = {"id": "b", "custom_id": "p1", "response": None, "error": {"code": "batch_expired", "message": "expired"}}
    vllm = {**answered("p1", status=400), "error": "the prompt is too long"}
    filtered = answered("p1", "")
    filtered["response"]["body"]["choices"][0]["finish_reason"] = "content_filter"
    overloaded = answered("p1", status=503)
    fine = {**answered("p1", "2"), "error": "None"}
    path = jsonl(tmp_path / "out.jsonl", [refused, vllm, filtered, overloaded, fine])
    log = logs.read(path, "openai-batch", problems=[jsonl(tmp_path / "p.jsonl", PROBLEMS)])
    assert failed(log) == ["expired", "the prompt is too long", "finish_reason content_filter", "status 503"]
    assert said(log) == [("2", "stop", None)]


def test_other_endpoints_of_a_batch(tmp_path: Path) -> None:
    text = answered("p1", choices=[{"text": "2", "finish_reason": "length"}])
    thought = {"message": {"role": "assistant", "content": None, "reasoning_content": "hm"}, "finish_reason": "length"}
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2"}]},
    ]
    responses = answered("p1", choices=None, output=output, status="incomplete")
    responses["response"]["body"]["status"] = "incomplete"
    responses["response"]["body"]["incomplete_details"] = {"reason": "max_output_tokens"}
    responses["response"]["status_code"] = 200
    path = jsonl(tmp_path / "out.jsonl", [text, answered("p1", choices=[thought]), responses])
    log = logs.read(path, "openai-batch", problems=[jsonl(tmp_path / "p.jsonl", PROBLEMS)])
    assert said(log) == [("2", "length", None), ("<think>hm", "length", None), ("<think>hm</think>2", "length", None)]


def test_several_models_in_a_log_are_never_read_as_one(tmp_path: Path) -> None:
    problems = [jsonl(tmp_path / "p.jsonl", PROBLEMS)]
    path = jsonl(tmp_path / "out.jsonl", [answered("p1", "2"), answered("p1", "3", model="other")])
    with pytest.raises(UsageError, match=r"several models: m \(1 rows\), other \(1 rows\)"):
        logs.read(path, "openai-batch", problems=problems)
    log = logs.read(path, "openai-batch", problems=problems, model="other")
    assert (said(log), log.n_others, log.origin.model) == ([("3", "stop", None)], 1, "other")
    with pytest.raises(UsageError, match=r"no 'third' among its models: m \(1 rows\), other \(1 rows\)"):
        logs.read(path, "openai-batch", problems=problems, model="third")
    # The one model of a log may be called otherwise; a failed request has none.
    path = jsonl(tmp_path / "one.jsonl", [answered("p1", "2"), {"custom_id": "p1", "response": None, "error": "lost"}])
    log = logs.read(path, "openai-batch", problems=problems, model="org/name")
    assert (log.n_rollouts, log.n_errors, log.n_others, log.origin.model) == (1, 1, 0, "org/name")


# -- rLLM, rllm/eval/episode_store.py at 198c8e45, rllm/eval/results.py at 0038684e ---------------------------------


def episode(folder: Path, index: int, reward: float | None, reply: str | None, **more: Any) -> None:
    talk = [*CHAT, {"role": "assistant", "content": reply}] if reply is not None else CHAT
    steps = [{"chat_completions": talk, "reward": 0.0}]
    task = {"id": "0", "instruction": "1+1?", "metadata": {"ground_truth": "2", "source": "s"}, "sub_dir": None}
    whole = {
        "id": f"0:{index}",
        "task": task,
        "termination_reason": "env_done",
        "is_correct": reward == 1.0,
        "trajectories": [{"name": "agent", "steps": steps, "reward": reward, "signals": {"accuracy": 1.0}}],
        "metadata": {},
        "eval_idx": index,
        **more,
    }
    (folder / "episodes").mkdir(parents=True, exist_ok=True)
    (folder / "episodes" / f"episode_{index:06d}_0.json").write_text(json.dumps(whole, indent=2))


def test_rllm_run_folders(tmp_path: Path) -> None:
    episode(tmp_path, 0, 1.0, "2")
    episode(tmp_path, 1, 0.0, "3", termination_reason="max_response_length_exceeded")
    episode(tmp_path, 2, 0.0, None, termination_reason="timeout")
    episode(tmp_path, 3, 0.0, "so far")
    items = [{"idx": 0, "attempt": attempt, "reward": 0.0, "error": None} for attempt in range(4)]
    items[3]["error"] = "the verifier broke"
    results = {"model": "m", "attempts": 4, "items": items}
    (tmp_path / "results.json").write_text(json.dumps(results))
    log = logs.read(tmp_path, "rllm")
    assert said(log) == [("2", "stop", 1.0), ("3", "length", 0.0)]
    assert failed(log) == ["ended by timeout", "the verifier broke"]
    assert asked(log) == [("1+1?", ("2",))]
    assert (log.problems[0].metadata["source"], log.origin.model) == ("s", "m")
    assert said(logs.read(tmp_path, "rllm", reward="accuracy"))[1] == ("3", "length", 1.0)
    with pytest.raises(UsageError, match="no reward 'style'"):
        logs.read(tmp_path, "rllm", reward="style")


def test_a_broken_episode_is_named(tmp_path: Path) -> None:
    episode(tmp_path, 0, 1.0, "2")
    broken = tmp_path / "episodes" / "episode_000001_0.json"
    broken.write_text('{"id": "0:1", "traj')
    assert complaint(tmp_path, "rllm").where == str(broken)
    log = logs.read(tmp_path, "rllm", skip_bad_lines=True)
    assert (log.n_rollouts, log.n_bad_lines) == (1, 1)


# -- NeMo Gym 0.4.0, nemo_gym/rollout_collection.py -----------------------------------------------------------------


def test_nemo_gym_rollouts_with_their_inputs_and_failures(tmp_path: Path) -> None:
    params = {"input": CHAT, "temperature": 0.7, "max_output_tokens": 64}
    keys = [{"_ng_task_index": 0, "_ng_rollout_index": index} for index in range(3)]
    inputs = [{**key, "responses_create_params": params, "expected_answer": "2", "source": "s"} for key in keys]
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "2"}]}
    usage = {"input_tokens": 4, "output_tokens": 6}
    response = {"model": "m", "status": "completed", "output": [message], "usage": usage}
    drawn = [{**keys[2], "responses_create_params": params, "response": response, "reward": 1.0}]
    drawn.append({**keys[0], "responses_create_params": params, "response": response, "reward": 0.0})
    attempt = {**keys[1], "_ng_failure_class": "model_error", "error": "502"}
    jsonl(tmp_path / "a_rollouts.jsonl", drawn)
    jsonl(tmp_path / "a_rollouts_materialized_inputs.jsonl", inputs)
    jsonl(tmp_path / "a_rollouts_failures.jsonl", [attempt, attempt])
    log = logs.read(tmp_path, "nemo-gym")
    assert [(one.index, one.completion, reward) for one, reward in log.rollouts()] == [(2, "2", 1.0), (0, "2", 0.0)]
    assert failed(log) == ["502", "502"]
    assert asked(log) == [("1+1?", ("2",))]
    assert log.problems[0].metadata == {"task_index": 0, "source": "s"}
    assert (log.origin.model, log.origin.temperature, log.origin.max_tokens) == ("m", 0.7, 64)


@pytest.mark.parametrize(
    ("format", "row"),
    [
        ("nemo-gym", {"_ng_task_index": [0], "response": {}, "reward": 1.0}),
        ("verifiers", {"traces": [{"nodes": [], "rewards": {"right": {"score": "high"}}}], "task": {}}),
        ("verifiers", {"something": "else"}),
        ("openai-batch", {"custom_id": "p1", "response": {"status_code": 200, "body": {"choices": [7]}}}),
        ("lm-eval", {"doc": {"question": "1+1?"}, "resps": [[["-1.2", "False"]]], "filter": "none"}),
        ("trl", {"prompt": "1+1?", "completion": "2"}),
        ("verl", {"input": "1+1?", "score": 1.0}),
        ("open-r1", {"prompt": "1+1?"}),
        ("nemo-skills", {"generation": "2", "expected_answer": "2"}),
    ],
)
def test_a_row_of_another_shape_is_named_and_may_be_skipped(tmp_path: Path, format: str, row: dict[str, Any]) -> None:
    path = jsonl(tmp_path / "log.jsonl", [row, {"question": 1}])
    assert complaint(path, format).where == f"{path}:1"
    with pytest.raises(ProblemsError, match=r"no row can be read|no row fits"):
        logs.read(path, format, skip_bad_lines=True)


@pytest.mark.parametrize(
    "format",
    ["trl", "verl", "verifiers", "rllm", "nemo-gym", "openai-batch", "open-r1", "lm-eval", "inspect"],
)
@pytest.mark.parametrize("skip", [True, False])
def test_a_log_of_another_format_is_said_to_be_one(tmp_path: Path, format: str, skip: bool) -> None:
    plain = {"question": "1+1?", "answer": "2", "completion": "2", "index": 0}
    path = jsonl(tmp_path / "log.jsonl", [plain, {**plain, "index": 1}])
    error = complaint(path, format, skip_bad_lines=skip)
    assert error.message.startswith(f"this is no log of the format {format}: no row fits; the first: ")
    assert "--format names what wrote it: jsonl, parquet" in str(error.hint)
    assert "--skip-bad-lines" not in str(error.hint)
    with pytest.raises(ProblemsError, match=f"this is no log of the format {format}"):
        logs.steps(path, format)


def test_one_row_that_fits_makes_the_others_broken_ones(tmp_path: Path) -> None:
    row = {"prompt": "1+1?", "completion": "2", "step": 1, "answer": "2"}
    path = jsonl(tmp_path / "log.jsonl", [{"question": "1+1?"}, row])
    error = complaint(path, "trl")
    assert error.message == "there is no column 'step': these are no completions of TRL's"
    assert "--skip-bad-lines" in str(error.hint)


def test_a_reward_that_the_log_has_not_is_refused(tmp_path: Path) -> None:
    row = {"question": "1+1?", "answer": "2", "completion": "2", "reward": 0, "acc": 1}
    path = jsonl(tmp_path / "log.jsonl", [row])
    assert said(logs.read(path, "jsonl")) == [("2", "stop", 0.0)]
    assert said(logs.read(path, "jsonl", reward="acc")) == [("2", "stop", 1.0)]
    assert said(logs.read(path, "jsonl", reward="none")) == [("2", "stop", None)]
    with pytest.raises(UsageError, match="no column 'score' for the reward") as caught:
        logs.read(path, "jsonl", reward="score")
    assert caught.value.where == "--reward"
    assert caught.value.hint == "The columns are: question, answer, completion, reward, acc"
    batch = jsonl(tmp_path / "batch.jsonl", [answered("p1", "2")])
    rates = jsonl(tmp_path / "rates.jsonl", [{"question": "1+1?", "answer": "2", "n": 2, "k": 1}])
    generations = jsonl(
        tmp_path / "r1.jsonl",
        [{"prompt": "1+1?", "answer": "2", "pass_rate_generations": ["2"], "pass_rate_rewards": [1]}],
    )
    for log, format in ((batch, "openai-batch"), (rates, "counts"), (generations, "open-r1")):
        with pytest.raises(UsageError, match="no reward 'acc'"):
            logs.read(log, format, reward="acc")


# -- counts ---------------------------------------------------------------------------------------------------------


def test_counts_become_rollouts_without_texts(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("question,answer,n,k,level\n1+1?,2,4,1,easy\n2+2?,4,2,2,hard\n")
    log = logs.read(path, "counts")
    assert not log.texts
    assert [(one.index, one.completion, reward) for one, reward in log.rollouts()] == [
        (0, "", 1.0),
        (1, "", 0.0),
        (2, "", 0.0),
        (3, "", 0.0),
        (0, "", 1.0),
        (1, "", 1.0),
    ]
    assert [problem.metadata for problem in log.problems] == [{"level": "easy"}, {"level": "hard"}]


def test_counts_may_be_rates_and_go_by_other_names(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rates.jsonl", [{"problem": "1+1?", "tries": 8, "rate": 0.125}])
    log = logs.read(path, "counts", columns={"n": "tries", "pass_rate": "rate"})
    assert (log.n_rollouts, sum(reward or 0 for _, reward in log.rollouts())) == (8, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"n": 4, "k": 5}, "5 of 4 cannot pass"),
        ({"n": 4, "k": 1.5}, "k is 1.5, not a whole number"),
        ({"n": 4, "pass_rate": 0.3}, "neither k nor a pass_rate that is a share of 4: the pass_rate is 0.3"),
        ({"k": 1}, "n is missing, not a whole number"),
        ({"n": 4}, "neither k nor a pass_rate that is a share of 4: the pass_rate is missing"),
        ({"n": 8, "pass_rate": -1}, "neither k nor a pass_rate that is a share of 8: the pass_rate is -1"),
        ({"n": 8, "pass_rate": 2}, "neither k nor a pass_rate that is a share of 8: the pass_rate is 2"),
        ({"n": 0, "k": 0}, "n is 0: nothing was drawn of this problem"),
    ],
)
def test_a_count_that_is_none_is_refused_by_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = jsonl(tmp_path / "rates.jsonl", [{"question": "1+1?", "answer": "2", **row}])
    error = complaint(path, "counts")
    assert (error.where, error.message) == (f"{path}:1", message)


def test_counts_of_one_problem_twice_are_not_pooled_and_one_row_is_one_bad_line(tmp_path: Path) -> None:
    counted = [{"n": 8, "k": 8}, {"n": 32, "k": 8}, {"n": 0, "k": 0}, {"n": 8, "pass_rate": -1}]
    rows = [{"question": "1+1?", "answer": "2", "problem_id": "p", **row} for row in counted]
    path = jsonl(tmp_path / "rates.jsonl", rows)
    error = complaint(path, "counts")
    assert (error.where, error.message) == (f"{path}:2", f"problem 'p' was counted before, at {path}:1")
    assert error.hint == "add up its n and k yourself, or give each row a problem_id of its own"
    log = logs.read(path, "counts", skip_bad_lines=True)
    assert [reward for *_, reward in said(log)] == [1.0] * 8
    assert (log.n_bad_lines, len(log.bad_lines)) == (3, 3)
    assert log.bad_lines[1] == f"{path}:3: n is 0: nothing was drawn of this problem"


# -- plain rows with lists ------------------------------------------------------------------------------------------


def test_a_row_may_hold_a_list_of_completions(tmp_path: Path) -> None:
    rows = [{"question": "1+1?", "gt": "2", "out": {"code": ["2", "3"]}, "score": [True, False]}]
    columns = {"answer": "gt", "completion": "out.code", "reward": "score"}
    log = logs.read(jsonl(tmp_path / "x.jsonl", rows), "jsonl", columns=columns)
    assert [(one.index, one.completion, reward) for one, reward in log.rollouts()] == [(0, "2", 1.0), (1, "3", 0.0)]
    pl.DataFrame(rows).write_parquet(tmp_path / "x.parquet")
    same = logs.read(tmp_path / "x.parquet", "parquet", columns=columns)
    assert said(same) == said(log)
    path = jsonl(tmp_path / "y.jsonl", [{**rows[0], "score": [True]}])
    error = complaint(path, "jsonl", columns=columns)
    assert (error.where, error.message) == (f"{path}:1", "column 'score' is a list of 1, the completions are 2")
