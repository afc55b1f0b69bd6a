"""Profiling: a recipe in, a profile on disk out.

Owns the run: what is checked before anything is drawn, what is resumed, and what a signal does. Must not decide how
rollouts are drawn (engines), judged (verifiers), scheduled (scheduler) or estimated (decide).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from curate import continuing, earlier, engines, problems, verifiers
from curate import recipe as recipes
from curate.allocation import Adaptive, Allocation, Fixed, into_classes
from curate.engines import Engine
from curate.errors import CurateError, LedgerError, ProtocolChanged, Stopped, UsageError
from curate.judging import set_unsound_aside, verify_all
from curate.ledger import Ledger
from curate.problems import ProblemSet, prompts
from curate.recipe import Recipe
from curate.recorder import Recorder
from curate.records import Problem, Prompt, Verdict
from curate.scheduler import Scheduler, Tally
from curate.signals import until_signalled
from curate.summary import Session, Summary, inherit, now, sum_up, versions
from curate.tracks import HELD, Mark, Track, mark_held
from curate.verifiers.memory import CACHE
from curate.verifiers.pool import VerifierPool

Report = Callable[[Tally], None]


def profile(
    recipe: Recipe | str | Path,
    *,
    into: str | Path | None = None,
    fixed_n: int | None = None,
    shard: tuple[int, int] | None = None,
    like: Sequence[str | Path] = (),
    report: Report | None = None,
) -> Summary:
    """Measure every problem of a recipe; continue where an earlier run stopped.

    Args:
        recipe: A recipe, or the path of one.
        into: The profile's folder; ``profiles/<recipe name>`` by default.
        fixed_n: Rollouts for every problem, at least 1; None draws more where the outcome is in doubt, and stops where
            it is clear, as ``budget`` says.
        shard: ``(i, n)``, 1 <= i <= n: only the problems of this shard; all shards may write into one folder.
        like: Profiles of the same problems by earlier checkpoints, oldest first: what they know is kept with this one
            and makes it cheaper, as far as the new rollouts bear it out. To continue, it need not be said again.
        report: Called a few times a second with the running totals.

    Returns:
        Where the profile stands now.

    Raises:
        RecipeError: the recipe asks for what cannot be.
        ProtocolChanged: the folder holds a profile of another protocol.
        ProblemsChanged: problems with rollouts ask something else now.
        LedgerError: the folder cannot be used.
        EngineError: the engine cannot be opened, or is gone; what was drawn is safe.
        Stopped: SIGINT or SIGTERM arrived, or a budget was spent; what was drawn is safe.
    """
    check_fixed(fixed_n)
    run = open_run(recipe, into, shard, like)
    allocation = _allocation(run, fixed_n)
    tally, started, begun = Tally(), now(), time.monotonic()

    def close() -> Summary:
        return sum_up(
            run.ledger,
            Session(
                command="profile",
                engine=run.engine.name,
                started=started,
                seconds=round(time.monotonic() - begun, 3),
                rollouts=tally.drawn,
                prompt_tokens=tally.prompt_tokens,
                completion_tokens=tally.completion_tokens,
                failed_requests=tally.failed_requests,
                compared=run.pool.compared,
                reused=run.pool.reused,
            ),
            # A shard knows its own problems only: the whole is estimated from the whole.
            allocation.prior if shard is None else None,
        )

    with run.ledger.writing(shard):
        try:
            interrupted = until_signalled(_work(run, allocation, tally, report))
        except CurateError as error:
            if run.ledger.exists() and not isinstance(error, LedgerError):
                close()
            raise
        if not run.ledger.exists():
            raise Stopped(f"stopped by {interrupted} before anything was drawn", where=str(run.ledger.path))
        summary = close()
    if interrupted or tally.budget_spent:
        raise Stopped(
            f"stopped by {interrupted or 'its budget'}; all {summary.rollouts:,} rollouts so far are safe",
            where=str(run.ledger.path),
            hint="run the same command again to continue",
        )
    return summary


def _allocation(run: Run, fixed_n: int | None) -> Allocation:
    return Adaptive(run.recipe.band, run.recipe.budget, run.earlier) if fixed_n is None else Fixed(fixed_n)


def check_fixed(fixed_n: int | None) -> None:
    """Refuse a number of rollouts for every problem that cannot be.

    Raises:
        UsageError: it is below 1, or 2**20 or more.
    """
    if fixed_n is not None and not 1 <= fixed_n < 2**20:
        raise UsageError(f"must lie between 1 and {2**20 - 1}, got {fixed_n}", where="--fixed")


# -- what is opened and checked before anything starts ----------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Everything a run needs, opened and checked, nothing started."""

    recipe: Recipe
    ledger: Ledger
    set: ProblemSet
    engine: Engine
    pool: VerifierPool
    protocol: dict[str, Any]
    fingerprint: str
    """The verifier's."""
    shard: tuple[int, int] | None
    earlier: pl.DataFrame | None
    """What earlier profiles know of the problems."""
    sources: list[dict[str, Any]]
    """Which profiles those are."""
    like: tuple[Ledger, ...]
    """Those profiles, where they were named for this run."""

    def mine(self, among: Sequence[Problem]) -> Iterator[Problem]:
        """Those of this shard that can be sampled."""
        for problem in among:
            if problem.set_aside is None and _in_shard(problem.problem_id, self.shard):
                yield problem

    def prompts(self, among: Sequence[Problem]) -> Iterator[tuple[Problem, Prompt]]:
        """The prompt of every problem that can be sampled, in source order."""
        render = prompts.renderer(self.recipe.prompt)
        for problem in among:
            if problem.set_aside is None:
                yield problem, render(problem)


