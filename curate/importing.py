"""Importing: rollouts that another tool drew become a profile, verified, estimated and filtered like our own.

Owns what an imported profile says of itself: its protocol is what the log tells of it, and the rest is said to be
unknown. Must not read logs itself (logs does) nor judge (verifiers do).

Rollouts and the log's own verdicts are written first and judged afterwards, so that whatever ends an import leaves
nothing half judged, and the same call goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from curate import logs, verifiers
from curate.errors import Stopped, UsageError
from curate.judging import LOGGED, logged, set_unsound_aside, verify_all, without_reference
from curate.ledger import Ledger
from curate.logs import LogBatch
from curate.logs.formats import COUNTS, files_of
from curate.provenance import logged_fingerprint, manifest, refuse_another, unknown
from curate.recipe import BandSection, VerifierSection
from curate.recorder import Recorder
from curate.records import FailedRequest, Problem, Reason, Rollout, Verdict, VerdictKind
from curate.signals import until_signalled
from curate.summary import Session, Summary, now, sum_up, versions
from curate.verifiers.memory import CACHE
from curate.verifiers.pool import VerifierPool

BREATH = 500
"""Rows written between two looks at whether the import was asked to stop."""

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """What an import brought."""

    summary: Summary
    rollouts: int
    """Newly imported; those of a broken-off import of the same log are not counted again."""
    rewards: int
    """Rollouts of the log that came with a reward."""
    agreement: tuple[int, int] | None
    """Rollouts on which our verdict is the log's, and rollouts that both scored; None where only one of them judged."""
    unknown_finish: int
    failed_requests: int
    """Rows that are errors in place of answers: set aside, and counted as nothing."""
    first_errors: tuple[str, ...]
    bad_lines: int
    """Rows left out; of every step, the first has those too that tell no step."""
    first_bad_lines: tuple[str, ...]
    others: int
    """Rows of other steps or models than the one asked for."""
    unknown: tuple[str, ...]
    """What the log does not tell of its protocol."""
    step: int | None
    unused_columns: tuple[str, ...]


def import_rollouts(
    paths: str | Path | Iterable[str | Path],
    *,
    format: str,
    into: str | Path,
    verifier: VerifierSection | None = None,
    band: BandSection | None = None,
    columns: dict[str, str | None] | None = None,
    skip_bad_lines: bool = False,
    problems: Iterable[str | Path] = (),
    step: int | None = None,
    model: str | None = None,
    reward: str | None = None,
    answer_pattern: str | None = None,
    pilot: int = 8,
    strays: bool = True,
    report: Report | None = None,
) -> Imported:
    """Import rollouts that another tool drew.

    The log's own rewards, where it has any, are kept as verdicts of the kind ``logged`` beside ours; ``verify`` with
    that kind goes back to them. Errors that were recorded as answers become failed requests. An import that was broken
    off is continued by the same call.

    Args:
        paths: The log: one file or several, or a folder of them.
        format: A key of ``curate.logs.FORMATS``; ``jsonl`` and ``parquet`` are plain rows, see ``curate.logs.reading``.
        into: The profile's folder; must be new, or that of the same log.
        verifier: Who judges; math by default, and for counts ``logged``, which takes the log's rewards as they are.
        band: The band to decide by.
        columns: Where the log calls a column otherwise: our name to the log's.
        skip_bad_lines: Leave out rows that would be refused, and count them.
        problems: Files with question and reference of the problems, for logs that only name them.
        step: Which step of a policy in training to import; a log of several is refused without one.
        model: What drew the rollouts, where that is known; of a log with several models, the one to import.
        reward: Which of several rewards, metrics or scorers is the log's verdict; ``none``: none.
        answer_pattern: A regular expression whose first group, in its last match, is the reference.
        pilot: How many first rollouts of each problem make its pilot; of counts, all of them do.
        strays: Whether rows left out that tell no step are counted; ``import_every_step`` does so for all its steps.
        report: Called with (done, all) rollouts.

    Raises:
        ProblemsError: a row is broken; names the place.
        UsageError: ``logged`` was asked for and the log has no rewards, another verifier and it has no references or
            no texts, or the log holds several steps or models.
        LedgerError: the folder holds another profile, or cannot be written.
        Stopped: SIGINT or SIGTERM arrived; everything so far is safe.
    """
    section = verifier or VerifierSection(kind=LOGGED if format == COUNTS else "math")
    reading = logs.reading(
        paths,
        format,
        columns=columns,
        skip_bad_lines=skip_bad_lines,
        problems=problems,
        step=step,
        model=model,
        reward=reward,
        answer_pattern=answer_pattern,
        strays=strays,
    )
    work = _Work(reading, files_of(paths, format), format, Ledger(into), section, band or BandSection(), pilot, report)
    started, begun = now(), time.monotonic()
    interrupted = until_signalled(work.run())
    if interrupted:
        raise Stopped(
            f"stopped by {interrupted}; all {work.figures.rollouts:,} rollouts and their verdicts so far are safe",
            where=str(into),
            hint="run the same command again to continue",
        )
    with work.ledger.writing():
        session = work.session(started, time.monotonic() - begun)
        summary = sum_up(work.ledger, session)
    log = work.log
    return Imported(
        summary=summary,
        rollouts=work.figures.rollouts,
        rewards=log.n_rewards,
        agreement=_agreement(work.ledger, section),
        unknown_finish=log.n_unknown_finish if log.texts else 0,
        failed_requests=log.n_errors,
        first_errors=log.errors,
        bad_lines=log.n_bad_lines,
        first_bad_lines=log.bad_lines,
        others=log.n_others,
        unknown=unknown(log),
        step=log.step,
        unused_columns=log.unused_columns,
    )


