"""The memory: what was compared before, so that no answer is compared twice.

Owns how much is remembered, and what of it may outlive the run. Must not know workers, the ledger, or any kind of
verifier. A ruling depends on nothing but the references and the extracted answer, so both together are the key. Not
locked: the pool that owns a memory holds its lock around every use.
"""

from __future__ import annotations

from collections import OrderedDict

from curate.records import Comparison
from curate.verifiers.protocol import DIED, Ruling

CACHE = 200_000
"""Rulings kept; the oldest go first."""

CACHE_CHARACTERS = 64_000_000
"""Characters of their answers kept: an answer may be as long as a completion."""

Key = tuple[tuple[str, ...], str]
"""All accepted references, and the extracted answer."""


class Memory:
    """Rulings by what they depend on, the newest of them."""

    def __init__(self) -> None:
        self._rulings: OrderedDict[Key, Ruling] = OrderedDict()
        self._characters = 0

    def get(self, key: Key) -> Ruling | None:
        """The ruling, if it is remembered; it takes no time."""
        return self._rulings.get(key)

    def keep(self, key: Key, ruling: Ruling) -> None:
        """Remember a ruling of this run, but not the death of a worker: what killed it may not be there next time."""
        if ruling.reason == DIED or key in self._rulings:
            return
        self._rulings[key] = ruling._replace(answer=key[1], seconds=0.0)
        self._characters += len(key[1])
        while len(self._rulings) > CACHE or self._characters > CACHE_CHARACTERS:
            (_, answer), _ = self._rulings.popitem(last=False)
            self._characters -= len(answer)

    def recall(self, known: Comparison) -> None:
        """Remember what an earlier run compared."""
        self.keep((known.answers, known.answer), Ruling(known.reward, known.answer, known.reason))


def comparison(key: Key, ruling: Ruling) -> Comparison | None:
    """What a later run may rely on; None for timeouts and errors, which may end otherwise next time."""
    return None if ruling.reward is None else Comparison(*key, ruling.reward, ruling.reason)
