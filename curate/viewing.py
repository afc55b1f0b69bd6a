"""Viewing: what a person asks of a profile, as plain values.

Owns the questions, not their printing. Must not write, sample or verify.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate import decide
from curate.errors import UsageError
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.summary import Summary, summarise

BINS = 20
"""Bars of the histogram, each 0.05 wide; the last includes 1."""

MEANING = {
    "in_band": "pass rate inside the band",
    "too_hard": "pass rate below the band",
    "too_easy": "pass rate above the band",
    "undecided": "not enough rollouts to tell the side of the band",
    "truncated": "mostly cut at the length limit",
    "guessable": "its passes may be lucky guesses",
    "shortcut": "most passes skip the work or show false steps",
    "suspect_label": "the reference is probably wrong",
    "unverifiable": "the reference cannot be used, or verdicts are missing",
    "duplicate": "the same question stands earlier in the source",
    "engine_error": "the engine failed on its requests",
}
"""Outcomes and reasons in words."""

FLAG_MEANING = {
    "wrong_step": "a step that it states is false",
    "unsupported": "the answer does not follow from the last step",
    "skipped": "it shows far less work than its like",
    "repetitive": "it repeats itself",
    "unneeded": "its answer comes as well without the reasoning",
    "refuted": "a judge does not find that its reasoning supports it",
}
"""An audit's flags in words."""

TO_DO = {
    "too_hard": "profile again at a later checkpoint",
    "too_easy": "leave it out",
    "undecided": "draw more rollouts, or profile again later",
    "truncated": "allow more tokens and profile again",
    "guessable": "ask for more than an answer that can be guessed",
    "shortcut": "read its passes before it is trained on",
    "suspect_label": "have a person check the reference",
    "unverifiable": "repair the reference, or choose another verifier",
    "duplicate": "leave it out",
    "engine_error": "run the same recipe again",
}
"""The next step that each reason asks for, in words."""

AUDIT_SAID = {
    "current": "the audit speaks against none of them",
    "none": "they were not audited: lucky guesses and shortcuts are still among them",
    "outdated": "the audit is of other rollouts and was not used: lucky guesses and shortcuts are still among them",
}
"""What an audit says of the kept problems, by how it stands to the estimates."""


@dataclass(frozen=True)
class Sureness:
    """How sure the outcomes are, over the problems with a scored rollout."""

    half_width: float | None
    """Half the width of the median 95% credible interval; None without any problem."""
    undecided: int
    outside: float
    """How many of the kept problems are to be expected outside the band: the sum of ``1 - p_in_band`` over them."""


@dataclass(frozen=True)
class Overview:
    """A profile at a glance."""

    summary: Summary
    model: dict[str, str]
    histogram: tuple[int, ...]
    """Problems with a scored rollout by estimated pass rate, in ``BINS`` equal bins from 0 to 1."""
    families: tuple[tuple[str, int, int, float | None], ...]
    """By the first metadata key that names few groups: name, problems, kept, mean pass rate (None: never sampled)."""
    family_key: str | None
    cost: dict[str, float]
    updated: str
    imported: dict[str, Any] | None
    """What an imported profile knows of its log; None for one that was drawn here."""
    audit: str
    """``current``, ``outdated`` (of other rollouts or verdicts than the estimates, and not used), or ``none``."""
    verdict: str
    """The result in a sentence."""
    sureness: Sureness
    risk: dict[str, float]
    """What a lone shortcut stands to gain in a group (``statistics.genuine``), on average over all sampled problems,
    those in the band and the kept ones; without an audit, or where there are none, absent."""
    suspects: tuple[tuple[str, float], ...]
    """Problems whose reference is probably wrong, and the probability; the surest first."""


@dataclass(frozen=True)
class ProblemView:
    """One problem with all that is known of it."""

    problem: dict[str, Any]
    estimate: dict[str, Any]
    """With the audit's evidence, null where none was made."""
    competing: tuple[tuple[str, int], ...]
    """Answers that are not the reference and how often they came, the commonest first; empty without an audit."""
    label_note: str
    """What speaks against the reference by itself; empty where nothing does."""
    rollouts: tuple[dict[str, Any], ...]
    """With their verdicts and what the audit saw in each, passes first; empty where they are not on this disk."""
    texts: bool
    """Whether the rollouts have completions; counts that were imported have none."""


