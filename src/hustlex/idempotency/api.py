"""Idempotency keys: a request that is sent twice is executed once, and its answer repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hustlex.core import check
from hustlex.core.answer.aio import answering, told
from hustlex.core.check import Id
from hustlex.core.keyring import Keyring
from hustlex.core.lease_renewal import Lease
from hustlex.core.lease_renewal.aio import renewed
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.idempotency import flows, ops
from hustlex.idempotency.inspector import ClaimInspector
from hustlex.idempotency.names import Scope
from hustlex.idempotency.options import IdempotencyOptions
from hustlex.idempotency.seals import Seals
from hustlex.idempotency.types import BeginResult, EventResult, Finding, Orphaned, Response, RunResult, Started
from hustlex.idempotency.webhooks import Provider

Execute = Callable[[Started], Awaitable[Response]]
"""Does the work. What it raises is passed on, and leaves the claim to lapse."""

Reconcile = Callable[[Orphaned], Awaitable[Response | Finding]]
"""Finds out what an owner that is gone has done, by asking the provider or the database; has no effect itself."""

_BEATS = 3


@answering
class Idempotency:
    """Redis cannot give exactly-once for money: an effect also needs a unique constraint (on the key or the fence) in
    its own database transaction, and its provider a key of its own. What this room adds: a repeat of a request is
    recognised before any work, gets the first answer, and never runs beside the first.

    Raises Unavailable when the server cannot be asked: then nothing may be executed.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        keyring: Keyring,
        *,
        prefix: str = "",
        clock: Clock = server_clock,
        options: IdempotencyOptions | None = None,
    ) -> None:
        if options is not None:
            check.instance("options", options, IdempotencyOptions)
        self._driver = check.driver(driver)
        self._room = flows.IdempotencyServices(keyring, Seals(keyring), prefix, options or IdempotencyOptions(), clock)
        self.inspector = ClaimInspector(driver, self._room)
        told(self, driver.hook)

    @property
    def options(self) -> IdempotencyOptions:
        """The room's own."""
        return self._room.options

    async def begin(
        self,
        key: Id,
        scope: Scope,
        *,
        body: bytes = b"",
        content_type: str = "application/json",
        over: Orphaned | None = None,
        options: IdempotencyOptions | None = None,
    ) -> BeginResult:
        """Claim a key: one round trip. Started: execute, then ``complete`` or ``abandon``.

        key: as the client sent it; a number, a UUID or an enum member counts as its text. body: of the request; a key
        is good for one body. JSON counts as equal in any order of names, everything else byte by byte. over: take this
        orphan over, after its effect was looked for.
        options: instead of the room's. Raises Misuse for a scope that cannot be one, Unavailable, Full.
        Source: lua/begin.lua.
        """
        request = flows.KeyedRequest(key, scope, body, content_type, options or self._room.options)
        return await self._driver.follow(flows.begin(self._room, request, over))

    async def complete(
        self, started: Started, response: Response | None = None, *, options: IdempotencyOptions | None = None
    ) -> bool:
        """Keep the answer for whoever repeats the request. Do it after the commit.

        False: the claim was lost to another caller in the meantime; theirs is kept. None: only that it was done.
        Raises Unavailable. Source: lua/complete.lua.
        """
        return await self._driver.follow(flows.complete(self._room, started, response, options))

    async def renew(self, started: Started, *, point: str = "") -> bool:
        """Extend the lease. False: the claim is lost, stop before the next effect.

        point: names how far the work came, as ``charging``, up to 64 characters. Set one right before the first effect:
        from then on the claim cannot be given back, and who finds it orphaned is told. Source: lua/renew.lua.
        """
        return await self._driver.run(ops.renew(started, point, self._room.clock()))

    async def abandon(self, started: Started) -> bool:
        """Give the key back, as nothing was done. False: lost, or past a recovery point. Source: lua/abandon.lua."""
        return await self._driver.run(ops.abandon(started, self._room.clock()))

    @asynccontextmanager
    async def hold(self, started: Started) -> AsyncIterator[Lease]:
        """Renew the lease while the block runs, three times per lease. ``lost`` of its value: stop."""
        check.instance("started", started, Started)
        renew = ops.renew(started, "", self._room.clock())
        async with renewed(self._driver, renew, started.lease_ms / 1000 / _BEATS) as lease:
            yield lease

    async def run(
        self,
        key: Id,
        scope: Scope,
        execute: Execute,
        *,
        body: bytes = b"",
        content_type: str = "application/json",
        reconcile: Reconcile | None = None,
        options: IdempotencyOptions | None = None,
    ) -> RunResult:
        """Execute, or repeat the answer: begin, hold the lease, settle as the answer's status says.

        reconcile: asked about an orphan when ``options.orphans`` is "reconcile". Raises what ``execute`` raises (then
        nobody knows how far it came: the claim lapses), and as ``begin``.
        """
        request = flows.KeyedRequest(key, scope, body, content_type, options or self._room.options)
        return await self._driver.follow(flows.run(self._room, request, self._holding(execute), reconcile))

    async def reconcile(
        self,
        orphan: Orphaned,
        find_out: Reconcile,
        key: Id,
        scope: Scope,
        *,
        body: bytes = b"",
        content_type: str = "application/json",
        options: IdempotencyOptions | None = None,
    ) -> BeginResult:
        """Ask ``find_out`` what became of an orphan, and act on it. Started: it was not done, and is the caller's now.

        Replay: it was done; the answer is kept. Orphaned: nobody can tell. Other values: another caller was quicker.
        """
        request = flows.KeyedRequest(key, scope, body, content_type, options or self._room.options)
        return await self._driver.follow(flows.reconciled(self._room, request, orphan, find_out))

    async def settle(self, started: Started, response: Response, *, options: IdempotencyOptions | None = None) -> bool:
        """``complete``, ``abandon`` or leave to lapse, as the answer's status says; see ``IdempotencyOptions``.

        False: it was to be kept and is not; a log line says why. Does not raise when the server is away.
        """
        return await self._driver.follow(flows.settle(self._room, started, response, options or self._room.options))

    async def begin_event(self, provider: Provider, event_id: Id) -> EventResult:
        """Claim an event of a provider, after its signature was verified. Started: handle, commit, then ``complete``.

        Seen: answer 200. InFlight: answer 409, so that the provider repeats. Raises Unavailable, Full.
        """
        return await self._driver.follow(flows.begin_event(self._room, provider, event_id))

    async def settle_event(self, started: Started, *, handled: bool) -> bool:
        """``complete`` or ``abandon`` an event. False: lost, or the server is away; a log line says why."""
        return await self._driver.follow(flows.settle_event(self._room, started, handled))

    def _holding(self, execute: Execute) -> Execute:
        async def run(started: Started) -> Response:
            async with self.hold(started):
                return await execute(started)

        return run
