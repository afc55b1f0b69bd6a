"""What `curate audit` finds in the demo, where it is known exactly which passes are real. Run by ``make bench``.

The embedded model is profiled on its own problems, and the profile is audited. The judge is ``curate.demo.judging``,
which the audit does not use. Guessable are the families that ask for what is out of the model's reach and has few
answers. ``parity-table`` has two answers and steps within the model's reach, so it is told apart: a problem whose
rollouts take every right step, and then answer like a coin, is no genuine one.

    python tests/benchmarks/audit_demo.py [--profile DIR]     # a finished profile of recipes/demo.yaml, or make one
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.auditing import audit
from curate.demo.families import read
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
    table: tuple[int, int]
    """In-band problems of ``parity-table`` flagged ``guessable``."""
    table_flagged: tuple[int, int]
    """Of those, rollouts that take every right step: how many have the right answer."""
    table_other: tuple[int, int]
    """The same of those that are not flagged."""
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
    twins = table.filter(in_band & (pl.col("family") == "parity-table"))
    worked = _worked(ledger, twins)
    return Found(
        guessable=_counted(table.filter(guess), guessable),
        genuine=_counted(table.filter(in_band & column), pl.col("reasons").list.len() > 0),
        table=_counted(twins, guessable),
        table_flagged=_counted(worked.filter(guessable), pl.col("verdict") == "pass"),
        table_other=_counted(worked.filter(~guessable), pl.col("verdict") == "pass"),
        wrong_steps=_counted(passes.filter("false"), pl.col("wrong_step")),
        flawed=_counted(passes.filter(~shown), pl.col("shortcut")),
        shown=_counted(passes.filter(shown), pl.col("shortcut")),
    )


def _worked(ledger: Ledger, problems: pl.DataFrame) -> pl.DataFrame:
    """The rollouts, passing or not, that take every step the question asks for."""
    rollouts = ledger.rollouts(["problem_id", "index", "completion"]).join(problems, on="problem_id")
    verdicts = ledger.verdicts(ledger.manifest()["verifier_fingerprint"], ["problem_id", "index", "verdict"])
    shows = [
        all(step in completion for step in read(question).steps)
        for question, completion in rollouts.select("question", "completion").iter_rows()
    ]
    return rollouts.filter(pl.Series(shows, dtype=pl.Boolean)).join(verdicts, on=["problem_id", "index"])


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
        "table": "in-band problems of parity-table flagged guessable",
        "table_flagged": "  of those flagged, rollouts with every right step that answer right (a coin: 50%)",
        "table_other": "  of the others",
        "wrong_steps": "passes with a false statement flagged wrong_step, at least 95%",
        "flawed": "flawed or bare passes flagged",
        "shown": "passes that show the work flagged, at most 2%",
    }
    for name, what in wanted.items():
        flagged, of = getattr(found, name)
        print(f"{what}: {flagged} of {of}" + (f" ({flagged / of:.1%})" if of else ""))


if __name__ == "__main__":
    main()
