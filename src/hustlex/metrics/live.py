"""How many live connections each process serves. Those that have any say so with what their rooms did, every ten
seconds; one that says nothing for a minute is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.core.streams import open_streams
from hustlex.core.time import server_clock

_SERVE = load("hustlex.metrics", "serve")
_MOST = 1_000


class LiveConnections(msgspec.Struct, frozen=True, array_like=True):
    """What one process serves."""

    process: str
    """``host:pid``."""
    sse: int
    """Event streams."""
    websocket: int
    """Sockets."""

    @property
    def total(self) -> int:
        """Both."""
        return self.sse + self.websocket


class LiveTally:
    """What this process has said of itself."""

    def __init__(self) -> None:
        self._said = b""

    def report(self, prefix: str) -> Op[None] | None:
        """The call that tells it; None where there is nothing to tell, and was nothing before."""
        counts = open_streams.counts
        now = msgspec.json.encode((f"{socket.gethostname()}:{os.getpid()}", *counts)) if any(counts) else b""
        before, self._said = self._said, now
        if not (now or before):
            return None
        return _SERVE.op((_key(prefix),), (server_clock(), before, now), _nothing)


def read_live(prefix: str) -> Op[list[LiveConnections]]:
    """Of each process that has any, the busiest first; 1,000 processes at most."""
    key = _key(prefix)
    return command("metrics.live", Effect.READ, "ZREVRANGE", key, 0, _MOST - 1, keys=(key,), decode=_newest)


def _newest(reply: Reply) -> list[LiveConnections]:
    """A process whose answer was lost may stand there twice: what it said last counts."""
    rows: Iterable[bytes] = reply or ()
    found = {each.process: each for each in map(_read, reversed([*rows])) if each is not None}
    return sorted(found.values(), key=lambda each: (-each.total, each.process))


def _read(row: bytes) -> LiveConnections | None:
    """None for what cannot be read: of another version, or not ours."""
    try:
        return msgspec.json.decode(row, type=LiveConnections)
    except msgspec.MsgspecError:
        return None


def _key(prefix: str) -> str:
    return f"{prefix}x:{{rooms}}:served"


def _nothing(_: object) -> None:
    """It was noted."""
