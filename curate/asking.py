"""Asking: problems put to a model in another way than the profile's, in a folder of their own.

Owns a probe's folder, ``probes/<kind>-<fingerprint>/`` below the profile's: a small profile with a manifest, problems,
rollouts and verdicts, drawn by the loop that draws rollouts, resumed as a profile is, and never mixed with it. Must not
know what is asked or why: the probes do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from curate import continuing, engines, problems, verifiers
from curate import recipe as recipes
from curate.allocation import Fixed
from curate.engines import Engine
from curate.errors import LedgerError, ProtocolChanged, Stopped, UsageError
from curate.judging import Judge, verify_all
from curate.ledger import Ledger
from curate.logs.origin import UNKNOWN
from curate.recipe import Recipe, SamplingSection
from curate.recorder import Recorder
from curate.records import Case, Judgement, Problem, Prompt, VerdictKind
from curate.scheduler import Scheduler, Tally
from curate.signals import until_signalled
from curate.summary import now, versions
from curate.tracks import HELD, Track, mark_held
from curate.verifiers.memory import CACHE
from curate.verifiers.pool import VerifierPool

Report = Callable[[Tally], None]


# -- a profile, opened for probing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A profile, read for a probe."""

    ledger: Ledger
    recipe: Recipe
    manifest: dict[str, Any]
    problems: list[Problem]

    def judged(self) -> pl.DataFrame:
        """``problem_id``, ``index``, ``verdict`` and ``answer`` of every rollout."""
        columns = ["problem_id", "index", "verdict", "answer"]
        found = self.ledger.verdicts(self.manifest["verifier_fingerprint"], columns)
        if found.is_empty():
            raise LedgerError(
                "the rollouts of this profile are not on this disk",
                where=str(self.ledger.path),
                hint="they are where it was made; profiling again with the same recipe draws the same",
            )
        return found

    def passes(self, among: Collection[str], most: int | None) -> list[tuple[Problem, int, str, str | None]]:
        """The first passing rollouts of some problems: problem, index, completion and answer."""
        passing = self.judged().filter(
            (pl.col("verdict") == VerdictKind.PASS) & pl.col("problem_id").is_in(list(among))
        )
        passing = passing.sort("problem_id", "index")
        if most is not None:
            passing = passing.group_by("problem_id", maintain_order=True).head(most)
        keys = passing.lazy().select("problem_id", "index", "answer")
        texts = self.ledger.scan_rollouts().select("problem_id", "index", "completion")
        by_id = {problem.problem_id: problem for problem in self.problems if problem.set_aside is None}
        found = keys.join(texts, on=["problem_id", "index"]).collect().sort("problem_id", "index")
        return [
            (by_id[name], index, completion, answer)
            for name, index, answer, completion in found.iter_rows()
            if name in by_id
        ]

    def rare(self, below: float) -> set[str]:
        """Problems whose estimated pass rate is at most ``below``."""
        return set(self.ledger.estimates().filter(pl.col("pass_rate") <= below)["problem_id"])


def open_profile(folder: str | Path, recipe: Recipe | None) -> Opened:
    """Read a profile and the recipe to probe it by: the one given, or its own.

    Raises:
        LedgerError: there is no profile.
        UsageError: it was imported and no recipe is given.
    """
    ledger = Ledger(folder)
    manifest = ledger.manifest()
    if recipe is None and manifest["recipe"] is None:
        raise UsageError(
            "this profile was imported, so nothing says which model to ask",
            where=str(ledger.path),
            hint="give a recipe that names the model and the engine",
        )
    settings = recipe or recipes.parse(manifest["recipe"], where=str(ledger.path / "manifest.json"))
    return Opened(ledger, settings, manifest, problems.stored(ledger.problems()))


# -- drawing ----------------------------------------------------------------------------------------------------------


def profiled_model(
    opened: Opened,
    kind: str,
    asked: Sequence[tuple[Problem, Prompt]],
    draws: int,
    sampling: SamplingSection,
    changed: dict[str, Any],
    lead: str,
    report: Report | None,
) -> tuple[Ledger, int]:
    """Draw from the profile's own model, and judge by its own verifier."""
    engine = engines.connect(opened.recipe.model, opened.recipe.engine, sampling)
    identity = engine.identity()
    before = opened.manifest["protocol"].get("model.revision")
    if before not in (None, UNKNOWN) and before != identity.revision:
        raise ProtocolChanged(
            f"the profile was made with model revision {before!r}, the recipe's is {identity.revision!r}",
            where=str(opened.ledger.path),
            hint="a probe asks the model that was profiled",
        )
    pool = verifiers.connect(opened.recipe.verifier)
    settings = opened.recipe.model_copy(update={"sampling": sampling})
    protocol = {**recipes.protocol(settings, identity, pool.version), **changed, "probe": kind}
    fingerprint = recipes.verifier_fingerprint(opened.recipe.verifier, pool.version)
    drawing = Drawing(engine, _Begun(pool, lead), pool, fingerprint, protocol, opened.recipe.engine.timeout)
    return draw(opened, kind, asked, draws, drawing, report)


@dataclass(frozen=True)
class Drawing:
    """Who draws and who judges."""

    engine: Engine
    judge: Judge
    pool: VerifierPool | None
    fingerprint: str
    """Of the verdicts."""
    protocol: dict[str, Any]
    timeout: float


