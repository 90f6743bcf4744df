"""Connections for blocking commands, one caller each, because a blocked connection answers nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.options import Options
from hustlex.errors import Overloaded

_MARGIN = 1.0


class BlockingConnections:
    """A small pool that grows to ``Options.blocking`` connections."""

    def __init__(self, where: Where, options: Options, on_failure: Callable[[], None] | None = None) -> None:
        self._where = where
        self._options = options
        self._on_failure = on_failure
        self._left = False
        self._idle: list[ManagedConnection] = []
        self._busy: set[ManagedConnection] = set()

    async def run(self, packed: bytes, seconds: float, *, asking: bool = False) -> Any:
        """The raw reply. The command waits up to ``seconds`` on the server; one second more is granted."""
        connection = self._take()
        finished = False
        try:
            deadline = asyncio.get_running_loop().time() + seconds + _MARGIN
            reply = await connection.exchange(packed, deadline, asking=asking)
            finished = True
            return reply
        finally:
            self._busy.discard(connection)
            self._options.tally.add("busy", -1)
            if finished and not self._left and not connection.aged:
                self._idle.append(connection)
            else:
                await self._drop(connection)

    async def _drop(self, connection: ManagedConnection) -> None:
        """The server may still be waiting on this connection: it cannot be used again."""
        connection.abort("a blocking command was abandoned")
        await connection.close()

    def _take(self) -> ManagedConnection:
        if self._idle:
            connection = self._idle.pop()
        elif len(self._busy) < self._options.blocking:
            connection = ManagedConnection(self._where, self._options, on_failure=self._on_failure, tended=False)
        else:
            raise Overloaded(
                f"{self._options.blocking} blocking commands are running already", hint="raise Options.blocking"
            )
        self._busy.add(connection)
        self._options.tally.add("busy")
        return connection

    def distrust(self, since: float) -> None:
        """As ``ManagedConnection.distrust``, for those that are idle; a blocked one hears it from the server."""
        for connection in self._idle:
            connection.distrust(since)

    @property
    def stuck(self) -> bool:
        """As ``ManagedConnection.stuck`` of any of them."""
        return any(connection.stuck for connection in self._busy)

    def leave(self) -> None:
        """As ``ManagedConnection.leave`` for each of them."""
        self._left = True
        for connection in [*self._busy, *self._idle]:
            connection.leave()

    async def close_idle(self) -> None:
        """Close those that wait for a caller."""
        while self._idle:
            await self._idle.pop().close()

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        for connection in [*self._busy, *self._idle]:
            connection.forsake()

    async def close(self) -> None:
        """Abandon what is blocked, close what is idle."""
        for connection in [*self._busy]:
            connection.abort("the driver was closed")
        for connection in [*self._busy, *self._idle]:
            await connection.close()
        self._idle.clear()
