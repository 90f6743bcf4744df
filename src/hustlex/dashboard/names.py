"""Names in URLs: queues, ids and groups are free text, which proxies and browsers would change on the way."""

from __future__ import annotations

import re

_PLAIN = re.compile(rb"[A-Za-z0-9_-]")
_CODED = re.compile(r"(?:[A-Za-z0-9_-]|~[0-9a-f]{2})+")


def to_url(name: str) -> str:
    """Bytes other than ``A-Z a-z 0-9 _ -`` become ``~hh``: no percent signs, no dots, no slashes."""
    raw = name.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"~{byte:02x}" for byte in raw) or "~"


def from_url(coded: str) -> str | None:
    """The name again; None for what ``to_url`` would never have written."""
    if coded == "~":
        return ""
    if not _CODED.fullmatch(coded):
        return None
    raw = re.sub(rb"~([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), coded.encode())
    name = raw.decode("utf-8", "surrogateescape")
    return name if to_url(name) == coded else None
