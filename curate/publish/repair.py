"""The repair list: problems that are over-hard and otherwise sound, with what it takes to write easier variants.

Owns who is on the list and which kinds of rewriting fit. Must not rewrite: no model is asked here. Rollouts are read
for these problems only, and where they are not on this disk the list stands without them.

An over-hard problem is no bad one: it lies above what the model can do, and waits. What can be done meanwhile is to ask
for less of it, by the ways that the field uses:

- ``backward``: give the answer and ask for a quantity of the question instead (MetaMath, arXiv 2309.12284). Offered
  where the question states a number and the reference is one;
- ``hint``: give the beginning of a solution and ask for the rest (reverse curricula, arXiv 2402.05808). Offered where a
  rollout passed, or a near miss states a true step: up to its first false one it may do for a hint;
- ``decomposition``: ask for its steps one by one, the easier ones first (arXiv 2205.10625). Offered where two of them
  are known.
"""

from __future__ import annotations

import re

import polars as pl

from curate.audit import steps
from curate.ledger import Ledger
from curate.records import Reason

REPAIR = pl.Schema(
    [
        ("passing_rollout", pl.String),
        ("near_miss", pl.String),
        ("near_miss_answer", pl.String),
        ("near_miss_first_false", pl.String),
        ("rewrites", pl.List(pl.String)),
    ]
)
"""What the list adds to a problem and its estimates.

``passing_rollout``: a completion that passed and that no audit flags, the shortest; null where there is none.
``near_miss``: of the first ``LOOKED_AT`` failing ones that gave an answer, the one with the fewest false steps and, of
those, the most true ones; with its answer and its first false step (null where all are true, or none was found).
``rewrites``: the kinds of rewriting that fit.
"""

LOOKED_AT = 32
"""Failing rollouts of a problem whose steps are checked at most, those with an answer first: about 10 ms of a release
for each problem on the list. Where there are more, a nearer miss among the others is not found."""

_ELSEWHERE = (
    *(Reason.GUESSABLE, Reason.SHORTCUT, Reason.SUSPECT_LABEL, Reason.UNVERIFIABLE, Reason.DUPLICATE),
    *(Reason.TRUNCATED, Reason.ENGINE_ERROR),
)
"""Reasons that ask for something else first."""

_KEY = ["problem_id", "index"]
_NUMBER = re.compile(r"\d")


def candidates() -> pl.Expr:
    """Whether a row of the estimates is on the list: over-hard, and nothing else speaks against it."""
    return pl.col("reasons").list.contains(Reason.TOO_HARD.value) & (
        pl.col("reasons").list.set_intersection(pl.lit(_ELSEWHERE, dtype=pl.List(pl.String))).list.len() == 0
    )


def repairs(rows: pl.DataFrame, ledger: Ledger, fingerprint: str) -> pl.DataFrame:
    """Add to the candidates what a rewriting needs.

    Args:
        rows: Problems with their estimates, those of ``candidates`` only.
        ledger: Their profile.
        fingerprint: The verifier whose verdicts count.

    Returns:
        The rows, in their order, with the columns of ``REPAIR``.
    """
    shown = _shown(ledger, fingerprint, rows["problem_id"])
    joined = rows.join(shown, on="problem_id", how="left", maintain_order="left")
    fits = [
        _fitting(question, answers, passing is not None, steps or 0)
        for question, answers, passing, steps in joined.select(
            "question", "answers", "passing_rollout", "steps"
        ).iter_rows()
    ]
    return joined.drop("steps").with_columns(rewrites=pl.Series(fits, dtype=pl.List(pl.String)))


def _shown(ledger: Ledger, fingerprint: str, names: pl.Series) -> pl.DataFrame:
    """A passing rollout and a near miss of each problem, and how many steps are known to be true."""
    ours = pl.col("problem_id").is_in(names.implode())
    rollouts = (
        ledger.scan_rollouts()
        .filter(ours & (pl.col("completion") != ""))
        .select(*_KEY, "completion", "finish_reason", "completion_tokens")
        .collect()
        .join(ledger.verdicts(fingerprint, [*_KEY, "verdict", "answer"]), on=_KEY)
    )
    passing = _passing(rollouts, ledger.audited_rollouts())
    near = _near(rollouts.filter((pl.col("verdict") == "fail") & (pl.col("finish_reason") != "length")))
    both = passing.join(near, on="problem_id", how="full", coalesce=True)
    return both.with_columns(steps=pl.coalesce("passing_steps", "near_steps")).drop("passing_steps", "near_steps")


def _passing(rollouts: pl.DataFrame, audited: pl.LazyFrame | None) -> pl.DataFrame:
    passes = rollouts.filter(pl.col("verdict") == "pass")
    if audited is not None:
        flagged = audited.filter(pl.col("shortcut")).select(_KEY).collect()
        passes = passes.join(flagged, on=_KEY, how="anti")
    shortest = passes.sort("problem_id", "completion_tokens", "index").unique(
        "problem_id", keep="first", maintain_order=True
    )
    found = [steps.check(*row).stated for row in shortest.select("completion", "answer").iter_rows()]
    return shortest.select("problem_id", passing_rollout="completion").with_columns(
        passing_steps=pl.Series(found, dtype=pl.Int64)
    )


def _near(failing: pl.DataFrame) -> pl.DataFrame:
    looked = (
        failing.sort("problem_id", pl.col("answer").is_null(), "index")
        .group_by("problem_id", maintain_order=True)
        .head(LOOKED_AT)
    )
    checks = [steps.check(*row) for row in looked.select("completion", "answer").iter_rows()]
    return (
        looked.with_columns(
            false=pl.Series([one.false for one in checks], dtype=pl.Int64),
            near_steps=pl.Series([one.stated - one.false for one in checks], dtype=pl.Int64),
            near_miss_first_false=pl.Series([one.first_false for one in checks], dtype=pl.String),
        )
        .sort("problem_id", pl.col("answer").is_null(), "false", pl.col("near_steps").neg(), "index")
        .unique("problem_id", keep="first", maintain_order=True)
        .select(
            "problem_id",
            "near_miss_first_false",
            "near_steps",
            near_miss="completion",
            near_miss_answer="answer",
        )
    )


def _fitting(question: str, answers: list[str], passed: bool, steps: int) -> list[str]:
    fits = {
        "backward": bool(_NUMBER.search(question)) and len(answers) == 1,
        "hint": passed or steps >= 1,
        "decomposition": steps >= 2,
    }
    return [kind for kind, fit in fits.items() if fit]
