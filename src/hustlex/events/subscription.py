"""Listening. Async only: see ``Channel.subscribe``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

from hustlex.core.inbox import Inbox
from hustlex.errors import Misuse
from hustlex.events.hub import Hub, inbox
from hustlex.events.types import Gap, Message

T = TypeVar("T")


class Subscription(Generic[T]):
    """``async with channel.subscribe(...) as messages``, then ``async for message in messages``. One use.

    Yields Message, and Gap where messages may be missing. Leaving the block unsubscribes; cancelling loses nothing.
    Entering raises Unavailable when the server cannot be reached.
    """

    def __init__(self, hub: Hub[T], name: str) -> None:
        self._hub = hub
        self._name = name
        self._inbox: Inbox[Message[T] | Gap] | None = None

    async def __aenter__(self) -> AsyncIterator[Message[T] | Gap]:
        if self._inbox:
            raise Misuse("a subscription is entered once", hint="call subscribe() again")
        self._inbox = inbox()
        await self._hub.join(self._name, self._inbox)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inbox:
            await self._hub.leave(self._name, self._inbox)
            self._inbox.close()

    def __aiter__(self) -> AsyncIterator[Message[T] | Gap]:
        return self

    async def __anext__(self) -> Message[T] | Gap:
        if not self._inbox:
            raise Misuse("this subscription has not been entered", hint="use: async with channel.subscribe(...) as ...")
        return await anext(self._inbox)
