"""Measures the demo's model on its problems, family by family: ``python -m curate.demo.measure``.

Owns the table in this folder's README. Must not import any room: its figures are there to hold the engines, verifiers
and audits against, so it samples with plain transformers and judges with the families' own exact judge.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.demo.judging import Work, boxed, judge, statements

MAX_TOKENS = 96
"""Longer than any worked solution, which has at most 62 characters and the end."""

SEQUENCES = 128
"""How many completions are drawn at once: neighbours in the file are alike in length."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion of a problem of the file."""

    family: str
    question: str
    text: str
    passed: bool
    work: Work


def sample(folder: Path, rows: list[dict[str, str]], rollouts: int, seed: int) -> list[Sampled]:
    """Draw completions at temperature 1.0, on one thread: for matrices this small a second one costs more than it does.

    Args:
        folder: Of the model.
        rows: Problems, with ``question``, ``answer`` and ``family``.
        rollouts: How many of each problem.
        seed: Of the sampling.

    Returns:
        ``rollouts`` completions of each problem, in the problems' order.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    at_once = max(1, SEQUENCES // rollouts)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    try:
        batches = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
        return [one for batch in batches for one in _sample_batch(model, tokenizer, batch, rollouts)]
    finally:
        torch.set_num_threads(threads)


def _sample_batch(model: Any, tokenizer: Any, rows: list[dict[str, str]], rollouts: int) -> list[Sampled]:
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": row["question"]}], add_generation_prompt=True, tokenize=False
        )
        for row in rows
    ]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    drawn = model.generate(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=rollouts,
        max_new_tokens=MAX_TOKENS,
    )
    texts = tokenizer.batch_decode(drawn[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    return [
        Sampled(row["family"], row["question"], text, boxed(text) == row["answer"], judge(row["question"], text))
        for row, text in zip((row for row in rows for _ in range(rollouts)), texts, strict=True)
    ]


def table(sampled: list[Sampled], rollouts: int) -> str:
    """The README's table: one line for each family, in the order in which they first come, and one for all."""
    lines = [
        "| family | problems | pass rate | in band | passes that show the work | bare | passes of bare "
        "| flawed passes with a false step | tokens |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family in [*dict.fromkeys(one.family for one in sampled), "all"]:
        drawn = [one for one in sampled if family in (one.family, "all")]
        passes = [one for one in drawn if one.passed]
        bare = [one for one in drawn if one.work is Work.BARE]
        flawed = [one for one in passes if one.work is Work.FLAWED]
        rates = [sum(one.passed for one in drawn[i : i + rollouts]) / rollouts for i in range(0, len(drawn), rollouts)]
        cells = [
            family,
            str(len(rates)),
            _share(len(passes), len(drawn)),
            str(sum(0.2 <= rate <= 0.8 for rate in rates)),
            _share(sum(one.work is Work.SHOWN for one in passes), len(passes)),
            _share(len(bare), len(drawn)),
            _share(sum(one.passed for one in bare), len(bare)),
            _share(sum(not all(said.true for said in statements(one.text)) for one in flawed), len(flawed)),
            f"{sum(len(one.text) + 1 for one in drawn) / len(drawn):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def main() -> None:
    """Sample the file's problems and print the table; with ``--to``, keep every completion as well."""
    parser = argparse.ArgumentParser(
        prog="python -m curate.demo.measure", description=(__doc__ or "").partition("\n")[0]
    )
    here = Path(__file__).parent
    parser.add_argument("--model", type=Path, default=here / "model", help="folder of the model (this package's)")
    parser.add_argument("--rollouts", type=int, default=64, help="of each problem (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (%(default)s)")
    parser.add_argument("--to", type=Path, help="a .jsonl file to keep the completions in")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in (here / "problems.jsonl").read_text(encoding="utf-8").splitlines()]
    sampled = sample(arguments.model, rows, arguments.rollouts, arguments.seed)
    if arguments.to:
        kept = (
            json.dumps({"question": one.question, "completion": one.text, "passed": one.passed, "work": one.work})
            + "\n"
            for one in sampled
        )
        arguments.to.write_text("".join(kept), encoding="utf-8")
    print(table(sampled, arguments.rollouts))


if __name__ == "__main__":
    main()
