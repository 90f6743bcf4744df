"""Where a process stands in a channel, and what its subscribers are told. No I/O.

Whoever hears a message of a channel with history knows by its offset whether one is missing, and then reads the history
instead: it holds every message that was sent, because both are done in one script.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from hustlex.core import op as ground
from hustlex.core.follower import Ask, Listen
from hustlex.events import ops
from hustlex.events.names import ChannelTemplate
from hustlex.events.ops import History, KeptEvent, Retention
from hustlex.events.types import Gap, Message, Position, Reason, Unknown
from hustlex.events.wire import EventCodec, Head, head_of

Item = Message[Any] | Gap
Sized = tuple[Item, int]
"""With its bytes on the wire."""

CHECK_S = 40.0
"""A channel that is silent for so long is asked where it stands, should a message have been lost on its way here."""
LIMIT = 300
"""Messages read at a time, and sent again to who comes back."""
_MOST, _MOST_BYTES = 100, 1024 * 1024


def new_epoch() -> str:
    """64 random bits as text. It names the life of a history, and is no secret: the system's own randomness costs a
    system call, for something that most publishes do not need."""
    return f"{random.getrandbits(64):016x}"


class Declared:
    """A channel as it was declared: names, type, and what is kept (None: nothing)."""

    def __init__(
        self, template: ChannelTemplate, codec: EventCodec[Any], retention: Retention | None, *, latest: bool = False
    ) -> None:
        self.template = template
        self.codec = codec
        self.retention = retention
        self.latest = latest

    def messages(self, name: str, history: History) -> list[Message[Any]]:
        """What is kept, decoded."""
        read, epoch = self.codec.read, history.epoch
        return [Message(read(each.payload), name, each.ts, epoch, each.offset) for each in history.entries]


class LiveCursor:
    """Of a channel without history: a break is shown."""

    over = False
    caught_up = True
    position: Position | None = None

    def __init__(self, declared: Declared, name: str) -> None:
        self._decode = declared.codec.decode
        self._name = name

    def step(self) -> Listen[Sized]:
        return Listen(self._hear)

    def _hear(self, frame: ground.Message | None) -> Iterable[Sized]:
        assert frame is not None, "it listens for as long as it takes"
        if frame.gap:
            return ((Gap("reconnected", channel=self._name), 0),)
        return ((self._decode(self._name, frame.data), len(frame.data)),)

    def lost(self) -> None:
        """A live channel asks nothing."""

    def since(self, position: Position) -> None:
        """Nothing is kept."""

    def snapshot(self) -> None:
        """Nothing is kept."""


class ReplayCursor:
    """Of a channel with history: every message once and in order, or a gap."""

    over = False

    def __init__(self, declared: Declared, name: str) -> None:
        self._declared = declared
        self._name = name
        self._begun = False
        self._behind = True
        self._rewound = False
        self._why: Reason = "epoch"
        self._epoch, self._last = "", 0
        self._first: tuple[Message[Any], int] | None = None
        """Where nothing was kept: the message that says it is the first, until its epoch is that of the server."""
        self._recent: deque[tuple[Message[Any], int]] = deque()
        self._bytes = 0

    @property
    def caught_up(self) -> bool:
        return not self._behind

    @property
    def position(self) -> Position | None:
        """Of the last message handed on; None: there is no history."""
        return Position(self._epoch, self._last) if self._epoch else None

    # -- what is next

    def step(self) -> Ask[Sized] | Listen[Sized]:
        template, name = self._declared.template, self._name
        if not self._begun:
            most = 1 if self._declared.latest else _MOST
            return Ask(ops.read(template, name, 0, most, newest=True), self._begin)
        if self._rewound:
            return Ask(ops.rewind(template, name, self._epoch, new_epoch()), self._begin_again)
        if self._behind:
            return Ask(ops.read(template, name, max(0, self._last - 1), LIMIT), self._catch_up)
        return Listen(self._hear, CHECK_S)

    def lost(self) -> None:
        """The next answer tells the same as the one that was lost."""

    # -- learning

    def _begin(self, history: History) -> Iterable[Sized]:
        """Subscribers hear what comes from here on; what is recent is remembered for those who come back."""
        self._begun, self._behind = True, False
        self._epoch = history.epoch
        for message, entry in self._messages(history):
            self._remember(message, len(entry.payload))
        self._last = history.last
        return ()

    def _begin_again(self, _: bool) -> Iterable[Sized]:
        """What came after is read in the new epoch, after the gap that its change brings."""
        self._rewound, self._behind, self._why = False, True, "rewound"
        return ()

    def _catch_up(self, history: History) -> Iterator[Sized]:
        """Read from the last message on: a server that lost it may have given its offset to another one."""
        heard, self._first = self._first, None
        if heard is not None and heard[0].epoch == history.epoch:
            self._epoch, self._behind = history.epoch, False
            yield from self._hand_on(*heard)
            return
        if history.epoch != self._epoch:
            yield from self._change_epoch(history.epoch)
            return
        if history.last < self._last:
            self._rewound = bool(self._epoch)
            return
        known = [each for each in history.entries if each.offset <= self._last]
        if any(self._differs(each.offset, each.ts) for each in known):
            self._rewound = True
            return
        history = replace(history, entries=history.entries[len(known) :])
        first = history.entries[0].offset if history.entries else history.last + 1
        if first > self._last + 1:
            yield from self._gap("trimmed", first - 1)
        for message, entry in self._messages(history):
            yield from self._hand_on(message, len(entry.payload))
        self._behind = self._last < history.last

    def _change_epoch(self, epoch: str) -> Iterator[Sized]:
        """Where nothing was known before, nothing was missed: the new history is read from its beginning."""
        before, self._epoch = self._epoch, epoch
        self._last = 0
        self._recent.clear()
        self._bytes = 0
        self._behind = bool(epoch)
        why, self._why = self._why, "epoch"
        if before:
            yield from self._gap(why, 0)

    def _hear(self, frame: ground.Message | None) -> Iterable[Sized]:
        head = head_of(frame.data) if frame is not None and not frame.gap else None
        if frame is not None and not frame.gap and (head is None or not head.epoch):
            return ((Message(Unknown(frame.data), self._name, 0), len(frame.data)),)  # somebody else's
        if frame is not None and head is not None and not self._epoch and head.offset == 1:
            self._first, self._behind = (self._read(frame.data, head), len(frame.data)), True
        elif frame is None or head is None or head.epoch != self._epoch or head.offset > self._last + 1:
            self._behind = True
        elif head.offset == self._last + 1:
            return tuple(self._hand_on(self._read(frame.data, head), len(frame.data)))
        elif self._differs(head.offset, head.ts):
            self._behind = self._rewound = True
        return ()

    def _read(self, data: bytes, head: Head) -> Message[Any]:
        return Message(self._declared.codec.read(data[head.size :]), self._name, head.ts, head.epoch, head.offset)

    def _differs(self, offset: int, ts: int) -> bool:
        """Whether another message had this offset: the server has lost that one."""
        held = [message for message, _ in self._recent if message.offset == offset]
        return bool(held) and held[0].ts != ts

    def _messages(self, history: History) -> Iterable[tuple[Message[Any], KeptEvent]]:
        return zip(self._declared.messages(self._name, history), history.entries, strict=True)

    def _hand_on(self, message: Message[Any], size: int) -> Iterator[Sized]:
        self._last = message.offset
        self._remember(message, size)
        yield message, size

    def _gap(self, reason: Reason, last: int) -> Iterator[Sized]:
        self._last = last
        self._recent.clear()
        self._bytes = 0
        yield Gap(reason, channel=self._name, position=self.position), 0

    # -- for those who come back

    def _remember(self, message: Message[Any], size: int) -> None:
        self._recent.append((message, size))
        self._bytes += size
        while len(self._recent) > _MOST or self._bytes > _MOST_BYTES:
            self._bytes -= self._recent.popleft()[1]

    def since(self, position: Position) -> list[Message[Any]] | None:
        """What came behind it, as far as that is remembered here; None: the server has to be asked."""
        if position.epoch not in ("", self._epoch) or position.offset > self._last:
            return None
        behind = [message for message, _ in self._recent if message.offset > position.offset]
        return behind if len(behind) == self._last - position.offset else None

    def snapshot(self) -> Message[Any] | None:
        """The newest message."""
        return self._recent[-1][0] if self._recent else None
