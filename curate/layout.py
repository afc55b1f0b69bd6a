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
