"""Judging: from rollouts to their verdicts, and which references can judge at all.

Owns what a verdict takes from its rollout, and the one verdict that needs no verifier. Must not know how a verifier
works or where verdicts are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from curate.records import Case, Judgement, Problem, Prompt, Reason, Rollout, Verdict, VerdictKind

PIECE = 256
"""Rollouts that ``verify_all`` judges in one go: their verdicts come together."""

AT_ONCE = 8
"""Pieces judged at once: one that waits for a hanging case must not leave the other workers idle."""

LOGGED = "logged"
"""The verifier kind that believes the rewards of the log that a profile was imported from."""

_TRUNCATED = Judgement(VerdictKind.FAIL, reward=0.0, answer=None, reason="truncated", seconds=0.0)


class Judge(Protocol):
    """What the scheduler needs of a verifier pool."""

    async def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """Judge the cases, in their order."""


class ReferenceCheck(Protocol):
    """What the references need of a verifier pool."""

    async def check_references(
        self, items: Sequence[tuple[str, ...]], metadata: Sequence[Mapping[str, Any]] | None = None
    ) -> list[str | None]:
        """Why each problem's references cannot be used; None where they can."""


async def set_unsound_aside(check: ReferenceCheck, problems: Sequence[Problem]) -> list[Problem]:
    """Set aside every problem whose reference fails its own verifier: it can teach nothing, and should cost nothing."""
    sound = [problem for problem in problems if problem.set_aside is None]
    answers, metadata = [problem.answers for problem in sound], [problem.metadata for problem in sound]
    faults = await check.check_references(answers, metadata)
    why = {problem.problem_id: fault for problem, fault in zip(sound, faults, strict=True) if fault is not None}
    return [
        replace(problem, set_aside=Reason.UNVERIFIABLE, set_aside_why=why[problem.problem_id])
        if problem.problem_id in why
        else problem
        for problem in problems
    ]


async def verify(
    judge: Judge,
    problems: Mapping[str, Problem],
    rollouts: Sequence[Rollout],
    prompts: Mapping[str, Prompt] | None = None,
    *,
    cut_fails: bool = True,
) -> list[Verdict]:
    """The verdicts of some rollouts, in their order.

    A rollout that was cut at the length limit fails without being judged, as it does in training.

    Args:
        judge: A started verifier pool.
        problems: By id; all that the rollouts belong to.
        rollouts: Any.
        prompts: What each problem's model was asked, by id, where that is known: the turns of a chat, and ``text``, all
            that the model saw. Where it is not, the source's chat or question stands in.
        cut_fails: False judges what was cut like any other: a probe wants an answer and no more.
    """
    prompts = prompts or {}
    whole = [rollout for rollout in rollouts if rollout.finish_reason != "length" or not cut_fails]
    judged = iter(
        await judge.judge([_case(problems[one.problem_id], one, prompts.get(one.problem_id)) for one in whole])
    )
    return [
        verdict_of(rollout, _TRUNCATED if cut_fails and rollout.finish_reason == "length" else next(judged))
        for rollout in rollouts
    ]


async def verify_all(
    judge: Judge,
    problems: Mapping[str, Problem],
    batches: Iterable[Sequence[Rollout]],
    take: Callable[[list[Verdict]], None],
    prompts: Mapping[str, Prompt] | None = None,
    *,
    cut_fails: bool = True,
) -> None:
    """Judge batches of rollouts as they are read, a few pieces at once, so that no more of them are in memory.

    Args:
        judge: A started verifier pool.
        problems: By id; a rollout of another problem is passed over.
        batches: Read as the judging proceeds.
        take: Called with the verdicts of each piece, when they are there.
        prompts: As for ``verify``.
        cut_fails: As for ``verify``.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def judged(rollouts: Sequence[Rollout]) -> None:
        try:
            take(await verify(judge, problems, rollouts, prompts, cut_fails=cut_fails))
        finally:
            room.release()

    waiting = iter(batches)
    try:
        async with asyncio.TaskGroup() as group:
            while (batch := await asyncio.to_thread(next, waiting, None)) is not None:
                ours = [rollout for rollout in batch if rollout.problem_id in problems]
                for first in range(0, len(ours), PIECE):
                    await room.acquire()
                    group.create_task(judged(ours[first : first + PIECE]))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


def logged(problem_id: str, index: int, reward: float | None, pass_at: float) -> Verdict:
    """The verdict that a log's own reward is; unscored where it has none."""
    if reward is None:
        return Verdict(problem_id, index, VerdictKind.UNSCORED, None, None, "no reward in the log", 0.0)
    kind = VerdictKind.PASS if reward >= pass_at else VerdictKind.FAIL
    return Verdict(problem_id, index, kind, reward, None, "as logged", 0.0)


def without_reference(problem: Problem) -> Problem:
    """A problem that lacks nothing but a usable reference is as good as any where a log's own rewards judge."""
    usable = problem.set_aside is Reason.UNVERIFIABLE and problem.question.strip()
    return replace(problem, set_aside=None, set_aside_why="") if usable else problem


def verdict_of(rollout: Rollout, found: Judgement) -> Verdict:
    """Tie a judgement to its rollout."""
    return Verdict(
        rollout.problem_id, rollout.index, found.kind, found.reward, found.answer, found.reason, found.seconds
    )


def _case(problem: Problem, rollout: Rollout, prompt: Prompt | None) -> Case:
    prompt = prompt or Prompt(problem.messages, problem.question)
    return Case(problem.answers, rollout.completion, problem.question, problem.metadata, prompt)
