"""The server's memory limit and what it does when that is reached. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from hustlex.core.logs import logger
from hustlex.core.op import Effect, Flow, Op, Part, Reply, command, do
from hustlex.errors import ConfigurationError, Refused

SAFE_POLICY = "noeviction"
_log = logger("hustlex")


class MemoryLimit(msgspec.Struct, frozen=True):
    """limit: bytes, 0 for none. policy: maxmemory-policy; "" when the server does not say."""

    limit: int
    policy: str

    @property
    def evicts(self) -> bool:
        """Whether keys may disappear before their time. An unknown policy may."""
        return self.limit > 0 and self.policy != SAFE_POLICY


def ask(at: str = "") -> Flow[MemoryLimit]:
    """What the server says. INFO first: it is one call, allowed to users of least privilege, and on managed servers.

    at: a key of a slot that the node serves, in a cluster.
    """
    keys = (at,) if at else ()
    facts = yield from do(_info(keys))
    if facts is not None:
        return facts
    try:
        return (yield from do(_config(keys)))
    except Refused:
        return MemoryLimit(1, "")


def check() -> Flow[None]:
    """Raises ConfigurationError when the server may evict."""
    memory = next((each for each in (yield from _everywhere()) if each.evicts), None)
    if memory is not None:
        policy = memory.policy or "unknown"
        _log.error("the state server may evict security state: maxmemory is set and maxmemory-policy is %s", policy)
        raise ConfigurationError(
            f"the state server may evict codes, sessions and idempotency keys (maxmemory-policy is {policy})",
            hint="set maxmemory-policy noeviction and give the cache a server of its own; see: hustlex doctor",
        )


def memory_of(info: Mapping[str, str]) -> MemoryLimit | None:
    """What INFO's fields say of it; None when they do not."""
    return _of(info, "_")


def _everywhere() -> Flow[list[MemoryLimit]]:
    """What each server that holds the data says."""
    info, found = _info(()), list[MemoryLimit]()
    wrapped = replace(info, decode=lambda reply: (info.decode(reply),))
    while (answer := (yield Part(wrapped, len(found)))) is not None:
        found.append(answer[0] or (yield from _settings(len(found))))
    return found


def _settings(number: int) -> Flow[MemoryLimit]:
    try:
        limit: MemoryLimit = yield Part(_config(()), number)
    except Refused:
        return MemoryLimit(1, "")
    return limit


def fields_of(info: bytes) -> dict[str, str]:
    """INFO's lines."""
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}


def _info(keys: tuple[str, ...]) -> Op[MemoryLimit | None]:
    def decode(reply: Reply) -> MemoryLimit | None:
        return _of(fields_of(bytes(reply)), "_")

    return command("server.memory", Effect.READ, "INFO", "memory", keys=keys, decode=decode)


def _config(keys: tuple[str, ...]) -> Op[MemoryLimit]:
    def decode(reply: Reply) -> MemoryLimit:
        settings = {name.decode(): value.decode() for name, value in reply.items()}
        return _of(settings, "-") or MemoryLimit(1, "")

    words = ("CONFIG", "GET", "maxmemory", "maxmemory-policy")
    return command("server.memory_settings", Effect.READ, *words, keys=keys, decode=decode)


def _of(settings: Mapping[str, str], joint: str) -> MemoryLimit | None:
    limit, policy = settings.get("maxmemory"), settings.get(f"maxmemory{joint}policy")
    return MemoryLimit(int(limit), policy) if limit is not None and policy is not None else None
