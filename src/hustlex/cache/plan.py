"""Everything a flow needs to know about its cache: limits, codec, clock, dice, and the table of flights."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec

from hustlex.cache import frame, keys
from hustlex.cache.codec import ValueCodec
from hustlex.cache.counts import Counts
from hustlex.cache.flights import Compute, FlightTable
from hustlex.cache.policy import CachePolicy, checked_ms
from hustlex.cache.types import EntryKey, Key
from hustlex.core.time import Clock
from hustlex.errors import Misuse

V = TypeVar("V")

_PATIENCE = 6
"""Times ``wait``, for computations of this process: what waits here costs less than computing twice."""


class Dice(msgspec.Struct, frozen=True):
    """Chance and elapsed time, so that tests can hold them still. token: 16 hex. draw: 0 to 1."""

    token: Callable[[], str] = lambda: secrets.token_hex(8)
    draw: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic


class CachePlan(Generic[V]):
    """One named cache, without its driver."""

    def __init__(
        self,
        name: str,
        codec: ValueCodec[V],
        policy: CachePolicy,
        flights: FlightTable,
        *,
        prefix: str,
        clock: Clock,
        dice: Dice | None = None,
    ) -> None:
        self.name = keys.check_name(name)
        self.codec = codec
        self.policy = policy
        self.flights = flights
        self.clock = clock
        self.dice = dice or Dice()
        self.counts = Counts(name)
        self.patience_s = _PATIENCE * policy.wait_ms / 1000
        self.gate: Callable[[Compute], Compute] = flights.gate(policy.bulkhead, self.patience_s)
        self._prefix = prefix

    def entry(self, key: Key) -> EntryKey:
        """The Redis key. Raises Misuse for an unusable part, or for another cache's EntryKey."""
        if not isinstance(key, EntryKey):
            return keys.entry(self._prefix, keys.logical(self.name, key))
        own = keys.entry(self._prefix, self.name)
        if key != own and not key.startswith(f"{own}:"):
            raise Misuse(f"this is not a key of the cache {self.name!r}", hint="pass what follows the cache's name")
        return key

    def templated(self, logical: str) -> EntryKey:
        """The Redis key of a filled-in template."""
        return keys.entry(self._prefix, logical)

    def lease(self, entry: str) -> str:
        """The lease of an entry."""
        return keys.lease(self._prefix, entry)

    def ttl_ms(self, ttl: timedelta | None) -> int:
        """A call's own ttl, or the cache's. Raises Misuse for one out of range."""
        return self.policy.ttl_ms if ttl is None else checked_ms("ttl", ttl)

    def life_ms(self, body: bytes, ttl_ms: int) -> int:
        """How long this body stays: never longer than its ttl, and less by a random part, so that entries stored
        together do not end together.
        """
        if body == frame.NEGATIVE_BODY:
            ttl_ms = min(ttl_ms, self.policy.negative_ttl_ms)
        return max(1, int(ttl_ms * (1 - self.policy.jitter * self.dice.draw())))
