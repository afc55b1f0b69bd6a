"""Which server to ask: the least loaded of those that are well.

Owns how much each server has in flight, which of them is set aside, and for how long. Must not import the openai
package: a server is a name and a client that nobody here calls.

A server that fails three times in a row is set aside, for a time that doubles with each further failure, up to a
minute; then one request at a time is let through to it, until it answers. A server that asks to be left alone
(``Retry-After``) is. Where no server is left, requests wait for the first to come back, up to ``patience`` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.engines.openai.answers import Fault
from curate.errors import EngineError, RequestError

LIMIT = 3
"""Failures in a row after which a server is set aside."""
LONGEST_REST = 60.0
"""Seconds for which a server is set aside at most before it is tried again."""


@dataclass(eq=False)
class Server:
    """One server: what it was found to be, and how it is doing."""

    url: str
    client: Any
    met: bool = False
    """It was asked what it serves, since it was last set aside."""
    kind: str = "server"
    neutral: dict[str, Any] = field(default_factory=dict)
    """What a request must say lest the server's own sampling defaults apply."""
    widest: int | None = None
    """The most choices it gives at once, where it gave fewer than asked for; None where it never did."""
    proven: int = 1
    """The most choices it has given at once."""
    diverse: bool = False
    """It has given choices that differ: they do not share one seed."""
    load: int = 0
    """Rollouts in flight."""
    failures: int = 0
    """In a row."""
    rests: int = 0
    """How often it was set aside since it last answered."""
    set_aside_at: float = -math.inf
    back_at: float = -math.inf
    """Nothing is sent to it before this moment."""
    probed: bool = False
    """It was set aside, and a request is finding out whether it is back."""
    last_error: str = ""

    @property
    def ill(self) -> bool:
        """It failed too often in a row."""
        return self.failures >= LIMIT

    def admits(self, n: int, room: int) -> bool:
        """Whether n more rollouts may go to it: more than its whole room only while it has nothing else to do."""
        return not self.probed if self.ill else self.load == 0 or self.load + n <= room


class Servers:
    """Hands out places.

    Args:
        servers: At least one.
        room: Rollouts in flight on each, at least 1.
        pause: Seconds for which a server is set aside at first.
        patience: Seconds to wait while every server is ill.
    """

    def __init__(self, servers: Sequence[Server], *, room: int, pause: float, patience: float) -> None:
        self._all = list(servers)
        self._room = room
        self._pause = pause
        self._patience = patience
        self._entrance = asyncio.Lock()
        self._changed = asyncio.Event()
        self._ill_since: float | None = None
        """Since when all servers are ill, while they are."""

    def __iter__(self) -> Iterator[Server]:
        """The servers, in the order of the recipe."""
        return iter(self._all)

    @property
    def widest(self) -> int:
        """How many rollouts to ask for at once: what every server is known or hoped to give."""
        return min([self._room, *(server.widest for server in self._all if server.widest is not None)])

    @contextlib.asynccontextmanager
    async def place(self, n: int, avoid: Server | None = None) -> AsyncIterator[Server]:
        """Room for n rollouts on the least loaded server, first come first served; what happens in it is noted.

        Args:
            n: At least 1.
            avoid: Taken only where no other has room.

        Raises:
            EngineError: all servers are ill, for longer than patience has it.
        """
        server = await self._take(n, avoid)
        probe, began = server.ill, time.monotonic()
        server.load += n
        server.probed = server.probed or probe
        try:
            yield server
        except Fault as fault:
            self._failed(server, fault, began)
            raise
        except RequestError:  # it said no, so it is there
            self._answered(server)
            raise
        else:
            self._answered(server)
        finally:
            server.load -= n
            if probe:
                server.probed = False
            self._changed.set()

    def set_aside(self, server: Server, fault: Fault) -> None:
        """Treat a server as one that failed too often."""
        server.failures = max(server.failures, LIMIT - 1)
        self._failed(server, fault, time.monotonic())

    def complaint(self, opening: str) -> EngineError:
        """What to say when no server answers: each with its last error."""
        each = "; ".join(f"{server.url}: {server.last_error or 'no answer'}" for server in self._all)
        return EngineError(
            f"{opening}: {each}",
            where="engine.options.base_url",
            hint="see that they are up, then run the same command again: nothing drawn is lost",
        )

    async def _take(self, n: int, avoid: Server | None) -> Server:
        async with self._entrance:  # one at a time, lest small requests overtake a large one for ever
            while True:
                now = time.monotonic()
                back = [server for server in self._all if server.back_at <= now]
                free = [server for server in back if server.admits(n, self._room)]
                if free:
                    return min(free, key=lambda server: (server is avoid, server.ill, server.load))
                moments = [server.back_at for server in self._all if server.back_at > now]
                if self._ill_since is not None:
                    deadline = self._ill_since + self._patience
                    if now >= deadline:
                        raise self.complaint(f"no server has answered for {now - self._ill_since:.0f} s")
                    moments.append(deadline)
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), min(moments) - now if moments else None)

    def _answered(self, server: Server) -> None:
        if server.ill:
            server.back_at = -math.inf
        server.failures = server.rests = 0
        self._ill_since = None

    def _failed(self, server: Server, fault: Fault, began: float) -> None:
        now = time.monotonic()
        server.last_error = str(fault)
        if fault.busy:
            self._answered(server)
        elif began >= server.set_aside_at:  # those that were under way when it was set aside say nothing new
            server.failures += 1
            if server.ill:
                server.met = False
                server.set_aside_at = now
                server.back_at = now + min(LONGEST_REST, self._pause * 2 ** min(server.rests, 16))
                server.rests += 1
        if fault.after is not None:
            server.back_at = max(server.back_at, now + min(fault.after, self._patience))
        if self._ill_since is None and all(one.ill for one in self._all):
            self._ill_since = now
