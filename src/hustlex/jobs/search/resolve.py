"""Terms whose tasks are known elsewhere: what a worker runs, what an entry fired, what failed with one signature. They
are looked up first, and stand in the query as what was found."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import replace

from hustlex.core.op import Batch, Flow, do
from hustlex.errors import Error
from hustlex.jobs.inspect import errors, fleet
from hustlex.jobs.inspect import flows as inspection
from hustlex.jobs.inspect.errors import MOST_LISTED, MOST_QUEUES, ErrorGroup
from hustlex.jobs.inspect.types import FoundEvents, Server
from hustlex.jobs.lease.record import MOST_GROUPS
from hustlex.jobs.schedule.periodic import entry_id
from hustlex.jobs.search.plan import in_queues
from hustlex.jobs.search.query import ErrorLike, Query, TaskName, Term, TextTest, error_like

MOST_IDS = 500
"""Of one term: a script looks at as many in 3 ms."""
_MOST_READ, _FIRST = 20, 4
"""Workers, entries or queues of one term, a call each, and the calls that say which these are."""


def resolved(query: Query, names: Collection[str], now_ms: int) -> Flow[Query]:
    """The same query; what stands elsewhere is read, of queues of these names alone."""
    terms, names = list[Term](), in_queues(query, names)
    for term in query.terms:
        read = _READ.get(term.field)
        terms.append(term if read is None else replace(term, values=(yield from read(term, names, now_ms))))
    return replace(query, terms=tuple(terms))


def calls_of(query: Query) -> int:
    """At most so many: of the page's."""
    return sum(_MOST_READ + _FIRST for term in query.terms if term.field in _READ)


def _of_workers(term: Term, names: Collection[str], now_ms: int) -> Flow[tuple[TaskName, ...]]:
    """What they run, as their last heartbeat told it. A worker is named by its id, its host, or host:pid."""
    living: list[Server] = yield from inspection.servers(now_ms, ())
    meant = sorted(server.id for server in living if _meant(term, server))[:_MOST_READ]
    found: list[Server] = (yield from inspection.servers(now_ms, meant)) if meant else []
    running = [TaskName(task.id, task.queue) for server in found for task in server.running if task.queue in names]
    return tuple(dict.fromkeys(running))[:MOST_IDS]


def _meant(term: Term, server: Server) -> bool:
    known = (server.id, server.host, f"{server.host}:{server.pid}")
    return any(isinstance(test, TextTest) and any(map(test.holds, known)) for test in term.values)


def _of_entries(term: Term, _: Collection[str], __: int) -> Flow[tuple[TaskName, ...]]:
    """The last tasks that periodic entries made: by name, or by the id that Asynq's tools show."""
    texts = [test.text for test in term.values if isinstance(test, TextTest)]
    ids = [name for text in texts for name in (entry_id(text), text)]
    answers: list[FoundEvents] = yield from all_of([fleet.events(name, "", MOST_IDS) for name in ids])
    fired = sorted((event for found in answers for event in found.events), key=lambda event: event.at, reverse=True)
    return tuple(dict.fromkeys(TaskName(event.task_id, None) for event in fired))[:MOST_IDS]


def _of_signatures(term: Term, names: Collection[str], now_ms: int) -> Flow[tuple[ErrorLike, ...]]:
    """What failures of these signatures have in common, in 20 queues: first those in which something failed last."""
    wanted = {test.text for test in term.values if isinstance(test, TextTest)}
    failing = [name for name in (yield from do(errors.failing(MOST_LISTED))) if name in names]
    queues = list(dict.fromkeys((*failing, *sorted(names))))[:MOST_QUEUES]
    answers = yield from all_of([errors.of_queue(name, MOST_GROUPS, now_ms) for name in queues])
    groups: list[ErrorGroup] = [group for found in answers for group in found if group.signature in wanted]
    return tuple(map(error_like, groups))


_READ = {"worker": _of_workers, "cron": _of_entries, "sig": _of_signatures}


def all_of(asked: Sequence[Any]) -> Flow[list[Any]]:
    """Their answers, in one write. Raises the first error among them."""
    answers: list[Any] = (yield Batch(tuple(asked))) if asked else []
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
    return answers
