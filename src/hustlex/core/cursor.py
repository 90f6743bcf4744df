"""Where a page ended, as text that the next page begins with. Nothing in it is trusted but as a place to look."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse

T = TypeVar("T")

LONGEST = 4_000
"""Characters of a cursor."""


def sealed(place: object) -> str:
    """As text for an address."""
    return urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def opened(cursor: object, kind: type[T]) -> T | None:
    """The place; None for "". Raises Misuse for what was not given out."""
    text = check.text("cursor", cursor, longest=LONGEST, blank=True)
    if not text:
        return None
    try:
        return msgspec.msgpack.decode(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise strange() from None


def strange() -> Misuse:
    """The error for what no page gave out."""
    return Misuse("this is no cursor", hint="pass the cursor of the page before, or begin anew without one")
