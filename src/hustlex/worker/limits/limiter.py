"""Tasks with limits wait here, leased, until they may start: by turns between their types and keys.

What may not start soon is given back to Redis, to come again when its turn is near; it costs no retry. Only workers
with limited tasks have this part.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs.define.tasks import Task, Tasks
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.lease.limits import NO_LIMITS
from hustlex.worker.boundary import ask
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.executor import Executor
from hustlex.worker.execute.handlers import attempt_ends_ms
from hustlex.worker.limits.allocation import Slots
from hustlex.worker.limits.wait_queue import WaitQueue
from hustlex.worker.queue_state import Ack, LeasedTask, QueueState
from hustlex.worker.service import FOREVER, Service

PATIENCE_S = 0.1
"""Every slot taken for so long: they do not turn over."""
_LONGEST_NAP_S = 1.0
_ROOM = 4
_SMALLEST_ROOM, _LARGEST_ROOM = 64, 1000
_MOST_QUEUES = 4096
_AFTER_S = 60
_GRID_MS = 250


def limited(tasks: Tasks) -> list[Task[..., Any]]:
    """The tasks that must not simply start."""
    return [task for task in tasks if task.cpu or task.limits != NO_LIMITS]


def _cpus() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class TaskLimiter(Service):
    """processes: how many tasks with ``cpu=True`` run at once, 0 = as many as there are CPUs. deferred: called when
    something was given back.

    Where more tasks than slots may be held, keys take turns.
    """

    name = "limiter"
    slowest_retry_s = 1.0

    def __init__(
        self,
        driver: AsyncDriver,
        tasks: Tasks,
        executor: Executor,
        slots: Slots,
        clock: WorkerClock,
        processes: int,
        deferred: Callable[[], None],
    ) -> None:
        super().__init__()
        self._driver = driver
        self._tasks = tasks
        self._limited = set(limited(tasks))
        self._executor = executor
        self._slots = slots
        self._clock = clock
        self._processes = processes or _cpus()
        self._deferred = deferred
        self._fair = slots.open and any(task.limits.key is not None for task in self._limited)
        self._wait_queues: dict[tuple[QueueState, str], WaitQueue] = {}
        self._turns: deque[WaitQueue] = deque()
        self._ours: dict[LeasedTask, WaitQueue] = {}
        self._in_processes = 0
        self._hung: list[LeasedTask] = []
        self._short = False

    @property
    def waiting(self) -> Counter[str]:
        """How many wait for their turn, by type."""
        return Counter(job.message.type for wait_queue in self._turns for job in wait_queue.jobs)

    def surplus(self) -> int:
        """How many tasks to hold beyond the slots: more when keys take turns, less when they wait for slots already."""
        fair = self._fair and self._executor.stuck_s() < PATIENCE_S
        return (self._executor.limit if fair else self._slots.ahead()) - self._ready(monotonic())

    def _ready(self, now: float) -> int:
        """How many wait for nothing but a slot, as far as this worker knows."""
        count = None if self._slots.plain else self._slots.count(asked=False)
        ready, in_processes = 0, self._processes - self._in_processes
        for wait_queue in self._turns:
            room = wait_queue.room(now) if count is None else min(wait_queue.room(now), count.room(wait_queue.queue))
            if wait_queue.cpu:
                room = min(room, in_processes)
                in_processes -= room
            ready += room
        return ready

    def feed(self, jobs: Sequence[LeasedTask]) -> None:
        """Take leased jobs: let them wait, or hand on those without limits when there are no turns to take."""
        free = []
        for job in jobs:
            task = self._tasks.find(job.message.type)
            if task is None or task not in self._limited:
                if not self._fair:
                    free.append(job)
                    continue
                task = None
            if not self._join(task, job):
                free.append(job)
        if free:
            self._executor.feed(free)
        if self._turns:
            self.wake()

    def _join(self, task: Task[..., Any] | None, job: LeasedTask) -> bool:
        """False when it need not wait, because it will fail anyway. task: None = without limits."""
        gate, limits = job.message.type, NO_LIMITS
        if task is not None:
            try:
                gate = ask(task.limits.group_of, task.type, partial(task.arguments, job.message.payload))
            except Exception as fault:  # noqa: BLE001 - the user's function, or a payload that does not fit
                job.doom(fault)
                return False
            limits = task.limits
        wait_queue = self._wait_queues.get((job.queue, gate))
        if wait_queue is None:
            cpu = task is not None and task.cpu
            wait_queue = self._wait_queues[job.queue, gate] = WaitQueue(
                job.queue, gate, limits, cpu=cpu, processes=self._processes
            )
        if not wait_queue.jobs:
            self._turns.append(wait_queue)
        wait_queue.join(job, monotonic())
        return True

    def done(self, job: LeasedTask) -> None:
        """An attempt is over. One whose handler would not stop keeps its place here until it ends."""
        if job in self._ours:
            if job in self._executor.waiting:
                self._hung.append(job)
                return
            wait_queue = self._ours.pop(job)
            self._in_processes -= wait_queue.cpu
            wait_queue.end(job, self._clock.now_ms())
        elif not self._short:
            return
        if self._turns:
            self.wake()

    def recall(self) -> list[LeasedTask]:
        """The jobs that wait for nothing but a slot, out of their queues; those that will fail at once stay."""
        jobs: list[LeasedTask] = []
        for wait_queue in self._turns:
            if not wait_queue.capped:
                jobs += wait_queue.recall()
        self._turns = deque(wait_queue for wait_queue in self._turns if wait_queue.jobs)
        return jobs

    def withdraw(self) -> list[LeasedTask]:
        """Start nothing more: those that wait here."""
        jobs = [job for wait_queue in self._turns for job in wait_queue.jobs]
        self._turns.clear()
        self._wait_queues.clear()
        return jobs

    async def tick(self) -> float:
        """Start what may start, give back what cannot for long."""
        for job in [job for job in self._hung if job not in self._executor.waiting]:
            self._hung.remove(job)
            self.done(job)
        self._let_go()
        chosen = self._choose(monotonic())
        refused = await self._start(chosen) if chosen else False
        self._give_back(monotonic())
        if len(self._wait_queues) > _MOST_QUEUES:
            self._wait_queues = {
                place: wait_queue for place, wait_queue in self._wait_queues.items() if not wait_queue.idle
            }
        return self._nap_s(monotonic(), refused)

    def _let_go(self) -> None:
        """Those that were cancelled, or whose lease was lost, fail now."""
        for wait_queue in [
            wait_queue for wait_queue in self._turns if any(job.fate is not None for job in wait_queue.jobs)
        ]:
            self._executor.feed(wait_queue.doomed())
        self._turns = deque(wait_queue for wait_queue in self._turns if wait_queue.jobs)

    def _choose(self, now: float) -> list[LeasedTask]:
        """As many as there are slots, one of each queue by turns."""
        count = self._slots.count(self._slots.ahead(), asked=not self._slots.plain)
        chosen: list[LeasedTask] = []
        passed = 0
        self._short = False
        while passed < len(self._turns) and count.free > 0:
            wait_queue = self._turns[0]
            self._turns.rotate(-1)
            full = wait_queue.cpu and self._in_processes >= self._processes
            if full or wait_queue.room(now) <= 0 or count.room(wait_queue.queue) <= 0:
                self._short |= not full and wait_queue.room(now) > 0
                passed += 1
                continue
            job = wait_queue.begin(now)
            self._ours[job] = wait_queue
            self._in_processes += wait_queue.cpu
            count.take(wait_queue.queue)
            chosen.append(job)
            passed = 0
            if not wait_queue.jobs:
                self._turns.pop()
        self._short |= count.free <= 0
        return chosen

    async def _start(self, chosen: list[LeasedTask]) -> bool:
        """Start them, those with limits of the fleet only with a permit. Whether any was refused."""
        asks: dict[WaitQueue, list[LeasedTask]] = {}
        for job in chosen:
            if (wait_queue := self._ours[job]).limits.shared:
                asks.setdefault(wait_queue, []).append(job)
        asking = {job for jobs in asks.values() for job in jobs}
        self._executor.feed([job for job in chosen if job not in asking])
        if not asking:
            return False
        self._slots.starting.update(asking)
        try:
            refused, failure = await self._ask(asks)
        finally:
            self._slots.starting.clear()
            self._executor.feed([job for job in chosen if job in asking and job in self._ours])
        if failure is not None:
            raise failure
        return refused

    async def _ask(self, asks: dict[WaitQueue, list[LeasedTask]]) -> tuple[bool, Error | None]:
        """Get permits, a call for each queue. Whether any was refused, and the last failure."""
        by_queue: dict[QueueState, list[WaitQueue]] = {}
        for wait_queue in asks:
            by_queue.setdefault(wait_queue.queue, []).append(wait_queue)
        calls = [
            self._call(queue, [(wait_queue, asks[wait_queue]) for wait_queue in wait_queues])
            for queue, wait_queues in by_queue.items()
        ]
        answers: list[Any] = [Error("not asked")] * len(calls)
        refused, failure = False, None
        try:
            answers = await self._driver.run_many(calls)
        finally:
            for wait_queues, answer in zip(by_queue.values(), answers, strict=True):
                if isinstance(answer, Error):
                    failure = answer
                    answer = [None] * len(wait_queues)
                for wait_queue, permit in zip(wait_queues, answer, strict=True):
                    refused |= self._answered(wait_queue, asks[wait_queue], permit)
        return refused, failure

    def _call(self, queue: QueueState, asks: list[tuple[WaitQueue, list[LeasedTask]]]) -> Any:
        rows = [
            limit.PermitRequest(
                wait_queue.gate,
                wait_queue.limits,
                [(job.id, job.holder) for job in jobs],
                wait_queue.report(),
                max(self._life_s(job) for job in jobs),
            )
            for wait_queue, jobs in asks
        ]
        return limit.permit(queue.keys, rows, self._clock.for_script())

    def _life_s(self, job: LeasedTask) -> int:
        now_ms = self._clock.now_ms()
        return max(0, attempt_ends_ms(job.message, now_ms) - now_ms) // 1000 + _AFTER_S

    def _answered(self, wait_queue: WaitQueue, asked: list[LeasedTask], permit: limit.Permit | None) -> bool:
        """Take the answer in, None = there was none. Whether any was refused."""
        wait_queue.answered(permit, len(asked), monotonic())
        back = asked[permit.granted :] if permit else asked
        for job in back:
            del self._ours[job]
        self._in_processes -= wait_queue.cpu * len(back)
        if back and not wait_queue.jobs:
            self._turns.append(wait_queue)
        wait_queue.refuse(back)
        return bool(back)

    def _give_back(self, now: float) -> None:
        """What is too much for this room comes again later; every queue keeps its share."""
        wait_queues = [wait_queue for wait_queue in self._turns if wait_queue.capped]
        room = min(max(_ROOM * self._executor.limit, _SMALLEST_ROOM), _LARGEST_ROOM)
        share = max(1, room // len(wait_queues)) if wait_queues else 0
        given = False
        for n, wait_queue in enumerate(wait_queues):
            keep = min(share, wait_queue.quota(now)) if n < room else 0
            while len(wait_queue.jobs) > keep:
                job = wait_queue.jobs.pop()
                job.settle()
                given = True
                job.queue.acks.append(
                    Ack(job, limit.defer, (job.id, job.holder, self._round(wait_queue.later_ms(now))))
                )
        if given:
            self._turns = deque(wait_queue for wait_queue in self._turns if wait_queue.jobs)
            self._deferred()

    def _round(self, delay_ms: int) -> int:
        """Up to the next quarter of a second, so that those given back come again in batches."""
        now_ms = self._clock.now_ms()
        return -(-(now_ms + delay_ms) // _GRID_MS) * _GRID_MS - now_ms

    def _nap_s(self, now: float, refused: bool) -> float:
        """Until the next queue opens; a job's end wakes us earlier."""
        if not self._turns:
            return FOREVER
        if refused:
            return 0
        opens = [wait_queue.closed_until - now for wait_queue in self._turns if wait_queue.closed_until > now]
        return max(0.001, min([*opens, _LONGEST_NAP_S]))
