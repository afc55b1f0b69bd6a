"""What the audit's signals say of chains whose reasoning people have judged: precision and recall of each.

    python tests/benchmarks/audit_labels.py [--markdown]

Reads ``labels/`` of the third-party data: AutoRace's human labels on GSM8K, MR-GSM8K and BIG-Bench Mistake. First comes
what the audit asks: among the chains whose final answer is right, does a flag find those whose reasoning is not? These
are few, so a second table takes the chains whatever their answer. A chain stands alone here, its problem's only
rollout, so work is compared with the collection's typical solution and lengths with nothing. No threshold was chosen on
these labels. Then come real rollouts that passed, whose reasoning nobody has judged: how many are flagged at all. Not a
test: it prints, and asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from curate.audit.bulk import INPUTS, audit_rollouts
from curate.audit.relative import relative
from curate.verifiers import extract

DEFAULT_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

TEXT_FLAGS = ("repetitive", "restated", "bare", "skipped", "answer_first", "several_answers", "garbled")
STEP_FLAGS = ("false step", "does not follow")


class Chain(NamedTuple):
    """A chain of reasoning with what people say of it."""

    collection: str
    text: str
    right: bool
    """Whether its final answer is the reference."""
    sound: bool
    """Whether its reasoning is."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--markdown", action="store_true")
    asked = arguments.parse_args()
    data = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", DEFAULT_DATA))
    folder = data / "labels"
    chains = [*autorace(folder), *mr_gsm8k(folder), *bigbench(folder)]
    names = list(dict.fromkeys(chain.collection for chain in chains))
    judged = pl.concat(flagged([chain for chain in chains if chain.collection == name]) for name in names)
    for asking, part in (("right answers", judged.filter(pl.col("right"))), ("chains", judged)):
        print(f"\n{asking}")
        for name in names:
            print("   ", described(name, part.filter(pl.col("collection") == name)))
        print("   ", described("all", part), end="\n\n")
        report(part, markdown=asked.markdown)
    print("\nhow well a measure ranks AutoRace's unsound chains above its sound ones, 0.5 being chance:", end=" ")
    ranked = judged.filter(pl.col("collection") == names[0])
    print(
        ", ".join(f"{measure} {area(ranked, measure):.2f}" for measure in ("characters", "repetition", "work_tokens"))
    )
    for name, frame in (("Qwen2.5-Math on MATH", qwen(data)), ("four models on GSM8K", four_models(data))):
        passed = relative(pl.concat(audit_rollouts([frame], workers=1))).filter(pl.col("verdict") == "pass")
        flags = passed.select(pl.col(*TEXT_FLAGS, "short", "long").sum()).row(0, named=True)
        print(
            f"\n{name}: {passed.height} passes, of them", ", ".join(f"{flag} {count}" for flag, count in flags.items())
        )


def area(frame: pl.DataFrame, measure: str) -> float:
    """The area under the ROC curve of a measure for unsound reasoning, ties counted half."""
    ranks = frame.select(pl.col(measure).rank("average"), ~pl.col("sound"))
    unsound, sound = ranks["sound"].sum(), (~ranks["sound"]).sum()
    return float((ranks.filter("sound")[measure].sum() - unsound * (unsound + 1) / 2) / (unsound * sound))


def qwen(data: Path) -> pl.DataFrame:
    """Eight completions of each of 100 problems."""
    return rollouts(
        (str(row["idx"]), number, completion, passed)
        for row in lines(data / "rollouts" / "qwen25math_math100x8.jsonl")
        for number, (completion, passed) in enumerate(zip(row["code"], row["score"], strict=True))
    )


def four_models(data: Path) -> pl.DataFrame:
    """One completion of each of four models for each problem."""
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    return rollouts(
        (str(place), number, row[model]["solution"], row[model]["is_correct"])
        for place, row in enumerate(lines(data / "rollouts" / "openai_gsm8k_4models.jsonl"))
        for number, model in enumerate(models)
    )


