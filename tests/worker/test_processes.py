"""Tasks that compute: each attempt in a process that can be killed, on a running worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.errors import Misuse
from hustlex.jobs import Jobs, Tasks
from hustlex.jobs.wire import TaskMessage, decode_task
from tests.conftest import LONG
from tests.worker import heavy
from tests.worker.nasty import ALL
from tests.worker.support import DEFAULT, Running, message, put, running, until

Start = Callable[..., Awaitable[Running]]


@pytest.fixture
def tasks() -> Tasks:
    """Those of the module that the processes import."""
    return heavy.tasks


def state(raw: redis.Redis, task_id: str) -> str:
    return (raw.hget(DEFAULT.task(task_id), "state") or b"gone").decode()


def stored(raw: redis.Redis, task_id: str) -> TaskMessage:
    return decode_task(raw.hget(DEFAULT.task(task_id), "msg"))


def notes(folder: Path) -> dict[int, list[str]]:
    """What each process has written."""
    return {int(path.name): path.read_text().splitlines() for path in folder.iterdir()}


def lives(pid: int) -> bool:
    """Also while one of its threads holds its files open."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    return False


async def test_a_process_runs_one_call_after_another(
    jobs: Jobs, start: Start, raw: redis.Redis, tmp_path: Path
) -> None:
    folder = str(tmp_path)
    results: list[Any] = []

    async def keep(_: object, handle: Any) -> Any:
        results.append(await handle())

    running = await start(concurrency=4, cpu_processes=1, middleware=[keep])
    for n in range(5):
        await jobs.enqueue(heavy.add.job(folder, a=n, b=1), task_id=f"t{n}")
    await until(lambda: raw.get(DEFAULT.processed) == b"5")
    ((pid, lines),) = notes(tmp_path).items()
    assert pid != os.getpid()
    assert sorted(lines) == [f"cpu:add t{n} 0 {n + 1}" for n in range(5)]
    assert sorted(results) == [1, 2, 3, 4, 5]
    await running.stop()
    await until(lambda: not lives(pid))


async def test_no_more_processes_run_than_there_may_be(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis, tmp_path: Path
) -> None:
    """The others wait for their turn, and their time has not begun; other tasks run meanwhile."""
    await jobs.enqueue_many([heavy.nap.job(str(tmp_path), 0.2) for _ in range(6)])
    async with running(driver, tasks, concurrency=10, cpu_processes=2) as run:
        await until(lambda: len(notes(tmp_path)) == 2)
        assert len(run.worker.parts.executor.waiting) <= 2
        await jobs.enqueue(heavy.fail.job("none"))
        await until(lambda: raw.get(DEFAULT.processed) == b"7")
    lines = [line.split() for lines in notes(tmp_path).values() for line in lines]
    times = sorted((float(at), 1 if what == "began" else -1) for what, at in lines)
    assert len(times) == 12 and max(accumulate(step for _, step in times)) <= 2
    assert len(notes(tmp_path)) == 2


async def test_a_process_is_killed_at_the_timeout(jobs: Jobs, start: Start, raw: redis.Redis, tmp_path: Path) -> None:
    running = await start(concurrency=2, cpu_processes=1)
    await jobs.enqueue(heavy.spin.job(str(tmp_path)), task_id="s1")
    await until(lambda: state(raw, "s1") == "retry")
    assert stored(raw, "s1").error_msg == "context deadline exceeded"
    assert running.worker.parts.executor.busy == 0
    ((pid, lines),) = notes(tmp_path).items()
    assert not lives(pid)
    await until(lambda: not lives(int(lines[1].split()[1])))  # what it had started is gone too
    await jobs.enqueue(heavy.add.job(str(tmp_path), 1, 2))
    await until(lambda: len(notes(tmp_path)) == 2)  # a new process took its place


async def test_a_process_is_killed_when_its_task_is_cancelled(
    jobs: Jobs, start: Start, raw: redis.Redis, tmp_path: Path
) -> None:
    await start(concurrency=2)
    await jobs.enqueue(heavy.nap.job(str(tmp_path), 60), task_id="n1")
    await until(lambda: notes(tmp_path))
    await until(lambda: raw.publish("asynq:cancel", "n1"))
    await until(lambda: state(raw, "n1") == "retry")
    assert stored(raw, "n1").error_msg == "context canceled"
    await until(lambda: not any(lives(pid) for pid in notes(tmp_path)))