def open_run(
    recipe: Recipe | str | Path,
    into: str | Path | None,
    shard: tuple[int, int] | None,
    like: Sequence[str | Path] = (),
) -> Run:
    """Open problems, verifier and engine, and refuse a profile of another protocol. Loads no weights."""
    settings = recipe if isinstance(recipe, Recipe) else recipes.load(recipe)
    if shard is not None and not 1 <= shard[0] <= shard[1]:
        raise UsageError(
            f"shard {shard[0]} of {shard[1]} does not exist", where="--shard", hint="write I/N, 1 <= I <= N"
        )
    ledger = Ledger(into if into is not None else Path("profiles") / settings.name)
    found = problems.load(settings.problems)
    pool = verifiers.connect(settings.verifier)
    engine = engines.connect(settings.model, settings.engine, settings.sampling)
    protocol = recipes.protocol(settings, engine.identity(), pool.version)
    if ledger.exists():
        _refuse_another_protocol(ledger, protocol, settings.sampling.seed)
        continuing.refuse_other_questions(ledger, found.problems, settings.prompt)
    fingerprint = recipes.verifier_fingerprint(settings.verifier, pool.version)
    known, sources = _earlier(ledger, found, settings, like)
    return Run(
        settings, ledger, found, engine, pool, protocol, fingerprint, shard, known, sources, tuple(map(Ledger, like))
    )


def _earlier(
    ledger: Ledger, found: ProblemSet, settings: Recipe, like: Sequence[str | Path]
) -> tuple[pl.DataFrame | None, list[dict[str, Any]]]:
    """What the profile was begun with; for a new one, what the profiles named know."""
    begun = ledger.exists() and bool(ledger.held())
    kept: list[dict[str, Any]] = ledger.manifest().get("like", []) if begun else []
    if not like:
        return (ledger.earlier(), kept) if kept else (None, [])
    # What is known does not depend on which of the source's problems are asked for now: the others may follow.
    whole = problems.load(settings.problems.model_copy(update={"ids": None})) if settings.problems.ids else found
    gathered, read = earlier.gather(like, whole.problems)
    sources = [asdict(source) for source in read]
    if not begun:
        return into_classes(gathered, settings.band, settings.budget), sources
    if [source["fingerprint"] for source in kept] != [source["fingerprint"] for source in sources]:
        told = ", ".join(source["name"] for source in kept) or "no other profile"
        raise UsageError(
            f"this profile was begun like {told}, and rollouts were drawn accordingly",
            where=f"--like {' --like '.join(map(str, like))}",
            hint="leave --like out to continue, or give this run another --into",
        )
    return ledger.earlier(), kept


def _refuse_another_protocol(ledger: Ledger, protocol: dict[str, Any], seed: int) -> None:
    manifest = ledger.manifest()
    before = {**manifest["protocol"], "sampling.seed": manifest["seed"]}
    asked = {**protocol, "sampling.seed": seed}
    changed = [key for key in {**before, **asked} if before.get(key) != asked.get(key)]
    if not changed:
        return
    told = "; ".join(f"{key} was {before.get(key)!r}, the recipe says {asked.get(key)!r}" for key in changed)
    raise ProtocolChanged(
        f"this profile was made with another protocol: {told}",
        where=str(ledger.path),
        hint="pass rates of two protocols are never pooled: give this run another --into",
    )


def _in_shard(problem_id: str, shard: tuple[int, int] | None) -> bool:
    if shard is None:
        return True
    name = hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(name[:8], "big") % shard[1] == shard[0] - 1


# -- the work ---------------------------------------------------------------------------------------------------------


