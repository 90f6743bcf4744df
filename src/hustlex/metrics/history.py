"""What rooms did, by the minute for a day and by the hour for a month: the differences of what processes count anyway.

Every ten seconds a process tells what its metrics have gained, in one call: nothing is added for a check, a read or a
code. What is not told, because the server was away or the process was killed, is missing; nothing is counted twice.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from struct import unpack
from typing import Any

import msgspec

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.logs import logger
from hustlex.core.lua import load
from hustlex.core.op import Arg, Op, Reply
from hustlex.core.time import server_clock
from hustlex.errors import Error
from hustlex.metrics.board import SeriesName, read
from hustlex.metrics.declared import RUN, WAIT
from hustlex.metrics.live import LiveTally
from hustlex.metrics.process import Metrics, metrics_of

_dice = random.Random()  # of this task alone: others may have seeded the one that all share
_RECORD, _READ = load("hustlex.metrics", "record"), load("hustlex.metrics", "read")

EVERY_S = 10.0
_PATIENCE_S = 2.0
MOST_SERIES = 1_000
"""About 10 KB each."""
MOST_HOURS, MOST_DAYS = 24, 30
_MOST_ROWS = 400
"""Of one call: others wait for a millisecond. What is more is told with the next."""
_TOLD = "told"
"""Told with each report: a minute without it is one of which nothing is known."""
_HITS = ("near", "fresh", "early", "stale", "negative")
_log = logger("hustlex.metrics")

COUNTED: Mapping[str, tuple[str, ...]] = {
    "limits": ("allowed", "refused"),
    "cache": ("hits", "misses"),
    "codes": ("sent", "verified", "refused"),
    "idempotency": ("begun", "repeated", "refused"),
    "events": ("published", "failed"),
}
"""By room, what is counted of it: of each policy, cache, country, kind of claim and kind of channel, and of all."""

TIMED: Mapping[str, tuple[float, ...]] = {"run": RUN, "wait": WAIT}
"""How long attempts of each task type took, tasks of each queue waited: bounds of the buckets, in seconds."""

Meaning = tuple[str, str, str]
"""Room, what, and of which: a policy, a cache, a country."""


class RoomPoint(msgspec.Struct, frozen=True, gc=False):
    """One minute or one hour."""

    at: datetime
    """Its beginning, UTC."""
    counts: tuple[int, ...]
    """In the order of ``RoomHistory.counted``."""


class RoomHistory(msgspec.Struct, frozen=True):
    """Points in order; those of which no process told anything are left out: what happened is not known."""

    counted: tuple[str, ...]
    minutes: tuple[RoomPoint, ...]
    hours: tuple[RoomPoint, ...]
    labels: dict[str, tuple[int, ...]]
    """Of each policy, cache or country that was told in the last 24 hours: its counts in them."""
    now: datetime
    """The server's time."""


@answering
async def room_history(
    hx: HustleX, room: str, *, label: str = "", hours: int = MOST_HOURS, days: int = MOST_DAYS
) -> RoomHistory:
    """What all processes told of a room: limits, cache, codes, idempotency or events; in one call.

    label: one policy, cache or country of it; "" = all together. hours: so many back by the minute, 0 to 24. days: so
    many back by the hour, 0 to 30. Processes tell it whose front has metrics (``HustleX(hook=process_metrics())``) and
    that run under ``hustlex.web.lifespan``, ``hustlex worker`` or ``hustlex scheduler``. Raises Misuse, Unavailable.
    """
    check.protocol("hx", hx, "driver", "prefix", hint="pass the HustleX")
    counted = COUNTED[check.one_of("room", room, tuple(COUNTED))]
    check.whole("hours", hours, 0, MOST_HOURS)
    check.whole("days", days, 0, MOST_DAYS)
    wanted = [_TOLD, *(_series(room, what, check.text("label", label, blank=True)) for what in counted)]
    return await hx.driver.run(_read(hx.prefix, room, wanted, hours, days))


async def rooms_today(hx: HustleX, rooms: Sequence[str]) -> dict[str, RoomHistory]:
    """The last 24 hours of several rooms by the hour, without what stands apart in them; in one call."""
    names = [name for name in COUNTED if name in check.several("rooms", rooms)]
    wanted = [_TOLD, *(_series(room, what, "") for room in names for what in COUNTED[room])]
    return await hx.driver.run(_read_today(hx.prefix, names, wanted))


def _series(room: str, what: str, label: str) -> str:
    return f"{room} {what} {label}"


# -- telling


