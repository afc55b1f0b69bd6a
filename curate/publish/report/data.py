"""Data: everything that a page says of a profile, as plain values.

Owns what is on the page and how much of it: the numbers of every problem, the rollouts that stand for it, and the two
places that other commands fill, ``comparison`` and ``history``. Must not know how a page looks. Nothing here is of the
moment: the same profile gives the same values.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate import beliefs, decide
from curate.ledger import Ledger
from curate.publish.report import bands, examples, figures, texts
from curate.records import Outcome, Reason
from curate.reprofile.drift import Comparison
from curate.statistics.prior import Prior
from curate.viewing import FLAG_MEANING, MEANING, TO_DO, Overview, audited, grouping, overview
from curate.visible import excerpt, visible

BUDGET = 14_000_000
"""Bytes for the page's data; the rest of a page takes a tenth of a megabyte."""

LISTED = {"suspects": 50, "guessable": 8, "shortcuts": 8}
"""Problems in each of the audit's lists; the table below them has all."""


@dataclass(frozen=True)
class Content:
    """What a page says."""

    overview: Overview
    manifest: dict[str, Any]
    payload: dict[str, Any]
    """What the page's script reads: every problem, column by column, and the chunks of their drawers."""
    cuts: texts.Cuts
    rollouts: int
    """Judged rollouts on this disk; 0 where they are elsewhere, and the page shows none."""
    waterfall: list[dict[str, Any]]
    """Each main reason with its count, the problems that are left after it, its meaning and its next step."""
    histogram: list[list[int]]
    intervals: list[dict[str, Any]]
    lengths: dict[str, Any] | None
    groups: dict[str, Any]
    lists: dict[str, dict[str, Any]]
    """``suspects``, ``guessable`` and ``shortcuts``: ``count`` of them and the first as ``rows``."""
    comparison: Comparison | None
    history: Sequence[Mapping[str, Any]] | None


def build(
    profile: str | Path,
    comparison: Comparison | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
) -> Content:
    """Gather everything that a page says of a profile.

    Args:
        profile: The profile's folder. Without its rollouts, or without an audit, what they tell is missing.
        comparison: What moved since another checkpoint. None leaves it out.
        history: The band over time, oldest first: ``date``, ``revision``, ``step`` (or null), ``in_band``,
            ``too_hard``, ``too_easy``, ``undecided``, ``mean_pass_rate``. None leaves it out.

    Raises:
        LedgerError: there is no finished profile there.
    """
    ledger = Ledger(profile)
    view, manifest = overview(profile), ledger.manifest()
    estimates, _ = audited(ledger)
    problems = ledger.problems()
    # One row for each problem, in source order, whatever order the estimates are in.
    table = problems.join(
        estimates.drop("set_aside", "set_aside_why"), on="problem_id", how="inner", maintain_order="left"
    )
    table = table.with_columns(main_reason=decide.main_reason()).with_row_index("row")
    belief = beliefs.from_frame(ledger.prior())
    rollouts = examples.judged_rollouts(ledger, manifest["verifier_fingerprint"])
    told = texts.gather(table, ledger, rollouts, audit=view.audit == "current")
    folder = shlex.quote(str(ledger.path))
    numbers = _numbers(table, view, belief)
    numbers |= {"show": f"curate show {folder}", "filter": f"curate filter {folder} --to OUT --band"}
    payload, cuts = texts.fit(numbers, told, BUDGET)
    return Content(
        overview=view,
        manifest=manifest,
        payload=payload,
        cuts=cuts,
        rollouts=rollouts.height,
        waterfall=_waterfall(view),
        histogram=figures.histogram(table),
        intervals=figures.intervals(table),
        lengths=figures.lengths(rollouts, table),
        groups=figures.groups(table, belief, view.summary.band.group_size),
        lists=_lists(table, ledger, view.audit),
        comparison=comparison,
        history=history,
    )


