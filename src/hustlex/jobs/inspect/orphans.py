"""Tasks that will not run as things are: no worker serves their queue, or who took them does not know their type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hustlex.core.op import Batch, Effect, Flow, Op, command, do
from hustlex.errors import Error
from hustlex.jobs import lookup
from hustlex.jobs.inspect import flows as inspection
from hustlex.jobs.inspect import ops as inspect
from hustlex.jobs.inspect.types import QueueSummary, Server, TaskInfo
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.types import State

MOST_QUEUES = 200
_LOOK = 100
_GLANCED = 3
_UNKNOWN = "handler not found for task "
"""How the error of a task begins whose type the worker did not know, Go's too."""


class Orphans(msgspec.Struct, frozen=True):
    """What nobody will run."""

    queues: dict[str, int]
    """How many tasks wait to run, by queue that no living worker serves."""
    types: dict[str, tuple[str, ...]]
    """Queues where tasks of this type wait and no living worker has a handler for it, or were put off or failed because
    a worker did not know it and none is known to do so now."""
    unsure: dict[str, tuple[str, ...]]
    """Queues where tasks of this type wait, and workers serve that do not tell what they have handlers for (Go's)."""
    looked: int
    """At how many queues."""
    known: int
    """Of how many."""


def find(now_ms: int) -> Flow[Orphans]:
    """Look at 200 queues at most, and at the 100 tasks of each that start, are due or are tried again next."""
    known = yield from do(lookup.queues())
    looked = known[:MOST_QUEUES]
    servers = yield from inspection.servers(now_ms, ())
    served = {queue for server in servers for queue in server.queues}
    counts = yield from _counts([queue for queue in looked if queue not in served])
    types, unsure = yield from _types(looked, servers, now_ms)
    return Orphans({queue: count for queue, count in counts.items() if count}, types, unsure, len(looked), len(known))


def glance(summaries: Sequence[QueueSummary], now_ms: int) -> Flow[Orphans]:
    """The same of all queues, from what is known of them; task types in the three that have most to do."""
    servers = yield from inspection.servers(now_ms, ())
    served = {queue for server in servers for queue in server.queues}
    waiting = {each.name: each.unfinished - each.active for each in summaries}
    worst = sorted((each for each in summaries if waiting[each.name]), key=lambda each: -waiting[each.name])[:_GLANCED]
    types, unsure = yield from _types([each.name for each in worst], servers, now_ms)
    alone = {name: count for name, count in waiting.items() if count and name not in served}
    return Orphans(alone, types, unsure, len(summaries), len(summaries))


Types = dict[str, tuple[str, ...]]


def _types(queues: list[str], servers: list[Server], now_ms: int) -> Flow[tuple[Types, Types]]:
    """Of tasks that nobody serves, and of those that are not known to be served, with their queues."""
    found: dict[str, dict[str, set[str]]] = {"types": {}, "unsure": {}}
    for queue, tasks in (yield from _next(queues, now_ms)).items():
        for task in tasks:
            if kind := _doubt(task, [server for server in servers if queue in server.queues]):
                found[kind].setdefault(task.type, set()).add(queue)
    types, unsure = ({name: tuple(sorted(queues)) for name, queues in sorted(each.items())} for each in found.values())
    return types, unsure


def _doubt(task: TaskInfo, servers: list[Server]) -> str:
    """``types`` for one that nobody serves, ``unsure``, or nothing. Workers that do not tell may well serve it."""
    answers = {None if server.served is None else server.served.serves(task.type) for server in servers}
    if True in answers:
        return ""
    if task.parked_since is not None or task.last_error.startswith(_UNKNOWN) or answers == {False}:
        return "types"
    return "unsure" if answers else ""


def _counts(queues: list[str]) -> Flow[dict[str, int]]:
    keys = [queue_keys(queue) for queue in queues]
    lists = yield from _answers(_size("LLEN", q.pending) for q in keys)
    later = yield from _answers(_size("ZCARD", key) for q in keys for key in (q.scheduled, q.retry))
    found = zip(queues, lists, later[::2], later[1::2], strict=True)
    return {queue: sum(size or 0 for size in sizes) for queue, *sizes in found}


def _next(queues: list[str], now_ms: int) -> Flow[dict[str, list[TaskInfo]]]:
    states = (State.PENDING, State.SCHEDULED, State.RETRY)
    pages = yield from _answers(inspect.tasks(queue, state, _LOOK, "", now_ms) for queue in queues for state in states)
    found: dict[str, list[TaskInfo]] = {}
    for number, page in enumerate(pages):
        found.setdefault(queues[number // len(states)], []).extend(page or [])
    return found


def _size(verb: str, key: str) -> Op[int]:
    return command("jobs.size", Effect.READ, verb, key, keys=(key,), decode=int)


def _answers(ops: Iterable[Op[Any]]) -> Flow[list[Any]]:
    """None for a key of another type, or that we may not read."""
    batch = Batch(tuple(ops))
    answers: list[Any] = (yield batch) if batch.ops else []
    return [None if isinstance(answer, Error) else answer for answer in answers]
