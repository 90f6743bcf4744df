"""kill -9 of real worker processes: nothing lost, only what was running is repeated, no retry burnt, within seconds."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import Jobs
from tests.support import forked
from tests.worker.support import DEFAULT, until
from tests.worker.victim import nap

Launch = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def launch(url: str) -> Iterator[Launch]:
    """Start a worker process of this concurrency; killed at the end."""
    started = []

    def begin(concurrency: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.worker.victim", url, str(concurrency)]
        started.append(forked.Popen(command))
        return started[-1]

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


@pytest.mark.timeout(450)
async def test_tasks_of_a_killed_worker_run_again_within_seconds(
    driver: Driver, raw: redis.Redis, launch: Launch
) -> None:
    count, slots = 600, 50
    await Jobs(driver).enqueue_many([nap.job(n).with_options(task_id=str(n)) for n in range(count)])
    first = launch(slots)
    await until(lambda: raw.llen("test:ended") >= 150)
    first.kill()
    first.wait()
    in_flight = set(raw.lrange(DEFAULT.active, 0, -1))
    assert 0 < len(in_flight) <= slots * 1.1  # a little is fetched ahead of short tasks
    restarted = time.monotonic()
    launch(slots)
    await until(lambda: raw.get(DEFAULT.processed) == b"%d" % count)
    assert time.monotonic() - restarted < 30  # the lease alone lasts 30, and its recovery as long
    ended = Counter(raw.lrange("test:ended", 0, -1))
    assert set(ended) == {b"%d" % n for n in range(count)}
    repeated = {n for n, times in Counter(raw.lrange("test:began", 0, -1)).items() if times > 1}
    assert repeated <= in_flight
    assert not raw.exists(DEFAULT.failed, DEFAULT.retry, DEFAULT.archived, DEFAULT.active, DEFAULT.lease)


async def test_sigterm_ends_a_worker_process_in_order(driver: Driver, raw: redis.Redis, launch: Launch) -> None:
    await Jobs(driver).enqueue_many([nap.job(n) for n in range(200)])
    worker = launch(10)
    await until(lambda: raw.llen("test:ended") >= 20)
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 5) == 0
    done = int(raw.get(DEFAULT.processed))
    assert done == raw.llen("test:ended") == raw.llen("test:began")
    assert raw.llen(DEFAULT.pending) == 200 - done
    assert not raw.exists(DEFAULT.active, DEFAULT.lease, "asynq:servers")
