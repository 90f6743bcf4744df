"""Keeps one connection to one server: opens it when needed, reopens it, makes callers wait when it is full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from random import random
from typing import Any

import msgspec

from hustlex.drivers.aio.connection import Connection, ReplyError, Slot
from hustlex.drivers.aio.dial import Where, dial, passing
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import SETTLED_S, NotSent, anew, closed, demoted, greets
from hustlex.drivers.pack import join
from hustlex.drivers.patience import Outage, expiry
from hustlex.errors import Error, Overloaded, Refused, Unavailable

_TEND_EVERY = 1.0
_STOOD_STILL = 0.5
"""So late, this process did not listen: whether the server was silent nobody can tell yet."""
_OVERDUE_S = 10.0
"""A reply that its caller gave up so long ago, and that has not come to its end, holds up all that follow."""
_SLOWEST_RETRY = 2.0
_HELLO = join(("HELLO",))
"""Answered by servers of every state, for every user, with the server's role."""


class Turn(msgspec.Struct):
    """A caller in line. sent: resolves to the future of the reply once the call is sent."""

    packed: bytes
    deadline: float
    asking: bool
    sent: asyncio.Future[asyncio.Future[Any]]


class ManagedConnection:
    """``submit`` is the fast path; when it answers None, ``exchange`` waits until it can.

    on_doubt: told when a connection was dropped because the server behind it is not the one to ask: others that were
    opened before lead there, too. on_failure: told when the connection was lost or could not be opened.
    tended: whether it looks after itself. beside: where calls go that would hold up others here.
    """

    def __init__(
        self,
        where: Where,
        options: Options,
        *,
        on_doubt: Callable[[float], None] | None = None,
        on_failure: Callable[[], None] | None = None,
        tended: bool = True,
        beside: ManagedConnection | None = None,
    ) -> None:
        self.where = where
        self.beside = beside
        self._options, self._in_flight = options, options.in_flight
        self._tended = tended
        self._on_doubt = on_doubt
        self._on_failure = on_failure
        self._looked = self._expires = 0.0
        self._outage = Outage()
        self._leaving: set[asyncio.Task[None]] = set()
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._tending: asyncio.TimerHandle | None = None
        self._line: deque[Turn] = deque()
        self._callers = 0
        self._failure: Error | None = None
        self._closed = self._left = False
        self._first: Slot | None = None
        self.met = False
        """Whether a connection was ever open."""

    # -- the hot path

    def submit(self, packed: bytes, deadline: float, *, at_once: bool = False) -> asyncio.Future[Any] | None:
        """Send, or None when the connection is closed, opening or full, or others stand in line."""
        connection = self._connection
        if connection is None or self._line or not self._free(connection):
            return None
        return connection.send(packed, deadline, at_once=at_once)

    def _free(self, connection: Connection) -> bool:
        return connection.writable and len(connection.waiting) < self._in_flight

    async def exchange(self, packed: bytes, deadline: float, *, asking: bool = False) -> Any:
        """Send as soon as possible and await the reply. Raises NotSent, Lost, Late, or Error when it is hopeless.

        asking: with ASKING before it, in the same write.
        """
        while True:
            future = self.submit(packed, deadline) if not asking else None
            if future is not None:
                return await future
            if self._left:
                raise NotSent("the server left the cluster")
            if self._closed:
                raise closed()
            if self._connection is not None:
                return await self._stand_in_line(packed, deadline, asking=asking)
            await self._opened(deadline)

    async def opened(self, deadline: float) -> Connection:
        """The connection itself, for who must know that two commands go the same way. Raises as ``exchange``."""
        while True:
            if self._left:
                raise NotSent("the server left the cluster")
            if self._closed:
                raise closed()
            if self._connection is not None:
                return self._connection
            await self._opened(deadline)

    # -- opening

    async def _opened(self, deadline: float) -> None:
        """Until there is a connection. When the deadline passes first: NotSent, or the last refusal."""
        self._admit()
        try:
            async with asyncio.timeout_at(deadline):
                await self._dialled()
        except TimeoutError:
            if isinstance(self._failure, Refused):
                raise anew(self._failure) from None
            raise NotSent(self._failure.message if self._failure else "no answer yet") from None

    def _admit(self) -> None:
        """Raise Unavailable where others wait already for a server that is away, or Overloaded where too many do."""
        if self._callers and self._outage.lasts(asyncio.get_running_loop().time()):
            reason = self._failure.message if self._failure else "no answer"
            self._options.tally.shed()
            raise Unavailable(f"{self.where.title} is away: {reason}", hint="one call at a time tries it")
        if self._callers >= self._options.line:
            raise _overloaded()

    async def _dialled(self) -> None:
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open(), name=f"open {self.where.title}")
            self._opening.add_done_callback(_look)
        opening = self._opening
        self._callers += 1
        try:
            await asyncio.wait((opening,))
        finally:
            self._callers -= 1
        if not opening.cancelled():  # by close(): nobody cancelled the caller
            opening.result()

    async def _open(self) -> None:
        """Dial until it works; ends early on an answer that no repetition will change, or when nobody waits."""
        attempt = 0
        while self._callers and not self._closed:
            try:
                connection = await dial(self.where, self._options, self._lost)
            except Error as error:
                if self._on_failure is not None:
                    self._on_failure()
                if not passing(error):
                    raise
                self._failure = error
                self._outage.noted(asyncio.get_running_loop().time())
            else:
                self._welcome(connection)
                return
            await asyncio.sleep(random() * min(_SLOWEST_RETRY, 0.05 * 2 ** min(attempt, 8)))
            attempt += 1

    def _welcome(self, connection: Connection) -> None:
        if connection.closed or self._closed:
            connection.abort("the driver was closed")
            return
        self._connection = connection
        self.met = True
        self._failure = None
        self._outage.over()
        self._looked = connection.opened
        self._expires = expiry(connection.opened, self._options.age)
        connection.on_room = self._advance
        if self._tended:
            self._tend()

    def _lost(self, connection: Connection) -> None:
        if self._connection is connection:
            self._let_go("the connection was lost")
            if self._on_failure is not None:
                self._on_failure()

    def _let_go(self, reason: str) -> None:
        self._connection = None
        self._send_away(reason)
        if self._tending is not None:
            self._tending.cancel()

    def distrust(self, since: float) -> None:
        """The server is not the one to ask, says an answer to a call of this time: leave a connection that is older.

        What is in flight on it is still answered; the next call resolves the name and dials.
        """
        connection = self._connection
        now = asyncio.get_running_loop().time()
        if connection is None or connection.opened > min(since, now - SETTLED_S):
            return
        self._let_go("another server is to be asked")
        self._see_off(connection.close(self._options.drain))
        if self._on_doubt is not None:
            self._on_doubt(since)

    def _see_off(self, work: Coroutine[Any, Any, None]) -> None:
        """In a task that ``close`` waits for."""
        leaving = asyncio.get_running_loop().create_task(work)
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _renew(self, old: Connection) -> None:
        """Dial another connection, and leave the old one once there is: behind a name the address may have changed."""
        try:
            connection = await dial(self.where, self._options, self._lost)
        except Error:
            return
        if self._connection is not old or connection.closed:
            connection.abort("it is not wanted any more")
            return
        if self._tending is not None:
            self._tending.cancel()
        old.on_room = None
        self._welcome(connection)
        self._advance()
        await old.close(self._options.drain)

    # -- back-pressure: callers stand in line, first come first served

    async def _stand_in_line(self, packed: bytes, deadline: float, *, asking: bool) -> Any:
        """The reply of a call that is sent when its turn comes. Raises Overloaded when the deadline passes before."""
        if len(self._line) >= self._options.line:
            raise _overloaded()
        turn = Turn(packed, deadline, asking, asyncio.get_running_loop().create_future())
        self._line.append(turn)
        self._advance()
        try:
            async with asyncio.timeout_at(deadline):
                await turn.sent
        except TimeoutError:
            if turn.sent.cancelled():
                raise _overloaded() from None
        return await turn.sent.result()  # sent, perhaps in the very turn of the loop in which its deadline passed

    def _advance(self) -> None:
        """Send for those in line, as many as there is room for. Who gave up is skipped."""
        connection = self._connection
        while self._line and connection is not None and self._free(connection):
            turn = self._line.popleft()
            if not turn.sent.done():
                send = connection.ask if turn.asking else connection.send
                turn.sent.set_result(send(turn.packed, turn.deadline))

    def _send_away(self, reason: str) -> None:
        """The connection is gone: those in line were never sent."""
        for turn in self._line:
            if not turn.sent.done():
                turn.sent.set_exception(NotSent(reason))
        self._line.clear()

    # -- liveness

    def _tend(self) -> None:
        """Once a second: a silent link with calls in flight is dead. Now and then the server is asked for its role."""
        connection = self._connection
        if connection is None:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._tending is not None and now - self._tending.when() > _STOOD_STILL:
            connection.listen_anew()
        elif connection.waiting and now - max(connection.last_received, connection.busy_since) > self._options.stall:
            connection.abort(f"the server was silent for {self._options.stall:g} s")
            return
        elif connection.waiting and self._overdue(connection.waiting[0], now):
            connection.abort("a reply does not come to its end")
            return
        if now - self._looked >= self._options.look:
            self._looked = now
            connection.send(_HELLO, now + self._options.stall + 1).add_done_callback(partial(self._look_at, connection))
        if now >= self._expires:
            self._expires = expiry(now, self._options.age)
            self._see_off(self._renew(connection))
        self._tending = loop.call_later(_TEND_EVERY, self._tend)

    def _overdue(self, first: Slot, now: float) -> bool:
        """Whether nothing was answered since the last look, and the reply that is due is nobody's any more."""
        held, self._first = self._first is first, first
        return held and now - first[1] > _OVERDUE_S

    def _look_at(self, asked: Connection, hello: asyncio.Future[Any]) -> None:
        if hello.cancelled() or hello.exception() is not None:
            return
        reply = hello.result()
        if demoted(reply):
            self.distrust(asyncio.get_running_loop().time())
        elif not greets(reply) and type(reply) is not ReplyError:
            asked.abort("an answer was left out: each caller hears another's")

    # -- ending

    def abort(self, reason: str) -> None:
        """Drop the connection; the next call opens a new one."""
        if self._connection is not None:
            self._connection.abort(reason)

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        connection, self._connection, self._closed = self._connection, None, True
        if connection is not None:
            connection.forsake()

    def leave(self) -> None:
        """Nothing more goes here: who waits to be sent asks for the way again. ``close`` does the rest."""
        self._closed = self._left = True
        self._send_away("the server left the cluster")
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()

    async def close(self) -> None:
        """Answer what is in flight (bounded), then close for good. Idempotent."""
        self._closed = True
        if self._tending is not None:
            self._tending.cancel()
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait((self._opening,), timeout=self._options.drain)
        if self._connection is not None:
            await self._connection.close(self._options.drain)
        await asyncio.gather(*self._leaving)

    @property
    def aged(self) -> bool:
        """Whether another connection is to be dialled in the place of this one."""
        return asyncio.get_running_loop().time() >= self._expires

    @property
    def stuck(self) -> bool:
        """Callers wait for a connection that is not there yet."""
        return self._connection is None and self._callers > 0

    @property
    def standalone(self) -> bool | None:
        """Whether the server is no part of a cluster; None while it is not connected."""
        return self._connection.standalone if self._connection is not None else None

    @property
    def open(self) -> bool:
        """Whether a connection stands right now."""
        return self._connection is not None


def _overloaded() -> Overloaded:
    return Overloaded("too many calls are waiting for the server", hint="call less often")


def _look(future: asyncio.Future[Any]) -> None:
    """Take the exception, so that one nobody waits for is not reported as forgotten."""
    if not future.cancelled():
        future.exception()
