"""What an application does in a day."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core import check

_MOST = 10**12
_DAY = timedelta(days=1)
_ALGORITHMS = ("strict", "log", "counter", "fixed", "gcra")


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers per day, and what is assumed of each. Raises Misuse for what cannot be."""

    users: int
    """Who use it in a day; each may be limited, and has an entry in the cache."""
    logins: int = 0
    """With a code each."""
    requests: int = 0
    """That are authenticated; each is checked, limited, and reads the cache once."""
    payments: int = 0
    """Requests among them that carry an idempotency key."""
    jobs: int = 0
    """Jobs that are enqueued."""
    retention: timedelta = timedelta(0)
    """How long the result of a job is kept."""
    backlog: timedelta = timedelta(minutes=10)
    """How long jobs may pile up while no worker runs."""
    job_bytes: int = 300
    """Arguments of a job, and again its result where it is kept."""
    session_ttl: timedelta = timedelta(days=7)
    """How long a session lasts."""
    access_ttl: timedelta = timedelta(minutes=15)
    """How long an access token is good: so long a revocation is kept, and the session's end."""
    logouts: float = 0.2
    """Share of sessions that end by a logout, or are revoked."""
    algorithm: str = "strict"
    """Of rate limits."""
    window: timedelta = timedelta(minutes=1)
    """Of rate limits."""
    limit: int = 60
    """Calls of one user in a window: what the algorithm "log" keeps one by one."""
    answer_bytes: int = 500
    """Of a payment's answer, which is kept."""
    answer_ttl: timedelta = _DAY
    """How long it is kept."""
    cached: int | None = None
    """Entries in the cache; default one for each user."""
    cached_bytes: int = 500
    """Of an entry's value."""
    hit_share: float = 0.9
    """Of the cache's reads, those that find something."""
    strict_checks: float = 0.1
    """Share of requests whose token is checked with the server; the others are checked in memory."""
    peak: float = 4.0
    """The busiest minute, in times of the mean."""
    replicas: int = 1
    """Of each server."""
    server_memory: int = 16 * 2**30
    """What a server may hold at most: the size from which on saves and failovers take too long."""

    def __post_init__(self) -> None:
        for name in ("users", "logins", "requests", "payments", "jobs", "job_bytes", "answer_bytes", "cached_bytes"):
            check.whole(name, getattr(self, name), 0, _MOST)
        if self.cached is not None:
            check.whole("cached", self.cached, 0, _MOST)
        for name in ("retention", "backlog", "session_ttl", "access_ttl", "window", "answer_ttl"):
            check.duration(name, getattr(self, name))
        for name in ("logouts", "hit_share", "strict_checks"):
            check.number(name, getattr(self, name), 0, 1)
        check.one_of("algorithm", self.algorithm, _ALGORITHMS)
        check.whole("limit", self.limit, 1, _MOST)
        check.number("peak", self.peak, 1, 1_000)
        check.whole("replicas", self.replicas, 0, 10)
        check.whole("server_memory", self.server_memory, 2**26, 2**50)
