"""Provenance: what an imported profile says of where it came from.

Owns the manifest's part of an import: the protocol as far as the log tells it, and a name for the log itself, so that
another log is never taken for it. Must not read logs, judge or write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curate import recipe as recipes
from curate.errors import LedgerError
from curate.judging import LOGGED
from curate.logs import LogBatch
from curate.logs.origin import UNKNOWN
from curate.problems import fingerprint as problems_fingerprint
from curate.recipe import BandSection, VerifierSection


def manifest(
    log: LogBatch,
    files: Sequence[Path],
    format: str,
    section: VerifierSection,
    version: str,
    band: BandSection,
    pilot: int,
    name: str,
) -> dict[str, Any]:
    """All that a manifest says of an imported profile, but when and with what it was made.

    Args:
        log: The log, checked.
        files: Its files.
        format: Its format.
        section: Who judges.
        version: The verifier's.
        band: The band to decide by.
        pilot: How many first rollouts make the pilot; of counts, all of them do.
        name: What to call it where the log is several files.
    """
    told = log.origin.protocol()
    protocol = {
        "imported": format,
        "step": log.step,
        # The same files read otherwise, or with other references, are another log.
        "log": recipes.digest([_digest(files), log.asked, problems_fingerprint(log.problems)]),
        **told,
        **recipes.verifier_protocol(section, version),
    }
    return {
        "name": files[0].stem if len(files) == 1 else name,
        "model": {key.partition(".")[2]: told[key] for key in told if key.startswith("model.")},
        "protocol": protocol,
        "protocol_fingerprint": recipes.digest(protocol),
        "verifier_fingerprint": recipes.verifier_fingerprint(section, version),
        "seed": None,
        "band": band.model_dump(),
        "pilot": _most(log) if not log.texts else pilot,
        "recipe": None,
        "imported": {
            "format": format,
            "tool": log.origin.tool or UNKNOWN,
            "tool_version": log.origin.tool_version or UNKNOWN,
            "step": log.step,
            "texts": log.texts,
            "logged": logged_fingerprint(section.pass_at) if log.n_rewards else None,
            "unknown": list(unknown(log)),
            "failed_requests": log.n_errors,
            "bad_lines": log.n_bad_lines,
            "unknown_finish": log.n_unknown_finish,
        },
        "problems": {
            "source": ", ".join(file.name for file in files[:20]) + (", ..." if len(files) > 20 else ""),
            "fingerprint": problems_fingerprint(log.problems),
            "rows": len(log.problems),
        },
    }


def unknown(log: LogBatch) -> tuple[str, ...]:
    """The entries of the protocol that the log does not tell."""
    return tuple(key for key, value in log.origin.protocol().items() if value == UNKNOWN)


def _most(log: LogBatch) -> int:
    """The rollouts of the problem that has most: all that were counted are the first draw, in no known order."""
    return max(rollout.index for rollout, _ in log.rollouts()) + 1


def refuse_another(held: Mapping[str, Any], asked: Mapping[str, Any], where: Path) -> None:
    """Refuse to write a log into a profile of another protocol.

    Raises:
        LedgerError: names what differs.
    """
    if held != asked:
        names = [name for name in {**held, **asked} if held.get(name) != asked.get(name)]
        raise LedgerError(
            f"there is another profile here, or this log imported otherwise: they differ in {', '.join(names[:4])}",
            where=str(where),
            hint="choose a new folder with --into",
        )


def logged_fingerprint(pass_at: float) -> str:
    """Names the folder of the log's own verdicts."""
    return recipes.verifier_fingerprint(VerifierSection(kind=LOGGED, pass_at=pass_at), LOGGED)


def _digest(files: Sequence[Path]) -> str:
    """Names a log by the bytes of its files, in order."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            whole.update(hashlib.file_digest(handle, "sha256").digest())
    return f"sha256:{whole.hexdigest()}"