async def _work(run: Run, allocation: Allocation, tally: Tally, report: Report | None) -> None:
    """Prepare, resume and draw; whatever ends it, what was drawn is flushed."""
    recorder = Recorder(run.ledger, run.fingerprint)
    try:
        await run.pool.start()
        run.pool.remember(run.ledger.comparisons(run.fingerprint, CACHE), recorder.add_comparison)
        tracks = await _prepare(run, tally, recorder)
        async with asyncio.TaskGroup() as both:
            ticking = both.create_task(recorder.keep_flushed(None if report is None else lambda: report(tally)))
            await _judge_leftovers(run, tracks, recorder)
            if tracks:
                await run.engine.start()
            scheduler = Scheduler(
                run.engine,
                run.pool,
                recorder,
                allocation,
                tally,
                seed=run.recipe.sampling.seed,
                timeout=run.recipe.engine.timeout,
                max_rollouts=run.recipe.budget.max_rollouts,
                max_tokens=run.recipe.budget.max_tokens,
            )
            await scheduler.run(tracks)
            ticking.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    finally:
        recorder.flush()
        await run.engine.close()
        await run.pool.close()


async def _prepare(run: Run, tally: Tally, recorder: Recorder) -> list[Track]:
    """Check the references and write the problems: all that is free, before what costs GPU hours."""
    found = await set_unsound_aside(run.pool, run.set.problems)
    made = {problem.problem_id: prompt for problem, prompt in run.prompts(found)}

    seen = {name: replace(prompt, text=run.engine.render(prompt)) for name, prompt in made.items()}
    tally.judged_again = await continuing.judge_other_references(
        run.ledger, run.fingerprint, found, seen, run.pool, recorder
    )
    texts = [seen[problem.problem_id].text if problem.problem_id in made else "" for problem in found]
    held = run.ledger.held()
    with run.ledger.summing_up():
        run.ledger.write_problems(found, texts)
        if run.earlier is not None:
            run.ledger.write_earlier(run.earlier)
        inherit(run.ledger, run.like)
        # A summary that came without its rollouts, as a committed one does, is begun anew.
        history: dict[str, Any] = run.ledger.manifest() if held else {}
        kept: dict[str, Any] = {
            key: history[key]
            for key in ("created", "updated", "sessions", "counts", "cost", "verifiers")
            if key in history
        }
        run.ledger.write_manifest({**_manifest(run), **kept})
    return tracks_held(run, [(problem, made[problem.problem_id]) for problem in run.mine(found)])


def tracks_held(run: Run, asked: Sequence[tuple[Problem, Prompt]]) -> list[Track]:
    """How far earlier runs brought each problem."""
    pilot = min(run.recipe.budget.pilot, run.recipe.budget.cap)
    tracks = {problem.problem_id: Track(problem, prompt, pilot=pilot) for problem, prompt in asked}
    if run.earlier is not None:
        for problem_id, number in run.earlier.select("problem_id", "prior_class").iter_rows():
            if problem_id in tracks:
                tracks[problem_id].prior_class = number
    verdicts = run.ledger.verdicts(run.fingerprint, ["problem_id", "index", "verdict"])
    mark_held(tracks, run.ledger.rollouts(HELD), verdicts)
    return list(tracks.values())


def _manifest(run: Run) -> dict[str, Any]:
    return {
        "name": run.recipe.name,
        "created": now(),
        "model": asdict(run.engine.identity()),
        "protocol": run.protocol,
        "protocol_fingerprint": recipes.digest(run.protocol),
        "verifier_fingerprint": run.fingerprint,
        "seed": run.recipe.sampling.seed,
        "band": run.recipe.band.model_dump(),
        "pilot": run.recipe.budget.pilot,
        "recipe": recipes.told(run.recipe),
        "problems": {
            "source": run.set.source,
            "fingerprint": run.set.fingerprint,
            "rows": len(run.set.problems),
            **({"license": run.set.license} if run.set.license else {}),
        },
        **({"like": run.sources} if run.sources else {}),
        "versions": versions(),
    }


async def _judge_leftovers(run: Run, tracks: Sequence[Track], recorder: Recorder) -> None:
    """Judge what an earlier run drew and did not live to judge."""
    by_id = {track.problem.problem_id: track for track in tracks}

    def take(verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            by_id[verdict.problem_id].marks[verdict.index] = Mark.of(verdict.verdict)
        recorder.add_verdicts(verdicts)

    judged = run.ledger.verdicts(run.fingerprint, ["problem_id", "index"])
    mine = {problem_id: track.problem for problem_id, track in by_id.items()}
    seen = {name: replace(track.prompt, text=run.engine.render(track.prompt)) for name, track in by_id.items()}
    await verify_all(run.pool, mine, run.ledger.unjudged(judged), take, seen)
