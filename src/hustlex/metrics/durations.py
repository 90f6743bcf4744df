"""How long tasks waited and ran in the last 24 hours, as all workers told it: percentiles, from buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import accumulate

import msgspec

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import server_clock
from hustlex.metrics.history import TIMED, by_label

_READ = load("hustlex.metrics", "read")


class Durations(msgspec.Struct, frozen=True):
    """Of one queue or task type, in the last 24 hours."""

    bounds: tuple[float, ...]
    """The upper bounds of the buckets, in seconds; the last bucket has none."""
    hours: tuple[tuple[int, ...], ...]
    """Of each hour, the oldest first and the present one last, how many were in each bucket."""

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(map(sum, self.hours))

    def percentile(self, share: float) -> timedelta | None:
        """The bound under which this share of them stayed, 0 < share <= 1. None: there were none, or that lies in the
        last bucket, which has no bound.
        """
        return self._bound([sum(bucket) for bucket in zip(*self.hours, strict=True)], share)

    def by_hour(self, share: float) -> list[timedelta | None]:
        """The same of each hour."""
        return [self._bound(hour, share) for hour in self.hours]

    def _bound(self, buckets: Sequence[int], share: float) -> timedelta | None:
        wanted = check.number("share", share, 0.0, 1.0) * sum(buckets)
        for bound, below in zip(self.bounds, accumulate(buckets), strict=False):
            if below >= wanted and below:
                return timedelta(seconds=bound)
        return None


@answering
async def task_durations(hx: HustleX, what: str) -> Mapping[str, Durations]:
    """How long tasks took in the last 24 hours, in one call. what: ``run``, by task type; ``wait``, by queue.

    Under "" stands all together. Workers in Python whose front has metrics tell it (``hustlex worker --health-port``).
    Raises Misuse, Unavailable.
    """
    check.protocol("hx", hx, "driver", "prefix", hint="pass the HustleX")
    return await hx.driver.run(read_durations(hx.prefix, what))


def read_durations(prefix: str, what: str) -> Op[Mapping[str, Durations]]:
    """The call of ``task_durations``, for either front."""
    check.one_of("what", what, tuple(TIMED))

    def decode(reply: Reply) -> Mapping[str, Durations]:
        _, now_ms, _, others = reply
        return _durations(what, others, int(now_ms))

    return _READ.op((f"{prefix}x:{{rooms}}:names",), (server_clock(), -1, -1, f"{what} "), decode)


def read_together(prefix: str) -> Op[Mapping[str, Durations]]:
    """Of all queues and types together, by ``wait`` and ``run``: one call, which looks at no others."""
    wanted = [f"{what} {n} " for what, bounds in TIMED.items() for n in range(len(bounds) + 1)]

    def decode(reply: Reply) -> Mapping[str, Durations]:
        _, now_ms, series, _ = reply
        told = [[name.encode(), cells[0], *cells[1]] for name, cells in zip(wanted, series, strict=True) if cells]
        found = {what: _durations(what, told, int(now_ms)).get("") for what in TIMED}
        return {what: each for what, each in found.items() if each is not None}

    return _READ.op((f"{prefix}x:{{rooms}}:names",), (server_clock(), -1, 1, "", *wanted), decode)


def _durations(what: str, rows: Sequence[Sequence[Reply]], now_ms: int) -> dict[str, Durations]:
    bounds = TIMED[what]
    counted = [str(n) for n in range(len(bounds) + 1)]
    found = by_label(counted, [list(row) for row in rows if bytes(row[0]).startswith(f"{what} ".encode())], now_ms)
    return {label: Durations(bounds, tuple(zip(*cells, strict=True))) for label, cells in found.items()}
