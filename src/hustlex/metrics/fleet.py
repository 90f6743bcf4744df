"""What all processes together make of the queues and servers: asked of Redis when somebody scrapes, by one exporter.

A gauge of the whole system that every replica told could not be summed. What is asked is bounded: 200 queues, a
constant cost for each, once in five seconds however many scrape; of the others, which are judged and not told, a call
for each hundred; the doctor's brief check once a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import Effect, Op, command
from hustlex.errors import Error
from hustlex.jobs.inspect import ops
from hustlex.jobs.keys import parked, queue_keys
from hustlex.metrics.board import Figures
from hustlex.metrics.declared import METRICS
from hustlex.metrics.judged import AttentionGauges, DoctorGauges
from hustlex.metrics.text import exposition

if TYPE_CHECKING:
    from hustlex.app import HustleX
    from hustlex.jobs import QueueSummary, Server

_MOST_QUEUES = METRICS["hustlex_queue_tasks"].labels["queue"]
_SOON_S = 60
_STATES = ("pending", "active", "scheduled", "retry", "archived", "completed")


class QueueScale(msgspec.Struct, frozen=True):
    """What a queue's workers are scaled by."""

    queue: str
    work: int
    """Pending, active, and due within a minute."""
    wait_s: float
    """How long the next pending task has waited."""
    serving: int
    """Living worker processes that take from it."""


@answering
class FleetMetrics:
    """Of one front: ``text()`` for Prometheus, ``scale(queue)`` for an autoscaler. Run it in one place: ``hustlex
    exporter``.

    ttl: for how long an answer is good for who asks next.
    """

    def __init__(self, front: HustleX, *, ttl: timedelta = timedelta(seconds=5)) -> None:
        """Raises Misuse."""
        check.protocol("front", front, "driver", "cache_driver", hint="pass the HustleX")
        self._front = front
        self._ttl_s = check.duration("ttl", ttl).total_seconds()
        self._figures: Figures = {}
        self._until = float("-inf")
        self._alone = asyncio.Lock()
        self._doctor, self._attention = DoctorGauges(front), AttentionGauges(front)

    async def text(self) -> bytes:
        """All of it, in Prometheus' text format. Never raises for a server that does not answer: it tells that."""
        return exposition(await self._current())

    async def scale(self, queue: str) -> QueueScale:
        """Of one queue, also of one that has had no task yet. Raises Unavailable."""
        name = check.identity("queue", queue)
        figures = await self._current()
        if ("hustlex_queue_work", (name,)) not in figures:
            figures = await self._look([name])

        def of(metric: str) -> float:
            return figures.get((f"hustlex_queue_{metric}", (name,)), [0.0])[0]

        return QueueScale(name, int(of("work")), of("wait_seconds"), int(of("serving_workers")))

    async def _current(self) -> Figures:
        async with self._alone:
            if time.monotonic() >= self._until:
                self._figures = await self._look(None)
                self._until = time.monotonic() + self._ttl_s
            return self._figures

    async def _look(self, queues: Sequence[str] | None) -> Figures:
        """queues: None = all, and the servers too. Raises Unavailable for named ones."""
        figures: Figures = {}
        try:
            await self._queues(figures, queues)
        except Error:
            if queues is not None:
                raise
            figures["hustlex_scrape_errors", ("queues",)] = [1.0]
        if queues is None:
            await self._servers(figures)
            if figures["hustlex_redis_up", ("state",)] == [1.0]:
                await self._doctor.tell(figures)
        return figures

    async def _queues(self, figures: Figures, queues: Sequence[str] | None) -> None:
        names = await self._front.jobs.inspector.queues() if queues is None else list(queues)
        shown = names[:_MOST_QUEUES]
        # A call for each, in one write: one that cannot be read must not hide the others.
        answers = await self._front.driver.run_many([ops.summaries([name], 0) for name in shown])
        summaries = [answer[0] for answer in answers if not isinstance(answer, Error)]
        soon, late, workers = {}, {}, await self._front.jobs.inspector.servers(running_of=())
        waiting = [summary.name for summary in summaries if summary.scheduled or summary.retry]
        found = await self._front.driver.run_many([op for name in waiting for op in _due(name, time.time())])
        for position, name in enumerate(waiting):
            counts, oldest = found[4 * position : 4 * position + 2], found[4 * position + 2 : 4 * position + 4]
            soon[name] = sum(int(each) for each in counts if not isinstance(each, Error))
            late[name] = max((float(each) for each in oldest if not isinstance(each, Error)), default=0.0)
        unread = await self._front.driver.run_many([_quarantined(summary.name) for summary in summaries])
        for summary, unreadable in zip(summaries, unread, strict=True):
            name = summary.name
            if not isinstance(unreadable, Error):
                figures["hustlex_queue_quarantined", (name,)] = [unreadable]
            _tell(figures, summary, soon.get(name, 0), late.get(name, 0.0), _serving(workers, name))
        if len(summaries) < len(answers):
            figures["hustlex_scrape_errors", ("queue",)] = [float(len(answers) - len(summaries))]
        figures["hustlex_queues_left_out", ()] = [float(len(names) - len(shown))]
        if queues is None:
            others = await self._others(figures, names[_MOST_QUEUES:])
            await self._attention.tell(figures, [*summaries, *others], workers)
        for worker in workers:
            series = "hustlex_workers", ("go" if worker.served is None else "python", worker.status)
            figures[series] = [figures.get(series, [0.0])[0] + 1.0]

    async def _others(self, figures: Figures, names: Sequence[str]) -> list[QueueSummary]:
        """Of queues over the bound: what needs attention may be there. One that cannot be read hides these."""
        try:
            return await self._front.jobs.inspector.summaries(names) if names else []
        except Error:
            figures["hustlex_scrape_errors", ("others",)] = [1.0]
            return []

    async def _servers(self, figures: Figures) -> None:
        roles = ["state"] if self._front.cache_driver is self._front.driver else ["state", "cache"]
        for role in roles:
            try:
                nodes = await self._front.diagnostics.servers(role=role)
            except Error as error:
                figures["hustlex_redis_up", (role,)] = [float(type(error).__name__ == "Denied")]
                figures["hustlex_scrape_errors", (f"redis_{role}",)] = [1.0]
                continue
            ratios = [node.memory_bytes / node.limit_bytes for node in nodes if node.limit_bytes]
            figures["hustlex_redis_up", (role,)] = [1.0]
            figures["hustlex_redis_clients", (role,)] = [float(sum(node.clients for node in nodes))]
            figures["hustlex_redis_evicted_total", (role,)] = [float(sum(node.evicted for node in nodes))]
            silent = [
                each.silent.total_seconds() for node in nodes for each in node.replication if each.silent is not None
            ]
            if silent:
                figures["hustlex_redis_replica_silent_seconds", (role,)] = [max(silent)]
            if ratios:
                figures["hustlex_redis_memory_ratio", (role,)] = [max(ratios)]


