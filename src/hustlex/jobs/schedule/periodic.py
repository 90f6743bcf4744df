"""Periodic entries: what is enqueued by the clock, when, and what becomes of instants that nobody was there for."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Literal, cast, get_args

import msgspec

from hustlex.core import check
from hustlex.errors import BadReply, Error, Misuse
from hustlex.jobs.checks import judged
from hustlex.jobs.enqueue.draft import Draft, draft
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, Options, option_texts
from hustlex.jobs.keys import named
from hustlex.jobs.schedule import cron
from hustlex.jobs.schedule.clock_changes import Dst, obey
from hustlex.jobs.wire import clean

Missed = Literal["skip", "once", "all"]
"""Instants that were due while no scheduler ran: dropped (unless the last one is under a minute old), only the last
one made up for, or all of them (the newest ``max_missed``)."""

MOST_MISSED = 100
"""The usual bound on what ``missed="all"`` makes up for."""

_MOST_EVER = 1000
_LONGEST_NAME = 200
"""A task's id is the name and the instant."""
_LARGEST = 64 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_HOUR_MS = 3_600_000
_NAMES = uuid.UUID("7c1d3b7e-9e1f-5d6b-8a52-5b0f3c2a7f11")
_FORBIDDEN = ("process_in", "process_at", "debounce", "group")


class Periodic(msgspec.Struct, frozen=True):
    """A job that is enqueued again and again."""

    name: str
    """Identifies the entry among all schedulers."""
    spec: str
    """As shown to people, with its time zone."""
    schedule: cron.Schedule
    """Tells the next firing, clock changes considered."""
    job: Job
    """One with a ``task_id`` has that id at each instant, and takes the place of a finished task of it unless its
    own ``if_finished`` says otherwise."""
    dst: Dst = "asynq"
    """What clock changes do to it."""
    missed: Missed = "skip"
    """What becomes of instants without a scheduler."""
    max_missed: int = MOST_MISSED
    """1 to 1000, for ``missed="all"``."""

    @property
    def id(self) -> str:
        """The entry's id in Asynq's registry: the same in every scheduler and after every restart."""
        return entry_id(self.name)

    @property
    def queue(self) -> str:
        """Where its job goes."""
        return self.job.options.get("queue", DEFAULT_QUEUE)

    def next_ms(self, after_ms: int) -> int:
        """The first instant after a moment, Unix ms; -1 = none. ``@every`` counts from 1970: all agree on it."""
        if isinstance(self.schedule, cron.Every):
            period_ms = self.schedule.period // _MILLISECOND
            return after_ms // period_ms * period_ms + period_ms
        found = self.schedule.next_after(_EPOCH + after_ms * _MILLISECOND)
        return -1 if found is None else (found - _EPOCH) // _MILLISECOND

    def passed(self, after_ms: int, until_ms: int, most: int) -> list[int]:
        """The newest instants after one moment and up to another, in order.

        Looks at the last hour, then at four times as much: what is dropped is never walked through.
        """
        window_ms = _HOUR_MS
        while True:
            start_ms = max(after_ms, until_ms - window_ms)
            found = self._between(start_ms, until_ms, most)
            if len(found) == most or start_ms == after_ms:
                return found
            window_ms *= 4

    def _between(self, after_ms: int, until_ms: int, most: int) -> list[int]:
        found: deque[int] = deque(maxlen=most)
        at_ms = self.next_ms(after_ms)
        while 0 <= at_ms <= until_ms:
            found.append(at_ms)
            at_ms = self.next_ms(at_ms)
        return list(found)

    def at(self, instant_ms: int) -> Draft:
        """The task of an instant: the same whoever enqueues it."""
        return self.made(f"{clean(self.name)}@{_EPOCH + instant_ms * _MILLISECOND:%Y%m%dT%H%M%SZ}")

    def made(self, task_id: str) -> Draft:
        """Its job ready to be sent. task_id: for a job without one of its own."""
        if "task_id" not in self.job.options:
            return draft(self.job, {"task_id": task_id}, task_id)
        usual: Options = {} if "if_finished" in self.job.options else {"if_finished": "replace"}
        return draft(self.job, usual, task_id)


def entry_id(name: str) -> str:
    """See ``Periodic.id``."""
    return str(uuid.uuid5(_NAMES, clean(name)))


