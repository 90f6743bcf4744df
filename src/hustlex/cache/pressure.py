"""A cache that shares the state's server yields, so that what must not be lost has room.

Where the server may evict, or the cache has one of its own, nothing is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hustlex.core.memory.facts import SAFE_POLICY, fields_of
from hustlex.core.op import Batch, Effect, Flow, Op, Reply, command, do
from hustlex.errors import Error

EVERY_S = 5.0
_HALVES, _STOPS, _SWEEPS = 0.7, 0.8, 0.9
_STEP = 500
_GLOB = re.compile(r"[*?\[\]\\^-]")


class MemoryPressure:
    """Looks at the server's memory with a write, every five seconds at most. active: whether state is there, too."""

    def __init__(self, prefix: str, monotonic: Callable[[], float], *, active: bool = False) -> None:
        self.active = active
        self.share = 0.0
        """Of maxmemory, that is in use."""
        self._pattern = _GLOB.sub(lambda found: f"\\{found[0]}", prefix) + "cache:*"
        self._monotonic = monotonic
        self._due = 0.0
        self._cursor = b"0"

    def life_ms(self, ttl_ms: int) -> int:
        """Entries live half as long from 70 % on."""
        return ttl_ms // 2 if self.share > _HALVES else ttl_ms

    @property
    def stops(self) -> bool:
        """Nothing is stored from 80 % on."""
        return self.share > _STOPS

    def look(self) -> Flow[None]:
        """Ask, when that is due; from 90 % on, drop the half of 500 entries that ends first. Failures are ignored."""
        if not self.active or self._monotonic() < self._due:
            return
        self._due = self._monotonic() + EVERY_S
        try:
            self.share = yield from do(_used())
            if self.share > _SWEEPS:
                yield from self._sweep()
        except Error:
            return

    def _sweep(self) -> Flow[None]:
        page = command(
            "cache.sweep", Effect.READ, "SCAN", self._cursor, "MATCH", self._pattern, "COUNT", _STEP, decode=_page
        )
        self._cursor, entries = yield from do(page)
        lives = yield Batch(tuple(_of("PTTL", entry) for entry in entries))
        ending = sorted((life, entry) for life, entry in zip(lives, entries, strict=True) if isinstance(life, int))
        if ending:
            yield Batch(tuple(_of("UNLINK", entry) for _, entry in ending[: (len(ending) + 1) // 2]))


def _used() -> Op[float]:
    def decode(reply: Reply) -> float:
        info = fields_of(bytes(reply))
        limit = int(info.get("maxmemory", 0))
        if not limit or info.get("maxmemory_policy") != SAFE_POLICY:
            return 0.0
        return (int(info["used_memory"]) - int(info.get("mem_not_counted_for_evict", 0))) / limit

    return command("cache.memory", Effect.READ, "INFO", "memory", decode=decode)


def _of(word: str, entry: bytes) -> Op[Any]:
    effect = Effect.READ if word == "PTTL" else Effect.IDEMPOTENT
    keys = (entry.decode("utf-8", "surrogateescape"),)
    return command("cache.sweep", effect, word, entry, keys=keys, decode=int)


def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    return reply[0], reply[1]