def draw(
    opened: Opened,
    kind: str,
    asked: Sequence[tuple[Problem, Prompt]],
    draws: int,
    drawing: Drawing,
    report: Report | None,
) -> tuple[Ledger, int]:
    """Bring every problem to ``draws`` rollouts in the probe's own folder."""
    if not asked:
        raise UsageError(
            "there is nothing to ask: no passing rollout among the problems meant", where=str(opened.ledger.path)
        )
    name = recipes.digest(drawing.protocol)
    ledger = opened.ledger.probe(kind, name)
    tally = Tally()
    # The profile is held too: whoever writes it alone sweeps up what half-written files lie below its folder.
    with opened.ledger.writing(), ledger.writing():

        def begin(texts: Sequence[str]) -> None:
            _write_problems(ledger, [problem for problem, _ in asked], texts)
            _write_manifest(ledger, opened, kind, drawing)

        # Another run seed than the profile's, so that no draw repeats one of its rollouts'.
        seed = int(recipes.digest([kind, name, opened.recipe.sampling.seed]), 16)
        interrupted = until_signalled(_work(ledger, asked, draws, drawing, seed, tally, begin, report))
        if ledger.exists():
            _write_manifest(ledger, opened, kind, drawing)
    if interrupted:
        raise Stopped(
            f"stopped by {interrupted}; all {tally.drawn:,} draws so far are safe",
            where=str(ledger.path),
            hint="run the same command again to continue",
        )
    return ledger, tally.drawn


async def _work(
    ledger: Ledger,
    asked: Sequence[tuple[Problem, Prompt]],
    draws: int,
    drawing: Drawing,
    seed: int,
    tally: Tally,
    begin: Callable[[Sequence[str]], None],
    report: Report | None,
) -> None:
    """Judge what was left unjudged, and draw what is missing; whatever ends it, what was drawn is flushed."""
    recorder = Recorder(ledger, drawing.fingerprint)
    engine, pool = drawing.engine, drawing.pool
    by_id = {problem.problem_id: problem for problem, _ in asked}
    seen = {problem.problem_id: replace(prompt, text=engine.render(prompt)) for problem, prompt in asked}
    try:
        if pool is not None:
            await pool.start()
            pool.remember(ledger.comparisons(drawing.fingerprint, CACHE), recorder.add_comparison)
        await continuing.judge_other_references(
            ledger, drawing.fingerprint, list(by_id.values()), seen, drawing.judge, recorder, cut_fails=False
        )
        begin([one.text for one in seen.values()])
        verdicts = ledger.verdicts(drawing.fingerprint, ["problem_id", "index", "verdict"])
        # What was taken back with its reference is judged again, and with it the little that had no verdict anyway.
        judged = verdicts.filter(pl.col("verdict") != VerdictKind.UNSCORED)
        tracks = {problem.problem_id: Track(problem, prompt) for problem, prompt in asked}
        mark_held(tracks, ledger.rollouts(HELD), judged)
        async with asyncio.TaskGroup() as both:
            ticking = both.create_task(recorder.keep_flushed(None if report is None else lambda: report(tally)))
            await verify_all(
                drawing.judge, by_id, ledger.unjudged(judged), recorder.add_verdicts, seen, cut_fails=False
            )
            await engine.start()
            scheduler = Scheduler(
                engine,
                drawing.judge,
                recorder,
                Fixed(draws),
                tally,
                seed=seed,
                timeout=drawing.timeout,
                cut_fails=False,
            )
            await scheduler.run(list(tracks.values()))
            ticking.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    finally:
        recorder.flush()
        await engine.close()
        if pool is not None:
            await pool.close()


def _write_problems(ledger: Ledger, asked: Sequence[Problem], texts: Sequence[str]) -> None:
    """Add to the problems that earlier calls asked; a call among a few must not make the others' rollouts orphans."""
    kept: dict[str, tuple[Problem, str]] = {}
    if ledger.exists():
        frame = ledger.problems()
        kept = {
            problem.problem_id: (problem, text)
            for problem, text in zip(problems.stored(frame), frame["prompt"], strict=True)
        }
    kept |= {problem.problem_id: (problem, text) for problem, text in zip(asked, texts, strict=True)}
    ledger.write_problems([problem for problem, _ in kept.values()], [text for _, text in kept.values()])


def _write_manifest(ledger: Ledger, opened: Opened, kind: str, drawing: Drawing) -> None:
    created = ledger.manifest()["created"] if ledger.exists() else now()
    identity = drawing.engine.identity()
    ledger.write_manifest(
        {
            "name": f"{opened.manifest['name']}, {kind} probe",
            "probe": kind,
            "created": created,
            "updated": now(),
            "model": {"path": identity.path, "revision": identity.revision, "chat_template": identity.chat_template},
            "protocol": drawing.protocol,
            "protocol_fingerprint": recipes.digest(drawing.protocol),
            "verifier_fingerprint": drawing.fingerprint,
            "versions": versions(),
        }
    )


class _Begun:
    """Judges what a model said together with the part of the answer that it was made to begin with."""

    def __init__(self, judge: Judge, lead: str) -> None:
        self._judge = judge
        self._lead = lead

    async def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """Judge the cases, each answer whole."""
        return await self._judge.judge([replace(case, completion=self._lead + case.completion) for case in cases])
