"""rLLM: a run folder of ``rllm eval``: ``episodes/episode_{index}_{task}.json``, beside ``results.json`` and
``meta.json``.

Owns the shape of an episode, and of the item that the results have of it. Source read: rllm-org/rllm,
``rllm/eval/episode_store.py`` at 198c8e45, ``eval/results.py`` at 0038684e, ``rllm/types.py`` at 02f0663d. Name the
folder as the log, or the run's ``episodes``.

The first trajectory is read, as rLLM scores it; of several turns, all that the model said. Its reward is the log's
verdict; ``--reward is_correct``, or the name of a signal, takes another. rLLM itself counts an error as a failure;
here an item with an ``error``, and an episode that ended by one, is a failed request. An episode that met a length or
turn limit was cut.

Unknown: revision, template and sampling.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import (
    ANSWER,
    QUESTION,
    NotOfFormat,
    Placed,
    chosen,
    document,
    each,
    first,
    listed,
    mapping,
    sidecar,
    spoken,
)
from curate.logs.cells import asked as turns
from curate.logs.faults import failure
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row

FILES = ("episodes/episode_*.json", "episode_*.json")


def read(path: Path, asked: Asked) -> Placed:
    """One row for an episode's file.

    Raises:
        UsageError: there is no reward of the name asked for.
    """
    try:
        episode: Row | ProblemsError = document(path)
    except ProblemsError as error:
        episode = NotOfFormat(error.message)
    return each(iter([(str(path), episode)]), lambda row: [_rollout(row, _item(path, row), asked)])


def origin(path: Path) -> Origin:
    """What ``results.json`` or ``meta.json`` of the run says."""
    run = path.parent.parent if path.parent.name == "episodes" else path.parent
    told = {**_sidecar(run / "meta.json"), **_sidecar(run / "results.json")}
    return Origin(model=told.get("model"), tool="rLLM")


def _rollout(episode: Row, item: Row, asked: Asked) -> Row:
    if not isinstance(episode.get("trajectories"), list):
        raise NotOfFormat("there are no trajectories: this is no episode of rLLM's")
    task = episode.get("task")
    task = {"instruction": task} if isinstance(task, str) else mapping(task)
    more = {**task, **mapping(task.get("metadata"))}
    instruction = task.get("instruction") or first(more, QUESTION)
    trajectory = mapping(next(iter(episode["trajectories"]), None))
    rewards = {
        "is_correct": episode.get("is_correct"),
        "reward": trajectory.get("reward"),
        **mapping(trajectory.get("signals")),
        **mapping(item.get("signals")),
    }
    usual = "is_correct" if rewards["reward"] is None else "reward"
    ended = str(item.get("termination_reason") or episode.get("termination_reason") or "")
    failed = ended in ("error", "timeout") or ended.endswith(("_error", "_timeout"))
    told = mapping(episode.get("metadata")).get("error")
    said = _said(trajectory)
    return {
        "question": turns(instruction) if isinstance(instruction, list) else instruction,
        "answer": first(more, ANSWER),
        "completion": said,
        "finish_reason": "length" if ended.startswith("max_") else "stop" if ended == "env_done" else None,
        "reward": chosen(rewards, asked.reward or usual, "reward"),
        "error": failure(item.get("error")) or ((told or f"ended by {ended}") if failed else None if said else told),
        "metadata": {"id": task.get("id"), **mapping(task.get("metadata"))},
    }


def _said(trajectory: Row) -> str:
    """What the model said: in the last step's conversation, which has all turns, else in each step, else at the end."""
    steps = [mapping(step) for step in listed(trajectory.get("steps"))]
    for step in reversed(steps):
        if talk := listed(step.get("chat_completions")):
            return "\n\n".join(spoken(turn) for turn in map(mapping, talk) if turn.get("role") == "assistant")
    replies = [step.get("model_response") or step.get("output") for step in steps]
    texts = [reply for reply in replies if isinstance(reply, str)]
    final = trajectory.get("output")
    return "\n\n".join(texts) or (final if isinstance(final, str) else "")


def _item(path: Path, episode: Row) -> Row:
    """What the results say of an episode: its error, which the episode may not tell."""
    if path.parent.name != "episodes":
        return {}
    results = _sidecar(path.parent.parent / "results.json")
    attempts = max(1, int(results.get("attempts") or 1))
    for item in map(mapping, listed(results.get("items"))):
        if item.get("idx", -1) * attempts + item.get("attempt", 0) == episode.get("eval_idx"):
            return item
    return {}


def _sidecar(path: Path) -> dict[str, Any]:
    """The small file of a run, read once for all its episodes and again when it changed."""
    return _read_once(path, path.stat().st_mtime_ns) if path.exists() else {}


@lru_cache(maxsize=4)
def _read_once(path: Path, _changed: int) -> dict[str, Any]:
    return sidecar(path)
