"""Wrote old/: verifiers 0.1.14. Run in a folder with server.py, which must be running, and KEY set to anything."""

from __future__ import annotations

from pathlib import Path

import verifiers as vf
from datasets import Dataset
from verifiers.types import ClientConfig

PROBLEMS = [("What is 9+5?", "14"), ("What is 47*6?", "282"), ("What is 8+6?", "14")]


def right(completion, answer, **_):
    return float(f"boxed{{{answer}}}" in completion[-1]["content"])


def short(completion, **_):
    return float(len(completion[-1]["content"]) < 80)


vf.SingleTurnEnv(
    eval_dataset=Dataset.from_list([{"question": question, "answer": answer} for question, answer in PROBLEMS]),
    rubric=vf.Rubric(funcs=[right, short], weights=[1.0, 0.0]),
    env_id="sums",
).evaluate_sync(
    ClientConfig(api_key_var="KEY", api_base_url="http://127.0.0.1:8765/v1"),
    model="tiny",
    sampling_args={"temperature": 1.0, "max_tokens": 160},
    rollouts_per_example=2,
    results_path=Path("old"),
    save_results=True,
)
