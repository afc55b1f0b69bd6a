"""Planning: what a run would do and cost, before a weight is loaded.

Owns the prediction, and says on what it rests. Must not write anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import decide
from curate.allocation import Adaptive, expected_of, table_of
from curate.ledger import Ledger
from curate.profiling import Run, check_fixed, open_run, tracks_held
from curate.recipe import Recipe
from curate.records import Prompt
from curate.statistics import prior as priors
from curate.statistics.stopping import operating_characteristics


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    into: Path
    problems: int
    set_aside: int
    """Problems known to be duplicates or without a reference; references are checked when the run begins."""
    held: int
    """Rollouts that the ledger holds already."""
    rollouts: int
    """Rollouts still to draw, expected."""
    share_decided: float | None
    """Share of the problems that are expected to be decided; None for a fixed number of rollouts."""
    tokens: float | None
    """Completion tokens still to draw; None where there is nothing to judge by."""
    seconds: float | None
    """At the measured speed of the profile that this rests on; None where there is none."""
    saved: float | None
    """Share of the rollouts that the earlier profiles are expected to save, above 0; None where they save nothing, know
    too few of the problems to say, or there are none, and once the profile was begun."""
    rests_on: str
    """What the prediction rests on, in words."""
    guess: bool
    """Whether it is only a guess: nothing was measured of these problems or of similar ones."""
    first_prompt: str
    protocol: dict[str, Any]


@dataclass(frozen=True)
class _Evidence:
    """What is known beforehand."""

    name: str
    n: np.ndarray
    k: np.ndarray
    tokens: float | None
    """Mean completion tokens of a rollout."""
    seconds: float | None
    """Wall time of a rollout."""


def plan(
    recipe: Recipe | str | Path,
    *,
    into: str | Path | None = None,
    fixed_n: int | None = None,
    shard: tuple[int, int] | None = None,
    like: Sequence[str | Path] = (),
) -> Plan:
    """Say what ``profile`` would do, without loading weights or writing anything.

    Args:
        recipe: As for ``profile``.
        into: As for ``profile``.
        fixed_n: As for ``profile``.
        shard: As for ``profile``.
        like: As for ``profile``. Without one, what this profile holds already is gone by, and without that the
            Jeffreys prior, which is a guess.

    Raises:
        CurateError: as ``profile``, for all that can be known beforehand.
    """
    check_fixed(fixed_n)
    run = open_run(recipe, into, shard, like)
    mine = list(run.mine(run.set.problems))
    held = run.ledger.held() if run.ledger.exists() else {}
    evidence = _evidence(run, [Path(folder) for folder in like], begun=bool(held))
    share = saved = None
    if fixed_n is not None:
        rollouts = sum(len(set(range(fixed_n)).difference(held.get(problem.problem_id, ()))) for problem in mine)
        rests_on, guess = f"{fixed_n} rollouts of every problem", False
    else:
        each, share = _expected(run.recipe, evidence)
        rollouts = _to_come(run) if held else round(each * len(mine))
        if run.earlier is not None and not held:
            warm, fresh, share = expected_of(mine, run.recipe.band, run.recipe.budget, run.earlier)
            rollouts = round(warm * len(mine))
            saved = 1.0 - warm / fresh if run.earlier.height >= priors.FEWEST_PROBLEMS and warm < fresh else None
        rests_on = evidence.name if evidence else "a guess: nothing was measured; name a similar profile with --like"
        guess = evidence is None
        if run.earlier is not None and not held:
            known = len({problem.problem_id for problem in mine}.intersection(run.earlier["problem_id"]))
            rests_on += f", of {known:,} of these {len(mine):,} problems" if known < len(mine) else ""
    first = next((prompt for _, prompt in run.prompts(run.set.problems)), None)
    return Plan(
        into=run.ledger.path,
        problems=len(run.set.problems),
        set_aside=sum(problem.set_aside is not None for problem in run.set.problems),
        held=sum(map(len, held.values())),
        rollouts=rollouts,
        share_decided=share,
        saved=saved,
        tokens=rollouts * evidence.tokens if evidence and evidence.tokens else None,
        seconds=rollouts * evidence.seconds if evidence and evidence.seconds else None,
        rests_on=rests_on,
        guess=guess,
        first_prompt=run.engine.render(first) if first else "",
        protocol=run.protocol,
    )


def _to_come(run: Run) -> int:
    """What the rule still wants of a profile that was begun, found by asking it without drawing."""
    rule = Adaptive(run.recipe.band, run.recipe.budget, run.earlier)
    asked = rule.begin(tracks_held(run, [(problem, Prompt()) for problem in run.mine(run.set.problems)]))
    tracks, short = asked, 0.0
    while asked:
        for track in asked:
            rule.target(track)
        asked = rule.released(False)
    for track in tracks:
        short += max(0.0, track.position + rule.to_come(track) - sum(mark > 0 for mark in track.marks))
    return round(short)


def _evidence(run: Run, like: Sequence[Path], *, begun: bool) -> _Evidence | None:
    """The counts of similar profiles together, else this profile's own; ``begun``: its rollouts are on this disk."""
    own = run.ledger
    if like:
        ledgers, name = [Ledger(path) for path in like], f"the profile {', '.join(map(str, like))}"
        frames = [ledger.estimates() for ledger in ledgers]
    elif begun or (own.exists() and (own.path / "estimates.parquet").exists()):
        ledgers, name = [own], "the rollouts that this profile holds"
        # A run that was killed left no estimates.
        frames = [decide.count(own, run.fingerprint, run.recipe.budget.pilot) if begun else own.estimates()]
    else:
        return None
    counts = pl.concat([frame.filter(pl.col("n") > 0).select("n", "k", "mean_tokens") for frame in frames])
    if counts.is_empty():
        return None
    # What an import took is no time of drawing.
    told = [ledger.manifest() for ledger in ledgers]
    costs = [one.get("cost", {}) for one in told if not one.get("imported")]
    rollouts = sum(cost.get("rollouts", 0) for cost in costs)
    seconds = sum(cost.get("seconds", 0.0) for cost in costs)
    mean = counts["mean_tokens"].mean()
    return _Evidence(
        name,
        counts["n"].to_numpy(),
        counts["k"].to_numpy(),
        float(mean) if isinstance(mean, float) and mean > 0 else None,
        seconds / rollouts if rollouts else None,
    )


def _expected(recipe: Recipe, evidence: _Evidence | None) -> tuple[float, float]:
    """Expected rollouts of a problem, and the share decided, under the prior that the evidence gives."""
    grid = priors.make_grid(edges=(recipe.band.low, recipe.band.high))
    prior = priors.fit_prior(evidence.n, evidence.k, grid) if evidence else priors.jeffreys(grid)
    found = operating_characteristics(table_of(prior, recipe.band, recipe.budget), prior)
    return found.rollouts, found.share_decided
