"""The release: a folder that ``datasets.load_dataset`` reads, with what was kept, what was not, and a fair control.

Owns the columns of a release and how it is written: sorted, with nothing of the moment in it, so that two releases of
one profile are the same bytes. Must not sample, and needs no engine: problems and estimates are enough. An audit is
used where there is one; rollouts are read for the repair list where they are on this disk, and for a config of their
own where that is asked for. ``manifest.json`` is written last: a folder without one is no release.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate import beliefs, decide, durable
from curate.errors import LedgerError, RecipeError, ReleaseError, UsageError
from curate.ledger import Ledger
from curate.publish import card, histogram, rollouts, tables
from curate.publish.repair import REPAIR, candidates, repairs
from curate.publish.withheld import publishable
from curate.recipe import BandSection
from curate.summary import Summary, step_of, summarise

SPLIT = "train"
FILE = f"{SPLIT}-00000-of-00001.parquet"
MANIFEST = "manifest.json"
CARD = "README.md"
CONFIGS = ("default", "excluded", "control", "repair", "rollouts")

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
    """Rows of each config of ``CONFIGS``; one without rows is not written, but for an allowed empty ``default``."""
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
    allow_empty: bool = False,
    with_rollouts: bool = False,
    license: str | None = None,
    language: Iterable[str] = (),
) -> Release:
    """Write the band-filtered dataset of a profile, with the exclusions and a control.

    Configs, each with the one split ``train``: ``default`` has the kept problems; ``excluded`` all others, with their
    reasons, the evidence and next steps; ``control`` as many problems as were kept, drawn at random from all that could
    have been; ``repair`` the over-hard ones that nothing else speaks against, with what a rewriting needs;
    ``rollouts``, where it is asked for, every judged rollout. Nothing is sampled: another band is free. Where the
    profile was audited, what can be guessed, passes by shortcuts or has a suspect reference is left out.

    Args:
        profile: The profile's folder; its problems and estimates are read; its rollouts only ``rollouts`` needs.
        to: The release's folder, made where it is missing; an older release there is replaced.
        band: Another band than the profile's, both ends inclusive.
        confidence: Another confidence than the profile's, in (0.5, 1).
        genuine: Apply the band to the genuine pass rate, which an audit estimates, and not to the pass rate.
        allow_empty: Write a release also where nothing was kept. Its ``default`` has columns and no rows, which
            ``datasets`` can stream and cannot load whole; the other configs load as ever.
        with_rollouts: Write the config ``rollouts``, too.
        license: The licence of the problems, as the Hub writes it (``mit``, ``cc-by-4.0``); None takes what the profile
            knows of its source, and claims none where it knows none.
        language: ISO 639 codes of the problems' languages, for the card.

    Returns:
        What was written.

    Raises:
        RecipeError: the band or the confidence is none.
        UsageError: the licence or a language is written as no such code is.
        LedgerError: there is no finished profile there, or its audit is missing where it is needed, or outdated.
        ReleaseError: nothing was kept, the folder holds something that is no release, or rollouts are asked for and not
            on this disk.
    """
    ledger = Ledger(profile)
    manifest = ledger.manifest()
    asked = _band(BandSection.model_validate(manifest["band"]), band, confidence)
    claims = _claims(manifest["problems"].get("license") if license is None else license, language)
    estimates, audit = ledger.estimates(), ledger.audit()
    _refuse_without_audit(ledger, estimates, audit, genuine)
    belief = beliefs.from_frame(ledger.prior())
    estimates = decide.estimate(estimates, asked, belief)
    if genuine and audit is not None:
        estimates = decide.by_genuine_rate(estimates, audit, asked, belief)
    estimates = decide.with_audit(estimates, audit)
    summary = summarise(estimates, manifest["name"], asked, ledger.path)
    if summary.kept == 0 and not allow_empty:
        raise ReleaseError(
            f"no problem was kept out of {summary.problems:,}: {_why_none(summary)}",
            where=str(ledger.path),
            hint="widen the band with --band, draw more rollouts, or write it all the same with --allow-empty",
        )
    configs = _configs(ledger, manifest, estimates, summary)
    target = Path(to)
    _refuse_to_overwrite(target)
    if with_rollouts:
        rollouts.refuse_without(ledger)
    _begin(target, CONFIGS)
    rows = {name: frame.height for name, frame in configs.items() if frame.height or name == "default"}
    for name in rows:
        durable.write(target / name / FILE, lambda file, name=name: tables.write(configs[name], file))  # type: ignore[misc]
    if with_rollouts:
        outcomes = estimates.select("problem_id", "outcome")
        rows["rollouts"] = rollouts.write(ledger, manifest["verifier_fingerprint"], outcomes, target / "rollouts")
    release = Release(target, rows, audit is not None, summary)
    drawing = histogram.draw(*_bins(estimates), asked.low, asked.high)
    durable.write(target / card.HISTOGRAM, lambda file: file.write_text(drawing, encoding="utf-8"))
    _finish(target, {**_record(manifest, release, genuine), **claims})
    return release


def add_rollouts(release: str | Path, profile: str | Path) -> int:
    """Add the config ``rollouts`` to a release, or write it anew, and the card with it.

    Args:
        release: The folder that ``filter`` wrote.
        profile: The profile that it was made from.

    Returns:
        How many rollouts there are.

    Raises:
        ReleaseError: there is no release there, it is of another profile, or the rollouts are not on this disk.
    """
    target, ledger = Path(release), Ledger(profile)
    record, manifest = read(target), ledger.manifest()
    ours = ("protocol_fingerprint", "verifier_fingerprint")
    if any(record.get(key) != manifest[key] for key in ours) or record["profile_updated"] != manifest.get("updated"):
        raise ReleaseError(
            f"the release was made from another profile than {ledger.path}, or from an older state of it",
            where=str(target),
            hint=f"write it anew: curate filter {ledger.path} --to {target} --with-rollouts",
        )
    rollouts.refuse_without(ledger)
    columns = ["problem_id", "outcome"]
    found = [
        pl.read_parquet(target / name / FILE, columns=columns)
        for name in ("default", "excluded")
        if name in record["rows"]
    ]
    _begin(target, ("rollouts",))
    count = rollouts.write(ledger, manifest["verifier_fingerprint"], pl.concat(found), target / "rollouts")
    _finish(target, {**record, "rows": {**record["rows"], "rollouts": count}})
    return count


def read(release: str | Path) -> dict[str, Any]:
    """The manifest of a release.

    Raises:
        ReleaseError: there is none, it cannot be read, or it is that of something else.
    """
    file = Path(release) / MANIFEST
    again = "write one: curate filter DIR --to OUT"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReleaseError("there is no finished release here", where=str(release), hint=again) from error
    except (OSError, ValueError) as error:
        raise ReleaseError(f"unreadable manifest: {error}", where=str(file), hint=again) from error
    needed = ("name", "protocol", "rows", "sha256")
    missing = [key for key in needed if not isinstance(record, dict) or key not in record]
    if missing:
        profile = isinstance(record, dict) and "seed" in record
        what = "of a profile" if profile else f"of something else: it lacks {missing[0]!r}"
        raise ReleaseError(f"this is the manifest {what}", where=str(file), hint=again)
    return dict(record)


def _configs(
    ledger: Ledger, manifest: dict[str, Any], estimates: pl.DataFrame, summary: Summary
) -> dict[str, pl.DataFrame]:
    rows = (
        ledger.problems()
        .drop("set_aside", "set_aside_why", "prompt")
        .join(estimates.rename({"set_aside_why": "note"}), on="problem_id", how="inner")
        .with_columns(main_reason=decide.main_reason())
        .sort("problem_id")
    )
    # Turns are kept where there are any: a problem that is a chat already is prompted with them.
    last = ("metadata", "messages") if rows["messages"].list.len().sum() else ("metadata",)
    return {
        "default": rows.filter(decide.kept()).select(*_PROBLEM, *_ESTIMATES, *_RISK, *last),
        "excluded": rows.filter(~decide.kept()).select(*_PROBLEM, *_ESTIMATES, *_RISK, *_EVIDENCE, *_EXCLUDED, *last),
        "control": _control(rows, summary.kept, manifest["protocol_fingerprint"]).select(
            *_PROBLEM, *_ESTIMATES, *_RISK, *last
        ),
        "repair": repairs(rows.filter(candidates()), ledger, manifest["verifier_fingerprint"]).select(
            *_PROBLEM, *_ESTIMATES, *_RISK, *REPAIR, *last
        ),
    }


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


def _bins(estimates: pl.DataFrame) -> tuple[list[int], list[int]]:
    """Problems with a scored rollout by their pass rate, all and kept."""
    seen = estimates.filter(pl.col("n") > 0).select(
        kept=decide.kept(),
        bin=(pl.col("pass_rate") * histogram.BINS).floor().clip(0, histogram.BINS - 1).cast(pl.Int64),
    )
    return tuple(  # type: ignore[return-value]
        [(frame["bin"] == position).sum() for position in range(histogram.BINS)]
        for frame in (seen, seen.filter(pl.col("kept")))
    )


def _claims(license: str | None, language: Iterable[str]) -> dict[str, Any]:
    """What the publisher says of the problems, refused where the Hub would refuse it."""
    languages = list(language)
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        raise UsageError(
            f"{license!r} is not how the Hub writes a licence", where="--license", hint="mit, cc-by-4.0, ..."
        )
    for one in languages:
        if not re.fullmatch(r"[a-z]{2,3}", one):
            raise UsageError(
                f"{one!r} is no ISO 639 code", where="--language", hint="two or three letters: en, zh, ..."
            )
    return {"license": license, "language": languages}


def _record(manifest: dict[str, Any], release: Release, genuine: bool) -> dict[str, Any]:
    """The release's own manifest, before its files are known."""
    summary = release.summary
    told = {key: publishable(manifest[key]) for key in ("model", "protocol", "recipe")}
    return {
        "name": summary.name,
        "profile_updated": manifest.get("updated"),
        "step": step_of(manifest),
        **told,
        "protocol_fingerprint": manifest["protocol_fingerprint"],
        "verifier_fingerprint": manifest["verifier_fingerprint"],
        "problems": {**publishable(manifest["problems"]), "profiled": summary.problems},
        "band": summary.band.model_dump(),
        "genuine": genuine,
        "audited": release.audited,
        "pilot": manifest["pilot"],
        "kept": summary.kept,
        "rollouts": summary.rollouts,
        "rows": release.rows,
        "outcomes": summary.outcomes,
        "reasons": summary.reasons,
        "main_reasons": summary.main_reasons,
        "next_steps": summary.next_steps,
        "versions": manifest["versions"],
    }


