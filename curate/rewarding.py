"""Rewarding: a release's own verifier as the reward function of a trainer.

Owns how trainers call a reward function; how a trainer's own is called is ``verifiers.styles``'s. Must not import a
trainer, nor torch. Pass rates hold for one verifier: a trainer that rewards with another one trains in another band.

A completion without a verdict (the verifier timed out or failed) is no failure. TRL is told so, with None; the others
take only numbers, so it gets 0 there and is counted in what they log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from curate import verifiers
from curate.errors import UsageError, VerifierError
from curate.judging import LOGGED
from curate.publish.export import read_problems
from curate.publish.release import read
from curate.publish.trainers import unpacked
from curate.recipe import VerifierSection
from curate.records import Case, Judgement, Message, Problem, Prompt
from curate.verifiers.pool import VerifierPool

Result = TypeVar("Result")

ENDS = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "<|end|>", "<|return|>"),
    *("</s>", "<eos>", "<pad>", "[PAD]"),
)
"""How a completion ends where a trainer decodes it with its special tokens, as OpenRLHF does."""

Judge = Callable[[Sequence[Case]], list[Judgement]]

_POOLS: list[VerifierPool] = []
"""The pools of this process's reward functions: trainers keep such functions, and nobody hands them back."""


def reward(
    release: str | Path,
    *,
    trainer: str = "plain",
    label: str = "reference",
    ends: Sequence[str] = ENDS,
    any_version: bool = False,
    workers: int | None = None,
) -> Callable[..., Any]:
    """The verifier that measured a release, as the reward function of a trainer.

    Worker processes start with the first call and stay until the process ends, or ``close_rewards``. The function may
    be called from any thread, and inside a running event loop (which waits meanwhile).

    Args:
        release: The folder; its manifest names the verifier.
        trainer: Whose convention: ``trl``: ``f(completions, answers, **columns) -> [reward or None]``; ``verl``:
            ``compute_score(data_source, solution_str, ground_truth, extra_info) -> {score, acc, unscored}``;
            ``openrlhf``: ``reward_func(queries, prompts, labels) -> {rewards, scores, extra_logs}``; ``plain``:
            ``f(completion, label, problem=None) -> reward or None``, for a class of your own. All read the columns that
            ``export`` writes.
        label: What the label is where a row has room for nothing else, as it was exported: ``reference``, or
            ``problem_id``, with which the verifier is also given the problem's question and metadata.
        ends: Special tokens to take off the end of an OpenRLHF completion.
        any_version: Reward with the installed version of the verifier, although another one measured.
        workers: Worker processes; None takes one for each core.

    Raises:
        UsageError: an unknown trainer or label.
        ReleaseError: there is no release there, or it is damaged.
        RecipeError: the verifier is none that can be opened, such as a function whose file is elsewhere.
        VerifierError: the installed version is not the one that measured, or none did: a log brought its rewards.
    """
    if trainer not in _STYLES:
        close = get_close_matches(trainer.lower(), _STYLES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(_STYLES)}; wrap plain for any other"
        raise UsageError(f"no reward function for {trainer!r}", where="trainer", hint=hint)
    if label not in ("reference", "problem_id"):
        raise UsageError(f"expected reference or problem_id, got {label!r}", where="label")
    manifest = read(release)
    known: dict[str, Problem] = {}
    if label == "problem_id":
        for config in manifest["rows"]:
            known.update((one.problem_id, one) for one in read_problems(release, config, manifest)[0])
    judge = _judge(manifest["protocol"], str(release), any_version=any_version, workers=workers)
    if trainer == "openrlhf":
        return partial(_openrlhf, judge, known, tuple(ends))
    function: Callable[..., Any] = partial(_STYLES[trainer], judge, known)
    # TRL names its metrics after the function.
    function.__name__ = "curate_reward"
    return function


def close_rewards() -> None:
    """End the worker processes of every reward function that was made here; those functions raise when called again."""
    while _POOLS:
        _run(_POOLS.pop().close())


