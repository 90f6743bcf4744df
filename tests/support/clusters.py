"""What tests do to a six-node cluster: find nodes, move slots, kill and revive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from hustlex.core.keys import slot
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.drivers.embedded_cluster import EmbeddedCluster
from tests.support.sentinels import until


class ClusterHands:
    """An operator's hands on a running cluster."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.cluster = cluster
        self.url = cluster.url
        self._clients: dict[int, redis.Redis] = {}

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def ask(self, node: EmbeddedServer, *words: Any) -> Any:
        """One command to this node, whatever it is; redirections are errors."""
        if node.port not in self._clients:  # kept: whoever waits for six nodes asks each of them again and again
            self._clients[node.port] = redis.Redis.from_url(node.url, decode_responses=True, socket_timeout=30)
        return self._clients[node.port].execute_command(*words)

    def node_at(self, port: int) -> EmbeddedServer:
        return next(node for node in self.cluster.nodes if node.port == port)

    def ranges(self) -> list[tuple[int, int, EmbeddedServer]]:
        """First and last slot and the primary that has them, as a living node says."""
        reply = self.ask(next(node for node in self.cluster.nodes if node.running), "CLUSTER", "SLOTS")
        return [(first, last, self.node_at(primary[1])) for first, last, primary, *_ in _raw(reply)]

    def owner(self, key: str) -> EmbeddedServer:
        wanted = slot(key)
        return next(node for first, last, node in self.ranges() if first <= wanted <= last)

    def primaries(self) -> list[EmbeddedServer]:
        return list(dict.fromkeys(node for _, _, node in self.ranges()))

    def key_at(self, node: EmbeddedServer, stem: str = "key") -> str:
        """A key that this primary has."""
        mine = [(first, last) for first, last, owner in self.ranges() if owner is node]
        keys = (f"{{{stem}{number}}}" for number in range(10_000))
        return next(key for key in keys if any(first <= slot(key) <= last for first, last in mine))

    def begin_move(self, moved: int, source: EmbeddedServer, target: EmbeddedServer) -> None:
        """From now on the source sends callers of keys that it lacks to the target, for once (ASK)."""
        self.ask(target, "CLUSTER", "SETSLOT", moved, "IMPORTING", self.ask(source, "CLUSTER", "MYID"))
        self.ask(source, "CLUSTER", "SETSLOT", moved, "MIGRATING", self.ask(target, "CLUSTER", "MYID"))

    def carry(self, source: EmbeddedServer, target: EmbeddedServer, keys: Sequence[str]) -> None:
        """Take these keys over."""
        password = target.url.partition("//:")[2].partition("@")[0]
        if keys:
            words = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "AUTH", password, "KEYS", *keys)
            self.ask(source, *words)

    def end_move(self, moved: int, target: EmbeddedServer) -> None:
        name = self.ask(target, "CLUSTER", "MYID")
        self.ask(target, "CLUSTER", "SETSLOT", moved, "NODE", name)
        for node in self.primaries():
            if node is not target:
                self.ask(node, "CLUSTER", "SETSLOT", moved, "NODE", name)

    def move(self, moved: int, target: EmbeddedServer) -> None:
        """The whole move of a slot, as resharding does it."""
        source = next(node for first, last, node in self.ranges() if first <= moved <= last)
        if source is target:
            return
        self.begin_move(moved, source, target)
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", moved, 100):
            self.carry(source, target, keys)
        self.end_move(moved, target)

    def flush(self) -> None:
        """Also the replicas are empty then: one that only just runs again might be promoted with what it held."""
        for node in self.primaries():
            self.ask(node, "FLUSHALL")
        until(self._in_step)

    def _in_step(self) -> bool:
        """Whether each replica has all that its primary had a moment before."""
        told = {node.port: self.ask(node, "INFO", "replication") for node in self.cluster.nodes}
        return all(
            one["master_link_status"] == "up"
            and one["slave_repl_offset"] >= told[one["master_port"]]["master_repl_offset"]
            for one in told.values()
            if one["role"] == "slave"
        )

    def healthy(self) -> bool:
        """Every node runs, and knows all slots served by three primaries. Each has a replica, in step or not yet."""
        try:
            for node in self.cluster.nodes:
                if "cluster_state:ok" not in str(self.ask(node, "CLUSTER", "INFO")):
                    return False
            replies = [_raw(self.ask(node, "CLUSTER", "SLOTS")) for node in self.cluster.nodes]
            return all({len(entry) for entry in reply} == {4} for reply in replies)
        except redis.RedisError:
            return False

    @contextmanager
    def announced(self, how: str, name: str = "") -> Iterator[None]:
        """Nodes are told by another address. how: as ``cluster-preferred-endpoint-type``."""
        try:
            self._announce(how, name)
            yield
        finally:
            self._announce("ip", "")

    def _announce(self, how: str, name: str) -> None:
        for node in self.cluster.nodes:
            self.ask(node, "CONFIG", "SET", "cluster-announce-hostname", name)
            self.ask(node, "CONFIG", "SET", "cluster-preferred-endpoint-type", how)
        if how == "hostname":
            until(lambda: all(self._tells(node, name) for node in self.cluster.nodes))

    def _tells(self, node: EmbeddedServer, name: str) -> bool:
        return all(place[0] == name for entry in _raw(self.ask(node, "CLUSTER", "SLOTS")) for place in entry[2:])

    def migrate(self, moved: int, target: EmbeddedServer) -> None:
        """The move of a slot as one step, which Valkey 9 has."""
        source = next(node for first, last, node in self.ranges() if first <= moved <= last)
        name = self.ask(target, "CLUSTER", "MYID")
        self.ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", moved, moved, "NODE", name)
        until(lambda: all(self._owner_at(node, moved) is target for node in self.primaries()))

    def _owner_at(self, node: EmbeddedServer, number: int) -> EmbeddedServer:
        """As this node says."""
        entries = _raw(self.ask(node, "CLUSTER", "SLOTS"))
        return next(self.node_at(primary[1]) for first, last, primary, *_ in entries if first <= number <= last)

    @contextmanager
    def healed(self) -> Iterator[None]:
        """Afterwards all nodes run again and know each other."""
        try:
            yield
        finally:
            for node in self.cluster.nodes:
                node.start()
            until(self.healthy, 60)


