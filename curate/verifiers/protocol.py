"""What a kind of verifier must offer: one of two small shapes, and the limits its worker runs under.

Owns the vocabulary between the pool, its workers and the kinds. Must not import any of them, nor anything heavy: the
parent process and every worker import this first.

A ``Comparer`` splits its work in two: a cheap ``extract`` that runs in the calling process, and a ``compare`` that runs
in a worker and whose verdict depends on nothing but the reference and the extracted answer, so it can be cached. A
``Judge`` needs the whole case (tests to run, a trainer's reward function, metadata) and is never cached.

The reasons of a ruling, all of them:

    equal                  the answer is the reference
    different              it is not
    no answer              the completion gives none: a failure of the model
    no reference           the problem has none                                  unscored
    reference not parsed   no answer could ever be recognised as right           unscored
    timeout                undecided when the time was up                        unscored
    worker died            the process was killed, most often for memory         unscored
    rewarded               a reward function gave a number: ``pass_at`` decides
    not scored             a reward function gave None                           unscored
    error: ...             the verifier raised                                   unscored
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from curate.records import Case

EQUAL = "equal"
DIFFERENT = "different"
NO_ANSWER = "no answer"
NO_REFERENCE = "no reference"
NOT_PARSED = "reference not parsed"
TIMEOUT = "timeout"
DIED = "worker died"
REWARDED = "rewarded"
NOT_SCORED = "not scored"


class Ruling(NamedTuple):
    """What a verifier says of one case, before ``pass_at`` makes it a pass or a failure."""

    reward: float | None
    """None: unscored."""
    answer: str | None
    reason: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one case may cost before its worker is stopped."""

    timeout: int = 5
    """Whole seconds: a fraction is not honoured by the alarm that enforces it."""
    memory: int = 4096
    """MiB of address space for each worker, past what opening its verifier took: torch alone maps many thousand. Past
    the limit an allocation fails inside the worker, not on the machine."""


@runtime_checkable
class Comparer(Protocol):
    """A verifier that compares an extracted answer with a reference."""

    version: str
    """Changes whenever a verdict may change: it is part of the protocol's fingerprint."""
    limits: Limits

    def load(self) -> None:
        """Import what comparing needs. Called once in each worker, before its first case; never in the parent."""

    def extract(self, completion: str) -> str | None:
        """The answer that a completion gives, or None. Linear in the completion: it runs in the calling process."""

    def compare(self, reference: str, answer: str) -> tuple[float | None, str]:
        """Reward and reason. Reward None with ``reference not parsed`` where no answer could match."""


@runtime_checkable
class Judge(Protocol):
    """A verifier that needs the whole case and gives a raw reward."""

    version: str
    limits: Limits

    def load(self) -> None:
        """Import what judging needs. Called once in each worker, before its first case; never in the parent."""

    def judge(self, case: Case) -> Ruling:
        """The ruling on one case. An exception makes it ``unscored``."""


@runtime_checkable
class ReferenceReader(Protocol):
    """A judge that can tell from a problem alone that its references will not do, before any rollout is drawn."""

    def complaint(self, references: Sequence[str], metadata: Mapping[str, Any]) -> str | None:
        """Why they will not do, or None. Cheap: it runs in the calling process."""


Verifier = Comparer | Judge


def compare_any(verifier: Comparer, task: tuple[tuple[str, ...], str]) -> Ruling:
    """The best reward of an extracted answer over all accepted references.

    Returns:
        A ruling; unscored only where not one of the references can be verified.
    """
    references, answer = task
    best: tuple[float | None, str] = (None, NO_REFERENCE)
    for reference in references:
        reward, reason = verifier.compare(reference, answer)
        if best[0] is None or (reward is not None and reward > best[0]):
            best = (reward, reason)
        if reason == EQUAL:
            break
    return Ruling(best[0], answer, best[1])
