"""What an operator sees of breakers: which scopes are slowed down, since when and why; and how one is ended."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Flow, Op, Reply
from hustlex.core.walk import PER_STEP, literal, walk
from hustlex.errors import Misuse
from hustlex.otp.names import meter
from hustlex.otp.reservations import scope_of
from hustlex.otp.room import OtpServices
from hustlex.otp.types import Scope

_LOOK_BREAKERS = load("hustlex.otp", "look_breakers")
_CLOSE_BREAKER = load("hustlex.otp", "close_breaker")

_MOST = 20 * PER_STEP
_NAME = re.compile(r"(?:cc|blk|pfx|ip|box|dom):[A-Za-z0-9._~/@+=-]{1,105}")


class OpenBreaker(msgspec.Struct, frozen=True):
    """One scope that is slowed down to single messages, because too few of its codes were typed."""

    name: str
    """As ``Otp.close_breaker`` takes it: ``cc:NG`` of a country, ``pfx:2348031`` of a prefix; of what is counted
    together by numbers, addresses or mailboxes a keyed stand-in."""
    scope: Scope
    """What is counted together."""
    since: datetime | None
    """When it began; None: an earlier version began it."""
    sent: int
    """Messages of the last hour."""
    verified: int
    """Codes of them that were typed: the fewer, the more it looks like messages that nobody asked for."""
    next_in: timedelta
    """When the next message passes unasked; 0: now."""
    passed: int
    """Messages that passed all the same since."""
    passed_verified: int
    """Codes of those that were typed; enough of them end it."""


class BreakerPage(msgspec.Struct, frozen=True):
    """Some of the scopes that are slowed down."""

    breakers: tuple[OpenBreaker, ...]
    """Those with the most messages first."""
    cursor: str
    """Where to go on; "" when all keys were looked at."""
    looked_at: int
    """At how many keys of the server, about."""


def opened(prefix: str, cursor: str, now_ms: int) -> Flow[BreakerPage]:
    """Go through the servers' keys; scopes are looked at where they are. Raises Misuse for what is no cursor."""
    look = partial(_look, len(prefix), now_ms)
    page = yield from walk("otp", f"{literal(prefix)}otp:{{*:*}}:cap", cursor, look, _MOST)
    return BreakerPage(tuple(sorted(page.found, key=lambda each: -each.sent)), page.cursor, page.looked_at)


def close(room: OtpServices, name: str) -> Op[bool]:
    """Let its messages pass again. Raises Misuse for what is no name of a breaker."""
    if not _NAME.fullmatch(check.text("name", name)):
        raise Misuse("this is no name of a breaker", hint="pass the name of an OpenBreaker, as cc:NG")
    return _CLOSE_BREAKER.op((meter(room.prefix, name),), (), lambda reply: bool(reply[0]))


def _look(cut: int, now_ms: int, keys: list[str]) -> Op[list[OpenBreaker]]:
    """cut: characters of the keys' prefix."""
    names = [key[cut:].partition("{")[2].rpartition("}")[0] for key in keys]

    def decode(reply: Reply) -> list[OpenBreaker]:
        return [_breaker(names[row[0]], *row[1:]) for row in reply[0] if _NAME.fullmatch(names[row[0]])]

    return _LOOK_BREAKERS.op((), (now_ms, *keys), decode)


def _breaker(
    name: str, sent: int, verified: int, since_ms: int, rest_ms: int, passed: int, passed_verified: int
) -> OpenBreaker:
    since = datetime.fromtimestamp(since_ms / 1000, UTC) if since_ms else None
    return OpenBreaker(
        name, scope_of(name), since, sent, verified, timedelta(milliseconds=rest_ms), passed, passed_verified
    )
