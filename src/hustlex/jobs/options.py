"""Jobs and their options: Asynq's defaults, limits and roundings, applied once, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import msgspec

from hustlex.errors import Misuse
from hustlex.jobs import gotext
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.placeholders import Placeholder, Slots
from hustlex.jobs.types import PayloadError
from hustlex.jobs.wire import TaskMessage, clean, encode_task

if TYPE_CHECKING:
    from hustlex.jobs.workflow import Workflow

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRY = 25
DEFAULT_TIMEOUT_S = 1800

_MOST_RETRIES = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_NOTHING_MS = timedelta(0)


class Options(TypedDict, total=False):
    """How a task is to be run. Left out means the default; options of a call win over those of the task.

    queue: not blank, case-sensitive; "default". task_id: not blank; a random UUID.
    max_retry: retries after the first failure, 0 to 2147483647 (negative counts as 0); 25.
    timeout: of one attempt, 0 (none) or at least 1 second, cut to whole seconds; 30 minutes unless a deadline is given.
    deadline: no attempt runs past this moment (aware; cut to the second); none.
    unique_for: at least 1 second, cut to whole seconds: until the task succeeds, or this long, no second task of the
    same queue, type and payload is accepted; off. While the task is scheduled the lock covers the wait as well.
    process_in, process_at: not before; in the past means now. At most one of them; now.
    retention: keep the finished task and its result, 0 or at least 1 second; 0.
    group: collect with others for aggregation; not blank, not together with a later start; none.
    headers: text by name, for tracing and the like; merged name by name.
    """

    queue: str
    task_id: str
    max_retry: int
    timeout: timedelta
    deadline: datetime
    unique_for: timedelta
    process_in: timedelta
    process_at: datetime
    retention: timedelta
    group: str
    headers: Mapping[str, str]


_NAMES = frozenset(Options.__annotations__)
_NONE = Options()


class Job(msgspec.Struct, frozen=True):
    """A task to be enqueued: type, payload bytes (None is Go's nil) and options. Its repr hides the payload.

    slots: arguments that a workflow fills in with results of the steps before.
    """

    type: str
    payload: bytes | None = None
    options: Options = _NONE
    slots: Slots = ()

    def with_options(self, **options: Unpack[Options]) -> Job:
        """The same job with these options on top of its own."""
        return Job(self.type, self.payload, merge(self.options, options), self.slots)

    def then(self, following: Job | Workflow) -> Workflow:
        """A workflow: this job, and when it has succeeded, the other. Hand it to ``Jobs.start``."""
        from hustlex.jobs.workflow import chain

        return chain(self, following)

    def taking(self, result: Placeholder) -> Job:
        """The same job with RESULT or RESULTS as its whole payload: for a step whose arguments only a Go worker knows.

        Raises Misuse for anything else.
        """
        if not isinstance(result, Placeholder):
            raise Misuse("a job takes RESULT or RESULTS")
        return Job(self.type, None, self.options, (("", result.every),))

    def __repr__(self) -> str:
        return f"Job({self.type!r}, {len(self.payload or b'')} bytes)"


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A job ready to be sent: every default filled in, every limit checked.

    due: "" now, "+<ms>" after a delay, "<ms>" at a Unix time. lock: uniqueness key, "" none. lock_ttl_s: its lifetime
    from the moment the task is due. group: "" none.
    """

    id: str
    queue: str
    message: bytes
    due: str
    lock: str
    lock_ttl_s: int
    group: str

    def __repr__(self) -> str:
        return f"Draft({self.id!r}, {self.queue!r})"


def as_job(job: Job | str, payload: Any = None) -> Job:
    """A Job as it is, or one from a type and a payload: None, bytes as they are, anything else as compact JSON.

    Raises Misuse for a payload beside a Job, PayloadError for a value that JSON cannot carry.
    """
    if isinstance(job, Job):
        if payload is not None:
            raise Misuse("a Job carries its own payload", hint="pass either a Job, or a type and a payload")
        return job
    if payload is None or isinstance(payload, bytes):
        return Job(job, payload)
    try:
        return Job(job, msgspec.json.encode(payload))
    except (TypeError, ValueError, RecursionError) as fault:
        raise PayloadError(f"the payload of {job!r} cannot be written as JSON ({type(fault).__name__})") from None


def merge(first: Options, second: Options) -> Options:
    """Second over first; headers name by name; the later of process_in and process_at replaces the other."""
    if not second.keys() <= _NAMES:
        raise Misuse(f"unknown option: {', '.join(sorted(second.keys() - _NAMES))}")
    if not first:
        return second
    merged = cast("Options", {**first, **second})
    if "headers" in first and "headers" in second:
        merged["headers"] = {**first["headers"], **second["headers"]}
    if "process_in" in second and "process_at" not in second:
        merged.pop("process_at", None)
    elif "process_at" in second and "process_in" not in second:
        merged.pop("process_in", None)
    return merged


def draft(job: Job, options: Options, new_id: str) -> Draft:
    """Fill in, check and encode. new_id: used when no task_id is given. Raises Misuse for what can never work."""
    if job.slots:
        raise Misuse(f"a job of {job.type!r} waits for a result", hint="only a later step of a workflow can have one")
    chosen = merge(job.options, options) if options else job.options
    queue = clean(chosen.get("queue", DEFAULT_QUEUE))
    names = queue_keys(queue)
    task_type = _visible("task type", job.type)
    task_id = _visible("task_id", chosen["task_id"]) if "task_id" in chosen else new_id
    lock_ttl_s = _lock_ttl(chosen)
    lock = names.unique(task_type, job.payload) if lock_ttl_s else ""
    due = _due(chosen)
    group = _group(chosen, due)
    timeout, deadline = _limits(chosen)
    message = TaskMessage(
        task_type,
        job.payload,
        task_id,
        queue,
        _max_retry(chosen),
        timeout=timeout,
        deadline=deadline,
        unique_key=lock,
        retention=_seconds("retention", chosen.get("retention", _NOTHING_MS)),
        group_key=group,
        headers=dict(chosen.get("headers", ())),
    )
    return Draft(task_id, queue, encode_task(message), due, lock, lock_ttl_s, group)


def _visible(name: str, text: str) -> str:
    if not text.strip():
        raise Misuse(f"the {name} is blank", hint="it needs at least one visible character")
    return text if text.isascii() else clean(text)


def _seconds(name: str, duration: timedelta) -> int:
    """Whole seconds; under one second Go would store 0, which means something else."""
    if duration and duration < _SECOND:
        raise Misuse(f"{name} must be 0 or at least 1 second, not {duration!r}")
    return duration // _SECOND


def _max_retry(options: Options) -> int:
    retries = options.get("max_retry", DEFAULT_MAX_RETRY)
    if retries > _MOST_RETRIES:
        raise Misuse(f"max_retry must be at most {_MOST_RETRIES}")
    return max(retries, 0)


def _lock_ttl(options: Options) -> int:
    if "unique_for" not in options:
        return 0
    if options["unique_for"] < _SECOND:
        raise Misuse(f"unique_for must be at least 1 second, not {options['unique_for']!r}")
    return options["unique_for"] // _SECOND


def _limits(options: Options) -> tuple[int, int]:
    """Timeout and deadline as stored: thirty minutes when neither bounds the task."""
    timeout = _seconds("timeout", options.get("timeout", _NOTHING_MS))
    deadline = _unix("deadline", options["deadline"]) // _SECOND if "deadline" in options else 0
    if deadline <= _ZERO_TIME_S:
        deadline = 0
    return (timeout if timeout or deadline else DEFAULT_TIMEOUT_S), deadline


_ZERO_TIME_S = -62_135_596_800


def _unix(name: str, moment: datetime) -> timedelta:
    if moment.tzinfo is None:
        raise Misuse(f"{name} needs a time zone", hint="use datetime.now(UTC) or .astimezone()")
    return moment - _EPOCH


def _due(options: Options) -> str:
    if "process_in" in options:
        if "process_at" in options:
            raise Misuse("process_in and process_at exclude each other")
        wait_ms = -(-options["process_in"] // _MILLISECOND)
        return f"+{wait_ms}" if wait_ms > 0 else ""
    if "process_at" in options:
        return str(max(1, -(-_unix("process_at", options["process_at"]) // _MILLISECOND)))
    return ""


def _group(options: Options, due: str) -> str:
    if "group" not in options:
        return ""
    if due:
        raise Misuse(
            "a group cannot be combined with process_in or process_at",
            hint="Asynq's workers lose the group of a scheduled task",
        )
    return _visible("group", options["group"])


def option_texts(options: Options) -> tuple[str, ...]:
    """The options as Asynq's tools list them, ``Queue("low")`` first to last, for a periodic entry's display."""
    return tuple(_TEXTS[name](value) for name, value in options.items() if name in _TEXTS) + tuple(
        f"Header({gotext.format_header(key, value)})" for key, value in options.get("headers", {}).items()
    )


_TEXTS: dict[str, Any] = {
    "queue": lambda name: f"Queue({gotext.quote(name)})",
    "task_id": lambda task_id: f"TaskID({gotext.quote(task_id)})",
    "max_retry": lambda retries: f"MaxRetry({max(retries, 0)})",
    "timeout": lambda duration: f"Timeout({gotext.format_duration(duration)})",
    "deadline": lambda moment: f"Deadline({gotext.format_time(moment)})",
    "unique_for": lambda duration: f"Unique({gotext.format_duration(duration)})",
    "process_in": lambda duration: f"ProcessIn({gotext.format_duration(duration)})",
    "process_at": lambda moment: f"ProcessAt({gotext.format_time(moment)})",
    "retention": lambda duration: f"Retention({gotext.format_duration(duration)})",
    "group": lambda name: f"Group({gotext.quote(name)})",
}
