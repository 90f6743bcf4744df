"""Options of jobs: Asynq's, and ours. ``checks`` says what each may be, ``draft`` what they make of a message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, cast

from hustlex.errors import Misuse
from hustlex.jobs import gotext
from hustlex.jobs.checks import judged

DEFAULT_QUEUE = "default"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Options(TypedDict, total=False):
    """How a task is to be run. Left out means the default; options of a call win over those of the task.

    Names have 1 to 255 characters without braces and control characters; whole numbers, UUIDs and enum members count
    as their text. Durations are of at most 100 years, moments aware and before the year 9000.
    """

    queue: str
    """Where the task goes, a name; "default" by default. Case-sensitive."""
    task_id: str
    """A name that no other task of the queue has; a random UUID by default."""
    max_retry: int
    """Retries after the first failure, 0 to 2147483647; 25 by default."""
    timeout: timedelta
    """Of one attempt, 0 (none) or at least 1 second, cut to whole seconds; 30 minutes by default, unless a deadline
    is given."""
    deadline: datetime
    """No attempt runs past this moment, cut to the second, and a failed one that could not start again before it is the
    last; none by default."""
    unique_for: timedelta
    """Until the task succeeds, or this long, no second task of the same queue, type and payload is accepted; at
    least 1 second, cut to whole seconds; off by default. While the task is scheduled the lock covers the wait as
    well."""
    unique_until: Literal["started", "done"]
    """Unique not for a time but until the task is "started" (leased for the first time) or "done" (succeeded,
    revoked, archived or deleted; retries in between keep it); off by default. ``unique_for`` then is the cap, 30
    days if left out. A Go worker ends such a lock at success only, but our producers look at the task's state and
    pass it."""
    unique_key: str
    """What must be unique instead of the payload, 1 to 1024 characters; only with another of the unique options."""
    debounce: timedelta
    """Start this long after the last of several calls, at least 1 ms; off by default. A call that finds a task of
    the same lock waiting gives it this payload and these options, under its own id, and a new start; implies
    unique_until="started". Calls that never pause this long put the start off for ever."""
    process_in: timedelta
    """Not before this has passed; now by default. Not together with ``process_at``."""
    process_at: datetime
    """Not before this moment; one in the past means now."""
    retention: timedelta
    """How long the finished task and its result are kept, 0 or at least 1 second; 0 by default."""
    group: str
    """A name: collect with others of this group for aggregation. Not together with a later start; none by default."""
    headers: Mapping[str, str]
    """Text by name, for tracing and the like: names of at most 255 characters, values of 8192. Merged name by name."""
    expires_in: timedelta
    """No attempt starts when this has passed since the enqueueing: the task is dropped then, as if it had been
    revoked. One that started in time may end. At least 1 ms; none by default. Go's workers do not know it."""
    expires_at: datetime
    """The same as a moment; not together with ``expires_in``. One in the past drops the task at once."""
    if_finished: Literal["refuse", "replace"]
    """What becomes of a completed or archived task that has the ``task_id``: "replace" puts the new one in its
    place, in one step; "refuse" answers IdTaken, as every other state does; "refuse" by default."""
    at_front: bool
    """Be the next of its queue to run, also after a wait; the last of several comes first. Not with a group."""


class Start(TypedDict, total=False):
    """One of the two, as in ``Options``."""

    process_in: timedelta
    process_at: datetime


_OTHER = {
    "process_in": "process_at",
    "process_at": "process_in",
    "expires_in": "expires_at",
    "expires_at": "expires_in",
}
"""Two ways to say one thing."""


def merge(first: Options, second: Options) -> Options:
    """Second over first, which was judged before. Raises Misuse for what can never work.

    Headers are merged name by name; the later of process_in and process_at replaces the other, and so do expires_in
    and expires_at.
    """
    second = cast("Options", judged(second))
    if not first:
        return second
    merged = cast("Options", {**first, **second})
    if "headers" in first and "headers" in second:
        merged["headers"] = {**first["headers"], **second["headers"]}
    for name in second.keys() & _OTHER.keys():
        if _OTHER[name] not in second:
            merged.pop(_OTHER[name], None)  # type: ignore[misc]
    return merged


def start_text(options: Options) -> str:
    """When a job with these options starts, as scripts want it: see ``Draft.due``. Raises Misuse."""
    if "debounce" in options:
        return f"+{-(-options['debounce'] // _MILLISECOND)}"
    if "process_in" in options:
        if "process_at" in options:
            raise Misuse("process_in and process_at exclude each other")
        wait_ms = -(-options["process_in"] // _MILLISECOND)
        return f"+{wait_ms}" if wait_ms > 0 else ""
    if "process_at" in options:
        return str(max(1, -(-(options["process_at"] - _EPOCH) // _MILLISECOND)))
    return ""


def option_texts(options: Options) -> tuple[str, ...]:
    """The options as Asynq's tools list them, ``Queue("low")`` first to last, for a periodic entry's display."""
    return tuple(_TEXTS[name](value) for name, value in options.items() if name in _TEXTS) + tuple(
        f"Header({gotext.format_header(key, value)})" for key, value in options.get("headers", {}).items()
    )


_TEXTS: dict[str, Any] = {
    "queue": lambda name: f"Queue({gotext.quote(name)})",
    "task_id": lambda task_id: f"TaskID({gotext.quote(task_id)})",
    "max_retry": lambda retries: f"MaxRetry({retries})",
    "timeout": lambda duration: f"Timeout({gotext.format_duration(duration)})",
    "deadline": lambda moment: f"Deadline({gotext.format_time(moment)})",
    "unique_for": lambda duration: f"Unique({gotext.format_duration(duration)})",
    "process_in": lambda duration: f"ProcessIn({gotext.format_duration(duration)})",
    "process_at": lambda moment: f"ProcessAt({gotext.format_time(moment)})",
    "retention": lambda duration: f"Retention({gotext.format_duration(duration)})",
    "group": lambda name: f"Group({gotext.quote(name)})",
}