def _begin(target: Path, configs: Iterable[str]) -> None:
    (target / MANIFEST).unlink(missing_ok=True)
    # What a killed writer left half written goes, too.
    for place in (*(target / name for name in configs), *target.glob(f"{durable.TEMPORARY}*")):
        shutil.rmtree(place, ignore_errors=True)


def _finish(target: Path, record: dict[str, Any]) -> None:
    """Write the card, and then the manifest, which makes the folder a release."""
    files = [target / card.HISTOGRAM, *(file for name in record["rows"] for file in sorted((target / name).iterdir()))]
    # The card is not among them: whoever publishes may add to it by hand.
    digests = {file.relative_to(target).as_posix(): digest(file) for file in files}
    record = {**record, "sha256": digests}
    text = card.render(record)
    durable.write(target / CARD, lambda file: file.write_text(text, encoding="utf-8"))
    written = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    durable.write(target / MANIFEST, lambda file: file.write_text(written, encoding="utf-8"))


def digest(file: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _refuse_to_overwrite(target: Path) -> None:
    """A folder is replaced only when it holds an older release, a broken-off one included."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ReleaseError("there is a file of that name", where=str(target), hint="choose another folder with --to")
    ours = {MANIFEST, CARD, card.HISTOGRAM, *CONFIGS}
    strangers = sorted(
        entry.name for entry in target.iterdir() if entry.name not in ours and not entry.name.startswith(".")
    )
    profile = (target / "problems.parquet").exists()
    if strangers:
        what = "a profile" if profile else f"other files ({', '.join(strangers[:3])})"
        raise ReleaseError(f"the folder holds {what}", where=str(target), hint="choose another folder with --to")


def _why_none(summary: Summary) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in summary.reasons.items()) or "there are no problems"
