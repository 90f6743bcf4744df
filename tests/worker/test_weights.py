"""How the queues of a busy worker share its slots."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from hustlex.drivers.aio import Driver
from hustlex.jobs import Jobs, Tasks
from tests.worker.support import running, until


async def test_busy_queues_share_the_slots_by_weight(driver: Driver, tasks: Tasks) -> None:
    ran: list[str] = []

    @tasks.task("note")
    async def note(queue: str) -> None:
        await asyncio.sleep(0.001)
        ran.append(queue)

    queues = {"critical": 6, "default": 3, "low": 1}
    for name in queues:
        await Jobs(driver).enqueue_many([note.job(queue=name).with_options(queue=name) for _ in range(1500)])
    async with running(driver, tasks, queues=queues, concurrency=10) as run:
        await until(lambda: len(ran) >= 1500)
        run.worker.stop()
    shares = Counter(ran[:1500])
    assert shares["critical"] == pytest.approx(900, abs=120)
    assert shares["default"] == pytest.approx(450, abs=120)
    assert shares["low"] == pytest.approx(150, abs=90)
