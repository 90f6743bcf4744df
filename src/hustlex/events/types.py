"""What a subscriber is given."""

from __future__ import annotations

import re
from typing import Generic, Literal, Self, TypeVar

import msgspec

from hustlex.core.check import Id

T = TypeVar("T")

Parameter = Id
"""A value for one ``{placeholder}`` of a channel's name."""

Kind = Literal["live", "replay", "latest"]
Reason = Literal["reconnected", "dropped", "epoch", "trimmed", "limit", "rewound", "slow"]

LAST_OFFSET = 2**53 - 1
_POSITION = re.compile(r"([A-Za-z0-9_-]{0,64})\.(0|[1-9][0-9]{0,15})", re.ASCII)


class Position(msgspec.Struct, frozen=True):
    """A place in a channel's history; as text ``<epoch>.<offset>``, which is what a browser sends back."""

    epoch: str
    """Of the history: another one after the server has lost it. "": there was none yet."""
    offset: int
    """Of the last message seen, from 1; 0: before the first."""

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what is no position."""
        found = _POSITION.fullmatch(text)
        if found is None or int(found[2]) > LAST_OFFSET or (not found[1] and found[2] != "0"):
            return None
        return cls(found[1], int(found[2]))


class Unknown(msgspec.Struct, frozen=True):
    """A payload this process cannot read as its channel's type, as happens while a newer version is being deployed.

    raw: the payload as it arrived.
    """

    raw: bytes

    def __repr__(self) -> str:
        return f"Unknown(<{len(self.raw)} bytes>)"


class Message(msgspec.Struct, Generic[T], frozen=True):
    """One event. Decoded once per process and shared by all local subscribers: treat its data as read-only."""

    data: T | Unknown
    """The event; read-only, as all local subscribers share it."""
    channel: str
    """Its name without the prefix, as ``orders:42``."""
    ts: int
    """When the server took it, milliseconds since 1970; 0 if the sender was not this package."""
    epoch: str = ""
    """Of the channel's history; "" for a live channel."""
    offset: int = 0
    """In the history, from 1; 0 for a live channel."""
    snapshot: bool = False
    """It is the state that a ``latest`` channel had when the subscription began."""

    @property
    def position(self) -> Position | None:
        """Where to go on from; None for a live channel."""
        return Position(self.epoch, self.offset) if self.epoch else None


class Gap(msgspec.Struct, frozen=True):
    """Messages may be missing here: load the state again. What comes after it is whole."""

    reason: Reason
    """``reconnected``: the link of a live channel broke. ``dropped``: this subscriber was too slow. Of channels with
    history: ``epoch`` (the server lost it, or the position is of none that is there), ``trimmed`` (it is not kept that
    far back), ``limit`` (more was missed than is sent again), ``rewound`` (the server lost its last messages),
    ``slow`` (this subscriber was too slow, and the history does not reach back to where it stood)."""
    count: int = 0
    """How many were dropped; 0 when that cannot be known."""
    channel: str = ""
    """The channel's name; "" for all of the subscription."""
    position: Position | None = None
    """Where the channel goes on; None for a live channel."""
