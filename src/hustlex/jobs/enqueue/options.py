"""Jobs and their options: Asynq's defaults, limits and roundings, applied once, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, Unpack, cast

import msgspec

from hustlex.core import check, codec
from hustlex.core.generics import T
from hustlex.errors import Misuse
from hustlex.jobs import gotext
from hustlex.jobs.checks import declared, judged
from hustlex.jobs.enqueue.placeholders import Placeholder, Slots
from hustlex.jobs.keys import QueueKeys, named, queue_keys
from hustlex.jobs.types import PayloadError
from hustlex.jobs.wire import MessageTemplate, TaskMessage, encode_task

if TYPE_CHECKING:
    from hustlex.jobs.workflow.plan import Workflow

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRY = 25
DEFAULT_TIMEOUT_S = 1800
LONGEST_LOCK_S = 30 * 86_400
"""Cap of a lock that is held until something happens: longer than all of Asynq's 25 retries take, about 20 days."""

_SAMPLE_ID = "00000000-0000-4000-8000-000000000000"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_NOTHING = timedelta(0)


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


_NONE = Options()


class Job(msgspec.Struct, Generic[T], frozen=True, eq=False):
    """A task to be enqueued: type, payload bytes (None is Go's nil) and options. Its repr hides the payload.

    slots: arguments that a workflow fills in with results of the steps before. task: what made it, None = nobody; it
    knows the type T of the result.
    """

    type: str
    payload: bytes | None = None
    options: Options = _NONE
    slots: Slots = ()
    task: Any = None

    def with_options(self, **options: Unpack[Options]) -> Job[T]:
        """The same job with these options on top of its own."""
        return Job(self.type, self.payload, merge(self.options, options), self.slots, self.task)

    def then(self, following: Job[Any] | Workflow) -> Workflow:
        """A workflow: this job, and when it has succeeded, the other. Hand it to ``Jobs.start``."""
        from hustlex.jobs.workflow.plan import chain

        return chain(self, following)

    def taking(self, result: Placeholder) -> Job[T]:
        """The same job with RESULT or RESULTS as its whole payload: for a step whose arguments only a Go worker knows.

        Raises Misuse for anything else.
        """
        if not isinstance(result, Placeholder):
            raise Misuse("a job takes RESULT or RESULTS")
        return Job(self.type, None, self.options, (("", result.every),), self.task)

    def __eq__(self, other: object) -> bool:
        """Whoever made it."""
        if not isinstance(other, Job):
            return NotImplemented
        return self._content == other._content

    __hash__ = None  # type: ignore[assignment]

    @property
    def _content(self) -> tuple[Any, ...]:
        return self.type, self.payload, self.options, self.slots

    def __repr__(self) -> str:
        return f"Job({self.type!r}, {len(self.payload or b'')} bytes)"


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A job ready to be sent: every default filled in, every limit checked.

    due: "" now, "+<ms>" after a delay, "<ms>" at a Unix time. lock: uniqueness key, "" none. lock_ttl_s: its lifetime
    from the moment the task is due. group: "" none. until: what ends the lock before that: "" success only, "started",
    "done", or "debounce": as "started", and a task that waits is replaced. wishes: see ``lua/lib/wishes.lua``.
    """

    id: str
    queue: str
    message: bytes
    due: str
    lock: str
    lock_ttl_s: int
    group: str
    until: str = ""
    wishes: str = ""

    @property
    def row(self) -> tuple[str, bytes, str, str, int, str, str, str]:
        """What ``lua/lib/place.lua`` wants of it, in its order."""
        return self.id, self.message, self.due, self.lock, self.lock_ttl_s, self.group, self.until, self.wishes

    @property
    def plain(self) -> bool:
        """Whether it is to run now, not unique, in no group."""
        return not (self.due or self.lock or self.group or self.wishes)

    def __repr__(self) -> str:
        return f"Draft({self.id!r}, {self.queue!r})"


class TaskOptions(dict[str, Any]):
    """Options as a task has them, for jobs that add none of their own.

    template, like: what all drafts of them have in common, worked out once (three quarters of a draft's cost); None
    when each is different, because it is unique or its id is given.
    """

    __slots__ = ("like", "template")

    def __init__(self, task_type: str, options: Options) -> None:
        """Raises Misuse for what can never work."""
        super().__init__(judged(options))
        self.like = like = draft(Job(task_type, None, cast("Options", dict(self))), {}, _SAMPLE_ID)
        varies = like.lock or like.id != _SAMPLE_ID
        self.template = None if varies else MessageTemplate(like.message, _SAMPLE_ID)


def as_job(job: Job | str, payload: Any = None) -> Job:
    """A Job as it is, or one from a type and a payload: None, bytes as they are, anything else as compact JSON.

    Raises Misuse for a payload beside a Job, PayloadError for a value that JSON cannot carry.
    """
    if not isinstance(job, str):
        check.instance("job", job, Job, hint="pass task.job(...), or a task type and its payload")
        if payload is not None:
            raise Misuse("a Job carries its own payload", hint="pass either a Job, or a type and a payload")
        return job
    if payload is None or isinstance(payload, bytes):
        return Job(job, payload)
    place = f"the payload of {job!r}"
    try:
        written = codec.dumps(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise PayloadError(codec.refusal(payload, fault, place)) from None
    if (wrong := codec.fault(payload, place)) is not None:
        raise PayloadError(wrong)
    return Job(job, written)


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


def draft(job: Job, options: Options, new_id: str) -> Draft:
    """Fill in, check and encode. new_id: used when no task_id is given. Raises Misuse for what can never work."""
    check.instance("job", job, Job, hint="pass task.job(...)")
    if job.payload is not None and not isinstance(job.payload, bytes):
        raise Misuse(f"the payload of a Job cannot be {check.shown(job.payload)}", hint="pass bytes, or None")
    known = job.options
    if type(known) is TaskOptions and known.template is not None and not options and not job.slots:
        like = known.like
        return Draft(
            new_id, like.queue, known.template.fill(job.payload, new_id), like.due, "", 0, like.group, "", like.wishes
        )
    if job.slots:
        raise Misuse(f"a job of {job.type!r} waits for a result", hint="only a later step of a workflow can have one")
    chosen = cast("Options", known if type(known) is TaskOptions else judged(known))
    chosen = merge(chosen, options) if options else chosen
    queue = chosen.get("queue", DEFAULT_QUEUE)
    names = queue_keys(queue)
    task_type = named("task type", job.type)
    task_id = chosen.get("task_id", new_id)
    until = _until(chosen)
    if job.task is not None:
        declared(queue, job.task.queues)
    lock_ttl_s = _lock_ttl(chosen, until)
    lock = _lock(chosen, names, task_type, job) if lock_ttl_s else ""
    due = start_text(chosen)
    group = _group(chosen, due)
    timeout, deadline = _limits(chosen)
    message = TaskMessage(
        task_type,
        job.payload,
        task_id,
        queue,
        chosen.get("max_retry", DEFAULT_MAX_RETRY),
        timeout=timeout,
        deadline=deadline,
        unique_key=lock,
        retention=chosen.get("retention", _NOTHING) // _SECOND,
        group_key=group,
        headers=dict(chosen.get("headers", ())),
    )
    return Draft(task_id, queue, encode_task(message), due, lock, lock_ttl_s, group, until, _wishes(chosen))


def _until(options: Options) -> str:
    until = options.get("unique_until", "")
    if "debounce" not in options:
        return until
    if until == "done" or {"process_in", "process_at"} & options.keys():
        raise Misuse(
            'debounce excludes unique_until="done", process_in and process_at',
            hint="it says by itself when the task starts and how long it is unique",
        )
    return "debounce"


def _lock_ttl(options: Options, until: str) -> int:
    if "unique_for" not in options:
        if "unique_key" in options and not until:
            raise Misuse("unique_key needs unique_for, unique_until or debounce beside it")
        return LONGEST_LOCK_S if until else 0
    return options["unique_for"] // _SECOND


def _lock(options: Options, names: QueueKeys, task_type: str, job: Job[Any]) -> str:
    if "unique_key" in options:
        return names.unique_named(task_type, options["unique_key"])
    return names.unique(task_type, job.payload if job.task is None else job.task.canonical(job.payload))


def _limits(options: Options) -> tuple[int, int]:
    """Timeout and deadline as stored: thirty minutes when neither bounds the task."""
    timeout = options.get("timeout", _NOTHING) // _SECOND
    deadline = (options["deadline"] - _EPOCH) // _SECOND if "deadline" in options else 0
    if deadline <= _ZERO_TIME_S:
        deadline = 0
    return (timeout if timeout or deadline else DEFAULT_TIMEOUT_S), deadline


_ZERO_TIME_S = -62_135_596_800


def served(made: Draft, queues: frozenset[str] | None) -> Draft:
    """The draft, for one of the declared queues. Raises Misuse."""
    declared(made.queue, queues)
    return made


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


def _group(options: Options, due: str) -> str:
    if "group" not in options:
        return ""
    if due:
        raise Misuse(
            "a group cannot be combined with a later start",
            hint="Asynq's workers lose the group of a scheduled task",
        )
    return options["group"]


def _wishes(options: Options) -> str:
    """What ``lua/lib/wishes.lua`` reads; "" for most."""
    wishes: dict[str, Any] = {}
    if "expires_in" in options or "expires_at" in options:
        wishes["expires"] = _expiry(options)
    if options.get("if_finished") == "replace":
        wishes["replace"] = True
    if options.get("at_front"):
        wishes["first"] = True
        if "group" in options:
            raise Misuse("at_front excludes a group", hint="give it to the job that the group's function makes")
    return msgspec.json.encode(wishes).decode() if wishes else ""


def _expiry(options: Options) -> str:
    if "expires_in" in options and "expires_at" in options:
        raise Misuse("expires_in and expires_at exclude each other")
    wait, start = options.get("process_in", _NOTHING), options.get("process_at", _EPOCH)
    if (
        options.get("expires_in", timedelta.max) <= wait
        or options.get("expires_at", datetime.max.replace(tzinfo=UTC)) <= start
    ):
        raise Misuse("the task would expire before its start", hint="let it expire later than it starts")
    if "expires_in" in options:
        return f"+{options['expires_in'] // _MILLISECOND}"
    return str(max(1, (options["expires_at"] - _EPOCH) // _MILLISECOND))


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
