"""Publishing, and in async code listening; what a subscription yields comes from ``hustlex.events.subscription``."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.events import ops
from hustlex.events.hub import Hub
from hustlex.events.inspector import EventInspector
from hustlex.events.names import ChannelTemplate
from hustlex.events.subscription import Subscription
from hustlex.events.types import Parameter
from hustlex.events.wire import MAX_PAYLOAD, EventCodec

T = TypeVar("T")


@answering
class Channel(Generic[T]):
    """A family of live channels with one event type. Made by ``Events.channel``."""

    def __init__(self, driver: AsyncDriver, template: ChannelTemplate, codec: EventCodec[T], clock: Clock) -> None:
        self._driver = driver
        self._template = template
        self._codec = codec
        self._clock = clock
        # async only
        self._hub = Hub(driver, template, codec)
        # end of async only

    async def publish(self, event: T, /, **parameters: Parameter) -> int:
        """Send an event to whoever listens now (one round trip); nobody listening is no error.

        parameters: one value per placeholder of the name, as ``order_id=42``.
        Returns how many server connections took it: a hint, since one process listens once for all its subscribers.
        Raises Misuse (wrong parameters, event too large) before anything is sent, OutcomeUnknown when the reply is
        lost: the event may have been sent. Source: lua/publish.lua.
        """
        key = self._template.key(self._template.name(parameters))
        return await self._driver.run(ops.publish(key, self._codec.encode(event), self._clock()))

    # async only: a subscription waits for what others do, which blocking code cannot do without a thread
    def subscribe(self, **parameters: Parameter) -> Subscription[T]:
        """What is published from the moment the block is entered. parameters: as for ``publish``."""
        return Subscription(self._hub, self._template.name(parameters))

    # end of async only


class Events:
    """Typed messages between processes, delivered at most once; a break is shown to subscribers as a Gap.

    Subscribers of one Channel object share one feed per name.
    """

    def __init__(self, driver: AsyncDriver, *, prefix: str = "", clock: Clock = server_clock) -> None:
        self._driver = driver
        self._prefix = prefix
        self._clock = clock
        self.inspector = EventInspector(driver, prefix)

    @overload
    def channel(self, name: str, event_type: type[T], *, max_payload: int = MAX_PAYLOAD) -> Channel[T]: ...
    @overload
    def channel(self, name: str, event_type: Any, *, max_payload: int = MAX_PAYLOAD) -> Channel[Any]: ...
    def channel(self, name: str, event_type: Any, *, max_payload: int = MAX_PAYLOAD) -> Channel[Any]:
        """Declare a channel, once, where the application starts.

        name: ``namespace:rest`` with placeholders, as ``orders:{order_id}``. event_type: a type msgspec can decode
        from JSON; best a union of tagged frozen Structs. max_payload: bytes of JSON, 1 to 1,048,576.
        Raises Misuse for a malformed name.
        """
        return Channel(
            self._driver, ChannelTemplate(name, self._prefix), EventCodec(event_type, max_payload), self._clock
        )
