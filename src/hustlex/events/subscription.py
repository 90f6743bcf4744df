"""Listening. Async only: a subscription waits for what others do, which blocking code cannot do without a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock
from hustlex.errors import Misuse
from hustlex.events import api
from hustlex.events.hub import EventQueue, Hub
from hustlex.events.names import ChannelTemplate
from hustlex.events.types import Gap, Message, Parameter
from hustlex.events.wire import MAX_PAYLOAD, EventCodec

T = TypeVar("T")


class Subscription(Generic[T]):
    """``async with channel.subscribe(...) as messages``, then ``async for message in messages``. One use.

    Yields Message, and Gap where messages may be missing. Leaving the block unsubscribes; cancelling loses nothing.
    Entering raises Unavailable when the server cannot be reached.
    """

    def __init__(self, hub: Hub[T], name: str) -> None:
        self._hub = hub
        self._name = name
        self._mailbox: EventQueue[T] | None = None

    async def __aenter__(self) -> AsyncIterator[Message[T] | Gap]:
        if self._mailbox:
            raise Misuse("a subscription is entered once", hint="call subscribe() again")
        self._mailbox = EventQueue()
        await self._hub.join(self._name, self._mailbox)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mailbox:
            await self._hub.leave(self._name, self._mailbox)
            self._mailbox.close(None)

    def __aiter__(self) -> AsyncIterator[Message[T] | Gap]:
        return self

    async def __anext__(self) -> Message[T] | Gap:
        if not self._mailbox:
            raise Misuse("this subscription has not been entered", hint="use: async with channel.subscribe(...) as ...")
        item = await self._mailbox.take()
        if item is None:
            raise StopAsyncIteration
        return item


class Channel(api.Channel[T]):
    """A channel that can also be listened to."""

    def __init__(self, driver: AsyncDriver, template: ChannelTemplate, codec: EventCodec[T], clock: Clock) -> None:
        super().__init__(driver, template, codec, clock)
        self._hub = Hub(driver, template, codec)

    def subscribe(self, **parameters: Parameter) -> Subscription[T]:
        """What is published from the moment the block is entered. parameters: as for ``publish``."""
        return Subscription(self._hub, self._template.name(parameters))


class Events(api.Events):
    """Publishing and listening; see ``api.Events``. Subscribers of one Channel object share one feed per name."""

    @overload
    def channel(self, name: str, event_type: type[T], *, max_payload: int = MAX_PAYLOAD) -> Channel[T]: ...
    @overload
    def channel(self, name: str, event_type: Any, *, max_payload: int = MAX_PAYLOAD) -> Channel[Any]: ...
    def channel(self, name: str, event_type: Any, *, max_payload: int = MAX_PAYLOAD) -> Channel[Any]:
        """Declare a channel, once, where the application starts. Arguments as for ``api.Events.channel``."""
        return Channel(
            self._driver, ChannelTemplate(name, self._prefix), EventCodec(event_type, max_payload), self._clock
        )
