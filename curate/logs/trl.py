"""TRL: ``completions/completions_{step}.parquet``, which GRPO and its kin write with ``log_completions``.

Owns its columns: ``step``, ``prompt``, ``completion``, one for each reward function, what was added by ``log_extra``,
and ``advantage``. Source read: TRL 1.16.0, ``trainer/grpo_trainer.py``, ``log`` and
``_generate_and_score_completions``.

No reference is among them: ``--problems`` gives it (rows are matched by the question in the prompt), or the rewards
are believed (``--verifier logged``). ``step`` counts the updates done when the file was written, so the policy that
drew the rows is the one before it. A file holds what is in memory then: where one generation serves several updates
(``steps_per_generation``, ``num_iterations``) the same rows come again in the next files, and where ``logging_steps``
is larger, those between were never written. An evaluation writes over the file of its step.

Unknown: model, revision, template, sampling, and how a completion ended. A reward function that returned None is NaN,
and null once pandas has written it: which rewards there are is a matter of the log's columns, not of a row's values.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from curate.errors import ProblemsError
from curate.logs.cells import NotOfFormat, Placed, chosen, each, listed, mapping, rows, spoken
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row

FILES = ("completions_*.parquet",)
_OURS = ("step", "prompt", "completion", "advantage")


def read(path: Path, asked: Asked) -> Placed:
    """One row for each completion, with its step.

    Raises:
        UsageError: there are several rewards and none is named.
    """
    names = dict.fromkeys(
        name for file in asked.files or (path,) for name in _numbers_in(file, file.stat().st_mtime_ns)
    )
    return each(rows(path), lambda row: [_rollout(row, asked, tuple(names))])


def origin(_path: Path) -> Origin:
    """Nothing is known but the tool."""
    return Origin(tool="TRL")


def _rollout(row: Row, asked: Asked, names: tuple[str, ...]) -> Row:
    missing = [name for name in _OURS[:3] if name not in row]
    if missing:
        raise NotOfFormat(f"there is no column {missing[0]!r}: these are no completions of TRL's")
    # One that is named must be in the row's own file; where none is, all of the log compete.
    rewards = {name: row.get(name) for name in names if asked.reward is None or name in row}
    answered = row["completion"]
    turns = [turn for turn in map(mapping, listed(answered)) if turn.get("role", "assistant") == "assistant"]
    return {
        **row,
        "question": row["prompt"],
        "answer": row.get("answer", row.get("solution")),
        "completion": answered if isinstance(answered, str) else "\n\n".join(map(spoken, turns)),
        "reward": chosen(rewards, asked.reward, "reward"),
    }


@lru_cache(maxsize=4096)
def _numbers_in(path: Path, _changed: int) -> tuple[str, ...]:
    """The columns of a file that hold numbers and are not the trainer's own; none of a file that cannot be read."""
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(path)
        except (pa.ArrowException, OSError):
            return ()
        kinds = zip(schema.names, schema.types, strict=True)
        names = [name for name, kind in kinds if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
    else:
        whole = (row for _, row in rows(path) if not isinstance(row, ProblemsError))
        names = list(dict.fromkeys(name for row in whole for name, value in row.items() if _is_number(value)))
    return tuple(name for name in names if name not in _OURS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
