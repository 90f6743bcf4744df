"""What a subscriber is given."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

from hustlex.core.check import Id

T = TypeVar("T")

Parameter = Id
"""A value for one ``{placeholder}`` of a channel's name."""


class Unknown(msgspec.Struct, frozen=True):
    """A payload this process cannot read as its channel's type, as happens while a newer version is being deployed.

    raw: the payload as it arrived.
    """

    raw: bytes

    def __repr__(self) -> str:
        return f"Unknown(<{len(self.raw)} bytes>)"


class Message(msgspec.Struct, Generic[T], frozen=True):
    """One event. channel: its name without the prefix, as ``orders:42``.

    data is decoded once per process and shared by all local subscribers: treat it as read-only.
    ts: when the server took it, milliseconds since 1970; 0 if the sender was not this package.
    """

    data: T | Unknown
    channel: str
    ts: int


class Gap(msgspec.Struct, frozen=True):
    """Messages may be missing here: load the state again.

    reason: ``reconnected`` (the link to the server broke) or ``dropped`` (this subscriber was too slow).
    count: how many were dropped; 0 when that cannot be known.
    """

    reason: Literal["reconnected", "dropped"]
    count: int = 0
