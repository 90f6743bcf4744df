"""Which server answers an operation of the blocking driver: ``aio/topology.py``, ``sentinel.py`` and ``cluster.py``
for threads. Nothing runs beside the calls: who finds the map of a cluster out of date asks for a new one."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace

from hustlex.core import forks
from hustlex.core.keys import SLOTS, slot
from hustlex.core.later import Later
from hustlex.core.op import Op
from hustlex.drivers.address import Address
from hustlex.drivers.faults import (
    Failure,
    Late,
    Lost,
    NotSent,
    Redirected,
    misplaced,
    nameless,
    only_reads,
)
from hustlex.drivers.pack import join
from hustlex.drivers.patience import FOR_EVER, Outage
from hustlex.drivers.slotmap import ASK_SLOTS, Place, SlotRange, first_slots, read_slots, reader
from hustlex.drivers.url import Endpoint
from hustlex.drivers.watching import place_in, questions_of
from hustlex.errors import ConfigurationError, Denied, Error, Refused

if TYPE_CHECKING:
    from hustlex.drivers import redis_py
    from hustlex.drivers.redis_py import ServerPool
else:
    redis_py = Later("hustlex.drivers.redis_py")

_QUESTION = join(ASK_SLOTS)
_APART_S = 1.0
_PERIOD_S = 60.0
_ANSWER_S = 0.3
"""A node or Sentinel that does not answer in this time is passed over."""


class PoolRoute(msgspec.Struct, frozen=True):
    """Where one attempt goes. asking: to a slot that is on its way to this server (ASK)."""

    pool: ServerPool
    asking: bool = False


class Pools(Protocol):
    """As ``aio.topology.Topology``."""

    title: str
    parts: list[int]

    def route(self, op: Op[Any], deadline: float) -> PoolRoute: ...

    def learn(self, op: Op[Any], route: PoolRoute | None, failure: Failure) -> PoolRoute | None: ...

    def away_since(self, op: Op[Any], route: PoolRoute | None) -> float: ...

    def node(self, op: Op[Any], route: PoolRoute | None) -> str: ...

    def every(self) -> list[ServerPool]: ...

    def close(self) -> None: ...


def pools_of(address: Address) -> Pools:
    """For the arrangement that the URL names."""
    if address.kind == "cluster":
        return ClusterPools(address)
    if address.kind == "sentinel":
        watched = WatchedServer(address)
        pool = redis_py.ServerPool(address.at("", 0), watched.resolve)
        return OnePool(address.where, pool, watched=watched, reads=address.replicas)
    return OnePool(address.where, redis_py.ServerPool(address.servers[0]))


class OnePool:
    """One primary; watched: by Sentinels; reads: a replica, which nothing is written to."""

    def __init__(
        self, title: str, pool: ServerPool, *, watched: WatchedServer | None = None, reads: bool = False
    ) -> None:
        self.title = title
        self._reads = reads
        self._watched = watched
        self._route = PoolRoute(pool)
        self.parts = [0]

    def route(self, op: Op[Any], deadline: float) -> PoolRoute:  # noqa: ARG002 - there is one
        if self._reads:
            only_reads(op.name, op.effect)
        return self._route

    def learn(self, op: Op[Any], route: PoolRoute | None, failure: Failure) -> PoolRoute | None:  # noqa: ARG002
        return None

    def away_since(self, op: Op[Any], route: PoolRoute | None) -> float:  # noqa: ARG002 - there is one
        pool = self._route.pool
        return pool.outage.noted(time.monotonic()) if self._watched and pool.met else FOR_EVER

    def node(self, op: Op[Any], route: PoolRoute | None) -> str:  # noqa: ARG002 - there is one
        return self._route.pool.node if self._route.pool.met or not self._watched else self.title

    def every(self) -> list[ServerPool]:
        return [self._route.pool]

    def close(self) -> None:
        self._route.pool.close()
        if self._watched is not None:
            self._watched.close()


class WatchedServer:
    """Where the primary is, asked of Sentinels; the one that answered last is asked first the next time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sentinels = [redis_py.ServerPool(each) for each in address.sentinels]

    def resolve(self) -> Endpoint:
        """Raises NotSent, or ConfigurationError when all that answer know no such name."""
        questions = [join(words) for words in questions_of(self._address)]
        unknown, failure = False, ""
        for sentinel in [*self._sentinels]:
            try:
                replies = sentinel.exchange(questions, time.monotonic() + _ANSWER_S)
            except (NotSent, Lost, Late) as error:
                failure = str(error) or "no answer"
                continue
            refused = next((reply for reply in replies if isinstance(reply, Refused)), None)
            if refused is not None and replies[0] is not None:
                raise refused
            reply = place_in(replies)
            if reply is None:
                unknown = True
                continue
            self._sentinels = sorted(self._sentinels, key=lambda each: each is not sentinel)
            return self._address.at(reply[0].decode(), int(reply[1]))
        if unknown and not failure:
            raise nameless(self._address.service)
        raise NotSent(f"no Sentinel could say where the server is: {failure}")

    def close(self) -> None:
        """Close the connections to Sentinels."""
        for sentinel in self._sentinels:
            sentinel.close()


