"""Listening. Async only: see ``Channel.subscribe``."""

from __future__ import annotations

import base64
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec

from hustlex.core import check
from hustlex.core.inbox import Conflated, Inbox
from hustlex.errors import Misuse
from hustlex.events.cursors import LIMIT, Declared, Item, ReplayCursor
from hustlex.events.hub import Feed, Hub
from hustlex.events.ops import History
from hustlex.events.types import Gap, Message, Position, Reason

T = TypeVar("T")

MOST_MESSAGES = 1_000
MOST_BYTES = 1024 * 1024
_MOST_TOGETHER = 32
_LONGEST_PLACE = 16_384
_SEVERAL = "m1."
NOTHING = Position("", 0)
"""Where a channel begins that has no history yet."""
NOWHERE = Position("-", 0)
"""Of a text that is no position: nothing comes behind it."""

_WAKE = Gap("dropped")
"""For a task that waits for the inbox while another one joins a channel."""


class ChannelReader:
    """One reader of any number of channels: joins and leaves them, and is handed their items in order.

    Where it was too slow, a channel with history is read again from where the reader stands; of others a gap is shown.
    """

    def __init__(self, hub: Hub, key: Callable[[Message[Any]], Any] | None = None) -> None:
        self._hub = hub
        gap = partial(Gap, "dropped")
        self._inbox: Inbox[Item] = (
            Inbox(gap, MOST_MESSAGES, MOST_BYTES)
            if key is None
            else Conflated(gap, MOST_MESSAGES, MOST_BYTES, _by(key))
        )
        self._feeds: dict[str, tuple[Declared, Feed]] = {}
        self._pending: deque[Item] = deque()
        self._lagging: dict[str, None] = {}
        self._waiting = False
        self.positions: dict[str, Position] = {}

    async def join(self, declared: Declared, name: str, since: Position | None) -> bool | None:
        """Hear a channel from here on, or from behind a position.

        Returns whether everything since is there; None without a position.
        """
        feed = await self._hub.join(declared, name, self._inbox)
        self._feeds[name] = declared, feed
        recovered = await self._go_on(feed, declared, name, since)
        if self._waiting:
            self._inbox.put(_WAKE)
        return recovered

    async def _go_on(self, feed: Feed, declared: Declared, name: str, since: Position | None) -> bool | None:
        cursor = feed.cursor
        if not isinstance(cursor, ReplayCursor):
            return None if since is None else self._lose(name, "epoch", None)
        if declared.latest:
            return self._show_state(cursor, since)
        if since is None:
            self._stand(name, cursor.position or NOTHING)
            return None
        behind = cursor.since(since)
        if behind is not None:
            self._stand(name, since)
            self._pending.extend(behind)
            return True
        return self._recover(name, since, await feed.history(since))

    def _stand(self, name: str, position: Position | None) -> None:
        if position is not None:
            self.positions[name] = position

    def _show_state(self, cursor: ReplayCursor, since: Position | None) -> bool | None:
        """The newest event first, unless the reader has it; so nothing is ever missing."""
        newest = cursor.snapshot()
        if newest is not None and newest.position != since:
            self._pending.append(msgspec.structs.replace(newest, snapshot=True))
        return None if since is None else True

    def _recover(self, name: str, since: Position, history: History) -> bool:
        reason = _missing(since, history)
        if reason is not None:
            return self._lose(name, reason, _end(history))
        self._stand(name, since)
        self._pending.extend(self._feeds[name][0].messages(name, history))
        return True

    def _lose(self, name: str, reason: Reason, position: Position | None) -> bool:
        self._stand(name, position or NOTHING)
        self._pending.append(Gap(reason, channel=name, position=position))
        return False

    async def leave(self, name: str) -> None:
        """Hear a channel no more. Idempotent."""
        found = self._feeds.pop(name, None)
        if found is not None:
            self.positions.pop(name, None)
            self._lagging.pop(name, None)
            await self._hub.leave(found[0], name, self._inbox)

    async def close(self) -> None:
        """Leave every channel; who waits is told of the end."""
        stood = dict(self.positions)
        for name in list(self._feeds):
            await self.leave(name)
        self.positions = stood
        self._inbox.close()

    # -- reading; cancelling loses nothing: what is not finished stays to be done by the next call

    async def next(self) -> Item:
        """The next message or gap. Raises StopAsyncIteration at the end, or what the driver raised."""
        while True:
            if self._pending:
                item = self._pending.popleft()
            elif self._lagging:
                await self._refill()
                continue
            else:
                self._waiting = True
                try:
                    item = await anext(self._inbox)
                finally:
                    self._waiting = False
                if item is _WAKE:
                    continue
                if isinstance(item, Gap) and item.reason == "dropped":
                    self._note_dropped(item)
                    continue
            if self._is_news(item):
                return item

    def _note_dropped(self, gap: Gap) -> None:
        replayed = [name for name, (declared, _) in self._feeds.items() if declared.retention]
        self._lagging.update(dict.fromkeys(replayed))
        if len(replayed) < len(self._feeds):
            self._pending.append(gap)

    async def _refill(self) -> None:
        """Read what one channel dropped."""
        name = next(iter(self._lagging))
        declared, feed = self._feeds[name]
        since = self.positions.get(name, NOTHING)
        history = await feed.history(since)
        if declared.latest or _missing(since, history) not in (None, "limit"):
            self._lose(name, "slow", _end(history))
            del self._lagging[name]
            return
        self._recover(name, since, msgspec.structs.replace(history, entries=history.entries[:LIMIT]))
        if len(history.entries) <= LIMIT:
            del self._lagging[name]

    def _is_news(self, item: Item) -> bool:
        """Not read from the history already."""
        if isinstance(item, Gap):
            self._stand(item.channel, item.position)
            self._hub.gaps[self._template_of(item.channel), item.reason] += 1
            return True
        position = item.position
        if position is None:
            return True
        stands = self.positions.get(item.channel)
        if stands is not None and stands.epoch == position.epoch and position.offset <= stands.offset:
            return False
        self.positions[item.channel] = position
        return True

    def _template_of(self, channel: str) -> str:
        """Of a gap; one that names no channel is of the only one, or nobody can tell."""
        feeds = [self._feeds[channel]] if channel in self._feeds else [*self._feeds.values()]
        return feeds[0][0].template.text if len(feeds) == 1 else "_several"


