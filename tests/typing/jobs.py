"""What a user's type checker sees of the jobs room. Checked by mypy (tests/typing/test_typing.py), never run.

A ``type: ignore`` here is an assertion: mypy must complain at that place, or the file fails.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never, assert_type

from hustlex.app import HustleX
from hustlex.jobs import (
    Debounced,
    Duplicate,
    Enqueued,
    Failed,
    Gone,
    Handle,
    IdTaken,
    Inspector,
    Job,
    NotYet,
    Outcome,
    QueueFull,
    QueueInfo,
    ScheduleInfo,
    Server,
    State,
    Succeeded,
    Task,
    TaskInfo,
    Tasks,
    current_job,
)
from hustlex.sync import HustleX as BlockingHustleX

tasks = Tasks(queue="low", max_retry=3)


@tasks.task("gig:escrow_release", queue="critical", max_retry=5, timeout=timedelta(seconds=30))
async def release(gig_id: int, note: str = "") -> bool:
    assert_type(current_job().retried, int)
    return await current_job().result.write({"gig": gig_id})


@tasks.task("report", unique_for=timedelta(hours=1))
def report(day: str) -> int:
    return len(day)


assert_type(report("x"), int)
assert_type(release.job(1, note="x"), Job[bool])
assert_type(report.job("x"), Job[int])
assert_type(release.job(gig_id=1).with_options(process_in=timedelta(hours=1)), Job[bool])

release.job("1")  # type: ignore[call-overload]
release.job()  # type: ignore[call-overload]
release.job(1, nobody=2)  # type: ignore[call-overload]
report(day=1)  # type: ignore[arg-type]
release.job(1).with_options(queues="typo")  # type: ignore[call-arg]
tasks.task("t", timeout=30)  # type: ignore[arg-type]
tasks.cron("weekly", "0 9 * * 1", release.job(1), timezone="Africa/Lagos")
tasks.cron("monthly", "0 9 1 * *", release.job(1), dst="once", missed="all", max_missed=3)
tasks.cron("weekly", "0 9 * * 1", release)  # type: ignore[arg-type]
tasks.cron("weekly", "0 9 * * 1", release.job(1), missed="some")  # type: ignore[arg-type]


def show(task: Task[[str], int]) -> None: ...


show(report)
show(release)  # type: ignore[arg-type]


async def produce(hx: HustleX) -> str:
    assert_type(await release(1), bool)
    outcome = await hx.jobs.enqueue(release.job(1), process_in=timedelta(minutes=5), headers={"a": "b"})
    assert_type(outcome, Handle[bool] | Duplicate | IdTaken | Debounced | QueueFull)
    many = await hx.jobs.enqueue_many([release.job(n) for n in range(3)])
    assert_type([one.or_raise() for one in many], list[Handle[bool]])
    handle = (await hx.jobs.enqueue(release.job(1))).or_raise()
    assert_type(handle, Handle[bool])
    assert_type(await handle.result(timeout=timedelta(seconds=5)), bool)
    assert_type(await handle.wait(timeout=timedelta(seconds=5)), Succeeded[bool] | Failed | NotYet | Gone)
    print(outcome.id)  # type: ignore[union-attr]
    await hx.jobs.enqueue("raw", {"any": "payload"})
    await hx.jobs.enqueue(release.job(1), max_retries=1)  # type: ignore[call-overload]
    await hx.jobs.enqueue(release.job(1), timeout=30)  # type: ignore[call-overload]
    await hx.jobs.enqueue(release.job(1), unique_until="done", unique_key="gig:1")
    await hx.jobs.enqueue(release.job(1), unique_until="success")  # type: ignore[call-overload]
    await hx.jobs.enqueue(release.job(1), debounce=timedelta(seconds=5))
    await hx.jobs.limit_queue("low", max_size=10_000)
    await hx.jobs.limit_queue("low", max_size=None)
    if isinstance(outcome, Enqueued):
        return outcome.id
    if isinstance(outcome, Duplicate):
        return outcome.of
    if isinstance(outcome, IdTaken):
        return outcome.of
    if isinstance(outcome, Debounced):
        return outcome.of
    if isinstance(outcome, QueueFull):
        assert_type((outcome.size, outcome.limit), tuple[int, int])
        return ""
    assert_never(outcome)


async def inspect(hx: HustleX) -> None:
    assert_type(hx.jobs.inspector, Inspector)
    assert_type(await hx.jobs.inspector.queue("low"), QueueInfo)
    assert_type(await hx.jobs.inspector.tasks("low", State.RETRY, size=2), list[TaskInfo])
    assert_type(await hx.jobs.inspector.servers(), list[Server])
    assert_type(await hx.jobs.inspector.run_all("low", State.RETRY), int)
    await hx.jobs.inspector.tasks("low", "retry")  # type: ignore[arg-type]


async def schedule(hx: HustleX) -> None:
    await hx.jobs.schedules.add("n", "@daily", release.job(1), dst="skip")
    await hx.jobs.schedules.change("n", spec="@hourly", timezone="Africa/Lagos")
    await hx.jobs.schedules.change("n", sepc="@hourly")  # type: ignore[call-arg]
    assert_type(await hx.jobs.schedules.all(), list[ScheduleInfo])
    assert_type(await hx.jobs.schedules.run("n"), Outcome)


def blocking(hx: BlockingHustleX) -> None:
    assert_type(hx.jobs.schedules.pause("n"), bool)
    assert_type(hx.jobs.enqueue(report.job("x")).or_raise().result(timeout=timedelta(seconds=1)), int)
    assert_type(hx.jobs.inspector.queues(), list[str])
