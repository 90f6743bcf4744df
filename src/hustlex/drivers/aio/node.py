"""One server: the connection that all callers share, one for what is large, and others for commands that block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hustlex.core.durability.level import Durability
from hustlex.drivers.aio.blocking_connections import BlockingConnections
from hustlex.drivers.aio.commits import CommitConnection
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.options import Options
from hustlex.drivers.patience import Outage


class ServerNode:
    """on_doubt: told when a connection led to the wrong server; others that were opened before do, too.

    on_failure: told when a connection was lost or could not be opened.
    """

    def __init__(
        self,
        where: Where,
        options: Options,
        on_doubt: Callable[[float], None],
        on_failure: Callable[[], None] | None = None,
        place: tuple[str, int] = ("", 0),
    ) -> None:
        self.where = where
        self.place = place
        self._on_doubt = on_doubt
        self._outage = Outage()
        self.large = ManagedConnection(where, options, on_doubt=self._doubted, on_failure=on_failure)
        self.connection = ManagedConnection(
            where, options, on_doubt=self._doubted, on_failure=on_failure, beside=self.large
        )
        self.blocking = BlockingConnections(where, options, on_failure)
        self._options = options
        self._commits: dict[Durability, CommitConnection] = {}

    def commits(self, durability: Durability) -> CommitConnection:
        """For writes that wait for this."""
        if durability not in self._commits:
            self._commits[durability] = CommitConnection(self.where, self._options, durability)
        return self._commits[durability]

    def distrust(self, since: float) -> None:
        """An answer to a call of this time said that this is not the server to ask."""
        for connection in self._shared():
            connection.distrust(since)
        self._doubted(since)

    def _shared(self) -> list[ManagedConnection]:
        """Those with more than one caller at a time."""
        return [self.connection, self.large, *(commits.connection for commits in self._commits.values())]

    def _doubted(self, since: float) -> None:
        self.blocking.distrust(since)
        self._on_doubt(since)

    def away_since(self) -> float:
        """It has failed one more caller; when that began."""
        return self._outage.noted(asyncio.get_running_loop().time())

    @property
    def met(self) -> bool:
        """Whether a connection was ever open."""
        return any(connection.met for connection in self._shared())

    @property
    def stuck(self) -> bool:
        """Callers wait for a connection that cannot be opened."""
        return self.blocking.stuck or any(connection.stuck for connection in self._shared())

    def leave(self) -> None:
        """As ``ManagedConnection.leave``; commands that are blocked here are answered."""
        self.blocking.leave()
        for connection in self._shared():
            connection.leave()

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        self.blocking.forsake()
        for connection in self._shared():
            connection.forsake()

    async def close_idle(self) -> None:
        """After ``leave``: answer what is in flight (bounded), and leave to itself what is blocked."""
        await self.blocking.close_idle()
        await self._close_shared()

    async def close(self) -> None:
        """Answer what is in flight (bounded), then close for good."""
        await self.blocking.close()
        await self._close_shared()

    async def _close_shared(self) -> None:
        await self.connection.close()
        await self.large.close()
        for commits in self._commits.values():
            await commits.close()
