"""The door of /health and /metrics: who does not read, and who comes as it closes, leaves no socket behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import uvloop

from hustlex.worker import health_http
from hustlex.worker.health_http import PageReply, listening
from tests.worker.support import until

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ASKS = b"GET /metrics HTTP/1.1\r\n\r\n"


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """On a loop that ends with the coroutine."""

    def through(coroutine: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(coroutine)

    return through


async def large(_: str) -> PageReply:
    """More than any kernel keeps for who does not read."""
    return PageReply(True, bytes(32 * 2**20))


def sockets(port: int) -> int:
    """This process' ends of connections to the door."""
    found = psutil.Process().net_connections("tcp")
    return sum(each.laddr.port == port and each.status != psutil.CONN_LISTEN for each in found)


def test_who_does_not_read_is_cut_off(run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_http, "_PATIENCE_S", 0.2)

    async def main() -> None:
        async with listening({b"/metrics": large}, 0, "127.0.0.1") as port:
            with socket.create_connection(("127.0.0.1", port)) as caller:
                caller.sendall(ASKS)
                await until(lambda: sockets(port) == 1)
                await until(lambda: sockets(port) == 0)

    run(main())


def test_who_reads_gets_all_of_it(run: Callable[[Any], None]) -> None:
    async def main() -> None:
        async with listening({b"/metrics": large}, 0, "127.0.0.1") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASKS)
            assert len((await reader.read()).partition(b"\r\n\r\n")[2]) == 32 * 2**20
            writer.close()

    run(main())


@pytest.mark.parametrize("asks", [b"", ASKS], ids=["silent", "asks"])
@pytest.mark.parametrize("turns", range(8))
def test_who_comes_as_it_closes_leaves_no_socket(run: Callable[[Any], None], turns: int, asks: bytes) -> None:
    """Neither when the loop ends at once: it would be a warning, which fails this test."""
    seen = []

    async def main() -> None:
        async with listening({b"/metrics": large}, 0, "127.0.0.1") as port:
            caller = socket.create_connection(("127.0.0.1", port))
            caller.sendall(asks)
            for _ in range(turns):
                await asyncio.sleep(0)
        seen.append((caller, port))

    run(main())
    ((caller, port),) = seen
    with caller:
        assert sockets(port) == 0
