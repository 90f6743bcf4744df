"""When a periodic entry fires: the dialect of Asynq's scheduler (robfig/cron v3, standard parser), and ``@every``.

Five fields: minute, hour, day of month, month, day of week (0 to 6, Sunday first; 7 is Sunday, too), with
``*`` ``?`` ``,`` ``-`` ``/`` and three-letter names; or ``@yearly`` ``@monthly`` ``@weekly`` ``@daily`` ``@hourly``
``@every 90s``; before either, ``TZ=Africa/Lagos`` or ``CRON_TZ=...`` and a space. When neither day field is a star,
either one suffices.
A local time that a clock change skips does not fire that day; one that occurs twice fires twice: see
``hustlex.jobs.schedule.clock_changes`` for other policies. A spec that can never fire, as ``0 0 30 2 *``, is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs.gotext import parse_duration

_NUMBER = re.compile(r"\+?[0-9]{1,18}")
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "may": 5,
    "jun": 6,
    "jul": 7,
    "aug": 8,
    "sep": 9,
    "oct": 10,
    "nov": 11,
    "dec": 12,
}
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_SECOND = timedelta(seconds=1)
_BLOCK = timedelta(minutes=15)
_MOST_YEARS = 5
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SUNDAY, _SUNDAY_TOO = 0, 7


class CronError(Misuse):
    """The text is no cron spec of this dialect."""

    code = "bad_cron"


class Schedule(Protocol):
    """Tells when to fire next."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The first firing strictly after an aware moment, in UTC; None when there is none within five years."""
        ...


def parse(spec: str, timezone: str = "UTC") -> Schedule:
    """Read a spec. timezone: IANA name, used unless the spec brings its own. Raises CronError, saying what is wrong."""
    spec, timezone = _text("spec", spec), _text("timezone", timezone)
    rest, zone = spec, timezone
    if spec.startswith(("TZ=", "CRON_TZ=")):
        head, space, rest = spec.partition(" ")
        if not space:
            raise CronError(f"{spec!r}: a space and a schedule must follow the time zone")
        zone, rest = head.partition("=")[2] or "UTC", rest.strip()
    place = _zone(zone)
    if rest.startswith("@every "):
        return _every(rest)
    if rest.startswith("@") and rest not in _DESCRIPTORS:
        raise CronError(f"{rest!r}: unknown descriptor", hint=f"use one of {' '.join(_DESCRIPTORS)} or @every 90s")
    return _fields(_DESCRIPTORS.get(rest, rest), place)


def _text(name: str, value: str) -> str:
    try:
        return check.text(name, value)
    except Misuse as refused:
        raise CronError(refused.message, hint=refused.hint) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CronError(f"unknown time zone {name!r}", hint="use an IANA name such as Africa/Lagos") from None


class Every(msgspec.Struct, frozen=True):
    """Fires at a fixed distance from the firing before; not aligned to the clock."""

    period: timedelta

    def next_after(self, moment: datetime) -> datetime:
        """See ``Schedule``; moment is the firing before, or the start."""
        return moment.astimezone(UTC).replace(microsecond=0) + self.period


