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
from hustlex.worker.fetch.allocation import Slots
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.limits.wait_queue import WaitQueue
from hustlex.worker.queue_state import Ack, QueueState
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
        self._queues: dict[tuple[QueueState, str], WaitQueue] = {}
        self._turns: deque[WaitQueue] = deque()
        self._ours: dict[LeasedTask, WaitQueue] = {}
        self._in_processes = 0
        self._hung: list[LeasedTask] = []
        self._short = False

    @property
    def waiting(self) -> Counter[str]:
        """How many wait for their turn, by type."""
        return Counter(job.message.type for line in self._turns for job in line.jobs)

    def surplus(self) -> int:
        """How many tasks to hold beyond the slots: more when keys take turns, less when they wait for slots already."""
        fair = self._fair and self._executor.stuck_s() < PATIENCE_S
        return (self._executor.limit if fair else self._slots.ahead()) - self._ready(monotonic())

    def _ready(self, now: float) -> int:
        """How many wait for nothing but a slot, as far as this worker knows."""
        count = None if self._slots.plain else self._slots.count(asked=False)
        ready, in_processes = 0, self._processes - self._in_processes
        for line in self._turns:
            room = line.room(now) if count is None else min(line.room(now), count.room(line.source))
            if line.cpu:
                room = min(room, in_processes)
                in_processes -= room
            ready += room
        return ready

    def feed(self, jobs: Sequence[LeasedTask]) -> None:
        """Take leased jobs: let them stand in line, or hand on those without limits when there are no turns to take."""
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
                gate = ask(task.limits.gate, task.type, partial(task.arguments, job.message.payload))
            except Exception as fault:  # noqa: BLE001 - the user's function, or a payload that does not fit
                job.doom(fault)
                return False
            limits = task.limits
        line = self._queues.get((job.source, gate))
        if line is None:
            cpu = task is not None and task.cpu
            line = self._queues[job.source, gate] = WaitQueue(
                job.source, gate, limits, cpu=cpu, processes=self._processes
            )
        if not line.jobs:
            self._turns.append(line)
        line.join(job, monotonic())
        return True

    def done(self, job: LeasedTask) -> None:
        """An attempt is over. One whose handler would not stop keeps its place here until it ends."""
        if job in self._ours:
            if job in self._executor.waiting:
                self._hung.append(job)
                return
            line = self._ours.pop(job)
            self._in_processes -= line.cpu
            line.end(job, self._clock.now_ms())
        elif not self._short:
            return
        if self._turns:
            self.wake()

    def recall(self) -> list[LeasedTask]:
        """The jobs that wait for nothing but a slot, out of their lines; those that will fail at once stay."""
        jobs: list[LeasedTask] = []
        for line in self._turns:
            if not line.capped:
                jobs += line.recall()
        self._turns = deque(line for line in self._turns if line.jobs)
        return jobs

    def withdraw(self) -> list[LeasedTask]:
        """Start nothing more: the jobs that stand in line."""
        jobs = [job for line in self._turns for job in line.jobs]
        self._turns.clear()
        self._queues.clear()
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
        if len(self._queues) > _MOST_QUEUES:
            self._queues = {place: line for place, line in self._queues.items() if not line.idle}
        return self._nap_s(monotonic(), refused)

    def _let_go(self) -> None:
        """Those that were cancelled, or whose lease was lost, fail now."""
        for line in [line for line in self._turns if any(job.fate is not None for job in line.jobs)]:
            self._executor.feed(line.doomed())
        self._turns = deque(line for line in self._turns if line.jobs)

    def _choose(self, now: float) -> list[LeasedTask]:
        """As many as there are slots, one of each line by turns."""
        count = self._slots.count(self._slots.ahead(), asked=not self._slots.plain)
        chosen: list[LeasedTask] = []
        passed = 0
        self._short = False
        while passed < len(self._turns) and count.free > 0:
            line = self._turns[0]
            self._turns.rotate(-1)
            full = line.cpu and self._in_processes >= self._processes
            if full or line.room(now) <= 0 or count.room(line.source) <= 0:
                self._short |= not full and line.room(now) > 0
                passed += 1
                continue
            job = line.begin(now)
            self._ours[job] = line
            self._in_processes += line.cpu
            count.take(line.source)
            chosen.append(job)
            passed = 0
            if not line.jobs:
                self._turns.pop()
        self._short |= count.free <= 0
        return chosen

    async def _start(self, chosen: list[LeasedTask]) -> bool:
        """Start them, those with limits of the fleet only with a permit. Whether any was refused."""
        asks: dict[WaitQueue, list[LeasedTask]] = {}
        for job in chosen:
            if (line := self._ours[job]).limits.shared:
                asks.setdefault(line, []).append(job)
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
        queues: dict[QueueState, list[WaitQueue]] = {}
        for line in asks:
            queues.setdefault(line.source, []).append(line)
        calls = [self._call(source, [(line, asks[line]) for line in lines]) for source, lines in queues.items()]
        answers: list[Any] = [Error("not asked")] * len(calls)
        refused, failure = False, None
        try:
            answers = await self._driver.run_many(calls)
        finally:
            for lines, answer in zip(queues.values(), answers, strict=True):
                if isinstance(answer, Error):
                    failure = answer
                    answer = [None] * len(lines)
                for line, permit in zip(lines, answer, strict=True):
                    refused |= self._answered(line, asks[line], permit)
        return refused, failure

    def _call(self, source: QueueState, asks: list[tuple[WaitQueue, list[LeasedTask]]]) -> Any:
        rows = [
            limit.PermitRequest(
                line.gate,
                line.limits,
                [(job.id, job.holder) for job in jobs],
                line.tell(),
                max(self._life_s(job) for job in jobs),
            )
            for line, jobs in asks
        ]
        return limit.permit(source.keys, rows, self._clock.for_script())

    def _life_s(self, job: LeasedTask) -> int:
        now_ms = self._clock.now_ms()
        return max(0, attempt_ends_ms(job.message, now_ms) - now_ms) // 1000 + _AFTER_S

    def _answered(self, line: WaitQueue, asked: list[LeasedTask], permit: limit.Permit | None) -> bool:
        """Take the answer in, None = there was none. Whether any was refused."""
        line.answered(permit, len(asked), monotonic())
        back = asked[permit.granted :] if permit else asked
        for job in back:
            del self._ours[job]
        self._in_processes -= line.cpu * len(back)
        if back and not line.jobs:
            self._turns.append(line)
        line.refuse(back)
        return bool(back)

    def _give_back(self, now: float) -> None:
        """What is too much for this room comes again later; every line keeps its share."""
        lines = [line for line in self._turns if line.capped]
        room = min(max(_ROOM * self._executor.limit, _SMALLEST_ROOM), _LARGEST_ROOM)
        share = max(1, room // len(lines)) if lines else 0
        given = False
        for n, line in enumerate(lines):
            keep = min(share, line.quota(now)) if n < room else 0
            while len(line.jobs) > keep:
                job = line.jobs.pop()
                job.settle()
                given = True
                job.source.acks.append(Ack(job, limit.defer, (job.id, job.holder, self._round(line.later_ms(now)))))
        if given:
            self._turns = deque(line for line in self._turns if line.jobs)
            self._deferred()

    def _round(self, delay_ms: int) -> int:
        """Up to the next quarter of a second, so that those given back come again in batches."""
        now_ms = self._clock.now_ms()
        return -(-(now_ms + delay_ms) // _GRID_MS) * _GRID_MS - now_ms

    def _nap_s(self, now: float, refused: bool) -> float:
        """Until the next line opens; a job's end wakes us earlier."""
        if not self._turns:
            return FOREVER
        if refused:
            return 0
        opens = [line.closed_until - now for line in self._turns if line.closed_until > now]
        return max(0.001, min([*opens, _LONGEST_NAP_S]))