@pytest.mark.parametrize(
    ("how", "ends", "error"),
    [
        ("plain", "retry", "ValueError: no such number"),
        ("peculiar", "retry", "RuntimeError: Peculiar: 1 and 2"),
        ("skip", "archived", "KeyError: 'x'"),
        ("revoke", "gone", ""),
        ("exit", "retry", "RuntimeError: SystemExit: 3"),
        ("crash", "retry", "the process that ran the handler was killed by SIGABRT"),
        ("vanish", "retry", "the process that ran the handler ended with exit code 7"),
        ("result", "archived", "RuntimeError: the result is a function, which cannot be pickled"),
        ("none", "gone", ""),
    ],
)
async def test_every_end_of_a_call_is_told(
    jobs: Jobs, start: Start, raw: redis.Redis, how: str, ends: str, error: str
) -> None:
    told: list[Exception] = []
    await start(concurrency=1, error_handler=lambda _, fault: told.append(fault))
    await jobs.enqueue(heavy.fail.job(how), task_id="f1")
    await until(lambda: raw.get(DEFAULT.processed) == b"1")
    assert state(raw, "f1") == ends
    if error:
        assert stored(raw, "f1").error_msg.startswith(error)
        assert stored(raw, "f1").retried == (ends == "retry")
    if how == "plain":
        assert "heavy.py" in told[0].__notes__[0]
    await jobs.enqueue(heavy.fail.job("none"))  # the worker goes on, in the same process or a new one
    await until(lambda: raw.get(DEFAULT.processed) == b"2")


@pytest.mark.parametrize("how", ["snooze", "snooze from"])
async def test_a_call_in_a_process_can_put_its_task_off(jobs: Jobs, start: Start, raw: redis.Redis, how: str) -> None:
    await start(concurrency=1)
    await jobs.enqueue(heavy.fail.job(how), task_id="f1", max_retry=0)
    await until(lambda: state(raw, "f1") == "scheduled")
    assert (stored(raw, "f1").retried, stored(raw, "f1").error_msg) == (0, "")
    assert 3500 < raw.zscore(DEFAULT.scheduled, "f1") - raw.time()[0] <= 3601


@pytest.mark.parametrize(
    ("how", "error"),
    [("retry", "Retry: busy"), ("retry from", "KeyError: 'x'"), ("retry of an error", "Retry")],
)
async def test_a_call_in_a_process_can_say_when_to_try_again(
    jobs: Jobs, start: Start, raw: redis.Redis, how: str, error: str
) -> None:
    await start(concurrency=1)
    await jobs.enqueue(heavy.fail.job(how), task_id="f1")
    await until(lambda: state(raw, "f1") == "retry")
    assert (stored(raw, "f1").retried, stored(raw, "f1").error_msg) == (1, error)
    assert 3500 < raw.zscore(DEFAULT.retry, "f1") - raw.time()[0] <= 3601


async def test_a_process_killed_from_outside_is_a_failed_attempt(
    jobs: Jobs, start: Start, raw: redis.Redis, tmp_path: Path
) -> None:
    await start(concurrency=1)
    await jobs.enqueue(heavy.nap.job(str(tmp_path), 60), task_id="n1")
    await until(lambda: notes(tmp_path))
    os.kill(next(iter(notes(tmp_path))), signal.SIGKILL)
    await until(lambda: state(raw, "n1") == "retry")
    assert stored(raw, "n1").error_msg == "the process that ran the handler was killed by SIGKILL"


async def test_a_process_that_dies_idle_costs_nobody_an_attempt(
    jobs: Jobs, start: Start, raw: redis.Redis, tmp_path: Path
) -> None:
    await start(concurrency=1)
    await jobs.enqueue(heavy.add.job(str(tmp_path), 1, 2))
    await until(lambda: raw.get(DEFAULT.processed) == b"1")
    (first,) = notes(tmp_path)
    os.kill(first, signal.SIGKILL)
    await until(lambda: not lives(first))
    await jobs.enqueue(heavy.add.job(str(tmp_path), 1, 2))
    await until(lambda: raw.get(DEFAULT.processed) == b"2")
    assert len(notes(tmp_path)) == 2 and not raw.exists(DEFAULT.failed)


