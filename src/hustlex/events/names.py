"""Channel names: ``namespace:rest`` with ``{placeholders}`` that take the user's values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.events.types import Parameter

_PIECE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z0-9._~/@+=#$:-]+)")
_NAMESPACE = re.compile(r"[-a-zA-Z0-9_]{2,32}:.")
_SAFE = "._~/@+=$-"
_VALUE = "[A-Za-z0-9._~/@+=$%-]+"
_LONGEST = 255
_MOST_KNOWN = 10_000
_PLAIN = frozenset((int, str))


class ChannelKeys(msgspec.Struct, frozen=True, gc=False):
    """What one channel is called: its name, the pub/sub channel, what a script that keeps is told of that ("": it is
    sharded), its history, where that stands, ids that were sent."""

    name: str
    channel: str
    told: str
    stream: str
    meta: str
    once: str
    begun: list[Any] = msgspec.field(default_factory=list)
    """The beginning of an operation on it, see ``ops.append``."""
    place: list[Any] = msgspec.field(default_factory=list)
    """Its part of an operation on several, see ``ops.append_several``."""


class ChannelTemplate:
    """A name's pattern, checked once.

    The namespace takes 2 to 32 of ``[-a-zA-Z0-9_]``, the rest ``[A-Za-z0-9._~/@+=#$:-]`` and placeholders.
    In a value, everything outside ``[A-Za-z0-9._~/@+=$-]`` is percent-encoded, the separators ``:`` and ``#`` included,
    so that no value can reach a neighbour's channel. sharded: for a cluster, where each channel is told at one node.
    """

    def __init__(self, text: str, prefix: str = "", *, sharded: bool = False) -> None:
        text = check.text("name", text)
        pieces = list(_PIECE.finditer(text))
        if not _NAMESPACE.match(text) or "".join(piece[0] for piece in pieces) != text:
            raise Misuse(
                f"{text!r} is not a channel name",
                hint="write namespace:rest, as orders:{order_id}; a namespace has 2 to 32 letters, digits, _ or -",
            )
        self.text = text
        self._pieces = [(piece[1], piece[2]) for piece in pieces]
        self.parameters = frozenset(field for field, _ in self._pieces if field)
        self._prefix = f"{prefix}ev:"
        self.sharded = sharded
        self._pattern: re.Pattern[str] | None = None
        self._known: dict[tuple[tuple[str, Parameter], ...], ChannelKeys] = {}

    def keys(self, values: Mapping[str, Parameter]) -> ChannelKeys:
        """Of the channel with these values; those of many publishes are made once. Raises as ``name``."""
        if not _PLAIN.issuperset(map(type, values.values())):  # of these, equal values make equal names; True is 1
            return self._keys(values)
        given = (*values.items(),)
        found = self._known.get(given)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[given] = self._keys(values)
        return found

    def _keys(self, values: Mapping[str, Parameter]) -> ChannelKeys:
        name = self.name(values)
        channel, (stream, meta, once) = self.key(name), (self.key_beside(name, what) for what in ("s", "m", "i:"))
        return ChannelKeys(name, channel, "" if self.sharded else channel, stream, meta, once)

    def name(self, values: Mapping[str, Parameter]) -> str:
        """The channel's name, at most 255 bytes. Raises Misuse for a missing or unknown one, or what is no id."""
        if values.keys() != self.parameters:
            raise Misuse(f"this channel takes the parameters {sorted(self.parameters)}, not {sorted(values)}")
        name = "".join(_encoded(field, values[field]) if field else text for field, text in self._pieces)
        if len(name) > _LONGEST:
            raise Misuse(f"the channel's name has {len(name)} bytes", hint=f"at most {_LONGEST} are allowed")
        return name

    def match(self, name: str) -> dict[str, str] | None:
        """The values in a name; None when it is no name of this pattern."""
        if self._pattern is None:
            self._pattern = re.compile("".join(_groups(self._pieces)))
        found = self._pattern.fullmatch(name) if len(name) <= _LONGEST else None
        if found is None:
            return None
        try:
            values = {field: unquote(value, errors="strict") for field, value in found.groupdict().items()}
            return values if self.name(values) == name else None
        except (Misuse, UnicodeDecodeError):
            return None

    def key(self, name: str) -> str:
        """The pub/sub channel of a name. The prefix is part of it because pub/sub ignores database numbers. A sharded
        one is in the slot of what is kept beside it."""
        return f"{self._prefix}{{{name}}}" if self.sharded else self._prefix + name

    def key_beside(self, name: str, what: str) -> str:
        """A key beside the channel, in the name's slot. what: "s" its history, "m" where that stands."""
        return f"{self._prefix}{{{name}}}:{what}"


def _groups(pieces: list[tuple[str | None, str]]) -> list[str]:
    """Of a placeholder that comes again, the second is held against the first."""
    seen: set[str] = set()
    groups = []
    for field, text in pieces:
        if not field:
            groups.append(re.escape(text))
        elif field in seen:
            groups.append(f"(?P={field})")
        else:
            seen.add(field)
            groups.append(f"(?P<{field}>{_VALUE})")
    return groups


def _encoded(field: str, value: Parameter) -> str:
    return quoted(check.identity(field, value))


def quoted(value: str) -> str:
    """A value as it stands in a name."""
    return quote(value, safe=_SAFE)
