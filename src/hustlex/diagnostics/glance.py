"""All that is shown of a server at one look: in two round trips, four commands for each node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Batch, Flow, Op
from hustlex.diagnostics import asks, connections, contents, watching
from hustlex.diagnostics.connections import ConnectedClients
from hustlex.diagnostics.contents import MemorySample
from hustlex.diagnostics.nodes import ClusterNode
from hustlex.diagnostics.watching import ServerSummary, SlowEntry
from hustlex.errors import Error, Refused

_RIGHTS = {
    "info": ("info",),
    "memory": ("eval", "dbsize", "randomkey", "scan", "memory|usage", "object|freq"),
    "clients": ("client|list",),
    "slowlog": ("slowlog|get",),
}
_PASSWORD = ("NOAUTH", "WRONGPASS")


class RefusedLook(msgspec.Struct, frozen=True):
    """What a server did not let us see."""

    part: str
    """info, memory, clients or slowlog."""
    node: str
    """Of a cluster: its address."""
    detail: str
    """What the server said, without what it holds."""
    rights: tuple[str, ...]
    """Of an ACL user that may look, as ``slowlog|get``; memory is shown by number of keys without ``memory|usage``."""


class ServerGlance(msgspec.Struct, frozen=True):
    """A server, or the nodes of a cluster, at one look."""

    nodes: int
    """How many there are; looked at are the first ones."""
    servers: tuple[ServerSummary, ...]
    """Their figures."""
    memory: tuple[MemorySample, ...]
    """What fills them."""
    clients: tuple[ConnectedClients, ...]
    """Who is connected."""
    slow: tuple[SlowEntry, ...]
    """The newest slow calls of all of them, newest first."""
    refused: tuple[RefusedLook, ...]
    """What they did not let us see."""


def glance(keys: int, count: int, prefix: str, most_nodes: int, *, brief: bool) -> Flow[ServerGlance]:
    """keys: of the sample, of all nodes together. count: of slow calls. brief: without these, and without who is
    connected. Raises Unavailable, Denied for a wrong password."""
    found = yield from watching.nodes()
    look = _Glancing(prefix, contents.share(keys, min(len(found), most_nodes)), count)
    for node in found[:most_nodes]:
        yield from look.shortly(node) if brief else look.at(node)
    return look.told(len(found))


class _Glancing:
    def __init__(self, prefix: str, keys: int, count: int) -> None:
        self._prefix = prefix
        self._keys = keys
        self._count = count
        self._servers: list[ServerSummary] = []
        self._memory: list[MemorySample] = []
        self._clients: list[ConnectedClients] = []
        self._slow: list[SlowEntry] = []
        self._refused: list[RefusedLook] = []

    def shortly(self, node: ClusterNode | None) -> Flow[None]:
        """Of a node what it is and what fills it, in one round trip."""
        at, name = _where(node)
        sample = contents.sample(at, name, self._keys, self._prefix, counting=False)
        answers: list[Any] = yield Batch((_info(at), sample))
        self._servers += [watching.summary(name, info) for info in self._kept("info", name, answers[:1])]
        self._memory += self._kept("memory", name, answers[1:])

    def at(self, node: ClusterNode | None) -> Flow[None]:
        """A node: first what it is, then by that the rest."""
        at, name = _where(node)
        asked: list[Any] = yield Batch((_info(at),))
        info: dict[str, str] = next(iter(self._kept("info", name, asked)), {})
        if info:
            self._servers.append(watching.summary(name, info))
        counting = "lfu" in info.get("maxmemory_policy", "")
        sample = contents.sample(at, name, self._keys, self._prefix, counting=counting)
        ops: tuple[Op[Any], ...] = (sample, asks.slow(at, self._count))
        listed = connections.few(info)
        answers: list[Any] = yield Batch((*ops, asks.clients(at)) if listed else ops)
        self._memory += self._kept("memory", name, answers[:1])
        slow: Iterable[list[asks.SlowCall]] = self._kept("slowlog", name, answers[1:2])
        self._slow += [watching.entry(call, self._prefix, name) for calls in slow for call in calls]
        if listed:
            self._clients += [connections.grouped(name, each) for each in self._kept("clients", name, answers[2:])]
        else:
            self._clients.append(connections.crowd(name, info))

    def _kept(self, part: str, node: str, answers: list[Any]) -> list[Any]:
        """Without what was refused, which is told. Raises what else is wrong."""
        kept = []
        for answer in answers:
            if isinstance(answer, Refused) and answer.server_code not in _PASSWORD:
                self._refused.append(RefusedLook(part, node, answer.message, _RIGHTS[part]))
            elif isinstance(answer, Error):
                raise answer
            else:
                kept.append(answer)
        return kept

    def told(self, nodes: int) -> ServerGlance:
        newest = sorted(self._slow, key=lambda each: each.at, reverse=True)[: self._count]
        return ServerGlance(
            nodes, tuple(self._servers), tuple(self._memory), tuple(self._clients), tuple(newest), tuple(self._refused)
        )


def _where(node: ClusterNode | None) -> tuple[str, str]:
    return (node.key, node.name) if node is not None else ("", "")


def _info(at: str) -> Op[dict[str, str]]:
    return asks.ask(at, lambda reply: fields_of(bytes(reply)), "INFO")
