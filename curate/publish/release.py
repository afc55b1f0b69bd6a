"""The release: a folder that ``datasets.load_dataset`` reads, with what was kept, what was not, and a fair control.

Owns the columns of a release and how it is written: sorted, with nothing of the moment in it, so that two releases of
one profile are the same bytes. Must not sample, and needs no engine: problems and estimates are enough. An audit is
used where there is one; rollouts are read for the repair list where they are on this disk.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate import decide, durable
from curate.errors import LedgerError, RecipeError, ReleaseError
from curate.ledger import Ledger
from curate.publish import card
from curate.publish.repair import REPAIR, candidates, repairs
from curate.recipe import BandSection
from curate.summary import Summary, summarise

SPLIT = "train"
FILE = f"{SPLIT}-00000-of-00001.parquet"

_PROBLEM = ("problem_id", "question", "answer", "answers")
_ESTIMATES = (
    *("pass_rate", "ci_low", "ci_high", "cs_low", "cs_high", "pass_rate_pilot"),
    *("p_below", "p_in_band", "p_above"),
    *("n", "k", "n_unscored", "n_truncated", "mean_tokens", "outcome"),
)
_RISK = ("p_genuine", "genuine_rate", "genuine_low", "genuine_high", "risk", "p_outvote", "p_luck", "p_label_wrong")
"""What an audit says of a kept problem; null where none was made."""
_EVIDENCE = tuple(name for name in decide.EVIDENCE if name not in _RISK)
_EXCLUDED = ("next_step", "main_reason", "reasons", "note")


@dataclass(frozen=True)
class Release:
    """What was written."""

    path: Path
    rows: dict[str, int]
    """Rows of each config: ``default``, ``excluded``, ``control``, ``repair``; one without rows is not written."""
    audited: bool
    """Whether an audit's reasons are among those for leaving out."""
    summary: Summary


def filter(
    profile: str | Path,
    *,
    to: str | Path,
    band: tuple[float, float] | None = None,
    confidence: float | None = None,
    genuine: bool = False,
) -> Release:
    """Write the band-filtered dataset of a profile, with the exclusions and a control.

    Configs, each with the one split ``train``: ``default`` has the kept problems; ``excluded`` all others, with their
    reasons, the evidence and next steps; ``control`` as many problems as were kept, drawn at random from all that could
    have been; ``repair`` the over-hard ones that nothing else speaks against, with what a rewriting needs. Nothing is
    sampled: another band is free. Where the profile was audited, what can be guessed, passes by shortcuts or has a
    suspect reference is left out.

    Args:
        profile: The profile's folder; its problems and estimates are read, its rollouts are not needed.
        to: The release's folder, made where it is missing; an older release there is replaced.
        band: Another band than the profile's, both ends inclusive.
        confidence: Another confidence than the profile's, in (0.5, 1).
        genuine: Apply the band to the genuine pass rate, which an audit estimates, and not to the pass rate.

    Returns:
        What was written.

    Raises:
        RecipeError: the band or the confidence is none.
        LedgerError: there is no finished profile there, or its audit is missing where it is needed, or outdated.
        ReleaseError: nothing was kept, or the folder holds something that is no release.
    """
    ledger = Ledger(profile)
    manifest = ledger.manifest()
    asked = _band(BandSection.model_validate(manifest["band"]), band, confidence)
    estimates, audit = ledger.estimates(), ledger.audit()
    _refuse_without_audit(ledger, estimates, audit, genuine)
    belief = decide.from_frame(ledger.prior())
    estimates = decide.estimate(estimates, asked, belief)
    if genuine and audit is not None:
        estimates = decide.by_genuine_rate(estimates, audit, asked, belief)
    estimates = decide.with_audit(estimates, audit)
    summary = summarise(estimates, manifest["name"], asked, ledger.path)
    rows = (
        ledger.problems()
        .drop("set_aside", "set_aside_why", "prompt")
        .join(estimates.rename({"set_aside_why": "note"}), on="problem_id", how="inner")
        .with_columns(main_reason=decide.main_reason())
        .sort("problem_id")
    )
    # Turns are kept where there are any: a problem that is a chat already is prompted with them.
    last = ("metadata", "messages") if rows["messages"].list.len().sum() else ("metadata",)
    configs = {
        "default": rows.filter(decide.kept()).select(*_PROBLEM, *_ESTIMATES, *_RISK, *last),
        "excluded": rows.filter(~decide.kept()).select(*_PROBLEM, *_ESTIMATES, *_RISK, *_EVIDENCE, *_EXCLUDED, *last),
        "control": _control(rows, summary.kept, manifest["protocol_fingerprint"]).select(
            *_PROBLEM, *_ESTIMATES, *_RISK, *last
        ),
        "repair": repairs(rows.filter(candidates()), ledger, manifest["verifier_fingerprint"]).select(
            *_PROBLEM, *_ESTIMATES, *_RISK, *REPAIR, *last
        ),
    }
    if summary.kept == 0:
        raise ReleaseError(
            f"no problem was kept out of {summary.problems:,}: {_why_none(summary)}",
            where=str(ledger.path),
            hint="widen the band with --band, or draw more rollouts",
        )
    target = Path(to)
    _refuse_to_overwrite(target)
    written = {name: frame for name, frame in configs.items() if frame.height}
    # The manifest is written last: a folder without one is no release yet.
    (target / "manifest.json").unlink(missing_ok=True)
    for name in configs:
        shutil.rmtree(target / name, ignore_errors=True)
    for name, frame in written.items():
        durable.write(target / name / FILE, lambda file, frame=frame: _write(frame, file))  # type: ignore[misc]
    release = Release(target, {name: frame.height for name, frame in written.items()}, audit is not None, summary)
    text = card.render(manifest, summary, release.rows, FILE, audited=release.audited)
    durable.write(target / "README.md", lambda file: file.write_text(text, encoding="utf-8"))
    record = json.dumps(_manifest(manifest, summary, target, release.rows), indent=2, ensure_ascii=False) + "\n"
    durable.write(target / "manifest.json", lambda file: file.write_text(record, encoding="utf-8"))
    return release