def _missing(since: Position, history: History) -> Reason | None:
    """Why not everything behind a position is in a history; None: it is."""
    if not history.epoch or since.epoch not in ("", history.epoch):
        return "epoch"
    if history.last < since.offset:
        return "rewound"
    first = history.entries[0].offset if history.entries else history.last + 1
    if first > since.offset + 1:
        return "trimmed"
    return "limit" if len(history.entries) > LIMIT else None


def _end(history: History) -> Position | None:
    return Position(history.epoch, history.last) if history.epoch else None


def _by(key: Callable[[Message[Any]], Any]) -> Callable[[Item], Any]:
    """Gaps are all kept, and what the caller's function cannot tell: its fault is no other subscriber's."""

    def of(item: Item) -> Any:
        if isinstance(item, Message):
            with contextlib.suppress(Exception):
                found = key(item)
                hash(found)
                return ("key", found)
        return ("item", id(item))

    return of


class Subscription(Generic[T]):
    """``async with channel.subscribe(...) as messages``, then ``async for message in messages``. One use.

    Yields Message, and Gap where messages may be missing. Leaving the block unsubscribes; cancelling loses nothing.
    Entering raises Unavailable when the server cannot be reached.
    """

    def __init__(
        self,
        hub: Hub,
        declared: Declared,
        name: str,
        since: Position | None = None,
        key: Callable[[Message[Any]], Any] | None = None,
    ) -> None:
        self._hub = hub
        self._declared = declared
        self.name = name
        self._since = since
        self._key = key
        self._reader: ChannelReader | None = None
        self.recovered: bool | None = None

    @property
    def resumable(self) -> bool:
        """Whether the channel has a history, and no position was given."""
        return self._declared.retention is not None and self._since is None

    @property
    def place(self) -> str:
        """What a browser that comes back sends to go on from here; "" for a live channel."""
        found = self._reader.positions.get(self.name) if self._reader else None
        return str(found) if found else ""

    @property
    def position(self) -> Position | None:
        """Of the last message read, or where reading began; None for a live channel, and where there is no history."""
        found = self._reader.positions.get(self.name) if self._reader else None
        return found if found and found.epoch else None

    def resume(self, position: str) -> None:
        """Go on from behind a position as text, unless one was given; before the block is entered."""
        check.instance("position", position, str)
        if self.resumable:
            self._since = Position.parse(position) or NOWHERE

    def _new_reader(self) -> ChannelReader:
        """A new one."""
        return ChannelReader(self._hub, self._key)

    async def _join(self, reader: ChannelReader) -> None:
        """Let a reader hear this channel."""
        self.recovered = await reader.join(self._declared, self.name, self._since)

    async def __aenter__(self) -> Subscription[T]:
        if self._reader:
            raise Misuse("a subscription is entered once", hint="call subscribe() again")
        self._reader = self._new_reader()
        try:
            await self._join(self._reader)
        except BaseException:
            await self._reader.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader:
            await self._reader.close()

    def __aiter__(self) -> AsyncIterator[Message[T] | Gap]:
        return self

    async def __anext__(self) -> Message[T] | Gap:
        if not self._reader:
            raise Misuse("this subscription has not been entered", hint="use: async with channel.subscribe(...) as ...")
        return await self._reader.next()