class ClusterPools:
    """Each slot's primary."""

    def __init__(self, address: Address) -> None:
        self.title = address.where
        self._seeds = address.servers
        self._address = address
        self._owners: list[ServerPool | None] = [None] * SLOTS
        self._primaries: list[ServerPool] = []
        self.parts: list[int] = []
        self._pools: dict[Place, ServerPool] = {}
        self.forked()
        forks.watch(self)
        self._due = self._asked = float("-inf")
        self._unserved = Outage()

    def forked(self) -> None:
        """See ``core.forks``: a thread of the parent may have been asking, and would do so for ever."""
        self._making = threading.Lock()
        self._asking = threading.Lock()

    def route(self, op: Op[Any], deadline: float) -> PoolRoute:
        if self._address.replicas:
            only_reads(op.name, op.effect)
        if not self._primaries or self._due <= time.monotonic():
            self._refresh(deadline)
        pool = self._owner(op)
        if pool is None:
            self._want()
            raise NotSent("no node of the cluster serves the key's slot")
        return PoolRoute(pool)

    def _owner(self, op: Op[Any]) -> ServerPool | None:
        if op.keys:
            return self._owners[slot(op.keys[0])]
        return random.choice(self._primaries) if self._primaries else None

    def learn(self, op: Op[Any], route: PoolRoute | None, failure: Failure) -> PoolRoute | None:
        if isinstance(failure, Redirected) and 0 <= failure.slot < SLOTS:
            owner = route.pool if route is not None else self._owner(op)
            host = failure.host or (owner.place[0] if owner is not None else "?")
            if host != "?":
                return self._redirected(failure, self._at((host, failure.port)))
        if misplaced(failure) or not isinstance(failure, Refused):
            self._want()
        return None

    def away_since(self, op: Op[Any], route: PoolRoute | None) -> float:
        pool = route.pool if route is not None else self._owner(op)
        outage = self._unserved if pool is None else pool.outage
        return outage.noted(time.monotonic()) if self._primaries else FOR_EVER

    def node(self, op: Op[Any], route: PoolRoute | None) -> str:
        pool = route.pool if route is not None else self._owner(op)
        return self.title if pool is None else pool.node

    def _redirected(self, answer: Redirected, target: ServerPool) -> PoolRoute:
        if answer.server_code == "ASK":
            return PoolRoute(target, asking=True)
        self._owners[answer.slot] = target
        self._want()
        return PoolRoute(target)

    def _at(self, place: Place) -> ServerPool:
        with self._making:
            if place not in self._pools:
                self._pools[place] = redis_py.ServerPool(self._address.at(*place), place=place)
            return self._pools[place]

    # -- the map

    def _want(self) -> None:
        self._due = min(self._due, self._asked + _APART_S)

    def _refresh(self, deadline: float) -> None:
        """By one thread at a time; the others go on with the map that they have, if there is one."""
        known = bool(self._primaries)
        if not self._asking.acquire(timeout=0 if known else max(0.0, deadline - time.monotonic())):
            if known:
                return
            raise NotSent("no node of the cluster answered yet")
        try:
            if self._primaries and self._due > time.monotonic():
                return
            self._asked = time.monotonic()
            self._due = self._asked + _PERIOD_S * random.uniform(0.8, 1.2)
            self._arrange(self._answer(deadline))
        except (NotSent, Error):
            self._due = self._asked + _APART_S
            if not self._primaries:
                raise
        finally:
            self._asking.release()

    def _answer(self, deadline: float) -> list[SlotRange]:
        """Of nodes in random order, until one answers. Raises NotSent, or Error when it is hopeless."""
        nodes = [replace(self._address.at(*pool.place), seed=True) for pool in self._primaries]
        order = [*random.sample(nodes, len(nodes)), *random.sample(self._seeds, len(self._seeds))]
        failure: Exception = NotSent("no node of the cluster answered")
        for endpoint in order:
            patience = min(deadline, time.monotonic() + _ANSWER_S)
            try:
                return self._ask(endpoint, patience)
            except (NotSent, Lost, Late, Error) as error:
                failure = error
        if isinstance(failure, ConfigurationError | Denied):
            raise failure
        raise NotSent(str(failure) or "no answer")

    @staticmethod
    def _ask(endpoint: Endpoint, deadline: float) -> list[SlotRange]:
        pool = redis_py.ServerPool(endpoint)
        try:
            (reply,) = pool.exchange([_QUESTION], deadline)
        finally:
            pool.close()
        if isinstance(reply, Refused):
            raise reply
        return read_slots(reply, endpoint.host)

    def _arrange(self, ranges: list[SlotRange]) -> None:
        owners: list[ServerPool | None] = [None] * SLOTS
        serving = {each.first: self._serves(each) for each in ranges}
        for each in ranges:
            owners[each.first : each.last + 1] = [self._at(serving[each.first])] * (each.last - each.first + 1)
        primaries = [self._at(place) for place in dict.fromkeys(serving.values())]
        others = {place for each in ranges for place in (each.primary, *each.replicas)} - {*serving.values()}
        with self._making:
            gone = [place for place, pool in self._pools.items() if pool not in primaries and place in others]
            retired = [self._pools.pop(place) for place in gone]
        self._owners, self._primaries, self.parts = owners, primaries, first_slots(ranges)
        for pool in retired:
            pool.retire()

    def _serves(self, each: SlotRange) -> Place:
        """The primary, or a replica where those are read from."""
        before = self._owners[each.first]
        return reader(each, before.place if before else None) if self._address.replicas else each.primary

    def every(self) -> list[ServerPool]:
        return [*self._pools.values()]

    def close(self) -> None:
        for pool in self.every():
            pool.close()
