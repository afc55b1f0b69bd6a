"""One batch on the model: load the weights, pad, generate, and cut each row where it ended.

Owns everything of the transformers engine that touches torch. Must not know requests or the event loop: it is given
rows and gives back completions, on whichever thread it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from curate.engines.checkpoint import Checkpoint
from curate.engines.draws import SeededDraw, StopAtText, StopWhenAbandoned
from curate.errors import EngineError, RecipeError, RequestError
from curate.recipe import SamplingSection
from curate.records import Completion


@dataclass(frozen=True, slots=True)
class Row:
    """One rollout to draw."""

    ids: Sequence[int]
    """Token ids of its prompt."""
    seed: int


class Weights:
    """A model in memory, with the tokens and strings that end its completions.

    Raises:
        RecipeError: the device is not there.
        EngineError: the weights cannot be loaded.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str | None, dtype: str | None, sampling: SamplingSection
    ) -> None:
        import torch
        from transformers import AutoModelForCausalLM, GenerationConfig
        from transformers.utils import logging

        self.device = _device(device)
        self.room = sys.maxsize
        """The most rows to ask for at once: half of a batch that once ran out of memory."""
        self.sampling = sampling
        self.tokenizer = checkpoint.tokenizer
        logging.disable_progress_bar()
        try:
            self.model = AutoModelForCausalLM.from_pretrained(
                checkpoint.source,
                revision=checkpoint.commit,
                trust_remote_code=checkpoint.trust_remote_code,
                dtype=dtype or ("float32" if self.device.type == "cpu" else "auto"),
            ).to(self.device)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise EngineError(
                f"the weights of {checkpoint.named} cannot be loaded: {error}", where="model.path"
            ) from error
        self.model.eval()
        self.eos = _end_tokens(self.model.generation_config.eos_token_id, self.tokenizer.eos_token_id)
        pad = self.tokenizer.pad_token_id
        self.pad: int = pad if pad is not None else (self.eos[0] if self.eos else 0)
        # What the checkpoint ships as defaults (penalties, suppressed tokens, a temperature) would fill every field
        # that we leave unset, and its pass rates would no longer be those of the recipe's sampling section.
        self.model.generation_config = GenerationConfig()
        self.config = GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            eos_token_id=self.eos or None,
            pad_token_id=self.pad,
        )
        self.find_stop: Any = None
        if sampling.stop:
            from transformers.generation.stopping_criteria import StopStringCriteria

            self.find_stop = StopStringCriteria(self.tokenizer, list(sampling.stop))
        self.eos_tensor = torch.tensor(self.eos, dtype=torch.int64, device=self.device)

    def draw(self, rows: Sequence[Row], abandoned: Callable[[], bool]) -> list[Completion]:
        """Draw each row by its own seed.

        Args:
            rows: At least one.
            abandoned: Asked at each token; once it says True the batch ends, and what is returned means nothing.

        Raises:
            RequestError: the logits of a row were not a distribution.
            RuntimeError: as torch raises it, out of memory above all.
        """
        import torch

        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([[self.pad] * (width - len(row.ids)) + list(row.ids) for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows], device=self.device)
        processors: list[Any] = []
        seeded = None
        if self.sampling.temperature > 0.0:
            seeded = SeededDraw([row.seed for row in rows], width, self.sampling, self.device)
            processors.append(seeded)
        criteria: list[Any] = [StopWhenAbandoned(abandoned, len(rows), self.device)]
        stop = None
        if self.find_stop is not None:
            stop = StopAtText(self.find_stop, len(rows), width, self.device)
            criteria.append(stop)
        try:
            sequences = self.model.generate(
                ids,
                attention_mask=mask,
                generation_config=self.config,
                logits_processor=processors,
                stopping_criteria=criteria,
            )
        except RuntimeError as error:
            if _out_of_memory(error):
                self.room = max(1, len(rows) // 2)
            raise
        if seeded is not None and bool(seeded.broken().any()):
            raise RequestError(
                "the model gave logits that are not numbers", hint="engine.options.dtype: float32 or bfloat16"
            )
        new = sequences[:, width:]
        stopped = stop.ended.tolist() if stop is not None else [0] * len(rows)
        return self._cut(rows, new, stopped)

    def _cut(self, rows: Sequence[Row], new: Any, stopped: list[int]) -> list[Completion]:
        """End each row at its first end token or stop string; what was generated after it is padding."""
        import torch

        is_end = torch.isin(new, self.eos_tensor)
        first_end = torch.where(is_end.any(dim=1), is_end.int().argmax(dim=1) + 1, 0).tolist()
        ends = [min((n for n in pair if n), default=0) for pair in zip(first_end, stopped, strict=True)]
        kept = [tokens[: end or None] for tokens, end in zip(new.tolist(), ends, strict=True)]
        bodies = [
            tokens[:-1] if end and end == eos else tokens
            for tokens, end, eos in zip(kept, ends, first_end, strict=True)
        ]
        texts = self.tokenizer.batch_decode(bodies, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [
            Completion(
                text=_before_stop(text, self.sampling.stop) if at_text else text,
                finish_reason="stop" if end else "length",
                prompt_tokens=len(row.ids),
                completion_tokens=len(tokens),
            )
            for row, text, tokens, end, at_text in zip(rows, texts, kept, ends, stopped, strict=True)
        ]


R = TypeVar("R")


def in_halves(draw: Callable[[Sequence[R]], list[Completion]], rows: Sequence[R]) -> list[Completion | RequestError]:
    """Draw a batch, and where it fails draw its halves, so that one bad row or too little memory costs no other row.

    Args:
        draw: May raise; what it raises for a row alone becomes that row's error.
        rows: At least one.

    Returns:
        One completion or error for each row, in order.

    Raises:
        EngineError: the device itself failed, after which nothing on it works.
    """
    try:
        return list(draw(rows))
    except Exception as error:
        if _device_is_gone(error):
            raise EngineError(f"the device failed: {error}", hint="run the same command again to continue") from error
        if len(rows) == 1:
            return [_as_request_error(error)]
    # Outside the handler, where the failed batch's tensors are no longer held by the traceback.
    _free_memory()
    half = len(rows) // 2
    return in_halves(draw, rows[:half]) + in_halves(draw, rows[half:])


def _as_request_error(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    made = RequestError(f"generate failed: {type(error).__name__}: {error}")
    made.__cause__ = error
    return made


def _out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory, on a GPU or on the CPU."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def _device_is_gone(error: Exception) -> bool:
    import torch

    return isinstance(error, getattr(torch, "AcceleratorError", ()))


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device(name: str | None) -> Any:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda"):
        count = torch.cuda.device_count()
        if (torch.device(name).index or 0) >= count:
            raise RecipeError(
                f"there is no device {name!r}: torch sees {count} CUDA devices",
                where="engine.options.device",
                hint="engine.options.device: cpu",
            )
    if name == "mps" and not torch.backends.mps.is_available():
        raise RecipeError(
            "torch has no MPS device here", where="engine.options.device", hint="engine.options.device: cpu"
        )
    return torch.device(name)


def _end_tokens(*named: int | list[int] | None) -> list[int]:
    """Every token that ends a completion: those of the generation config, and the tokenizer's own, as vLLM has it."""
    found: list[int] = []
    for ids in named:
        found += [ids] if isinstance(ids, int) else (ids or [])
    return list(dict.fromkeys(found))


def _before_stop(text: str, stops: Sequence[str]) -> str:
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