class Together:
    """``async with together(orders.subscribe(order_id=1), prices.subscribe(item=2)) as messages``.

    One stream of several channels, up to 32, each in its order. One use.
    """

    def __init__(self, *subscriptions: Subscription[Any]) -> None:
        for each in subscriptions:
            check.instance("subscription", each, Subscription, hint="pass channel.subscribe(...)")
        if not 1 <= len(subscriptions) <= _MOST_TOGETHER:
            raise Misuse(f"{len(subscriptions)} subscriptions", hint=f"pass 1 to {_MOST_TOGETHER}")
        self._parts = {each.name: each for each in subscriptions}
        if len(self._parts) < len(subscriptions):
            raise Misuse("a channel is there twice", hint="subscribe to it once")
        self._reader: ChannelReader | None = None

    @property
    def place(self) -> str:
        """What a browser that comes back sends to go on from here; "" where all channels are live."""
        stands = self._reader.positions if self._reader else {}
        packed = msgspec.msgpack.encode({name: [each.epoch, each.offset] for name, each in stands.items()})
        return _SEVERAL + base64.urlsafe_b64encode(packed).decode() if stands else ""

    def resume(self, position: str) -> None:
        """Go on from behind a place; what is none, or names a channel less, is a gap of that channel."""
        check.instance("position", position, str)
        stands = _unpacked(position) if len(position) <= _LONGEST_PLACE else {}
        for name, part in self._parts.items():
            epoch, offset = stands.get(name, ("", -1))
            part.resume(f"{epoch}.{offset}")

    async def __aenter__(self) -> Self:
        if self._reader:
            raise Misuse("a subscription is entered once", hint="call subscribe() again")
        first = next(iter(self._parts.values()))
        self._reader = first._new_reader()
        try:
            for part in self._parts.values():
                await part._join(self._reader)
        except BaseException:
            await self._reader.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader:
            await self._reader.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        if not self._reader:
            raise Misuse("this subscription has not been entered", hint="use: async with together(...) as ...")
        return await self._reader.next()


def together(*subscriptions: Subscription[Any]) -> Together:
    """Several channels as one stream. Raises Misuse."""
    return Together(*subscriptions)


def _unpacked(text: str) -> dict[str, tuple[str, int]]:
    """Positions by channel; none for what is no place."""
    if not text.startswith(_SEVERAL):
        return {}
    try:
        packed = base64.urlsafe_b64decode(text.removeprefix(_SEVERAL).encode("ascii"))
        return msgspec.msgpack.decode(packed, type=dict[str, tuple[str, int]])
    except (ValueError, msgspec.MsgspecError):
        return {}
