"""Earlier profiles: what is known of a recipe's problems before anything is drawn of them.

Owns finding the same problems in other profiles, by id and else by what they ask, and their counts there. Must not
judge what the counts are worth: that is learned from the new rollouts (``statistics.warm``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from curate.errors import UsageError
from curate.ledger import Ledger
from curate.problems import stored
from curate.problems.pairs import match
from curate.records import Problem


@dataclass(frozen=True, slots=True)
class Source:
    """One earlier profile, as the manifest of the new one tells of it."""

    name: str
    protocol_fingerprint: str
    updated: str
    fingerprint: str
    """Of its counts: the same profile moved elsewhere has the same."""
    problems: int
    """How many of the new profile's problems it has rollouts of."""
    rollouts: int
    """Its scored rollouts of those."""


def gather(folders: Sequence[str | Path], problems: Sequence[Problem]) -> tuple[pl.DataFrame, list[Source]]:
    """Count what earlier profiles know of these problems.

    A problem is the same where ``problems.pairs`` says so: sources are renumbered, and ids used again for others.

    Args:
        folders: The profiles, oldest first; at least one.
        problems: The new profile's problems.

    Returns:
        ``problem_id``, and ``n`` and ``k`` as lists with one number for each profile, of every problem with a scored
        rollout in any of them, in the order of the problems; and what each profile is.

    Raises:
        LedgerError: a folder has no finished profile.
        UsageError: a profile has rollouts of none of these problems, or is named twice.
    """
    named = [problem.problem_id for problem in problems]
    sources, found = list[Source](), pl.DataFrame({"problem_id": named}, schema={"problem_id": pl.String})
    for position, folder in enumerate(folders):
        ledger = Ledger(folder)
        manifest, counts = ledger.manifest(), _counts(ledger, problems)
        if counts.is_empty():
            raise UsageError(
                f"the profile {manifest['name']} has rollouts of none of these {len(problems):,} problems",
                where=f"--like {folder}",
                hint="name a profile of the same problems: question and references must agree",
            )
        rows = sorted(counts.rows())
        sources.append(
            Source(
                name=manifest["name"],
                protocol_fingerprint=manifest["protocol_fingerprint"],
                updated=manifest.get("updated", manifest["created"]),
                fingerprint=hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass")).hexdigest()[:16],
                problems=counts.height,
                rollouts=int(counts["n"].sum()),
            )
        )
        told = [(source.protocol_fingerprint, source.fingerprint) for source in sources]
        if told[-1] in told[:-1]:
            raise UsageError(
                f"the profile {manifest['name']} is named twice", where=f"--like {folder}", hint="once is enough"
            )
        columns = counts.rename({"n": f"n{position}", "k": f"k{position}"})
        found = found.join(columns, on="problem_id", how="left", maintain_order="left")
    each = range(len(folders))
    gathered = found.with_columns(pl.exclude("problem_id").fill_null(0)).select(
        "problem_id",
        n=pl.concat_list(f"n{position}" for position in each),
        k=pl.concat_list(f"k{position}" for position in each),
    )
    return gathered.filter(pl.col("n").list.sum() > 0), sources


def history(earlier: pl.DataFrame, problem_ids: Sequence[str] | pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """What earlier profiles counted.

    Args:
        earlier: With the columns that ``gather`` gives.
        problem_ids: The problems asked about.

    Returns:
        n and k, of shape (profiles, problems); 0 where a profile does not know a problem.
    """
    rows = pl.DataFrame({"problem_id": problem_ids}, schema={"problem_id": pl.String}).join(
        earlier, on="problem_id", how="left", maintain_order="left"
    )
    nothing = [0] * len(earlier["n"][0])
    n, k = (np.array([one or nothing for one in rows[name].to_list()], np.int64) for name in ("n", "k"))
    return n.reshape(-1, len(nothing)).T, k.reshape(-1, len(nothing)).T


def _counts(ledger: Ledger, mine: Sequence[Problem]) -> pl.DataFrame:
    """``problem_id`` as the new profile has it, n and k, of the problems with a scored rollout there."""
    counts = ledger.estimates().filter(pl.col("n") > 0).select("problem_id", "n", "k")
    pairs = match(stored(ledger.problems()), mine)
    named = pl.DataFrame(
        {"there": pairs.before, "problem_id": pairs.after}, schema={"there": pl.String, "problem_id": pl.String}
    )
    joined = named.join(counts.rename({"problem_id": "there"}), on="there", how="inner", maintain_order="left")
    return joined.select("problem_id", "n", "k")
