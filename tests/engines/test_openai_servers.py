"""Which server is asked, and what becomes of one that fails; no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from curate.engines.openai.answers import Fault, Refused
from curate.engines.openai.servers import LIMIT, Server, Servers
from curate.errors import EngineError


def servers(*made: Server, room: int = 8, pause: float = 0.01, patience: float = 60.0) -> Servers:
    return Servers(made, room=room, pause=pause, patience=patience)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


async def fail(pool: Servers, times: int = LIMIT, fault: Fault | None = None) -> None:
    for _ in range(times):
        with pytest.raises(Fault):
            async with pool.place(1):
                raise fault or Fault("fell over")


def test_one_request_finds_out_whether_a_server_is_back() -> None:
    async def through() -> None:
        one = Server("one", None)
        pool = servers(one)
        await fail(pool)
        inside = 0
        seen: list[int] = []

        async def enter() -> None:
            nonlocal inside
            async with pool.place(1):
                inside += 1
                seen.append(inside)
                await asyncio.sleep(0.02)
                inside -= 1

        await asyncio.gather(*(enter() for _ in range(5)))
        assert seen[:2] == [1, 1]  # the second came when the first had answered
        assert max(seen) > 1  # and then several at once
        assert (one.failures, one.rests, one.load) == (0, 0, 0)

    run(through())


def test_requests_under_way_when_a_server_is_set_aside_say_nothing_new() -> None:
    async def through() -> None:
        one = Server("one", None)
        pool = servers(one)
        gate = asyncio.Event()

        async def enter() -> None:
            async with pool.place(1):
                await gate.wait()
                raise Fault("fell over")

        tasks = [asyncio.create_task(enter()) for _ in range(8)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (one.failures, one.rests) == (LIMIT, 1)
        await fail(pool, 1)
        assert one.rests == 2

    run(through())


def test_only_failures_in_a_row_count() -> None:
    async def through() -> None:
        one = Server("one", None)
        pool = servers(one)
        for _ in range(3):
            await fail(pool, LIMIT - 1)
            with pytest.raises(Refused):  # a no is an answer
                async with pool.place(1):
                    raise Refused("too long")
        await fail(pool, 10, Fault("busy", busy=True))  # so is this
        assert (one.failures, one.rests) == (0, 0)

    run(through())


def test_patience_begins_anew_when_a_server_has_answered() -> None:
    async def through() -> None:
        pool = servers(Server("one", None), Server("two", None), patience=0.15)
        for _ in range(3):
            await fail(pool, 2 * LIMIT)
            async with pool.place(1):
                await asyncio.sleep(0.1)
        await fail(pool, 2 * LIMIT)
        with pytest.raises(EngineError, match="one: fell over; two: fell over"):
            await fail(pool, 10**6)

    run(through())


def test_a_cancelled_request_gives_its_room_back() -> None:
    async def through() -> None:
        one = Server("one", None)
        pool = servers(one, room=2)

        async def stay() -> None:
            async with pool.place(2):
                await asyncio.Event().wait()

        inside, waiting = asyncio.create_task(stay()), asyncio.create_task(stay())
        await asyncio.sleep(0.01)
        for task in (waiting, inside):
            task.cancel()
        await asyncio.gather(inside, waiting, return_exceptions=True)
        assert (one.load, one.failures) == (0, 0)
        async with pool.place(2):
            assert one.load == 2

    run(through())


def test_a_large_request_is_not_overtaken_for_ever() -> None:
    async def through() -> None:
        pool = servers(Server("one", None), room=4)
        order: list[int] = []

        async def enter(n: int) -> None:
            async with pool.place(n):
                order.append(n)
                await asyncio.sleep(0.005)

        await asyncio.gather(*(enter(n) for n in (3, 4, 1, 1, 9)))
        assert order == [3, 4, 1, 1, 9]  # the last, larger than the room, has it alone

    run(through())
