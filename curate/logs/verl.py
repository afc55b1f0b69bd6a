"""verl: the dumps of ``trainer.rollout_data_dir`` and ``trainer.validation_data_dir``, one ``{step}.jsonl`` each step.

Owns the columns of ``_write_generations``: ``input``, ``output``, ``gts``, ``score``, ``step`` and what the reward
function added. Source read: verl 0.9.1, ``trainer/ppo/ray_trainer.py`` and ``trainer/ppo/v1/trainer_base.py``.

There is no id: rollouts belong together by prompt and reference. The prompt is decoded without its special tokens, so
it begins with ``user`` or the like where those had marked it; ``--problems`` gives the questions back. ``score`` is
the sum of the token rewards, penalties included; ``--reward acc`` takes another column.

Unknown: model, revision, template, sampling, and how a response ended: truncation cannot be seen, and counts as the
reward has it. Of an agent's rollout with several outputs (``uid`` ending ``_0``, ``_1``) each counts.
"""

from __future__ import annotations

from pathlib import Path

from curate.logs.cells import NotOfFormat, Placed, each, rows
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row, uncompressed
from curate.problems.rows import missing_column

FILES = ("[0-9]*.jsonl",)


def read(path: Path, asked: Asked) -> Placed:
    """One row for each line, with the step of its policy: from the line, or from the file's name."""
    name = uncompressed(path).stem
    step = int(name) if name.isdecimal() else None
    return each(rows(path), lambda row: [_rollout(row, asked, step)])


def origin(_path: Path) -> Origin:
    """Nothing is known but the tool."""
    return Origin(tool="verl")


def _rollout(row: Row, asked: Asked, step: int | None) -> Row:
    reward = None if asked.reward == "none" else asked.reward or "score"
    missing = [name for name in ("input", "output") if name not in row]
    if missing:
        raise NotOfFormat(f"there is no column {missing[0]!r}: this is no dump of verl's")
    if asked.reward and reward and reward not in row:
        raise missing_column(reward, "reward", [row])
    return {
        **row,
        "question": row["input"],
        "answer": row.get("gts"),
        "completion": row["output"],
        "reward": row.get(reward) if reward else None,
        "step": row.get("step", step),
        "metadata": {name: row[name] for name in ("data_source",) if name in row},
    }
