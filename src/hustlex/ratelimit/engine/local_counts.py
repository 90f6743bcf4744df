"""Counting in this process alone, while the server is away: strict buckets per policy, leases by their ends.

It starts from the last answer of the server, so that losing the server is no free refill. Safe to share by threads.
"""

from __future__ import annotations

import threading
from datetime import timedelta

from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import NEVER, PolicyState

_BUCKETS = 20


class BucketCount:
    """At most ``limit`` units in any window. Times in seconds."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self._width = window_s / _BUCKETS
        self._taken: dict[int, int] = {}

    def used(self, now: float) -> int:
        """Units that count now. Those of a future, where the clock went back, count as taken now."""
        newest = int(now / self._width)
        for bucket in [bucket for bucket in self._taken if bucket > newest]:
            self._taken[newest] = self._taken.get(newest, 0) + self._taken.pop(bucket)
        oldest = newest - _BUCKETS
        for bucket in [bucket for bucket in self._taken if bucket < oldest]:
            del self._taken[bucket]
        return sum(self._taken.values())

    def take(self, now: float, units: int) -> None:
        bucket = int(now / self._width)
        self._taken[bucket] = self._taken.get(bucket, 0) + units

    def give(self, units: int) -> None:
        for bucket in sorted(self._taken, reverse=True):
            part = min(units, self._taken[bucket])
            self._taken[bucket] -= part
            units -= part

    def wait(self, now: float, goal: int) -> float:
        """Seconds until at most ``goal`` units count."""
        used = self.used(now)
        for bucket in sorted(self._taken):
            if used <= goal:
                break
            used -= self._taken[bucket]
            if used <= goal:
                return (bucket + _BUCKETS + 1) * self._width - now
        return 0.0


class LocalCounts:
    """One caller's policies, counted here. replicas: how many processes share the limits."""

    def __init__(self, policies: tuple[Policy, ...], limits: list[int], replicas: int) -> None:
        self._lock = threading.Lock()
        self._replicas = replicas
        self.policies = policies
        self.counts = [
            BucketCount(max(1, -(-limit // replicas)), policy.window.total_seconds())
            for policy, limit in zip(policies, limits, strict=True)
        ]

    def seed(self, states: tuple[PolicyState, ...], now: float) -> None:
        """Count at least this process' share of what the server had counted last."""
        with self._lock:
            for state, count in zip(states, self.counts, strict=False):
                share = min(count.limit, -(-max(0, state.limit - state.remaining) // self._replicas))
                count.take(now, max(0, share - count.used(now)))

    def give_back(self, cost: int) -> None:
        """Undo one call."""
        with self._lock:
            for policy, count in zip(self.policies, self.counts, strict=True):
                count.give(policy.cost * cost)

    def judge(self, cost: int, now: float) -> tuple[bool, tuple[PolicyState, ...]]:
        """Charge every policy that counts here, or none."""
        with self._lock:
            mine = [(p, c, p.cost * cost) for p, c in zip(self.policies, self.counts, strict=True)]
            refusing = [p.on_error == "local" and c.used(now) + units > c.limit for p, c, units in mine]
            binding = [over and not p.shadow for over, (p, _, _) in zip(refusing, mine, strict=True)]
            closed = any(p.on_error == "closed" and not p.shadow for p in self.policies)
            allowed = not closed and not any(binding)
            if allowed:
                for _, count, units in mine:
                    count.take(now, units)
            states = [_state(p, c, units, over, now) for over, (p, c, units) in zip(refusing, mine, strict=True)]
        return allowed, tuple(states)


def _state(policy: Policy, count: BucketCount, units: int, over: bool, now: float) -> PolicyState:
    used = count.used(now)
    shut = policy.on_error == "closed"
    retry = timedelta(0)
    if shut:
        retry = timedelta(seconds=5)
    elif over:
        retry = NEVER if units > count.limit else timedelta(seconds=count.wait(now, count.limit - units))
    return PolicyState(
        policy.name,
        policy.limit,
        policy.window,
        not over and not shut,
        0 if shut else max(0, count.limit - used),
        retry,
        timedelta(seconds=count.wait(now, max(0, used - 1))),
        timedelta(seconds=count.wait(now, 0)),
    )
