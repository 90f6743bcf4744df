"""What is published on a channel, for an operator who looks: listened to for two minutes, kept in this process."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from hustlex.app import HustleX
from hustlex.core.words import duration
from hustlex.errors import Conflict, Error
from hustlex.events import Events, Gap, Message, Subscription, Unknown

LIFE = timedelta(minutes=2)
MOST_A_SECOND = 20
_MOST_KEPT = 100
MOST_EACH, _MOST_OPEN = 5, 20
"""Channels that one person, and all together, listen to at once."""
_MOST_DATA = 8_192
"""Bytes of one event that are looked at: a page shows a line of it."""

Kind = Literal["live", "replay", "latest"]


class Heard(msgspec.Struct, frozen=True):
    """One event, or a gap: then ``missing`` says why."""

    at: datetime | None
    position: str
    data: Any
    missing: str = ""


class Tail:
    """One channel while it is listened to, and what was heard last, for as long as this console keeps it."""

    def __init__(
        self, channel: str, owner: str, events: Events | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.channel, self.owner = channel, owner
        self._events = events
        self.heard: deque[Heard] = deque(maxlen=_MOST_KEPT)
        self.left_out = 0
        """Events beyond twenty a second."""
        self.count = 0
        self.ready = asyncio.Event()
        """It listens, or will never."""
        self.over = False
        self.replaced = False
        """It ended for the sake of another that the same person began."""
        self.trouble = ""
        self._clock = clock
        self._ends = clock() + LIFE.total_seconds()
        self._second, self._taken = 0, 0

    @property
    def silence(self) -> str:
        """Why nothing is heard now, in a sentence; "" while it would be."""
        return self._events.trouble if self._events is not None and not self.over else ""

    @property
    def left(self) -> timedelta:
        """For how long it listens at most."""
        return timedelta(seconds=max(0.0, self._ends - self._clock()))

    def give_way(self) -> None:
        """Its person began another, beyond what one person may."""
        self.over = self.replaced = True

    async def listen(self, subscription: Subscription[Any]) -> None:
        """Until its time is over, or the channel cannot be listened to."""
        try:
            async with asyncio.timeout(LIFE.total_seconds()), subscription as items:
                self.ready.set()
                async for item in items:
                    self.take(item)
        except TimeoutError:
            pass
        except Error as error:
            self.trouble = error.message
        finally:
            self.over = True
            self.ready.set()

    def take(self, item: Message[Any] | Gap) -> None:
        """Keep it, unless twenty of this second were."""
        self.count += 1
        second = int(self._clock())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        if self._taken > MOST_A_SECOND:
            self.left_out += 1
        else:
            self.heard.append(_heard(item))


def _heard(item: Message[Any] | Gap) -> Heard:
    position = str(item.position) if item.position else ""
    if isinstance(item, Gap):
        return Heard(None, position, None, item.reason)
    at = datetime.fromtimestamp(item.ts / 1000, UTC) if item.ts else None
    data = item.data.raw[:_MOST_DATA] if isinstance(item.data, Unknown) else item.data
    return Heard(at, position, data)


class Tails:
    """All of one console."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Tail, asyncio.Task[None]]] = {}

    async def begin(self, hx: HustleX, owner: str, channel: str, kind: Kind) -> str:
        """Listen; answers under which name it is found. Raises Misuse for what is no channel, Conflict for too many."""
        declared = hx.events.channel(channel, Any) if kind == "live" else hx.events.channel(channel, Any, kind=kind)
        subscription = declared.subscribe()
        self._forget()
        self._make_room(owner)
        tail, name = Tail(channel, owner, hx.events), secrets.token_urlsafe(9)
        self._open[name] = tail, asyncio.create_task(tail.listen(subscription), name="hustlex console tail")
        await tail.ready.wait()
        return name

    def _make_room(self, owner: str) -> None:
        """One person keeps nobody else away: their oldest ends for their newest. Raises Conflict."""
        living = [each for each in self._open.values() if not each[0].over]
        own = [each for each in living if each[0].owner == owner]
        if len(own) >= MOST_EACH:
            tail, task = own[0]
            tail.give_way()
            task.cancel()
        elif len(living) >= _MOST_OPEN:
            soonest = min(tail.left for tail, _ in living)
            people = len({tail.owner for tail, _ in living})
            raise Conflict(
                f"this console listens to {len(living)} channels already, for {people} people",
                hint=f"each ends by itself, the next one in {duration(soonest)}",
            )

    def _forget(self) -> None:
        """Those that are over, the oldest first, as soon as there are many."""
        ended = [name for name, (tail, _) in self._open.items() if tail.over]
        for name in ended[: max(0, len(self._open) - _MOST_OPEN + 1)]:
            del self._open[name]

    def find(self, name: str, owner: str) -> Tail | None:
        """What was begun under this name by the same person."""
        tail, _ = self._open.get(name, (None, None))
        return tail if tail is not None and tail.owner == owner else None
