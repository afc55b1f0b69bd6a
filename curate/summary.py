"""The summary: where a profile stands, in the manifest and in a few numbers.

Owns the counts and the cost in ``manifest.json``, the history, and the writing of ``estimates.parquet``. Must not
sample or verify: it reads the ledger, has it estimated, and says what came out.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from curate import beliefs, decide
from curate.layout import HISTORY
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import Outcome
from curate.statistics.prior import Prior

STEP = re.compile(r"(?:checkpoint|step|iter)[-_]?(\d+)/*$")
"""How the name of a checkpoint tells its training step."""


@dataclass(frozen=True)
class Session:
    """What one run of a command added to a profile."""

    command: str
    """``profile``, ``import``, ``verify`` or ``audit``."""
    engine: str
    started: str
    """UTC, ISO 8601."""
    seconds: float
    rollouts: int
    prompt_tokens: int
    completion_tokens: int
    failed_requests: int
    compared: int
    """Answers, references included, that the verifier's workers were given."""
    reused: int
    """Those whose ruling was known, from this run or an earlier one."""


@dataclass(frozen=True)
class Summary:
    """Where a profile stands."""

    path: Path
    name: str
    problems: int
    kept: int
    outcomes: dict[str, int]
    """Problems by outcome, most first."""
    reasons: dict[str, int]
    """Excluded problems by reason, most first; one problem may have several."""
    main_reasons: dict[str, int]
    """Excluded problems by the one reason that asks for their next step: these add up to all that were excluded."""
    next_steps: dict[str, int]
    """Excluded problems by what to do next."""
    rollouts: int
    scored: int
    passes: int
    unscored: int
    truncated: int
    mean_pass_rate: float | None
    """Mean of the estimates over problems with a scored rollout; None without any."""
    band: BandSection


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """What made this profile: Python, the platform and the packages that numbers depend on."""
    packages = ("curate-rlvr", "math-verify", "sympy", "numpy", "scipy", "polars")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{package: version(package) for package in packages},
    }


def sum_up(ledger: Ledger, session: Session, belief: Prior | None = None) -> Summary:
    """Estimate every problem anew, and bring counts and cost in the manifest up to date.

    Args:
        ledger: The profile.
        session: What the run that ends now added.
        belief: The prior that the run went by; None learns it from all counts.

    The caller holds the profile for writing. Shards that end together sum up one after the other, each over all
    rollouts on disk, so that the last one to end leaves the whole.
    """
    with ledger.summing_up():
        manifest = ledger.manifest()
        band = BandSection.model_validate(manifest["band"])
        estimates = estimate_anew(ledger, belief)
        summary = summarise(estimates, manifest["name"], band, ledger.path)
        sessions = [*manifest.get("sessions", []), vars(session)]
        moment = now()
        _remember(ledger, _standing(manifest, summary, moment))
        ledger.write_manifest(
            {
                **{key: value for key, value in manifest.items() if key != "format"},
                "updated": moment,
                "counts": _counts(summary),
                "cost": _cost(sessions),
                "sessions": sessions,
            }
        )
    return summary


def estimate_anew(ledger: Ledger, belief: Prior | None = None) -> pl.DataFrame:
    """Estimate every problem from all that is on disk, and write it.

    Args:
        ledger: The profile, which the caller holds.
        belief: The prior to go by; None learns it from all counts.
    """
    manifest = ledger.manifest()
    band = BandSection.model_validate(manifest["band"])
    counts = decide.count(ledger, manifest["verifier_fingerprint"], manifest["pilot"])
    prior = beliefs.learn(counts, band, ledger.earlier()) if belief is None else belief
    estimates = decide.estimate(counts, band, prior)
    ledger.write_prior(beliefs.to_frame(prior))
    ledger.write_estimates(estimates)
    return estimates


