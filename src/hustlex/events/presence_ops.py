"""Operations of presence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.events.names import ChannelTemplate

_ENTER = load("hustlex.events", "enter")
_LEAVE = load("hustlex.events", "leave")
_PRESENT = load("hustlex.events", "present")

LIFE_MS = 60_000
"""Whoever gives no sign for so long is gone."""

Keys = tuple[str, str, str]


class Member(msgspec.Struct, frozen=True):
    """Somebody who is there."""

    id: str
    """Of the connection, or whatever it entered by."""
    user: str
    """Whose it is; "" where nobody is known."""
    since: int
    """When it came, milliseconds since 1970."""


class PresenceCount(msgspec.Struct, frozen=True):
    """How many are there."""

    members: int
    """Connections, or whatever enters."""
    users: int
    """Different users of them, those apart of whom nobody is known."""


def keys(template: ChannelTemplate, name: str) -> Keys:
    """Where it is noted who is at this channel."""
    return tuple(template.key_beside(name, what) for what in ("p", "pi", "pu"))  # type: ignore[return-value]


def enter(where: Keys, members: Mapping[str, str], now_ms: int) -> Op[int]:
    """Members and their users are there, for the first time or still. Answers how many were not."""
    entries = [text for member in members.items() for text in member]
    return _ENTER.op(where, (now_ms, LIFE_MS, *entries), _number)


def leave(where: Keys, members: Iterable[str]) -> Op[None]:
    """They are gone."""
    return _LEAVE.op(where, (*members,), _nothing)


def members(where: Keys, most: int, now_ms: int) -> Op[list[Member]]:
    """Who is there."""
    return _PRESENT.op(where, (now_ms, most), _members)


def count(where: Keys, now_ms: int) -> Op[PresenceCount]:
    """How many are."""
    return _PRESENT.op(where, (now_ms, 0), _count)


def _number(reply: Reply) -> int:
    return int(reply[1])


def _nothing(_: Reply) -> None:
    return None


def _count(reply: Reply) -> PresenceCount:
    return PresenceCount(int(reply[1]), int(reply[2]))


def _members(reply: Reply) -> list[Member]:
    flat = [bytes(each).decode("utf-8", "replace") for each in reply[3]]
    return [_member(member, info) for member, info in zip(flat[::2], flat[1::2], strict=True)]


def _member(member: str, info: str) -> Member:
    since, _, user = info.partition(" ")
    return Member(member, user, int(since))