def rollouts(rows: Iterable[tuple[str, int, str, bool]]) -> pl.DataFrame:
    """Problem, index, completion and whether it passed, as the audit reads them."""
    table = [
        (problem, index, text, extract.answer(text), "pass" if passed else "fail", "stop")
        for problem, index, text, passed in rows
    ]
    return pl.DataFrame(table, schema=INPUTS, orient="row")


def flagged(chains: list[Chain]) -> pl.DataFrame:
    """The flags of one collection's chains, each the only rollout of its problem."""
    # Steps are checked of passes only: all pass here, and what is known of their answers is put beside the flags.
    frame = rollouts((str(number), 0, chain.text, True) for number, chain in enumerate(chains))
    return relative(pl.concat(audit_rollouts([frame], workers=1))).with_columns(
        pl.Series("collection", [chain.collection for chain in chains]),
        pl.Series("right", [chain.right for chain in chains]),
        pl.Series("sound", [chain.sound for chain in chains]),
        (pl.col("steps_false") > 0).fill_null(False).alias("false step"),
        (~pl.col("answer_follows")).fill_null(False).alias("does not follow"),
    )


def described(name: str, part: pl.DataFrame) -> str:
    """How many chains a collection has, and how long they are."""
    unsound = part.filter(~pl.col("sound"))
    sound = part.filter(pl.col("sound"))
    lengths = [f"{group['characters'].median():.0f}" if group.height else "-" for group in (sound, unsound)]
    return (
        f"{name}: {part.height}, {unsound.height} of them unsound; median length {lengths[0]} sound, {lengths[1]} not"
    )


def report(part: pl.DataFrame, *, markdown: bool) -> None:
    """Print what each flag finds."""
    unsound = part.filter(~pl.col("sound"))
    flags = {flag: pl.col(flag) for flag in (*TEXT_FLAGS, *STEP_FLAGS)}
    flags["any text flag"] = pl.any_horizontal(TEXT_FLAGS)
    flags["any flag"] = pl.any_horizontal(*TEXT_FLAGS, *STEP_FLAGS)
    form = "| {} | {} | {} | {} | {} |" if markdown else "{:18} {:>8} {:>8} {:>10} {:>8}"
    print(form.format("flag", "flagged", "unsound", "precision", "recall"))
    if markdown:
        print("| --- " * 5 + "|")
    for flag, rule in flags.items():
        raised = part.filter(rule).height
        hits = unsound.filter(rule).height
        precision = f"{hits / raised:.2f}" if raised else "–"
        print(form.format(flag, raised, hits, precision, f"{hits / unsound.height:.2f}"))


def autorace(folder: Path) -> Iterator[Chain]:
    """Human labels on the reasoning of 200 chains."""
    for row in lines(folder / "autorace_gsm8k_200.jsonl"):
        right = number(extract.answer(row["reasoning_chain"])) == number(row["answer"])
        yield Chain("AutoRace, GSM8K", row["reasoning_chain"], right, row["human_label"])


def mr_gsm8k(folder: Path) -> Iterator[Chain]:
    """Solutions labelled for answer and reasoning apart."""
    for row in lines(folder / "mr_gsm8k_subset.jsonl"):
        right = row["model_output_answer_correctness"] == "correct"
        sound = row["model_output_solution_correctness"] == "correct"
        yield Chain("MR-GSM8K", "\n".join(row["model_output_steps"]), right, sound)


def bigbench(folder: Path) -> Iterator[Chain]:
    """Chains of arithmetic with the first mistake's place."""
    for row in lines(folder / "bigbench_mistake_multistep_arithmetic.jsonl"):
        right = row["answer"] == row["target"]
        yield Chain("BIG-Bench Mistake", "\n".join(row["steps"]), right, row["mistake_index"] is None)


def lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def number(answer: str | None) -> float | None:
    """A plain number's value, or None."""
    try:
        return float((answer or "").replace(",", "").strip(" $.%"))
    except ValueError:
        return None


if __name__ == "__main__":
    main()
