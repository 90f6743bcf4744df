"""Looking at queues and tasks; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from hustlex.core import check
from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.errors import Misuse, NotFound
from hustlex.jobs.inspect.types import DayStats, FoundGroups, GroupInfo, QueueInfo, QueueSummary, TaskInfo
from hustlex.jobs.keys import QueueKeys, addressed, queue_keys
from hustlex.jobs.lookup import page_size, scan_cursor
from hustlex.jobs.types import State
from hustlex.jobs.wire import WireError, decode_task

_MEASURE = load("hustlex.jobs", "inspect/measure")
_SUMMARISE = load("hustlex.jobs", "inspect/summarise")
_DAYS = load("hustlex.jobs", "inspect/count_days")
_LIST = load("hustlex.jobs", "inspect/list_tasks")
_SHOW = load("hustlex.jobs", "inspect/show_task")
_SCAN_GROUPS = load("hustlex.jobs", "inspect/scan_groups")

Counted = TypeVar("Counted", QueueInfo, QueueSummary)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DAYS = 90
_ROW = 6
"""Values per task in the answers of list_tasks and show_task."""
_SUMMED = len(QueueSummary.__struct_fields__) - 1
_ELSEWHERE = -1
_MOST_SCANNED = 100
_LISTS = (State.PENDING, State.ACTIVE)


def queue(name: str, now_ms: int) -> Op[QueueInfo]:
    """Counts, latency and memory of a queue."""
    q = queue_keys(name)
    keys = (
        q.pending,
        q.active,
        q.scheduled,
        q.retry,
        q.archived,
        q.completed,
        q.processed,
        q.failed,
        q.paused,
        q.groups,
    )
    return _MEASURE.op(keys, (now_ms, q.prefix), partial(_counted, QueueInfo, name))


def summaries(names: Sequence[str], now_ms: int) -> Op[list[QueueSummary]]:
    """What can be told at a cost that does not depend on the queues' size. In a cluster: of one queue."""
    queues = [queue_keys(name) for name in names]
    routes = tuple(q.pending for q in queues)
    return _SUMMARISE.op(routes, (now_ms, 0, *(q.prefix for q in queues)), partial(_summed, names))


def summaries_there(names: Sequence[str], now_ms: int) -> Op[list[QueueSummary]]:
    """The same of those that lie on the server that is asked, whichever these are."""
    return _SUMMARISE.op((), (now_ms, 1, *(queue_keys(name).prefix for name in names)), partial(_summed, names))


def _summed(names: Sequence[str], reply: Reply) -> list[QueueSummary]:
    rows = ((name, reply[_SUMMED * n : _SUMMED * (n + 1) + 1]) for n, name in enumerate(names))
    return [_counted(QueueSummary, name, row) for name, row in rows if int(row[1]) != _ELSEWHERE]


def history(name: str, days: int, now_ms: int) -> Op[list[DayStats]]:
    """Attempts per UTC day, today first. days: 1 to 90 (the counters live no longer)."""
    check.whole("days", days, 1, _MOST_DAYS)
    q = queue_keys(name)
    return _DAYS.op((q.processed, q.failed), (now_ms, days), _day_stats)


def scan_groups(name: str, cursor: str, size: int) -> Op[FoundGroups]:
    """Some groups, with when the first and the last of their tasks came. size: 1 to 100, about. Raises Misuse."""
    q = queue_keys(name)
    args = (q.group_prefix, scan_cursor(cursor), check.whole("size", size, 1, _MOST_SCANNED))
    return _SCAN_GROUPS.op((q.groups, q.aggregation_sets), args, _scanned)


def tasks(name: str, state: State, size: int, group: str, now_ms: int) -> Op[list[TaskInfo]]:
    """The first so many, 1 to 1000. Undecodable tasks are left out."""
    count = page_size(size)
    q, state = queue_keys(name), stated(state)
    args = (now_ms, q.task_prefix, kind(state), count)
    return _LIST.op((place(q, state, group), q.lease), args, partial(_page, state))


def task(name: str, task_id: str, now_ms: int) -> Op[TaskInfo]:
    """One task. Raises NotFound."""
    q, task_id = queue_keys(name), addressed("task_id", task_id)
    return _SHOW.op((q.task(task_id), q.lease), (now_ms, task_id, q.prefix), partial(_shown, name, task_id))


