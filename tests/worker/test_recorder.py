"""What a worker tells of its queues beside its work: how they stand, and which failures it saw."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import OutcomeUnknown, Unavailable
from hustlex.jobs import Inspector, Jobs, RevokeTask, Snooze, Tasks
from hustlex.jobs.lease.record import QueueMeasure
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.clock import WorkerClock
from hustlex.worker.execute.failures import FailureTally
from hustlex.worker.maintain import poller, recorder
from hustlex.worker.maintain.recorder import Recorder
from hustlex.worker.queue_state import LeasedTask, QueueState
from tests.worker.support import running, until


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in production, in a hundredth of the time."""
    for module, name, value in (
        (recorder, "_EVERY_S", 0.05),
        (recorder, "_FAILURES_EVERY_S", 0.02),
        (poller, "_BUSY_S", 0.02),
        (poller, "_IDLE_S", 0.02),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("brisk")
async def test_what_a_worker_does_is_written_down(driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis) -> None:
    """Each attempt that ended, once; each failure that counts, under what it has in common."""

    @tasks.task("pays", max_retry=1, retry_delay=timedelta(hours=1))
    async def pays(n: int) -> None:
        if n % 2:
            raise ValueError(f"no gig {n} of +2348031234567")

    @tasks.task("never")
    async def never(how: str) -> None:
        raise RevokeTask if how == "revoked" else Snooze(timedelta(hours=1))

    inspector, done = Inspector(driver), "asynq:{default}:processed"
    async with running(driver, tasks):
        await until(lambda: raw.hexists("asynq:x:{history}:queues", "default"))
        await jobs.enqueue_many([*(pays.job(n) for n in range(20)), never.job("revoked"), never.job("snoozed")])
        await until(lambda: int(raw.get(done) or 0) >= 21 and raw.exists("asynq:{default}:x:errors"))

        async def written() -> int:
            return sum(minute.processed for minute in (await inspector.time_series("default")).minutes)

        async with asyncio.timeout(50):
            while await written() != int(raw.get(done)):
                await asyncio.sleep(0)
    [group] = await inspector.error_groups()
    assert (group.type, group.error, group.count, len(group.ids)) == ("pays", "ValueError", 10, 10)
    assert group.message == "no gig <n> of +<n>" and group.place.endswith(".pays")
    history = await inspector.time_series("default")
    assert sum(minute.failed for minute in history.minutes) == 10
    assert sum(hour.processed for hour in history.hours) == int(raw.get(done))
    assert await inspector.failing() == ["default"]


async def test_failures_of_the_last_moment_are_told_at_the_end(driver: Driver, jobs: Jobs, tasks: Tasks) -> None:
    @tasks.task("fails", max_retry=0)
    async def fails() -> None:
        raise ValueError

    async with running(driver, tasks):
        queued = (await jobs.enqueue(fails.job())).or_raise()
        await queued.wait(timeout=timedelta(seconds=50))
    [group] = await Inspector(driver).error_groups(["default"])
    assert group.count == 1 and group.ids == (queued.id,)


# -- one call


class Deaf:
    """A driver whose answers are given."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers

    async def run_many(self, ops: Any) -> list[Any]:
        return [*self.answers]


def made(driver: Any = None) -> tuple[Recorder, FailureTally]:
    tally = FailureTally()
    return Recorder(driver, WorkerClock(lambda: 1), tally), tally


def failed(tally: FailureTally) -> None:
    tally.note(LeasedTask(_SOURCE, b"t1", "h:1", TaskMessage(type="t", id="t1"), 0.0), ValueError("x"))


_SOURCE = QueueState("default", 1)


def test_there_is_one_call_in_ten_seconds_for_a_hundred_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(recorder, "monotonic", lambda: now[0])
    told, _ = made()
    sources = [QueueState(f"q{n}", 1) for n in range(300)]
    calls = []
    for turn in range(100):
        if told.looks():
            for source in sources:
                told.measured(source, QueueMeasure(turn, 0, 0, 0))
        calls.append(len(told.calls()[0]))
        now[0] += 1.0
    assert sum(calls) == 10 and max(calls) == 1


def test_what_stays_as_it_is_is_told_twice_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each minute has its figures, and a change is told at the next look."""
    now = [1_000.0]
    monkeypatch.setattr(recorder, "monotonic", lambda: now[0])
    told, _ = made()
    calls = []
    for second in range(120):
        if told.looks():
            told.measured(_SOURCE, QueueMeasure(int(second >= 95), 0, 7, 0))
        calls += [second] * len(told.calls()[0])
        now[0] += 1.0
    assert calls == [0, 30, 60, 90, 100]


def test_a_storm_is_one_call_in_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(recorder, "monotonic", lambda: now[0])
    told, tally = made()
    calls, counted = 0, 0
    for _ in range(100):
        for _ in range(50):
            failed(tally)
        ops, failures = told.calls()
        calls += len(ops)
        counted += sum(group.count for _, groups in failures for group in groups)
        now[0] += 0.1
    assert calls == 5
    assert counted + sum(group.count for _, groups in tally.take() for group in groups) == 5_000


@pytest.mark.parametrize(("answer", "kept"), [(None, 0), (Unavailable("away"), 1), (OutcomeUnknown("lost"), 0)])
async def test_what_was_surely_not_counted_is_told_again(answer: Any, kept: int) -> None:
    told, tally = made(Deaf(answer))
    failed(tally)
    await told.finish()
    assert len(tally.take()) == kept
