"""The recorder: what stands between a stream of rollouts and the ledger's immutable files.

Owns the flush window. Must not decide what is drawn or how it is judged.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from curate.ledger import Ledger
from curate.records import Comparison, FailedRequest, Rollout, Verdict

TICK = 0.2
"""Seconds between two looks at the flush window."""


class Recorder:
    """Buffers rollouts, verdicts, comparisons and failed requests, and flushes them a few seconds or rows at a time.

    A kill at any moment costs at most what is buffered. Whoever owns the recorder asks ``due`` at least every second
    and flushes at the end. Rows may be added while another thread flushes.

    Args:
        ledger: Where to write; the caller holds it for writing.
        fingerprint: The verifier's, for the verdicts and comparisons.
        seconds: Longest time that a row stays in memory only.
        rows: Most rows that stay in memory only.
        size: Most characters of completions that stay in memory only.
    """

    def __init__(
        self, ledger: Ledger, fingerprint: str, *, seconds: float = 5.0, rows: int = 2000, size: int = 64_000_000
    ) -> None:
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._seconds = seconds
        self._rows = rows
        self._size = size
        self._rollouts: list[Rollout] = []
        self._verdicts: list[Verdict] = []
        self._comparisons: list[Comparison] = []
        self._errors: list[FailedRequest] = []
        self._characters = 0
        self._oldest: float | None = None
        self._one_at_a_time = threading.Lock()

    def add_rollouts(self, rollouts: Iterable[Rollout]) -> None:
        """Take rollouts that were drawn."""
        for rollout in rollouts:
            self._rollouts.append(rollout)
            self._characters += len(rollout.completion)
        self._touch()

    def add_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """Take verdicts that were reached."""
        self._verdicts.extend(verdicts)
        self._touch()

    def add_comparison(self, comparison: Comparison) -> None:
        """Take an answer that was compared; from any thread."""
        self._comparisons.append(comparison)
        self._touch()

    def add_error(self, error: FailedRequest) -> None:
        """Take a request that failed."""
        self._errors.append(error)
        self._touch()

    def due(self) -> bool:
        """Whether the oldest row has waited long enough, or too much is held."""
        rows = max(len(self._rollouts), len(self._verdicts), len(self._comparisons))
        full = rows >= self._rows or self._characters >= self._size
        return full or (self._oldest is not None and time.monotonic() - self._oldest >= self._seconds)

    def flush(self) -> None:
        """Write all that is held. What could not be written stays held, so that a later flush may succeed.

        Raises:
            LedgerUnwritable: the disk is full or the folder read-only.
        """
        with self._one_at_a_time:
            self._oldest = None
            self._characters = 0
            _drain(self._rollouts, self._ledger.append_rollouts)
            _drain(self._verdicts, lambda rows: self._ledger.append_verdicts(self._fingerprint, rows))
            _drain(self._comparisons, lambda rows: self._ledger.append_comparisons(self._fingerprint, rows))
            _drain(self._errors, self._ledger.append_errors)

    async def keep_flushed(self, each: Callable[[], None] | None = None) -> None:
        """Keep the flush window until cancelled, and call ``each`` at once, a few times a second, and at the end."""
        try:
            while True:
                if each is not None:
                    each()
                await asyncio.sleep(TICK)
                if self.due():
                    await asyncio.to_thread(self.flush)
        finally:
            if each is not None:
                each()

    def _touch(self) -> None:
        if self._oldest is None:
            self._oldest = time.monotonic()


def _drain(held: list[Any], write: Callable[[Sequence[Any]], None]) -> None:
    """Write the rows held now and let go of exactly those: more may have come at the end meanwhile."""
    rows = list(held)
    write(rows)
    del held[: len(rows)]
