"""A job ready to be sent: every default filled in, every limit checked, the message encoded, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from hustlex.core import check
from hustlex.core.telemetry import Hook, Telemetry, safely_headers
from hustlex.errors import Misuse
from hustlex.jobs.checks import LARGEST, carriable, declared, judged
from hustlex.jobs.enqueue.job import Job, Step, Workflow
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, Options, merge, start_text
from hustlex.jobs.keys import QueueKeys, named, queue_keys
from hustlex.jobs.wire import MessageTemplate, TaskMessage, encode_task

DEFAULT_MAX_RETRY = 25
DEFAULT_TIMEOUT_S = 1800
LONGEST_LOCK_S = 30 * 86_400
"""Cap of a lock that is held until something happens: longer than all of Asynq's 25 retries take, about 20 days."""

_SAMPLE_ID = "00000000-0000-4000-8000-000000000000"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_NOTHING = timedelta(0)


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A job ready to be sent: every default filled in, every limit checked."""

    id: str
    queue: str
    message: bytes
    due: str
    """"" now, "+<ms>" after a delay, "<ms>" at a Unix time."""
    lock: str
    """Uniqueness key, "" = none."""
    lock_ttl_s: int
    """Life of the lock, from the moment the task is due."""
    group: str
    """"" = none."""
    until: str = ""
    """What ends the lock before that: "" success only, "started", "done", or "debounce": as "started", and a task
    that waits is replaced."""
    wishes: str = ""
    """What ``lua/lib/wishes.lua`` reads, "" = nothing."""

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


def draft(job: Job, options: Options, new_id: str) -> Draft:
    """Fill in, check and encode. new_id: used when no task_id is given. Raises Misuse for what can never work."""
    if type(job) is not Job:
        check.instance("job", job, Job, hint="pass task.job(...)")
    payload, known = job.payload, job.options
    if payload is not None and (type(payload) is not bytes or len(payload) > LARGEST):
        _check_payload(job)
    if type(known) is TaskOptions and known.template is not None and not options and not job.slots:
        like = known.like
        return Draft(
            new_id, like.queue, known.template.fill(payload, new_id), like.due, "", 0, like.group, "", like.wishes
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


def _check_payload(job: Job[Any]) -> None:
    if not isinstance(job.payload, bytes):
        raise Misuse(f"the payload of a Job cannot be {check.shown(job.payload)}", hint="pass bytes, or None")
    carriable(f"the payload of {job.type!r}", job.payload)


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
    if deadline and "process_at" in options and deadline <= (options["process_at"] - _EPOCH) / _SECOND:
        raise Misuse("the deadline, cut to the second, is not after process_at", hint="let the deadline be later")
    return (timeout if timeout or deadline else DEFAULT_TIMEOUT_S), deadline


_ZERO_TIME_S = -62_135_596_800


def served(made: Draft, queues: frozenset[str] | None) -> Draft:
    """The draft, for one of the declared queues. Raises Misuse."""
    declared(made.queue, queues)
    return made


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


def carried(made: Draft, hook: Hook | None) -> Draft:
    """The draft, with what a hook that listens for rooms wants to go along: the trace."""
    if not isinstance(hook, Telemetry):
        return made
    headers = safely_headers(hook, later=bool(made.due or made.group))
    if not headers:
        return made
    first = encode_task(TaskMessage("", queue="", headers=dict(headers)))
    return msgspec.structs.replace(made, message=first + made.message)  # of fields that come twice the last one counts


def carried_steps(workflow: Workflow, hook: Hook | None) -> Workflow:
    """The same for each step, which runs when those before it have."""
    if not isinstance(hook, Telemetry) or not isinstance(workflow, Workflow):
        return workflow
    headers = safely_headers(hook, later=True)
    if not headers:
        return workflow

    def traced(job: Job[Any]) -> Job[Any]:
        return job.with_options(headers={**headers, **job.options.get("headers", {})})

    return Workflow(tuple(Step(traced(step.job), step.after) for step in workflow.steps))