def define(
    name: str,
    spec: str,
    job: Job,
    *,
    timezone: str = "UTC",
    dst: Dst = "asynq",
    missed: Missed = "skip",
    max_missed: int = MOST_MISSED,
) -> Periodic:
    """Check and put together an entry. timezone: IANA name, unless the spec brings its own.

    Raises CronError for a bad spec or zone, Misuse for anything else that can never work.
    """
    name = named("the name of a periodic entry", name, _LONGEST_NAME)
    dst = cast("Dst", check.one_of("dst", dst, get_args(Dst)))
    missed = cast("Missed", check.one_of("missed", missed, get_args(Missed)))
    max_missed = check.whole("max_missed", max_missed, 1, _MOST_EVER)
    check.instance("job", job, Job, hint="pass task.job(...)")
    options = judged(job.options)
    if any(option in options for option in _FORBIDDEN):
        raise Misuse(f"the periodic entry {name!r} must not carry a delay or a group")
    draft(job, {}, "checked at definition")
    job = Job(named("task type", job.type), job.payload, cast("Options", options), job.slots, job.task)
    schedule = obey(cron.parse(spec, timezone), dst)
    own_zone = timezone == "UTC" or spec.startswith(("TZ=", "CRON_TZ="))
    shown = spec if own_zone else f"CRON_TZ={timezone} {spec}"
    entry = Periodic(name, shown, schedule, job, dst, missed, max_missed)
    to_json(entry)  # what cannot be published would keep all others from being listed
    return entry


class _Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry as JSON."""

    spec: str
    type: str
    payload: bytes | None = None
    options: Options = msgspec.field(default_factory=Options)
    dst: Dst = "asynq"
    missed: Missed = "skip"
    max_missed: int = msgspec.field(default=MOST_MISSED, name="most_missed")


_DEFINITION = msgspec.json.Decoder(_Definition)


def to_json(entry: Periodic) -> bytes:
    """The entry without its name. Raises Misuse above 64 KiB."""
    job = entry.job
    described = _Definition(entry.spec, job.type, job.payload, job.options, entry.dst, entry.missed, entry.max_missed)
    try:
        written = msgspec.json.encode(described)
    except UnicodeEncodeError:
        raise Misuse(f"the periodic entry {entry.name!r} holds text that is not valid Unicode") from None
    if len(written) > _LARGEST:
        raise Misuse(f"the periodic entry {entry.name!r} is larger than 64 KiB", hint="let its payload name the data")
    return written


def from_json(name: str, data: bytes) -> Periodic:
    """Read it back. Raises BadReply or Misuse for anything that is no entry."""
    try:
        read = _DEFINITION.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadReply(f"the stored definition of the periodic entry {name!r} cannot be read") from None
    return define(
        name,
        read.spec,
        Job(read.type, read.payload, read.options),
        dst=read.dst,
        missed=read.missed,
        max_missed=read.max_missed,
    )


class ScheduleInfo(msgspec.Struct, frozen=True):
    """A periodic entry as ``hx.jobs.schedules`` answers it."""

    name: str
    id: str
    """In Asynq's registry and history."""
    spec: str
    job: Job
    dst: Dst
    missed: Missed
    max_missed: int
    paused: bool
    in_code: bool
    """A scheduler that ran in the last day has it in its code; else it is stored."""
    next_at: datetime | None
    """None when paused, or when it never fires again."""
    trouble: str = ""
    """Why no scheduler can fire it, "" = nothing; spec and job are then what can be read of it."""


def described(name: str, definition: bytes, in_code: bool, paused: bool, now_ms: int) -> ScheduleInfo:
    """An entry for people, also one that nobody can fire."""
    try:
        entry = from_json(name, definition)
    except Error as error:
        return _broken(name, definition, in_code, paused, error.message)
    next_ms = -1 if paused else entry.next_ms(now_ms)
    return ScheduleInfo(
        name,
        entry.id,
        entry.spec,
        entry.job,
        entry.dst,
        entry.missed,
        entry.max_missed,
        paused,
        in_code,
        None if next_ms < 0 else _EPOCH + next_ms * _MILLISECOND,
    )


def _broken(name: str, definition: bytes, in_code: bool, paused: bool, trouble: str) -> ScheduleInfo:
    try:
        read = _DEFINITION.decode(definition)
    except (msgspec.DecodeError, UnicodeDecodeError):
        read = _Definition("", "")
    job = Job(read.type, read.payload, read.options)
    return ScheduleInfo(
        name, entry_id(name), read.spec, job, read.dst, read.missed, read.max_missed, paused, in_code, None, trouble
    )


class PeriodicConfig(msgspec.Struct, frozen=True):
    """What a provider of periodic tasks names: a spec (with ``CRON_TZ=<zone> `` for a zone) and a job."""

    spec: str
    job: Job

    def __post_init__(self) -> None:
        """Raises Misuse for what is neither."""
        check.instance("spec", self.spec, str, hint="pass text")
        check.instance("job", self.job, Job, hint="pass task.job(...)")

    @property
    def identity(self) -> str:
        """As Asynq's PeriodicTaskManager tells configurations apart: lower-case hex SHA-256.

        Of spec, type, payload and the job's options as texts, sorted; equal to Go's when the options are given there
        as options of the configuration.
        """
        digest = hashlib.sha256(clean(self.spec).encode())
        digest.update(clean(self.job.type).encode())
        digest.update(self.job.payload or b"")
        digest.update("".join(sorted(clean(text) for text in option_texts(self.job.options))).encode())
        return digest.hexdigest()
