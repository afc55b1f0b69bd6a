"""Auditing more rollouts than are held in memory: how much of it that takes, and that nothing is lost on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from builders import FINGERPRINT, manifest, problem

from curate import beliefs, decide, parts, spool
from curate.layout import ROLLOUTS, VERDICTS
from curate.ledger import Ledger
from curate.recipe import BandSection

PROBLEMS = 50
FILE = 5_000

PEAK = """
import re, sys
from curate.auditing import audit
found = audit(sys.argv[1], workers=1)
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
print(found.rollouts, found.passes, int(peak[1]) // 1024)
"""
"""The kernel's count for this program alone: ``ru_maxrss`` begins with what the test's own process took."""


def profile_of(folder: Path, rollouts: int) -> Ledger:
    """A finished profile whose problems are drawn in turns, so that every file has rollouts of all of them.

    Each was judged a failure, in files of another order than the rollouts'; every fourth one passes by a later verdict.
    """
    made = Ledger(folder)
    problems = [problem(f"p{number:02d}", question=f"What is f({number})?") for number in range(PROBLEMS)]
    made.write_problems(problems, [one.question for one in problems])
    made.write_manifest(manifest())
    number = pl.int_range(rollouts, eager=True).alias("number").to_frame()
    frame = number.select(
        problem_id=pl.format("p{}", (pl.col("number") % PROBLEMS).cast(pl.String).str.zfill(2)),
        index=(pl.col("number") // PROBLEMS).cast(pl.Int32),
        completion=pl.format("So {}+1={}", "number", pl.col("number") + 1),
        finish_reason=pl.lit("stop"),
        verdict=pl.lit("fail"),
        answer=pl.format("{}", pl.col("number") + 1),
        reason=pl.lit(""),
    )
    late = frame.filter(pl.col("index") % 4 == 0).with_columns(verdict=pl.lit("pass"))
    for folder_name, rows, schema, turn in (
        ("rollouts", frame, ROLLOUTS, 1),
        (f"verdicts/{FINGERPRINT}", frame, VERDICTS, -1),
        (f"verdicts/{FINGERPRINT}", late, VERDICTS, 1),
    ):
        (folder / folder_name).mkdir(parents=True, exist_ok=True)
        begun = len(list((folder / folder_name).iterdir()))
        for place, part in enumerate(list(rows.iter_slices(FILE))[::turn]):
            missing = [pl.lit(None).alias(name) for name in schema if name not in part.columns]
            file = folder / folder_name / f"{begun + place:06d}.parquet"
            part.with_columns(missing).select(schema.names()).cast(dict(schema)).write_parquet(file)
    counts = decide.count(made, FINGERPRINT, 8)
    belief = beliefs.learn(counts, BandSection())
    made.write_prior(beliefs.to_frame(belief))
    made.write_estimates(decide.estimate(counts, BandSection(), belief))
    return made


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_memory_grows_with_the_problems_and_not_with_the_rollouts(tmp_path: Path) -> None:
    few, many = 30_000, 120_000
    assert few < spool.ROWS < parts.TOGETHER < many
    peaks = {}
    for count in (few, many):
        made = profile_of(tmp_path / str(count), count)
        said = subprocess.run(
            [sys.executable, "-c", PEAK, str(made.path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},  # each thread keeps memory of its own, more or less of it
        ).stdout
        rollouts, passes, peaks[count] = map(int, said.split())
        assert (rollouts, passes) == (count, count // 4)
    # Held altogether, 90,000 rollouts more would take some 65 MiB; of them 33,000 are held, and the verdicts of 66,000.
    assert peaks[many] - peaks[few] < 40, peaks

    signals = made.audited_rollouts()
    assert signals is not None
    frame = signals.collect()
    each = many // PROBLEMS
    # In the order of the problems, each of them whole, and each rollout with its own completion's signals.
    assert frame["problem_id"].to_list() == [f"p{number:02d}" for number in range(PROBLEMS) for _ in range(each)]
    assert frame["index"].to_list() == list(range(each)) * PROBLEMS
    number = pl.col("index") * PROBLEMS + pl.col("problem_id").str.slice(1).cast(pl.Int32)
    length = 3 + number.cast(pl.String).str.len_chars() + 3 + (number + 1).cast(pl.String).str.len_chars()
    assert frame.select((pl.col("characters") == length).all()).item()
    assert frame.select(((pl.col("verdict") == "pass") == (pl.col("index") % 4 == 0)).all()).item()
    evidence = made.audit()
    assert evidence is not None
    assert evidence.select("n_audited", "n_passes").unique().rows() == [(each, each // 4)]
    # Another answer each time: no majority, and all that competes was said once.
    assert evidence["competing_counts"].to_list() == [[1] * 5] * PROBLEMS
