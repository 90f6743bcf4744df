"""Names in URLs: queues, ids and groups are free text, which proxies and browsers would change on the way."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

_PLAIN = re.compile(rb"[A-Za-z0-9_-]")
_CODED = re.compile(r"(?:[A-Za-z0-9_-]|~[0-9a-f]{2})+")


def to_url(name: str) -> str:
    """Bytes other than ``A-Z a-z 0-9 _ -`` become ``~hh``: no percent signs, no dots, no slashes."""
    raw = name.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"~{byte:02x}" for byte in raw) or "~"


def path_and_query(address: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Of an address that stands in a form or a query and begins with a path; None for what leads anywhere else."""
    path, _, query = address.partition("#")[0].partition("?")
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not address.isprintable():
        return None
    try:
        return path, parse_qsl(query, max_num_fields=100)
    except ValueError:
        return None


def with_query(address: str, **more: object) -> str:
    """An address whose query says something more, instead of what it said before."""
    path, query = path_and_query(address) or ("/", [])
    kept = [(name, value) for name, value in query if name not in ("said", "n", *more)]
    return f"{path}?{urlencode([*kept, *((k, str(v)) for k, v in more.items() if v != '')])}"


def from_url(coded: str) -> str | None:
    """The name again; None for what ``to_url`` would never have written."""
    if coded == "~":
        return ""
    if not _CODED.fullmatch(coded):
        return None
    raw = re.sub(rb"~([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), coded.encode())
    name = raw.decode("utf-8", "surrogateescape")
    return name if to_url(name) == coded else None
