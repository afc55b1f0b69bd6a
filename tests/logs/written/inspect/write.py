"""Wrote the files here: Inspect (inspect-ai 0.3.285), its mock model answering with fixed texts, two epochs.

Run in an empty folder, once with ``eval`` and once with ``json`` as its argument. One sample meets an error of the
model's server (not in the JSON log, where its traceback takes 200 kB) and one is cut at the token limit.
"""

from __future__ import annotations

import sys

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

SAMPLES = [
    Sample(id="a", input="What is 9+5?", target="14", metadata={"family": "add-1"}),
    Sample(id="b", input="What is 47*6?", target="282", metadata={"family": "mul-2"}),
    Sample(id="c", input="What is 8+6?", target="14", metadata={"family": "add-1"}),
]
LONG = "; ".join(["7*6=42", "4*6+4=28"] * 20)


def answer(messages: list, tools: list, choice: object, config: object) -> ModelOutput:
    question = messages[-1].text
    if "8+6" in question:
        raise RuntimeError("Error code: 503 - the server is overloaded")
    if "47*6" in question:
        output = ModelOutput.from_content("mockllm/model", LONG, stop_reason="max_tokens")
    else:
        output = ModelOutput.from_content("mockllm/model", "9+5=14; the answer is 14")
    output.usage = ModelUsage(input_tokens=12, output_tokens=24, total_tokens=36)
    return output


eval(
    Task(
        dataset=SAMPLES if sys.argv[1] == "eval" else SAMPLES[:2],
        solver=generate(),
        scorer=match(numeric=True),
        name="sums",
    ),
    model=get_model("mockllm/model", custom_outputs=answer, config=GenerateConfig(temperature=1.0, max_tokens=160)),
    epochs=2,
    fail_on_error=False,
    log_dir="logs",
    log_format=sys.argv[1],
    display="none",
)
