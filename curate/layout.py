"""The layout: which columns each file of a profile has.

Owns the schemas and nothing else. Must not import anything of ours: the ledger reads and writes by them.
"""

from __future__ import annotations

import polars as pl

ROLLOUTS = pl.Schema(
    {
        "problem_id": pl.String,
        "index": pl.Int32,
        "seed": pl.Int64,
        "completion": pl.String,
        "finish_reason": pl.String,
        "prompt_tokens": pl.Int32,
        "completion_tokens": pl.Int32,
        "engine": pl.String,
        "created": pl.Float64,
    }
)
VERDICTS = pl.Schema(
    {
        "problem_id": pl.String,
        "index": pl.Int32,
        "verdict": pl.String,
        "reward": pl.Float64,
        "answer": pl.String,
        "reason": pl.String,
        "seconds": pl.Float64,
    }
)
COMPARISONS = pl.Schema(
    [("answers", pl.List(pl.String)), ("answer", pl.String), ("reward", pl.Float64), ("reason", pl.String)]
)
ERRORS = pl.Schema(
    {
        "problem_id": pl.String,
        "first_index": pl.Int32,
        "n": pl.Int32,
        "error": pl.String,
        "created": pl.Float64,
    }
)
PRIOR = pl.Schema([("theta", pl.Float64), ("weight", pl.Float64), ("problems", pl.Int64)])
"""The lower end of each cell in theta, its mass, and how many problems taught it.

One class of problems after another, each beginning at theta 0; a profile that was not begun ``--like`` others has one.
"""
EARLIER = pl.Schema(
    [
        ("problem_id", pl.String),
        ("prior_class", pl.Int64),
        ("pilot", pl.Int64),
        ("n", pl.List(pl.Int64)),
        ("k", pl.List(pl.Int64)),
    ]
)
"""What earlier profiles knew of a problem: its class, how many first rollouts it gets, and its counts in each."""
PROBLEMS = pl.Schema(
    [
        ("problem_id", pl.String),
        ("question", pl.String),
        ("answer", pl.String),
        ("answers", pl.List(pl.String)),
        ("prompt", pl.String),
        ("set_aside", pl.String),
        ("set_aside_why", pl.String),
        ("metadata", pl.String),
        ("messages", pl.List(pl.Struct({"role": pl.String, "content": pl.String}))),
    ]
)
HISTORY = pl.Schema(
    [
        ("date", pl.String),
        ("name", pl.String),
        ("model", pl.String),
        ("revision", pl.String),
        ("step", pl.Int64),
        ("protocol", pl.String),
        ("verifier", pl.String),
        ("low", pl.Float64),
        ("high", pl.Float64),
        ("confidence", pl.Float64),
        ("problems", pl.Int64),
        ("rollouts", pl.Int64),
        ("scored", pl.Int64),
        ("passes", pl.Int64),
        ("kept", pl.Int64),
        ("in_band", pl.Int64),
        ("too_hard", pl.Int64),
        ("too_easy", pl.Int64),
        ("undecided", pl.Int64),
        ("unverifiable", pl.Int64),
        ("mean_pass_rate", pl.Float64),
    ]
)
"""A profile each time that it was summed up and stood elsewhere: when (UTC, ISO 8601), of which checkpoint, under which
protocol and verifier (fingerprints) and band, and how many problems had which outcome."""
