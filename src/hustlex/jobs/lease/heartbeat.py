"""The heartbeat of a worker process: what tools list of it, in Asynq's registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, command
from hustlex.jobs import keys

_BEAT = load("hustlex.jobs", "lease/beat")


_MOST_NAMES = 500
"""With 255 characters each, at most about 130 KB in a heartbeat; a few kilobytes as a rule."""


class ServerName(msgspec.Struct, frozen=True):
    """A worker process: what its three registry keys are named after."""

    host: str
    pid: int
    id: str

    @property
    def keys(self) -> tuple[str, str, str]:
        """Its ServerInfo, its workers and its task types."""
        name = (self.host, self.pid, self.id)
        return keys.server(*name), keys.workers(*name), keys.served(*name)


class ServedTypes(msgspec.Struct, frozen=True):
    """What a worker process has handlers for, as it tells with its heartbeat."""

    types: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    """What types may start with, of tasks with ``prefix=True``."""
    more: bool = False
    """Whether it has handlers for others, too: at most 500 names are told."""

    def serves(self, task_type: str) -> bool | None:
        """Whether it has a handler for this type; None = it did not tell all."""
        if task_type in self.types or task_type.startswith(self.prefixes):
            return True
        return None if self.more else False


def encode_served(types: Iterable[str], prefixes: Iterable[str]) -> bytes:
    """What fits, of the prefixes first."""
    starts, names = sorted(prefixes), sorted(types)
    shown = starts[:_MOST_NAMES], names[: max(0, _MOST_NAMES - len(starts))]
    more = len(starts) + len(names) > _MOST_NAMES
    return msgspec.json.encode(ServedTypes(tuple(shown[1]), tuple(shown[0]), more))


def decode_served(data: bytes | None) -> ServedTypes | None:
    """None for a process that does not tell: Go's do not."""
    try:
        return None if data is None else msgspec.json.decode(data, type=ServedTypes)
    except msgspec.MsgspecError:
        return None


def beat(
    server: ServerName,
    life_s: int,
    now_s: int,
    info: bytes,
    running: Sequence[Arg],
    served: bytes = b"",
    *,
    crosses_slots: bool = False,
) -> list[Op[int]]:
    """Say that a process lives; the first answer is the server's clock in ms. running: task id, WorkerInfo, ...

    served: see ``encode_served``; empty = it does not tell. life_s: seconds until it counts as gone. now_s: Unix
    second. One call where that may have keys of several slots, else one for each.
    """
    lists = (keys.SERVERS, keys.WORKERS) if running else (keys.SERVERS,)
    told = (life_s, info, served, *running)
    if crosses_slots:
        return [_BEAT.op((*server.keys, *lists), told, int)]
    listed = (enlist(name, key, now_s + life_s) for name, key in zip(lists, server.keys, strict=False))
    return [_BEAT.op(server.keys, told, int), *listed]


def enlist(listing: str, member: str, expiry_s: int) -> Op[int]:
    """Put a key on a list of those that live. expiry_s: Unix second."""
    return command("jobs.list", Effect.IDEMPOTENT, "ZADD", listing, expiry_s, member, keys=(listing,), decode=int)


def leave(server: ServerName) -> list[Op[int]]:
    """Take a process off the registry."""
    info_key, workers_key, _ = server.keys
    return [
        unlist(keys.SERVERS, info_key),
        unlist(keys.WORKERS, workers_key),
        command("jobs.leave", Effect.IDEMPOTENT, "DEL", *server.keys, keys=server.keys, decode=int),
    ]


def unlist(listing: str, member: str) -> Op[int]:
    """Take a key off such a list."""
    return command("jobs.unlist", Effect.IDEMPOTENT, "ZREM", listing, member, keys=(listing,), decode=int)
