"""What was enqueued and waits: to look at, and to insist on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from inspect import Parameter, signature
from typing import Any, Protocol

import msgspec

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.errors import NotFound
from hustlex.jobs.api import Jobs
from hustlex.jobs.define.tasks import Task
from hustlex.jobs.inspect.types import TaskInfo
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.search.query import Query, of_place
from hustlex.jobs.types import PayloadError, State

WAITING = (State.PENDING, State.SCHEDULED, State.AGGREGATING)
"""Accepted and not begun."""
_FIRST, _PAGE = 1_000, 500
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HasJobs(Protocol):
    """A ``HustleX``, or anything else with a producer."""

    @property
    def jobs(self) -> Jobs: ...


@answering
async def enqueued(
    hx: HasJobs,
    task: Task[..., Any] | str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    queue: str | None = None,
    states: Sequence[State] = WAITING,
) -> list[TaskInfo]:
    """What waits in the queues, by queue and state, next to run first.

    task: only of this type. arguments: only with these values; others of the task do not matter, and one that was left
    out counts with its default. queue: only there. states: pending, scheduled and aggregating.
    """
    check.protocol("hx", hx, "jobs", hint="pass a HustleX")
    if arguments is not None:
        check.instance("arguments", arguments, Mapping, hint="pass a dict of arguments by name")
    for state in check.several("states", states):
        check.instance("state", state, State)
    if task is not None:
        check.instance("task", task, Task, str, hint="pass a task, or its type's name")
    if queue is not None:
        check.text("queue", queue)
    inspector = hx.jobs.inspector
    known = await inspector.queues()
    names = known if queue is None else [name for name in known if name == queue]
    found = [info for name in names for state in states for info in await _all(inspector, name, state)]
    task_type = task.type if isinstance(task, Task) else task
    return [
        info
        for info in found
        if task_type in (None, info.type) and (arguments is None or _carries(arguments, info, task))
    ]


@answering
async def assert_enqueued(
    hx: HasJobs,
    task: Task[..., Any] | str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    queue: str | None = None,
    process_in: timedelta | None = None,
    process_at: datetime | None = None,
    tolerance: timedelta | None = None,
    count: int | None = None,
    states: Sequence[State] = WAITING,
) -> list[TaskInfo]:
    """Fail with AssertionError, which lists what waits, unless such jobs do; returns them.

    count: exactly so many, 0 = none; default at least one. process_in, process_at: only those that are due in the
    second from then on. tolerance: how much earlier or later; default none for ``process_at`` and with a fixed clock,
    else 5 seconds. The rest as for ``enqueued``.
    """
    found = await enqueued(hx, task, arguments=arguments, queue=queue, states=states)
    now_ms = hx.jobs._clock()
    for name, length in (("process_in", process_in), ("tolerance", tolerance)):
        if length is not None:
            check.duration(name, length)
    if process_at is not None:
        check.moment("process_at", process_at)
    if count is not None:
        check.whole("count", count)
    if process_in is not None:
        slack = tolerance if tolerance is not None else timedelta(0) if now_ms else timedelta(seconds=5)
        found = [info for info in found if _is_due(info, _moment(now_ms) + process_in, slack)]
    if process_at is not None:
        found = [info for info in found if _is_due(info, process_at, tolerance or timedelta(0))]
    if len(found) == count or (found and count is None):
        return found
    wanted = f"{'at least one' if count is None else count} of {_described(task, arguments, queue)}"
    waiting = await enqueued(hx, states=states)
    shown = "".join(f"\n  {_line(info)}" for info in waiting[:20]) or " nothing"
    raise AssertionError(f"{len(found)} found, wanted {wanted}. In the queues:{shown}")


async def _all(inspector: Inspector, queue: str, state: State) -> list[TaskInfo]:
    """All of a state, and of every group; those behind the first thousand as a search finds them."""
    groups = [group.name for group in await inspector.groups(queue)] if state is State.AGGREGATING else [""]
    found: list[TaskInfo] = []
    for group in groups:
        first = await inspector.tasks(queue, state, size=_FIRST, group=group)
        found += first if len(first) < _FIRST else await _searched(inspector, of_place(queue, state, group))
    return found


async def _searched(inspector: Inspector, query: Query) -> list[TaskInfo]:
    found, cursor = list[TaskInfo](), ""
    while True:
        page = await inspector.search(query, cursor=cursor, size=_PAGE)
        found += page.tasks
        for large in page.unread:
            with suppress(NotFound):
                found.append(await inspector.task(large.queue, large.id))
        if not (cursor := page.cursor):
            return found


def _carries(wanted: Mapping[str, Any], info: TaskInfo, task: Task[..., Any] | str | None) -> bool:
    given = _arguments(info, task)
    return all(name in given and given[name] == value for name, value in wanted.items())


def _arguments(info: TaskInfo, task: Task[..., Any] | str | None) -> dict[str, Any]:
    """As the handler would get them, when the task is known; else as JSON has them."""
    try:
        if isinstance(task, Task):
            return {**dict(_defaults(task)), **task.arguments(info.payload)}
        found = msgspec.json.decode(info.payload or b"{}")
    except (PayloadError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _defaults(task: Task[..., Any]) -> Iterator[tuple[str, Any]]:
    for parameter in signature(task.function).parameters.values():
        if parameter.default is not Parameter.empty:
            yield parameter.name, parameter.default


def _is_due(info: TaskInfo, at: datetime, slack: timedelta) -> bool:
    """Go's tools know the next whole second only."""
    due = info.next_process_at
    return due is not None and at - slack <= due < at + slack + _SECOND


def _moment(now_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=now_ms) if now_ms else datetime.now(UTC)


def _described(task: Task[..., Any] | str | None, arguments: Mapping[str, Any] | None, queue: str | None) -> str:
    kind = task.type if isinstance(task, Task) else task
    parts = [kind or "any task", f"with {dict(arguments)}" if arguments else "", f"in {queue!r}" if queue else ""]
    return " ".join(part for part in parts if part)


def _line(info: TaskInfo) -> str:
    due = f", due {info.next_process_at:%Y-%m-%dT%H:%M:%SZ}" if info.state is State.SCHEDULED else ""
    payload = (info.payload or b"").decode("utf-8", "replace")
    return f"{info.type} {payload[:200]} in {info.queue!r}, {info.state.value}{due}"
