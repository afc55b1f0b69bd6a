"""How long `curate audit` takes on a profile of made-up rollouts of 2,000 characters, and in what memory.

    python tests/benchmarks/audit_profile.py [--rollouts 50000] [--workers 2] [--dense]

The rollouts are those of ``audit_throughput.py``, eight to a problem, on disk in files of 5,000; reading, measuring,
weighing references, guesses and genuine rates, and writing are all in the time. Run by ``make bench``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import polars as pl
from audit_throughput import TARGET, Watch, frames, processor_seconds

from curate import beliefs, decide
from curate.auditing import audit
from curate.layout import ROLLOUTS, VERDICTS
from curate.ledger import Ledger
from curate.recipe import BandSection
from curate.records import Problem

FINGERPRINT = "0123456789abcdef"


def made(folder: Path, rollouts: int, dense: bool = False) -> Ledger:
    """A finished profile of so many rollouts, of which every other one passes, or all that are dense."""
    ledger = Ledger(folder)
    questions = [f"How many of the {number} are left?" for number in range(-(-rollouts // 8))]
    problems = [Problem(f"p{number}", question, ("reference",)) for number, question in enumerate(questions)]
    ledger.write_problems(problems, questions)
    ledger.write_manifest(
        {"name": "made", "verifier_fingerprint": FINGERPRINT, "pilot": 8, "band": BandSection().model_dump()}
    )
    told = {"seed": 0, "prompt_tokens": 1, "completion_tokens": 500, "engine": "made", "created": 0.0}
    judged = {"reward": None, "reason": "", "seconds": 0.0}
    for folder_name in ("rollouts", f"verdicts/{FINGERPRINT}"):
        (folder / folder_name).mkdir(parents=True)
    for number, frame in enumerate(frames(rollouts, 2_000, dense)):
        name = f"{number:06d}.parquet"
        given = frame.with_columns(pl.lit(value).alias(key) for key, value in {**told, **judged}.items())
        given.select(ROLLOUTS.names()).cast(dict(ROLLOUTS)).write_parquet(folder / "rollouts" / name)
        given.select(VERDICTS.names()).cast(dict(VERDICTS)).write_parquet(folder / "verdicts" / FINGERPRINT / name)
    counts = decide.count(ledger, FINGERPRINT, 8)
    belief = beliefs.learn(counts, BandSection())
    ledger.write_prior(beliefs.to_frame(belief))
    ledger.write_estimates(decide.estimate(counts, BandSection(), belief))
    return ledger


def main() -> None:
    """Print what the whole took, and what it would take for a million."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dense", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ledger = made(Path(folder), asked.rollouts, asked.dense)
        watch = Watch()
        measured: list[float] = []
        began, used = time.perf_counter(), processor_seconds()
        found = audit(ledger.path, workers=asked.workers, report=lambda *_: measured.append(time.perf_counter()))
        seconds, used = time.perf_counter() - began, processor_seconds() - used
        most = watch.stop()
        size = sum(file.stat().st_size for file in ledger.path.glob("audit*/*.parquet")) / 2**20
    million = 1e6 / asked.rollouts
    print(f"{found.rollouts:,} rollouts, {found.passes:,} passes, {found.flagged['any']:,} flagged")
    print(f"measuring {measured[-1] - began:.1f} s, weighing and writing {began + seconds - measured[-1]:.1f} s")
    print(
        f"a million: {seconds * million:.0f} s on the wall, {used * million / 2:.0f} s of two cores' time; "
        f"{TARGET:.0f} s wanted"
    )
    print(f"memory at most {most:.0f} MiB with the workers; signals on disk {size:.1f} MiB")


if __name__ == "__main__":
    main()
