"""How many entries a cache has on the server, and how large they are: counted by a scan that others hardly notice."""

from __future__ import annotations

import re
from collections.abc import Generator
from itertools import count
from typing import Any

import msgspec

from hustlex.cache import keys
from hustlex.core.op import Batch, Effect, Flow, Op, Part, Reply, Sleep, Step, command

_STEP = 1000
_MOST_STEPS = 200
_WEIGHED = 200
_PAUSE_S = 0.005


class CacheSize(msgspec.Struct, frozen=True):
    """What a cache takes."""

    name: str
    """The cache's."""
    entries: int
    """How many there are."""
    bytes: int
    """What they take in memory, by up to 200 of them that were weighed."""
    counted: bool
    """Whether all keys were looked at; else both numbers are estimated from those that were."""


def size(prefix: str, name: str) -> Flow[CacheSize]:
    """Of all servers. Raises Misuse."""
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", f"{prefix}cache:{keys.check_name(name)}:") + "*"
    entries, sample, counted = 0.0, list[str](), True
    for number in count():
        found = yield from _server(pattern, number)
        if found is None:
            break
        here, share = found
        entries += len(here) / share
        counted = counted and share == 1
        sample += here[: max(0, _WEIGHED - len(sample))]
    weights = [each for each in (yield Batch(tuple(map(_weight, sample)))) if isinstance(each, int) and each]
    mean = sum(weights) / len(weights) if weights else 0
    return CacheSize(name, round(entries), round(mean * entries), counted)


def _server(pattern: str, number: int) -> Generator[Step, Any, tuple[list[str], float] | None]:
    """The entries at one server that were seen, and the share of its keys that was looked at; None past the last."""
    cursor, seen = "0", dict[str, None]()
    for _ in range(_MOST_STEPS):
        answer = yield Part(_scan(cursor, pattern), number)
        if answer is None:
            return None
        cursor, found = answer
        seen |= dict.fromkeys(found)
        if cursor == "0":
            return list(seen), 1.0
        yield Sleep(_PAUSE_S)
    there = yield Part(command("cache.keys", Effect.READ, "DBSIZE", decode=int), number)
    return list(seen), min(1.0, _MOST_STEPS * _STEP / max(1, there or 0))


def _scan(cursor: str, pattern: str) -> Op[tuple[str, list[str]]]:
    args = ("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP, "TYPE", "string")
    return command("cache.scan", Effect.READ, *args, decode=_page)


def _page(reply: Reply) -> tuple[str, list[str]]:
    return bytes(reply[0]).decode(), [bytes(key).decode("utf-8", "replace") for key in reply[1]]


def _weight(key: str) -> Op[int]:
    return command("cache.weight", Effect.READ, "MEMORY", "USAGE", key, keys=(key,), decode=_bytes)


def _bytes(reply: Reply) -> int:
    """None: it has left since."""
    return int(reply or 0)
