"""Payloads: typed JSON out and in, and the head line ``1 <epoch> <offset> <ts_ms>`` before each."""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.events.types import Message, Unknown

T = TypeVar("T")

MAX_PAYLOAD = 64 * 1024
_HARD_LIMIT = 1024 * 1024
_HEAD = re.compile(rb"1 ([A-Za-z0-9_-]{1,64}) (\d{1,16}) (\d{1,16})\n")
_LIVE = "-"
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Head(msgspec.Struct, frozen=True, gc=False):
    """The first line of a message. epoch: "" for a live one. size: bytes of the line."""

    epoch: str
    offset: int
    ts: int
    size: int


def head_of(wire: bytes) -> Head | None:
    """None for what this package did not send."""
    found = _HEAD.match(wire)
    if not found:
        return None
    epoch = found[1].decode()
    return Head("" if epoch == _LIVE else epoch, int(found[2]), int(found[3]), found.end())


class EventCodec(Generic[T]):
    """Encodes and decodes one channel's type. max_payload: bytes of JSON, at most 1 MiB."""

    def __init__(self, event_type: type[T], max_payload: int) -> None:
        check.whole("max_payload", max_payload, 1, _HARD_LIMIT)  # a huge message disconnects every subscriber
        self._decoder = msgspec.json.Decoder(event_type)
        self._max_payload = max_payload

    def encode(self, event: T) -> bytes:
        """The payload. Raises Misuse when the event is no JSON, too large, or nothing that readers could read."""
        try:
            payload = msgspec.json.encode(event)
        except (TypeError, ValueError) as error:
            raise Misuse(f"a {type(event).__name__} cannot be written as JSON") from error
        if len(payload) > self._max_payload:
            raise Misuse(f"the event has {len(payload)} bytes", hint=f"this channel allows {self._max_payload}")
        try:  # a quarter of a microsecond; what is not looked at here is lost for every reader
            self._decoder.decode(payload)
        except _UNREADABLE:
            raise Misuse(
                f"a {type(event).__name__} with these values is not what this channel carries",
                hint="pass an event of the type that it was declared with",
            ) from None
        return payload

    def read(self, payload: bytes) -> T | Unknown:
        """The event. Never raises: what cannot be read is Unknown."""
        try:
            return self._decoder.decode(payload)
        except _UNREADABLE:
            return Unknown(payload)

    def decode(self, channel: str, wire: bytes) -> Message[T]:
        """A live message from the wire. Never raises: what cannot be read is delivered as Unknown."""
        head = head_of(wire)
        if head is None:
            return Message(Unknown(wire), channel, 0)
        return Message(self.read(wire[head.size :]), channel, head.ts)
