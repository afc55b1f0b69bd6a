"""The carriers that every room shares: frozen dataclasses and closed enums.

Owns the words of the project as types. Must not import any room, nor anything heavy: each room may import this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


class Reason(StrEnum):
    """Why a problem is not published as training data. Closed: every exclusion has at least one of these."""

    TOO_HARD = "too_hard"
    TOO_EASY = "too_easy"
    UNDECIDED = "undecided"
    TRUNCATED = "truncated"
    GUESSABLE = "guessable"
    SHORTCUT = "shortcut"
    SUSPECT_LABEL = "suspect_label"
    UNVERIFIABLE = "unverifiable"
    DUPLICATE = "duplicate"
    ENGINE_ERROR = "engine_error"


class Outcome(StrEnum):
    """Which side of the band a problem was decided to lie on, or why it could not be decided."""

    IN_BAND = "in_band"
    TOO_HARD = "too_hard"
    TOO_EASY = "too_easy"
    UNDECIDED = "undecided"
    UNVERIFIABLE = "unverifiable"


class NextStep(StrEnum):
    """What to do with an excluded problem. Nothing is ever deleted."""

    DEFER = "defer"
    AUDIT = "audit"
    REPAIR = "repair"
    DROP = "drop"


class VerdictKind(StrEnum):
    """What a verifier says of one rollout. ``unscored`` is no failure: it is counted apart."""

    PASS = "pass"
    FAIL = "fail"
    UNSCORED = "unscored"


FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One row to profile."""

    problem_id: str
    """The source's own id, or a content hash of question and answers: 16 hex digits."""
    question: str
    """The question as text; for a chat, the last user turn."""
    answers: tuple[str, ...]
    """Accepted references, any one of which is right. Empty: the source gives none."""
    messages: tuple[Message, ...] = ()
    """The source's own chat, used in place of the recipe's template; empty where the question is plain text."""
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    """The source's other columns, JSON-serialisable, as they came."""
    set_aside: Reason | None = None
    """``duplicate`` or ``unverifiable`` when known before any rollout: such a problem is listed, never sampled."""
    set_aside_why: str = ""
    """The evidence in words, e.g. which problem it repeats."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A problem rendered by the recipe's template, before the model's chat template."""

    messages: tuple[Message, ...] = ()
    """The chat to send; empty when ``text`` is the whole prompt."""
    text: str = ""
    """The whole prompt, used as it is, when the recipe says ``chat: false``."""
    prefill: str = ""
    """What the model is made to begin its answer with; its completion goes on from there and does not repeat it."""


@dataclass(frozen=True, slots=True)
class Request:
    """n rollouts of one problem asked of an engine at once."""

    problem_id: str
    prompt: Prompt
    first_index: int
    """Index of the first rollout; the others follow it without gaps."""
    n: int
    seed: int
    """Seed of the first rollout. Rollout i of the request draws with ``seed + i``, as vLLM's children do."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine returns for one rollout."""

    text: str
    finish_reason: FinishReason
    """``length``: cut at ``max_tokens``; counted as a failure as in training, and counted apart."""
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """One draw, as the ledger keeps it."""

    problem_id: str
    index: int
    seed: int
    completion: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    engine: str
    """Engine and version, e.g. ``transformers 5.23.0``."""
    created: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A request that an engine could not serve, as the ledger keeps it. It says nothing about the model."""

    problem_id: str
    first_index: int
    n: int
    error: str
    created: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a verifier is given: the references of a problem and one completion."""

    answers: tuple[str, ...]
    completion: str
    question: str = ""
    metadata: dict[str, Any] = field(default_factory=dict, hash=False)
    prompt: Prompt = Prompt()
    """What the model was asked: the turns where it was a chat, and ``text``, all that it saw. Empty where unknown."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a verifier says of one case, before it is tied to a rollout."""

    kind: VerdictKind
    reward: float | None
    """Raw reward as the verifier gave it; None when unscored."""
    answer: str | None
    """The answer extracted from the completion; None where none was found."""
    reason: str
    """Why, in a few words: ``equal``, ``different``, ``no answer``, ``timeout``, ..."""
    seconds: float
    """Time that this verdict took; 0 when it came from the cache."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a verifier once said of an extracted answer, as the ledger keeps it: it will say so again."""

    answers: tuple[str, ...]
    """The accepted references."""
    answer: str
    reward: float
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement tied to its rollout, as the ledger keeps it."""

    problem_id: str
    index: int
    verdict: VerdictKind
    reward: float | None
    answer: str | None
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights and which chat template an engine draws from: part of the protocol."""

    path: str
    """Hub id, local folder as the recipe named it, or the name a server gives its model."""
    revision: str
    """Immutable: a commit of the Hub, ``sha256:`` and a digest of the local folder, or ``unknown``."""
    chat_template: str
    """``sha256:`` and a digest of the template's text, ``none`` where there is none, or ``unknown``."""
