"""Clients that hear events now: the live connections of each process, and of all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from hustlex.dashboard.request import PageRequest
from hustlex.metrics.history import RoomPoint
from hustlex.metrics.live import LiveConnections, read_live

_LATELY = timedelta(hours=2)
_SHOWN = 5


class ConnectedNow(msgspec.Struct, frozen=True):
    """Of all processes."""

    sse: int
    websocket: int
    processes: tuple[LiveConnections, ...]
    """The busiest first, as far as they are shown."""
    left_out: int
    known: bool
    """False: no process told anything of itself lately."""

    @property
    def total(self) -> int:
        """Of both kinds."""
        return self.sse + self.websocket


async def now(request: PageRequest, hours: Sequence[RoomPoint], most: int = _SHOWN) -> ConnectedNow:
    """hours: in which processes told of their events. most: processes that are shown."""
    found = await request.hx.driver.run(read_live(request.hx.prefix))
    told = any(datetime.now(UTC) - point.at < _LATELY for point in hours)
    sums = sum(each.sse for each in found), sum(each.websocket for each in found)
    return ConnectedNow(*sums, tuple(found[:most]), max(0, len(found) - most), bool(found) or told)
