"""The sections of a recipe: what a user may write in each, as frozen settings that refuse unknown keys.

Owns every setting with its bounds, its default and its meaning. Must not read YAML, know a protocol or import any room.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Section(BaseModel):
    """A part of a recipe: frozen, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProblemsSection(Section):
    """Where the problems are, and which column means what."""

    source: str = Field(min_length=1)
    """A Hub dataset, a .jsonl, .json, .csv or .parquet file, or ``package:file`` for one inside a package."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    question: str = "question"
    """Column of the question: text, or a list of chat messages."""
    answer: str = "answer"
    """Column of the reference: text, a number, or a list of accepted references."""
    answer_pattern: str | None = None
    """Regular expression whose first group, where it last matches, is the reference."""
    id: str | None = None
    """Column of unique ids; None takes a content hash."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many rows."""
    ids: str | None = Field(default=None, min_length=1)
    """A text file of problem ids, one a line: only these. What the other rows would be is not changed by it: an id that
    is a content hash, or a duplicate, is what it is among all rows."""

    @field_validator("answer_pattern")
    @classmethod
    def _has_a_group(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            compiled = re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if compiled.groups < 1:
            raise ValueError("has no group; put parentheses around the reference answer, as in '####\\s*(.+)$'")
        return value


class PromptSection(Section):
    """How a problem becomes a prompt."""

    system: str | None = None
    template: str = "{{ question }}\n\nReason step by step and put the final answer in \\boxed{}."
    """jinja2, sandboxed; sees ``question`` and ``metadata``. Not applied to problems that are chats already."""
    chat: bool = True
    """False: the template is the whole prompt and the chat template is not applied."""


class ModelSection(Section):
    """The checkpoint."""

    path: str = Field(min_length=1)
    """Hub id, local folder, or ``package:folder`` for one inside a package."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; resolved to a commit and recorded."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Never happens unless this says so."""


class EngineSection(Section):
    """What draws the rollouts. Not part of the protocol: any engine may continue a profile."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed on, and checked by the engine."""
    timeout: float = Field(default=3600.0, gt=0.0)
    """Seconds that one request may take before it counts as failed and is asked again."""


class SamplingSection(Section):
    """How the model is sampled. All but the seed is part of the protocol."""

    temperature: float = Field(default=1.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    stop: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0, lt=2**63)


class VerifierSection(Section):
    """What tells a right answer from a wrong one."""

    kind: str = "math"
    """A built-in kind, or a trainer's reward function: ``package.module:function`` or ``path/file.py:function``."""
    options: dict[str, Any] = Field(default_factory=dict)
    pass_at: float = 1.0
    """A reward of at least this passes."""
    workers: int | None = Field(default=None, ge=1)
    """Worker processes; None takes one for each core. Not part of the protocol."""


class BandSection(Section):
    """The competence band, both ends inclusive, and how sure to be."""

    low: float = Field(default=0.2, ge=0.0, le=1.0)
    high: float = Field(default=0.8, ge=0.0, le=1.0)
    confidence: float = Field(default=0.9, gt=0.5, lt=1.0)
    group_size: int = Field(default=8, ge=2)

    @model_validator(mode="after")
    def _ordered(self) -> BandSection:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class BudgetSection(Section):
    """How many rollouts to draw."""

    pilot: int = Field(default=8, ge=1)
    step: int = Field(default=4, ge=1)
    cap: int = Field(default=128, ge=1, lt=2**20)
    price: float | None = Field(default=None, gt=0.0)
    max_rollouts: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)


class GuessSection(Section):
    """The guess probe: the same problems, asked for the bare answer at once."""

    template: str = "{{ question }}\n\nGive only the final answer in \\boxed{}, at once and without any reasoning."
    """As ``prompt.template``, in its place. A problem that is a chat already keeps its turns."""
    prefill: str = "\\boxed{"
    """What the model is made to begin its answer with, so that there is no room for reasoning; may be empty."""
    draws: int = Field(default=16, ge=1, lt=2**20)
    max_tokens: int = Field(default=16, ge=1)


class EarlySection(Section):
    """The early-answer probe: passing rollouts are cut, and the answer is asked for there."""

    cuts: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    """Shares of the text before the answer that are kept, each in [0, 1)."""
    lead: str = "\n\nThe final answer is \\boxed{"
    """What follows the kept text and is followed by the forced answer."""
    draws: int = Field(default=4, ge=1, lt=2**20)
    """Of each rollout at each cut."""
    max_tokens: int = Field(default=16, ge=1)
    passes: int = Field(default=4, ge=1)
    """Most passing rollouts of a problem that are cut: its first ones."""
    below: float = Field(default=0.2, ge=0.0, le=1.0)
    """Only problems whose pass rate is at most this: those whose passes are rare."""

    @field_validator("cuts")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0.0 <= cut < 1.0 for cut in value) or len(set(value)) < len(value):
            raise ValueError("cuts are different shares in [0, 1), at least one")
        return value


class JudgeSection(Section):
    """The judge probe: another model is asked whether the reasoning of a pass supports its answer."""

    model: ModelSection
    engine: EngineSection
    template: str = (
        "Question:\n{{ question }}\n\nA solution, whose final answer is correct:\n{{ metadata.completion }}\n\n"
        "Check the reasoning step by step. Is every step that the answer depends on there and correct, so that the "
        "answer follows from the reasoning? Finish with one word on the last line: YES or NO."
    )
    """As ``prompt.template``; ``metadata.completion`` is what is judged and ``metadata.answer`` the answer it gives."""
    votes: int = Field(default=3, ge=1, lt=2**20)
    temperature: float = Field(default=1.0, ge=0.0)
    max_tokens: int = Field(default=2048, ge=1)
    passes: int | None = Field(default=None, ge=1)
    """Most passing rollouts of a problem that are judged: its first ones. None judges all, as CoT-Pass@K needs."""


class AuditSection(Section):
    """The probes of ``curate audit``. Not part of the protocol: a probe has a fingerprint of its own."""

    guess: GuessSection = GuessSection()
    early: EarlySection = EarlySection()
    judge: JudgeSection | None = None


class Recipe(Section):
    """The whole input of a run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    problems: ProblemsSection
    prompt: PromptSection = PromptSection()
    model: ModelSection
    engine: EngineSection
    sampling: SamplingSection = SamplingSection()
    verifier: VerifierSection = VerifierSection()
    band: BandSection = BandSection()
    budget: BudgetSection = BudgetSection()
    audit: AuditSection = AuditSection()
