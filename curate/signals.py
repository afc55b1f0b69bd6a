"""Signals: run asynchronous work to its end, or until a person or a scheduler asks it to stop.

Owns what SIGINT and SIGTERM do. Must not know what the work is: cancelling it must be enough to leave everything safe.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from curate.errors import EngineError


def until_signalled(work: Coroutine[Any, Any, None]) -> str | None:
    """Run the work to its end, or until SIGINT or SIGTERM cancels it.

    In a notebook, whose thread runs a loop already, the work gets a thread of its own; signals are the notebook's then.

    Returns:
        The signal's name, or None when the work came to its end.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_cancelled_by_signals(work))
    with ThreadPoolExecutor(1, thread_name_prefix="curate") as thread:
        return thread.submit(asyncio.run, _cancelled_by_signals(work)).result()


async def _cancelled_by_signals(work: Coroutine[Any, Any, None]) -> str | None:
    task = asyncio.ensure_future(work)
    received: list[str] = []

    def stop(number: signal.Signals) -> None:
        # A second signal meets the system's own handler, which ends the process at once.
        asyncio.get_running_loop().remove_signal_handler(number)
        received.append(number.name)
        task.cancel()

    with _handling(stop):
        try:
            await task
        except (asyncio.CancelledError, EngineError):
            # A terminal sends SIGINT to the engine's own processes too: that they are gone then is no news.
            if not received:
                raise
    return received[0] if received else None


@contextmanager
def _handling(stop: Callable[[signal.Signals], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
