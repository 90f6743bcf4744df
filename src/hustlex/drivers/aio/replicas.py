"""Reading from replicas, for who asks for it by URL: what was written a moment ago may not be there yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hustlex.core.op import Op
from hustlex.drivers.address import Address
from hustlex.drivers.aio.cluster import Cluster
from hustlex.drivers.aio.managed_connection import ManagedConnection
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.sentinel import Sentinels
from hustlex.drivers.aio.topology import Route, Single
from hustlex.drivers.faults import only_reads
from hustlex.drivers.slotmap import Place, SlotRange, reader

_NEVER = float("inf")


class ClusterReplicas(Cluster):
    """Each slot is read from a replica of its primary, where it has one."""

    def __init__(self, address: Address, options: Options, on_change: Callable[[], None]) -> None:
        super().__init__(address, replace(options, look=_NEVER), on_change)

    def connection(self, op: Op[Any]) -> ManagedConnection:
        only_reads(op.name, op.effect)
        return super().connection(op)

    async def route(self, op: Op[Any], deadline: float) -> Route:
        only_reads(op.name, op.effect)
        return await super().route(op, deadline)

    def _serves(self, each: SlotRange) -> Place:
        return reader(each, self._owners[each.first].place)


class WatchedReplica(Single):
    """A replica that Sentinels name."""

    def __init__(self, address: Address, options: Options, on_doubt: Callable[[float], None]) -> None:
        options = replace(options, look=_NEVER)
        super().__init__(Sentinels(address, options), options, on_doubt, watched=True)

    def connection(self, op: Op[Any]) -> ManagedConnection:
        only_reads(op.name, op.effect)
        return super().connection(op)

    async def route(self, op: Op[Any], deadline: float) -> Route:
        only_reads(op.name, op.effect)
        return await super().route(op, deadline)
