"""The socket to a server. Of a name with several addresses the next is tried while the one before says nothing.

As RFC 8305 has it, and written here because uvloop does not: one that swallows packets, first of the list, would take
the whole time that there is for a connection, each time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, cast

from hustlex.drivers.aio.connection import Connection
from hustlex.drivers.url import Endpoint

_NEXT_S = 0.25
_Address = tuple[Any, ...]
"""Family, type, protocol, canonical name, and what ``connect`` takes."""


async def reach(endpoint: Endpoint, make: Callable[[], Connection]) -> Connection:
    """A connection to the address that answers first. Raises OSError, of the last one that failed."""
    loop = asyncio.get_running_loop()
    if endpoint.path:
        return (await loop.create_unix_connection(make, endpoint.path))[1]
    host, port, context = endpoint.host, endpoint.port, endpoint.ssl_context()
    addresses = [] if endpoint.numeric else await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    place: dict[str, Any] = {"sock": await _first(addresses)} if addresses else {"host": host, "port": port}
    if context is None:
        return (await loop.create_connection(make, **place))[1]
    plain, _ = await loop.create_connection(_Unheard, **place)
    return await _encrypted(plain, make(), context, host)


class _Unheard(asyncio.Protocol):
    """What a server says before the handshake is left to the handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).pause_reading()


async def _encrypted(
    plain: asyncio.Transport, connection: Connection, context: ssl.SSLContext, name: str
) -> Connection:
    """By the socket's own transport, which can be dropped at any time: ``create_connection`` keeps it to itself, and
    when it is cancelled lets the handshake go on, or waits for the server's farewell."""
    try:
        transport = await asyncio.get_running_loop().start_tls(plain, connection, context, server_hostname=name)
        assert transport is not None
        connection.connection_made(transport, plain)
    except BaseException:
        plain.abort()
        raise
    return connection


async def _first(addresses: Sequence[_Address]) -> socket.socket:
    left, trying = [*addresses], set[asyncio.Task[socket.socket]]()
    failure: BaseException = OSError("the name has no address")
    try:
        while left or trying:
            if left:
                trying.add(asyncio.create_task(_connected(left.pop(0))))
            done, trying = await asyncio.wait(
                trying, timeout=_NEXT_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (failed := task.exception()) is None:
                    trying |= done - {task}
                    return task.result()
                failure = failed
        raise failure
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_too_late)


async def _connected(address: _Address) -> socket.socket:
    family, kind, protocol, _, place = address
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, place)
    except BaseException:
        opened.close()
        raise
    return opened


def _too_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
