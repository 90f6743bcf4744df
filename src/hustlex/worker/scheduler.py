"""Enqueues periodic tasks: each instant once, however many schedulers run."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hustlex.core.op import AsyncDriver, Op
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Error, Misuse
from hustlex.jobs.cron import Every
from hustlex.jobs.ops import registry
from hustlex.jobs.ops.enqueue import register
from hustlex.jobs.options import draft, option_texts
from hustlex.jobs.registry import Periodic, Tasks
from hustlex.jobs.wire import NEVER_NS, SchedulerEnqueueEvent, SchedulerEntry, clean, encode_entry, encode_event
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.heartbeat import this_host
from hustlex.worker.service import Service

_log = logging.getLogger("hustlex.worker")

_BEAT_S = 10.0
_LIFE_S = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NAMES = uuid.UUID("7c1d3b7e-9e1f-5d6b-8a52-5b0f3c2a7f11")


class Entry:
    """A periodic entry and its place in time. next_ms: Unix ms, -1 = never; previous_ms: -1 = not yet."""

    def __init__(self, periodic: Periodic, now_ms: int) -> None:
        if {"process_in", "process_at", "group", "task_id"} & periodic.job.options.keys():
            raise Misuse(f"the periodic entry {periodic.name!r} must not carry a delay, a group or a task id")
        self.periodic = periodic
        self.id = str(uuid.uuid5(_NAMES, clean(periodic.name)))
        self.previous_ms = -1
        self.next_ms = -1
        self.advance(now_ms)

    def advance(self, now_ms: int) -> None:
        """Plan the first instant after now. A fixed distance counts from 1970, so that all schedulers agree on it."""
        schedule = self.periodic.schedule
        if isinstance(schedule, Every):
            period_ms = schedule.period // _MILLISECOND
            self.next_ms = now_ms // period_ms * period_ms + period_ms
            return
        moment = schedule.next_after(_EPOCH + now_ms * _MILLISECOND)
        self.next_ms = -1 if moment is None else (moment - _EPOCH) // _MILLISECOND

    def fire(self, now_ms: int) -> tuple[str, Op[None], Op[bool]]:
        """The task id of this instant, and the calls that register its queue and enqueue it."""
        task_id = f"{clean(self.periodic.name)}@{_EPOCH + self.next_ms * _MILLISECOND:%Y%m%dT%H%M%SZ}"
        made = draft(self.periodic.job, {"task_id": task_id}, task_id)
        return task_id, register(made.queue), registry.fire(self.id, self.next_ms, made, now_ms)

    def shown(self) -> bytes:
        """For the registry."""
        job = self.periodic.job
        previous_ns = NEVER_NS if self.previous_ms < 0 else self.previous_ms * 1_000_000
        next_ns = NEVER_NS if self.next_ms < 0 else self.next_ms * 1_000_000
        options = option_texts(job.options)
        return encode_entry(
            SchedulerEntry(self.id, self.periodic.spec, job.type, job.payload, options, next_ns, previous_ns)
        )


class Timetable(Service):
    """The entries of one scheduler: fires what is due, and keeps them listed."""

    name = "scheduler"

    def __init__(self, driver: AsyncDriver, tasks: Tasks, clock: WorkerClock) -> None:
        super().__init__()
        self.id = f"{this_host()}:{os.getpid()}:{uuid.uuid4()}"
        self.entries = [Entry(periodic, clock.now_ms()) for periodic in tasks.periodic]
        self._driver = driver
        self._clock = clock
        self._beat_at = float("-inf")

    async def tick(self) -> float:
        """Fire what is due, and list the entries every 10 s."""
        now_ms = self._clock.now_ms()
        for entry in self.entries:
            if 0 <= entry.next_ms <= now_ms:
                await self._fire(entry, now_ms)
                self._beat_at = float("-inf")
        if monotonic() >= self._beat_at:
            await self._beat()
        next_ms = min((entry.next_ms for entry in self.entries if entry.next_ms >= 0), default=now_ms + 3_600_000)
        return max(0.001, min((next_ms - self._clock.now_ms()) / 1000, self._beat_at - monotonic()))

    async def _fire(self, entry: Entry, now_ms: int) -> None:
        task_id, register_queue, fire = entry.fire(self._clock.for_script())
        fired = (await self._all([register_queue, fire]))[1]
        due_ms = entry.next_ms
        entry.previous_ms = due_ms
        entry.advance(max(now_ms, due_ms))
        if fired:
            event = encode_event(SchedulerEnqueueEvent(task_id, now_ms * 1_000_000))
            await self._driver.run(registry.record(entry.id, now_ms // 1000, event))

    async def _beat(self) -> None:
        shown = [entry.shown() for entry in self.entries]
        await self._all(registry.write_entries(self.id, shown, self._clock.now_ms() // 1000 + _LIFE_S))
        self._beat_at = monotonic() + _BEAT_S

    async def _all(self, calls: Sequence[Op[Any]]) -> list[Any]:
        answers = await self._driver.run_many(calls)
        for answer in answers:
            if isinstance(answer, Error):
                raise answer
        return answers

    async def leave(self) -> None:
        """Take the entries off the registry."""
        await self._all(registry.clear_entries(self.id))


class Scheduler:
    """Run as many as you like: they need not know each other. Each instant is enqueued by exactly one of them.

    An instant that was due while no scheduler ran is not made up for; one that is noticed late is fired late, once.
    ``@every`` counts from 1970, so that all schedulers agree on it. Raises Misuse for an entry whose job carries a
    delay, a group or a task id.
    """

    def __init__(self, driver: AsyncDriver, tasks: Tasks, *, clock: Clock = server_clock) -> None:
        self.timetable = Timetable(driver, tasks, WorkerClock(clock))
        self._quit = asyncio.Event()

    @property
    def trouble(self) -> str:
        """What keeps it from working right now, "" = nothing."""
        return self.timetable.trouble

    def stop(self) -> None:
        """Ask ``run`` to end. Safe in a signal handler of the loop."""
        self._quit.set()

    async def run(self) -> None:
        """Enqueue what is due, until ``stop``; a server that is away is waited for."""
        self.timetable.start()
        await self._quit.wait()
        await self.timetable.stop()
        try:
            await self.timetable.leave()
        except Error as error:
            _log.warning("could not leave the registry: %s", error)
