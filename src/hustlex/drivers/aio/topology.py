"""Which server answers an operation. One server today; Sentinel and Cluster fit behind the same two words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hustlex.core.op import Op
from hustlex.drivers.aio.lane import Lane
from hustlex.drivers.aio.options import Options
from hustlex.drivers.url import Endpoint


class Topology(Protocol):
    """Routes operations to lanes."""

    def lane(self, op: Op[Any]) -> Lane:
        """The lane for this operation's keys."""
        ...

    def primary(self) -> Endpoint:
        """A server for blocking commands and subscriptions."""
        ...

    def forsake(self) -> None:
        """Hang up: the event loop has ended."""
        ...

    async def close(self) -> None:
        """Close every lane."""
        ...


class Single:
    """One server, one lane."""

    def __init__(self, endpoint: Endpoint, options: Options, on_doubt: Callable[[float], None]) -> None:
        self._endpoint = endpoint
        self._lane = Lane(endpoint, options, on_doubt=on_doubt)

    def lane(self, op: Op[Any]) -> Lane:  # noqa: ARG002 - the seam for Cluster
        return self._lane

    def primary(self) -> Endpoint:
        return self._endpoint

    def forsake(self) -> None:
        self._lane.forsake()

    async def close(self) -> None:
        await self._lane.close()
