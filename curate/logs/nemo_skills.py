"""NeMo-Skills: ``output-rs{seed}.jsonl`` (or ``output.jsonl``), one file for each seed, one row for each problem.

Owns the columns of ``generate.py`` and of the math evaluator. Source read: NVIDIA/NeMo-Skills,
``nemo_skills/inference/generate.py`` at 025b4859 and ``inference/model/{base,context_retry}.py``.

A row repeats the data set's own columns, so question and reference are among them. Where reasoning was parsed away
the full text is in ``_full_generation``, and that is what the model drew. The server's refusal of a prompt that was
too long is written as an empty generation with an ``error``.

Unknown: model, revision, template and sampling: they are in the job's command line and not in its output.
"""

from __future__ import annotations

from pathlib import Path

from curate.logs.cells import ANSWER, QUESTION, Placed, chosen, each, first, rows, spoken
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row

FILES = ("output*.jsonl",)
_VERDICTS = ("symbolic_correct", "is_correct", "judge_correct")
_KEPT = ("subset_for_metrics", "subject", "level", "source", "id", "category")


def read(path: Path, asked: Asked) -> Placed:
    """One row for each line. Chunks of a run that has not ended (``-async``) lack an order, not a column."""
    return each(rows(path), lambda row: [_rollout(row, asked)])


def origin(_path: Path) -> Origin:
    """Nothing is known but the tool."""
    return Origin(tool="NeMo-Skills")


def _rollout(row: Row, asked: Asked) -> Row:
    verdicts = {name: row[name] for name in _VERDICTS if row.get(name) is not None}
    if asked.reward is None:
        # Of several verdicts the symbolic one is the evaluator's own; a judge's has to be asked for.
        verdicts = dict(list(verdicts.items())[:1])
    elif asked.reward in row:
        verdicts[asked.reward] = row[asked.reward]
    drawn = row.get("_full_generation")
    if not isinstance(drawn, str) and "generation" in row:
        drawn = spoken({"content": row["generation"], "reasoning": row.get("reasoning_content")})
    # What is not found here, the user may name.
    found = {"question": first(row, ("problem", *QUESTION, "messages")), "completion": drawn}
    return {
        **row,
        **{name: value for name, value in found.items() if value is not None},
        "answer": first(row, ("expected_answer", *ANSWER)),
        "reward": chosen(verdicts, asked.reward, "verdict"),
        "prompt_tokens": row.get("num_input_tokens"),
        "completion_tokens": row.get("num_generated_tokens"),
        "metadata": {name: row[name] for name in _KEPT if name in row},
    }