class HistoryTally:
    """What one process' metrics have gained since they were told last."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before = dict[tuple[SeriesName, int], float]()
        self._trouble = ""
        self._news = Counter[str]()

    def take(self) -> Counter[str]:
        """What is new, out of here; at most 400 series."""
        self._metrics.refresh()
        for series, figures in read(self._metrics.families.board.memory).items():
            for n, meaning in enumerate(meanings_of(*series)):
                self._add(meaning, (series, n), figures[n])
        taken = Counter(dict(self._news.most_common(_MOST_ROWS)))
        self._news -= taken
        return taken

    def _add(self, meaning: Meaning, number: tuple[SeriesName, int], now: float) -> None:
        before = self._before.get(number, 0.0)
        self._before[number] = now
        came = int(now - before if now >= before else now)
        if came:
            room, what, label = meaning
            self._news[_series(room, what, "")] += came
            self._news[_series(room, what, label)] += came

    def answered(self, trouble: str) -> None:
        """Whether it could be told; what keeps it from that is logged once."""
        if trouble and not self._trouble:
            _log.warning("what the rooms did cannot be written down: %s", trouble)
        self._trouble = trouble

    def report(self, prefix: str) -> Op[None]:
        """The call that tells it. Nobody repeats it: a lost reply may be of one that was counted."""
        callers = self._metrics.callers.take()[:_MOST_ROWS]
        rows: list[Arg] = [field for caller in callers for field in caller]
        for series, times in {_TOLD: 1, **self.take()}.items():
            rows += (series, times)
        return _RECORD.op((_names(prefix),), (server_clock(), MOST_SERIES, len(callers), *rows), _nothing)


def meanings_of(metric: str, labels: tuple[str, ...]) -> Sequence[Meaning]:
    """What a counter, or each bucket of a histogram, counts of a room; empty for all that has no history."""
    if metric in _TAKEN:
        room = _TAKEN[metric]
        return [(room, str(n), labels[0]) for n in range(len(TIMED[room]) + 1)]
    judge = _MEANINGS.get(metric)
    meaning = None if judge is None else judge(*labels)
    return () if meaning is None else (meaning,)


def _of_decision(policy: str, outcome: str, _: str) -> Meaning:
    let = outcome in ("allowed", "exempt", "shadow_denied", "allowed_degraded")
    return "limits", "allowed" if let else "refused", policy


def _of_read(cache: str, result: str) -> Meaning:
    return "cache", "hits" if result in _HITS else "misses", cache


def _of_step(step: str, country: str) -> Meaning | None:
    return None if step == "delivered" else ("codes", step, country)


def _of_event(_: str, outcome: str) -> Meaning:
    return _of_claim("events")(outcome)


def _of_claim(kind: str) -> Callable[[str], Meaning]:
    words = {"started": "begun", "executed": "begun", "replay": "repeated", "seen": "repeated"}
    return lambda outcome: ("idempotency", words.get(outcome, "refused"), kind)


_KINDS = {"publish": "live", "publish_sharded": "live", "append": "kept", "append_if_new": "kept"}


def _of_call(op: str, outcome: str) -> Meaning | None:
    room, _, verb = op.partition(".")
    kind = _KINDS.get(verb) if room == "events" else None
    return ("events", "published" if outcome == "ok" else "failed", kind) if kind else None


_TAKEN = {"hustlex_task_duration_seconds": "run", "hustlex_task_wait_seconds": "wait"}
_MEANINGS: dict[str, Callable[..., Meaning | None]] = {
    "hustlex_ratelimit_decisions_total": _of_decision,
    "hustlex_cache_requests_total": _of_read,
    "hustlex_otp_steps_total": _of_step,
    "hustlex_idempotency_total": _of_claim("keys"),
    "hustlex_webhook_events_total": _of_event,
    "hustlex_calls_total": _of_call,
}


def recording(front: HustleX) -> Any:
    """While the block runs, what this front's metrics count is told; nothing happens for one that has none."""
    found = metrics_of(front)
    return nullcontext() if found is None else recorded(found, lambda: front)


@asynccontextmanager
async def recorded(metrics: Metrics, front: Callable[[], Any]) -> AsyncIterator[None]:
    """While the block runs, what these metrics count is told every ten seconds, by the front that there is then."""
    tally, live = HistoryTally(metrics), LiveTally()
    task = asyncio.create_task(_telling(tally, live, front), name="hustlex room history")
    try:
        yield
    finally:
        task.cancel()
        await _tell(tally, live, front)


