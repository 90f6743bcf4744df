"""Makes one job of many grouped tasks, each task in exactly one batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from hustlex.core.faults import describe, loggable, words
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.errors import Error, Misuse
from hustlex.jobs import functions
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.enqueue.draft import Draft, draft
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.ops import register
from hustlex.jobs.group import ops as aggregation
from hustlex.jobs.group.aggregate import Aggregate, AggregateFunction, GroupedTask, longest
from hustlex.jobs.ids import new_id
from hustlex.jobs.wire import WireError, decode_task
from hustlex.worker.boundary import contained
from hustlex.worker.clock import WorkerClock
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import FOREVER, Service
from hustlex.worker.threads import Threads

_log = logger("hustlex.worker")

_LONGEST_S = 7.0
_AT_ONCE = 3
_MARGIN_S = 1.0
_PARTING_S = 1.0


class Aggregator(Service):
    """Works on the queues that ``plan`` names, as long as they have groups: a look at each every 7 s, or grace.

    working: what is in the making, by queue and group. rules: of the groups it looks after; other groups are left to
    others. At most three batches are in the making at once.
    """

    name = "aggregator"

    def __init__(self, driver: AsyncDriver, clock: WorkerClock, rules: Sequence[Aggregate]) -> None:
        super().__init__()
        self._driver = driver
        self._clock = clock
        self._rules = rules
        self._pause_s = min([_LONGEST_S, *(rule.grace.total_seconds() for rule in rules)])
        self._queues: set[QueueState] = set()
        self.working: dict[tuple[QueueState, str], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._threads = Threads(_AT_ONCE)

    def plan(self, queue: QueueState) -> None:
        """This queue has groups."""
        if self._rules and queue not in self._queues:
            self._queues.add(queue)
            self.wake()

    def ill(self) -> str:
        """Its threads may be lost, too."""
        return super().ill() or self._threads.trouble

    async def tick(self) -> float:
        """Look after every group that nobody here looks after already."""
        for queue in list(self._queues):
            names = await self._driver.run(aggregation.groups(queue.keys))
            if not names:
                self._queues.discard(queue)
            for group in names:
                rules = longest(self._rules, group)
                if rules is not None and (queue, group) not in self.working:
                    self._begin(queue, group, rules)
        return self._pause_s if self._queues else FOREVER

    def _begin(self, queue: QueueState, group: str, rules: Aggregate) -> None:
        task = asyncio.get_running_loop().create_task(self._look_after(queue, group, rules))
        self.working[queue, group] = task
        task.add_done_callback(lambda _: self.working.pop((queue, group)))

    async def idle(self) -> None:
        """Wait until no batch is in the making."""
        while self.working:
            await asyncio.wait(self.working.values())

    async def stop(self) -> None:
        """Give batches in the making a second; the tasks of those that take longer go back into their groups."""
        await super().stop()
        if self.working:
            await asyncio.wait(self.working.values(), timeout=_PARTING_S)
        for task in self.working.values():
            task.cancel()
        if self.working:
            await asyncio.wait(self.working.values(), timeout=_PARTING_S)
        self._threads.close()

    async def _look_after(self, queue: QueueState, group: str, rules: Aggregate) -> None:
        """Make batches of a group while it is time to."""
        async with self._slots:
            try:
                while await self._batch(queue, group, rules):
                    pass
            except Error as error:
                _log.warning("group %r of queue %s: %s", group, queue.name, error)

    async def _batch(self, queue: QueueState, group: str, rules: Aggregate) -> bool:
        """One batch. What fails leaves the set alone: its tasks go back into the group after two minutes."""
        set_id = new_id()
        keys, now_ms = queue.keys, self._clock.for_script()
        if not await self._driver.run(aggregation.check(keys, group, set_id, rules, now_ms)):
            return False
        set_key = keys.aggregation_set(group, set_id)
        try:
            made = await self._made(queue, group, set_id, rules)
        except asyncio.CancelledError:
            await self._driver.run(aggregation.expire(keys, set_key, self._clock.now_ms() // 1000))
            raise
        except Exception as fault:  # noqa: BLE001 - the user's
            seen, reason = (None, words(fault)) if isinstance(fault, Error) else (loggable(fault), describe(fault))
            _log.error("group %r of queue %s could not be aggregated: %s", group, queue.name, reason, exc_info=seen)
            return True
        reason = await self._driver.run(aggregation.settle(keys, set_key, made, self._clock.for_script()))
        if reason:
            _log.error("group %r of queue %s was not aggregated: %s", group, queue.name, reason)
        return True

    async def _made(self, queue: QueueState, group: str, set_id: str, rules: Aggregate) -> Draft | None:
        """The task that takes the place of a set's; its id is the set's, unless the function gave it one."""
        set_key = queue.keys.aggregation_set(group, set_id)
        batch = await self._driver.run(aggregation.read(queue.keys, set_key))
        if batch is None:
            return None
        tasks = await self._decoded(queue, set_key, batch)
        if not tasks:
            return None
        left_s = batch.deadline_s - self._clock.now_ms() / 1000 - _MARGIN_S
        async with asyncio.timeout(left_s):
            job = await self._call(rules, group, tasks)
        if not isinstance(job, Job):
            raise Misuse(f"the aggregate function returned {type(job).__name__}, not a Job")
        await self._driver.run(register(queue.name))
        return draft(job, {"queue": queue.name}, set_id)

    async def _decoded(self, queue: QueueState, set_key: str, batch: aggregation.AggregationSet) -> list[GroupedTask]:
        found = []
        for task_id, data in batch.tasks:
            try:
                message = decode_task(data)
            except WireError:
                await self._driver.run(aggregation.park(queue.keys, set_key, task_id))
                _log.error("queue %s: the message of task %r cannot be read, it was set aside", queue.name, task_id)
                continue
            found.append(GroupedTask(message.id, message.type, message.payload, message.headers))
        return found

    async def _call(self, rules: Aggregate, group: str, tasks: list[GroupedTask]) -> Any:
        call = partial(rules.function, group, tasks)
        answer: Any = call() if functions.is_async(rules.function) else await self._threads.submit(call)
        while (rest := functions.rest_of(answer, f"group {group}")) is not None:
            answer = await contained(partial(_itself, rest))
        return answer


def _itself(value: Any) -> Any:
    return value


def rules_of(tasks: Tasks, aggregator: AggregateFunction | Aggregate | None) -> list[Aggregate]:
    """The rules of an application's tasks, and what the worker was given for all other groups."""
    if aggregator is None:
        return list(tasks.aggregates)
    return [*tasks.aggregates, aggregator if isinstance(aggregator, Aggregate) else Aggregate("", aggregator)]
