"""The rate limit room's door."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial

from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.ratelimit import flows, ops
from hustlex.ratelimit.types import Decision, Policy


class RateLimit:
    """Limits by caller and endpoint. Every decision is one atomic step, taken by the server's clock.

    prefix: put before every key. clock: tests only. local_clock: this process' idea of the server's time; a wrong one
    costs one more round trip, once, and never changes a decision.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        local_clock: Clock = flows.system_clock,
    ) -> None:
        self._driver = driver
        self._prefix = prefix
        self._clock = clock
        self._time = flows.ServerTime(local_clock)

    async def check(
        self, policy: Policy | Sequence[Policy], identity: str, *, endpoint: str, cost: int = 1
    ) -> Decision:
        """Judge one call and charge it: all policies, or none when one of them refuses (one round trip).

        policy: one, or up to 8, judged together. identity: the caller, as a user id, ``ip:203.0.113.7`` or ``global``;
        it stands in key names, so pass a reference instead of personal data. endpoint: a label from a small, fixed set,
        as the route's template, never the raw path. cost: how many calls this one counts for, 1 or more.
        A denied call is charged nothing. Pass the same list of policies wherever an endpoint's calls are counted
        together: policies of one kind that are judged together have keys of their own.
        Raises Misuse, Unavailable, and OutcomeUnknown when a reply was lost and the call may have been charged.
        Source: lua/check.lua.
        """
        at = ops.target(self._prefix, policy, identity, endpoint)
        make = partial(ops.check, at, cost, secrets.token_urlsafe(8), self._clock())
        return await self._driver.follow(flows.aligned(make, self._time))

    async def peek(self, policy: Policy | Sequence[Policy], identity: str, *, endpoint: str, cost: int = 1) -> Decision:
        """What ``check`` would answer now; charges nothing (one round trip). Raises Misuse, Unavailable."""
        at = ops.target(self._prefix, policy, identity, endpoint)
        make = partial(ops.peek, at, cost, self._clock())
        return await self._driver.follow(flows.aligned(make, self._time))

    async def reset(self, policy: Policy | Sequence[Policy], identity: str, *, endpoint: str) -> bool:
        """Forget what a caller used (one round trip). True when there was something. Raises Misuse, Unavailable."""
        at = ops.target(self._prefix, policy, identity, endpoint)
        make = partial(ops.reset, at, self._clock())
        return await self._driver.follow(flows.aligned(make, self._time))
