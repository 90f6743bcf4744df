"""From a URL to the arrangement of servers that it names."""

from __future__ import annotations

from collections.abc import Callable

from hustlex.drivers.address import Address
from hustlex.drivers.aio.cluster import Cluster
from hustlex.drivers.aio.dial import Fixed
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.replicas import ClusterReplicas, WatchedReplica
from hustlex.drivers.aio.router import Arrange
from hustlex.drivers.aio.sentinel import Sentinels
from hustlex.drivers.aio.topology import Single, Topology


def arranged(address: Address) -> Arrange:
    """What makes the topology."""

    def make(options: Options, on_doubt: Callable[[float], None], on_change: Callable[[], None]) -> Topology:
        if address.kind == "cluster":
            return (ClusterReplicas if address.replicas else Cluster)(address, options, on_change)
        if address.replicas:
            return WatchedReplica(address, options, on_doubt)
        where = Sentinels(address, options) if address.kind == "sentinel" else Fixed(address.servers[0])
        return Single(where, options, on_doubt, watched=address.kind == "sentinel")

    return make
