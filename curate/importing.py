"""Importing: rollouts that another tool drew become a profile, verified, estimated and filtered like our own.

Owns what an imported profile says of itself: its protocol is what the log does not tell, and is said to be unknown.
Must not read logs itself (logs does) nor judge (verifiers do).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from curate import logs, verifiers
from curate import recipe as recipes
from curate.errors import LedgerError, UsageError
from curate.judging import set_unsound_aside, verdict_of, verify
from curate.ledger import Ledger
from curate.logs import LogBatch
from curate.problems import fingerprint as problems_fingerprint
from curate.recipe import BandSection, VerifierSection
from curate.recorder import Recorder
from curate.records import Judgement, Problem, Rollout, Verdict, VerdictKind
from curate.summary import Session, Summary, now, sum_up, versions
from curate.verifiers.memory import CACHE

CHUNK = 2000
"""Rollouts read, judged and written at a time."""

LOGGED = "logged"
"""The verifier kind that believes the log's own rewards."""


@dataclass(frozen=True)
class Imported:
    """What an import brought."""

    summary: Summary
    rollouts: int
    """Newly imported; those of a broken-off import of the same log are not counted again."""
    rewards: int
    """Rollouts of the log that came with a reward."""
    unknown_finish: int
    bad_lines: int
    first_bad_lines: tuple[str, ...]
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
    model: str = "unknown",
    pilot: int = 8,
    report: Callable[[int, int], None] | None = None,
) -> Imported:
    """Import rollouts that another tool drew.

    The log's own rewards, where it has any, are kept as verdicts of the kind ``logged`` beside ours. An import that
    was broken off is continued by the same call.

    Args:
        paths: The log: one file or several.
        format: ``jsonl`` or ``parquet``, plain rows; see ``curate.logs.read`` for the columns.
        into: The profile's folder; must be new, or that of the same log.
        verifier: Who judges; math by default. Kind ``logged`` takes the log's rewards as they are.
        band: The band to decide by.
        columns: Where the log calls a column otherwise: our name to the log's.
        skip_bad_lines: Leave out rows that would be refused, and count them.
        model: What drew the rollouts, where that is known.
        pilot: How many first rollouts of each problem make its pilot.
        report: Called with (done, all) rollouts.

    Raises:
        ProblemsError: a row is broken; names the place.
        UsageError: ``logged`` was asked for and the log has no rewards.
        LedgerError: the folder holds another profile, or cannot be written.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    section = verifier or VerifierSection()
    log = logs.read(files, format, columns=columns, skip_bad_lines=skip_bad_lines)
    if section.kind == LOGGED and not log.n_rewards:
        raise UsageError(
            "the log has no rewards to go by", where="--verifier logged", hint="name a verifier, e.g. math"
        )
    ledger = Ledger(into)
    manifest = _manifest(log, files, format, section, band or BandSection(), model, pilot)
    if ledger.exists():
        _refuse_another_log(ledger, manifest)
    started, begun = now(), time.monotonic()
    with ledger.writing():
        brought = asyncio.run(_bring(log, ledger, section, manifest, report))
        session = Session("import", f"import {format}", started, time.monotonic() - begun, *brought)
        summary = sum_up(ledger, session)
    return Imported(
        summary=summary,
        rollouts=brought[0],
        rewards=log.n_rewards,
        unknown_finish=log.n_unknown_finish,
        bad_lines=log.n_bad_lines,
        first_bad_lines=log.bad_lines,
        unused_columns=log.unused_columns,
    )


def _manifest(
    log: LogBatch, files: list[Path], format: str, section: VerifierSection, band: BandSection, model: str, pilot: int
) -> dict[str, Any]:
    logged = section.kind == LOGGED
    version = LOGGED if logged else verifiers.connect(section).version
    protocol = {
        "imported": format,
        "log": _digest(files),
        "model.path": model,
        "verifier.kind": recipes.verifier_name(section.kind),
        "verifier.options": section.options,
        "verifier.pass_at": section.pass_at,
        "verifier.version": version,
    }
    return {
        "name": files[0].stem,
        "created": now(),
        "model": {"path": model, "revision": "unknown", "chat_template": "unknown"},
        "protocol": protocol,
        "protocol_fingerprint": recipes.digest(protocol),
        "verifier_fingerprint": recipes.verifier_fingerprint(section, version),
        "seed": None,
        "band": band.model_dump(),
        "pilot": pilot,
        "recipe": None,
        "problems": {
            "source": ", ".join(file.name for file in files),
            "fingerprint": problems_fingerprint(log.problems),
            "rows": len(log.problems),
        },
        "versions": versions(),
    }


def _refuse_another_log(ledger: Ledger, manifest: dict[str, Any]) -> None:
    if ledger.manifest()["protocol"] != manifest["protocol"]:
        raise LedgerError(
            "there is another profile here, or this log imported with another verifier",
            where=str(ledger.path),
            hint="choose a new folder with --into",
        )


async def _bring(
    log: LogBatch,
    ledger: Ledger,
    section: VerifierSection,
    manifest: dict[str, Any],
    report: Callable[[int, int], None] | None,
) -> tuple[int, int, int, int, int, int]:
    """Write problems, rollouts and verdicts; returns the figures of the session."""
    logged = section.kind == LOGGED
    pool = None if logged else verifiers.connect(section)
    own = Recorder(ledger, manifest["verifier_fingerprint"])
    as_found = Recorder(ledger, _logged_fingerprint(section))
    new = prompt_tokens = completion_tokens = 0
    try:
        problems: Sequence[Problem] = log.problems
        if pool is not None:
            await pool.start()
            pool.remember(ledger.comparisons(manifest["verifier_fingerprint"], CACHE), own.add_comparison)
            problems = await set_unsound_aside(pool, problems)
        ledger.write_problems(problems, [problem.question for problem in problems])
        ledger.write_manifest({**ledger.manifest(), **manifest} if ledger.exists() else manifest)
        by_id = {problem.problem_id: problem for problem in problems}
        held = {problem_id: set(indices) for problem_id, indices in ledger.held().items()}
        judged = _judged(ledger, manifest["verifier_fingerprint"])
        for position, chunk in enumerate(_chunks(log.rollouts())):
            fresh = [pair for pair in chunk if pair[0].index not in held.get(pair[0].problem_id, ())]
            waiting = [pair for pair in chunk if (pair[0].problem_id, pair[0].index) not in judged]
            own.add_rollouts(rollout for rollout, _ in fresh)
            found = [_as_found(rollout, reward, section.pass_at) for rollout, reward in waiting]
            if pool is None:
                own.add_verdicts(found)
            else:
                own.add_verdicts(await verify(pool, by_id, [rollout for rollout, _ in waiting]))
                as_found.add_verdicts(found if log.n_rewards else [])
            own.flush()
            as_found.flush()
            new += len(fresh)
            prompt_tokens += sum(rollout.prompt_tokens for rollout, _ in fresh)
            completion_tokens += sum(rollout.completion_tokens for rollout, _ in fresh)
            if report is not None:
                report(position * CHUNK + len(chunk), log.n_rollouts)
    finally:
        own.flush()
        if pool is not None:
            await pool.close()
    compared, reused = (pool.compared, pool.reused) if pool is not None else (0, 0)
    return new, prompt_tokens, completion_tokens, 0, compared, reused


def _judged(ledger: Ledger, fingerprint: str) -> set[tuple[str, int]]:
    return set(ledger.verdicts(fingerprint, ["problem_id", "index"]).iter_rows())


def _as_found(rollout: Rollout, reward: float | None, pass_at: float) -> Verdict:
    if reward is None:
        kind, reason = VerdictKind.UNSCORED, "no reward in the log"
    else:
        kind = VerdictKind.PASS if reward >= pass_at else VerdictKind.FAIL
        reason = "as logged"
    return verdict_of(rollout, Judgement(kind, reward, None, reason, 0.0))


def _logged_fingerprint(section: VerifierSection) -> str:
    return recipes.digest({"kind": LOGGED, "options": {}, "pass_at": section.pass_at, "version": LOGGED})


def _chunks(
    pairs: Iterator[tuple[Rollout, float | None]],
) -> Iterator[list[tuple[Rollout, float | None]]]:
    while chunk := list(islice(pairs, CHUNK)):
        yield chunk


def _digest(files: list[Path]) -> str:
    """Names a log by the bytes of its files, in order."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            whole.update(hashlib.file_digest(handle, "sha256").digest())
    return f"sha256:{whole.hexdigest()}"