def import_every_step(
    paths: str | Path | Iterable[str | Path], *, format: str, into: str | Path, **more: Any
) -> tuple[Imported, ...]:
    """Import every step of a policy in training, each into a profile of its own: ``into/step-000010``.

    Args:
        paths: As for :func:`import_rollouts`.
        format: As there.
        into: The folder of the profiles' folders.
        more: As there; ``step`` is given by this function.

    Returns:
        One for each step, in order.

    Raises:
        UsageError: no row has a step.
        ProblemsError: a row tells no step, and others do. Else as :func:`import_rollouts`.
    """
    asked = {name: more[name] for name in ("columns", "reward", "skip_bad_lines") if name in more}
    found = logs.steps(paths, format, **asked)
    first, *others = [
        import_rollouts(files, format=format, into=Path(into) / f"step-{step:06d}", step=step, strays=False, **more)
        for step, files in found.files.items()
    ]
    told = replace(
        first,
        bad_lines=found.n_bad_lines + first.bad_lines,
        first_bad_lines=found.bad_lines + first.first_bad_lines,
    )
    return (told, *others)


@dataclass
class _Figures:
    """What an import has done so far."""

    rollouts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed_requests: int = 0
    judged: int = 0


@dataclass
class _Work:
    """The part that a signal may end."""

    reading: Generator[int, None, LogBatch]
    files: tuple[Path, ...]
    format: str
    ledger: Ledger
    section: VerifierSection
    band: BandSection
    pilot: int
    report: Report | None
    figures: _Figures = field(default_factory=_Figures)
    log: LogBatch = field(init=False)
    manifest: dict[str, Any] = field(init=False)
    pool: VerifierPool | None = field(init=False)

    def __post_init__(self) -> None:
        self.pool = None if self.section.kind == LOGGED else verifiers.connect(self.section)

    async def run(self) -> None:
        """Read, write and judge; whatever ends it, what was written stays."""
        self.log = await self._read()
        _refuse_what_cannot_judge(self.log, self.section)
        name = self.ledger.path.name
        version = LOGGED if self.pool is None else self.pool.version
        told = manifest(self.log, self.files, self.format, self.section, version, self.band, self.pilot, name)
        self.manifest = {"created": now(), **told, "versions": versions()}
        if self.ledger.exists():
            refuse_another(self.ledger.manifest()["protocol"], told["protocol"], self.ledger.path)
        with self.ledger.writing():
            recorder = Recorder(self.ledger, self.manifest["verifier_fingerprint"])
            try:
                async with asyncio.TaskGroup() as both:
                    ticking = both.create_task(recorder.keep_flushed(self._tell))
                    await self._bring(recorder)
                    ticking.cancel()
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from group
            finally:
                recorder.flush()
                if self.pool is not None:
                    await self.pool.close()

    async def _read(self) -> LogBatch:
        while True:
            try:
                next(self.reading)
            except StopIteration as end:
                log: LogBatch = end.value
                return log
            await asyncio.sleep(0)

    async def _bring(self, recorder: Recorder) -> None:
        problems: Sequence[Problem] = self.log.problems
        if self.pool is None:
            problems = [without_reference(problem) for problem in problems]
        else:
            await self.pool.start()
            self.pool.remember(
                self.ledger.comparisons(self.manifest["verifier_fingerprint"], CACHE), recorder.add_comparison
            )
            problems = await set_unsound_aside(self.pool, problems)
        self.ledger.write_problems(problems, [problem.question for problem in problems])
        before = self.ledger.manifest() if self.ledger.exists() else {}
        self.ledger.write_manifest({**before, **self.manifest})
        await self._write(recorder)
        if self.pool is None:
            return
        recorder.flush()
        sound = {one.problem_id: one for one in problems if one.set_aside is not Reason.UNVERIFIABLE}
        judged = self.ledger.verdicts(self.manifest["verifier_fingerprint"], ["problem_id", "index"])
        self.figures.judged = judged.height
        await verify_all(self.pool, sound, self.ledger.unjudged(judged), lambda found: self._take(recorder, found))

    async def _write(self, recorder: Recorder) -> None:
        """Write what of the log is not in the ledger yet: rollouts, the log's verdicts and failed requests."""
        believes = logged_fingerprint(self.section.pass_at)
        as_found = recorder if self.pool is None else Recorder(self.ledger, believes)
        held = {name: set(indices) for name, indices in self.ledger.held().items()}
        believed = set(self.ledger.verdicts(believes, ["problem_id", "index"]).iter_rows())
        failed = set(self.ledger.failed_requests().select("problem_id", "first_index").iter_rows())
        try:
            for number, (one, reward) in enumerate(self.log.entries(), start=1):
                if isinstance(one, FailedRequest):
                    if (one.problem_id, one.first_index) not in failed:
                        recorder.add_error(one)
                        self.figures.failed_requests += 1
                    continue
                if one.index not in held.get(one.problem_id, ()):
                    recorder.add_rollouts([one])
                    self._count(one)
                if self.log.n_rewards and (one.problem_id, one.index) not in believed:
                    as_found.add_verdicts([logged(one.problem_id, one.index, reward, self.section.pass_at)])
                if number % BREATH == 0:
                    await asyncio.sleep(0)
                    if as_found.due():
                        as_found.flush()
        finally:
            as_found.flush()

    def _count(self, rollout: Rollout) -> None:
        self.figures.rollouts += 1
        self.figures.prompt_tokens += rollout.prompt_tokens
        self.figures.completion_tokens += rollout.completion_tokens

    def _take(self, recorder: Recorder, found: list[Verdict]) -> None:
        self.figures.judged += len(found)
        recorder.add_verdicts(found)

    def _tell(self) -> None:
        if self.report is not None:
            done = self.figures.rollouts if self.pool is None else self.figures.judged
            self.report(min(done, self.log.n_rollouts), self.log.n_rollouts)

    def session(self, started: str, seconds: float) -> Session:
        """What this call added."""
        done = self.figures
        pool = self.pool
        return Session(
            "import",
            f"import {self.format}",
            started,
            round(seconds, 3),
            done.rollouts,
            done.prompt_tokens,
            done.completion_tokens,
            done.failed_requests,
            0 if pool is None else pool.compared,
            0 if pool is None else pool.reused,
        )


