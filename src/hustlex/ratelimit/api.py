"""The rate limit room's door."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from hustlex.core import check
from hustlex.core.answer.aio import Answer, answering, later, now
from hustlex.core.check import Id
from hustlex.core.op import AsyncDriver
from hustlex.core.telemetry import from_memory
from hustlex.core.time import Clock, positive_ms, server_clock
from hustlex.errors import Error, Misuse
from hustlex.ratelimit.aio import Hold
from hustlex.ratelimit.engine import flows, leases, ops
from hustlex.ratelimit.engine.compiler import NORMAL
from hustlex.ratelimit.engine.limiter import Desk, Policies, system_clock, triples
from hustlex.ratelimit.engine.pending import Sent
from hustlex.ratelimit.engine.refunds import refund
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import Decision


@answering
class RateLimit:
    """Limits by caller and endpoint. Every decision is one atomic step, taken by the server's clock.

    prefix: put before every key. clock: tests only. local_clock: this process' idea of the server's time; a wrong one
    costs one more round trip, once, and never changes a decision. options: see RateLimitOptions.
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
        self._driver = driver
        self._desk = Desk(prefix, clock, local_clock, options or RateLimitOptions())
        self._call = from_memory(driver.hook, "ratelimit.check", self._desk.call, Decision)

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
        sent = self._call(policy, identity, endpoint, cost, tier)
        return now(sent) if isinstance(sent, Decision) else later(self._judged(sent))

    async def _judged(self, sent: Sent) -> Decision:
        try:
            answer = await self._driver.run(sent.op)
            if not isinstance(answer, Decision):
                again = partial(self._desk.again, sent.call)
                answer = await self._driver.follow(flows.aligned(again, self._desk.server_time, answer))
        except Error as error:
            answer = self._desk.failed(sent.call, error)
        return self._desk.answered(answer) if self._desk.alert else answer

    async def check_all(
        self, asked: Iterable[tuple[Policies, Id, Id]], *, cost: int = 1, tier: str = NORMAL
    ) -> Decision:
        """Judge one call against several callers at once.

        asked: policies, identity and endpoint of each, as ``[(per_user, "u7", "/pay"), (per_ip, "ip:203.0.113.7",
        "/pay")]``. Each caller has a slot of its own, so each is
        judged by a script of its own, all sent in one write; when one refuses, the others get back what they paid.
        Never lets more through than ``check`` would one by one; for a round trip it may refuse others. Raises Misuse.
        """
        calls = [self._call(policy, who, endpoint, cost, tier) for policy, who, endpoint in triples(asked)]
        if not calls:
            raise Misuse("check_all needs at least one caller")
        return await self._driver.follow(flows.together(self._desk, calls))

    async def peek(
        self, policy: Policies, identity: Id, *, endpoint: Id, cost: int = 1, tier: str = NORMAL
    ) -> Decision:
        """What ``check`` would answer now; charges nothing (one round trip). Raises Misuse, Unavailable."""
        caller = self._desk.caller(policy, identity, endpoint)
        make = partial(self._desk.peek, caller, ops.positive(cost), tier)
        return await self._driver.follow(flows.aligned(make, self._desk.server_time))

    async def refund(self, decision: Decision) -> bool:
        """Give back what an allowed call took, once however often it is called. True when it was given back now.

        Floors at nothing used, and never moves an expiry. Raises Unavailable.
        """
        return True in [await self._driver.run(op) for op in refund(self._desk, decision)]

    async def reset(self, policy: Policies, identity: Id, *, endpoint: Id) -> bool:
        """Forget what a caller used, and its bans (one round trip). True when there was something.

        Other processes may repeat a refusal from memory for up to 2 s (a ban: 60 s). Raises Misuse, Unavailable.
        """
        make = partial(self._desk.reset, self._desk.caller(policy, identity, endpoint))
        return await self._driver.follow(flows.aligned(make, self._desk.server_time))

    async def set_limit(
        self, policy: Policy, identity: Id, *, endpoint: Id, limit: int | None, ttl: timedelta = timedelta(days=1)
    ) -> None:
        """Another limit for one caller, for ``ttl``; None: the policy's own again. The policy must be overridable, and
        is judged alone. Raises Misuse, Unavailable.
        """
        check.duration("ttl", ttl, timedelta(milliseconds=1))
        caller = self._desk.caller(policy, identity, endpoint)
        key = leases.override_key(caller, policy, limit)
        caller.forget()
        op = ops.unset_limit(key) if limit is None else ops.set_limit(key, limit, positive_ms("ttl", ttl))
        await self._driver.run(op)

    # -- leases

    def hold(self, policy: Policies, identity: Id, *, endpoint: Id, cost: int = 1, tier: str = NORMAL) -> Hold:
        """``async with hx.ratelimit.hold(policy, "u7", endpoint="/export") as place:``; ``if not place:`` it is full.

        The block keeps the place (a policy of leases; others in the list are charged ``cost``) with a heartbeat at a
        third of its life, and gives it back however it ends. ``place.lost`` says that the server has given it away.
        """
        ask = partial(self.check, policy, identity, endpoint=endpoint, cost=cost, tier=tier)
        return Hold(self._driver, self._desk.clock, ask)

    async def heartbeat(self, decision: Decision) -> bool:
        """Keep the place of an allowed ``check`` for another life. False: it is lost. Raises Misuse, Unavailable."""
        op = leases.heartbeat(decision, self._desk.clock())
        return op is None or await self._driver.run(op)

    async def release(self, decision: Decision) -> bool:
        """Give the place of an allowed ``check`` back. False: it was lost before. Raises Misuse, Unavailable."""
        op = leases.release(decision)
        return op is None or await self._driver.run(op)
