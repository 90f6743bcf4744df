"""One step of a search: a script looks at some tasks of one place, and answers those that may be what is sought."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Op, Reply
from hustlex.jobs.inspect.ops import task_info
from hustlex.jobs.inspect.types import TaskInfo
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.search import marks
from hustlex.jobs.search.marks import Mark, anchored
from hustlex.jobs.search.match import Placed, Subject, View
from hustlex.jobs.search.plan import SearchPlan, TaskPlace
from hustlex.jobs.types import State
from hustlex.jobs.wire import WireError

_SIEVE = load("hustlex.jobs", "search/sieve")
_ROW = 12
"""Values per task in the script's answer."""
_NANOSECONDS = 1e9


class Candidate(msgspec.Struct, frozen=True):
    """A task that came through the sieve. mark: to go on behind it."""

    subject: Subject
    mark: Mark | None
    bytes: int


class Slice(msgspec.Struct, frozen=True):
    """What one step saw. mark: behind the last that was looked at, None when none was. ended: nothing is left there."""

    candidates: list[Candidate]
    looked_at: int
    ended: bool
    mark: Mark | None


def sieve(
    plan: SearchPlan,
    queue: str,
    place: TaskPlace,
    mark: Mark | None,
    count: int,
    size: int,
    view: View | None,
    now_ms: int,
) -> Op[Slice]:
    """Look at up to ``count`` tasks behind a mark. size: bytes of answers after which it stops."""
    q = queue_keys(queue)
    behind: tuple[Arg, ...] = ()
    if mark is not None:
        behind = (mark.word, *mark.ids[:1]) if place.kind in ("rising", "falling") else (mark.word,)
        behind = (mark.at, mark.word, *mark.ids) if place.kind == "list" else behind
    return _SIEVE.op(
        (place.key(q), q.lease),
        (*_fixed(plan, q.task_prefix, place, count, size, now_ms), *behind),
        partial(_slice, queue, place, mark, view),
    )


def named(plan: SearchPlan, queue: str, view: View | None, now_ms: int) -> Op[Slice]:
    """Look at the tasks of these ids, wherever they are."""
    q = queue_keys(queue)
    ids = plan.ids or ()
    anywhere = TaskPlace(State.PENDING, "", "named", -1.0, 1.0)
    fixed = _fixed(plan, q.task_prefix, anywhere, len(ids), 2**40, now_ms)
    return _SIEVE.op((q.pending, q.lease), (*fixed, *ids), partial(_slice, queue, anywhere, None, view))


def _fixed(plan: SearchPlan, tasks: str, place: TaskPlace, count: int, size: int, now_ms: int) -> tuple[Arg, ...]:
    bounds = (f"{place.low:.17g}", f"{place.high:.17g}")
    counts = (count, size, int(plan.results), int(plan.fold), len(plan.needles))
    return (now_ms, tasks, place.kind, *bounds, *counts, *plan.needles)


def _slice(queue: str, place: TaskPlace, mark: Mark | None, view: View | None, reply: Reply) -> Slice:
    _, now_ms, looked_at, ended, first, last, *values = reply
    before = mark.ids if mark else ()
    found, seen = list[Candidate](), list[bytes]()
    for n in range(0, len(values), _ROW):
        row = values[n : n + _ROW]
        seen.insert(0, row[1])
        there = _mark(place, first + int(row[0]) - 1, row[6], row[9], seen, before)
        found.append(Candidate(_subject(queue, place, row, view, now_ms), there, 100 + len(row[4]) + len(row[5])))
    end = _mark(place, first + looked_at - 1, last[0], last[1], last[2:], before) if looked_at else mark
    return Slice(found, int(looked_at), bool(ended), end)


def _mark(place: TaskPlace, at: int, score: bytes, since: bytes, ids: list[bytes], before: tuple[bytes, ...]) -> Mark:
    """To go on behind the task whose id is the first of these."""
    if place.kind == "list":
        return Mark(at, marks.since(since), anchored(ids, before))
    if place.kind == "hands":
        return Mark(0, hashlib.sha1(ids[0], usedforsecurity=False).hexdigest().encode(), (ids[0],))
    return Mark(0, score, (ids[0],))


def _subject(queue: str, place: TaskPlace, row: list[Any], view: View | None, now_ms: int) -> Subject:
    _, name, size, _, message, result, score, expired, crashes, since, unique, parked_at = row
    state = _state(row, place)
    task_id = name.decode("utf-8", "replace")
    in_list = state in (State.PENDING, State.ACTIVE)
    placed = Placed(
        queue=queue,
        id=task_id,
        state=state,
        score=0.0 if in_list else _number(score),
        since=_number(since) / _NANOSECONDS if since and state is State.PENDING else None,
        orphaned=bool(expired) and state is State.ACTIVE,
        unique=bool(unique),
        parked=parked_at != b"0",
        crashes=int(_number(crashes)),
        size=int(size),
    )
    try:
        info = task_info(state, [message, result, score, expired, crashes, parked_at], now_ms)
    except (WireError, ValueError, OverflowError):  # whatever another producer wrote
        return Subject(placed, None, view)
    # What a message says of its place is its writer's word.
    named: TaskInfo | None = msgspec.structs.replace(info, id=task_id, queue=queue) if message else None
    return Subject(placed, named, view)


def _state(row: list[Any], place: TaskPlace) -> State:
    """Where it is; pending, as Asynq reads it, for a word that nobody knows."""
    if place.kind != "named":
        return place.state
    word = row[3].decode("utf-8", "replace")
    return State(word) if word in tuple(State) else State.PENDING


def _number(raw: bytes) -> float:
    try:
        return float(raw)
    except ValueError:
        return 0.0