async def _telling(tally: HistoryTally, live: LiveTally, front: Callable[[], Any]) -> None:
    while True:
        await asyncio.sleep(EVERY_S * _dice.uniform(0.9, 1.1))
        await _tell(tally, live, front)


async def _tell(tally: HistoryTally, live: LiveTally, front: Callable[[], Any]) -> None:
    """Once. What cannot be told is lost; nobody waits for it longer than a moment, also at the end of a process."""
    found = front()
    if not isinstance(found, HustleX):
        return
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await found.driver.run(tally.report(found.prefix))
            if (serving := live.report(found.prefix)) is not None:
                await found.driver.run(serving)
    except (Error, TimeoutError) as error:
        tally.answered(str(error) or "the server did not answer in time")
    else:
        tally.answered("")


# -- reading


def _names(prefix: str) -> str:
    return f"{prefix}x:{{rooms}}:names"


def _nothing(_: object) -> None:
    """It was noted."""


def _read(prefix: str, room: str, wanted: list[str], hours: int, days: int) -> Op[RoomHistory]:
    def decode(reply: Reply) -> RoomHistory:
        _, now_ms, series, others = reply
        hourly = by_label(COUNTED[room], others, int(now_ms))
        labels = {label: tuple(map(sum, rows)) for label, rows in hourly.items() if label}
        return _history(room, series[0], series[1:], hours, days, int(now_ms), labels)

    args: tuple[Arg, ...] = (server_clock(), hours, days, f"{room} ", *wanted)
    return _READ.op((_names(prefix),), args, decode)


def _read_today(prefix: str, rooms: list[str], wanted: list[str]) -> Op[dict[str, RoomHistory]]:
    def decode(reply: Reply) -> dict[str, RoomHistory]:
        _, now_ms, series, _ = reply
        found, at = dict[str, RoomHistory](), 1
        for room in rooms:
            own, at = series[at : at + len(COUNTED[room])], at + len(COUNTED[room])
            found[room] = _history(room, series[0], own, -1, 1, int(now_ms), {})
        return found

    return _READ.op((_names(prefix),), (server_clock(), -1, 1, "", *wanted), decode)


def _history(
    room: str, told: list[Any], series: list[list[Any]], hours: int, days: int, now_ms: int, labels: dict[str, Any]
) -> RoomHistory:
    now = _moment(now_ms)
    minutes = _points(told, series, slice(0, hours + 1), 60, 60_000, now_ms)
    longer = _points(told, series, slice(hours + 1, hours + days + 2), 24, 3_600_000, now_ms)
    oldest = now - timedelta(hours=max(hours, 0), minutes=1)
    return RoomHistory(COUNTED[room], tuple(each for each in minutes if each.at > oldest), tuple(longer), labels, now)


def _points(
    told: list[Any], series: list[list[Any]], part: slice, length: int, step_ms: int, now_ms: int
) -> Iterator[RoomPoint]:
    """part: of the strings, one for each hour or day, the last one of the present."""
    strings = told[1][part] if told else []
    span_ms = length * step_ms
    first = now_ms // span_ms - len(strings) + 1
    for n, marks in enumerate(strings):
        rows = [_cells(each[1][part][n] if each else b"", length) for each in series]
        since = [int(each[0]) if each else 0 for each in series]
        for at, known in enumerate(_cells(marks, length)):
            at_ms = (first + n) * span_ms + at * step_ms
            if known:
                counts = (row[at] if at_ms > old - step_ms else 0 for row, old in zip(rows, since, strict=True))
                yield RoomPoint(_moment(at_ms), tuple(counts))


def by_label(counted: Sequence[str], others: list[list[Any]], now_ms: int) -> dict[str, list[tuple[int, ...]]]:
    """Of each label that was told in the last 24 hours ("" = all together), of each that is counted: its 24 hours."""
    first = now_ms // 3_600_000 % 24 + 1
    found: dict[str, list[tuple[int, ...]]] = {}
    for name, _, before, today in others:
        _, what, label = bytes(name).decode("utf-8", "replace").split(" ", 2)
        hours = (_cells(before, 24) + _cells(today, 24))[first : first + 24]
        if what in counted and any(hours):
            found.setdefault(label, [(0,) * 24] * len(counted))[counted.index(what)] = hours
    return dict(sorted(found.items()))


def _cells(cells: bytes, length: int) -> tuple[int, ...]:
    return unpack(f">{length}I", cells.ljust(length * 4, b"\0")[: length * 4])


def _moment(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
