"""Which server answers a call, as far as where its keys lie tells: what spans and errors name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hustlex.core.op import Op
from hustlex.drivers.address import Address


def node_of(address: Address, places: Any, sent: Op[Any] | Sequence[Op[Any]]) -> str:
    """As ``host:port``; the configured one where no single server answered; "" before Sentinels have named one."""
    ops = (sent,) if isinstance(sent, Op) else sent
    if address.kind == "cluster":
        found = {places.node(op, None) if op.keys else "" for op in ops}
        node = found.pop() if len(found) == 1 else ""
    else:
        node = places.node(ops[0], None)
    if node and node != address.where:
        return str(node)
    return address.servers[0].where if address.kind != "sentinel" else ""
