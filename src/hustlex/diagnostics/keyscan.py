"""A sample of the keys: which live for ever, which are large, which are not ours. Never what is in them.

Slow on purpose: between two steps the server has nothing of it to do, for a hundred times as long as a step takes it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from hustlex.core.memory import MemoryLimit
from hustlex.core.op import Batch, Effect, Flow, Op, Reply, Sleep, command, do
from hustlex.diagnostics import asks
from hustlex.diagnostics.rights import ROOMS, rights
from hustlex.diagnostics.seen import key_pattern
from hustlex.errors import Error, Refused

_STEP = 200
_PAUSE_S = 0.06
"""A step is some 600 short commands: 0.6 ms of the server."""
_LARGE_STRING = 2**20
_LARGE = 10 * 2**20
_MANY = 10_000
_LIKELY_MANY = 50_000
"""Bytes from which a collection may have so many elements."""
_EXAMPLES = 3
_SIZES = {b"hash": "HLEN", b"list": "LLEN", b"set": "SCARD", b"zset": "ZCARD", b"stream": "XLEN"}
_KEPT = frozenset({"asynq"})
"""Families whose keys live until something ends them."""


class KeyFacts(msgspec.Struct, frozen=True):
    """Of the keys that were looked at. Keys are shown as patterns, as ``otp:{*}:*``."""

    looked: int
    known: int
    """All keys of the server."""
    immortal: dict[str, int]
    """Keys of ours without a time to live that should have one, by pattern."""
    large: tuple[str, ...]
    """Pattern and size of some large ones."""
    foreign: dict[str, int]
    """Keys under our prefix that no room of ours made, by pattern; without a prefix: all others."""
    prefixed: bool
    """Whether we have a prefix."""
    hottest: int | None
    """The largest frequency (OBJECT FREQ, 0 to 255) that was seen; None where the policy does not count."""


def scan(at: str, prefix: str, most: int, memory: MemoryLimit) -> Flow[KeyFacts | None]:
    """Look at so many keys at most; None when the user may not."""
    known = yield from asks.allowed(asks.ask(at, int, "DBSIZE"))
    found, cursor = _Found(prefix, counting="lfu" in memory.policy), b"0"
    try:
        while True:
            cursor, keys = yield from do(asks.ask(at, _page, "SCAN", cursor, "COUNT", _STEP))
            yield from found.look(keys[: most - found.looked])
            if cursor == b"0" or found.looked >= most:
                return found.facts(known or 0)
            yield Sleep(_PAUSE_S)
    except Refused:
        return None


class _Found:
    def __init__(self, prefix: str, *, counting: bool) -> None:
        self.looked = 0
        self._prefix = prefix
        self._counting = counting
        self._families = {pattern.partition(":")[0] for pattern in rights(ROOMS).keys}
        self._immortal: Counter[str] = Counter()
        self._foreign: Counter[str] = Counter()
        self._large: list[str] = []
        self._hottest = 0

    def look(self, keys: list[bytes]) -> Flow[None]:
        self.looked += len(keys)
        ours = [key for key in keys if self._ours(key)]
        words = [("PTTL",), ("TYPE",), ("MEMORY", "USAGE"), *([("OBJECT", "FREQ")] if self._counting else [])]
        answers: list[Any] = yield Batch(tuple(_of(key, *each) for key in ours for each in words))
        rows = [answers[n : n + len(words)] for n in range(0, len(answers), len(words))]
        for key, (life, kind, size, *frequency) in zip(ours, rows, strict=True):
            for answer in (life, kind, size):
                if isinstance(answer, Error):
                    raise answer
            if life == -1 and self._family(key) not in _KEPT:
                self._immortal[key_pattern(key, self._prefix)] += 1
            if frequency and isinstance(frequency[0], int):
                self._hottest = max(self._hottest, frequency[0])
            yield from self._weigh(key, bytes(kind), size or 0)

    def _weigh(self, key: bytes, kind: bytes, size: int) -> Flow[None]:
        if size < _LIKELY_MANY or len(self._large) >= _EXAMPLES:
            return
        elements = (yield from do(_of(key, _SIZES[kind]))) if kind in _SIZES else 0
        if size > (_LARGE_STRING if kind == b"string" else _LARGE) or elements > _MANY:
            detail = f", {elements} elements" if elements else ""
            self._large.append(f"{key_pattern(key, self._prefix)} ({size / 2**20:.1f} MiB{detail})")

    def _family(self, key: bytes) -> str:
        return key.decode("utf-8", "replace").removeprefix(self._prefix).partition(":")[0]

    def _ours(self, key: bytes) -> bool:
        """Whether a room made it; jobs have no prefix."""
        family = self._family(key)
        if key.startswith(b"asynq:"):
            return True
        if not key.startswith(self._prefix.encode()):
            return False
        if family not in self._families:
            self._foreign[key_pattern(key, self._prefix)] += 1
            return False
        return True

    def facts(self, known: int) -> KeyFacts:
        return KeyFacts(
            self.looked,
            known,
            dict(self._immortal.most_common(_EXAMPLES)),
            tuple(self._large),
            dict(self._foreign.most_common(_EXAMPLES)),
            bool(self._prefix),
            self._hottest if self._counting else None,
        )


def _of(key: bytes, *words: str) -> Op[Any]:
    name = key.decode("utf-8", "surrogateescape")
    return command(f"doctor.{words[0].lower()}", Effect.READ, *words, key, keys=(name,), decode=lambda reply: reply)


def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    return reply[0], reply[1]
