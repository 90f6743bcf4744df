"""Channels with history and a server that dies under them: nothing is lost, or a Gap says so."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hustlex.drivers.aio import Driver
from hustlex.drivers.aio.options import Options
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.events import Events, Gap, Message, Position
from tests.conftest import LONG
from tests.support import servers


class Tick(msgspec.Struct, frozen=True):
    number: int


@pytest.mark.parametrize("kept", [True, False], ids=["append-only", "in memory alone"])
async def test_a_killed_server_loses_nothing_or_says_so(request: pytest.FixtureRequest, kept: bool) -> None:
    """T-E02."""
    binary = servers.binary(request.config.getoption("--server"))
    # Under everysec the server puts writes off while the disk is busy: then a kill loses what was answered.
    with EmbeddedServer(binary=binary, append_only=kept, appendfsync="always") as server:
        listening = Driver(server.url, Options(look=0.05, stall=0.5), timeout=LONG)
        publishing = Driver(server.url, timeout=LONG)
        ticks = [Events(each).channel("ticks:all", Tick, kind="replay") for each in (listening, publishing)]
        async with ticks[0].subscribe() as messages:
            first = await ticks[1].publish_many([Tick(number) for number in range(50)])
            assert all(isinstance(each, Position) for each in first)
            heard: list[Any] = [] if kept else await numbers(messages, 50)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await again(ticks[1], Tick(50))
            while not heard or heard[-1] != 50:
                heard += await numbers(messages, 1)
        if kept:
            assert heard == [*range(51)]
        else:
            (gap,) = [each for each in heard if isinstance(each, Gap)]
            assert (gap.reason, heard) == ("epoch", [*range(50), gap, 50])
        await listening.close()
        await publishing.close()


async def test_a_server_that_stands_still_is_missed_and_loses_nothing(request: pytest.FixtureRequest) -> None:
    """T-E03: it closes nothing, so only signs of life that do not come tell of it."""
    with EmbeddedServer(binary=servers.binary(request.config.getoption("--server"))) as server:
        listening = Driver(server.url, Options(look=0.05, stall=0.3), timeout=LONG)
        publishing = Driver(server.url, timeout=LONG)
        events = Events(listening)
        heard, told = (each.channel("ticks:all", Tick, kind="replay") for each in (events, Events(publishing)))
        async with heard.subscribe() as messages:
            await told.publish(Tick(0))
            assert await numbers(messages, 1) == [0]
            os.kill(server.pid, signal.SIGSTOP)
            try:
                await until(lambda: events.trouble)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            await again(told, Tick(1))
            assert await numbers(messages, 1) == [1]
            await until(lambda: not events.trouble)
        await listening.close()
        await publishing.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(50):
        while not condition():
            await asyncio.sleep(0.005)


async def numbers(messages: Any, count: int) -> list[Any]:
    """Of the next items; a gap stands as it is."""
    async with asyncio.timeout(50):
        items = [await anext(messages) for _ in range(count)]
    return [item.data.number if isinstance(item, Message) else item for item in items]


async def again(channel: Any, tick: Tick) -> None:
    """Publish until the server is there; with an id, so once."""
    async with asyncio.timeout(50):
        while True:
            try:
                await channel.publish(tick, idem=f"tick {tick.number}")
                return
            except Exception:
                await asyncio.sleep(0.02)
