"""What Sentinels are asked, and which of their servers their answers name. No I/O: both drivers read it here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hustlex.drivers.address import Address

_AWAY = (b"down", b"disconnected")


def questions_of(address: Address) -> list[tuple[str, ...]]:
    """The primary first, and its replicas where they are read from."""
    primary = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
    return [primary, ("SENTINEL", "REPLICAS", address.service)] if address.replicas else [primary]


def place_in(replies: Sequence[Any]) -> Any:
    """Host and port of the server to dial; None for a name that nobody knows."""
    primary, *more = replies
    if primary is None or not more:
        return primary
    healthy = [place for entry in more[0] if (place := _replica(entry)) is not None]
    return random.choice(healthy) if healthy else primary


def _replica(entry: Any) -> tuple[bytes, bytes] | None:
    """None for one that is away, or does not hear its primary."""
    state = entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))
    away = any(word in state[b"flags"] for word in _AWAY) or state[b"master-link-status"] != b"ok"
    return None if away else (state[b"ip"], state[b"port"])
