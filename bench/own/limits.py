"""Decisions by this package's rate limit room, as an API process makes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from hustlex.drivers.aio import Driver
from hustlex.ratelimit import Policy, RateLimit, RateLimitOptions

_MINUTE = timedelta(minutes=1)
_WIDE = 1_000_000


def _policy(kind: str) -> Policy | tuple[Policy, ...]:
    if kind == "three":
        return tuple(_plain(each) for each in ("strict", "counter", "gcra"))
    if kind == "prefetch":
        return Policy(kind, _WIDE, _MINUTE, prefetch=timedelta(milliseconds=250))
    return Policy(kind, 1, _MINUTE, "counter") if kind == "denied" else _plain(kind)


def _plain(kind: Any) -> Policy:
    limit = 10_000 if kind == "log" else _WIDE
    return Policy(kind, limit, _MINUTE, kind, burst=_WIDE // 2 if kind == "gcra" else None)


def connect(url: str, kind: str) -> tuple[Callable[[str], Awaitable[Any]], Callable[[], Awaitable[None]]]:
    """A check of one identity, and how to close. kind: an algorithm, "three" at once, "prefetch" or "denied"."""
    driver = Driver(url)
    # A budget that a crowded machine cannot break: what is measured is decisions by the server.
    limits = RateLimit(driver, options=RateLimitOptions(timeout=timedelta(seconds=10)))
    policy = _policy(kind)

    def check(identity: str) -> Awaitable[Any]:
        return limits.check(policy, identity, endpoint="/transfers")

    return check, driver.close


def blocking(url: str, kind: str) -> Callable[[str], Any]:
    """The same, without asyncio."""
    from hustlex._sync.ratelimit import RateLimit as BlockingRateLimit
    from hustlex.drivers.blocking import Driver as BlockingDriver

    limits, policy = BlockingRateLimit(BlockingDriver(url)), _policy(kind)
    return lambda identity: limits.check(policy, identity, endpoint="/transfers")
