"""Tunables of the idempotency room."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from hustlex.core import bounds, check
from hustlex.core.bounds import within
from hustlex.core.durability.level import LEVELS, Durability, Level, briefly
from hustlex.core.time import positive_ms, to_ms
from hustlex.errors import ConfigurationError

Orphans = Literal["refuse", "reconcile", "takeover"]
"""What happens to a claim whose owner is gone: nobody knows whether it had its effect.

refuse: it stays as it is. reconcile: a callback that can find out decides; without one, as refuse.
takeover: the next caller executes; only for work that may happen twice.
"""

KEPT_HEADERS = frozenset(
    {
        "content-type",
        "content-encoding",  # a body compressed by middleware inside ours is kept as it is
        "content-language",
        "content-disposition",
        "location",
        "etag",
        "link",
    }
)


class IdempotencyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How keys behave. Raises ConfigurationError."""

    orphans: Orphans = "reconcile"
    """What happens to a claim whose owner is gone: it stays ("refuse"), a callback decides ("reconcile"), or the next
    caller executes ("takeover"); see Orphans."""
    lease: timedelta = timedelta(seconds=30)
    """How long an owner that does not renew counts as alive, 1 second to 1 hour."""
    ttl: timedelta = timedelta(hours=24)
    """Life of a key after its last change; clients may repeat a request that long, 1 minute to 366 days."""
    max_answer: int = 65_536
    """Bytes of an answer that are kept, up to 1 MiB; of a larger one only the status is."""
    headers: frozenset[str] = KEPT_HEADERS
    """Lower-case names of the answer's headers that are kept."""
    given_back: frozenset[int] = frozenset({401, 403, 422, 429})
    """Statuses that say that nothing was done: not kept, the key can be used again at once."""
    left_open: frozenset[int] = frozenset({503})
    """Statuses that say nothing: not kept, the claim lapses and ``orphans`` decides."""
    durability: Level = "memory"
    """What a claim waits for before its caller is told: "fsync" until it is on the disk, "replica" until replicas have
    it, or "replica_fsync" both; ``Started.durable`` says whether it got so far."""
    replicas: int = 1
    """How many replicas must have it, 1 to 8."""
    replica_wait: timedelta = timedelta(milliseconds=50)
    """How long the replicas may take, up to 1 second; the disk has 1.5 s, a replica's 2.5 s."""

    def __post_init__(self) -> None:
        with bounds.options():
            check.one_of("durability", self.durability, LEVELS)
            check.one_of("orphans", self.orphans, ("refuse", "reconcile", "takeover"))
            for name in ("headers", "given_back", "left_open"):
                check.instance(name, getattr(self, name), frozenset, set)
            for header in self.headers:
                check.text("a header", header)
            for status in (*self.given_back, *self.left_open):
                check.whole("a status", status, 100, 999)
        within("lease", self.lease, timedelta(seconds=1), timedelta(hours=1))
        within("ttl", self.ttl, timedelta(minutes=1), timedelta(days=366))
        if self.lease >= self.ttl:
            raise ConfigurationError("lease must be shorter than ttl", hint="a claim must not end under its owner")
        within("max_answer", self.max_answer, 0, 2**20)
        within("replicas", self.replicas, 1, 8)
        if any(name != name.lower() for name in self.headers):
            raise ConfigurationError("headers must be lower-case names")
        within("replica_wait", self.replica_wait, timedelta(milliseconds=1), timedelta(seconds=1))

    @property
    def waits(self) -> Durability | None:
        """What a claim waits for; None for nothing."""
        return briefly(self.durability, self.replicas, to_ms(self.replica_wait))

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return positive_ms("lease", self.lease)

    @property
    def ttl_ms(self) -> int:
        """The life of a key in milliseconds."""
        return positive_ms("ttl", self.ttl)
