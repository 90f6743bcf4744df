"""Limits: no interval admits more than its algorithm states, whatever dies meanwhile."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hustlex.ratelimit import Decision, Policy, Source, bound
from tests.chaos.ledgers import Ledger

_WINDOW = timedelta(seconds=2)
POLICIES = [
    Policy("strict", 20, _WINDOW, "strict", on_error="closed"),
    Policy("log", 20, _WINDOW, "log", on_error="closed"),
    Policy("counter", 20, _WINDOW, "counter", on_error="closed"),
    Policy("fixed", 20, _WINDOW, "fixed", on_error="closed"),
    Policy("gcra", 20, _WINDOW, "gcra", burst=10, on_error="closed"),
]
_TICK = timedelta(milliseconds=1)
"""Of the server's clock."""
_LOOKED_AT = 3 * _WINDOW


class LimitsLedger(Ledger):
    name = "limits"

    async def prepare(self) -> None:
        self._passed: defaultdict[str, deque[tuple[float, float]]] = defaultdict(deque)

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [self._play(policy) for policy in POLICIES for _ in range(2)]

    async def _play(self, policy: Policy) -> None:
        while not self.stage.over:
            begun = time.monotonic()
            decision = await self.tried(self.front.ratelimit.check(policy, "caller", endpoint="/chaos"))
            if isinstance(decision, Decision):
                self._note(policy, decision, begun)
            await self.pause(0.08)

    def _note(self, policy: Policy, decision: Decision, begun: float) -> None:
        self.counts[f"{'passed' if decision.allowed else 'refused'} by {decision.source}"] += 1
        self.hold(decision.source is not Source.FAIL_OPEN, "it was let through without the server")
        if decision.allowed:
            self._passed[policy.name].append((begun, time.monotonic()))
            self._judge(policy)

    def _judge(self, policy: Policy) -> None:
        """Any calls that surely passed within a time: the server judged each between its beginning and its end."""
        calls = self._passed[policy.name]
        last = calls[-1][1]
        while calls[0][0] < last - _LOOKED_AT.total_seconds():
            calls.popleft()
        begun = sorted(each for each, _ in calls)
        for place, first in enumerate(begun):
            inside, most = len(begun) - place, bound(policy, timedelta(seconds=last - first) + _TICK)
            if most is not None and inside > most:
                self.hold(False, f"{policy.name} let {inside} pass in {last - first:.3f} s, and states {most}")
                return
