"""The least an ACL user needs for each room, read from the room's own scripts and operations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from hustlex.core import check
from hustlex.core.walk import literal

ROOMS = ("otp", "tokens", "ratelimit", "idempotency", "pins", "cache", "events", "jobs")

# What the drivers say on every connection, how scripts run, the clock and the checks that scripts and rooms share, and
# waiting for the disk or a replica.
_ALWAYS = frozenset(
    {
        "auth",
        "client|setinfo",
        "client|setname",
        "eval",
        "evalsha",
        "hello",
        "info",
        "ping",
        "script|load",
        "select",
        "time",
        "type",
        "wait",
        "waitaof",
    }
)
# What the doctor asks beside them.
_LOOKS = frozenset(
    {
        "@connection",
        "@read",
        "acl|dryrun",
        "acl|getuser",
        "acl|whoami",
        "client|list",
        "cluster|info",
        "cluster|slots",
        "command|info",
        "config|get",
        "latency|latest",
        "memory|usage",
        "object|freq",
        "slowlog|get",
        "zremrangebyscore",  # who lists the living workers takes the dead ones off the list
    }
)
_CHANNELS = {"events": "ev", "jobs": "asynq"}
_SUBSCRIBER = frozenset({"ssubscribe", "subscribe", "sunsubscribe", "unsubscribe"})
_NEAR = "client|tracking"  # of near caches

_CALL = re.compile(r"redis\.p?call\(([^,)]*)")
_WORD = re.compile(r"'([A-Z]+)'")
_PLAIN = re.compile(r'(?:Effect\.[A-Z]+,|words = \()\s*"([A-Z]+)"')
_KEY_LINE = re.compile(r"^-- (?:KEYS|TOUCHES) .*$", re.MULTILINE)
_FAMILY = re.compile(r"(?:^|[\s,])(?:<prefix>)?([a-z]{2,}):[\w{<]")
_COMMENT = re.compile(r"--[^\n]*")


class AclRights(msgspec.Struct, frozen=True):
    """commands: as ``hget``, ``client|setname``, ``@read``. keys, channels: patterns; keys as ``%R~app:*``
    where reading is enough."""

    commands: tuple[str, ...]
    keys: tuple[str, ...]
    channels: tuple[str, ...]

    def rules(self) -> list[str]:
        """The words that follow ``ACL SETUSER <name> on ><password>``."""
        return [
            "resetkeys",
            "resetchannels",
            "-@all",
            *(f"+{name}" for name in self.commands),
            *(pattern if pattern.startswith("%") else f"~{pattern}" for pattern in self.keys),
            *(f"&{pattern}" for pattern in self.channels),
        ]


def rights(rooms: tuple[str, ...] = ROOMS, prefix: str = "") -> AclRights:
    """What a user of these rooms needs, with this key prefix (the jobs' keys have none). Raises Misuse."""
    commands, keys, channels, start = set(_ALWAYS), set(), set(), _pattern(prefix)
    for room in check.several("rooms", rooms):
        place = resources.files(f"hustlex.{check.one_of('a name in rooms', room, ROOMS)}")
        commands |= {word.lower() for word in _commands(place)}
        before = "" if room == "jobs" else start
        keys |= {f"{before}{family}:*" for family in _families(place)}
        if room in _CHANNELS:
            channels.add(f"{before}{_CHANNELS[room]}:*")
            commands |= _SUBSCRIBER
        if room == "cache":
            commands.add(_NEAR)
    return AclRights(tuple(sorted(commands)), tuple(sorted(keys)), tuple(sorted(channels)))


def doctor_rights(prefix: str = "") -> AclRights:
    """What every check needs, for a user who changes nothing: also what ``--deep`` and ``hustlex redis`` look at."""
    keys = (f"%R~{_pattern(prefix)}*", "asynq:*")  # scripts that only read need more than %R for their keys
    return AclRights(tuple(sorted(_ALWAYS | _LOOKS)), keys, ())


def _pattern(prefix: str) -> str:
    """Of a prefix: each character as it is; ``?`` for blanks and quotes, which would begin another word of the rule."""
    return re.sub(r"[\s\"']", "?", literal(check.text("prefix", prefix, blank=True)))


def _commands(place: Traversable) -> Iterator[str]:
    for name, source in sources(place):
        if name.endswith(".lua"):
            for call in _CALL.findall(_COMMENT.sub("", source)):
                yield from _WORD.findall(call)
        else:
            yield from _PLAIN.findall(source)


def _families(place: Traversable) -> Iterator[str]:
    for name, source in sources(place):
        if name.endswith(".lua"):
            for line in _KEY_LINE.findall(source):
                yield from _FAMILY.findall(line)


def sources(place: Traversable) -> Iterator[tuple[str, str]]:
    """Every Lua and Python file under a place: its name and text."""
    for entry in place.iterdir():
        if entry.is_dir():
            yield from sources(entry)
        elif entry.name.endswith((".lua", ".py")):
            yield entry.name, entry.read_text("utf-8")
