"""A cache backend for Django: ``CACHES = {"default": {"BACKEND": "hustlex.django.cache.HustlexCache", ...}}``.

LOCATION: the server's URL. Whole numbers are kept as text, so that ``incr`` is one atomic step; all else is pickled and
signed with SECRET_KEY, so that who can write to Redis cannot run code here. Reads miss while the server is away or does
not serve, and what another version of the code pickled and this one cannot read; what changes something raises, because
a lost invalidation is stale data. ``timeout=None``: until evicted.

For computations that run once in the whole fleet use ``hustlex.django.front().cache``.
"""

from __future__ import annotations

import hmac
import pickle
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.utils.crypto import salted_hmac

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.core.lua import load
from hustlex.core.op import Effect, Flow, Op, Part, command
from hustlex.drivers.blocking import Driver
from hustlex.errors import BadReply, Error, Refused, Unavailable

_INCREMENT = load("hustlex.django", "increment")
_MAC_BYTES = 16
_MOST_BITS = 63
_LONGEST_NUMBER = 20
_LONGEST_S = check.LONGEST_DURATION.total_seconds()
_PASSED_OVER = (Unavailable, Refused, BadReply)
"""By reads: also a server that is full, filled, or a replica serves nobody."""
_MISSING = object()
_log = logger("hustlex.django")


class HustlexCache(BaseCache):
    """Django's cache, on this package's blocking driver. All keys begin with ``django:``."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._driver = Driver(server)
        self._secret = salted_hmac("hustlex.django.cache", "values", algorithm="sha256").digest()

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self.get_many([key], version).get(key, default)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = {key: self._name(key, version) for key in keys}
        replies = self._driver.run_many([_get(name) for name in names.values()])
        found = {key: self._read(reply) for key, reply in zip(names, replies, strict=True)}
        return {key: value for key, value in found.items() if value is not _MISSING}

    def has_key(self, key: str, version: int | None = None) -> bool:
        return self.get(key, _MISSING, version) is not _MISSING

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._driver.run(self._set(key, value, timeout, version))

    def set_many(
        self, data: Mapping[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[str]:
        """Returns the keys that could not be set, as Django wants it."""
        results = self._driver.run_many([self._set(key, value, timeout, version) for key, value in data.items()])
        return [key for key, result in zip(data, results, strict=True) if isinstance(result, Error)]

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        life = self._life(timeout)
        name = self._name(key, version)
        if life == ("PX", 0):
            return not self.has_key(key, version)
        return self._driver.run(_write("add", Effect.ONCE, "SET", name, self._bytes(value), *life, "NX"))

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, life = self._name(key, version), self._life(timeout)
        words = ("PEXPIRE", name, life[1]) if life else ("PERSIST", name)
        return self._driver.run(_write("touch", Effect.IDEMPOTENT, *words)) or self.has_key(key, version)

    def delete(self, key: str, version: int | None = None) -> bool:
        return self._driver.run(_delete(self._name(key, version)))

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        self._delete_all([self._name(key, version) for key in keys])

    def _delete_all(self, names: Iterable[str | bytes]) -> None:
        results = self._driver.run_many([_delete(name) for name in names])
        for failed in (result for result in results if isinstance(result, Error)):
            raise failed

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """One atomic step. Raises ValueError for an absent key or a value that is no whole number, as Django's do.

        Also where the sum has over 64 bits.
        """
        name, step = self._name(key, version), check.whole("delta", delta, -(2**63), 2**63 - 1)
        reply = self._driver.run(_INCREMENT.op((name,), (step,), lambda reply: reply))
        if reply[0] == 0:
            raise ValueError("the key is not there, holds no whole number, or would hold one of over 64 bits")
        return int(reply[1])

    def clear(self) -> None:
        """Delete this cache's keys, those with its KEY_PREFIX in every version; others stay. Walks all servers.

        Versions are whole numbers here: in ``shop:eu:1:k`` "eu" is none, so it belongs to the prefix ``shop:eu``.
        """
        pattern = f"django:{_literal(self.key_prefix)}:*"
        ours = re.compile(rf"django:{re.escape(self.key_prefix)}:\d+:".encode())
        self._driver.follow(self._clear(pattern, ours))

    def _clear(self, pattern: str, ours: re.Pattern[bytes]) -> Flow[None]:
        cursor, part = b"0", 0
        while (step := (yield Part(_scan(cursor, pattern), part))) is not None:
            cursor, names = step
            self._delete_all([name for name in names if ours.match(name)])
            part += cursor == b"0"

    def close(self, **_: Any) -> None:
        """Django calls it after each request; the connections stay for the next."""

    def _name(self, key: str, version: int | None) -> str:
        return f"django:{self.make_and_validate_key(key, version)}"

    def _set(self, key: str, value: Any, timeout: Any, version: int | None) -> Op[bool]:
        name, life = self._name(key, version), self._life(timeout)
        if life == ("PX", 0):
            return _delete(name)
        return _write("set", Effect.IDEMPOTENT, "SET", name, self._bytes(value), *life)

    def _life(self, timeout: Any) -> tuple[str, int] | tuple[()]:
        """The words that end an entry: none for never, 0 for at once."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if seconds is None:
            return ()
        return ("PX", max(0, int(check.number("timeout", seconds, -_LONGEST_S, _LONGEST_S) * 1000)))

    def _bytes(self, value: Any) -> bytes:
        if type(value) is int and value.bit_length() <= _MOST_BITS:  # what Redis can add to
            return str(value).encode()
        body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return self._mac(body) + body

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")[:_MAC_BYTES]

    def _read(self, reply: Any) -> Any:
        """The value; _MISSING for none, one that was not signed here, or a server that is away."""
        if isinstance(reply, Error):
            if not isinstance(reply, _PASSED_OVER):
                raise reply
            _log.warning("the cache is away, reads miss: %s", reply)
            return _MISSING
        if reply is None:
            return _MISSING
        if len(reply) <= _LONGEST_NUMBER and reply.removeprefix(b"-").isdigit():
            return int(reply)
        mac, body = reply[:_MAC_BYTES], reply[_MAC_BYTES:]
        return _unpickled(body) if hmac.compare_digest(mac, self._mac(body)) else _MISSING


def _unpickled(body: bytes) -> Any:
    """What was signed with SECRET_KEY; _MISSING when the code that could read it is another or gone by now."""
    try:
        return pickle.loads(body)  # noqa: S301
    except Exception as error:  # noqa: BLE001 - a class's own code, or that it is not there
        _log.warning("a value of the cache is of no use to this code, and missed: %s", type(error).__name__)
        return _MISSING


def _get(name: str) -> Op[Any]:
    return command("django.get", Effect.READ, "GET", name, keys=(name,), decode=lambda reply: reply)


def _scan(cursor: bytes, pattern: str) -> Op[Any]:
    return command(
        "django.scan", Effect.READ, "SCAN", cursor, "MATCH", pattern, "COUNT", 1000, decode=lambda reply: reply
    )


def _literal(text: str) -> str:
    """Text as a pattern that only it fits."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)


def _delete(name: str | bytes) -> Op[bool]:
    return _write("delete", Effect.IDEMPOTENT, "DEL", name)


def _write(verb: str, effect: Effect, *words: str | bytes | int) -> Op[bool]:
    return command(f"django.{verb}", effect, *words, keys=(_text(words[1]),), decode=bool)


def _text(name: str | bytes | int) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