def _refuse_what_cannot_judge(log: LogBatch, section: VerifierSection) -> None:
    if section.kind == LOGGED:
        if not log.n_rewards:
            raise UsageError(
                "the log has no rewards to go by", where="--verifier logged", hint="name a verifier, e.g. math"
            )
    elif not log.texts:
        raise UsageError(
            "there are no texts to verify in counts", where="--verifier", hint="leave it out, or say --verifier logged"
        )
    elif not any(problem.answers for problem in log.problems):
        raise UsageError(
            f"the log has no references for {section.kind} to judge by",
            hint="--problems FILE gives questions and references; --verifier logged believes the log's rewards",
        )


def _agreement(ledger: Ledger, section: VerifierSection) -> tuple[int, int] | None:
    """On how many rollouts our verdict is the log's, of those that both scored."""
    if section.kind == LOGGED:
        return None
    key = ["problem_id", "index"]
    theirs = ledger.verdicts(logged_fingerprint(section.pass_at), [*key, "verdict"])
    both = ledger.verdicts(ledger.manifest()["verifier_fingerprint"], [*key, "verdict"]).join(theirs, on=key)
    scored = both.filter(both["verdict"] != VerdictKind.UNSCORED, both["verdict_right"] != VerdictKind.UNSCORED)
    if scored.is_empty():
        return None
    return int((scored["verdict"] == scored["verdict_right"]).sum()), scored.height
