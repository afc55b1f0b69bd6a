"""Two releases of one measured profile, to publish one after the other. For tests."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from builders import profile

from curate import beliefs, decide
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import Reason

PASSES = {
    "easy": [True] * 64,
    "half": [True, False] * 32,
    "third": [True, False, False] * 21,
    "hard": [False] * 64,
    "edge": [True] + [False] * 4,
}
"""In the band [.2, .8] at .9: ``half`` and ``third``. ``hard`` is for the repair list."""


def measured(folder: Path) -> Ledger:
    """A finished profile of these, and of a duplicate."""
    ledger = profile(folder, PASSES, {"again": Reason.DUPLICATE})
    return finish(ledger)


def finish(ledger: Ledger) -> Ledger:
    """Estimate a profile."""
    counts = decide.count(ledger, ledger.manifest()["verifier_fingerprint"], 8)
    prior = beliefs.learn(counts, BandSection())
    ledger.write_prior(beliefs.to_frame(prior))
    ledger.write_estimates(decide.estimate(counts, BandSection(), prior))
    return ledger


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a release, as a repository would hold it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def rows(folder: Path, config: str = "default") -> list[dict[str, object]]:
    """The rows of a config, read without ``datasets``."""
    return pl.read_parquet(folder / config / "*.parquet").to_dicts()
