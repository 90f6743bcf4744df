"""What an entry does when its zone's clocks change: local times that are skipped, or that occur twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from hustlex.jobs.schedule.cron import Fields, Schedule

Dst = Literal["asynq", "skip", "once"]
"""A local time that a clock change skips, and one that occurs twice:

``asynq`` does not fire, and fires twice. ``skip`` does not fire, and fires the first time. ``once`` fires at the moment
of the change, and fires the first time. An entry for every hour is a rhythm: it goes on through changes in all three.
"""

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_SEARCHED = timedelta(days=5 * 366)
_EVERY_HOUR = (1 << 24) - 1


def obey(schedule: Schedule, dst: Dst) -> Schedule:
    """The schedule under a policy."""
    if dst == "asynq" or not isinstance(schedule, Fields) or schedule.hours == _EVERY_HOUR:
        return schedule
    return LocalTimes(schedule, dst == "once")


class LocalTimes(msgspec.Struct, frozen=True):
    """Each matching local time at most once. made_up: those that a change skips fire, together, when it happens."""

    fields: Fields
    made_up: bool

    def next_after(self, moment: datetime) -> datetime | None:
        """See ``Schedule``."""
        found = self.fields.next_after(moment)
        while found is not None and found.astimezone(self.fields.zone).fold:
            found = self.fields.next_after(found)
        made_up = self._skipped_after(moment, found) if self.made_up else None
        return made_up or found

    def _skipped_after(self, moment: datetime, until: datetime | None) -> datetime | None:
        """The first change before ``until`` that skips a matching time. Steps by days: no two changes are closer."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0)
        end = until or start + _SEARCHED
        while start < end:
            following = start + _DAY
            skipped = self._offset(following) - self._offset(start)
            if skipped > timedelta(0):
                change = self._change(start, following)
                if change < end and self._hits(change, skipped):
                    return change
            start = following
        return None

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The first minute that has the offset of ``after``."""
        offset = self._offset(after)
        while after - before > _MINUTE:
            middle = before + (after - before) // _MINUTE // 2 * _MINUTE
            before, after = (before, middle) if self._offset(middle) == offset else (middle, after)
        return after

    def _hits(self, change: datetime, skipped: timedelta) -> bool:
        first = change.astimezone(self.fields.zone).replace(tzinfo=None) - skipped
        return any(self.fields.matches(first + minute * _MINUTE) for minute in range(skipped // _MINUTE))

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.fields.zone).utcoffset() or timedelta(0)
