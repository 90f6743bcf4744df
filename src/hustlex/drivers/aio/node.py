"""One server: the lane that all callers share, and connections for the commands that block."""

from __future__ import annotations

from collections.abc import Callable

from hustlex.drivers.aio.blocking_lanes import BlockingLanes
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.lane import Lane
from hustlex.drivers.aio.options import Options


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
    ) -> None:
        self.where = where
        self._on_doubt = on_doubt
        self.lane = Lane(where, options, on_doubt=self._doubted, on_failure=on_failure)
        self.blocking = BlockingLanes(where, options)

    def distrust(self, since: float) -> None:
        """An answer to a call of this time said that this is not the server to ask."""
        self.lane.distrust(since)
        self._doubted(since)

    def _doubted(self, since: float) -> None:
        self.blocking.distrust(since)
        self._on_doubt(since)

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        self.lane.forsake()
        self.blocking.forsake()

    async def close(self) -> None:
        """Answer what is in flight (bounded), then close for good."""
        await self.blocking.close()
        await self.lane.close()
