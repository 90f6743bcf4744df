"""Workflows on their way to Redis: every step drafted, linked to those behind it, and later filled with results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs.checks import carriable, judged
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.enqueue.job import Job, Step, Workflow
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, Options
from hustlex.jobs.enqueue.placeholders import Slots
from hustlex.jobs.keys import named
from hustlex.jobs.types import PayloadError, State
from hustlex.jobs.wire import decode_task, encode_task

HEADER = "hustlex-step"
"""On steps that others wait for: tells a Python worker to look after them as soon as it has acknowledged one."""
LIFE_S = 90 * 86_400
"""How long a step waits for those before it, and a finished one for somebody to see it."""
_LONGEST_ID = 200
"""A step's id is the workflow's and its position."""
_OPTIONS = frozenset(
    (
        "queue",
        "max_retry",
        "timeout",
        "deadline",
        "process_in",
        "process_at",
        "retention",
        "headers",
        "expires_in",
        "expires_at",
        "at_front",
    ),
)


class StepName(msgspec.Struct, frozen=True, order=True):
    """The task of a step, once its workflow is started."""

    queue: str
    id: str


class Started(msgspec.Struct, frozen=True):
    """A workflow was accepted. steps: its tasks, in the order of ``Workflow.steps``.

    repeated: nothing was started, because a workflow of this id was started in the last day, or still runs.
    """

    id: str
    steps: tuple[StepName, ...]
    repeated: bool

    @property
    def last(self) -> StepName:
        """The step given last: of a chain its end, of ``gather(..., then=job)`` that job."""
        return self.steps[-1]


class OpenStep(msgspec.Struct, frozen=True):
    """A step that others wait for. state: of its task; None = the task is gone. followed_by: who waits for it."""

    queue: str
    id: str
    state: State | None
    followed_by: tuple[StepName, ...]


class FoundSteps(msgspec.Struct, frozen=True):
    """A page of open steps, in no order. cursor: where the next page begins, "" = this is the last."""

    steps: tuple[OpenStep, ...]
    cursor: str


class Link(msgspec.Struct, frozen=True, array_like=True):
    """From a step to one that waits for it. index: which of those it waits for this one is, from 0."""

    queue: str
    id: str
    index: int


class Planted(msgspec.Struct, frozen=True):
    """A step as Redis keeps it until it starts."""

    name: StepName
    message: bytes
    """TaskMessage, still without results."""
    due: str
    """As in ``Draft``."""
    keep_s: int
    """The retention that the user asked for."""
    after: tuple[StepName, ...]
    """The steps it waits for."""
    then: tuple[Link, ...]
    """Those that wait for it."""
    slots: Slots
    """See ``Job``."""
    wishes: str = ""
    """As in ``Draft``."""


def plant(workflow: Workflow, workflow_id: str) -> tuple[Planted, ...]:
    """Every step ready to be sent; task ids are ``<workflow id>:<position>``. Raises Misuse for what can never work."""
    workflow_id = named("workflow_id", workflow_id, _LONGEST_ID)
    check.instance("workflow", workflow, Workflow, hint="pass one.then(two), or gather(...)")
    steps = workflow.steps
    queues = [_check(step).get("queue", DEFAULT_QUEUE) for step in steps]
    names = [StepName(queue, f"{workflow_id}:{position}") for position, queue in enumerate(queues)]
    links: list[list[Link]] = [[] for _ in steps]
    for position, step in enumerate(steps):
        for index, before in enumerate(step.after):
            links[before].append(Link(names[position].queue, names[position].id, index))
    return tuple(_planted(step, names, position, tuple(links[position])) for position, step in enumerate(steps))


def _check(step: Step) -> Options:
    job = step.job
    options = cast("Options", judged(job.options))
    strange = options.keys() - _OPTIONS
    if strange:
        raise Misuse(
            f"a step of a workflow cannot have {', '.join(sorted(strange))}",
            hint=f"a step may have {', '.join(sorted(_OPTIONS))}",
        )
    wants_all = [every for _, every in job.slots]
    if job.slots and not step.after:
        raise Misuse(f"nothing comes before the step {job.type!r}, so it cannot take a result")
    if not all(wants_all) and len(step.after) != 1:
        raise Misuse(f"{len(step.after)} steps come before {job.type!r}", hint="RESULT is for one; take RESULTS")
    return options


def _planted(step: Step, names: Sequence[StepName], position: int, then: tuple[Link, ...]) -> Planted:
    """A step that others wait for is kept until somebody has seen that it succeeded, whoever ran it."""
    name, bare = names[position], Job(step.job.type, step.job.payload, step.job.options, (), step.job.task)
    made = draft(bare, {"task_id": name.id}, name.id)
    message = decode_task(made.message)
    keep_s = message.retention
    if then:
        headers = {**message.headers, HEADER: "1"}
        message = msgspec.structs.replace(message, retention=max(LIFE_S, keep_s), headers=headers)
    after = tuple(names[before] for before in step.after)
    return Planted(name, encode_task(message), made.due, keep_s, after, then, step.job.slots, made.wishes)


def compose(message: bytes, slots: Slots, results: Sequence[bytes]) -> bytes:
    """A step's message with the results it asked for. results: of the steps before, b"" = none was written (null).

    Raises PayloadError when a result that is wanted is not JSON, or when all of them are too large.
    """
    if not slots:
        return message
    try:
        for result in results:
            msgspec.json.decode(result or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PayloadError("the result of a step before it is not JSON") from None
    values = [result or b"null" for result in results]
    everything = b"[" + b",".join(values) + b"]"
    task = decode_task(message)
    payload: Any = {name: msgspec.Raw(everything if every else values[0]) for name, every in slots}
    if "" not in payload:
        payload = {**msgspec.json.decode(task.payload or b"{}", type=dict[str, msgspec.Raw]), **payload}
    written = bytes(payload[""]) if "" in payload else msgspec.json.encode(payload)
    carriable(f"the payload of {task.type!r}, with results of steps before it,", written)
    return encode_task(msgspec.structs.replace(task, payload=written))


def life_s(planted: Sequence[Planted]) -> int:
    """How long steps may wait that wait for others: the life, and all delays on their way."""
    return LIFE_S + sum(int(step.due) for step in planted if step.due.startswith("+")) // 1000


def latest_ms(planted: Sequence[Planted]) -> int:
    """The last moment before which a step must not start, Unix milliseconds, 0 = none."""
    return max((int(step.due) for step in planted if step.due.isdecimal()), default=0)


def links(raw: bytes) -> tuple[Link, ...]:
    """Who waits for a step, as Redis has it."""
    return msgspec.json.decode(raw or b"[]", type=tuple[Link, ...])


def names(raw: bytes) -> Iterator[StepName]:
    """Whom a step waits for, as Redis has it."""
    pairs = cast("list[tuple[str, str]]", msgspec.json.decode(raw or b"[]"))
    return (StepName(queue, task_id) for queue, task_id in pairs)
