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

``passing_rollout``: a completion that passed and is not flagged, the shortest; null where there is none. ``near_miss``:
a failing one with the fewest false steps and, of those, the most true ones, with its answer and its first false step
(null without an audit). ``rewrites``: the kinds of rewriting that fit.
"""

_ELSEWHERE = (
    *(Reason.GUESSABLE, Reason.SHORTCUT, Reason.SUSPECT_LABEL, Reason.UNVERIFIABLE, Reason.DUPLICATE),
    *(Reason.TRUNCATED, Reason.ENGINE_ERROR),
)
"""Reasons that ask for something else first."""

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
    """A passing rollout and a near miss of each problem, and how many steps they state."""
    key = ["problem_id", "index"]
    seen = ledger.audited_rollouts()
    columns = {"shortcut": pl.Boolean, "steps_stated": pl.Int32, "steps_false": pl.Int32, "first_false": pl.String}
    signals = pl.LazyFrame(schema={"problem_id": pl.String, "index": pl.Int32, **columns})
    if seen is not None:
        signals = seen.select(*key, *columns)
    rollouts = (
        ledger.scan_rollouts()
        .filter(pl.col("problem_id").is_in(names.implode()))
        .select(*key, "completion", "finish_reason", "completion_tokens")
        .collect()
        .join(ledger.verdicts(fingerprint, [*key, "verdict", "answer"]), on=key)
        .join(signals.filter(pl.col("problem_id").is_in(names.implode())).collect(), on=key, how="left")
        .with_columns(pl.col("steps_stated", "steps_false").fill_null(0), pl.col("shortcut").fill_null(False))
    )
    passing = (
        rollouts.filter((pl.col("verdict") == "pass") & ~pl.col("shortcut"))
        .sort("problem_id", "completion_tokens", "index")
        .unique("problem_id", keep="first", maintain_order=True)
        .select("problem_id", passing_rollout="completion", passing_steps="steps_stated")
    )
    near = (
        rollouts.filter((pl.col("verdict") == "fail") & (pl.col("finish_reason") != "length"))
        .with_columns(true_steps=pl.col("steps_stated") - pl.col("steps_false"))
        .sort("problem_id", pl.col("answer").is_null(), "steps_false", pl.col("true_steps").neg(), "index")
        .unique("problem_id", keep="first", maintain_order=True)
        .select(
            "problem_id",
            near_miss="completion",
            near_miss_answer="answer",
            near_miss_first_false="first_false",
            near_steps="true_steps",
        )
    )
    both = passing.join(near, on="problem_id", how="full", coalesce=True)
    return both.with_columns(steps=pl.coalesce("passing_steps", "near_steps")).drop("passing_steps", "near_steps")


def _fitting(question: str, answers: list[str], passed: bool, steps: int) -> list[str]:
    fits = {
        "backward": bool(_NUMBER.search(question)) and len(answers) == 1,
        "hint": passed or steps >= 1,
        "decomposition": steps >= 2,
    }
    return [kind for kind, fit in fits.items() if fit]
