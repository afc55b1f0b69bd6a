"""What `curate audit` finds in the demo, where it is known exactly which passes are real. Run by ``make bench``.

The embedded model is profiled on its own problems, and the profile is audited. The judge is ``curate.demo.judging``,
which the audit does not use. Guessable are the families that ask for what is out of the model's reach and has few
answers; ``parity-table`` has two answers and is within its reach: it counts neither as guessable nor, in the second
figure, as genuine.

    python tests/benchmarks/audit_demo.py [--profile DIR]     # a finished profile of recipes/demo.yaml, or make one
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.auditing import audit
from curate.demo.judging import Work, judge, statements
from curate.ledger import Ledger
from curate.profiling import profile
from curate.recipe import load

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "demo.yaml"
GUESSABLE = ("larger", "parity-product", "last-digit-sum")


@dataclass(frozen=True)
class Found:
    """What the audit flagged, as counts of (flagged, all)."""

    guessable: tuple[int, int]
    """Problems of the guessable families flagged ``guessable``."""
    genuine: tuple[int, int]
    """In-band additions and multiplications with any of the audit's reasons."""
    genuine_guessable: tuple[int, int]
    """In-band problems of every other family, ``parity-table`` included, flagged ``guessable``."""
    wrong_steps: tuple[int, int]
    """Passes with a statement that is false as arithmetic, flagged ``wrong_step``."""
    flawed: tuple[int, int]
    """Passes that the judge calls flawed or bare, flagged as shortcuts."""
    shown: tuple[int, int]
    """Passes that show all of the work, flagged as shortcuts: false alarms."""


def measure(folder: Path) -> Found:
    """Audit a profile of demo problems and compare with what is known of them."""
    audit(folder)
    ledger = Ledger(folder)
    family = pl.col("metadata").str.json_path_match("$.family")
    problems = ledger.problems().select("problem_id", "question", family=family)
    reasons, seen = ledger.audit(), ledger.audited_rollouts()
    assert reasons is not None
    assert seen is not None
    table = problems.join(reasons.select("problem_id", "reasons"), on="problem_id").join(
        ledger.estimates().select("problem_id", "outcome"), on="problem_id"
    )
    guessable = pl.col("reasons").list.contains("guessable")
    in_band, guess = pl.col("outcome") == "in_band", pl.col("family").is_in(GUESSABLE)
    column = pl.col("family").str.contains("^(add|mul)")
    passes = (
        seen.filter(pl.col("verdict") == "pass")
        .collect()
        .join(ledger.rollouts(["problem_id", "index", "completion"]), on=["problem_id", "index"])
        .join(problems, on="problem_id")
    )
    work = [judge(*row) for row in passes.select("question", "completion").iter_rows()]
    false = [any(not said.true for said in statements(text)) for text in passes["completion"]]
    passes = passes.with_columns(pl.Series("work", work, dtype=pl.String), pl.Series("false", false, dtype=pl.Boolean))
    shown = pl.col("work") == Work.SHOWN
    return Found(
        guessable=_counted(table.filter(guess), guessable),
        genuine=_counted(table.filter(in_band & column), pl.col("reasons").list.len() > 0),
        genuine_guessable=_counted(table.filter(in_band & ~guess), guessable),
        wrong_steps=_counted(passes.filter("false"), pl.col("wrong_step")),
        flawed=_counted(passes.filter(~shown), pl.col("shortcut")),
        shown=_counted(passes.filter(shown), pl.col("shortcut")),
    )


def _counted(frame: pl.DataFrame, test: pl.Expr) -> tuple[int, int]:
    return int(frame.select(test.sum()).item()), frame.height


def main() -> None:
    """Print each figure with what is asked of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.profile or Path(temporary) / "profile"
        if asked.profile is None:
            profile(load(RECIPE), into=folder)
        found = measure(folder)
    wanted = {
        "guessable": "guessable problems flagged guessable, at least 95%",
        "genuine": "in-band additions and multiplications with any reason, at most 3%",
        "genuine_guessable": "the same with parity-table, flagged guessable",
        "wrong_steps": "passes with a false statement flagged wrong_step, at least 95%",
        "flawed": "flawed or bare passes flagged",
        "shown": "passes that show the work flagged, at most 2%",
    }
    for name, what in wanted.items():
        flagged, of = getattr(found, name)
        print(f"{what}: {flagged} of {of}" + (f" ({flagged / of:.1%})" if of else ""))


if __name__ == "__main__":
    main()
