"""Who is banned now: found by going through keys, since nobody keeps a list."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from urllib.parse import unquote

import msgspec

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Effect, Flow, Op, Reply, command
from hustlex.core.walk import PER_STEP, literal, walk
from hustlex.errors import Misuse

_LOOK_BANS = load("hustlex.ratelimit", "look_bans")

_MOST, _LONGEST = 20 * PER_STEP, 600
_RECORD = re.compile(r"ratelimit:\{([^{}:\s]+)\}:([^{}:\s]+):pen(?:\.([A-Za-z0-9_.-]+))?")


class BannedCaller(msgspec.Struct, frozen=True):
    """One caller whose every call is refused for a time."""

    record: str
    """Its name in Redis, as ``LimitInspector.lift`` takes it."""
    caller: str
    """The identity that is limited, as ``u7`` or ``ip:203.0.113.7``; of a long one its beginning and a digest."""
    endpoint: str
    """The label that its calls are counted under."""
    policy: str
    """Which of several policies with a penalty bans; "" where there is one."""
    banned_for: timedelta
    """Rest of the ban."""
    level: int
    """Bans in a row; 0: by hand."""


class BanPage(msgspec.Struct, frozen=True):
    """Some of the callers that are banned."""

    bans: tuple[BannedCaller, ...]
    """Those that last longest first."""
    cursor: str
    """Where to go on; "" when all keys were looked at."""
    looked_at: int
    """At how many keys of the server, about."""


def banned(prefix: str, cursor: str, now_ms: int) -> Flow[BanPage]:
    """Go through the servers' keys; penalties are looked at where they are. Raises Misuse for what is no cursor."""
    pattern = f"{literal(prefix)}ratelimit:{{*}}:*:pen*"
    page = yield from walk("ratelimit", pattern, cursor, partial(_look, len(prefix), now_ms), _MOST)
    return BanPage(tuple(sorted(page.found, key=lambda ban: -ban.banned_for)), page.cursor, page.looked_at)


def lift(prefix: str, record: str) -> Op[bool]:
    """Forget a caller's strikes and ban. Raises Misuse for what is no record of one."""
    text = check.text("record", record, longest=_LONGEST)
    if not text.startswith(prefix) or not _RECORD.fullmatch(text, len(prefix)):
        raise Misuse("this is no record of a ban", hint="pass the record of a BannedCaller, as it is")
    return command("ratelimit.lift", Effect.IDEMPOTENT, "DEL", text, keys=(text,), decode=bool)


def _look(cut: int, now_ms: int, keys: list[str]) -> Op[list[BannedCaller]]:
    """cut: characters of the keys' prefix."""

    def decode(reply: Reply) -> list[BannedCaller]:
        found = ((keys[at], _RECORD.fullmatch(keys[at], cut), level, rest) for at, level, rest in reply[0])
        return [_ban(record, names, level, rest) for record, names, level, rest in found if names]

    return _LOOK_BANS.op((), (now_ms, *keys), decode)


def _ban(record: str, names: re.Match[str], level: int, rest_ms: int) -> BannedCaller:
    caller, endpoint, policy = names.groups("")
    return BannedCaller(record, unquote(caller), unquote(endpoint), policy, timedelta(milliseconds=rest_ms), level)