def _every(text: str) -> Every:
    try:
        period = parse_duration(text.removeprefix("@every "))
    except ValueError as fault:
        raise CronError(str(fault)) from None
    return Every(max(period // _SECOND, 1) * _SECOND)


class Fields(msgspec.Struct, frozen=True):
    """A five-field spec: the allowed values of each field as bits, and whether a day field is a star."""

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    any_day: bool
    zone: ZoneInfo

    def next_after(self, moment: datetime) -> datetime | None:
        """See ``Schedule``. Walks in quarters of an hour: within one, local time has no jump."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        last_year = start.astimezone(self.zone).year + _MOST_YEARS
        block = start.replace(minute=start.minute // 15 * 15)
        while (local := block.astimezone(self.zone)).year <= last_year:
            if not self._on(local.date()):
                block = max(self._day_after(local), block + _BLOCK)
                continue
            found = self._within(block, local, start) if self.hours >> local.hour & 1 else None
            if found:
                return found
            block += _BLOCK
        return None

    @property
    def fires(self) -> bool:
        """Whether any of its days exists. Unless a day field is a star, its weekdays do."""
        longest = max(days for n, days in enumerate(_LONGEST_MONTHS, 1) if self.months >> n & 1)
        return not self.any_day or bool(self.days & ((2 << longest) - 1))

    def matches(self, local: datetime) -> bool:
        """Whether a local time is one of this spec's; it need not exist in the zone."""
        at_this_time = self.hours >> local.hour & 1 and self.minutes >> local.minute & 1
        return bool(at_this_time) and self._on(local.date())

    def _on(self, day: date) -> bool:
        by_month_day = bool(self.days >> day.day & 1)
        by_weekday = bool(self.weekdays >> (day.isoweekday() % 7) & 1)
        matches = by_month_day and by_weekday if self.any_day else by_month_day or by_weekday
        return matches and bool(self.months >> day.month & 1)

    def _day_after(self, local: datetime) -> datetime:
        """The start of the next local day, or of the next month when this one does not match.

        A midnight that a clock change skips becomes the moment of the change.
        """
        if self.months >> local.month & 1:
            midnight = local.replace(hour=0, minute=0) + timedelta(days=1)
        else:
            midnight = (local.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
        return midnight.astimezone(UTC)

    def _within(self, block: datetime, local: datetime, start: datetime) -> datetime | None:
        for minute in range(15):
            moment = block + timedelta(minutes=minute)
            if moment >= start and self.minutes >> (local.minute + minute) & 1:
                return moment
        return None


def _fields(text: str, zone: ZoneInfo) -> Fields:
    parts = text.split()
    if len(parts) != 5:
        raise CronError(f"{text!r}: expected 5 fields, found {len(parts)}")
    minutes, _ = _field(parts[0], 0, 59, {})
    hours, _ = _field(parts[1], 0, 23, {})
    days, any_day = _field(parts[2], 1, 31, {})
    months, _ = _field(parts[3], 1, 12, _MONTHS)
    weekdays, any_weekday = _field(parts[4], 0, 6, _WEEKDAYS, _SUNDAY_TOO)
    weekdays = weekdays & ~(1 << _SUNDAY_TOO) | (weekdays >> _SUNDAY_TOO) << _SUNDAY
    fields = Fields(minutes, hours, days, months, weekdays, any_day or any_weekday, zone)
    if not fields.fires:
        raise CronError(f"{text!r}: never fires, because none of its months has such a day")
    return fields


def _field(text: str, low: int, high: int, names: dict[str, int], most: int = 0) -> tuple[int, bool]:
    """The bits of a comma list, and whether any of its parts is a star. most: what may be written beyond high."""
    bits, star = 0, False
    for part in filter(None, text.split(",")):
        part_bits, part_star = _range(part, low, high, names, most or high)
        bits, star = bits | part_bits, star or part_star
    if not bits:
        raise CronError(f"{text!r}: names no value")
    return bits, star


def _range(part: str, low: int, high: int, names: dict[str, int], most: int) -> tuple[int, bool]:
    span, *steps = part.split("/")
    ends = span.split("-")
    if len(steps) > 1 or (len(ends) > 2 and ends[0] not in ("*", "?")):
        raise CronError(f"{part!r}: too many {'slashes' if len(steps) > 1 else 'hyphens'}")
    step = _number(steps[0], {}) if steps else 1
    star = ends[0] in ("*", "?")
    first = low if star else _number(ends[0], names)
    last = max(high, first) if star or (steps and len(ends) == 1) else _number(ends[-1], names)
    if not step or not low <= first <= last <= most:
        raise CronError(f"{part!r}: values go from {low} to {most}, upwards, in steps of at least 1")
    return sum(1 << n for n in range(first, last + 1, step)), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise CronError(f"{text!r} is not a number")
    return int(text)
