"""Probing: what a model says when the reasoning is taken away, and what another says of the reasoning.

Owns the three probes that sample, and where what they drew is kept. Must not decide what a probe means for a problem
(statistics and the audit do), and never mixes what it drew with the profile's rollouts.

- The guess probe asks the problems that passed for the bare answer at once: passes there are guesses (or memory).
- The early-answer probe cuts passing rollouts and forces the answer: a pass that needs none of its text is a shortcut
  (after Lanham and others, arXiv 2307.13702).
- The judge probe asks any model, several times, whether the reasoning of a pass supports its answer; CoT-Pass@K
  (arXiv 2506.14245) counts the passes whose reasoning does.

Each probe is a small profile of its own, ``probes/<kind>-<fingerprint>/`` in the profile's folder, with a manifest,
problems, rollouts and verdicts. The fingerprint names all that its draws depend on, so that another template is another
probe; the same call again continues, and more draws add to those held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from curate import engines
from curate import recipe as recipes
from curate.asking import Drawing, Opened, Report, draw, open_profile, profiled_model
from curate.errors import LedgerError, UsageError
from curate.ledger import Ledger
from curate.problems import prompts
from curate.recipe import JudgeSection, PromptSection, Recipe, SamplingSection
from curate.records import Case, Judgement, Problem, Prompt, VerdictKind
from curate.statistics import cot_pass_at


@dataclass(frozen=True)
class Probe:
    """What a probe holds now."""

    path: Path
    """Its own folder."""
    drawn: int
    """Rollouts that this call drew."""
    counts: pl.DataFrame
    """What came out, one row for each thing that was asked; the probe says which columns."""


def probe_guess(
    folder: str | Path,
    *,
    recipe: Recipe | None = None,
    draws: int | None = None,
    among: Collection[str] | None = None,
    report: Report | None = None,
) -> Probe:
    """Ask the problems of a profile for the bare answer at once, with the reasoning suppressed.

    Args:
        folder: The profile.
        recipe: Whose ``audit.guess``, engine and verifier to use; None takes the profile's own.
        draws: For each problem; None takes ``audit.guess.draws``.
        among: Only these problem ids; None asks every problem that passed at least once.
        report: Called a few times a second with the running totals.

    Returns:
        ``counts`` with ``problem_id``, ``n_guess`` (scored draws) and ``k_guess`` (passes).

    Raises:
        UsageError: the profile was imported and no recipe is given, or there are no draws to make.
        ProtocolChanged: the recipe's model is not the profile's.
        LedgerError: there is no profile, or its rollouts are not on this disk.
        EngineError: as for ``profile``.
        Stopped: SIGINT or SIGTERM arrived; what was drawn is safe, and the same call continues.
    """
    opened = open_profile(folder, recipe)
    section = opened.recipe.audit.guess
    passed = set(opened.judged().filter(pl.col("verdict") == VerdictKind.PASS)["problem_id"])
    render = prompts.renderer(opened.recipe.prompt.model_copy(update={"template": section.template}))
    asked = [
        (problem, replace(render(problem), prefill=section.prefill))
        for problem in opened.problems
        if problem.set_aside is None and problem.problem_id in (passed if among is None else among)
    ]
    sampling = opened.recipe.sampling.model_copy(update={"max_tokens": section.max_tokens})
    changed = {"prompt.template": section.template, "prefill": section.prefill}
    ledger, drawn = profiled_model(
        opened, "guess", asked, draws or section.draws, sampling, changed, section.prefill, report
    )
    return Probe(ledger.path, drawn, _guesses(ledger))


def probe_early(
    folder: str | Path,
    *,
    recipe: Recipe | None = None,
    draws: int | None = None,
    among: Collection[str] | None = None,
    report: Report | None = None,
) -> Probe:
    """Cut passing rollouts and force the answer there.

    Args:
        folder: The profile.
        recipe: Whose ``audit.early``, engine and verifier to use; None takes the profile's own.
        draws: For each rollout at each cut; None takes ``audit.early.draws``.
        among: Only these problem ids; None asks those whose passes are rare, as ``audit.early.below`` says.
        report: Called a few times a second with the running totals.

    Returns:
        ``counts`` with ``problem_id`` and ``index`` of the rollout, ``cut``, ``n`` (scored draws) and ``k`` (passes).

    Raises:
        As ``probe_guess``.
    """
    opened = open_profile(folder, recipe)
    section = opened.recipe.audit.early
    if among is None:
        among = opened.rare(section.below)
    render = prompts.renderer(opened.recipe.prompt)
    asked = []
    for problem, index, completion, answer in opened.passes(among, section.passes):
        work = before_answer(completion, answer)
        for cut in section.cuts:
            kept = _cut(work, cut)
            lead = section.lead if kept else section.lead.lstrip()
            named = f"{problem.problem_id}#{index}@{cut:g}"
            metadata = {"of": problem.problem_id, "index": index, "cut": cut}
            prompt = replace(render(problem), prefill=kept + lead)
            asked.append((replace(problem, problem_id=named, metadata=metadata), prompt))
    sampling = opened.recipe.sampling.model_copy(update={"max_tokens": section.max_tokens})
    changed = {"lead": section.lead}
    ledger, drawn = profiled_model(
        opened, "early", asked, draws or section.draws, sampling, changed, section.lead, report
    )
    return Probe(ledger.path, drawn, _by_rollout(ledger, ["cut"]))


def probe_judge(
    folder: str | Path,
    *,
    recipe: Recipe | None = None,
    votes: int | None = None,
    among: Collection[str] | None = None,
    report: Report | None = None,
) -> Probe:
    """Ask another model whether the reasoning of passing rollouts supports their answer.

    Args:
        folder: The profile.
        recipe: Whose ``audit.judge`` to use; None takes the profile's own.
        votes: For each rollout; None takes ``audit.judge.votes``.
        among: Only these problem ids; None asks all.
        report: Called a few times a second with the running totals.

    Returns:
        ``counts`` with ``problem_id`` and ``index`` of the rollout, ``n`` (votes that were given) and ``k`` (those
        that say yes). A reply without a vote is no vote.

    Raises:
        As ``probe_guess``; UsageError too where the recipe names no judge.
    """
    opened = open_profile(folder, recipe)
    section = opened.recipe.audit.judge
    if section is None:
        raise UsageError(
            "the recipe names no judge", where="audit.judge", hint="give audit.judge a model and an engine"
        )
    ids = {problem.problem_id for problem in opened.problems} if among is None else among
    asked = []
    render = prompts.renderer(PromptSection(template=section.template))
    for problem, index, completion, answer in opened.passes(ids, section.passes):
        metadata = {"of": problem.problem_id, "index": index, "completion": completion, "answer": answer}
        named = f"{problem.problem_id}#{index}"
        case = Problem(named, problem.question, problem.answers, metadata=metadata)
        asked.append((case, render(case)))
    ledger, drawn = _continue_judge(opened, section, asked, votes or section.votes, report)
    return Probe(ledger.path, drawn, _by_rollout(ledger, []))


def cot_pass(folder: str | Path, k: int) -> tuple[float, float]:
    """Pass@K and CoT-Pass@K of a profile whose passes were judged.

    A rollout's reasoning counts as right where more than half of the votes on it say so. Means are over problems with
    at least k scored rollouts, each of whose passes has a vote.

    Args:
        folder: The profile.
        k: At least 1.

    Raises:
        LedgerError: no judge probe was made, or no problem qualifies.
    """
    votes = read_probe(folder, "judge")
    if votes is None:
        raise LedgerError(
            "no judge was asked here", where=str(folder), hint="name a judge in audit.judge and run the judge probe"
        )
    ledger = Ledger(folder)
    judged = ledger.verdicts(ledger.manifest()["verifier_fingerprint"], ["problem_id", "index", "verdict"])
    said = votes.filter(pl.col("n") > 0).select("problem_id", "index", right=pl.col("k") * 2 > pl.col("n"))
    passed = pl.col("verdict") == VerdictKind.PASS
    counted = (
        judged.filter(pl.col("verdict") != VerdictKind.UNSCORED)
        .join(said, on=["problem_id", "index"], how="left")
        .group_by("problem_id")
        .agg(
            n=pl.len(),
            k=passed.sum(),
            right=(passed & pl.col("right").fill_null(False)).sum(),
            unknown=(passed & pl.col("right").is_null()).sum(),
        )
        .filter((pl.col("unknown") == 0) & (pl.col("n") >= k))
    )
    if counted.is_empty():
        raise LedgerError(f"no problem has {k} rollouts with all passes judged", where=str(folder))
    n = counted["n"].to_numpy()
    return (
        float(cot_pass_at(n, counted["k"].to_numpy(), k).mean()),
        float(cot_pass_at(n, counted["right"].to_numpy(), k).mean()),
    )


def read_probe(folder: str | Path, kind: str) -> pl.DataFrame | None:
    """The counts of the newest probe of a kind, as the probe returned them; None where there is none. Draws nothing.

    Args:
        folder: The profile.
        kind: ``guess``, ``early`` or ``judge``.
    """
    found = Ledger(folder).probes(kind)
    if not found:
        return None
    newest = max(found, key=lambda ledger: (ledger.manifest()["updated"], ledger.path.name))
    return _guesses(newest) if kind == "guess" else _by_rollout(newest, ["cut"] if kind == "early" else [])


def before_answer(completion: str, answer: str | None) -> str:
    """The text of a completion before its final answer: before the last box, else before the answer's last mention.

    The whole text where neither is found.
    """
    places = [completion.rfind("\\boxed"), completion.rfind(answer) if answer else -1]
    at = places[0] if places[0] >= 0 else places[1]
    return completion[:at] if at >= 0 else completion


def _cut(work: str, share: float) -> str:
    """The first ``share`` of a text, by characters, back to the last white space lest a number be cut in two."""
    kept = work[: int(len(work) * share)]
    found = re.search(r"^.*\s", kept, re.DOTALL)
    return found[0].rstrip() if found else ""


def _continue_judge(
    opened: Opened,
    section: JudgeSection,
    asked: Sequence[tuple[Problem, Prompt]],
    votes: int,
    report: Report | None,
) -> tuple[Ledger, int]:
    """Draw votes from the judge, and read them."""
    sampling = SamplingSection(temperature=section.temperature, max_tokens=section.max_tokens)
    engine = engines.connect(section.model, section.engine, sampling)
    identity = engine.identity()
    protocol = {
        "probe": "judge",
        "model.path": identity.path,
        "model.revision": identity.revision,
        "prompt.template": section.template,
        "sampling.temperature": section.temperature,
        "sampling.max_tokens": section.max_tokens,
        "verifier.kind": Votes.version,
        "of": opened.manifest["protocol_fingerprint"],
    }
    fingerprint = recipes.digest(Votes.version)
    drawing = Drawing(engine, Votes(), None, fingerprint, protocol, section.engine.timeout)
    return draw(opened, "judge", asked, votes, drawing, report)


class Votes:
    """Reads a judge's reply: its last YES or NO is the vote; a reply without one is unscored."""

    version = "yes or no, 1"

    async def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """A vote of yes passes, one of no fails."""
        return [self._vote(case.completion) for case in cases]

    def _vote(self, reply: str) -> Judgement:
        found = re.findall(r"\b(?:YES|NO)\b", reply) or re.findall(r"\b(?:yes|no)\b(?=\W*$)", reply.lower())
        if not found:
            return Judgement(VerdictKind.UNSCORED, None, None, "no vote", 0.0)
        yes = found[-1].upper() == "YES"
        kind = VerdictKind.PASS if yes else VerdictKind.FAIL
        return Judgement(kind, float(yes), found[-1].upper(), "vote", 0.0)