def _serving(workers: Iterable[Server], queue: str) -> int:
    return sum(queue in worker.queues and worker.status == "active" for worker in workers)


def _quarantined(queue: str) -> Op[float]:
    key = parked(queue_keys(queue))
    return command("jobs.quarantined", Effect.READ, "HLEN", key, keys=(key,), decode=float)


def _due(queue: str, now: float) -> list[Op[float]]:
    """How many are due within a minute, and how late the first is: of the scheduled ones and those to be retried."""
    keys = queue_keys(queue)
    places = keys.scheduled, keys.retry

    def late(reply: Any) -> float:
        if not reply:
            return 0.0
        score = reply[0][1] if isinstance(reply[0], list | tuple) else reply[1]
        return max(0.0, now - float(score))

    counts = [
        command("jobs.due", Effect.READ, "ZCOUNT", key, "-inf", int(now) + _SOON_S, keys=(key,), decode=float)
        for key in places
    ]
    first = [
        command("jobs.first_due", Effect.READ, "ZRANGE", key, 0, 0, "WITHSCORES", keys=(key,), decode=late)
        for key in places
    ]
    return [*counts, *first]


def _tell(figures: Figures, summary: QueueSummary, soon: int, late_s: float, serving: int) -> None:
    queue = (summary.name,)
    for state in _STATES:
        figures["hustlex_queue_tasks", (summary.name, state)] = [float(getattr(summary, state))]
    values = {
        "groups": summary.groups,
        "wait_seconds": summary.latency.total_seconds(),
        "overdue_seconds": late_s,
        "work": summary.pending + summary.active + soon,
        "paused": summary.paused,
        "serving_workers": serving,
        "orphans": summary.orphans,
        "ended_total": summary.processed,
        "failed_total": summary.failed,
    }
    if summary.limit is not None:
        values["limit"] = summary.limit
    for name, value in values.items():
        figures[f"hustlex_queue_{name}", queue] = [float(value)]
