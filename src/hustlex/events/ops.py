"""Operations of the events room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Flow, Op, Reply, do, parts, subscribers
from hustlex.events.names import ChannelKeys, ChannelTemplate
from hustlex.events.types import Position

_PUBLISH = load("hustlex.events", "publish")
_PUBLISH_SHARDED = load("hustlex.events", "publish_sharded")
_APPEND = load("hustlex.events", "append")
_APPEND_SEVERAL = load("hustlex.events", "append_several")
_APPEND_IF_NEW = load("hustlex.events", "append_if_new")
_READ = load("hustlex.events", "read")
_REWIND = load("hustlex.events", "rewind")
_FORGET = load("hustlex.events", "forget")


class Retention(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a channel, times in milliseconds."""

    size: int
    keep_ms: int
    meta_ms: int
    idem_ms: int


class Publishing(msgspec.Struct, frozen=True, gc=False):
    """A message that is to be kept and sent."""

    named: ChannelKeys
    retention: Retention
    payload: bytes


class KeptEvent(msgspec.Struct, frozen=True, gc=False):
    """One message of a history."""

    offset: int
    ts: int
    payload: bytes


class History(msgspec.Struct, frozen=True, gc=False):
    """A part of a channel's history, oldest first. epoch: "" there is none. last: the offset of the newest message."""

    epoch: str
    last: int
    entries: list[KeptEvent]


def publish(named: ChannelKeys, payload: bytes, now_ms: int) -> Op[int]:
    """Send one live message. Answers the number of connections that took it."""
    if not named.told:
        return _PUBLISH_SHARDED.op((named.channel,), (now_ms, payload), _receivers)
    return _PUBLISH.op((), (named.channel, now_ms, payload), _receivers)


def append(publishing: Publishing, fresh: str, now_ms: int) -> Op[Position]:
    """Keep and send one message. fresh: the epoch, should there be none.

    Lesson of the profile (64 publishers): packing eleven words was a third of the client's part, so those that are the
    same each time are packed once for each channel; with a clock that was handed in nothing is.
    """
    named, retention = publishing.named, publishing.retention
    given = named.told, retention.size, retention.keep_ms, retention.meta_ms, now_ms
    if now_ms:
        return _APPEND.op((named.stream, named.meta), (*given, fresh, publishing.payload), _position)
    if not named.begun:
        named.begun.append(_APPEND.op((named.stream, named.meta), given, _position, kept=[]))
    begun: Op[Position] = named.begun[0]
    args = (*begun.args, fresh, publishing.payload)
    return Op(begun.name, begun.effect, begun.keys, args, _position, _APPEND, 0, None, (begun,))


def append_several(asked: Sequence[Publishing], fresh: str, now_ms: int) -> Op[list[Position | None]]:
    """The same for messages of several channels of one family, in their order. None: it was not done, and is to be
    tried by itself. Errors speak of what each caller did."""
    retention = asked[0].retention
    given = retention.size, retention.keep_ms, retention.meta_ms, now_ms
    keys = tuple(key for each in asked for key in (each.named.stream, each.named.meta))
    args: tuple[Arg, ...] = (*given, fresh, *(each.payload for each in asked))
    parts = () if now_ms else tuple([_place(each.named, given) for each in asked])
    return Op(_APPEND.name, Effect.ONCE, keys, args, _positions, _APPEND_SEVERAL, 0, None, parts)


def _place(named: ChannelKeys, given: tuple[int, ...]) -> Op[Any]:
    if not named.place:
        named.place.append(_APPEND_SEVERAL.op((named.stream, named.meta), given, _positions, kept=[]))
    place: Op[Any] = named.place[0]
    return place


def append_if_new(publishing: Publishing, fresh: str, now_ms: int, idem: str, version: int) -> Op[Position]:
    """The same for one that has an id (""; none), with which it may be repeated, or a version (0: none)."""
    named, retention = publishing.named, publishing.retention
    args = named.told, now_ms, fresh, publishing.payload, retention.size, retention.keep_ms, retention.meta_ms
    more = retention.idem_ms if idem else 0, version
    op = _APPEND_IF_NEW.op((named.stream, named.meta, f"{named.once}{idem}"), args + more, _position)
    return msgspec.structs.replace(op, effect=Effect.IDEMPOTENT) if idem else op


def read(template: ChannelTemplate, name: str, after: int, most: int, *, newest: bool = False) -> Op[History]:
    """What is kept behind an offset, ``most`` messages of it, from the oldest on or the newest ones."""
    keys = (template.key_beside(name, "s"), template.key_beside(name, "m"))
    return _READ.op(keys, (after, most, int(newest)), _newest if newest else _oldest)


def rewind(template: ChannelTemplate, name: str, epoch: str, fresh: str) -> Op[bool]:
    """Begin a new epoch, unless somebody has."""
    keys = (template.key_beside(name, "s"), template.key_beside(name, "m"))
    return _REWIND.op(keys, (epoch, fresh), _done)


def forget(template: ChannelTemplate, name: str) -> Op[None]:
    """Drop what is kept."""
    return _FORGET.op((template.key_beside(name, "s"),), (), _nothing)


def listeners(template: ChannelTemplate, name: str) -> Flow[int]:
    """How many connections listen to a channel, at all servers."""
    channel = template.key(name)
    if template.sharded:
        return (yield from do(subscribers("events.listeners", channel, sharded=True)))
    return sum((yield from parts(subscribers("events.listeners", channel))))


def _receivers(reply: Reply) -> int:
    return int(reply[1])


def _position(reply: Reply) -> Position:
    return Position(reply[1].decode(), int(reply[2]))


def _positions(reply: Reply) -> list[Position | None]:
    places = reply[1]
    return [
        Position(epoch.decode(), int(offset)) if epoch else None
        for epoch, offset in zip(places[::2], places[1::2], strict=True)
    ]


def _oldest(reply: Reply) -> History:
    return History(reply[1].decode(), int(reply[2]), [_entry(entry_id, flat) for entry_id, flat in reply[3]])


def _newest(reply: Reply) -> History:
    reply[3].reverse()
    return _oldest(reply)


def _entry(entry_id: bytes, flat: list[bytes]) -> KeptEvent:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return KeptEvent(int(entry_id.partition(b"-")[0]), int(fields.get(b"t", b"0")), fields.get(b"d", b""))


def _done(reply: Reply) -> bool:
    return bool(reply[0] == 1)


def _nothing(_: Reply) -> None:
    return None
