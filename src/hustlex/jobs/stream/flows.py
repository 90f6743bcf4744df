"""Waiting for the end of a job. Following it while it runs is in ``subscription``."""

from __future__ import annotations

from time import monotonic
from typing import Any

from hustlex.core.op import Batch, Flow, Sleep, do
from hustlex.errors import Closed, Denied, Error, Refused, Unavailable
from hustlex.jobs import lookup
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE
from hustlex.jobs.stream import ops
from hustlex.jobs.stream.items import ENDS, error_in, read
from hustlex.jobs.stream.ops import Glance
from hustlex.jobs.stream.types import Ending, Failed, Gone, Item, NotYet, Result, StateChange, Succeeded
from hustlex.jobs.types import State

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.5


def wait(queue: str | None, task_id: str, timeout_s: float) -> Flow[Ending[bytes | None]]:
    """Look until the job has ended: soon at first, then twice a second. Meanwhile the task is marked as awaited.

    A server that is away is waited for as well; raises what the last look failed with when the time is up.
    """
    waited, pause_s, marked = 0.0, _FIRST_PAUSE_S, False
    while True:
        began = monotonic()
        try:
            queue = (yield from _home(task_id)) if queue is None else queue
            ending = _ending((yield from do(ops.glance(queue, task_id, ops.LAST))))
            if not isinstance(ending, NotYet) or waited >= timeout_s:
                return ending
            marked = marked or (yield from do(ops.await_end(queue, task_id)))
        except (Unavailable, Refused) as failure:  # one that starts refuses while it reads its data
            waited += monotonic() - began
            if waited >= timeout_s or isinstance(failure, Closed | Denied):
                raise
        pause_s = min(pause_s, timeout_s - waited)
        yield Sleep(pause_s)
        waited += pause_s
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def _home(task_id: str) -> Flow[str]:
    """The first queue that knows a task."""
    if not isinstance(_ending((yield from do(ops.glance(DEFAULT_QUEUE, task_id, ops.LAST)))), Gone):
        return DEFAULT_QUEUE
    queues = yield from do(lookup.queues())
    looks = yield Batch(tuple(ops.glance(queue, task_id, ops.LAST) for queue in queues))
    for queue, look in zip(queues, looks, strict=True):
        if isinstance(look, Error):
            raise look
        if not isinstance(_ending(look), Gone):
            return queue
    return DEFAULT_QUEUE


def _ending(seen: Glance) -> Ending[bytes | None]:
    if seen.state is State.COMPLETED:
        return Succeeded(seen.result or None)
    if seen.state is State.ARCHIVED:
        return Failed(error_in(seen.message))
    if seen.state is not None or seen.phase == "waits":
        return NotYet(seen.state)
    if seen.phase == "broken":
        return Failed(seen.why)
    return _remembered([item for entry in seen.items if (item := read(entry)) is not None])


def _remembered(backwards: list[Item]) -> Ending[bytes | None]:
    """What its stream tells of a job that is not kept."""
    last: Any = next((item for item in backwards if isinstance(item, StateChange)), None)
    if last is None or last.state not in ENDS:
        return Gone()
    if last.state is State.ARCHIVED:
        return Failed("")
    return Succeeded(next((item.data for item in backwards if isinstance(item, Result)), None))
