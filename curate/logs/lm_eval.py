"""lm-eval: ``samples_{task}_{date}.jsonl``, which ``--log_samples`` writes beside ``results_{date}.json``.

Owns its columns: ``doc``, ``target``, ``arguments``, ``resps``, ``filter``, and one for each metric. Source read:
lm-eval 0.4.13, ``loggers/evaluation_tracker.py`` and ``evaluator.py``.

A document comes once for each filter of its task, always with the same responses: one filter is read. With
``repeats`` the metric is that of the filtered set (the first response, or a vote) and says nothing of each response:
no reward is read. The question is the document's own where it has one under a usual name, else the prompt as it was
sent, examples and all. The results file tells model, revision, chat template, system prompt and sampling.

Unknown: how a response ended.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from curate.errors import ProblemsError, UsageError
from curate.logs.cells import QUESTION, NotOfFormat, Placed, chosen, each, first, listed, mapping, rows, sidecar
from curate.logs.origin import Asked, Origin, sampling
from curate.problems.files import Row, uncompressed

FILES = ("samples_*.jsonl",)
_NAME = re.compile(r"samples_(?P<task>.*)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")


def read(path: Path, asked: Asked) -> Placed:
    """One row for each response to each document.

    Raises:
        UsageError: there are several filters or metrics and none is named, or not that one.
    """
    wanted = (asked.reward or "").partition(",")[2] or None
    seen: dict[str, list[str]] = {}
    for place, row in rows(path):
        if isinstance(row, ProblemsError):
            yield place, row
            continue
        named = str(row.get("filter", "none"))
        seen.setdefault(named, [str(metric) for metric in listed(row.get("metrics"))])
        if wanted is None and len(seen) > 1 and asked.reward != "none":
            raise _which(path, seen)
        if named != (wanted or next(iter(seen))):
            continue
        yield from each(iter([(place, row)]), lambda one: _rollouts(one, asked))
    if wanted is not None and wanted not in seen:
        raise _which(path, seen)


def origin(path: Path) -> Origin:
    """What the results file beside the samples says."""
    named = _NAME.fullmatch(uncompressed(path).name)
    told = sidecar(path.with_name(f"results_{named['date']}.json")) if named else {}
    config, task = (
        mapping(told.get("config")),
        mapping(mapping(told.get("configs")).get(named["task"] if named else "")),
    )
    arguments = mapping(config.get("model_args"))
    settings = {**mapping(task.get("generation_kwargs")), **mapping(config.get("gen_kwargs"))}
    return Origin(
        model=arguments.get("pretrained") or arguments.get("model") or told.get("model_name"),
        revision=config.get("model_sha") or None,
        chat_template=f"sha256:{told['chat_template_sha']}" if told.get("chat_template_sha") else None,
        system=told.get("system_instruction"),
        template=task["doc_to_text"] if isinstance(task.get("doc_to_text"), str) else None,
        tool="lm-eval",
        tool_version=told.get("lm_eval_version"),
        **sampling(settings),
    )


def _rollouts(row: Row, asked: Asked) -> list[Row]:
    if "resps" not in row:
        raise NotOfFormat("there is no column 'resps': this is no sample of lm-eval's")
    said = [one for request in listed(row.get("resps")) for one in listed(request)]
    if not said or not all(isinstance(one, str) for one in said):
        raise ProblemsError(
            "the responses are no texts: likelihoods were asked for here",
            hint="only tasks of output_type generate_until have rollouts",
        )
    document = mapping(row.get("doc"))
    metrics = {str(name): row.get(str(name)) for name in listed(row.get("metrics"))}
    scores = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    metric = (asked.reward or "").partition(",")[0] or None
    reward = None if len(said) > 1 else chosen(scores, metric, "metric")
    base = {
        **row,
        "question": first(document, QUESTION) or _prompt(row),
        "answer": row.get("target"),
        "reward": reward,
        "metadata": {name: value for name, value in document.items() if isinstance(value, str | int | float | bool)},
    }
    return [{**base, "completion": one} for one in said]


def _prompt(row: Row) -> Any:
    return mapping(mapping(row.get("arguments")).get("gen_args_0")).get("arg_0")


def _which(path: Path, seen: dict[str, list[str]]) -> UsageError:
    names = [f"{metric},{named}" for named, metrics in seen.items() for metric in metrics]
    return UsageError(
        "the log has its documents once for each of several filters",
        where=str(path),
        hint=f"name metric and filter, as lm-eval does: --reward {' or '.join(names)}; or --reward none",
    )
