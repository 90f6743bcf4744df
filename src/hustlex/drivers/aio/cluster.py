"""A cluster: each slot's primary, learned from the cluster itself and from the answers of nodes.

The map in use is served while a new one is asked for: by one task at a time, of a node chosen at random, at most once
a second. Each node has connections of its own, so that one which is silent holds up nobody else's calls.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hustlex.core.durability.level import Durability
from hustlex.core.keys import SLOTS, slot
from hustlex.core.op import Op
from hustlex.drivers.address import Address
from hustlex.drivers.aio.commits import CommitConnection
from hustlex.drivers.aio.dial import Fixed, Where
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.node import ServerNode
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.slots import SlotsTask
from hustlex.drivers.aio.topology import Route
from hustlex.drivers.faults import Failure, NotSent, Redirected, misplaced
from hustlex.drivers.patience import FOR_EVER
from hustlex.drivers.slotmap import Place, SlotRange, first_slots
from hustlex.drivers.url import Endpoint
from hustlex.errors import Refused

_UNSERVED = "no node of the cluster serves the key's slot"


class Cluster:
    """on_change: told when other nodes have the slots."""

    def __init__(self, address: Address, options: Options, on_change: Callable[[], None]) -> None:
        self._address = address
        self._options = options
        self._on_change = on_change
        self._nowhere = ServerNode(Fixed(address.at("", 0)), options, _ignore)
        self._owners = [self._nowhere] * SLOTS
        self._primaries: list[ServerNode] = []
        self.parts: list[int] = []
        self._nodes: dict[Place, ServerNode] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._slots = SlotsTask(address.servers, options, self._arrange, self._waiting)
        self.anywhere: Where = _Anywhere(self)
        self.title = address.where
        self.crosses_slots: bool | None = False

    # -- routes

    def connection(self, op: Op[Any]) -> ManagedConnection:
        keys = op.keys  # as _owner, without a call: this is done for each operation
        return (self._owners[slot(keys[0])] if keys else self._owner(op)).connection

    def commits(self, op: Op[Any], durability: Durability) -> CommitConnection | None:
        node = self._owner(op)
        return node.commits(durability) if node is not self._nowhere else None

    def _owner(self, op: Op[Any]) -> ServerNode:
        if op.keys:
            return self._owners[slot(op.keys[0])]
        return random.choice(self._primaries) if self._primaries else self._nowhere

    async def route(self, op: Op[Any], deadline: float) -> Route:
        if not self._primaries:
            await self._slots.known(deadline)
        node = self._owner(op)
        if node is self._nowhere:
            self._slots.wanted()
            raise NotSent(_UNSERVED)
        return Route(node)

    def learn(self, op: Op[Any], route: Route | None, failure: Failure, asked: float) -> Route | None:
        node = route.node if route is not None else self._owner(op)
        if isinstance(failure, Redirected):
            return self._redirected(node, failure)
        if misplaced(failure):
            node.distrust(asked)
        if misplaced(failure) or not isinstance(failure, Refused):
            self._slots.wanted()
        return None

    def away_since(self, op: Op[Any], route: Route | None) -> float:
        node = route.node if route is not None else self._owner(op)
        return node.away_since() if self._primaries else FOR_EVER

    def node(self, op: Op[Any], route: Route | None) -> str:
        node = route.node if route is not None else self._owner(op)
        return self.title if node is self._nowhere else node.where.node

    def _redirected(self, node: ServerNode, answer: Redirected) -> Route | None:
        host = answer.host or node.place[0]
        if host == "?" or not 0 <= answer.slot < SLOTS:
            self._slots.wanted()
            return None
        target = self._at((host, answer.port))
        if answer.server_code == "ASK":
            return Route(target, asking=True)
        self._owners[answer.slot] = target
        self._slots.wanted()
        return Route(target)

    def _at(self, place: Place) -> ServerNode:
        node = self._nodes.get(place)
        if node is None:
            where = Fixed(self._endpoint(place))
            node = ServerNode(where, self._options, _ignore, self._slots.wanted, place)
            self._nodes[place] = node
        return node

    def _endpoint(self, place: Place) -> Endpoint:
        return self._address.at(*place)

    # -- the map

    def _arrange(self, ranges: list[SlotRange]) -> None:
        """Take over a new map; callers that wait for a node which has no slots any more ask for their way again."""
        owners = [self._nowhere] * SLOTS
        serving = {each.first: self._serves(each) for each in ranges}
        for each in ranges:
            owners[each.first : each.last + 1] = [self._at(serving[each.first])] * (each.last - each.first + 1)
        primaries = [self._at(place) for place in dict.fromkeys(serving.values())]
        others = {place for each in ranges for place in (each.primary, *each.replicas)} - {*serving.values()}
        for place, node in [*self._nodes.items()]:
            if node not in primaries and (place in others or not node.connection.open):
                del self._nodes[place]
                self._retire(node)
        changed = set(primaries) != set(self._primaries)
        self._owners, self._primaries, self.parts = owners, primaries, first_slots(ranges)
        if changed:
            self._on_change()

    def _serves(self, each: SlotRange) -> Place:
        return each.primary

    def _retire(self, node: ServerNode) -> None:
        node.leave()
        leaving = asyncio.get_running_loop().create_task(node.close_idle())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _waiting(self) -> tuple[list[Endpoint], bool]:
        """The nodes to ask for slots, and whether callers wait for one that cannot be reached."""
        places = [replace(self._endpoint(node.place), seed=True) for node in self._primaries]
        return places, any(node.stuck for node in self._nodes.values())

    async def some(self) -> Endpoint:
        """Any primary, once one is known."""
        if not self._primaries:
            await self._slots.known(asyncio.get_running_loop().time() + self._options.connect)
        return self._endpoint(random.choice(self._primaries).place)

    def homes(self) -> list[Where]:
        if not self._primaries:
            self._slots.wanted()
        return [node.where for node in self._primaries]

    def look_again(self) -> None:
        self._slots.wanted()

    # -- ending

    def forsake(self) -> None:
        self._slots.stop()
        for node in self._nodes.values():
            node.forsake()

    async def close(self) -> None:
        await self._slots.close()
        await asyncio.gather(*[node.close() for node in self._nodes.values()], *self._leaving)
        await self._nowhere.close()


class _Anywhere:
    """A ``Where``: another primary at each dial."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def title(self) -> str:
        return self._cluster.title

    @property
    def node(self) -> str:
        return self._cluster.title

    async def resolve(self) -> Endpoint:
        return await self._cluster.some()


def _ignore(_: float) -> None:
    """One node that is to be left says nothing of the others."""
