"""NeMo Gym: ``*rollouts.jsonl`` with its ``*_materialized_inputs.jsonl`` and ``*_failures.jsonl``.

Owns the columns of a rollout: ``_ng_task_index``, ``_ng_rollout_index``, ``response`` (an object of the Responses API),
``reward``, and what the resources server's verifier added. Source read: nemo-gym 0.4.0, ``rollout_collection.py`` and
``base_resources_server.py``.

A rollout may repeat its task's columns or not; the inputs beside it have them: question and reference, and the
parameters of its request. Attempts that failed stand in the failures, and are failed requests here.

Unknown: revision and template. The model is what its server says it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError
from curate.logs.cells import ANSWER, QUESTION, NotOfFormat, Placed, each, first, mapping, rows
from curate.logs.cells import asked as turns
from curate.logs.openai_batch import answered
from curate.logs.origin import Asked, Origin, sampling
from curate.problems.files import COMPRESSED, Row, uncompressed

FILES = ("*rollouts.jsonl",)
_TASK, _ROLLOUT = "_ng_task_index", "_ng_rollout_index"


def read(path: Path, asked: Asked) -> Placed:
    """One row for each rollout, then one for each failed attempt."""
    inputs = _inputs(path)
    return each(_with_failures(path), lambda row: [_rollout(row, inputs, asked)])


def origin(path: Path) -> Origin:
    """What the first request says of its sampling."""
    row = next((row for _, row in islice(rows(path), 1) if not isinstance(row, ProblemsError)), {})
    asked = mapping(row.get("responses_create_params")) or mapping(mapping(row.get("response")))
    return Origin(tool="NeMo Gym", **sampling(asked))


def _rollout(row: Row, inputs: dict[Any, Row], asked: Asked) -> Row:
    if _TASK not in row:
        raise NotOfFormat(f"there is no {_TASK!r}: this is no rollout of NeMo Gym's")
    row = {**inputs.get(row[_TASK], {}), **row}
    if asked.reward not in (None, "none") and asked.reward not in row and "_ng_failure_class" not in row:
        raise ProblemsError(f"there is no reward {asked.reward!r}")
    response = mapping(row.get("response"))
    prompt = mapping(row.get("responses_create_params")).get("input")
    usage = mapping(response.get("usage"))
    failed = row.get("_ng_failure_class")
    ours = (_TASK, _ROLLOUT, "response", "responses_create_params")
    told = {name: value for name, value in row.items() if name not in ours}
    return {
        **told,
        "question": first(told, QUESTION) or (turns(prompt) if isinstance(prompt, list) else prompt),
        "answer": first(told, ANSWER),
        "index": row.get(_ROLLOUT),
        "reward": None if asked.reward == "none" else row.get(asked.reward or "reward"),
        "model": response.get("model"),
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "metadata": {"task_index": row[_TASK], **_plain(told)},
        **({"completion": None, "error": row.get("error") or failed} if failed else answered(response)),
    }


def _plain(told: Row) -> Row:
    names = ("data_source", "source", "subject", "level", "category", "id", "uuid")
    return {name: told[name] for name in names if isinstance(told.get(name), str | int)}


def _inputs(path: Path) -> dict[Any, Row]:
    """The inputs by task; each stands there once for every rollout that was asked."""
    file = _beside(path, "materialized_inputs")
    found: dict[Any, Row] = {}
    for _, row in rows(file) if file.exists() else ():
        if isinstance(row, ProblemsError):
            raise ProblemsError(row.message, where=str(file), hint=row.hint)
        found.setdefault(row.get(_TASK), row)
    return found


def _with_failures(path: Path) -> Iterator[tuple[str, Row | ProblemsError]]:
    yield from rows(path)
    failures = _beside(path, "failures")
    if failures.exists() and failures.stat().st_size:
        yield from rows(failures)


def _beside(path: Path, name: str) -> Path:
    """Another file of the run, compressed or not."""
    plain = path.with_name(f"{uncompressed(path).stem}_{name}.jsonl")
    packed = [plain.with_name(plain.name + ending) for ending in COMPRESSED]
    return next((file for file in (plain, *packed) if file.exists()), plain)
