"""The walk of a search: place by place, in bounded steps, until a page is full or enough was looked at."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from hustlex.core.cursor import sealed
from hustlex.core.op import Flow, do
from hustlex.jobs.inspect import ops as inspect
from hustlex.jobs.inspect.types import QueueSummary, TaskInfo
from hustlex.jobs.search import ops
from hustlex.jobs.search.marks import Mark, Stop, about, opened
from hustlex.jobs.search.match import View, matches
from hustlex.jobs.search.ops import Candidate
from hustlex.jobs.search.plan import SearchPlan, TaskPlace, plan
from hustlex.jobs.search.query import Query, whole
from hustlex.jobs.search.resolve import all_of, calls_of, resolved
from hustlex.jobs.search.types import FoundTasks, UnreadTask

_AT_ONCE = 100
"""Tasks that one call of the script looks at: other clients of the server wait while it runs."""
_SUMMARIES = 8
MOST_FOUND = 500


class Budget(msgspec.Struct):
    """What one page may cost. Counted down."""

    looks: int = 2_000
    calls: int = 40
    bytes: int = 96 * 1024
    size: int = 50

    @property
    def spent(self) -> bool:
        """Whether the page ends here."""
        return min(self.looks, self.calls, self.bytes, self.size) <= 0


class PageSoFar:
    """What was found so far."""

    def __init__(self, plan: SearchPlan, budget: Budget) -> None:
        self.plan = plan
        self.budget = budget
        self.looked_at = 0
        self._tasks: dict[tuple[str, str], TaskInfo] = {}
        self._unread: dict[tuple[str, str], UnreadTask] = {}

    def take(self, found: ops.Slice) -> Mark | None:
        """Keep what matches; answers where the page is full, None while it is not."""
        for candidate in found.candidates:
            self.budget.bytes -= candidate.bytes
            if matches(self.plan.query, candidate.subject):
                self._keep(candidate)
                if self.budget.size <= 0:
                    return candidate.mark
        return None

    def _keep(self, candidate: Candidate) -> None:
        """A task that moved meanwhile, and is met again, stands once on a page."""
        placed = candidate.subject.placed
        name = (placed.queue, placed.id)
        self.budget.size -= name not in self._tasks and name not in self._unread
        if candidate.subject.info is not None:
            self._tasks[name] = candidate.subject.info
        else:
            self._unread[name] = UnreadTask(placed.id, placed.queue, placed.state, placed.size)

    def ended(self, stop: Stop | None, queues_left: int) -> FoundTasks:
        """The page. stop: where the next one begins."""
        cursor = sealed(stop) if stop else ""
        return FoundTasks(
            tuple(self._tasks.values()), tuple(self._unread.values()), cursor, self.looked_at, queues_left
        )


def search(
    query: Query, names: Sequence[str], cursor: object, view: View | None, budget: Budget, now_ms: int
) -> Flow[FoundTasks]:
    """One page of it, in the queues of these names alone. Raises Misuse for a bad cursor."""
    budget.calls -= calls_of(query)
    query = yield from resolved(query, frozenset(names), now_ms)
    page = PageSoFar(plan(query), budget)
    stop = opened(cursor, query.text, [place.kind for place in page.plan.places])
    somewhere = page.plan.ids != () and (page.plan.places or page.plan.ids)
    queues = page.plan.queues(names) if somewhere else []
    start = bisect_left(queues, stop.queue) if stop else 0
    walk = _by_id if page.plan.ids is not None else _by_place
    where = yield from walk(page, queues[start:], stop, view, now_ms)
    if where is None:
        return page.ended(None, 0)
    left, place, mark = where
    behind = Stop(about(query.text), queues[start + left], place, mark)
    return page.ended(behind, len(queues) - start - left - 1)


Where = tuple[int, int, Mark | None] | None
"""Which queue of those given is next, which place in it, and behind what; None = all was looked at."""


def _by_id(page: PageSoFar, queues: Sequence[str], _: Stop | None, view: View | None, now_ms: int) -> Flow[Where]:
    most = page.budget.calls
    answers: list[Any] = yield from all_of([ops.named(page.plan, queue, view, now_ms) for queue in queues[:most]])
    for answer in answers:
        page.looked_at += answer.looked_at
        page.budget.size += len(answer.candidates)  # all of a handful of ids, whatever their number of queues
        page.take(answer)
    return (most, 0, None) if len(queues) > most else None


def _by_place(page: PageSoFar, queues: Sequence[str], stop: Stop | None, view: View | None, now_ms: int) -> Flow[Where]:
    summaries = dict[str, QueueSummary]()
    for n, queue in enumerate(queues):
        first, mark = (stop.place, stop.mark) if stop and stop.queue == queue else (0, None)
        if page.budget.spent:
            return n, first, mark
        if queue not in summaries:
            ahead = queues[n : n + min(_SUMMARIES, page.budget.calls)]
            page.budget.calls -= len(ahead)
            found: list[Any] = yield from all_of([inspect.summaries([name], now_ms) for name in ahead])
            summaries |= {each.name: each for [each] in found}
        for number, place in _places(page.plan, summaries[queue], first):
            here = yield from _in_place(page, queue, place, mark if number == first else None, view, now_ms)
            if here is not None:
                return n, number, here.mark
    return None


class Here(msgspec.Struct, frozen=True):
    """Where in a place a page ended."""

    mark: Mark | None


def _in_place(
    page: PageSoFar, queue: str, place: TaskPlace, mark: Mark | None, view: View | None, now_ms: int
) -> Flow[Here | None]:
    """Go through one place. None: to its end."""
    while not page.budget.spent:
        count = min(_AT_ONCE, page.budget.looks, page.budget.size if page.plan.broad else _AT_ONCE)
        found = yield from do(ops.sieve(page.plan, queue, place, mark, count, page.budget.bytes, view, now_ms))
        page.budget.calls -= 1
        page.budget.looks -= found.looked_at
        page.looked_at += found.looked_at
        full = page.take(found)
        if full is not None:
            return Here(full)
        mark = found.mark
        if found.ended:
            return None
    return Here(mark)


def _places(plan: SearchPlan, summary: QueueSummary, first: int) -> Iterator[tuple[int, TaskPlace]]:
    """Where something stands, from one on."""
    for number, place in enumerate(plan.places):
        if number >= first and (place.group or getattr(summary, place.state.value)):
            yield number, place


def asked(query: object, now_ms: int) -> Query:
    """A query as it is, or read from its text. Raises Misuse with its first fault."""
    return query if isinstance(query, Query) else whole(query, (now_ms or time.time() * 1000) / 1000)
