"""History as a page shows it: bins, what stands beside each chart, and the same in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from markupsafe import Markup
from msgspec.structs import replace

from hustlex.core.words import duration
from hustlex.dashboard.charts import timeline
from hustlex.dashboard.words import number
from hustlex.jobs import HistoryPoint, QueueHistory
from hustlex.metrics.history import RoomHistory, RoomPoint

Values = list[float | None]
Point = TypeVar("Point", HistoryPoint, RoomPoint)


class Span(msgspec.Struct, frozen=True):
    """How far a chart looks back."""

    words: str
    per: str
    """What counts are given by."""
    step: timedelta
    """Of one bin."""
    bins: int


DAY = Span("24 hours", "minute", timedelta(minutes=10), 144)
MONTH = Span("30 days", "hour", timedelta(hours=3), 240)
_TABLE_ROWS = 24
_UNFINISHED = "Unfinished tasks"
_LOOK_BACK = timedelta(minutes=10)
_FEWEST = 5
_FARTHEST = timedelta(hours=24)


class Timeline(msgspec.Struct, frozen=True):
    """One chart. now: the last value, in words. most: the largest."""

    title: str
    now: Markup | str
    most: Markup | str
    chart: Markup
    ago: tuple[str, str, str]
    """What stands under its beginning, its middle and its end."""
    note: str = ""
    """What follows from it."""


class HourRow(msgspec.Struct, frozen=True):
    """A row of the same in numbers."""

    at: datetime
    processed: int
    failed: int
    unfinished: int
    waited: timedelta


def of_day(history: QueueHistory) -> list[Timeline]:
    """By the minute; none where nothing is known."""
    found = _timelines(history.minutes, history.now, DAY)
    return [replace(each, note=forecast(history)) if each.title == _UNFINISHED else each for each in found]


def of_month(history: QueueHistory) -> list[Timeline]:
    """By the hour; none where nothing is known."""
    return _timelines(history.hours, history.now, MONTH)


def of_room(history: RoomHistory, span: Span) -> list[Timeline]:
    """What a room counted, in one chart; none where nobody told of it."""
    points = history.minutes if span is DAY else history.hours
    if not any(any(point.counts) for point in points):
        return []
    bins = _binned(points, history.now, span)
    kinds = ("work", "bad") if len(history.counted) == 2 else ("work", "calm", "bad")
    lines = [(kind, _each(bins, _sum(n))) for n, kind in enumerate(kinds)]
    others = [
        f"{name} {_plain(_said(values, number))}" for name, (_, values) in zip(history.counted, lines, strict=True)
    ]
    title = f"{history.counted[0].capitalize()} in {duration(span.step)}, {span.words}"
    note = ", ".join(others[1:])
    return [replace(_drawn(title, lines, number, span, f"{note}; the last one dashed"), note=note)]


def _sum(n: int) -> Callable[[list[RoomPoint]], float]:
    return lambda found: sum(point.counts[n] for point in found)


def rows(history: QueueHistory) -> list[HourRow]:
    """The last 24 hours of which something is known, the newest first."""
    found = reversed(history.hours[-_TABLE_ROWS:])
    return [HourRow(each.at, each.processed, each.failed, each.unfinished, each.waited) for each in found]


def forecast(history: QueueHistory) -> str:
    """When the unfinished tasks will be none, or how they grow, by the last ten minutes; "" where that is not clear."""
    points = [point for point in history.minutes if history.now - point.at <= _LOOK_BACK]
    if len(points) < _FEWEST:
        return ""
    line, error = _line([(point.at - points[0].at).total_seconds() / 60 for point in points], points)
    if abs(line) < 2 * error or not line:
        return ""
    if line > 0:
        return f"+{line:,.0f} a minute" if line >= 1 else ""
    left = timedelta(minutes=points[-1].unfinished / -line)
    return f"empty at {history.now + left:%H:%M} UTC" if timedelta(0) < left < _FARTHEST else ""


def _line(minutes: Sequence[float], points: Sequence[HistoryPoint]) -> tuple[float, float]:
    """Least squares: by how much the tasks grow in a minute, and the standard error of that."""
    tasks, count = [float(point.unfinished) for point in points], len(points)
    middle, mean = sum(minutes) / count, sum(tasks) / count
    spread = sum((at - middle) ** 2 for at in minutes)
    slope = sum((at - middle) * (each - mean) for at, each in zip(minutes, tasks, strict=True)) / spread
    rest = sum((each - mean - slope * (at - middle)) ** 2 for at, each in zip(minutes, tasks, strict=True))
    return slope, (rest / (count - 2) / spread) ** 0.5


def _timelines(points: Sequence[HistoryPoint], now: datetime, span: Span) -> list[Timeline]:
    if not points:
        return []
    bins = _binned(points, now, span)
    ended, failed = _each(bins, _rate("processed")), _each(bins, _rate("failed"))
    unfinished = _each(bins, lambda found: max(point.unfinished for point in found))
    waited = _each(bins, lambda found: max(point.waited for point in found).total_seconds())
    attempts, bad = f"Attempts per {span.per}", f"failed {_plain(_said(failed, number))}, dashed"
    return [
        _drawn(attempts, [("work", ended), ("bad", failed)], number, span, bad),
        _drawn(_UNFINISHED, [("calm", unfinished)], number, span),
        _drawn("Longest wait", [("warn", waited)], duration, span),
    ]


def _binned(points: Sequence[Point], now: datetime, span: Span) -> list[list[Point]]:
    step_s = span.step.total_seconds()
    first = int(now.timestamp() // step_s) - span.bins + 1
    bins: list[list[Point]] = [[] for _ in range(span.bins)]
    for point in points:
        at = int(point.at.timestamp() // step_s) - first
        if 0 <= at < span.bins:
            bins[at].append(point)
    return bins


def _each(bins: list[list[Point]], judge: Callable[[list[Point]], float]) -> Values:
    return [judge(found) if found else None for found in bins]


def _rate(name: str) -> Callable[[list[HistoryPoint]], float]:
    """Of the minutes or hours that are known."""
    return lambda found: sum(getattr(point, name) for point in found) / len(found)


def _drawn(
    title: str, lines: list[tuple[str, Values]], words: Callable[[float], Markup | str], span: Span, more: str = ""
) -> Timeline:
    known = [value for value in lines[0][1] if value is not None]
    now, most = _said(lines[0][1], words), words(max(known, default=0))
    label = f"{title} over the last {span.words}: {_plain(now)} now, {_plain(most)} at most"
    chart = timeline(lines, f"{label}; {more}" if more else label)
    middle = duration(span.step * span.bins / 2)
    return Timeline(title, now, most, chart, (f"{span.words} ago", f"{middle} ago", "now"))


def _said(values: Values, words: Callable[[float], Markup | str]) -> Markup | str:
    """The last value, unknown when nobody has looked since."""
    last = next((value for value in reversed(values[-2:]) if value is not None), None)
    return "-" if last is None else words(last)


def _plain(words: Markup | str) -> str:
    return words.striptags() if isinstance(words, Markup) else words
