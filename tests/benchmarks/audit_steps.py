"""What the audit's step check finds: on the demo, on real completions, on labelled chains; and what it costs.

    python tests/benchmarks/audit_steps.py [--rollouts 8]

The demo's completions are drawn by its model, ``--rollouts`` of each problem, and judged by its exact judge. The rest
reads ``rollouts/``, ``problems/`` and ``labels/`` of the third-party data, and is left out where that is absent. A flag
is a false step, or an answer that does not follow from the last one. Not a test: it prints, and asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import demo
from curate.audit.steps import StepCheck, check
from curate.demo.judging import Work, boxed, judge, statements
from curate.demo.measure import sample
from curate.verifiers import extract

DEFAULT_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("CURATE_THIRD_PARTY_DATA", DEFAULT_DATA))
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


@dataclass(frozen=True, slots=True)
class Labelled:
    text: str
    answer: str | None
    good: bool


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rollouts", type=int, default=8, help="of each problem of the demo; 0 leaves it out")
    asked = arguments.parse_args()
    if asked.rollouts:
        on_the_demo(asked.rollouts)
    if not DATA.is_dir():
        return
    real = {
        "qwen25math_math100x8": list(qwen()),
        "openai_gsm8k_4models": list(gsm8k()),
        "references": list(references()),
    }
    print("\n| completions | right | all | speaks of | a false step | does not follow | false of the stated |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in real.items():
        for right in (True, False):
            said = [check(row.text, row.answer) for row in rows if row.good is right]
            if not said:
                continue
            cells = [
                share(bool(one.stated) for one in said),
                share(bool(one.false) for one in said),
                share(one.follows is False for one in said),
                f"{sum(one.false for one in said) / sum(one.stated for one in said):.4f}",
            ]
            print(f"| {name} | {'yes' if right else 'no'} | {len(said)} | {' | '.join(cells)} |")
    print("\n| labelled chains | all | bad | flagged | of them bad | precision | recall |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in labelled().items():
        flagged = [row for row in rows if is_flagged(check(row.text, row.answer))]
        bad = sum(not row.good for row in rows)
        found = sum(not row.good for row in flagged)
        rates = [f"{found / n:.3f}" if n else "-" for n in (len(flagged), bad)]
        print(f"| {name} | {len(rows)} | {bad} | {len(flagged)} | {found} | {' | '.join(rates)} |")
    print()
    for name, rows in real.items():
        began = time.process_time()
        for row in rows:
            check(row.text, row.answer)
        seconds, characters = time.process_time() - began, sum(len(row.text) for row in rows)
        stated = sum(check(row.text, row.answer).stated for row in rows)
        print(
            f"{name}: {seconds / len(rows) * 1e6:.0f} µs a completion, {seconds / characters * 2e9:.0f} µs for 2,000 "
            f"characters, in which {stated / characters * 2000:.1f} steps are stated"
        )


def on_the_demo(rollouts: int) -> None:
    """How many passes whose steps are wrong are found, and how many that show the work or none are flagged."""
    folder = Path(demo.__file__).parent
    rows = [json.loads(line) for line in (folder / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    passes = [one for one in sample(folder / "model", rows, rollouts, seed=0) if one.passed]
    false_step = [one for one in passes if not all(said.true for said in statements(one.text))]
    flawed = [one for one in passes if judge(one.question, one.text) is Work.FLAWED]
    sound = [one for one in passes if judge(one.question, one.text) is not Work.FLAWED]
    print("| passes on the demo | all | flagged |")
    print("| --- | --- | --- |")
    for name, some in (("with a false step", false_step), ("flawed in any way", flawed), ("sound or bare", sound)):
        print(f"| {name} | {len(some)} | {share(is_flagged(check(one.text, boxed(one.text))) for one in some)} |")


def is_flagged(said: StepCheck) -> bool:
    return said.false > 0 or said.follows is False


def share(flags: Iterable[bool]) -> str:
    given = list(flags)
    return f"{sum(given) / len(given):.4f}" if given else "-"


def rows_of(name: str) -> Iterator[dict[str, Any]]:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def qwen() -> Iterator[Labelled]:
    for row in rows_of("rollouts/qwen25math_math100x8.jsonl"):
        for text, answer, right in zip(row["code"], row["pred"], row["score"], strict=True):
            yield Labelled(text, answer, bool(right))


def gsm8k() -> Iterator[Labelled]:
    for row in rows_of("rollouts/openai_gsm8k_4models.jsonl"):
        for model in MODELS:
            text = row[model]["solution"]
            yield Labelled(text, extract.answer(text), row[model]["is_correct"])


def references() -> Iterator[Labelled]:
    """The worked references of GSM8K and MATH-500, which are right but for a few."""
    for name in ("gsm8k_train", "gsm8k_test"):
        for row in rows_of(f"problems/{name}.jsonl"):
            text, _, answer = row["answer"].rpartition("####")
            yield Labelled(text, answer.strip(), True)
    for row in rows_of("problems/math500.jsonl"):
        yield Labelled(row["solution"], row["answer"], True)


def labelled() -> dict[str, list[Labelled]]:
    """Chains with a label on their reasoning, each with the answer that it ends with."""
    chains: dict[str, list[Labelled]] = {}
    for row in rows_of("labels/autorace_gsm8k_200.jsonl"):
        text = row["reasoning_chain"]
        chains.setdefault("autorace_gsm8k_200", []).append(Labelled(text, extract.answer(text), row["human_label"]))
    for row in rows_of("labels/mr_gsm8k_subset.jsonl"):
        text = "\n".join(row["model_output_steps"])
        one = Labelled(text, extract.answer(text), row["model_output_solution_correctness"] == "correct")
        chains.setdefault("mr_gsm8k_subset", []).append(one)
        if row["model_output_answer_correctness"] == "correct":
            chains.setdefault("mr_gsm8k_subset, right answer", []).append(one)
    for row in rows_of("labels/bigbench_mistake_multistep_arithmetic.jsonl"):
        one = Labelled("\n".join(row["steps"]), row["answer"], row["mistake_index"] is None)
        chains.setdefault("bigbench_mistake_multistep_arithmetic", []).append(one)
    return chains


if __name__ == "__main__":
    main()
