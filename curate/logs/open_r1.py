"""open-r1: the dataset that ``scripts/pass_rate_filtering/compute_pass_rate.py`` pushes (its revision ``gen``).

Owns the columns ``pass_rate_generations`` and ``pass_rate_rewards``: for each problem a list of completions and one of
rewards. Source read: huggingface/open-r1 at 00ca5948.

Unknown: model, revision and sampling (the script puts the model's name into the dataset's and nothing else), and how
a completion ended, so truncation may be undercounted. A reward that its function did not give is NaN there: unscored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curate.errors import ProblemsError
from curate.logs.cells import ANSWER, QUESTION, NotOfFormat, Placed, chosen, each, first, rows
from curate.logs.origin import Asked, Origin
from curate.problems.files import Row

FILES = ("*.parquet", "*.jsonl")
_GENERATIONS, _REWARDS = "pass_rate_generations", "pass_rate_rewards"


def read(path: Path, asked: Asked) -> Placed:
    """One row for each completion of each problem.

    Raises:
        UsageError: there is no reward of the name asked for.
    """
    return each(rows(path), lambda row: _rollouts(row, asked))


def origin(_path: Path) -> Origin:
    """Nothing is known but the tool."""
    return Origin(tool="open-r1")


def _rollouts(row: Row, asked: Asked) -> Iterator[Row]:
    drawn, rewards = row.get(_GENERATIONS), row.get(_REWARDS)
    if not isinstance(drawn, list):
        raise NotOfFormat(f"there is no list {_GENERATIONS!r}", hint="the revision 'gen' of the dataset has it")
    if rewards is not None and (not isinstance(rewards, list) or len(rewards) != len(drawn)):
        raise ProblemsError(f"{_REWARDS!r} is no list of {len(drawn)} rewards, one for each generation")
    own = {name: value for name, value in row.items() if name not in (_GENERATIONS, _REWARDS)}
    # What the model was asked stands in ``prompt``: the script restores it from the column that it asked for.
    question, answer = first(own, ("prompt", *QUESTION)), first(own, ANSWER)
    kept = {name: value for name, value in own.items() if isinstance(value, str | int | float | bool)}
    metadata = {name: value for name, value in kept.items() if name not in (*QUESTION, *ANSWER)}
    # Its rewards have no name but that of their column.
    rewards = chosen({} if rewards is None else {_REWARDS: rewards}, asked.reward, "reward")
    for position, completion in enumerate(drawn):
        yield {
            **own,
            **({} if question is None else {"question": question}),
            "answer": answer,
            "completion": completion,
            "reward": None if rewards is None else rewards[position],
            "metadata": metadata,
        }
