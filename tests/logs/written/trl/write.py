"""Wrote the files here: TRL 1.16.0 (transformers 5.24.0, torch 2.13.0), two steps of GRPO on the demo's tiny model.

Run in an empty folder with a copy of ``curate/demo/model`` as ``tiny``; ``out/completions`` holds what is kept here.
"""

from __future__ import annotations

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

PROBLEMS = [("What is 9+5?", "14"), ("What is 47*6?", "282")]


def accuracy(completions: list, solution: list[str], **_columns: object) -> list[float | None]:
    texts = [completion[0]["content"] for completion in completions]
    return [
        None if "boxed" not in text else float(f"boxed{{{answer}}}" in text)
        for text, answer in zip(texts, solution, strict=True)
    ]


def short(completions: list, **_columns: object) -> list[float]:
    return [1.0 if len(completion[0]["content"]) < 80 else 0.0 for completion in completions]


rows = [{"prompt": [{"role": "user", "content": question}], "solution": answer} for question, answer in PROBLEMS]
GRPOTrainer(
    model="tiny",
    reward_funcs=[accuracy, short],
    train_dataset=Dataset.from_list(rows),
    args=GRPOConfig(
        output_dir="out",
        max_steps=2,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=160,
        learning_rate=1e-3,
        logging_steps=1,
        log_completions=True,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        seed=1,
    ),
).train()
