"""Judging: from rollouts to their verdicts.

Owns what a verdict takes from its rollout, and the one verdict that needs no verifier. Must not know how a verifier
works or where verdicts are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from curate.records import Case, Judgement, Problem, Rollout, Verdict, VerdictKind

_TRUNCATED = Judgement(VerdictKind.FAIL, reward=0.0, answer=None, reason="truncated", seconds=0.0)


class Judge(Protocol):
    """What the scheduler needs of a verifier pool."""

    async def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """Judge the cases, in their order."""


async def verify(judge: Judge, problems: Mapping[str, Problem], rollouts: Sequence[Rollout]) -> list[Verdict]:
    """The verdicts of some rollouts, in their order.

    A rollout that was cut at the length limit fails without being judged, as it does in training.

    Args:
        judge: A started verifier pool.
        problems: By id; all that the rollouts belong to.
        rollouts: Any.
    """
    whole = [rollout for rollout in rollouts if rollout.finish_reason != "length"]
    judged = iter(await judge.judge([_case(problems[rollout.problem_id], rollout) for rollout in whole]))
    return [
        verdict_of(rollout, _TRUNCATED if rollout.finish_reason == "length" else next(judged)) for rollout in rollouts
    ]


def verdict_of(rollout: Rollout, found: Judgement) -> Verdict:
    """Tie a judgement to its rollout."""
    return Verdict(
        rollout.problem_id, rollout.index, found.kind, found.reward, found.answer, found.reason, found.seconds
    )


def _case(problem: Problem, rollout: Rollout) -> Case:
    return Case(problem.answers, rollout.completion, problem.question, problem.metadata)
