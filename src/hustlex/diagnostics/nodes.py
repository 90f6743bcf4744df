"""A cluster's nodes, and what it says of itself as a whole."""

from __future__ import annotations

from collections import Counter

import msgspec

from hustlex.core.keys import SLOTS, key_in
from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Flow, Reply
from hustlex.diagnostics import asks


class ClusterNode(msgspec.Struct, frozen=True):
    """A primary."""

    host: str
    port: int
    key: str
    """A key of a slot that it serves: what is asked with it is asked of this node."""
    slots: int
    replicas: int

    @property
    def name(self) -> str:
        """Its address."""
        return f"{self.host}:{self.port}"


class ClusterFacts(msgspec.Struct, frozen=True):
    """state: "ok" or "fail". unserved: slots that no node serves."""

    state: str
    unserved: int
    nodes: tuple[ClusterNode, ...]


def of_cluster() -> Flow[ClusterFacts | None]:
    """None when the server is no cluster, or does not say."""
    rows = yield from asks.allowed(asks.ask("", _ranges, "CLUSTER", "SLOTS"))
    if not rows:
        return None
    info = yield from asks.allowed(asks.ask("", lambda reply: fields_of(bytes(reply)), "CLUSTER", "INFO"))
    counts: Counter[tuple[str, int]] = Counter()
    first: dict[tuple[str, int], int] = {}
    replicas: Counter[tuple[str, int]] = Counter()
    for begin, end, place, others in rows:
        counts[place] += end - begin + 1
        first.setdefault(place, begin)
        replicas[place] = max(replicas[place], others)
    nodes = (ClusterNode(*place, key_in(first[place]), counts[place], replicas[place]) for place in sorted(counts))
    return ClusterFacts((info or {}).get("cluster_state", "unknown"), SLOTS - counts.total(), tuple(nodes))


def _ranges(reply: Reply) -> list[tuple[int, int, tuple[str, int], int]]:
    """Of each range of slots its first, its last, who serves it and how many replicas that one has."""
    return [(begin, end, _place(primary), len(others)) for begin, end, primary, *others in reply]


def _place(node: Reply) -> tuple[str, int]:
    host, port = node[:2]
    return host.decode() if host else "", int(port)