def _numbers(table: pl.DataFrame, view: Overview, belief: Prior) -> dict[str, Any]:
    """The numbers of every problem, column by column; what depends on counts alone stands once for each pair."""
    band = view.summary.band
    at = bands.edges(band)
    pairs = (
        table.group_by("n", "k")
        .agg(pl.col("pass_rate", "ci_low", "ci_high").first())
        .sort("n", "k")
        .with_row_index("pair")
        .with_columns(bin=(pl.col("pass_rate") * figures.BINS).floor().cast(pl.Int64).clip(0, figures.BINS - 1))
    )
    table = table.join(pairs.select("n", "k", "pair"), on=["n", "k"], how="left", maintain_order="left")
    sides = bands.sides(belief, pairs["n"].to_numpy(), pairs["k"].to_numpy(), at, band.confidence)
    follows = {Reason.TOO_HARD, Reason.TOO_EASY, Reason.UNDECIDED, Reason.ENGINE_ERROR}
    # What a problem's outcome is when the band moves: as the posterior says, or, where nothing was measured, as it was.
    fixed = pl.col("set_aside").is_not_null() | (pl.col("n") == 0) | (pl.col("outcome") == Outcome.UNVERIFIABLE)
    outcomes = {name.value: place for place, name in enumerate(Outcome)}
    numbers = table.select(
        "pair",
        state=pl.when(fixed)
        .then(2 + pl.col("outcome").replace_strict(outcomes, return_dtype=pl.Int64))
        .otherwise((pl.col("n_missing") > 0).cast(pl.Int64)),
        reasons=pl.sum_horizontal(
            pl.when(pl.col("reasons").list.contains(reason.value) & (fixed | pl.lit(reason not in follows)))
            .then(1 << place)
            .otherwise(0)
            for place, reason in enumerate(Reason)
        ),
        tokens=pl.col("mean_tokens").round(0).cast(pl.Int64),
        cut="n_truncated",
        unscored="n_unscored",
        checked="n_checked",
        flagged="n_shortcut",
        genuine=pl.col("genuine_rate").round(3),
        risk=pl.col("risk").round(3),
        luck=pl.col("p_luck").round(3),
        guess=pl.col("guess_rate").round(3),
        wrong=pl.col("p_label_wrong").round(3),
    )
    key, groups = grouping(table)
    names = [] if key is None else sorted(groups["group"].unique().to_list())
    places = {name: place for place, name in enumerate(names)}
    kinds, kind = _coded(table["guess_kind"])
    tests, test = _coded(table["guess_verdict"])
    numbers = numbers.with_columns(kind, test)
    return {
        "edges": at,
        "band": [at.index(band.low), at.index(band.high)],
        "confidence": band.confidence,
        "outcomes": [name.value for name in Outcome],
        "names": [reason.value for reason in Reason],
        "order": [list(Reason).index(reason) for reason in decide.precedence()],
        "steps": [decide.NEXT_STEP[reason].value for reason in Reason],
        "meaning": MEANING,
        "todo": TO_DO,
        "flags": FLAG_MEANING,
        "audited": view.audit == "current",
        "bins": figures.BINS,
        "classes": list(figures.CLASSES),
        "words": figures.NAMES,
        "pairs": {
            "n": pairs["n"].to_list(),
            "k": pairs["k"].to_list(),
            "bin": pairs["bin"].to_list(),
            **{name: pairs[name].round(4).to_list() for name in ("pass_rate", "ci_low", "ci_high")},
            "sides": base64.b64encode(sides.tobytes()).decode(),
        },
        "source": key,
        "sources": [excerpt(name, 60) for name in names],
        "kinds": kinds,
        "tests": tests,
        "problems": {
            # A column without a value is not shipped: a profile without an audit has many.
            **{
                name: column.to_list()
                for name, column in numbers.to_dict().items()
                if column.null_count() < len(column)
            },
            **({} if key is None else {"source": groups["group"].replace_strict(places).to_list()}),
            "id": table["problem_id"].to_list(),
            # An id is needed as it is, for commands and for the list to download; shown, it must hide nothing.
            "shown": {
                str(row): visible(name)
                for row, name in table.select("row", "problem_id").iter_rows()
                if visible(name) != name
            },
        },
    }


def _coded(words: pl.Series) -> tuple[list[str], pl.Series]:
    """The different words, sorted, and each row's position among them."""
    names = sorted(words.drop_nulls().unique().to_list())
    return names, words.replace_strict({name: place for place, name in enumerate(names)}, return_dtype=pl.Int64)


def _waterfall(view: Overview) -> list[dict[str, Any]]:
    left = view.summary.problems
    steps = []
    for reason in Reason:
        count = view.summary.main_reasons.get(reason.value, 0)
        left -= count
        steps.append(
            {
                "reason": reason.value,
                "count": count,
                "left": left,
                "meaning": MEANING[reason],
                "step": decide.NEXT_STEP[reason].value,
                "todo": TO_DO[reason],
            }
        )
    return steps


def _lists(table: pl.DataFrame, ledger: Ledger, audit: str) -> dict[str, dict[str, Any]]:
    """The problems that an audit leads a person to, what speaks loudest first."""
    evidence = ledger.audit() if audit == "current" else None
    if evidence is None:
        return {}
    more = evidence.select("problem_id", "label_note", "competing_answers", "competing_counts")
    table = table.join(more, on="problem_id", how="left", maintain_order="left")

    def listed(name: str, rows: pl.DataFrame, by: str) -> dict[str, Any]:
        first = rows.sort([by, "row"], descending=[True, False], nulls_last=True).head(LISTED[name])
        return {"count": rows.height, "rows": [_row(row) for row in first.iter_rows(named=True)]}

    found = {
        "suspects": (pl.col("label_why").fill_null("") != "", "p_label_wrong"),
        "guessable": (pl.col("reasons").list.contains(Reason.GUESSABLE.value), "p_luck"),
        "shortcuts": (pl.col("reasons").list.contains(Reason.SHORTCUT.value), "risk"),
    }
    return {name: listed(name, table.filter(test), by) for name, (test, by) in found.items()}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A problem in one of the lists: its numbers, and its texts in short."""
    competing = zip(row["competing_answers"] or (), row["competing_counts"] or (), strict=True)
    return row | {
        "question": excerpt(row["question"], 120),
        "reference": excerpt(" | ".join(row["answers"]), 60),
        "competing": [(excerpt(answer, 40), count) for answer, count in list(competing)[:3]],
        "label_note": excerpt(row["label_note"] or "", 120),
    }