async def test_signals_to_the_whole_group_leave_running_calls_to_the_worker(
    jobs: Jobs, start: Start, raw: redis.Redis, tmp_path: Path
) -> None:
    """A service manager signals every process at once; the worker alone decides what may still finish."""
    running = await start(concurrency=1)
    await jobs.enqueue(heavy.nap.job(str(tmp_path), 0.5), task_id="n1")
    await until(lambda: notes(tmp_path))
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(next(iter(notes(tmp_path))), number)
    await running.stop()
    assert raw.get(DEFAULT.processed) == b"1" and not raw.exists(DEFAULT.retry)


async def test_a_worker_that_stops_kills_what_its_grace_does_not_cover(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis, tmp_path: Path
) -> None:
    await jobs.enqueue(heavy.nap.job(str(tmp_path), 60), task_id="n1")
    async with running(driver, tasks) as run:
        await until(lambda: notes(tmp_path))
        run.worker._grace_s = 0
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"n1"]
    assert not any(lives(pid) for pid in notes(tmp_path))


async def test_arguments_are_checked_before_any_process_starts(start: Start, raw: redis.Redis) -> None:
    put(raw, message("a1", type="cpu:add", payload=b'{"a": "x"}'))
    await start()
    await until(lambda: state(raw, "a1") == "archived")
    assert "a1" not in stored(raw, "a1").error_msg and "cpu:add" in stored(raw, "a1").error_msg


def test_what_a_process_cannot_find_is_refused() -> None:
    tasks = Tasks()
    with pytest.raises(Misuse):

        @tasks.task("a", cpu=True)
        async def waits() -> None: ...

    with pytest.raises(Misuse):

        @tasks.task("b", cpu=True)
        def inner() -> None: ...


async def test_children_end_with_a_worker_that_is_killed(url: str, raw: redis.Redis, tmp_path: Path) -> None:
    import sys

    script = (
        "import asyncio, sys; from hustlex.drivers.aio import Driver; from hustlex.worker import Worker\n"
        "from tests.worker.heavy import tasks\n"
        "if __name__ == '__main__': asyncio.run(Worker(Driver(sys.argv[1]), tasks, queues={'default': 1}).run())\n"
    )
    main = tmp_path / "main.py"
    main.write_text(script)
    folder = tmp_path / "notes"
    folder.mkdir()
    await Jobs(driver := Driver(url, timeout=LONG)).enqueue(heavy.nap.job(str(folder), 60))
    await driver.close()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(main), url, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        await until(lambda: notes(folder))
    finally:
        worker.kill()
        await worker.wait()
    await until(lambda: not any(lives(pid) for pid in notes(folder)))


async def test_the_worst_that_a_process_can_raise_is_a_failed_attempt(
    jobs: Jobs, start: Start, raw: redis.Redis
) -> None:
    """It ends nothing here, has words on the task, and leaves the process to the next call."""
    await jobs.enqueue_many([heavy.throws.job(kind) for kind in ALL])
    run = await start(concurrency=2)
    await until(lambda: int(raw.get(DEFAULT.failed) or 0) == len(ALL))
    assert raw.zcard(DEFAULT.retry) == len(ALL)
    for task_id in raw.zrange(DEFAULT.retry, 0, -1):
        assert stored(raw, task_id.decode()).error_msg
    assert run.worker.health.ok


async def test_a_copy_that_a_function_forked_answers_for_nobody(jobs: Jobs, start: Start) -> None:
    """Its answer would be taken for that of the next call, and each job after it would get the end of another."""
    await start(cpu_processes=1, concurrency=1)
    calls = [heavy.twice.job(n, copied=n % 4 == 0) for n in range(12)]
    made = [(await jobs.enqueue(call)).or_raise() for call in calls]
    found = [await handle.result(timeout=timedelta(seconds=50)) for handle in made]
    assert found == [[n, 0] for n in range(12)]
