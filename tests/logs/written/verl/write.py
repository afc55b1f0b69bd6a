"""Wrote the files here: verl 0.9.1's ``RayPPOTrainer._write_generations``, taken out of its file and called by itself.

The trainer needs GPUs; the function that writes its dumps needs nothing. Its argument is the path of verl's
``trainer/ppo/ray_trainer.py`` (``pip download --no-deps verl==0.9.1``). Prompts are as a tokenizer decodes them without
special tokens.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path
from typing import Any

tree = ast.parse(Path(sys.argv[1]).read_text())
found = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_write_generations")
found.decorator_list = []
space: dict[str, Any] = {"os": os, "json": json}
exec(compile(ast.Module([found], []), sys.argv[1], "exec"), space)

PROMPTS = ["user\nWhat is 9+5?\nassistant\n"] * 2 + ["user\nWhat is 47*6?\nassistant\n"] * 2
REFERENCES = ["14", "14", "282", "282"]
for step, answers in ((10, ["14", "15", "28", "282"]), (20, ["14", "14", "282", "282"])):
    right = [answer == reference for answer, reference in zip(answers, REFERENCES, strict=True)]
    outputs = [f"so \\boxed{{{answer}}}" for answer in answers]
    # A format penalty of 0.5 is part of the score, as reward functions have it; acc is what DAPO's adds.
    scores = [float(one) - 0.5 * (step == 10) for one in right]
    space["_write_generations"](PROMPTS, outputs, REFERENCES, scores, {"acc": right}, ".", step)
