"""verifiers: ``traces.jsonl`` of its evaluations and of prime-rl, and the older ``results.jsonl``.

Owns both shapes. Sources read: verifiers 0.4.0, ``v1/trace.py``, ``v1/episode.py`` and ``v1/graph.py``; and 0.1.14,
``utils/save_utils.py``.

``traces.jsonl`` has an episode in each line, with the trace of every agent; those of agents that are being trained
are read. What the model said is what is ``sampled`` on the last branch; of several turns, all of them. The reward is
the weighted sum, as there; ``--reward NAME`` takes one. A trace whose every call failed can be ``ok`` with a reward
of 0: it is a failed request here. Under prime-rl an episode has the step at which it was dispatched. Lines stand in
order of arrival.

``results.jsonl`` has a rollout in each line; one that failed has its ``error`` and a reward of 0.

Unknown: revision and chat template.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import (
    ANSWER,
    QUESTION,
    NotOfFormat,
    Placed,
    chosen,
    each,
    first,
    listed,
    mapping,
    rows,
    sidecar,
    spoken,
)
from curate.logs.cells import asked as turns
from curate.logs.origin import Asked, Origin, sampling
from curate.problems.files import Row

FILES = ("traces.jsonl", "results.jsonl")
_CUT = (
    "max_turns",
    "max_input_tokens",
    "max_output_tokens",
    "max_total_tokens",
    "compaction_failed",
    "rollout_timeout",
)


def read(path: Path, asked: Asked) -> Placed:
    """One row for each trace of each line, or for each line.

    Raises:
        UsageError: there is no reward of the name asked for.
    """
    return each(rows(path), lambda row: _rollouts(row, asked))


def origin(path: Path) -> Origin:
    """What the first episode says of its agent, or ``metadata.json`` beside old results."""
    row = next((row for _, row in islice(rows(path), 1) if not isinstance(row, ProblemsError)), {})
    if "traces" in row or "nodes" in row:
        trace = mapping(next(iter(_traces(row)), None))
        config = mapping(mapping(trace.get("agent")).get("config"))
        version = mapping(trace.get("verifiers")).get("version")
        settings = mapping(config.get("sampling"))
    else:
        config = sidecar(path.with_name("metadata.json"))
        version = mapping(config.get("version_info")).get("vf_version")
        settings = mapping(config.get("sampling_args"))
    return Origin(model=config.get("model"), tool="verifiers", tool_version=version, **sampling(settings))


def _rollouts(row: Row, asked: Asked) -> Iterable[Row]:
    if "traces" in row or "nodes" in row:
        return _of_episode(row, asked)
    if "completion" in row and "reward" in row:
        return [_of_result(row, asked)]
    raise NotOfFormat("this is neither an episode nor a result of verifiers'")


def _traces(row: Row) -> list[Any]:
    """The traces of the agents that are being trained; a line of its own trace is one."""
    traces = listed(row.get("traces")) if "traces" in row else [row]
    return [trace for trace in map(mapping, traces) if mapping(trace.get("agent")).get("trainable", True)]


def _of_episode(row: Row, asked: Asked) -> Iterator[Row]:
    data = mapping(mapping(row.get("task")).get("data"))
    prompt = data.get("prompt")
    base = {
        **data,
        "question": turns(prompt) if isinstance(prompt, list) else prompt if prompt else first(data, QUESTION),
        "answer": first(data, ANSWER),
        "step": mapping(mapping(row.get("run")).get("work")).get("step"),
        "metadata": {"idx": data.get("idx"), **_info(data.get("info"))},
        "completion": None,
    }
    traces = _traces(row)
    for trace in traces:
        yield {**base, **_of_trace(trace, asked)}
    if not traces:
        yield {**base, "error": _last_error(row) or "the episode has no trace"}


def _of_trace(trace: Row, asked: Asked) -> Row:
    nodes = [mapping(node) for node in listed(trace.get("nodes"))]
    calls = [mapping(call) for call in listed(trace.get("calls"))]
    said = _last_branch(nodes)
    rewards = {name: mapping(reward) for name, reward in mapping(trace.get("rewards")).items()}
    values = [float(reward.get("score", 0.0)) * float(reward.get("weight", 1.0)) for reward in rewards.values()]
    scores = {name: reward.get("score") for name, reward in rewards.items()}
    error = None if trace.get("ok", True) else _last_error(trace) or "the trace is not ok"
    if not said and error is None:
        failed = [told for call in calls if (told := call.get("error"))]
        error = failed[-1] if failed else "the model never answered"
    last = next((call for call in reversed(calls) if not call.get("error")), {})
    return {
        "completion": "\n\n".join(said),
        "finish_reason": "length" if trace.get("stop_condition") in _CUT else last.get("finish_reason"),
        "reward": chosen(scores, asked.reward, "reward") if asked.reward else sum(values) if values else None,
        "error": error,
        "model": last.get("model"),
        "prompt_tokens": trace.get("num_input_tokens"),
        "completion_tokens": trace.get("num_output_tokens"),
    }


def _last_branch(nodes: list[Row]) -> list[str]:
    """What the model said on the path that leads to its last message."""
    at = next((position for position in reversed(range(len(nodes))) if nodes[position].get("sampled")), None)
    said: list[str] = []
    walked: set[int] = set()
    while isinstance(at, int) and 0 <= at < len(nodes) and at not in walked:
        walked.add(at)
        if nodes[at].get("sampled"):
            said.append(spoken(nodes[at].get("message")))
        at = nodes[at].get("parent")
    return said[::-1]


def _last_error(row: Row) -> Any:
    return next(reversed(listed(row.get("errors"))), None)


def _of_result(row: Row, asked: Asked) -> Row:
    completion, prompt = row.get("completion"), row.get("prompt")
    if isinstance(completion, list):
        replies = [mapping(turn) for turn in completion if mapping(turn).get("role") == "assistant"]
        completion = "\n\n".join(map(spoken, replies))
    metrics = {"reward": row["reward"], **{name: row[name] for name in mapping(row.get("metrics")) if name in row}}
    if asked.reward and asked.reward in row:
        metrics[asked.reward] = row[asked.reward]
    usage, info = mapping(row.get("token_usage")), row.get("info")
    return {
        **row,
        "question": turns(prompt) if isinstance(prompt, list) else prompt,
        "answer": row.get("answer"),
        "completion": completion,
        "finish_reason": "length" if row.get("is_truncated") else "stop" if "is_truncated" in row else None,
        "reward": chosen(metrics, asked.reward or "reward", "reward"),
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "metadata": {"example_id": row.get("example_id"), **_info(info)},
    }


def _info(info: Any) -> Row:
    """Extra columns of the data set, which some versions write as JSON in a text."""
    if isinstance(info, str):
        try:
            info = json.loads(info)
        except ValueError:
            return {}
    return {str(name): value for name, value in mapping(info).items()}
