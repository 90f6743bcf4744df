"""Running handlers with little overhead: a pool of asyncio tasks takes jobs from one backlog.

A handler is driven to its first wait directly; one that never waits costs no task, no timer and no turn of the loop.
One that waits keeps the asyncio task that started it (so ``asyncio.timeout`` and ``current_task`` work as anywhere),
and another takes the next job. Each handler has its own copy of the context variables.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from contextvars import Context
from itertools import islice
from types import coroutine
from typing import Any, cast

from hustlex.core.faults import as_exception, loggable
from hustlex.core.forks import end_copy
from hustlex.core.logs import logger
from hustlex.jobs.define.signals import RevokeTask, SkipRetry, is_or_follows
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.attempt_errors import Canceled
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.handlers import Handlers
from hustlex.worker.execute.outcomes import OutcomePolicy
from hustlex.worker.journal import line_of
from hustlex.worker.queue_state import LeasedTask

_log = logger("hustlex.worker")

_SLICE_S = 0.005
"""After this long without a wait, let the loop do other things."""
_BLEND = 0.05
_SAMPLE = 64
_SAMPLED_S = 0.001
"""How long a sample of the running handlers is good: one costs 15 us, and is asked for after each job."""
STUCK_S = 10.0
"""Tasks that wait for longer beside free slots will not be started any more."""
_REMEMBERED_S = 60.0
BLOCK_S = 0.1
"""A handler that keeps the loop for longer holds up everything else, heartbeats included."""

Rest = Awaitable[None]


class Executor:
    """At most ``limit`` handlers at once.

    Of its life it tells: ended, each attempt that is over; waits, each handler that waits for the first time; blocked,
    each job whose handler kept the loop for more than 100 ms, in seconds.
    """

    def __init__(
        self,
        limit: int,
        handlers: Handlers,
        policy: OutcomePolicy,
        clock: WorkerClock,
        *,
        ended: Callable[[LeasedTask], None],
        waits: Callable[[LeasedTask], None],
        blocked: Callable[[TaskMessage, float], None],
    ) -> None:
        self.limit = limit
        self.backlog: deque[LeasedTask] = deque()
        """Leased and not started."""
        self.waiting: set[LeasedTask] = set()
        """Those whose handlers wait for something."""
        self.hung: set[LeasedTask] = set()
        """Those of them that were told to stop and do not end."""
        self.succeeded = self.failed = 0
        """Attempts so far."""
        self.broken = 0
        """Runners that ended by an error of ours."""
        self.pace = -1.0
        """Seconds that an attempt takes, on a moving average; -1 before the first."""
        self.begun_at = monotonic()
        """When the last one began."""
        self._on_ended = ended
        self._on_wait = waits
        self._on_block = blocked
        self._handlers = handlers
        self._policy = policy
        self.unknown = policy.unknown
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._closed = False
        self._withdrawn = False
        self._drained: asyncio.Future[None] | None = None
        self._fed_at = monotonic()
        self._broke_at = self._sampled_at = float("-inf")
        self._turns = 0.0
        self._process = 0

    @property
    def full(self) -> bool:
        """Whether every slot has a handler that waits for something."""
        return len(self.waiting) >= self.limit

    @property
    def busy(self) -> int:
        """Jobs started or waiting to be started."""
        return len(self.waiting) + len(self.backlog)

    def feed(self, jobs: Sequence[LeasedTask]) -> None:
        """Take jobs; they start in this order."""
        self._fed_at = monotonic()
        self.backlog.extend(jobs)
        self._wake_one()

    def quiet_s(self) -> float:
        """Seconds since the last job came, or the start; 0 while any is here."""
        return 0.0 if self.busy else monotonic() - self._fed_at

    def stuck_s(self) -> float:
        """Seconds for which every slot has been taken and none got free; 0 while one is free."""
        return monotonic() - self.begun_at if self.full else 0.0

    def hand_s(self) -> float:
        """Seconds for which tasks have been waiting here beside a free slot."""
        return monotonic() - max(self.begun_at, self._fed_at) if self.backlog and not self.full else 0.0

    def startable(self, seconds: float) -> int:
        """How many tasks will find a slot within this time: what runs now is expected to run as long again as it has,
        and what starts then to take what others took."""
        if self.pace < 0:
            return 0
        pace, now = max(self.pace, 1e-6), monotonic()
        if self.waiting and now - self._sampled_at > _SAMPLED_S:
            sample = list(islice(self.waiting, _SAMPLE))
            self._turns = sum(1 / max(pace, now - job.began) for job in sample) / len(sample)
            self._sampled_at = now
        turns = self._turns * len(self.waiting) + (self.limit - len(self.waiting)) / pace
        return int(turns * seconds)

    def trouble(self) -> str:
        """What is wrong with the runners, "" = nothing."""
        if self.hand_s() > STUCK_S:
            return f"{len(self.backlog)} tasks wait beside free slots and are not started"
        if monotonic() - self._broke_at < _REMEMBERED_S:
            return f"{self.broken} broke and were replaced, the last one within a minute"
        return ""

    def revive(self) -> None:
        """New runners for all free slots: those that should serve them do not."""
        for _ in range(min(len(self.backlog), self.limit - len(self.waiting))):
            self._add()

    def recall(self) -> list[LeasedTask]:
        """The jobs that wait for their start, out of here; those that will fail at once stay."""
        jobs = [job for job in self.backlog if job.fate is None]
        self.backlog = deque(job for job in self.backlog if job.fate is not None)
        return jobs

    def withdraw(self) -> list[LeasedTask]:
        """Start nothing more: the jobs that wait for their start."""
        self._withdrawn = True
        jobs = list(self.backlog)
        self.backlog.clear()
        return jobs

    async def drained(self, seconds: float) -> None:
        """Wait until no handler runs, at most this long."""
        if not self.waiting:
            return
        self._drained = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._drained], timeout=seconds)

    def _wake_one(self) -> None:
        """One more runner, when there is work for it."""
        if not self.backlog or self._closed or self._withdrawn:
            return
        while self._idle:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                return
        if len(self._tasks) < self.limit:
            self._add()

    def _add(self) -> None:
        self._process = self._process or os.getpid()
        task = asyncio.get_running_loop().create_task(self._run(), name="hustlex runner")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A runner ends when its handler cancelled it and did not wait, or by an error of ours; another takes its
        place."""
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.broken += 1
            self._broke_at = monotonic()
            _log.error("a runner broke, another takes its place", exc_info=loggable(fault))
        self._wake_one()

    async def _run(self) -> None:
        """One job after another. All in one coroutine: each that awaits another is a step more at every wait."""
        me = asyncio.current_task()
        assert me is not None
        job: LeasedTask | None = None
        began = awake = monotonic()
        try:
            while not self._closed and not me.cancelling():
                if not self.backlog:
                    await self._fed()
                    began = awake = monotonic()
                    continue
                job = self.backlog.popleft()
                self.begun_at = began
                waited, error = self._begin(job, began)
                end_copy(self._process, error, waits=waited is not None)
                if waited is not None:
                    self._waits(job, me, began)
                    try:
                        await waited
                    except Exception as fault:  # noqa: BLE001 - a failed attempt
                        error = fault
                    finally:
                        self._waited(job, me)
                    awake = monotonic()
                self._settle(job, error)
                ended = monotonic()
                self.pace += (ended - began - self.pace) * _BLEND if self.pace >= 0 else ended - began + 1
                if ended - awake > _SLICE_S:
                    if waited is None and ended - began > BLOCK_S:
                        self._on_block(job.message, ended - began)
                    await asyncio.sleep(0)
                    ended = awake = monotonic()
                began = ended
        except Exception as fault:
            if job is not None:
                self._settle(job, fault)
            raise

    def _fed(self) -> asyncio.Future[None]:
        """Done when there is work."""
        fed = asyncio.get_running_loop().create_future()
        self._idle.append(fed)
        return fed

    def _begin(self, job: LeasedTask, began: float) -> tuple[Rest | None, Exception | None]:
        """Drive a handler to its first wait. What is left of it, or None and how it ended."""
        try:
            call, context = self._handlers.begin(job, began)
        except BaseException as fault:  # noqa: BLE001 - a failed attempt
            return None, as_exception(fault)
        try:  # as ``_drive`` does, without a call: nearly every job ends here
            wanted = context.run(call.send, None)
        except StopIteration as end:
            return (None, None) if end.value is None else self._returned(job, end.value, context)
        except BaseException as fault:  # noqa: BLE001 - a failed attempt
            return None, as_exception(fault)
        return self._resume(job, call, context, wanted), None

    def _drive(
        self, job: LeasedTask, call: Coroutine[Any, Any, Any], context: Context
    ) -> tuple[Rest | None, Exception | None]:
        try:
            wanted = context.run(call.send, None)
        except StopIteration as end:
            return (None, None) if end.value is None else self._returned(job, end.value, context)
        except BaseException as fault:  # noqa: BLE001 - a failed attempt
            return None, as_exception(fault)
        return self._resume(job, call, context, wanted), None

    def _returned(self, job: LeasedTask, value: Any, context: Context) -> tuple[Rest | None, Exception | None]:
        """Keep a handler's value, or drive on what it is still to be awaited."""
        try:
            more = context.run(self._handlers.returned, job, value)
        except BaseException as fault:  # noqa: BLE001 - a failed attempt: a value may have code of its own
            return None, as_exception(fault)
        return (None, None) if more is None else self._drive(job, more, context)

    @coroutine
    def _resume(
        self, job: LeasedTask, call: Coroutine[Any, Any, Any], context: Context, wanted: Any
    ) -> Generator[Any, Any, None]:
        """Carry a coroutine on from its first wait, each step in its own context."""
        step: Any
        value: BaseException | None
        returned: Any = None
        send = call.send
        while True:
            try:
                yield wanted
            except GeneratorExit:
                with suppress(BaseException):
                    call.close()
                raise
            except BaseException as fault:  # noqa: BLE001 - thrown into the handler
                step, value = call.throw, fault
            else:
                step, value = send, None
            began = monotonic()
            try:
                wanted = context.run(step, value)
            except StopIteration as end:
                returned = end.value
                break
            except BaseException as fault:  # noqa: BLE001 - a failed attempt
                end_copy(self._process, fault)
                raise as_exception(fault)  # noqa: B904 - it is the same one, mostly
            else:
                end_copy(self._process, waits=True)
            finally:
                if monotonic() - began > BLOCK_S:
                    self._on_block(job.message, monotonic() - began)
        end_copy(self._process)
        if returned is None:
            return
        rest, error = self._returned(job, returned, context)
        if error is not None:
            raise error
        if rest is not None:
            yield from cast("Generator[Any, Any, None]", rest)

    def _waits(self, job: LeasedTask, me: asyncio.Task[None], began: float) -> None:
        """A handler waits for the first time, and another runner takes the next job."""
        if monotonic() - began > BLOCK_S:
            self._on_block(job.message, monotonic() - began)
        job.wait(me)
        self.waiting.add(job)
        self._wake_one()
        self._on_wait(job)

    def _waited(self, job: LeasedTask, me: asyncio.Task[None]) -> None:
        """It ended."""
        self.waiting.discard(job)
        job.wait(None)
        if job in self.hung:
            self.hung.discard(job)
            self._on_ended(job)
        if self._drained is not None and not self.waiting and not self._drained.done():
            self._drained.set_result(None)
        while me.cancelling():
            me.uncancel()

    def _settle(self, job: LeasedTask, error: Exception | None) -> None:
        """Decide the outcome, once."""
        if job.settled:
            return
        job.settle()
        if job.fate is not None and not _is_own_word(job.fate, error):
            error = job.fate
        try:
            if error is None:
                self.succeeded += 1
                self._policy.succeeded(job, self._clock)
            else:
                self.failed += 1
                self._policy.failed(job, error, self._clock)
        except Exception as fault:  # noqa: BLE001 - one job must not stop a runner
            _log.error(
                "the outcome of a job could not be written down; its lease will expire", exc_info=loggable(fault)
            )
            job.queue.forget(job)
        self._on_ended(job)

    def give_up(self, job: LeasedTask) -> None:
        """Settle a job that was told to stop; its handler runs on and keeps its place, and its word counts no more."""
        self._settle(job, job.fate)
        if job in self.waiting and job not in self.hung:
            self.hangs(job)

    def hangs(self, job: LeasedTask) -> None:
        """It was told to stop a while ago and keeps its slot."""
        self.hung.add(job)
        many, kind = len(self.hung), line_of(job.message.type)
        _log.warning("task type %s does not end when told to: %d of %d slots are lost", kind, many, self.limit)
        if many >= self.limit:
            _log.error("every slot is held by a handler that does not end: this worker takes no more tasks")

    async def close(self, seconds: float) -> None:
        """Cancel every handler that still runs, and wait so long for their ends."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)


def _is_own_word(fate: Exception, error: Exception | None) -> bool:
    """What a handler may still say when it was told to stop: that it is done, if that was no matter of time."""
    if error is None:
        return isinstance(fate, Canceled)
    return is_or_follows(error, SkipRetry) or is_or_follows(error, RevokeTask)
