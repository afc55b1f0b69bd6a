"""Changes: what is different when another verifier judges the same rollouts.

Owns the comparison of two sets of verdicts: rollout by rollout, problem by problem, and a few examples to read. Must
not judge, nor decide which verdicts count. Of all rollouts no more than identifiers and verdicts are held in memory;
texts are read for the examples only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate import beliefs, decide
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import Problem, Reason, VerdictKind
from curate.summary import tally

EXAMPLES = 10
"""Rollouts shown."""

TAIL = 200
"""Characters shown of the end of a completion."""

_KEY = ["problem_id", "index"]
_KIND = pl.Enum([kind.value for kind in VerdictKind])
_UNSCORED = pl.lit(VerdictKind.UNSCORED.value, dtype=_KIND)


@dataclass(frozen=True)
class Standing:
    """Where a profile stands by the verdicts of one verifier."""

    fingerprint: str
    verdicts: pl.DataFrame
    """``problem_id``, ``index``, ``verdict``."""
    estimates: pl.DataFrame
    """As ``decide.estimate`` gives them."""
    unscored: pl.DataFrame
    """``problem_id``, ``index``, ``answer``, ``reason`` of the unscored, which a later verdict may have replaced."""
    faults: Mapping[str, str]
    """Problems whose references the verifier cannot use, and why: their rollouts are not judged."""


@dataclass(frozen=True)
class Flip:
    """A problem whose outcome is another."""

    problem_id: str
    before: str
    after: str
    scored_before: int
    scored_after: int
    passes_before: int
    passes_after: int
    pass_rate_before: float | None
    """The estimate; None without a scored rollout."""
    pass_rate_after: float | None


@dataclass(frozen=True)
class Said:
    """What a verifier said of one rollout."""

    verdict: str
    answer: str | None
    reason: str


@dataclass(frozen=True)
class Example:
    """A rollout whose verdict is another."""

    problem_id: str
    index: int
    references: tuple[str, ...]
    before: Said
    after: Said
    tail: str
    """The end of the completion."""


@dataclass(frozen=True)
class Changes:
    """What is different under the second of two verifiers."""

    rollouts: int
    changed: int
    """Rollouts whose verdict is another."""
    verdicts: dict[str, dict[str, int]]
    """Rollouts by verdict before, then by verdict after. Not judged counts as unscored."""
    outcomes_before: dict[str, int]
    outcomes_after: dict[str, int]
    kept_before: int
    kept_after: int
    flips: tuple[Flip, ...]
    """In source order."""
    examples: tuple[Example, ...]
    """At most ``EXAMPLES``: each kind of change in turn, and each problem once before any comes twice."""


def standing(
    ledger: Ledger, fingerprint: str, pilot: int, band: BandSection, problems: Sequence[Problem] | None = None
) -> Standing:
    """Where a profile stands by the verdicts of one verifier, with a prior learned from just these.

    Args:
        ledger: The profile.
        fingerprint: The verifier's.
        pilot: How many first rollouts make the pilot.
        band: The band to decide by.
        problems: All problems in source order, set aside as this verifier does; None: as the profile has them.
    """
    counts = decide.count(ledger, fingerprint, pilot)
    if problems is not None:
        counts = counts.with_columns(
            pl.Series("set_aside", [problem.set_aside for problem in problems], dtype=pl.String),
            pl.Series("set_aside_why", [problem.set_aside_why for problem in problems], dtype=pl.String),
        )
    unscored = ledger.scan_verdicts(fingerprint).filter(pl.col("verdict") == VerdictKind.UNSCORED.value)
    return Standing(
        fingerprint,
        ledger.verdicts(fingerprint, [*_KEY, "verdict"]).with_columns(pl.col("verdict").cast(_KIND)),
        decide.estimate(counts, band, beliefs.learn(counts, band, ledger.earlier())),
        unscored.select(*_KEY, "answer", "reason").collect(),
        dict(
            counts.filter(pl.col("set_aside") == Reason.UNVERIFIABLE).select("problem_id", "set_aside_why").iter_rows()
        ),
    )


def compare(ledger: Ledger, before: Standing, after: Standing) -> Changes:
    """What is different under the second of two verifiers."""
    rollouts = ledger.rollouts(_KEY)
    for side, name in ((before, "before"), (after, "after")):
        said = side.verdicts.rename({"verdict": name})
        rollouts = rollouts.join(said, on=_KEY, how="left").with_columns(pl.col(name).fill_null(_UNSCORED))
    changed = rollouts.filter(pl.col("before") != pl.col("after"))
    return Changes(
        rollouts=rollouts.height,
        changed=changed.height,
        verdicts=_table(rollouts),
        outcomes_before=tally(before.estimates["outcome"]),
        outcomes_after=tally(after.estimates["outcome"]),
        kept_before=before.estimates.filter(decide.kept()).height,
        kept_after=after.estimates.filter(decide.kept()).height,
        flips=_flips(before.estimates, after.estimates),
        examples=_examples(ledger, changed, before, after),
    )


def _table(rollouts: pl.DataFrame) -> dict[str, dict[str, int]]:
    found = {(row[0], row[1]): row[2] for row in rollouts.group_by("before", "after").len().iter_rows()}
    return {old.value: {new.value: found.get((old.value, new.value), 0) for new in VerdictKind} for old in VerdictKind}


def _flips(before: pl.DataFrame, after: pl.DataFrame) -> tuple[Flip, ...]:
    rate = pl.when(pl.col("n") > 0).then(pl.col("pass_rate"))
    wanted = ["problem_id", "outcome", "n", "k", rate.alias("rate")]
    both = before.select(wanted).join(after.select(wanted), on="problem_id", maintain_order="left", suffix="_after")
    return tuple(
        Flip(
            problem_id=row["problem_id"],
            before=row["outcome"],
            after=row["outcome_after"],
            scored_before=row["n"],
            scored_after=row["n_after"],
            passes_before=row["k"],
            passes_after=row["k_after"],
            pass_rate_before=row["rate"],
            pass_rate_after=row["rate_after"],
        )
        for row in both.filter(pl.col("outcome") != pl.col("outcome_after")).iter_rows(named=True)
    )


def _examples(ledger: Ledger, changed: pl.DataFrame, before: Standing, after: Standing) -> tuple[Example, ...]:
    chosen = (
        changed.with_columns(turn=pl.int_range(pl.len()).over("before", "after", "problem_id"))
        .sort("turn", maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("before", "after"))
        .sort("turn", "before", "after", maintain_order=True)
        .head(EXAMPLES)
    )
    names = chosen["problem_id"].unique().to_list()
    ours = pl.col("problem_id").is_in(names)
    problems = dict(ledger.problems().filter(ours).select("problem_id", "answers").iter_rows())
    drawn = ledger.scan_rollouts().filter(ours).select(*_KEY, tail=pl.col("completion").str.tail(TAIL)).collect()
    shown = chosen.join(drawn, on=_KEY, how="left", maintain_order="left")
    sides = [_details(ledger, side, shown) for side in (before, after)]
    return tuple(
        Example(
            problem_id=row["problem_id"],
            index=row["index"],
            references=tuple(problems[row["problem_id"]]),
            before=_said(row, row["before"], before, sides[0]),
            after=_said(row, row["after"], after, sides[1]),
            tail=row["tail"],
        )
        for row in shown.iter_rows(named=True)
    )


def _details(
    ledger: Ledger, side: Standing, shown: pl.DataFrame
) -> dict[tuple[str, int, bool], tuple[str | None, str]]:
    """Answer and reason of the rollouts shown, by problem, index, and whether they were scored."""
    ours = pl.col("problem_id").is_in(shown["problem_id"].unique().to_list())
    scored = ledger.scan_verdicts(side.fingerprint).filter(ours, pl.col("verdict") != VerdictKind.UNSCORED.value)
    found = [(scored.select(*_KEY, "answer", "reason").collect(), True), (side.unscored.filter(ours), False)]
    return {
        (problem_id, index, whether): (answer, reason)
        for frame, whether in found
        for problem_id, index, answer, reason in frame.iter_rows()
    }


def _said(
    row: dict[str, Any], verdict: str, side: Standing, details: dict[tuple[str, int, bool], tuple[str | None, str]]
) -> Said:
    key = row["problem_id"], row["index"], verdict != VerdictKind.UNSCORED
    answer, reason = details.get(key, (None, side.faults.get(row["problem_id"], "not judged")))
    return Said(verdict, answer, reason)
