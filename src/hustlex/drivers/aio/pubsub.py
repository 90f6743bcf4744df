"""One pub/sub connection for all channels of a process.

The read callback only appends to inboxes; it never waits for a subscriber. After every reconnect each inbox gets a
``Message(gap=True)``: a break is never silent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hustlex.core.inbox import Inbox
from hustlex.core.op import Message
from hustlex.drivers.aio.connection import Connection
from hustlex.drivers.aio.dial import Where
from hustlex.drivers.aio.listener import Listener
from hustlex.drivers.aio.options import Options
from hustlex.drivers.pack import join
from hustlex.errors import Error, Unavailable

GAP = Message("", b"", True)


class PubSub:
    """Channel -> inboxes, while one listener keeps them connected. where: asked before each dial."""

    subscribe_verb, unsubscribe_verb = b"SUBSCRIBE", b"UNSUBSCRIBE"
    message_kind, confirmed_kind = b"message", b"subscribe"

    def __init__(self, where: Callable[[], Where], options: Options) -> None:
        self.where = where
        self._options = options
        self._inboxes: dict[bytes, set[Inbox[Message]]] = {}
        self._confirmed: dict[bytes, asyncio.Future[None]] = {}
        self._unanswered: Counter[bytes] = Counter()
        """SUBSCRIBEs of this connection: who joins after another has left waits for the answer to its own."""
        self._broken: set[bytes] = set()
        """Channels whose messages were missed since they were live."""
        self._listener = Listener(self, options, "hustlex pub/sub")

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
                f"cannot subscribe at {self.where().title}: {self._listener.trouble or 'no answer'}",
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
        if fresh and self._listener.connection is not None:
            self._ask_for(self._listener.connection, fresh)
        self._listener.start()
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
                self._broken.discard(name)
                self._confirmed.pop(name).cancel()
                gone.append(name)
        if gone and self._listener.connection is not None:
            self._send(self._listener.connection, self.unsubscribe_verb, gone)

    # -- what the listener calls

    @property
    def wanted(self) -> bool:
        """Whether there is a subscriber."""
        return bool(self._inboxes)

    @property
    def deaf(self) -> bool:
        """Whether there is a subscriber, and no connection."""
        return self.wanted and self._listener.connection is None

    async def begin(self, connection: Connection) -> None:
        """Subscribe everything."""
        self._unanswered.clear()
        if self._inboxes:
            self._ask_for(connection, list(self._inboxes))

    def hear(self, push: list[Any]) -> None:
        """A message or a confirmation."""
        kind, name = push[0], push[1]
        if kind == self.message_kind:
            message = Message(name.decode(), push[2])
            for inbox in self._inboxes.get(name, ()):
                inbox.put(message)
        elif kind == self.confirmed_kind:
            self._unanswered[name] -= 1
            if self._unanswered[name] > 0:
                return
            del self._unanswered[name]
            if name in self._broken:  # now, not in a callback: the next message may be in the same packet
                self._broken.discard(name)
                for inbox in self._inboxes.get(name, ()):
                    inbox.put(GAP)
            future = self._confirmed.get(name)
            if future is not None and not future.done():
                future.set_result(None)

    def lost(self) -> None:
        """Every channel that was live gets a gap as soon as it is confirmed again."""
        for name in self._inboxes:
            if self._confirmed[name].done():
                self._confirmed[name] = asyncio.get_running_loop().create_future()
                self._broken.add(name)

    def refused(self, error: Error) -> None:
        """Every subscription ends with the error."""
        for boxes in self._inboxes.values():
            for inbox in boxes:
                inbox.close(error)
        for future in self._confirmed.values():
            if not future.done():
                future.set_exception(error)

    def _ask_for(self, connection: Connection, names: list[bytes]) -> None:
        self._unanswered.update(names)
        self._send(connection, self.subscribe_verb, names)

    def _send(self, connection: Connection, verb: bytes, names: list[bytes]) -> None:
        connection.write(join((verb, *names)))

    # -- ending

    def distrust(self, since: float) -> None:
        """Dial anew if the connection is older than this; subscribers see a gap."""
        self._listener.distrust(since)

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        self._listener.forsake()

    async def close(self) -> None:
        """Stop the listener; every open subscription ends with an error."""
        await self._listener.stop()
        self.refused(Unavailable("the driver was closed"))
