"""The inspector's stories of several steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from hustlex.core.op import Batch, Flow, Op, Part, do
from hustlex.errors import Conflict, Error, NotFound
from hustlex.jobs import keys, lookup
from hustlex.jobs.inspect import change, fleet, ops
from hustlex.jobs.inspect.act import Swept
from hustlex.jobs.inspect.types import GroupInfo, PeriodicInfo, QueueSummary, RunningTask, Server
from hustlex.jobs.lease.heartbeat import ServedTypes
from hustlex.jobs.lease.vitals import Vitals
from hustlex.jobs.wire import NEVER_NS, SchedulerEntry, ServerInfo, WorkerInfo, decode_task, encode_task

T = TypeVar("T")

_MOST_ATTEMPTS = 20
_TOGETHER = 100
"""Others wait while a call runs: 100 summaries take about a millisecond."""
_TOGETHER_THERE = 250
"""Of a cluster, where most lie elsewhere, which costs little."""


def of_queue(queue: str, op: Op[T]) -> Flow[T]:
    """Run the operation and see in the same write whether the queue exists. Raises NotFound."""
    known, answer = yield from _all_or_error((lookup.is_known(queue), op))
    if not known:
        raise NotFound(f"there is no queue {queue!r}", hint="a queue exists once a task was enqueued to it")
    result: T = answer
    return result


def groups(queue: str) -> Flow[list[GroupInfo]]:
    """All groups with tasks waiting, by name; in steps, so that others are served between them. Raises NotFound."""
    page = yield from of_queue(queue, ops.scan_groups(queue, "", _TOGETHER))
    found = {each.name: each.size for each in page.groups}
    while page.cursor:
        page = yield from do(ops.scan_groups(queue, page.cursor, _TOGETHER))
        found |= {each.name: each.size for each in page.groups}
    return [GroupInfo(name, size) for name, size in sorted(found.items())]


def every(queue: str, op: Op[Swept]) -> Flow[int]:
    """Repeat an operation that takes some tasks at a time until it took as many as there were at its start."""
    step = yield from of_queue(queue, op)
    seen, done, goal = step.count, step.count - step.held, step.count + step.left
    while step.count and seen < goal:
        step = yield from do(op)
        seen, done = seen + step.count, done + step.count - step.held
    return done


def update_payload(
    queue: str, task_id: str, payload: bytes | Callable[[bytes | None], bytes | None] | None
) -> Flow[None]:
    """Read, change, and write if nobody else has written in between. Raises NotFound, Conflict.

    payload: the new one, or what makes it of the one that is there.
    """
    for _ in range(_MOST_ATTEMPTS):
        was = yield from do(change.message(queue, task_id))
        task = decode_task(was)
        new = payload(task.payload) if callable(payload) else payload
        becomes = encode_task(msgspec.structs.replace(task, payload=new))
        if (yield from do(change.update(queue, task_id, was, becomes))):
            return
    raise Conflict(f"task {task_id!r} is being changed by others all the time")


def delete_queue(queue: str, force: bool, now_ms: int) -> Flow[None]:
    """Step by step until it is gone. Raises NotFound, Conflict."""
    op = change.delete_queue(queue, force, now_ms)
    left = yield from of_queue(queue, op)
    while left:
        left = yield from do(op)
    yield from do(change.forget_queue(queue))


def servers(now_ms: int, running_of: Collection[str] | None = None) -> Flow[list[Server]]:
    """Living worker processes and what they run, of these ids or (None) all."""
    if running_of is None:
        infos, running = yield from _all_or_error((fleet.server_keys(now_ms), fleet.worker_keys(now_ms)))
        found = yield from in_chunks(fleet.servers, infos)
    else:
        found = yield from in_chunks(fleet.servers, (yield from do(fleet.server_keys(now_ms))))
        running = [keys.workers(info.host, info.pid, info.server_id) for info in found if info.server_id in running_of]
    tasks: list[WorkerInfo] = yield from _each(fleet.running, running)
    by_server: dict[str, list[RunningTask]] = {}
    for worker in tasks:
        by_server.setdefault(worker.server_id, []).append(_running(worker))
    told: list[fleet.Told] = yield from in_chunks(fleet.told, found)
    return [_server(info, by_server.get(info.server_id, []), *each) for info, each in zip(found, told, strict=True)]


def scheduler_entries(now_ms: int) -> Flow[list[PeriodicInfo]]:
    """Periodic entries of all living schedulers, by spec."""
    keys = yield from do(fleet.scheduler_keys(now_ms))
    found: list[SchedulerEntry] = yield from _each(fleet.entries, keys)
    return [_entry(entry) for entry in sorted(found, key=lambda entry: entry.spec)]


def summaries(queues: Sequence[str], now_ms: int) -> Flow[list[QueueSummary]]:
    """Each queue's summary, in the order given."""
    if len(queues) > 1 and (yield from do(lookup.clustered())):
        return (yield from _node_by_node(queues, now_ms))
    return (yield from _each(lambda names: ops.summaries(names, now_ms), _cut(queues, _TOGETHER)))


