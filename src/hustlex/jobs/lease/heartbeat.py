"""The heartbeat of a worker process: what tools list of it, in Asynq's registry."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, command
from hustlex.jobs import keys

_BEAT = load("hustlex.jobs", "lease/beat")


class ServerName(msgspec.Struct, frozen=True):
    """A worker process: what its two registry keys are named after."""

    host: str
    pid: int
    id: str

    @property
    def keys(self) -> tuple[str, str]:
        """Its ServerInfo and its workers."""
        return keys.server(self.host, self.pid, self.id), keys.workers(self.host, self.pid, self.id)


def beat(server: ServerName, life_s: int, now_s: int, info: bytes, running: Sequence[Arg]) -> list[Op[int]]:
    """Say that a process lives; the first answer is the server's clock in ms. running: task id, WorkerInfo, ...

    life_s: seconds until it counts as gone. now_s: Unix second. Several calls: their keys live in different slots.
    """
    info_key, workers_key = server.keys
    calls = [
        _BEAT.op((info_key, workers_key), (life_s, info, *running), int),
        enlist(keys.SERVERS, info_key, now_s + life_s),
    ]
    return [*calls, enlist(keys.WORKERS, workers_key, now_s + life_s)] if running else calls


def enlist(listing: str, member: str, expiry_s: int) -> Op[int]:
    """Put a key on a list of those that live. expiry_s: Unix second."""
    return command("jobs.list", Effect.IDEMPOTENT, "ZADD", listing, expiry_s, member, keys=(listing,), decode=int)


def leave(server: ServerName) -> list[Op[int]]:
    """Take a process off the registry."""
    info_key, workers_key = server.keys
    return [
        unlist(keys.SERVERS, info_key),
        unlist(keys.WORKERS, workers_key),
        command("jobs.leave", Effect.IDEMPOTENT, "DEL", info_key, workers_key, keys=server.keys, decode=int),
    ]


def unlist(listing: str, member: str) -> Op[int]:
    """Take a key off such a list."""
    return command("jobs.unlist", Effect.IDEMPOTENT, "ZREM", listing, member, keys=(listing,), decode=int)
