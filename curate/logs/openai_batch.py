"""Batch output: what OpenAI's Batch API returns, and ``vllm run-batch`` writes: one line for each request.

Owns ``custom_id``, ``response.body.choices[]`` (chat completions, completions) and ``response.body.output[]``
(responses). Sources read: OpenAI's API reference of the batch output object; vLLM's
``entrypoints/openai/run_batch.py``.

A line tells the answer and neither question nor reference: those come by ``custom_id`` from problem files or from the
batch's own input. A request that failed has an ``error``, or a status other than 200; OpenAI writes them to a file of
their own, vLLM into the same. Of several choices the usage is a sum, so their tokens are not recorded.

Unknown: template and, unless the batch input is among the files, sampling. The model is what the server says it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curate.logs.cells import NotOfFormat, Placed, chosen, each, listed, mapping, rows, spoken
from curate.logs.faults import failure
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row

FILES = ("*.jsonl",)


def read(path: Path, asked: Asked) -> Placed:
    """One row for each choice of each line; a failed request as one row with its error.

    Raises:
        UsageError: a reward was named: there are none.
    """
    chosen({}, asked.reward, "reward")
    return each(rows(path), _rollouts)


def origin(_path: Path) -> Origin:
    """Nothing is known of the whole file."""
    return Origin()


def _rollouts(row: Row) -> Iterator[Row]:
    if not isinstance(row.get("custom_id"), str) or not row.keys() & {"response", "error"}:
        hint = "this looks like the batch's input: give it as --problems" if "body" in row else None
        raise NotOfFormat("this is no line of a batch's output: it has no custom_id or response", hint=hint)
    base = {"problem_id": row["custom_id"], "question": None, "answer": None, "completion": None}
    response = mapping(row.get("response"))
    body, status = mapping(response.get("body")), response.get("status_code", 200)
    base["model"] = body.get("model")
    error = failure(row.get("error")) or failure(body.get("error"))
    if error or status != 200:
        yield {**base, "error": error or f"status {status}"}
        return
    choices = listed(body.get("choices"))
    usage = mapping(body.get("usage"))
    counted = {
        "prompt_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
        "completion_tokens": usage.get("completion_tokens", usage.get("output_tokens")) if len(choices) < 2 else None,
    }
    for choice in choices:
        said = choice.get("text") if isinstance(choice.get("text"), str) else spoken(choice.get("message"))
        yield {**base, **counted, "completion": said, "finish_reason": choice.get("finish_reason")}
    if not choices:
        yield {**base, **counted, **answered(body)}


def answered(body: Row) -> Row:
    """Completion, finish reason and error of an object of the Responses API; an error where it holds no answer."""
    output = [mapping(item) for item in listed(body.get("output"))]
    messages = [item for item in output if item.get("type", "message") == "message"]
    if not messages:
        return {"error": body.get("error") or "an answer without choices or messages"}
    thoughts = [
        part.get("text", "")
        for item in output
        if item.get("type") == "reasoning"
        for part in map(mapping, listed(item.get("content")) or listed(item.get("summary")))
    ]
    said = "".join(spoken(item) for item in messages)
    incomplete = mapping(body.get("incomplete_details")).get("reason")
    return {
        "completion": spoken({"content": said, "reasoning": "".join(thoughts)}),
        "finish_reason": incomplete or body.get("status"),
        "error": body.get("error"),
    }
