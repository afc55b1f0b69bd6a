"""Trains the demo's model from scratch, and writes it with its problems: ``python -m curate.demo.train``.

Owns the model's architecture, tokenizer, chat template and training data. Must not import any room. torch and
transformers load on use.

Seeded, and on one thread: the order in which floating-point sums are taken must not depend on how many cores there are.
The same versions on the same kind of processor give the same bytes; others give the same pass rates up to the luck of
training.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from curate.demo.families import SMALL, Exercise, draw, problem_set
from curate.demo.muon import Muon

MIXTURE: dict[str, tuple[float, float]] = {
    "add-1": (0.7, 0.02),
    "add-2": (1.0, 0.05),
    "add-3": (1.0, 0.05),
    "add-4": (0.7, 0.05),
    "add-5": (0.1, 0.05),
    "mul-1": (0.8, 0.02),
    "mul-2": (1.0, 0.05),
    "mul-3": (1.0, 0.05),
    "mul-4": (0.7, 0.05),
    "mul-5": (0.1, 0.05),
    "parity-table": (0.6, 0.15),
    "parity-product": (0.5, 0.25),
    "larger": (0.5, 0.25),
    "last-digit-sum": (0.5, 0.25),
}
"""Family -> its weight in training, and the share of its examples that are answered bare.

The weights grade the families: five digits are seen rarely, and hardly learnt.
"""

PAD, BOS, EOS, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
ROLES = ("<system>", "<user>", "<assistant>")
CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
"""Renders the beginning of the sequence itself; the tokenizer adds none of its own."""

CONTEXT = 1024
BATCH = 32
WARM_UP = 50
ADAM_LR = 0.003
IGNORED = -100


def build_tokenizer() -> Any:
    """Make the tokenizer: one token for each printable ASCII character and the newline, ``<unk>`` for any other."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate((PAD, BOS, EOS, UNKNOWN, *ROLES, *CHARACTERS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.add_special_tokens([PAD, BOS, EOS, UNKNOWN, *ROLES])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: Any, seed: int) -> Any:
    """Make an untrained Llama of 3 layers, 96 wide, with 0.34 million parameters in float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


class Examples:
    """An endless, seeded stream of batches ``(input ids, labels)``.

    Only the answer and the end of the sequence are learnt, not the question. Problems of the demo's file are left out,
    but for those of the small families.
    """

    def __init__(self, tokenizer: Any, seed: int) -> None:
        self._tokenizer = tokenizer
        self._rng = Random(seed)
        self._held_out = {exercise.question for exercise in problem_set() if exercise.family not in SMALL}
        self._weights = [weight for weight, _ in MIXTURE.values()]
        self._queue: list[list[Exercise]] = []

    def batch(self) -> tuple[Any, Any]:
        """Draw the next batch, padded on the right."""
        import torch

        if not self._queue:
            # Alike in length, so that little is padding; by the length with steps, so that bare answers stay spread.
            drawn = sorted((self._exercise() for _ in range(16 * BATCH)), key=lambda e: len(e.question + e.worked))
            self._queue = [drawn[start : start + BATCH] for start in range(0, len(drawn), BATCH)]
            self._rng.shuffle(self._queue)
        pairs = [self._encode(exercise) for exercise in self._queue.pop()]
        width = max(len(prompt) + len(answer) for prompt, answer in pairs)
        ids = torch.full((BATCH, width), self._tokenizer.pad_token_id)
        labels = torch.full((BATCH, width), IGNORED)
        for row, (prompt, answer) in enumerate(pairs):
            end = len(prompt) + len(answer)
            ids[row, :end] = torch.tensor(prompt + answer)
            labels[row, len(prompt) : end] = torch.tensor(answer)
        return ids, labels

    def _exercise(self) -> Exercise:
        [family] = self._rng.choices(list(MIXTURE), self._weights)
        while (exercise := draw(family, self._rng)).question in self._held_out:
            pass
        return exercise

    def _encode(self, exercise: Exercise) -> tuple[list[int], list[int]]:
        _, bare = MIXTURE[exercise.family]
        user = {"role": "user", "content": exercise.question}
        assistant = {"role": "assistant", "content": exercise.bare if self._rng.random() < bare else exercise.worked}
        prompt = self._tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
        whole = self._tokenizer.apply_chat_template([user, assistant], tokenize=False)
        ids = self._tokenizer.encode(prompt, add_special_tokens=False)
        return ids, self._tokenizer.encode(whole, add_special_tokens=False)[len(ids) :]


def train(steps: int, seed: int) -> tuple[Any, Any]:
    """Train a model from scratch.

    Muon for the matrices inside the layers, AdamW for the rest: AdamW alone takes several times as long to learn to
    carry. Leaves torch on one thread and deterministic.

    Args:
        steps: Batches to learn from, at least 1.
        seed: Of the initial weights and of the training data.

    Returns:
        The model and its tokenizer.
    """
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, seed)
    model.train()
    examples = Examples(tokenizer, seed)
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    muon = Muon(matrices, lr=0.02, weight_decay=0.01)
    adam = torch.optim.AdamW(others, lr=ADAM_LR, betas=(0.9, 0.98), weight_decay=0.0)
    started = time.monotonic()
    for step in range(1, steps + 1):
        ids, labels = examples.batch()
        loss = model(input_ids=ids, labels=labels).loss
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # Up in a straight line, level, then down to almost nothing over the last three quarters.
        scale = min(1.0, step / WARM_UP) * max(0.02, min(1.0, 1.3 * (1 - (step - 1) / steps)))
        muon.step(scale)
        for group in adam.param_groups:
            group["lr"] = scale * ADAM_LR
        adam.step()
        if step % 50 == 0 or step == steps:
            elapsed = time.monotonic() - started
            print(f"step {step}/{steps}  loss {loss.item():.3f}  {elapsed:.0f} s", file=sys.stderr, flush=True)
    return model.eval(), tokenizer


def write_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write weights, configuration and tokenizer, the chat template inside the tokenizer's configuration."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder, save_jinja_files=False)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    # transformers 5 writes a class name that 4 does not know; both know this one.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_problems(path: Path) -> None:
    """Write the problem file: one JSON object a line with ``question``, ``answer`` and ``family``."""
    rows = (
        {"question": exercise.question, "answer": exercise.answer, "family": exercise.family}
        for exercise in problem_set()
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Train, and write ``model/`` and ``problems.jsonl``."""
    parser = argparse.ArgumentParser(prog="python -m curate.demo.train", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, help="folder to write into (this package's)")
    parser.add_argument("--steps", type=int, default=600, help="batches to learn from (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the training data (%(default)s)")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    write_problems(arguments.to / "problems.jsonl")
    model, tokenizer = train(arguments.steps, arguments.seed)
    write_model(arguments.to / "model", model, tokenizer)


if __name__ == "__main__":
    main()
