"""One pub/sub connection for all channels of a process.

The read callback only appends to inboxes; it never waits for a subscriber. After every reconnect each inbox gets a
``Message(gap=True)``: a break is never silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import random
from typing import Any

from hustlex.core.inbox import Inbox
from hustlex.core.op import Message
from hustlex.drivers.aio.connection import Connection, ReplyError
from hustlex.drivers.aio.dial import dial, passing
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import Late, Lost, NotSent, demoted, refusal
from hustlex.drivers.pack import join
from hustlex.drivers.url import Endpoint
from hustlex.errors import Error, Unavailable

_HELLO = join(("HELLO",))
GAP = Message("", b"", True)


class PubSub:
    """Channel -> inboxes, and the task that keeps them connected."""

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        self._endpoint = endpoint
        self._options = options
        self._inboxes: dict[bytes, set[Inbox[Message]]] = {}
        self._confirmed: dict[bytes, asyncio.Future[None]] = {}
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def subscribe(self, channels: Sequence[str]) -> AsyncIterator[AsyncIterator[Message]]:
        """Entered once the server has confirmed every channel."""
        names = [channel.encode() for channel in channels]
        inbox: Inbox[Message] = Inbox(lambda _: GAP, max(1, self._options.queue - 1))  # and the gap
        try:
            await self._join_in_time(names, inbox)
            yield inbox
        finally:
            self._leave(names, inbox)

    async def _join_in_time(self, names: list[bytes], inbox: Inbox[Message]) -> None:
        try:
            async with asyncio.timeout(self._options.connect + self._options.command):
                await self._join(names, inbox)
        except TimeoutError:
            raise Unavailable(
                f"cannot subscribe at {self._endpoint.where}: no answer",
                op="subscribe",
                hint="is the server running, and is the URL right?",
            ) from None

    async def _join(self, names: list[bytes], inbox: Inbox[Message]) -> None:
        fresh = [name for name in names if name not in self._inboxes]
        loop = asyncio.get_running_loop()
        for name in names:
            self._inboxes.setdefault(name, set()).add(inbox)
        for name in fresh:
            self._confirmed[name] = loop.create_future()
        if fresh and self._connection is not None:
            self._send(b"SUBSCRIBE", fresh)
        if self._keeper is None or self._keeper.done():
            self._keeper = loop.create_task(self._keep(), name="hustlex pub/sub")
        for name in names:
            await asyncio.shield(self._confirmed[name])

    def _leave(self, names: list[bytes], inbox: Inbox[Message]) -> None:
        gone = []
        for name in names:
            boxes = self._inboxes.get(name)
            if boxes is None:
                continue
            boxes.discard(inbox)
            if not boxes:
                self._inboxes.pop(name, None)
                self._confirmed.pop(name).cancel()
                gone.append(name)
        if gone and self._connection is not None:
            self._send(b"UNSUBSCRIBE", gone)

    # -- keeping the connection

    async def _keep(self) -> None:
        """Until closed: connect, subscribe everything, wait for the end, say so, start over."""
        attempt = 0
        while self._inboxes:
            try:
                await self._live()
                attempt = 0
            except Error as error:
                if not passing(error):
                    self._give_up(error)
                    return
                attempt += 1
            await asyncio.sleep(random() * min(2.0, 0.05 * 2 ** min(attempt, 8)))

    async def _live(self) -> None:
        """One connection's life. Returns when it broke."""
        broken = asyncio.Event()
        connection = await dial(self._endpoint, self._options, lambda _: broken.set(), self._push)
        self._connection = connection
        try:
            if self._inboxes:
                self._send(b"SUBSCRIBE", list(self._inboxes))
            while not broken.is_set() and self._inboxes:
                await self._probe(connection, broken)
            if isinstance(connection.stray, ReplyError):
                raise refusal(str(connection.stray))
        finally:
            self._connection = None
            connection.abort("the subscription ended")
            self._expect_gaps()

    def _expect_gaps(self) -> None:
        """Every channel that was live gets a gap as soon as it is confirmed again."""
        for name in self._inboxes:
            if self._confirmed[name].done():
                self._confirmed[name] = asyncio.get_running_loop().create_future()
                self._confirmed[name].add_done_callback(partial(self._mark_gap, name))

    async def _probe(self, connection: Connection, broken: asyncio.Event) -> None:
        """Wait for the end of the link; every few seconds ask for a sign of life and its role."""
        try:
            async with asyncio.timeout(self._options.look):
                await broken.wait()
        except TimeoutError:
            loop = asyncio.get_running_loop()
            try:
                hello = await connection.send(_HELLO, loop.time() + self._options.stall)
            except (Late, Lost, NotSent):
                connection.abort("no sign of life on the subscription")
            else:
                if demoted(hello):
                    connection.abort("another server is to be asked")

    def distrust(self, since: float) -> None:
        """Dial anew if the connection is older than this; subscribers see a gap."""
        if self._connection is not None and self._connection.opened <= since:
            self._connection.abort("another server is to be asked")

    def _mark_gap(self, name: bytes, confirmed: asyncio.Future[None]) -> None:
        if not confirmed.cancelled() and confirmed.exception() is None:
            for inbox in self._inboxes.get(name, ()):
                inbox.put(GAP)

    def _give_up(self, error: Error) -> None:
        for boxes in self._inboxes.values():
            for inbox in boxes:
                inbox.close(error)
        for future in self._confirmed.values():
            if not future.done():
                future.set_exception(error)

    def _send(self, verb: bytes, names: list[bytes]) -> None:
        assert self._connection is not None
        self._connection.write(join((verb, *names)))

    def _push(self, push: list[Any]) -> None:
        kind, name = push[0], push[1]
        if kind == b"message":
            message = Message(name.decode(), push[2])
            for inbox in self._inboxes.get(name, ()):
                inbox.put(message)
        elif kind == b"subscribe":
            future = self._confirmed.get(name)
            if future is not None and not future.done():
                future.set_result(None)

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        if self._connection is not None:
            self._connection.forsake()

    async def close(self) -> None:
        """Stop the keeper; every open subscription ends with an error."""
        if self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._give_up(Unavailable("the driver was closed"))