def summarise(estimates: pl.DataFrame, name: str, band: BandSection, path: Path) -> Summary:
    """The summary of a frame of estimates."""
    sampled = estimates.filter(pl.col("n") > 0)
    mean = sampled["pass_rate"].mean()
    excluded = estimates.filter(~decide.kept())
    return Summary(
        path=path,
        name=name,
        problems=estimates.height,
        kept=estimates.height - excluded.height,
        outcomes=tally(estimates["outcome"]),
        reasons=tally(excluded["reasons"].explode(empty_as_null=True).drop_nulls()),
        main_reasons=tally(excluded.select(decide.main_reason().alias("reason"))["reason"]),
        next_steps=tally(excluded["next_step"]),
        rollouts=int(estimates["n"].sum()) + int(estimates["n_unscored"].sum()),
        scored=int(estimates["n"].sum()),
        passes=int(estimates["k"].sum()),
        unscored=int(estimates["n_unscored"].sum()),
        truncated=int(estimates["n_truncated"].sum()),
        mean_pass_rate=float(mean) if isinstance(mean, float) else None,
        band=band,
    )


def tally(values: pl.Series) -> dict[str, int]:
    """How often each value comes, the most frequent first."""
    counted = values.alias("value").value_counts().sort(["count", "value"], descending=[True, False])
    return {str(row["value"]): int(row["count"]) for row in counted.iter_rows(named=True)}


def step_of(manifest: Mapping[str, Any]) -> int | None:
    """The training step of the checkpoint that a profile is of, by its manifest or a release's.

    What a release says, or the import of a trainer's log recorded; else the number in the model's path or revision, as
    trainers name their folders: ``checkpoint-400``, ``global_step_400``, ``step-400``. None where nothing tells.
    """
    if isinstance(manifest.get("step"), int):
        return int(manifest["step"])
    imported = manifest.get("imported")
    if isinstance(imported, dict) and isinstance(imported.get("step"), int):
        return int(imported["step"])
    asked = ((manifest.get("recipe") or {}).get("model") or {}).get("revision")
    for name in (manifest["model"]["path"], asked):
        found = STEP.search(name or "")
        if found:
            return int(found.group(1))
    return None


def inherit(ledger: Ledger, lineage: Sequence[Ledger]) -> None:
    """Begin a profile's history with those of the profiles that it follows, such as of earlier checkpoints.

    A row that the profile has already is not taken twice. The caller holds the profile for writing.
    """
    if not lineage:
        return
    frames = [ledger.history(), *(one.history() for one in lineage)]
    whole = pl.concat(frames).unique(maintain_order=True).sort("date", maintain_order=True)
    if whole.height > frames[0].height:
        ledger.write_history(whole)


def _standing(manifest: Mapping[str, Any], summary: Summary, moment: str) -> dict[str, Any]:
    """A row of the history."""
    band = summary.band
    return {
        "date": moment,
        "name": manifest["name"],
        "model": manifest["model"]["path"],
        "revision": manifest["model"]["revision"],
        "step": step_of(manifest),
        "protocol": manifest["protocol_fingerprint"],
        "verifier": manifest["verifier_fingerprint"],
        "low": band.low,
        "high": band.high,
        "confidence": band.confidence,
        **{name: getattr(summary, name) for name in ("problems", "rollouts", "scored", "passes", "kept")},
        **{outcome.value: summary.outcomes.get(outcome.value, 0) for outcome in Outcome},
        "mean_pass_rate": summary.mean_pass_rate,
    }


def _remember(ledger: Ledger, row: Mapping[str, Any]) -> None:
    """Add a row to the history, unless the profile stands where its last row says."""
    history = ledger.history()
    own = history.filter(pl.col("protocol") == row["protocol"])
    if own.height and {**own.row(-1, named=True), "date": row["date"]} == row:
        return
    ledger.write_history(pl.concat([history, pl.DataFrame([row], schema=HISTORY)]))


def _counts(summary: Summary) -> dict[str, Any]:
    return {
        "problems": summary.problems,
        "kept": summary.kept,
        "outcomes": summary.outcomes,
        "reasons": summary.reasons,
        "rollouts": summary.rollouts,
        "passes": summary.passes,
        "unscored": summary.unscored,
        "truncated": summary.truncated,
    }


def _cost(sessions: list[dict[str, Any]]) -> dict[str, float]:
    keys = ("seconds", "rollouts", "prompt_tokens", "completion_tokens", "failed_requests")
    # Judging or auditing stored rollouts is no part of what they cost: the speed of a next run is told by these.
    drawing = [session for session in sessions if session["command"] not in ("verify", "audit")]
    return {key: sum(session[key] for session in drawing) for key in keys}
