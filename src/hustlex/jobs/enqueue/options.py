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

    queue, task_id, group: 1 to 255 characters without braces and control characters; whole numbers, UUIDs and enum
    members count as their text. Durations are of at most 100 years, moments before the year 9000.
    queue: case-sensitive; "default". task_id: a random UUID.
    max_retry: retries after the first failure, 0 to 2147483647; 25.
    timeout: of one attempt, 0 (none) or at least 1 second, cut to whole seconds; 30 minutes unless a deadline is given.
    deadline: no attempt runs past this moment (aware; cut to the second); none.
    unique_for: at least 1 second, cut to whole seconds: until the task succeeds, or this long, no second task of the
    same queue, type and payload is accepted; off. While the task is scheduled the lock covers the wait as well.
    unique_until: unique not for a time but until the task is "started" (leased for the first time) or "done"
    (succeeded, revoked, archived or deleted; retries in between keep it); off. ``unique_for`` then is the cap, 30 days
    if left out. A Go worker ends such a lock at success only, but our producers look at the task's state and pass it.
    unique_key: what must be unique instead of the payload, 1 to 1024 characters; only with another of the unique
    options.
    debounce: start this long after the last of several calls; off. A call that finds a task of the same lock waiting
    gives it this payload and these options, under its own id, and a new start; implies unique_until="started". Calls
    that never pause this long put the start off for ever.
    process_in, process_at: not before; in the past means now. At most one of them; now.
    retention: keep the finished task and its result, 0 or at least 1 second; 0.
    group: collect with others for aggregation; not together with a later start; none.
    expires_in, expires_at: no attempt starts after this (from the enqueueing on): the task is dropped then, as if it
    had been revoked. One that started in time may end. At most one of the two; Go's workers do not know it; none.
    if_finished: what becomes of a completed or archived task that has the ``task_id``: "replace" puts the new one in
    its place, in one step; "refuse" answers IdTaken, as every other state does; "refuse".
    at_front: be the next of its queue to run, also after a wait; the last of several comes first. Not with a group.
    headers: text by name, for tracing and the like, of at most 255 and 8192 characters; merged name by name.
    """

    queue: str
    task_id: str
    max_retry: int
    timeout: timedelta
    deadline: datetime
    unique_for: timedelta
    unique_until: Literal["started", "done"]
    unique_key: str
    debounce: timedelta
    process_in: timedelta
    process_at: datetime
    retention: timedelta
    group: str
    headers: Mapping[str, str]
    expires_in: timedelta
    expires_at: datetime
    if_finished: Literal["refuse", "replace"]
    at_front: bool


class Start(TypedDict, total=False):
    """One of the two, as in ``Options``."""

    process_in: timedelta
    process_at: datetime


def merge(first: Options, second: Options) -> Options:
    """Second over first, which was judged before. Raises Misuse for what can never work.

    Headers are merged name by name; the later of process_in and process_at replaces the other.
    """
    second = cast("Options", judged(second))
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
