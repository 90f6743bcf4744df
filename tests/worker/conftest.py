from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from hustlex.drivers.aio import Driver
from hustlex.jobs import Jobs, Tasks
from tests.worker.support import Running, running


@pytest.fixture
def tasks() -> Tasks:
    """An empty set of tasks."""
    return Tasks()


@pytest.fixture
async def jobs(driver: Driver) -> Jobs:
    """A producer."""
    return Jobs(driver)


@pytest.fixture
async def start(driver: Driver, tasks: Tasks) -> AsyncIterator[Any]:
    """``worker = await start(concurrency=3)``: a running worker of ``tasks``, stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def begin(given: Driver = driver, **options: Any) -> Running:
            return await stack.enter_async_context(running(given, tasks, **options))

        yield begin
