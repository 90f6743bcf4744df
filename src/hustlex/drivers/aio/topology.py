"""Which server answers an operation: the seam between the driver and how its servers are arranged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from hustlex.core.durability.level import Durability
from hustlex.core.op import Op
from hustlex.drivers.aio.commits import CommitConnection
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.node import ServerNode
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import Failure, misplaced
from hustlex.drivers.patience import FOR_EVER


class Route(msgspec.Struct, frozen=True):
    """Where one attempt goes. asking: to a slot that is on its way to this node (ASK)."""

    node: ServerNode
    asking: bool = False


class Topology(Protocol):
    """Routes operations to nodes. ``connection`` is the hot path; the rest is for the retry loop."""

    def connection(self, op: Op[Any]) -> ManagedConnection:
        """Where to try first: answers at once; its ``submit`` gives None when nothing can be sent yet."""
        ...

    def commits(self, op: Op[Any], durability: Durability) -> CommitConnection | None:
        """Where to try a write first that waits; None when that is not known yet."""
        ...

    async def route(self, op: Op[Any], deadline: float) -> Route:
        """Where an attempt goes, waiting until that is known. Raises NotSent, or Error when it is hopeless."""
        ...

    def learn(self, op: Op[Any], route: Route | None, failure: Failure, asked: float) -> Route | None:
        """Hear of a failed attempt. Returns where the answer sent this call, if it did. asked: when it was made."""
        ...

    @property
    def crosses_slots(self) -> bool | None:
        """Whether a call may have keys of several slots; None while that is not known."""
        ...

    def away_since(self, op: Op[Any], route: Route | None) -> float:
        """Since when the server of a failed attempt fails its callers; for ever where none will take its place."""
        ...

    def homes(self) -> list[Where]:
        """Each server that holds a part of the data: invalidations come from each."""
        ...

    def look_again(self) -> None:
        """Ask soon which servers hold the data: one of them does not answer."""
        ...

    @property
    def parts(self) -> list[int]:
        """A slot of each part of the data; none while they are not known."""
        ...

    @property
    def anywhere(self) -> Where:
        """A server for messages, which every server of a cluster passes on to the others."""
        ...

    @property
    def title(self) -> str:
        """The servers' addresses, for errors."""
        ...

    def node(self, op: Op[Any], route: Route | None) -> str:
        """The address of the server that an attempt went to, as far as it is known."""
        ...

    def forsake(self) -> None:
        """Hang up: the event loop has ended."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Single:
    """One primary: at one address, or (watched) wherever it is found at each dial."""

    def __init__(
        self, where: Where, options: Options, on_doubt: Callable[[float], None], *, watched: bool = False
    ) -> None:
        self._watched = watched
        self._node = ServerNode(where, options, on_doubt)
        self._route = Route(self._node)
        self.anywhere = where
        self.parts = [0]
        self.title = where.title

    def connection(self, op: Op[Any]) -> ManagedConnection:  # noqa: ARG002 - there is one
        return self._node.connection

    def commits(self, op: Op[Any], durability: Durability) -> CommitConnection:  # noqa: ARG002 - there is one
        return self._node.commits(durability)

    async def route(self, op: Op[Any], deadline: float) -> Route:  # noqa: ARG002 - there is one
        return self._route

    def learn(self, op: Op[Any], route: Route | None, failure: Failure, asked: float) -> Route | None:  # noqa: ARG002
        if misplaced(failure):
            self._node.distrust(asked)
        return None

    @property
    def crosses_slots(self) -> bool | None:
        return self._node.connection.standalone  # redis:// may lead to a cluster of one node

    def away_since(self, op: Op[Any], route: Route | None) -> float:  # noqa: ARG002 - there is one
        return self._node.away_since() if self._watched and self._node.met else FOR_EVER

    def homes(self) -> list[Where]:
        return [self.anywhere]

    def node(self, op: Op[Any], route: Route | None) -> str:  # noqa: ARG002 - there is one
        return self.anywhere.node

    def look_again(self) -> None:
        """There is one; where it is watched, each dial asks."""

    def forsake(self) -> None:
        self._node.forsake()

    async def close(self) -> None:
        await self._node.close()
