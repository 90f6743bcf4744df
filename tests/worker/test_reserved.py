"""Slots that belong to a queue, and queues that may not use all: on a running worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from hustlex.errors import Misuse
from hustlex.jobs import Jobs, Limits, Rate, Tasks
from hustlex.jobs.keys import queue_keys
from hustlex.worker import Reserved
from hustlex.worker.limits import allocation
from tests.worker.support import Running, message, put, until

Start = Callable[..., Awaitable[Running]]


class Gauge:
    """How many run of each queue, and the most there ever were. Handlers wait until ``open`` is set."""

    def __init__(self, tasks: Tasks) -> None:
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.open = asyncio.Event()

        @tasks.task("hold")
        async def hold(queue: str) -> None:
            self.running[queue] += 1
            self.most[queue] = max(self.most[queue], self.running[queue])
            try:
                await self.open.wait()
            finally:
                self.running[queue] -= 1
                self.ended[queue] += 1

        self.hold = hold

    async def enqueue(self, jobs: Jobs, queue: str, count: int) -> None:
        await jobs.enqueue_many([self.hold.job(queue).with_options(queue=queue) for _ in range(count)])


async def test_a_flooded_queue_leaves_reserved_slots_alone(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    gauge = Gauge(tasks)
    await gauge.enqueue(jobs, "low", 50)
    await start(queues={"critical": Reserved(6), "default": Reserved(3), "low": Reserved(1)}, concurrency=12)
    await until(lambda: gauge.running["low"] == 3)  # its own, and the two that nobody reserved
    await gauge.enqueue(jobs, "critical", 50)
    await until(lambda: gauge.running["critical"] == 6)
    await gauge.enqueue(jobs, "default", 50)
    await until(lambda: gauge.running["default"] == 3)
    assert gauge.running == {"critical": 6, "default": 3, "low": 3}
    gauge.open.set()
    await until(lambda: gauge.ended == {"critical": 50, "default": 50, "low": 50})


async def test_a_reservation_holds_while_tasks_come_and_go(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    """Short tasks, so that slots change hands all the time; the reserved ones never do."""
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    ended = 0

    @tasks.task("short")
    async def short(queue: str) -> None:
        nonlocal ended
        running[queue] += 1
        most[queue] = max(most[queue], running[queue])
        await asyncio.sleep(0.001)
        running[queue] -= 1
        ended += 1

    names = ("critical", "default", "low")
    await jobs.enqueue_many([short.job(name).with_options(queue=name) for name in names for _ in range(300)])
    await start(queues={"critical": Reserved(4), "default": Reserved(2), "low": 1}, concurrency=8)
    await until(lambda: ended == 900)
    assert most["critical"] <= 6 and most["default"] <= 4 and most["low"] <= 2
    assert min(most["critical"], 4) == 4 and min(most["default"], 2) == 2


async def test_the_rest_is_shared_by_weight(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    gauge = Gauge(tasks)
    for name in ("critical", "default", "low"):
        await gauge.enqueue(jobs, name, 400)
    await start(queues={"critical": Reserved(10, weight=1), "default": 8, "low": 1}, concurrency=210)
    await until(lambda: gauge.running.total() == 210)
    assert 10 <= gauge.running["critical"] <= 60  # 10 and about a tenth of 200
    assert 120 <= gauge.running["default"] <= 195
    gauge.open.set()


async def test_a_queue_may_be_kept_from_using_all_slots(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    gauge = Gauge(tasks)
    await gauge.enqueue(jobs, "mail", 20)
    await start(queues={"mail": 9, "default": 1}, limits={"mail": Limits(max_per_worker=3)}, concurrency=10)
    await until(lambda: gauge.running["mail"] == 3)
    await gauge.enqueue(jobs, "default", 20)
    await until(lambda: gauge.running == {"mail": 3, "default": 7})
    gauge.open.set()
    await until(lambda: gauge.ended == {"mail": 20, "default": 20})
    assert gauge.most["mail"] == 3


async def test_strict_order_goes_on_above_the_reservations(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    gauge = Gauge(tasks)
    for name in ("high", "low"):
        await gauge.enqueue(jobs, name, 40)
    await start(queues={"high": 5, "low": Reserved(2, weight=1)}, strict=True, concurrency=10)
    await until(lambda: gauge.running == {"high": 8, "low": 2})
    gauge.open.set()
    await until(lambda: gauge.ended.total() == 80)


@pytest.mark.parametrize(
    "options",
    [
        {"queues": {"a": Reserved(6), "b": Reserved(5)}, "concurrency": 10},
        {"queues": {"a": 0}},
        {"queues": {}},
        {"queues": {"a": 1}, "limits": {"b": Limits(max_concurrency=1)}},
        {"queues": {"a": 1}, "limits": {"a": Limits(max_concurrency=1, key="x")}},
        {"concurrency": 0},
    ],
)
async def test_what_cannot_work_is_refused(start: Start, options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        await start(**options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reserved(0),
        lambda: Reserved(1, weight=-1),
        lambda: Limits(max_concurrency=1001),
        lambda: Limits(max_per_worker=-1),
        lambda: Rate(0),
    ],
)
def test_impossible_shares_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(Misuse):
        make()


class Crowd:
    """As much of the runners as the slots look at."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: list[Any] = []
        self.backlog: list[Any] = []