def overview(path: str | Path) -> Overview:
    """The profile at a glance.

    Raises:
        LedgerError: there is no finished profile there.
    """
    ledger = Ledger(path)
    manifest = ledger.manifest()
    estimates, audit = audited(ledger)
    rates = estimates.filter(pl.col("n") > 0)["pass_rate"].to_numpy()
    counts, _ = np.histogram(rates, bins=BINS, range=(0.0, 1.0))
    key, families = _families(ledger.problems(), estimates)
    summary = summarise(estimates, manifest["name"], BandSection.model_validate(manifest["band"]), ledger.path)
    return Overview(
        summary=summary,
        model=manifest["model"],
        histogram=tuple(int(count) for count in counts),
        families=families,
        family_key=key,
        cost=manifest.get("cost", {}),
        updated=manifest.get("updated", manifest["created"]),
        imported=manifest.get("imported"),
        audit=audit,
        verdict=_verdict(summary, audit),
        sureness=_sureness(estimates),
        risk=_risk(estimates),
        suspects=_suspects(estimates),
    )


def _verdict(summary: Summary, audit: str) -> str:
    band = summary.band
    where = f"in the band [{band.low:g}, {band.high:g}]"
    if not summary.kept:
        mainly = ", ".join(f"{count:,} {reason}" for reason, count in list(summary.main_reasons.items())[:3])
        return f"None of the {summary.problems:,} problems is kept {where}: mainly {mainly or 'nothing was profiled'}."
    one = summary.kept == 1
    return (
        f"{summary.kept:,} of {summary.problems:,} problems ({summary.kept / summary.problems:.0%}) "
        f"{'is' if one else 'are'} kept: {'it lies' if one else 'each lies'} {where} with a probability of at least "
        f"{band.confidence:g}; {AUDIT_SAID[audit]}."
    )


def _sureness(estimates: pl.DataFrame) -> Sureness:
    sampled = estimates.filter(pl.col("n") > 0)
    width = sampled.select((pl.col("ci_high") - pl.col("ci_low")).median()).item()
    kept = sampled.filter(decide.kept())
    return Sureness(
        half_width=None if width is None else width / 2,
        undecided=sampled.filter(pl.col("outcome") == "undecided").height,
        outside=float((1.0 - kept["p_in_band"]).sum()),
    )


def _risk(estimates: pl.DataFrame) -> dict[str, float]:
    sampled = estimates.filter(pl.col("n") > 0)
    groups = {
        "sampled": sampled,
        "in_band": sampled.filter(pl.col("outcome") == "in_band"),
        "kept": sampled.filter(decide.kept()),
    }
    means = {name: rows["risk"].mean() for name, rows in groups.items()}
    return {name: mean for name, mean in means.items() if isinstance(mean, float)}


def _suspects(estimates: pl.DataFrame) -> tuple[tuple[str, float], ...]:
    suspected = estimates.filter(pl.col("reasons").list.contains("suspect_label"))
    return tuple(suspected.sort("p_label_wrong", descending=True).select("problem_id", "p_label_wrong").rows())