def _judge(protocol: Mapping[str, Any], where: str, *, any_version: bool, workers: int | None) -> Judge:
    section = VerifierSection(
        kind=protocol["verifier.kind"],
        options=protocol["verifier.options"],
        pass_at=protocol["verifier.pass_at"],
        workers=workers,
    )
    if section.kind == LOGGED:
        raise VerifierError(
            "the rewards were the log's own, and no verifier made them",
            where=where,
            hint="train with the reward function that made the log, or judge by one: curate verify DIR --adopt",
        )
    pool = verifiers.connect(section)
    if pool.version != protocol["verifier.version"] and not any_version:
        raise VerifierError(
            f"the pass rates were measured by {protocol['verifier.version']}, and {pool.version} is installed",
            where=where,
            hint="measure them anew with curate verify DIR --verifier NAME --adopt, or pass any_version=True",
        )

    _POOLS.append(pool)
    return lambda cases: _run(pool.judge(cases))


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:  # the caller's own loop runs in this thread
        return thread.submit(asyncio.run, work).result()


# -- the conventions --------------------------------------------------------------------------------------------------


def _trl(
    judge: Judge,
    _known: Mapping[str, Problem],
    completions: Sequence[Any],
    answers: Sequence[Sequence[str]],
    prompts: Sequence[Any] | None = None,
    question: Sequence[str] | None = None,
    metadata: Sequence[str] | None = None,
    **_columns: Any,
) -> list[float | None]:
    cases = [
        Case(
            answers=tuple(answers[place]),
            completion=completion if isinstance(completion, str) else completion[-1]["content"],
            question=question[place] if question else "",
            metadata=json.loads(metadata[place]) if metadata else {},
            prompt=_prompt(prompts[place]) if prompts else Prompt(),
        )
        for place, completion in enumerate(completions)
    ]
    return [found.reward for found in judge(cases)]


def _verl(
    judge: Judge,
    _known: Mapping[str, Problem],
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    **_others: Any,
) -> dict[str, float]:
    extra = extra_info or {}
    told = extra.get("answers")
    case = Case(
        answers=(ground_truth,) if told is None else tuple(told),
        completion=solution_str,
        question=extra.get("question", ""),
        metadata=json.loads(extra.get("metadata", "{}")),
    )
    found = judge([case])[0].reward
    return {"score": found or 0.0, "acc": found or 0.0, "unscored": float(found is None)}


def _openrlhf(
    judge: Judge,
    known: Mapping[str, Problem],
    ends: tuple[str, ...],
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[str],
    **_others: Any,
) -> dict[str, Any]:
    cases = [
        _labelled(known, _ended(query.removeprefix(prompt), ends), label, Prompt(text=prompt))
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    found = [judged.reward for judged in judge(cases)]
    rewards = [one or 0.0 for one in found]
    # OpenRLHF asks for one at a time, and puts what it gets into a list of its own.
    told: Any = rewards[0] if len(rewards) == 1 else rewards
    return {"rewards": told, "scores": told, "extra_logs": {"unscored": float(sum(one is None for one in found))}}


def _plain(
    judge: Judge, known: Mapping[str, Problem], completion: str, label: str, problem: Mapping[str, Any] | None = None
) -> float | None:
    if problem is None:
        return judge([_labelled(known, completion, label, Prompt())])[0].reward
    case = Case(tuple(problem["answers"]), completion, problem["question"], json.loads(problem["metadata"]))
    return judge([case])[0].reward


def _labelled(known: Mapping[str, Problem], completion: str, label: str, prompt: Prompt) -> Case:
    if not known:
        return Case(unpacked(label), completion, prompt=prompt)
    if label not in known:
        raise UsageError(
            f"no problem of the release has the id {label!r}",
            where="label",
            hint="export with --option label=problem_id",
        )
    return Case(known[label].answers, completion, known[label].question, known[label].metadata, prompt)


def _prompt(told: Any) -> Prompt:
    if isinstance(told, str):
        return Prompt(text=told)
    return Prompt(messages=tuple(Message(turn["role"], turn["content"]) for turn in told))


def _ended(completion: str, ends: tuple[str, ...]) -> str:
    """A completion without the special tokens at its end."""
    while ends and completion.rstrip().endswith(ends):
        completion = completion.rstrip()
        completion = completion[: -max(len(end) for end in ends if completion.endswith(end))]
    return completion


_STYLES: dict[str, Callable[..., Any]] = {"trl": _trl, "verl": _verl, "openrlhf": _openrlhf, "plain": _plain}