def _refuse_without_audit(ledger: Ledger, estimates: pl.DataFrame, audit: pl.DataFrame | None, genuine: bool) -> None:
    if audit is not None and decide.outdated(estimates, audit):
        raise LedgerError(
            "the audit is of other rollouts or verdicts than the estimates",
            where=str(ledger.path / "audit.parquet"),
            hint=f"make it anew: curate audit {ledger.path}",
        )
    if audit is None and genuine:
        raise LedgerError(
            "the genuine pass rate needs an audit", where=str(ledger.path), hint=f"curate audit {ledger.path}"
        )


def _band(own: BandSection, band: tuple[float, float] | None, confidence: float | None) -> BandSection:
    low, high = band if band is not None else (own.low, own.high)
    wanted = own.confidence if confidence is None else confidence
    if not 0.0 <= low <= high <= 1.0:
        raise RecipeError(f"a band needs 0 <= low <= high <= 1, got {low:g}:{high:g}", where="--band")
    if not 0.5 < wanted < 1.0:
        raise RecipeError(f"a confidence lies above 0.5 and below 1, got {wanted:g}", where="--confidence")
    return own.model_copy(update={"low": low, "high": high, "confidence": wanted})


def _control(rows: pl.DataFrame, size: int, seed: str) -> pl.DataFrame:
    """Draw the control: what a release of the same size would be had nothing been measured."""
    # Duplicates and problems without a usable reference would not be trained on by anybody.
    candidates = rows.filter(pl.col("set_aside").is_null())["problem_id"].to_list()
    drawn = random.Random(f"control:{seed}").sample(candidates, size)
    return rows.filter(pl.col("problem_id").is_in(drawn))


def _write(frame: pl.DataFrame, file: Path) -> None:
    """Write through ``datasets`` with explicit features: polars' own large strings would load as another type."""
    import pyarrow as pa
    from datasets import Features, List, Value
    from pyarrow import parquet

    kinds = {pl.String: "string", pl.Float64: "float64", pl.Int64: "int64", pl.Boolean: "bool"}
    turn = {"role": Value("string"), "content": Value("string")}
    features = Features(
        {
            name: List(turn if name == "messages" else Value("string"))
            if isinstance(kind, pl.List)
            else Value(kinds[type(kind)])
            for name, kind in frame.schema.items()
        }
    )
    table = pa.Table.from_pydict(frame.to_dict(as_series=False), schema=features.arrow_schema)
    # Chunks cut by content and a page index: what the Hub's storage and viewer want.
    parquet.write_table(table, file, compression="zstd", use_content_defined_chunking=True, write_page_index=True)


def _manifest(manifest: dict[str, Any], summary: Summary, target: Path, rows: dict[str, int]) -> dict[str, Any]:
    return {
        "name": summary.name,
        "profile_updated": manifest.get("updated"),
        "model": manifest["model"],
        "protocol": manifest["protocol"],
        "protocol_fingerprint": manifest["protocol_fingerprint"],
        "problems": manifest["problems"],
        "band": summary.band.model_dump(),
        "rows": rows,
        "outcomes": summary.outcomes,
        "reasons": summary.reasons,
        "main_reasons": summary.main_reasons,
        "next_steps": summary.next_steps,
        "versions": manifest["versions"],
        "sha256": {name: hashlib.sha256((target / name / FILE).read_bytes()).hexdigest() for name in rows},
    }


def _refuse_to_overwrite(target: Path) -> None:
    """A folder is replaced only when it holds an older release, a broken-off one included."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ReleaseError("there is a file of that name", where=str(target), hint="choose another folder with --to")
    ours = {"manifest.json", "README.md", "default", "excluded", "control", "repair"}
    strangers = sorted(
        entry.name for entry in target.iterdir() if entry.name not in ours and not entry.name.startswith(".")
    )
    profile = (target / "problems.parquet").exists()
    if strangers:
        what = "a profile" if profile else f"other files ({', '.join(strangers[:3])})"
        raise ReleaseError(f"the folder holds {what}", where=str(target), hint="choose another folder with --to")


def _why_none(summary: Summary) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.items()) or "there are no problems"
