"""What travels on a WebSocket of events: one JSON object per frame, or a list of them. docs/guides/events.md."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from hustlex.events import Gap, Message, Position, Unknown
from hustlex.events.types import LAST_OFFSET

LONGEST = 64 * 1024
"""Bytes of a frame from a client."""


class Connect(msgspec.Struct):
    """The first command. token: an access token; "" for nobody."""

    token: str = ""


class Refresh(Connect):
    """Another token. ch: the channel that it is for; "" for the connection."""

    ch: str = ""


class FramePosition(msgspec.Struct):
    """A position: epoch and offset."""

    e: Annotated[str, msgspec.Meta(max_length=64)]
    o: Annotated[int, msgspec.Meta(ge=0, le=LAST_OFFSET)]


class OnChannel(msgspec.Struct):
    """A command on a channel."""

    ch: str
    token: str = ""
    since: FramePosition | None = None
    data: msgspec.Raw = msgspec.Raw()
    idem: str | None = None
    limit: int = 100


class ClientFrame(msgspec.Struct):
    """One command with its number, or nothing: the answer to a ping."""

    id: int = 0
    connect: Connect | None = None
    refresh: Refresh | None = None
    subscribe: OnChannel | None = None
    unsubscribe: OnChannel | None = None
    publish: OnChannel | None = None
    history: OnChannel | None = None
    presence: OnChannel | None = None


_decoder = msgspec.json.Decoder(ClientFrame | list[ClientFrame])


class CommandRefused(Exception):
    """A command is answered with an error; the connection stays."""

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.frame = {"code": code, "message": message, "temporary": temporary}


class SocketClosing(Exception):
    """The connection is closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


BAD_REQUEST = 101, "bad request"
UNKNOWN_CHANNEL = 102, "unknown channel"
DENIED = 103, "permission denied"
ALREADY = 105, "already subscribed"
LIMIT = 106, "limit exceeded"
UNAVAILABLE = 108, "not available"
SUBSCRIPTION_EXPIRED = 109, "subscription expired"

SHUTDOWN = 4001, "shutdown"
INTERNAL = 4004, "internal error"
EXPIRED = 4005, "expired"
SLOW = 4008, "slow"
NO_PONG = 4012, "no pong"
TOO_MANY_REQUESTS = 4013, "too many requests"
INVALID_TOKEN = 4500, "invalid token"
MALFORMED = 4501, "bad request"
STALE = 4502, "stale"
TOO_MANY_CONNECTIONS = 4504, "connection limit"
TOO_MANY_ERRORS = 4509, "too many errors"


def read(text: str | bytes) -> list[ClientFrame]:
    """The commands of a frame. Raises SocketClosing for what is none."""
    if len(text) > LONGEST:
        raise SocketClosing(*MALFORMED)
    try:
        frames = _decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SocketClosing(*MALFORMED) from None
    return frames if isinstance(frames, list) else [frames]


def position_of(text: str) -> FramePosition | None:
    """A position as text; None for what is none."""
    found = Position.parse(text)
    return None if found is None else FramePosition(found.epoch, found.offset)


def pushed(item: Message[Any] | Gap) -> dict[str, Any]:
    """A message or a gap. What this process could not read is not passed on: nothing has checked its content."""
    if isinstance(item, Gap):
        place = {"e": item.position.epoch, "o": item.position.offset} if item.position else {}
        return {"gap": {"ch": item.channel, "reason": item.reason, "recovered": False, **place}}
    return {"push": {"ch": item.channel, **contents(item)}}


def contents(item: Message[Any]) -> dict[str, Any]:
    """Of a message."""
    shown: dict[str, Any] = {"ts": item.ts}
    if item.epoch:
        shown |= {"e": item.epoch, "o": item.offset}
    if item.snapshot:
        shown["snapshot"] = True
    if isinstance(item.data, Unknown):
        return {**shown, "data": None, "unknown": True}
    return {**shown, "data": item.data}
