"""How well the queue of suspect references finds real ones known to be wrong among GSM8K's. Run by ``make bench``.

The references are real, the rollouts are simulated from the right answer: each problem gets a pass rate between 0.3 and
0.95, and wrong answers that are a problem's own: most scatter, on one problem in ten they agree on one trap,
and half of the wrong references are among them. References
that are called wrong or truncated are to be found; those of the other kinds (right after all, disputed, ambiguous,
another format) are controls, simulated from the right answer where one is known and from the reference where none is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curate.audit.references import suspects, tally

DATA = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", Path(__file__).parents[3] / "shared" / "data"))
WRONG = {"wrong", "truncated-gold"}
SEEDS = 5
TOP = 0.02


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file of the third-party data."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def problems() -> list[dict[str, str]]:
    """GSM8K's problems, those with a label replaced by it: id, reference, right answer and kind."""
    labels = read("labels/label_errors_half.jsonl")
    labelled = {(row["dataset"], row["index"]): row for row in labels}
    rows = [row for row in labels if row["dataset"] not in ("gsm8k-train", "gsm8k-test")]
    found = [_row(f"{row['dataset']}-{row['index']}", row["gold"], row["right_answer"], row["kind"]) for row in rows]
    for split in ("train", "test"):
        for index, row in enumerate(read(f"problems/gsm8k_{split}.jsonl")):
            reference = row["answer"].rpartition("####")[2].strip()
            label = labelled.get((f"gsm8k-{split}", index), {"right_answer": None, "kind": "unlabelled"})
            found.append(_row(f"gsm8k-{split}-{index}", reference, label["right_answer"], label["kind"]))
    return found


def _row(problem_id: str, reference: str, right: str | None, kind: str) -> dict[str, str]:
    return {"problem_id": problem_id, "reference": reference, "right": right or reference, "kind": kind}


def simulate(rows: list[dict[str, str]], rng: np.random.Generator, n: int) -> pl.DataFrame:
    """Verdicts of n rollouts of every problem, by a model that solves 0.3 to 0.95 of each."""
    drawn = [answer for row in rows for answer in _answers(row, rng, n)]
    return pl.DataFrame(
        drawn, schema={"problem_id": pl.String, "verdict": pl.String, "answer": pl.String}, orient="row"
    )


def _answers(row: dict[str, str], rng: np.random.Generator, n: int) -> Iterator[tuple[str, str, str | None]]:
    rate = rng.uniform(0.3, 0.95)
    # Of the wrong answers a share is the trap's, whatever else there is scatters over a pool of the problem's own.
    trap = rng.uniform(0.4, 0.9) if rng.random() < 0.1 else rng.uniform(0.0, 0.4)
    pool = [f"{row['right']}+{step}" for step in range(1, 2 + int(rng.integers(3, 40)))]
    if row["right"] != row["reference"] and rng.random() < 0.5:
        # Whoever wrote the wrong reference made a mistake that the model makes too.
        pool[int(len(pool) * rng.random() ** 2)] = row["reference"]
    for _ in range(n):
        if rng.random() < rate:
            answer: str | None = row["right"]
        elif rng.random() < 0.1:
            answer = None
        elif rng.random() < trap:
            answer = pool[0]
        else:
            answer = pool[int(len(pool) * rng.random() ** 2)]
        yield row["problem_id"], "pass" if answer == row["reference"] else "fail", answer


def measure(n: int, seed: int) -> dict[str, Any]:
    """One run: where the labelled references stand in the queue."""
    rows = problems()
    frame = pl.DataFrame(rows)
    verdicts = simulate(rows, np.random.default_rng(seed), n)
    references = frame.select("problem_id", answers=pl.concat_list("reference"))
    queue = suspects(tally(verdicts, references)).with_row_index("place").join(frame, on="problem_id")
    top = round(TOP * len(rows))
    wrong = queue.filter(pl.col("kind").is_in(WRONG))
    controls = queue.filter(~pl.col("kind").is_in([*WRONG, "unlabelled"]))
    right = queue.filter(pl.col("kind") == "unlabelled")
    return {
        "wrong": wrong.height,
        "found": wrong.filter(pl.col("place") < top).height,
        "flagged": wrong.filter(pl.col("p_label_wrong") >= 0.5).height,
        "last": int(wrong["place"].max() or 0),  # type: ignore[arg-type]
        "top": top,
        "controls": controls.height,
        "controls_top": {str(kind): count for kind, count in _counted(controls.filter(pl.col("place") < top))},
        "controls_flagged": {
            str(kind): count for kind, count in _counted(controls.filter(pl.col("p_label_wrong") >= 0.5))
        },
        "others_flagged": right.filter(pl.col("p_label_wrong") >= 0.5).height,
        "others": right.height,
    }


def _counted(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.group_by("kind").len().sort("kind").rows()


def main() -> None:
    """Print one line for each number of rollouts and seed."""
    if not DATA.is_dir():
        print(f"third-party data is not at {DATA}; name its folder in CURATE_THIRD_PARTY_DATA")
        return
    for n in (8, 16, 32, 64):
        for seed in range(SEEDS):
            found = measure(n, seed)
            print(
                f"n = {n:2d}, seed {seed}: {found['found']} of {found['wrong']} wrong references in the first "
                f"{found['top']} of the queue (the last at {found['last']}), {found['flagged']} flagged; of "
                f"{found['controls']} controls in the first {TOP:.0%}: {found['controls_top']}, flagged: "
                f"{found['controls_flagged']}; flagged of the {found['others']} others: {found['others_flagged']}"
            )


if __name__ == "__main__":
    main()