def stated(state: object) -> State:
    """A state, or its word. Raises Misuse."""
    return State(check.one_of("state", state, tuple(State)))


def kind(state: State) -> str:
    """What structure holds the tasks of a state: list or zset."""
    return "list" if state in _LISTS else "zset"


def place(q: QueueKeys, state: State, group: str) -> str:
    """The key that holds the tasks of a state. Raises Misuse unless a group is given for AGGREGATING, and only then."""
    check.text("group", group, blank=True)
    if bool(group) != (state is State.AGGREGATING):
        raise Misuse("a group goes with the state AGGREGATING, and only with it")
    if group:
        return q.group(group)
    key: str = getattr(q, state.value)
    return key


def missing_task(queue: str, task_id: str) -> NotFound:
    """The error for an id that the queue does not know."""
    return NotFound(f"queue {queue!r} has no task {task_id!r}")


def _counted(kind: type[Counted], name: str, reply: Reply) -> Counted:
    """The numbers of a script's reply, in the order of the struct's fields."""
    values = (name, *(int(number) for number in reply[1:]))
    info: dict[str, Any] = dict(zip(kind.__struct_fields__, values, strict=True))
    info["paused"], info["latency"] = bool(info["paused"]), timedelta(milliseconds=info["latency"])
    info["limit"] = None if info["limit"] < 0 else info["limit"]
    if "waits_since" in info:
        info["waits_since"] = _moment(info["waits_since"] / 1000)
    return kind(**info)


def _day_stats(reply: Reply) -> list[DayStats]:
    return [DayStats(_text(reply[n]), int(reply[n + 1]), int(reply[n + 2])) for n in range(1, len(reply), 3)]


def _scanned(reply: Reply) -> FoundGroups:
    _, cursor, number, aggregating, *rows = reply
    found = (
        GroupInfo(_text(rows[n]), rows[n + 1], _moment(float(rows[n + 2] or 0)), _moment(float(rows[n + 3] or 0)))
        for n in range(0, len(rows), 4)
    )
    left = _text(cursor)
    return FoundGroups(tuple(found), "" if left == "0" else left, number, aggregating)


def _page(state: State, reply: Reply) -> list[TaskInfo]:
    found: list[TaskInfo] = []
    for n in range(2, len(reply), _ROW):
        try:
            found.append(task_info(state, reply[n : n + _ROW], reply[1]))
        except WireError:
            continue
    return found


def _shown(queue: str, task_id: str, reply: Reply) -> TaskInfo:
    if reply[0] == 0:
        raise missing_task(queue, task_id)
    now_ms, *row, state = reply[1:]
    return task_info(State(_text(state)), row, now_ms)


def _next_start(state: State, score: bytes, now_ms: int) -> datetime | None:
    if state is State.PENDING:
        return _moment(now_ms / 1000)
    return _moment(float(score)) if state in (State.SCHEDULED, State.RETRY) else None


def task_info(state: State, row: Reply, now_ms: int) -> TaskInfo:
    """A row as ``list_tasks`` answers it, read. Raises WireError."""
    message, result, score, expired, crashes, parked_at = row
    m = decode_task(message)
    return TaskInfo(
        id=m.id,
        queue=m.queue,
        type=m.type,
        payload=m.payload,
        state=state,
        max_retry=m.retry,
        retried=m.retried,
        last_error=m.error_msg,
        last_failed_at=_moment(m.last_failed_at),
        timeout=_duration(m.timeout),
        deadline=_moment(m.deadline),
        group=m.group_key,
        next_process_at=_next_start(state, score, now_ms),
        retention=_duration(m.retention),
        completed_at=_moment(m.completed_at),
        result=result or None,
        headers=m.headers,
        orphaned=bool(expired) and state is State.ACTIVE,
        crashes=int(crashes),
        parked_since=_moment(int(parked_at)),
    )


def _moment(seconds: float) -> datetime | None:
    """None for 0 (never), and for what a foreign producer wrote beyond Python's calendar."""
    return _guarded(lambda: _EPOCH + timedelta(seconds=seconds)) if seconds else None


def _duration(seconds: int) -> timedelta:
    return _guarded(lambda: timedelta(seconds=seconds)) or timedelta(0)


def _guarded(make: Callable[[], timedelta | datetime]) -> Any:
    try:
        return make()
    except OverflowError:
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