def _raw(reply: Any) -> Any:
    """CLUSTER SLOTS as the server sends it; redis-py makes a dict of it."""
    if isinstance(reply, dict):
        return [
            [first, last, list(entry["primary"]), *map(list, entry["replicas"])]
            for (first, last), entry in reply.items()
        ]
    return reply


class ClusterOracle(redis.RedisCluster):
    """redis-py's client of a cluster that answers for all of it what a single server answers."""

    def execute_command(self, *words: Any, **options: Any) -> Any:
        name = " ".join(str(word) for word in words).upper()
        if name.startswith("PUBLISH "):  # by itself it tells of the one node that took it
            heard = self.execute_command("PUBSUB NUMSUB", words[1])
            super().execute_command(*words, **options)
            return sum(pair[1] for pair in heard)
        how = next((how for start, how in _EVERYWHERE.items() if name.startswith(start)), None)
        if how is None or "target_nodes" in options:
            return super().execute_command(*words, **options)
        nodes = self.get_nodes() if name.startswith(("CLIENT", "PUBSUB", "CONFIG")) else self.get_primaries()
        return how([self.get_redis_connection(node).execute_command(*words, **options) for node in nodes])


def _first(answers: list[Any]) -> Any:
    return answers[0]


def _joined(answers: list[Any]) -> list[Any]:
    return [one for answer in answers for one in answer]


def _counted(answers: list[Any]) -> list[tuple[Any, int]]:
    counts: Counter[Any] = Counter()
    for answer in answers:
        counts.update(dict(answer))
    return [*counts.items()]


def _info(answers: list[Any]) -> Any:
    """Of all nodes: numbers are added, the rest is the first one's."""
    merged: dict[str, Any] = {}
    for answer in answers:
        for name, value in answer.items():
            if type(value) is int:
                merged[name] = merged.get(name, 0) + value
            elif isinstance(value, dict):
                merged[name] = _info([merged.get(name, {}), value])
            else:
                merged.setdefault(name, value)
    return merged


_EVERYWHERE: dict[str, Callable[[list[Any]], Any]] = {
    "KEYS": _joined,
    "DBSIZE": sum,
    "FLUSHALL": all,
    "CLIENT KILL": sum,
    "CLIENT LIST": _joined,
    "CLIENT PAUSE": _first,
    "CONFIG SET": all,
    "CONFIG RESETSTAT": all,
    "CONFIG GET": _first,
    "SCRIPT FLUSH": all,
    "PUBSUB CHANNELS": _joined,
    "PUBSUB NUMSUB": _counted,
    "INFO": _info,
    "ACL SETUSER": _first,
    "TIME": _first,
}
