"""Verifying: the rollouts of a profile are judged again, by another verifier or by its own, and nothing is sampled.

Owns what is judged, and which verdicts count afterwards. Must not draw rollouts, judge them itself (verifiers do), nor
say what the new verdicts change (changes does). A verifier never replaces the verdicts of another: each has its folder,
and the manifest names the one that counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from curate import changes, problems, verifiers
from curate import recipe as recipes
from curate.changes import Changes, Standing
from curate.errors import LedgerError, Stopped
from curate.judging import LOGGED, logged, set_unsound_aside, verify_all, without_reference
from curate.ledger import Ledger
from curate.problems import prompts
from curate.recipe import BandSection, PromptSection, VerifierSection
from curate.recorder import Recorder
from curate.records import Problem, Prompt, Reason, Verdict, VerdictKind
from curate.signals import until_signalled
from curate.summary import Session, Summary, now, sum_up, versions
from curate.verifiers.memory import CACHE
from curate.verifiers.pool import VerifierPool


@dataclass(frozen=True)
class BadReference:
    """A problem that the verifier cannot use."""

    problem_id: str
    references: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Verification:
    """What judging again brought."""

    path: Path
    verifier: str
    """Its version."""
    fingerprint: str
    """Names the folder of its verdicts."""
    before: str
    """The fingerprint of the verifier whose verdicts counted before, which these are compared with."""
    counts: bool
    """Whether the profile goes by this verifier now."""
    judged: int
    """Verdicts reached by this call; those of a broken-off one are not counted again."""
    compared: int
    """Answers, references included, that workers were given."""
    reused: int
    """Those whose ruling was known."""
    bad_references: tuple[BadReference, ...]
    """Problems whose references fail this verifier: their rollouts are not judged."""
    changes: Changes
    summary: Summary | None
    """Where the profile stands now, if it goes by this verifier."""


def verify(
    folder: str | Path,
    verifier: VerifierSection | str,
    *,
    adopt: bool = False,
    redo_unscored: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> Verification:
    """Judge the rollouts of a profile again, and say what changes. Nothing is sampled.

    The verdicts stand beside the older ones, under the verifier's own fingerprint. The profile's estimates go on
    following the verifier that they followed, until another one is adopted; an earlier one can be adopted back at no
    cost. A call that was broken off is continued by the same call, and judges nothing that was judged.

    Kind ``logged`` goes back to the rewards that an imported profile's log had, and judges nothing.

    Args:
        folder: The profile.
        verifier: Who judges: a section as a recipe has it, or just its kind.
        adopt: Make it the verifier of the profile: its verdicts count from now on, and ``profile`` continues with a
            recipe that names it.
        redo_unscored: Judge anew what this verifier left unscored: timeouts, errors and workers that died.
        report: Called a few times a second with (judged, all) rollouts.

    Raises:
        RecipeError: there is no such verifier, or it does not know an option.
        LedgerError: there is no profile, its rollouts are not on this disk or have no texts, or it has no verdicts of
            a log where those were asked for.
        VerifierError: the verifier cannot be opened.
        Stopped: SIGINT or SIGTERM arrived; every verdict so far is safe.
    """
    section = VerifierSection(kind=verifier) if isinstance(verifier, str) else verifier
    ledger = Ledger(folder)
    manifest = ledger.manifest()
    pool = None if section.kind == LOGGED else verifiers.connect(section)
    version = LOGGED if pool is None else pool.version
    own, fingerprint = manifest["verifier_fingerprint"], recipes.verifier_fingerprint(section, version)
    band = BandSection.model_validate(manifest["band"])
    started, begun = now(), time.monotonic()
    with ledger.writing():
        before = changes.standing(ledger, own, manifest["pilot"], band)
        work = _Work(ledger, section, pool, Recorder(ledger, fingerprint), fingerprint, redo_unscored, report)
        interrupted = until_signalled(work.run())
        if interrupted:
            raise Stopped(
                f"stopped by {interrupted}; all {work.judged:,} verdicts so far are safe",
                where=str(ledger.path),
                hint="run the same command again to continue",
            )
        after = changes.standing(ledger, fingerprint, manifest["pilot"], band, work.problems)
        found = changes.compare(ledger, before, after)
        seconds = round(time.monotonic() - begun, 3)
        compared, reused = (0, 0) if pool is None else (pool.compared, pool.reused)
        session = Session("verify", version, started, seconds, 0, 0, 0, 0, compared, reused)
        summary = _settle(ledger, section, version, work.problems, session, adopt)
    return Verification(
        path=ledger.path,
        verifier=version,
        fingerprint=fingerprint,
        before=own,
        counts=summary is not None,
        judged=work.judged,
        compared=compared,
        reused=reused,
        bad_references=_bad(work.problems, after),
        changes=found,
        summary=summary,
    )


@dataclass
class _Work:
    """The part that a signal may end."""

    ledger: Ledger
    section: VerifierSection
    pool: VerifierPool | None
    """None: the verdicts of the log that the profile was imported from."""
    recorder: Recorder
    fingerprint: str
    redo_unscored: bool
    report: Callable[[int, int], None] | None
    problems: list[Problem] = field(default_factory=list)
    """All of the profile, set aside as this verifier does."""
    judged: int = 0
    held: int = 0
    """Verdicts of earlier calls."""
    expected: int = 0

    async def run(self) -> None:
        """Judge all that is not judged; whatever ends it, the verdicts are flushed."""
        try:
            async with asyncio.TaskGroup() as both:
                ticking = both.create_task(self.recorder.keep_flushed(self._tell))
                await self._judge()
                ticking.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self.recorder.flush()
            if self.pool is not None:
                await self.pool.close()

    async def _judge(self) -> None:
        stored = problems.stored(self.ledger.problems())
        if self.pool is None:
            self.problems = [without_reference(problem) for problem in stored]
            self._believe()
            return
        if not self.ledger.has_texts():
            raise LedgerError(
                "this profile was imported as counts: there are no texts to judge", where=str(self.ledger.path)
            )
        judged = self.ledger.verdicts(self.fingerprint, ["problem_id", "index", "verdict"])
        if self.redo_unscored:
            judged = judged.filter(pl.col("verdict") != VerdictKind.UNSCORED)
        drawn = self.ledger.rollouts(["problem_id"])
        if drawn.is_empty():
            raise LedgerError(
                "the rollouts of this profile are not on this disk",
                where=str(self.ledger.path),
                hint="they are where it was made; profiling again with the same recipe draws the same",
            )
        await self.pool.start()
        self.pool.remember(self.ledger.comparisons(self.fingerprint, CACHE), self.recorder.add_comparison)
        self.problems = await set_unsound_aside(self.pool, [_opened(problem) for problem in stored])
        sound = {
            problem.problem_id: problem for problem in self.problems if problem.set_aside is not Reason.UNVERIFIABLE
        }
        self.held, self.expected = judged.height, drawn.filter(pl.col("problem_id").is_in(list(sound))).height
        await verify_all(self.pool, sound, self.ledger.unjudged(judged), self._take, _prompts(self.ledger, sound))

    def _believe(self) -> None:
        """Take the rewards that the log had, at this threshold."""
        found = self.ledger.manifest().get("imported", {}).get("logged")
        if found is None:
            raise LedgerError(
                "this profile has no verdicts of a log",
                where=str(self.ledger.path),
                hint="only one that was imported from a log with rewards has them",
            )
        if self.ledger.verdicts(self.fingerprint, ["problem_id", "index"]).is_empty():
            rewards = self.ledger.verdicts(found, ["problem_id", "index", "reward"]).iter_rows()
            self._take([logged(name, index, reward, self.section.pass_at) for name, index, reward in rewards])

    def _take(self, verdicts: list[Verdict]) -> None:
        self.judged += len(verdicts)
        self.recorder.add_verdicts(verdicts)

    def _tell(self) -> None:
        if self.report is not None and self.expected:
            self.report(self.held + self.judged, self.expected)


def _prompts(ledger: Ledger, problems: Mapping[str, Problem]) -> dict[str, Prompt]:
    """What the model was asked of each problem, where the profile knows the recipe; a reward function may want it."""
    recipe = ledger.manifest()["recipe"]
    if recipe is None:
        return {}
    render = prompts.renderer(PromptSection.model_validate(recipe["prompt"]))
    seen = dict(ledger.problems().select("problem_id", "prompt").iter_rows())
    return {name: replace(render(problem), text=seen[name]) for name, problem in problems.items()}


def _opened(problem: Problem) -> Problem:
    """What another verifier could not use, this one may; what has no question or no reference, none can."""
    usable = problem.set_aside is Reason.UNVERIFIABLE and problem.question.strip() and problem.answers
    return replace(problem, set_aside=None, set_aside_why="") if usable else problem


def _settle(
    ledger: Ledger, section: VerifierSection, version: str, problems: list[Problem], session: Session, adopt: bool
) -> Summary | None:
    """Say in the manifest who judged, and let the profile go by it if that was asked for, or if it did already."""
    manifest = ledger.manifest()
    own, fingerprint = manifest["verifier_fingerprint"], recipes.verifier_fingerprint(section, version)
    asked = recipes.verifier_protocol(section, version)
    until_now = {key: manifest["protocol"].get(key) for key in asked}
    named: dict[str, Any] = {**manifest.get("verifiers", {}), own: until_now, fingerprint: asked}
    manifest["verifiers"] = named
    if not adopt and fingerprint != own:
        manifest["sessions"] = [*manifest.get("sessions", []), vars(session)]
        ledger.write_manifest(manifest)
        return None
    ledger.write_problems(problems, ledger.problems()["prompt"].to_list())
    if fingerprint != own:
        manifest["protocol"] = {**manifest["protocol"], **asked}
        manifest["protocol_fingerprint"] = recipes.digest(manifest["protocol"])
        manifest["verifier_fingerprint"] = fingerprint
        manifest["versions"] = versions()
        if manifest["recipe"] is not None:
            manifest["recipe"] = {**manifest["recipe"], "verifier": recipes.told_verifier(section)}
    ledger.write_manifest(manifest)
    return sum_up(ledger, session)


def _bad(problems: list[Problem], after: Standing) -> tuple[BadReference, ...]:
    return tuple(
        BadReference(problem.problem_id, problem.answers, after.faults[problem.problem_id])
        for problem in problems
        if problem.problem_id in after.faults
    )
