"""The rate limit room's door."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from hustlex.core import check
from hustlex.core.answer.aio import Answer, answering, now, told
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.core.telemetry import from_memory
from hustlex.core.time import Clock, positive_ms, server_clock
from hustlex.errors import Misuse
from hustlex.ratelimit.aio import Hold
from hustlex.ratelimit.coalescing.aio import CoalescedChecks
from hustlex.ratelimit.engine import flows, ops, redeem
from hustlex.ratelimit.engine.compiler import NORMAL, Policies
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.ops import PendingCheck
from hustlex.ratelimit.engine.server_time import system_clock
from hustlex.ratelimit.inspector import LimitInspector
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import Decision


@answering
class RateLimit:
    """Limits by caller and endpoint. Every decision is one atomic step, taken by the server's clock.

    prefix: put before every key.
    clock: tests only.
    local_clock: this process' idea of the server's time; a wrong one costs one more round trip, once, and never changes
        a decision.
    options: see RateLimitOptions.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        local_clock: Clock = system_clock,
        options: RateLimitOptions | None = None,
    ) -> None:
        if options is not None:
            check.instance("options", options, RateLimitOptions)
        self._driver = check.driver(driver)
        self._limiter = Limiter(prefix, clock, local_clock, options or RateLimitOptions())
        self._answer = CoalescedChecks(driver, self._limiter).answer
        self.inspector = LimitInspector(driver, self._limiter)
        self._check = from_memory(driver.hook, "ratelimit.check", self._limiter.check, Decision)
        told(self, driver.hook)

    @property
    def degraded(self) -> bool:
        """Whether the policies' ``on_error`` decides for now, since the server did not answer; for a health check."""
        return self._limiter.fallback.breaker.open

    @property
    def trouble(self) -> str:
        """One sentence while ``degraded``, else ""."""
        return "limits are judged without the server, as each policy's on_error says" if self.degraded else ""

    def check(
        self, policy: Policies, identity: Id, *, endpoint: Id, cost: int = 1, tier: str = NORMAL
    ) -> Answer[Decision]:
        """Judge one call and charge it: all policies, or none when one of them refuses (one round trip or none).

        policy: one, or up to 8, judged together. identity: the caller, as a user id, ``ip:203.0.113.7`` or ``global``;
        it stands in key names, so pass a reference instead of personal data (``caller_of`` keeps ids of users apart
        from the other kinds). endpoint: a label from a small, fixed set,
        as the route's template, never the raw path. cost: how many calls this one counts for, 1 or more. tier: its
        class, see Policy.reserve. A denied call is charged nothing, unless a policy counts refusals.
        Pass the same policies wherever an endpoint's calls are counted together: policies of one kind that are judged
        together have keys of their own. When the server cannot be asked, the policies' ``on_error`` decides.
        Raises Misuse. Source: lua/check.lua, and lua/check_*.lua for one plain policy.
        """
        ask = self._check  # apart from the call, see the lesson in engine/limiter.py
        pending = ask(policy, identity, endpoint, cost, tier)
        if type(pending) is not PendingCheck:
            return now(pending)
        answer = self._answer
        return answer(pending)

    async def check_all(
        self, asked: Iterable[tuple[Policies, Id, Id]], *, cost: int = 1, tier: str = NORMAL
    ) -> Decision:
        """Judge one call against several callers at once.

        asked: policies, identity and endpoint of each, as ``[(per_user, "u7", "/pay"), (per_ip, "ip:203.0.113.7",
        "/pay")]``. Each caller has a slot of its own, so each is
        judged by a script of its own, all sent in one write; when one refuses, the others get back what they paid.
        Never lets more through than ``check`` would one by one; for a round trip it may refuse others. Raises Misuse.
        """
        due = [self._check(policy, who, endpoint, cost, tier) for policy, who, endpoint in flows.triples(asked)]
        if not due:
            raise Misuse("check_all needs at least one caller")
        return await self._driver.follow(flows.together(self._limiter, due))

    async def peek(
        self, policy: Policies, identity: Id, *, endpoint: Id, cost: int = 1, tier: str = NORMAL
    ) -> Decision:
        """What ``check`` would answer now; charges nothing (one round trip). Raises Misuse, Unavailable."""
        subject = self._limiter.subject(policy, identity, endpoint)
        make = partial(self._limiter.peek, subject, ops.positive(cost), tier)
        return await self._driver.follow(flows.aligned(make, self._limiter.server_time))

    async def refund(self, decision: Decision) -> bool:
        """Give back what an allowed call took, once however often it is called. True when it was given back now.

        Floors at nothing used, and never moves an expiry. Raises Unavailable.
        """
        return True in [await self._driver.run(op) for op in redeem.refund(self._limiter, decision)]

    async def reset(self, policy: Policies, identity: Id, *, endpoint: Id) -> bool:
        """Forget what a caller used, and its bans (one round trip). True when there was something.

        Other processes may repeat a refusal from memory for up to 2 s (a ban: 60 s). Raises Misuse, Unavailable.
        """
        make = partial(self._limiter.reset, self._limiter.subject(policy, identity, endpoint))
        return await self._driver.follow(flows.aligned(make, self._limiter.server_time))

    async def set_limit(
        self, policy: Policy, identity: Id, *, endpoint: Id, limit: int | None, ttl: timedelta = timedelta(days=1)
    ) -> None:
        """Another limit for one caller, for ``ttl``; None: the policy's own again. The policy must be overridable, and
        is judged alone. Raises Misuse, Unavailable.
        """
        check.duration("ttl", ttl, timedelta(milliseconds=1))
        key = self._limiter.override_key(policy, identity, endpoint, limit)
        op = ops.unset_limit(key) if limit is None else ops.set_limit(key, limit, positive_ms("ttl", ttl))
        await self._driver.run(op)

    # -- leases

    def hold(self, policy: Policies, identity: Id, *, endpoint: Id, cost: int = 1, tier: str = NORMAL) -> Hold:
        """``async with hx.ratelimit.hold(policy, "u7", endpoint="/export") as place:``; ``if not place:`` it is full.

        The block keeps the place (a policy of leases; others in the list are charged ``cost``) with a heartbeat at a
        third of its life, and gives it back however it ends. ``place.lost`` says that the server has given it away.
        """
        ask = partial(self.check, policy, identity, endpoint=endpoint, cost=cost, tier=tier)
        return Hold(self._driver, self._limiter, ask)

    async def heartbeat(self, decision: Decision) -> bool:
        """Keep the place of an allowed ``check`` for another life. False: it is lost. Raises Misuse, Unavailable."""
        op = redeem.heartbeat(self._limiter, decision)
        return op is None or await self._driver.run(op)

    async def release(self, decision: Decision) -> bool:
        """Give the place of an allowed ``check`` back. False: it was lost before. Raises Misuse, Unavailable."""
        op = redeem.release(self._limiter, decision)
        return op is None or await self._driver.run(op)