# -- counting ---------------------------------------------------------------------------------------------------------


def _counted(ledger: Ledger) -> pl.DataFrame:
    """``asked`` (the probe's own problem id), scored draws and passes, in the order of the probe's problems."""
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"], ["problem_id", "index", "verdict"])
    counted = verdicts.group_by("problem_id").agg(
        n=(pl.col("verdict") != VerdictKind.UNSCORED).sum().cast(pl.Int64),
        k=(pl.col("verdict") == VerdictKind.PASS).sum().cast(pl.Int64),
    )
    return ledger.problems().select("problem_id", "metadata").join(counted, on="problem_id", maintain_order="left")


def _guesses(ledger: Ledger) -> pl.DataFrame:
    return _counted(ledger).select("problem_id", n_guess="n", k_guess="k")


def _by_rollout(ledger: Ledger, more: Sequence[str]) -> pl.DataFrame:
    """Counts by the rollout that was asked about, and what else tells two questions about it apart."""
    counted = _counted(ledger)
    about = [json.loads(text) for text in counted["metadata"]]
    return counted.select(
        pl.Series("problem_id", [one["of"] for one in about], dtype=pl.String),
        pl.Series("index", [one["index"] for one in about], dtype=pl.Int32),
        *(pl.Series(name, [one[name] for one in about], dtype=pl.Float64) for name in more),
        "n",
        "k",
    )
