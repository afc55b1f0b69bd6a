"""History: how a band moved, from the profiles of several checkpoints.

Owns which folders are meant and how their histories make one. The rule: a profile is one protocol, so one checkpoint;
another checkpoint is another folder. The ``history.parquet`` of a profile that follows others (``--like``) begins with
their rows, so the newest folder alone tells the whole, and several folders together tell it too: rows are united, and
of each checkpoint the last one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import UsageError
from curate.ledger import Ledger
from curate.summary import step_of


def profiles(paths: Sequence[str | Path]) -> list[Ledger]:
    """The profiles that are meant, oldest first: by training step where all tell one, else by their last run.

    Args:
        paths: Folders, each a profile or one that holds profiles.

    Raises:
        UsageError: one of them is neither.
    """
    found: dict[Path, Ledger] = {}
    for path in map(Path, paths):
        inside = [path] if _is_profile(path) else sorted(one for one in path.glob("*") if _is_profile(one))
        if not inside:
            raise UsageError(
                "there is no finished profile here", where=str(path), hint="name profiles, or a folder that holds some"
            )
        found.update((one.resolve(), Ledger(one)) for one in inside)
    ledgers = list(found.values())
    steps = {ledger.path: step_of(ledger.manifest()) for ledger in ledgers}
    by_step = all(step is not None for step in steps.values())
    return sorted(ledgers, key=lambda one: (steps[one.path] if by_step else 0, _updated(one), str(one.path)))


def history(paths: Sequence[str | Path]) -> tuple[dict[str, Any], ...]:
    """How the band moved: where each checkpoint's profile stood when it was last summed up.

    Args:
        paths: Folders, each a profile or one that holds profiles.

    Returns:
        The rows of ``curate.layout.HISTORY``, the last one of each model revision, protocol and verifier; in the order
        of steps where all have one, else of dates.

    Raises:
        UsageError: there is no profile.
        LedgerError: one of them cannot be read.
    """
    frames = [ledger.history() for ledger in profiles(paths)]
    rows = pl.concat(frames).unique(maintain_order=True).sort("date", maintain_order=True)
    # A revision that is not known tells nothing: then the profile's own name keeps checkpoints apart.
    last = rows.unique(["name", "revision", "step", "protocol", "verifier"], keep="last", maintain_order=True)
    ordered = last.sort("step", "date", maintain_order=True) if last["step"].null_count() == 0 else last
    return tuple(ordered.iter_rows(named=True))


def _is_profile(path: Path) -> bool:
    return (path / "manifest.json").exists() and (path / "estimates.parquet").exists()


def _updated(ledger: Ledger) -> str:
    manifest = ledger.manifest()
    return str(manifest.get("updated", manifest["created"]))
