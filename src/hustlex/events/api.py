"""Publishing, and in async code listening; what a subscription yields comes from ``hustlex.events.subscription``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar, overload

from hustlex.core import check
from hustlex.core.answer.aio import Answer, answering, later
from hustlex.core.op import AsyncDriver, Op
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error, Misuse
from hustlex.events import ops
from hustlex.events.cursors import LIMIT, Declared, new_epoch
from hustlex.events.declaring import KEPT, MOST_KEPT, declared, position_of
from hustlex.events.hub import Hub
from hustlex.events.inspector import EventInspector
from hustlex.events.names import ChannelKeys, ChannelTemplate
from hustlex.events.ops import Publishing
from hustlex.events.presence import Presence
from hustlex.events.presence_keeper import PresenceKeeper
from hustlex.events.sharing.aio import SharedPublishes
from hustlex.events.subscription import Subscription
from hustlex.events.types import Kind, Message, Parameter, Position
from hustlex.events.wire import MAX_PAYLOAD

T = TypeVar("T")
R = TypeVar("R")


@answering
class Channel(Generic[T]):
    """A family of live channels with one event type. Made by ``Events.channel``."""

    def __init__(self, driver: AsyncDriver, hub: Any, declared: Declared, clock: Clock) -> None:
        self._driver = driver
        self.declared = declared
        self._clock = clock
        self.hub = hub

    def name(self, **parameters: Parameter) -> str:
        """The channel with these values, as clients name it. Raises Misuse."""
        return self.declared.template.name(parameters)

    def publish(self, event: T, /, **parameters: Parameter) -> Answer[int]:
        """Send an event to whoever listens now (one round trip); nobody listening is no error.

        parameters: one value per placeholder of the name, as ``order_id=42``.
        Returns how many server connections took it: a hint, since one process listens once for all its subscribers.
        Raises Misuse (wrong parameters, event too large) before anything is sent, OutcomeUnknown when the reply is
        lost: the event may have been sent. Source: lua/publish.lua.
        """
        declared = self.declared
        named = declared.template.keys(parameters)
        return later(self._driver.run(ops.publish(named, declared.codec.encode(event), self._clock())))

    # async only: a subscription waits for what others do, which blocking code cannot do without a thread
    def subscribe(self, **parameters: Parameter) -> Subscription[T]:
        """What is published from the moment the block is entered. parameters: as for ``publish``."""
        return Subscription(self.hub, self.declared, self.declared.template.name(parameters))

    # end of async only


@answering
class ReplayChannel(Generic[T]):
    """A family of channels with history and one event type. Made by ``Events.channel(kind="replay")`` or "latest"."""

    def __init__(self, driver: AsyncDriver, hub: Any, declared: Declared, clock: Clock) -> None:
        self._driver = driver
        self.declared = declared
        self._clock = clock
        self.hub = hub
        self._publishes = SharedPublishes(driver, clock)

    def name(self, **parameters: Parameter) -> str:
        """As ``Channel.name``."""
        return self.declared.template.name(parameters)

    def publish(
        self, event: T, /, *, idem: str | None = None, version: int | None = None, **parameters: Parameter
    ) -> Answer[Position]:
        """Keep an event in the history and send it to whoever listens, in one step.

        idem: an id of this event; within 5 minutes a second publish with it does nothing and returns the first one's
        position, so it may be repeated. version: of a state, 1 or more; an event that is no newer than the last one
        is dropped. parameters: one value per placeholder of the name.
        Returns its position (of the newest event, when this one was dropped). Raises Misuse before anything is sent;
        without ``idem`` OutcomeUnknown when the reply is lost: it may have been sent. Source: lua/append.lua,
        lua/append_if_new.lua.
        """
        publishing = self._publishing(event, self.declared.template.keys(parameters))
        if idem is not None or version is not None:
            return later(self._run(self._op_if_new(publishing, idem, version)))
        return self._publishes.answer(publishing)

    async def publish_many(self, events: Iterable[T], /, **parameters: Parameter) -> list[Position | Error]:
        """Publish several, in order, in one write. A failed one is its Error, not raised. Source: lua/append.lua."""
        named = self.declared.template.keys(parameters)
        several = [self._publishing(event, named) for event in check.several("events", events)]
        self._publishes.flush()
        return await self._driver.run_many([ops.append(each, new_epoch(), self._clock()) for each in several])

    async def position(self, **parameters: Parameter) -> Position | None:
        """Where the channel stands; None before the first event, and after its life.

        Ask before you load a state, then subscribe since that position: nothing is missed between the two. Source:
        lua/read.lua.
        """
        history = await self._run(ops.read(self.declared.template, self.declared.template.name(parameters), 0, 0))
        return Position(history.epoch, history.last) if history.epoch else None

    async def history(
        self, *, limit: int = 100, since: Position | str | None = None, reverse: bool = False, **parameters: Parameter
    ) -> list[Message[T]]:
        """Events that are kept. limit: 1 to 300. since: only those behind it; none when it is of another epoch.
        reverse: the newest first. Raises Misuse. Source: lua/read.lua.
        """
        check.whole("limit", limit, 1, LIMIT)
        check.flag("reverse", reverse)
        name, after = self.declared.template.name(parameters), position_of("since", since)
        offset = after.offset if after else 0
        history = await self._run(ops.read(self.declared.template, name, offset, limit, newest=reverse))
        if after and history.epoch != after.epoch:
            return []
        messages = self.declared.messages(name, history)
        return messages[::-1] if reverse else messages

    async def remove_history(self, **parameters: Parameter) -> None:
        """Drop what is kept; who comes back gets a Gap. Source: lua/forget.lua."""
        await self._run(ops.forget(self.declared.template, self.declared.template.name(parameters)))

    def _publishing(self, event: T, named: ChannelKeys) -> Publishing:
        declared = self.declared
        assert declared.retention is not None
        return Publishing(named, declared.retention, declared.codec.encode(event))

    async def _run(self, op: Op[R]) -> R:
        """Behind the publishes that wait for company."""
        self._publishes.flush()
        return await self._driver.run(op)

    def _op_if_new(self, publishing: Publishing, idem: str | None, version: int | None) -> Op[Position]:
        known = "" if idem is None else check.identity("idem", idem)
        number = 0 if version is None else check.whole("version", version, 1)
        return ops.append_if_new(publishing, new_epoch(), self._clock(), known, number)

    # async only: as for Channel
    def subscribe(
        self,
        *,
        since: Position | str | None = None,
        conflate: Callable[[Message[T]], Any] | None = None,
        **parameters: Parameter,
    ) -> Subscription[T]:
        """What is published from the moment the block is entered, or behind a position.

        since: a Position, or its text; at most 300 events are sent again, and where they are not all kept, a Gap comes
        first. Of a "latest" channel the newest event comes first in any case, marked ``snapshot``.
        conflate: what of a message is its key; of those that wait, only the newest of each key is kept.
        """
        if conflate is not None:
            check.function("conflate", conflate)
        name = self.declared.template.name(parameters)
        return Subscription(self.hub, self.declared, name, position_of("since", since), conflate)

    # end of async only


class Events:
    """Typed messages between processes. A break is shown to subscribers as a Gap, or healed from the history.

    Subscribers of one channel object share one feed per name.
    """

    def __init__(self, driver: AsyncDriver, *, prefix: str = "", clock: Clock = server_clock) -> None:
        self._driver = check.driver(driver)
        self._prefix = prefix
        self._clock = clock
        self._hub: Any = None
        self._keeper: Any = None
        # async only
        self._hub, self._keeper = Hub(driver), PresenceKeeper(driver)
        # end of async only
        self.inspector = EventInspector(driver, prefix)

    @property
    def trouble(self) -> str:
        """One sentence while subscribers here hear nothing, else ""."""
        return self._hub.trouble if self._hub is not None else ""

    def presence(self, name: str) -> Presence:
        """Declare places where it is known who is there, once, as ``rooms:{room}``; a name as channels have it.

        Raises Misuse for a malformed name, and for a placeholder called member, user or limit.
        """
        template = ChannelTemplate(name, self._prefix)
        if reserved := template.parameters & {"member", "user", "limit"}:
            raise Misuse(f"a placeholder cannot be called {min(reserved)}", hint="rename it")
        return Presence(self._driver, self._keeper, template, self._clock)

    @overload
    def channel(self, name: str, event_type: type[T], *, max_payload: int = MAX_PAYLOAD) -> Channel[T]: ...
    @overload
    def channel(
        self,
        name: str,
        event_type: type[T],
        *,
        kind: Literal["replay", "latest"],
        size: int = MOST_KEPT,
        ttl: timedelta = KEPT,
        max_payload: int = MAX_PAYLOAD,
    ) -> ReplayChannel[T]: ...
    @overload
    def channel(self, name: str, event_type: Any, *, max_payload: int = MAX_PAYLOAD) -> Channel[Any]: ...
    @overload
    def channel(
        self,
        name: str,
        event_type: Any,
        *,
        kind: Literal["replay", "latest"],
        size: int = MOST_KEPT,
        ttl: timedelta = KEPT,
        max_payload: int = MAX_PAYLOAD,
    ) -> ReplayChannel[Any]: ...
    def channel(
        self,
        name: str,
        event_type: Any,
        *,
        kind: Kind = "live",
        size: int = MOST_KEPT,
        ttl: timedelta = KEPT,
        max_payload: int = MAX_PAYLOAD,
    ) -> Channel[Any] | ReplayChannel[Any]:
        """Declare a channel, once, where the application starts.

        name: ``namespace:rest`` with placeholders, as ``orders:{order_id}``. event_type: a type msgspec can decode
        from JSON; best a union of tagged frozen Structs. kind: "live" (for those who listen now), "replay" (kept, so
        that who comes back misses nothing) or "latest" (a state: the newest event is kept, and sent first).
        size, ttl: of "replay", how many events are kept, 1 to 10,000, and how long after the last one, 1 second to 7
        days. max_payload: bytes of JSON, 1 to 1,048,576.
        Raises Misuse for a malformed name, and for a placeholder that is an option of publishing or subscribing.
        """
        template = ChannelTemplate(name, self._prefix, sharded=self._driver.link.cluster)
        family = declared(template, event_type, kind, size, ttl, max_payload)
        made = Channel if family.retention is None else ReplayChannel
        return made(self._driver, self._hub, family, self._clock)