class Held:
    def __init__(self, source: allocation.QueueState) -> None:
        self.queue = source


@given(
    reserved=st.lists(st.integers(0, 4), min_size=2, max_size=4),
    extra=st.integers(1, 8),
    moves=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.randoms(use_true_random=False)), max_size=60),
)
def test_nobody_ever_takes_a_slot_that_another_reserved(
    reserved: list[int], extra: int, moves: list[tuple[bool, int, Any]]
) -> None:
    """Whatever queues are awake and whatever ends, every queue can have its reserved slots at once."""
    queues = {f"q{n}": Reserved(slots) if slots else 1 for n, slots in enumerate(reserved)}
    sources = allocation.queues_of(queues, {})
    crowd = Crowd(sum(reserved) + extra)
    slots = allocation.Slots(sources, crowd, strict=False)  # type: ignore[arg-type]
    for lease, which, random in moves:
        free = crowd.limit - len(crowd.waiting)
        if lease and free:
            awake = random.sample(sources, random.randint(1, len(sources)))
            shares = slots.split(awake, free)
            assert shares.keys() <= set(awake) and sum(shares.values()) <= free
            crowd.waiting += [Held(source) for source, count in shares.items() for _ in range(count)]
        elif crowd.waiting:
            crowd.waiting.pop(which % len(crowd.waiting))
        used = Counter(job.queue for job in crowd.waiting)
        owed = sum(max(0, source.reserved - used[source]) for source in sources)
        assert crowd.limit - len(crowd.waiting) >= owed


def test_plain_workers_draw_as_before() -> None:
    crowd = Crowd(10)
    queues = allocation.queues_of({"a": 2, "b": 1}, {"a": Limits(rate=Rate(5))})
    slots = allocation.Slots(queues, crowd, strict=False)  # type: ignore[arg-type]
    assert slots.plain and slots.open
    assert slots._draw is allocation.weighted
    ranked = allocation.Slots(queues, crowd, strict=True)  # type: ignore[arg-type]
    assert ranked.plain and not ranked.open
    assert ranked._draw is allocation.by_rank


@pytest.mark.parametrize("queue", ["odd name", "a}b", "mail{1}", "Überweisung", "x" * 300])
async def test_a_queue_that_a_peer_named_as_we_would_not_is_served(
    start: Callable[..., Awaitable[Running]], tasks: Tasks, raw: redis.Redis, queue: str
) -> None:
    """Read, run and acknowledged; not written by us."""
    ran = asyncio.Event()

    @tasks.task("a:1")
    async def run() -> None:
        ran.set()

    put(raw, message("peer", queue=queue, payload=None))
    await start(queues={queue: 1})
    await ran.wait()
    await until(lambda: raw.get(queue_keys(queue).processed) == b"1")
    assert not raw.exists(queue_keys(queue).task("peer"))
