"""What a server does right now, for operators: its figures, its slow calls, a sample of its commands. Nothing of what
users or applications put into it is shown, see ``seen``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Effect, Flow, Op, Reply, command, do
from hustlex.diagnostics import asks, connections, contents, lasting
from hustlex.diagnostics.asks import SlowCall
from hustlex.diagnostics.connections import ConnectedClients
from hustlex.diagnostics.contents import MemorySample
from hustlex.diagnostics.lasting import Persistence, ReplicaState
from hustlex.diagnostics.nodes import ClusterNode, of_cluster
from hustlex.diagnostics.seen import SeenCommand, seen

_SOME_S = 0.1
_LINE = re.compile(rb"(\d+)\.(\d+) \[\d+ (lua|[^\]]*)\] ?(.*)", re.DOTALL)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class ServerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a server's INFO says of it now."""

    node: str
    """Its address, of a cluster's; "" for one server."""
    version: str
    """As "valkey 9.1.0"."""
    mode: str
    """standalone, cluster or sentinel."""
    role: str
    """master or slave."""
    uptime: timedelta
    """Since it started."""
    memory_bytes: int
    """In use."""
    peak_bytes: int
    """The most that was ever in use."""
    limit_bytes: int
    """maxmemory; 0 for none."""
    policy: str
    """What it does when that is reached."""
    fragmentation: float
    """Memory that it takes for each byte in use."""
    keys: int
    """Of all its databases."""
    expiring: int
    """Keys with a time to live."""
    evicted: int
    """Keys that were dropped for want of memory since it started."""
    expired: int
    """Keys whose time was over since it started."""
    hit_share: float | None
    """Of all reads since it started, those that found something."""
    clients: int
    """Connections."""
    blocked: int
    """Connections that wait for something."""
    rejected: int
    """Connections that were refused since it started."""
    operations_per_s: int
    """Commands, just now."""
    input_kib_per_s: float
    """What it reads, just now."""
    output_kib_per_s: float
    """What it writes, just now."""
    append_only: bool
    """Whether its append-only file is on."""
    replicas: int
    """That are connected."""
    replicas_in_step: int
    """Of these, those that are online."""
    persistence: Persistence
    """What it writes to its disk."""
    replication: tuple[ReplicaState, ...]
    """Its replicas."""
    source: str
    """Of a replica: the address of its primary; "" of a primary."""
    source_up: bool | None
    """Whether the link to that is up; None of a primary."""


class SlowEntry(msgspec.Struct, frozen=True):
    """A call that took long."""

    at: datetime
    """When it was over."""
    took: timedelta
    """On the server."""
    command: SeenCommand
    """What it was, without what it carried."""
    client: str
    """The name of the connection, as "hustlex"."""
    node: str
    """Of a cluster: its address."""


class MonitoredCommand(msgspec.Struct, frozen=True):
    """A command as the server ran it."""

    at: datetime
    """On the server's clock."""
    by_script: bool
    """Whether a script called it."""
    command: SeenCommand
    """What it was, without what it carried."""
    node: str = ""
    """Of a cluster: its address."""


class CommandSample(msgspec.Struct, frozen=True):
    """What a server did while somebody looked."""

    seconds: float
    """For how long, at most."""
    commands: tuple[MonitoredCommand, ...]
    """In order, of each node."""

    @property
    def counts(self) -> dict[tuple[str, str, str], int]:
        """How often each command, script and key pattern came, the most frequent first."""
        found: dict[tuple[str, str, str], int] = {}
        for each in self.commands:
            kind = each.command.name, each.command.script, each.command.key
            found[kind] = found.get(kind, 0) + 1
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def nodes() -> Flow[list[ClusterNode | None]]:
    """Each primary of a cluster; one None for a single server."""
    cluster = yield from of_cluster()
    return [*cluster.nodes] if cluster is not None else [None]


def summaries() -> Flow[list[ServerSummary]]:
    """Of each server. Raises Denied when the user may not ask for INFO."""
    found = []
    for node in (yield from nodes()):
        info = yield from do(asks.ask(_at(node), lambda reply: fields_of(bytes(reply)), "INFO"))
        found.append(summary(_name(node), info))
    return found


def slow(count: int, prefix: str) -> Flow[list[SlowEntry]]:
    """The newest entries of all servers, newest first. Raises Denied."""
    found: list[SlowEntry] = []
    for node in (yield from nodes()):
        entries = yield from do(asks.slow(_at(node), count))
        found += [entry(each, prefix, _name(node)) for each in entries]
    return sorted(found, key=lambda each: each.at, reverse=True)[:count]