def _node_by_node(queues: Sequence[str], now_ms: int) -> Flow[list[QueueSummary]]:
    """Each node is asked for all, and answers for those that lie there; who moves meanwhile is asked for alone."""
    found, left, number = dict[str, QueueSummary](), list(dict.fromkeys(queues)), 0
    there: list[QueueSummary] | None
    while left:
        there = None
        for names in _cut(left, _TOGETHER_THERE):
            there = yield Part(ops.summaries_there(names, now_ms), number)
            found |= {each.name: each for each in there or ()}
        if there is None:
            break
        left, number = [name for name in left if name not in found], number + 1
    alone = yield from _each(lambda name: ops.summaries([name], now_ms), left)
    found |= {each.name: each for each in alone}
    return [found[name] for name in queues]


def _cut(things: Sequence[T], size: int) -> list[Sequence[T]]:
    return [things[n : n + size] for n in range(0, len(things), size)]


def in_chunks(make: Callable[[Sequence[Any]], Op[list[T]]], things: Sequence[Any]) -> Flow[list[T]]:
    """What calls with keys of several slots answer, a hundred in each; in a cluster, which forbids it, one."""
    apart = len(things) > 1 and (yield from do(lookup.clustered()))
    size = 1 if apart else _TOGETHER
    return (yield from _each(make, _cut(things, size)))


def _each(make: Callable[[Any], Op[list[T]]], keys: Sequence[Any]) -> Flow[list[T]]:
    answers = yield from _all_or_error(tuple(make(key) for key in keys))
    return [item for answer in answers for item in answer]


def _all_or_error(ops: tuple[Op[Any], ...]) -> Flow[list[Any]]:
    answers: list[Any] = (yield Batch(ops)) if ops else []
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
    return answers


def _server(info: ServerInfo, running: list[RunningTask], served: ServedTypes | None, vitals: Vitals | None) -> Server:
    return Server(
        id=info.server_id,
        host=info.host,
        pid=info.pid,
        concurrency=info.concurrency,
        queues=info.queues,
        strict_priority=info.strict_priority,
        status=info.status,
        started_at=fleet.moment(info.start_time_ns),
        active_worker_count=info.active_worker_count,
        running=tuple(running),
        served=served,
        vitals=vitals,
    )


def _running(worker: WorkerInfo) -> RunningTask:
    return RunningTask(
        worker.task_id,
        worker.task_type,
        worker.queue,
        worker.task_payload,
        fleet.moment(worker.start_time_ns),
        _moment(worker.deadline_ns),
    )


def _entry(entry: SchedulerEntry) -> PeriodicInfo:
    return PeriodicInfo(
        entry.id,
        entry.spec,
        entry.task_type,
        entry.task_payload,
        entry.enqueue_options,
        _moment(entry.next_enqueue_time_ns),
        _moment(entry.prev_enqueue_time_ns),
    )


def _moment(nanoseconds: int) -> datetime | None:
    """None for "never", written as year 1 by Go and left out (0) by others."""
    return None if nanoseconds in (0, NEVER_NS) else fleet.moment(nanoseconds)
