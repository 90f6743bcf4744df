"""Acting on queues and tasks from outside: run, archive, delete, pause, cancel. Counts nothing as processed."""

from __future__ import annotations

from functools import partial

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Flow, Op, Part, Reply, Script, command, parts, subscribers
from hustlex.errors import Conflict, Misuse
from hustlex.jobs.inspect.ops import kind, missing_task, place, stated
from hustlex.jobs.inspect.types import Cancellation, NeverRuns, Stopping, TooLate
from hustlex.jobs.keys import CANCEL, addressed, queue_keys, stop_channel
from hustlex.jobs.types import State

_RUN, _RUN_ALL = load("hustlex.jobs", "inspect/run_task"), load("hustlex.jobs", "inspect/run_all")
_ARCHIVE, _ARCHIVE_ALL = load("hustlex.jobs", "inspect/archive_task"), load("hustlex.jobs", "inspect/archive_all")
_DELETE, _DELETE_ALL = load("hustlex.jobs", "inspect/delete_task"), load("hustlex.jobs", "inspect/delete_all")
_PAUSE, _CANCEL = load("hustlex.jobs", "inspect/pause"), load("hustlex.jobs", "inspect/cancel_task")

MOST_AT_ONCE = 500
"""Tasks moved or deleted per script call; other clients of the server wait while it runs."""

_HELD = "cannot run again now: another task holds its uniqueness lock"

_RUNNABLE = (State.SCHEDULED, State.RETRY, State.ARCHIVED, State.AGGREGATING)
_ARCHIVABLE = (State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING)
_DELETABLE = (State.PENDING, State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING)


class Swept(msgspec.Struct, frozen=True):
    """What one step did. held: of those taken, put back because another task holds their lock."""

    count: int
    left: int
    held: int = 0


def run(queue: str, task_id: str, now_ms: int) -> Op[None]:
    """Into pending, behind what is there. Raises NotFound, Conflict (active, pending, or its lock is another's)."""
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    return _RUN.op(
        (q.task(task_id), q.pending),
        (now_ms, task_id, q.prefix),
        partial(acted, queue, task_id, {-1: "is active", -2: "is pending already", -4: _HELD}),
    )


def archive(queue: str, task_id: str, now_ms: int) -> Op[None]:
    """Into the archive. Raises NotFound, Conflict (active or archived)."""
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    return _ARCHIVE.op(
        (q.task(task_id), q.archived),
        (now_ms, task_id, q.prefix),
        partial(acted, queue, task_id, {-1: "is active", -2: "is archived already"}),
    )


def delete(queue: str, task_id: str) -> Op[None]:
    """Gone, with its uniqueness lock. Raises NotFound, Conflict (active)."""
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    return _DELETE.op((q.task(task_id),), (task_id, q.prefix), partial(acted, queue, task_id, {-1: "is active"}))


def run_all(queue: str, state: State, group: str, now_ms: int) -> Op[Swept]:
    """Up to 500 tasks of a state into pending."""
    q = queue_keys(queue)
    return _several(_RUN_ALL, _RUNNABLE, queue, state, group, (q.pending,), (now_ms,))


def archive_all(queue: str, state: State, group: str, now_ms: int) -> Op[Swept]:
    """Up to 500 tasks of a state into the archive."""
    q = queue_keys(queue)
    return _several(_ARCHIVE_ALL, _ARCHIVABLE, queue, state, group, (q.archived,), (now_ms,))


def delete_all(queue: str, state: State, group: str) -> Op[Swept]:
    """Up to 500 tasks of a state away."""
    return _several(_DELETE_ALL, _DELETABLE, queue, state, group, (), ())


def pause(queue: str, now_ms: int) -> Op[bool]:
    """Stop the leasing of tasks; False when the queue was paused already."""
    return _PAUSE.op((queue_keys(queue).paused,), (now_ms,), _yes)


def unpause(queue: str) -> Op[bool]:
    """Let workers lease again; False when the queue was not paused."""
    key = queue_keys(queue).paused
    return command("jobs.unpause", Effect.IDEMPOTENT, "DEL", key, keys=(key,), decode=bool)


def cancel(task_id: str) -> Flow[int]:
    """Tell every worker to cut this task off; answers how many connections hear it, at all servers."""
    task_id = addressed("task_id", task_id)
    told = command("jobs.cancel", Effect.IDEMPOTENT, "PUBLISH", CANCEL, task_id, decode=int)
    heard, number = (yield Part(told, 0)), 1
    while (more := (yield Part(subscribers("jobs.cancel", CANCEL), number))) is not None:
        heard, number = heard + more, number + 1
    return int(heard)


def stop_worker(server_id: str) -> Flow[int]:
    """Tell one worker process to stop; answers how many connections hear it, counted first: who heard it leaves."""
    channel = stop_channel(addressed("server_id", server_id))
    heard = yield from parts(subscribers("jobs.stop_worker", channel))
    yield Part(command("jobs.stop_worker", Effect.IDEMPOTENT, "PUBLISH", channel, "stop", decode=int), 0)
    return sum(heard)


def forbid(queue: str, task_id: str, now_ms: int) -> Op[Cancellation | None]:
    """See to it that a task is not started (again). None: it was between two states, ask again."""
    q, task_id = queue_keys(queue), addressed("task_id", task_id)
    return _CANCEL.op((q.task(task_id), q.archived), (now_ms, task_id, q.prefix), partial(_forbidden, queue, task_id))


def _forbidden(queue: str, task_id: str, reply: Reply) -> Cancellation | None:
    code, *rest = reply
    if code < 0:
        return None
    if code == 2:
        return Stopping(task_id, queue, 0)
    state = State(rest[0].decode()) if rest else None
    return NeverRuns(task_id, queue, state) if code == 1 and state else TooLate(task_id, queue, state)


def _several(
    script: Script,
    allowed: tuple[State, ...],
    queue: str,
    state: State,
    group: str,
    target: tuple[str, ...],
    first: tuple[int, ...],
) -> Op[Swept]:
    state = stated(state)
    if state not in allowed:
        raise Misuse(f"{script.name} is not for {state} tasks", hint=f"use one of {', '.join(allowed)}")
    q = queue_keys(queue)
    args: tuple[Arg, ...] = (*first, q.prefix, kind(state), group, MOST_AT_ONCE)
    return script.op((place(q, state, group), *target, q.groups), args, _taken)


def _taken(reply: Reply) -> Swept:
    return Swept(*map(int, reply[1:]))


def acted(queue: str, task_id: str, reasons: dict[int, str], reply: Reply) -> None:
    """Read the status of an action on one task. reasons: by status, why it is refused. Raises NotFound, Conflict."""
    status = int(reply[0])
    if status == 1:
        return
    if status == 0:
        raise missing_task(queue, task_id)
    raise Conflict(f"task {task_id!r} {reasons.get(status, 'is not where its state says')}")


def _yes(reply: Reply) -> bool:
    return bool(reply[0] == 1)
