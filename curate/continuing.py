"""Continuing: whether a set of problems still is the one that a profile's rollouts were drawn of.

Owns what happens where a source says something else of a problem than it said when its rollouts were drawn. Another
question is another problem, whose rollouts are never pooled with these: it is refused. Another reference is the same
problem, judged wrongly so far: its rollouts are judged again. Must not draw or estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import polars as pl

from curate import problems
from curate.errors import ProblemsChanged, RecipeError
from curate.judging import Judge, verify_all
from curate.ledger import Ledger
from curate.parts import clean
from curate.problems import prompts
from curate.recipe import PromptSection
from curate.recorder import Recorder
from curate.records import Message, Problem, Prompt, Verdict, VerdictKind

TOLD = 3
"""Problems that an error names."""


def refuse_other_questions(ledger: Ledger, among: Sequence[Problem], section: PromptSection) -> None:
    """Refuse a problem that has rollouts and asks something else than they answered.

    Args:
        ledger: The profile that is continued.
        among: The problems as the source has them now.
        section: How a problem becomes a prompt, then and now.

    Raises:
        ProblemsChanged: names the first of them.
    """
    render = prompts.renderer(section)
    changed = [new.problem_id for old, new in _before_and_after(ledger, among) if not _alike(render, old, new)]
    if changed:
        named = ", ".join(changed[:TOLD]) + (", ..." if len(changed) > TOLD else "")
        raise ProblemsChanged(
            f"problems ask something else than when their rollouts were drawn ({len(changed):,} of them): {named}",
            where=str(ledger.path),
            hint="give them ids of their own in the source, or give this run another --into",
        )


async def judge_other_references(
    ledger: Ledger,
    fingerprint: str,
    among: Sequence[Problem],
    seen: Mapping[str, Prompt],
    judge: Judge,
    recorder: Recorder,
    *,
    cut_fails: bool = True,
) -> int:
    """Judge anew the rollouts of every problem whose accepted answers are others than before.

    To be called before the problems are written: until then a call that was broken off is begun again.

    Args:
        ledger: The profile, held for writing.
        fingerprint: The verifier's.
        among: The problems, their references checked.
        seen: What the model was asked of each, by id.
        judge: The verifier pool, started.
        recorder: Takes the verdicts.
        cut_fails: As for ``judging.verify``.

    Returns:
        How many rollouts were judged. What other verifiers said of them becomes unscored, since it rests on the old
        reference, until they judge again (``curate verify --redo-unscored``), and what the probes drew likewise, until
        they are made again. The audit is out of date.
    """
    changed = {new.problem_id: new for old, new in _before_and_after(ledger, among) if old.answers != _answers(new)}
    if not changed:
        return 0
    _take_back(ledger, set(changed), fingerprint)
    ledger.forget_audit(changed)
    judged = 0

    def take(verdicts: list[Verdict]) -> None:
        nonlocal judged
        judged += len(verdicts)
        recorder.add_verdicts(verdicts)

    sound = {name: problem for name, problem in changed.items() if problem.set_aside is None}
    others = ledger.rollouts(["problem_id", "index"]).filter(~pl.col("problem_id").is_in(list(sound)))
    await verify_all(judge, sound, ledger.unjudged(others), take, seen, cut_fails=cut_fails)
    recorder.flush()
    return judged


def _before_and_after(ledger: Ledger, among: Sequence[Problem]) -> list[tuple[Problem, Problem]]:
    """The problems that have rollouts, as they were and as they are."""
    if not ledger.exists():
        return []
    held = set(ledger.rollouts(["problem_id"])["problem_id"].unique().to_list())
    if not held:
        return []
    before = {problem.problem_id: problem for problem in problems.stored(ledger.problems())}
    return [(before[one.problem_id], one) for one in among if one.problem_id in held and one.problem_id in before]


def _alike(render: Callable[[Problem], Prompt], old: Problem, new: Problem) -> bool:
    """Whether a problem asks what it asked: question, chat, and what of its metadata the template shows."""
    turns = tuple(Message(turn.role, clean(turn.content)) for turn in new.messages)
    if (clean(new.question), turns) != (old.question, old.messages):
        return False
    if new.metadata == old.metadata:
        return True
    try:
        return clean(repr(render(old))) == clean(repr(render(new)))
    except RecipeError:  # it lacks what the template asks for, and says so when it is to be sampled
        return True


def _answers(problem: Problem) -> tuple[str, ...]:
    return tuple(clean(answer) for answer in problem.answers)


def _take_back(ledger: Ledger, problem_ids: Collection[str], but: str = "") -> None:
    """Take back what was said of these problems' rollouts, in the probes too; not what one verifier said."""
    for folder in (ledger.path / "verdicts").glob("*"):
        if folder.name == but:
            continue
        rows = ledger.verdicts(folder.name, ["problem_id", "index", "verdict"])
        stale = [
            Verdict(problem_id, index, VerdictKind.UNSCORED, None, None, "the reference was another", 0.0)
            for problem_id, index, verdict in rows.iter_rows()
            if problem_id in problem_ids and verdict != VerdictKind.UNSCORED
        ]
        ledger.append_verdicts(folder.name, stale)
    for probe in ledger.probes("guess"):
        _take_back(probe, problem_ids)
    for probe in ledger.probes("early"):
        asked = problems.stored(probe.problems())
        _take_back(probe, {one.problem_id for one in asked if one.metadata["of"] in problem_ids})
