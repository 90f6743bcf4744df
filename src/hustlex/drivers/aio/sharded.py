"""Sharded channels: each is heard at the node that has its slot, on one connection for each node.

A channel that leaves its node (its slot moved, the node went) is looked for anew; its subscribers see a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hustlex.core.inbox import Inbox
from hustlex.core.op import Effect, Message, Op, command
from hustlex.drivers.aio.dial import passing
from hustlex.drivers.aio.node import ServerNode
from hustlex.drivers.aio.options import Options
from hustlex.drivers.aio.pubsub import GAP, PubSub
from hustlex.drivers.aio.topology import Topology
from hustlex.drivers.faults import NotSent, backoff, closed
from hustlex.errors import Error, Unavailable


class NodeChannels(PubSub):
    """Those of one node. Whoever is cut off looks for another."""

    subscribe_verb, unsubscribe_verb = b"SSUBSCRIBE", b"SUNSUBSCRIBE"
    message_kind, confirmed_kind = b"smessage", b"ssubscribe"

    def hear(self, push: list[Any]) -> None:
        if push[0] == b"sunsubscribe" and push[1] in self._inboxes:
            self._dismiss([push[1]])
        else:
            super().hear(push)

    def lost(self) -> None:
        self._dismiss([*self._inboxes])

    def _dismiss(self, names: list[bytes]) -> None:
        gone = Unavailable("the node does not serve the channel any more")
        for name in names:
            for inbox in self._inboxes.pop(name):
                inbox.close(gone)
            confirmed = self._confirmed.pop(name)
            if not confirmed.done():
                confirmed.set_exception(gone)
                confirmed.exception()


class ShardedPubSub:
    """Channel -> a task that finds its node, again and again."""

    def __init__(self, topology: Topology, options: Options) -> None:
        self._topology = topology
        self._options = options
        self._nodes: dict[ServerNode, NodeChannels] = {}
        self._searching = 0
        self._closed = False

    @property
    def deaf(self) -> bool:
        """Whether there is a subscriber whose node is not found."""
        return self._searching > 0

    @asynccontextmanager
    async def subscribe(self, channels: Sequence[str]) -> AsyncIterator[AsyncIterator[Message]]:
        """Entered once the node of each channel has confirmed it."""
        inbox: Inbox[Message] = Inbox(lambda _: GAP, max(1, self._options.queue - 1))
        loop = asyncio.get_running_loop()
        confirmed = [loop.create_future() for _ in channels]
        relays = [
            loop.create_task(self._relay(channel, inbox, heard), name=f"hustlex channel {channel}")
            for channel, heard in zip(channels, confirmed, strict=True)
        ]
        try:
            await self._all(confirmed)
            yield inbox
        finally:
            for task in relays:
                task.cancel()
            await asyncio.gather(*relays, *confirmed, return_exceptions=True)

    async def _all(self, confirmed: list[asyncio.Future[None]]) -> None:
        try:
            async with asyncio.timeout(self._options.connect + self._options.command):
                await asyncio.gather(*confirmed)
        except TimeoutError:
            raise Unavailable(
                f"cannot subscribe at {self._topology.title}: no answer",
                op="subscribe",
                hint="is the server running, and is the URL right?",
            ) from None

    async def _relay(self, channel: str, inbox: Inbox[Message], confirmed: asyncio.Future[None]) -> None:
        """Until it is cancelled, or nothing can help."""
        way: Op[bytes] = command("subscribe", Effect.READ, "PING", keys=(channel,), decode=bytes)
        attempt = 0
        while True:
            self._searching += 1
            heard = False
            try:
                async with self._at(await self._node(way)).subscribe((channel,)) as messages:
                    self._searching -= 1
                    heard, attempt = True, 0
                    _confirm(confirmed, inbox)
                    async for message in messages:
                        inbox.put(message)
            except (NotSent, Error) as error:
                if self._closed or (isinstance(error, Error) and not passing(error)):
                    _end(closed() if self._closed else error, confirmed, inbox)
                    return
            finally:
                self._searching -= not heard
            self._topology.learn(way, None, NotSent("a channel lost its node"), asyncio.get_running_loop().time())
            attempt += 1
            await asyncio.sleep(backoff(attempt))

    async def _node(self, way: Op[bytes]) -> ServerNode:
        deadline = asyncio.get_running_loop().time() + self._options.connect
        return (await self._topology.route(way, deadline)).node

    def _at(self, node: ServerNode) -> NodeChannels:
        if node not in self._nodes:
            self._nodes = {each: channels for each, channels in self._nodes.items() if channels.wanted}
            self._nodes[node] = NodeChannels(lambda: node.where, self._options)
        return self._nodes[node]

    def distrust(self, since: float) -> None:
        """As ``PubSub.distrust``."""
        for channels in self._nodes.values():
            channels.distrust(since)

    def forsake(self) -> None:
        """As ``Connection.forsake``."""
        for channels in self._nodes.values():
            channels.forsake()

    async def close(self) -> None:
        """Every open subscription ends with an error."""
        self._closed = True
        for channels in self._nodes.values():
            await channels.close()


def _confirm(confirmed: asyncio.Future[None], inbox: Inbox[Message]) -> None:
    """The first time it is the beginning, later the end of a gap."""
    if confirmed.done():
        inbox.put(GAP)
    else:
        confirmed.set_result(None)


def _end(error: Exception, confirmed: asyncio.Future[None], inbox: Inbox[Message]) -> None:
    if not confirmed.done():
        confirmed.set_exception(error)
    inbox.close(error if isinstance(error, Error) else Unavailable(str(error)))
