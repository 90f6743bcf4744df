"""One socket: what is sent in one turn of the event loop is one write (or a few), replies come back in order.

Lesson of the profile (64 callers, GET): a future per call, one deque, no task, no timer and no lock per call. What is
left is hiredis' packing and parsing, and the caller's own coroutine.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from hustlex.drivers.faults import FOREIGN, SILENT_S, Late, Lost, NotSent
from hustlex.drivers.pack import join

_GRACE = 0.002
"""Between noticing a deadline and failing the call, let the loop read once: after a blocked loop the reply is
usually already in the socket."""
_LONGEST_PAUSE = 0.5
"""A deadline that is noticed late is as much later, up to this: while this process stood still (its collector of
cycles, a handler that computes) the server was not away, and what was to be sent may not even have been written."""

_EARLY = 32
"""This many commands are written without waiting for the end of the turn, so that the server works while we do
(measured with 64 callers: a sixth more calls a second than one write per turn; 8 and 16 cost more than they bring).
A call that so many callers share is written at once, too: two of them in one write are answered in one write, and then
client and server take turns for ever (a limit by 64 callers: 10.6 us of time for 5.2)."""

_ASKING = join(("ASKING",))

Slot = tuple["asyncio.Future[Any]", float]

ReplyError = hiredis.ReplyError
_NOTHING = object()


class Connection(asyncio.Protocol):
    """A multiplexed connection.

    standalone: the server said that it is no part of a cluster.
    on_lost: called once when the link is gone. on_push: called with each RESP3 push, from the read callback.
    on_reply: with each reply that nobody waits for; without it such a reply ends the connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[Connection], None],
        on_push: Callable[[list[Any]], None] | None = None,
    ) -> None:
        self._loop = loop
        self._on_lost = on_lost
        self._on_push = on_push
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._carrier: asyncio.Transport | None = None
        self._buffer: list[bytes] = []
        self._flush_planned = False
        self._burst = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.waiting: deque[Slot] = deque()
        self.writable = True
        self.closed = False
        self.standalone = False
        self.on_room: Callable[[], None] | None = None
        self.on_reply: Callable[[Any], None] | None = None
        self.stray: Any = None
        self.opened = self.last_received = 0.0
        self.busy_since = 0.0

    # -- sending

    def send(self, packed: bytes, deadline: float, *, at_once: bool = False) -> asyncio.Future[Any]:
        """Queue one packed command; the future gets its reply (a ReplyError is a result, not an exception).

        at_once: write it, and what was queued before, without waiting for the end of the turn.
        """
        future = self._loop.create_future()
        if self.closed:
            future.set_exception(NotSent("the connection was closed"))
            return future
        alone = False
        if not self.waiting:
            self.busy_since = self._loop.time()
            alone, self._burst = self._burst == 1, 0  # one call after another: writing at once saves a turn of the loop
        self._burst += 1
        self.waiting.append((future, deadline))
        if alone and not self._buffer and self._transport is not None:
            self._transport.write(packed)
        else:
            self.write(packed, at_once=at_once)
        if self._timer is None or deadline < self._timer_at:
            self._arm(deadline)
        return future

    def ask(self, packed: bytes, deadline: float) -> asyncio.Future[Any]:
        """As ``send``, with ASKING before it in one piece: what comes between the two would take its leave."""
        asking = self.send(_ASKING + packed, deadline)
        if self.closed:
            return asking
        future = self._loop.create_future()
        self.waiting.append((future, deadline))
        asking.add_done_callback(_heard)
        return future

    def write(self, packed: bytes, *, at_once: bool = False) -> None:
        """Queue bytes that get no reply of their own (SUBSCRIBE answers with pushes)."""
        self._buffer.append(packed)
        if at_once or len(self._buffer) >= _EARLY:
            self._flush()
        elif not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        if self._transport is not None and self._buffer:
            data = b"".join(self._buffer) if len(self._buffer) > 1 else self._buffer[0]
            self._buffer.clear()
            self._transport.write(data)

    # -- receiving (called by the event loop)

    def connection_made(self, transport: asyncio.BaseTransport, carrier: asyncio.Transport | None = None) -> None:
        """carrier: of an encrypted connection, the transport that has the socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not registered as one
        self._carrier = carrier or self._transport
        self._transport.set_write_buffer_limits(high=1 << 20)
        self.opened = self.last_received = self._loop.time()
        if self.closed:  # by what came before
            self._transport.abort()
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.last_received = self._loop.time()
        try:
            self._reader.feed(data)
            self._hand_out()
        except hiredis.ProtocolError:
            self.abort(FOREIGN)
        if self.on_room is not None:
            self.on_room()

    def _hand_out(self) -> None:
        gets = self._reader.gets
        popleft = self.waiting.popleft
        reply = gets()
        while reply is not _NOTHING:
            if type(reply) is hiredis.PushNotification:
                if self._on_push is not None:
                    self._on_push(reply)
            elif self.waiting:
                future = popleft()[0]
                if not future.done():
                    future.set_result(reply)
            elif self.on_reply is not None:
                self.on_reply(reply)
            else:
                self.stray = reply
                self.abort("the server sent a reply that nobody asked for")
                return
            reply = gets()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self.on_room is not None:
            self.on_room()

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(f"the connection was closed ({error})" if error else "the server closed the connection")

    # -- deadlines: one timer for all calls, set to the earliest deadline seen

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._deadline_near)

    def listen_anew(self) -> None:
        """Count the server's silence from now on."""
        self.busy_since = self._loop.time()

    def _deadline_near(self) -> None:
        paused = min(self._loop.time() - self._timer_at, _LONGEST_PAUSE)
        self._timer = self._loop.call_later(max(_GRACE, paused), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        earliest = 0.0
        for future, deadline in self.waiting:
            if future.done():
                continue
            if deadline <= now:
                future.set_exception(self._late(now))
            elif not earliest or deadline < earliest:
                earliest = deadline
        if earliest and not self.closed:
            self._arm(earliest)

    def _late(self, now: float) -> Late:
        late = Late()
        late.silent = now - max(self.last_received, self.busy_since) > SILENT_S
        return late

    # -- ending

    def abort(self, reason: str) -> None:
        """Drop the link at once; every call in flight fails."""
        if self._transport is not None:
            self._transport.abort()
        self._finish(reason)

    def forsake(self) -> None:
        """The event loop has ended, or stands still: hang up without it."""
        carrier = self._carrier
        self.closed = True
        if carrier is None or carrier.is_closing():
            return
        with contextlib.suppress(OSError, AttributeError):
            carrier.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            carrier.abort()
        if self._loop.is_closed() and hasattr(carrier, "_call_connection_lost"):
            with contextlib.suppress(RuntimeError):  # again, when it is encrypted
                carrier._call_connection_lost(None)  # what the loop would do next: close the socket

    async def close(self, seconds: float) -> None:
        """Wait until everything in flight is answered, at most this long, then close."""
        pending = [future for future, _ in self.waiting if not future.done()]
        if pending and not self.closed:
            await asyncio.wait(pending, timeout=seconds)
        if self._transport is not None:
            self._flush()
            # TLS would wait for the server's farewell, and the loop may have ended before it comes.
            encrypted = self._transport.get_extra_info("sslcontext") is not None
            self._transport.abort() if encrypted else self._transport.close()
            await asyncio.sleep(0)  # the loop closes the socket
        self._finish("the driver was closed")

    def _finish(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        unsent = len(self._buffer)
        self._buffer.clear()
        sent = len(self.waiting) - unsent
        for position, (future, _) in enumerate(self.waiting):
            if not future.done():
                future.set_exception(Lost(reason) if position < sent else NotSent(reason))
                future.exception()  # a caller that was cancelled never looks: no warning for it
        self.waiting.clear()
        self._on_lost(self)
        if self.on_room is not None:
            self.on_room()


def _heard(asking: asyncio.Future[Any]) -> None:
    """ASKING's own reply: the command's says whether it helped."""
    if not asking.cancelled():
        asking.exception()
