"""A dial that is given up, at whichever turn of the event loop, leaves no socket behind: the loop may end at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from hustlex.core.op import Effect, command
from hustlex.drivers import aio
from hustlex.drivers.aio.dial import Fixed, dial
from hustlex.drivers.aio.options import Options
from hustlex.drivers.url import parse_url
from tests.conftest import LONG
from tests.support.certificates import self_signed

PING = command("test.ping", Effect.READ, "PING", decode=bytes)
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
TURNS = 20


@asynccontextmanager
async def deaf(context: ssl.SSLContext | None) -> AsyncIterator[tuple[int, list[Any]]]:
    """A server that says nothing and hears nothing, not even a farewell; and who came as far as to be served."""
    served: list[Any] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], served
        await turn(10)  # who was accepted is served
        for writer in served:
            writer.transport.abort()
        await turn(2)


def links(port: int) -> int:
    """Sockets of this process that lead there."""
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it has no peer, or was the folder's own
            if str(file.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as each:
                    found += each.getpeername()[1:2] == (port,)
    return found


async def closed(url: str, turns: int) -> None:
    """A driver, as soon as ``close`` returns."""
    driver = aio.Driver(url, timeout=LONG)
    call = asyncio.create_task(driver.run(PING))
    await turn(turns)
    await driver.close()
    call.cancel()


async def cancelled(url: str, turns: int) -> None:
    """A dial, as soon as its task has ended."""
    dialling = asyncio.create_task(dial(Fixed(parse_url(url)), Options(), lambda _: None))
    await turn(turns)
    dialling.cancel()
    await asyncio.wait((dialling,))
    assert dialling.cancelled()
    await asyncio.sleep(0)


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def given_up(way: Any, certificate: tuple[Path, Path], shakes: bool, turns: int) -> tuple[int, int]:
    """How many links are left, and how many the server served."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if shakes else None
    if context is not None:
        context.load_cert_chain(*certificate)
    async with deaf(context) as (port, served):
        await way(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate[0]}", turns)
        return links(port), len(served)


@pytest.mark.parametrize("way", [closed, cancelled])
@pytest.mark.parametrize("shakes", [False, True], ids=["says nothing", "shakes hands"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_dial_that_is_given_up_leaves_nothing(way: Any, shakes: bool, loop: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        found = [runner.run(given_up(way, certificate, shakes, turns)) for turns in range(TURNS)]
    assert [left for left, _ in found] == [0] * TURNS
    assert found[-1][1] == 1, "the last was given up before the handshake's end"