def problem(path: str | Path, problem_id: str) -> ProblemView:
    """One problem, its estimate and its rollouts.

    Args:
        path: The profile's folder.
        problem_id: Whole, or a beginning that only one problem has.

    Raises:
        LedgerError: there is no profile there.
        UsageError: no problem, or several, of that id.
    """
    ledger = Ledger(path)
    manifest = ledger.manifest()
    problems = ledger.problems()
    found = problems.filter(pl.col("problem_id") == problem_id)
    if found.is_empty():
        found = problems.filter(pl.col("problem_id").str.starts_with(problem_id))
    if found.height != 1:
        raise UsageError(
            f"{found.height or 'no'} problems have an id that begins with {problem_id!r}",
            where=str(ledger.path),
            hint=_meant(problem_id, found["problem_id"].to_list(), problems["problem_id"].to_list()),
        )
    name = found["problem_id"][0]
    estimates, audit = audited(ledger)
    verdicts = ledger.verdicts(manifest["verifier_fingerprint"]).filter(pl.col("problem_id") == name)
    rollouts = ledger.scan_rollouts().filter(pl.col("problem_id") == name).collect()
    order = pl.col("verdict").replace_strict({"pass": 0, "fail": 1, "unscored": 2}, default=3)
    shown = rollouts.join(verdicts, on=["problem_id", "index"], how="left").sort(order, "index")
    competing: tuple[tuple[str, int], ...] = ()
    note = ""
    evidence, signals = ledger.audit(), ledger.audited_rollouts()
    if audit == "current" and evidence is not None:
        row = evidence.filter(pl.col("problem_id") == name).row(0, named=True)
        competing = tuple(zip(row["competing_answers"] or (), row["competing_counts"] or (), strict=True))
        note = row["label_note"] or ""
        if signals is not None:
            seen = signals.filter(pl.col("problem_id") == name).drop("verdict", "finish_reason").collect()
            shown = shown.join(seen, on=["problem_id", "index"], how="left", maintain_order="left")
    return ProblemView(
        problem=found.row(0, named=True),
        estimate=estimates.filter(pl.col("problem_id") == name).row(0, named=True),
        competing=competing,
        label_note=note,
        rollouts=tuple(shown.drop("problem_id").iter_rows(named=True)),
        texts=ledger.has_texts(),
    )


def _meant(asked: str, begun: list[str], known: list[str]) -> str:
    """Which problems may be meant: the first of those that begin so, else the nearest."""
    if begun:
        return f"name one of them: {', '.join(begun[:5])}{', ...' if len(begun) > 5 else ''}"
    close = get_close_matches(asked, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else "the ids are in problems.parquet"


def audited(ledger: Ledger) -> tuple[pl.DataFrame, str]:
    """The estimates with the audit's evidence, null where none was made, and how the audit stands to them.

    Returns:
        The frame that ``decide.with_audit`` makes, and ``current``, ``outdated`` or ``none``.
    """
    estimates, audit = ledger.estimates(), ledger.audit()
    if audit is None:
        return decide.with_audit(estimates, None), "none"
    if decide.outdated(estimates, audit):
        return decide.with_audit(estimates, None), "outdated"
    return decide.with_audit(estimates, audit), "current"


def grouping(problems: pl.DataFrame, by: str | None = None) -> tuple[str | None, pl.DataFrame]:
    """The metadata key that problems are grouped by, and the group of each.

    Args:
        problems: ``Ledger.problems()``.
        by: The key; None takes the first usual one that names few groups and is there for every problem.

    Returns:
        The key, None where there is none; and ``problem_id``, ``group`` (null where a problem lacks it).

    Raises:
        UsageError: no problem has the key asked for; names those there are.
    """
    for key in (by,) if by is not None else ("family", "subject", "topic", "level", "source", "data_source"):
        named = problems.select("problem_id", pl.col("metadata").str.json_path_match(f"$.{key}").alias("group"))
        groups, missing = named["group"].n_unique(), named["group"].null_count()
        if by is None and missing == 0 and 1 < groups <= 40:
            return key, named
        if by is not None and missing < named.height:
            return key, named
    if by is not None:
        known = sorted({key for text in problems["metadata"].head(1000) for key in json.loads(text)})
        raise UsageError(
            f"no problem has {by!r} in its metadata",
            where="--by",
            hint=f"there are: {', '.join(known)}" if known else "the problems have no metadata",
        )
    return None, problems.select("problem_id", pl.lit(None, dtype=pl.String).alias("group"))


def _families(
    problems: pl.DataFrame, estimates: pl.DataFrame
) -> tuple[str | None, tuple[tuple[str, int, int, float | None], ...]]:
    key, named = grouping(problems)
    if key is None:
        return None, ()
    scored = pl.when(pl.col("n") > 0).then(pl.col("pass_rate"))
    grouped = (
        estimates.join(named, on="problem_id")
        .group_by("group")
        .agg(problems=pl.len(), kept=decide.kept().sum(), rate=scored.mean())
        .sort(["rate", "group"], descending=[True, False], nulls_last=True)
    )
    return key, tuple(grouped.rows())
