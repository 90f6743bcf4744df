"""Cron firing: two schedulers that do not know each other, and a worker that ends the tasks in between.

``missed="all"``: whoever comes late makes up for every instant that nobody fired.

Invariants:

- Of each instant one task is enqueued at most, even when that of the first call has been run and is gone.
- No instant is fired before it is due.
- In the end, when a scheduler runs, every instant after the entry's first anchor was fired.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hustlex.core.op import Batch, Call, Op, do
from hustlex.errors import Error
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.ops import register
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import ops as lease_ops
from hustlex.jobs.schedule import firing, periodic
from hustlex.worker.periodic.entry import Entry
from tests.explore.engine import Mutation, Protocol, argument
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

QUEUE = queue_keys("explored")
DAY = "2026-01-01"
PERIOD_MS = 60_000
ENTRY = periodic.define("nightly", "@every 60s", Job("explored:nightly", b"{}", {"queue": QUEUE.name}), missed="all")


@dataclass
class Calendar:
    """since: the first anchor. fired: by task id, how often the server enqueued it."""

    since: int = -1
    fired: dict[str, int] = field(default_factory=dict)


class Cron(Protocol):
    name = "cron"
    ticks = (PERIOD_MS,)
    short = (Bounds(0, 1), Bounds(1, 1, cast=("scheduler A", "worker")))
    long = (
        Bounds(0, 2),
        Bounds(1, 2, cast=("scheduler A", "scheduler B")),
        Bounds(2, 2, cast=("scheduler A", "worker")),
    )

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation(
                "fires-again",
                firing._FIRE,
                (("if tonumber(redis.call('GET', fired) or 0) >= tonumber(instant_ms) then return {0} end", ""),),
            ),
            Mutation(
                "forgets-the-instant", firing._FIRE, (("redis.call('SET', fired, instant_ms, 'EX', life_s)", ""),)
            ),
            Mutation("begins-anew", firing._ANCHOR, (("'NX', ", ""),)),
        )

    def ledger(self) -> Calendar:
        return Calendar()

    def setup(self, world: World) -> Story:
        """Nothing: the entry is new."""
        yield from ()

    def actors(self, world: World) -> None:
        world.add("scheduler A", _schedule(world))
        world.add("scheduler B", _schedule(world))
        world.add("worker", _work("w"))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        calendar: Calendar = world.ledger
        if op.name == "jobs.anchor" and calendar.since < 0:
            calendar.since = world.now_ms
        if op.name == "jobs.fire" and reply[0] == 1:
            task_id, instant = str(argument(op, "id")), int(argument(op, "instant_ms"))
            if instant > world.now_ms:
                raise Broken(f"{task_id} was fired before its time")
            calendar.fired[task_id] = calendar.fired.get(task_id, 0) + 1
            if calendar.fired[task_id] > 1:
                raise Broken(f"{task_id} was enqueued {calendar.fired[task_id]} times")

    def closing(self, world: World) -> Story:
        """A scheduler without faults, a while later."""
        yield PERIOD_MS  # type: ignore[misc]
        yield from _schedule(world, passes=1)

    def final(self, world: World, look: Look) -> None:
        calendar: Calendar = world.ledger
        due = ENTRY.passed(calendar.since, world.now_ms, 100) if calendar.since >= 0 else []
        missing = [made for each in due if (made := ENTRY.at(each).id) not in calendar.fired]
        if missing:
            raise Broken(f"{missing} was never fired")


def _schedule(world: World, passes: int = 2) -> Story:
    """What the dispatcher does at each pass: find its place, fire what is due; what failed is put back."""
    entry = Entry(ENTRY)
    for _ in range(passes):
        now_ms = yield Call(lambda: world.now_ms)
        if not entry.anchored:
            try:
                last_ms = yield from do(entry.anchor(now_ms, 0))
            except Error:
                continue
            entry.begin(last_ms, now_ms)
            now_ms = yield Call(lambda: world.now_ms)
        while entry.due(now_ms):
            answers = yield Batch((register(entry.queue), entry.fire(now_ms, 0)[1]))
            if isinstance(answers[1], Error):
                entry.put_back()
                break
            entry.fired()


def _work(server: str) -> Story:
    """Lease one task and end it."""
    with suppress(Error):
        cycle = yield from do(lease_ops.cycle(QUEUE, DAY, f"{server}:1", 1, (), 0))
        for task_id in cycle.leased[::2]:
            yield from do(finish.done(QUEUE, DAY, [task_id.decode(), f"{server}:1", ""], 0))