def memory(keys: int, prefix: str) -> Flow[list[MemorySample]]:
    """Look at so many keys of all servers together. Raises Denied."""
    found, names = list[MemorySample](), (yield from nodes())
    for node in names:
        info = yield from do(asks.ask(_at(node), lambda reply: fields_of(bytes(reply)), "INFO", "memory"))
        counting, number = "lfu" in info.get("maxmemory_policy", ""), contents.share(keys, len(names))
        found.append((yield from do(contents.sample(_at(node), _name(node), number, prefix, counting=counting))))
    return found


def clients() -> Flow[list[ConnectedClients]]:
    """Who is connected to each server. Raises Denied."""
    found = list[ConnectedClients]()
    for node in (yield from nodes()):
        found.append((yield from connections.of_node(_at(node), _name(node))))
    return found


def monitor(node: ClusterNode | None, prefix: str) -> Op[MonitoredCommand]:
    """The command that tells of all others; its decoder reads one line."""
    keys = (node.key,) if node is not None else ()

    def decode(line: Reply) -> MonitoredCommand:
        return _monitored(bytes(line), prefix, _name(node))

    return command("doctor.monitor", Effect.READ, "MONITOR", keys=keys, decode=decode)


def share(number: int, nodes: int, seconds: float) -> tuple[int, float]:
    """How much is heard of each node, and for how long."""
    return max(1, number // nodes), max(_SOME_S, seconds / nodes)


def _at(node: ClusterNode | None) -> str:
    return node.key if node is not None else ""


def _name(node: ClusterNode | None) -> str:
    return node.name if node is not None else ""


def summary(node: str, info: dict[str, str]) -> ServerSummary:
    """What a server's INFO says."""

    def number(name: str) -> float:
        try:
            return float(info.get(name, 0))
        except ValueError:
            return 0.0

    kind = "valkey" if "valkey_version" in info else "redis"
    spaces = [asks.fields(text) for name, text in info.items() if re.fullmatch(r"db\d+", name)]
    replicas, (source, source_up) = lasting.replication(info), lasting.source(info)
    reads = number("keyspace_hits") + number("keyspace_misses")
    whole: dict[str, Any] = {
        "uptime": timedelta(seconds=number("uptime_in_seconds")),
        "keys": sum(int(each.get("keys", 0)) for each in spaces),
        "expiring": sum(int(each.get("expires", 0)) for each in spaces),
        "hit_share": number("keyspace_hits") / reads if reads else None,
        "append_only": info.get("aof_enabled") == "1",
        "replicas": len(replicas),
        "replicas_in_step": sum(each.state == "online" for each in replicas),
        "persistence": lasting.persistence(info),
        "replication": replicas,
        "source": source,
        "source_up": source_up,
        "version": f"{kind} {info.get(f'{kind}_version', '')}",
        "mode": info.get("server_mode") or info.get("redis_mode", ""),
        "role": info.get("role", ""),
        "policy": info.get("maxmemory_policy", ""),
        "fragmentation": number("mem_fragmentation_ratio"),
        "input_kib_per_s": number("instantaneous_input_kbps"),
        "output_kib_per_s": number("instantaneous_output_kbps"),
    }
    counters: dict[str, Any] = {ours: int(number(theirs)) for ours, theirs in _COUNTERS.items()}
    return ServerSummary(node=node, **whole, **counters)


_COUNTERS = {
    "memory_bytes": "used_memory",
    "peak_bytes": "used_memory_peak",
    "limit_bytes": "maxmemory",
    "evicted": "evicted_keys",
    "expired": "expired_keys",
    "clients": "connected_clients",
    "blocked": "blocked_clients",
    "rejected": "rejected_connections",
    "operations_per_s": "instantaneous_ops_per_sec",
}


def entry(call: SlowCall, prefix: str, node: str) -> SlowEntry:
    """Of the slow log, without what it carried."""
    at = datetime.fromtimestamp(call.at_s, UTC)
    return SlowEntry(at, timedelta(microseconds=call.took_us), seen(call.words, prefix), call.client, node)


def _monitored(line: bytes, prefix: str, node: str) -> MonitoredCommand:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError("no line of MONITOR")
    at = datetime.fromtimestamp(int(found[1]) + int(found[2]) / 1e6, UTC)
    words = [_ESCAPE.sub(_unescaped, word) for word in _WORD.findall(found[4])]
    return MonitoredCommand(at, found[3] == b"lua", seen(words, prefix), node)


def _unescaped(found: re.Match[bytes]) -> bytes:
    letter = found[1]
    return bytes([int(letter[1:], 16)]) if len(letter) == 3 else _LETTERS.get(letter, letter)
