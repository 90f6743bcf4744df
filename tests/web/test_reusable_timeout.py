"""A timeout that is used again and again."""

from __future__ import annotations

import asyncio

import pytest

from hustlex.web.reusable_timeout import ReusableTimeout


async def passed(seconds: float) -> None:
    """Let timers that are due by then ring."""
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    loop.call_later(seconds, due.set_result, None)
    await due


async def test_it_rings_for_the_block_that_is_late_and_serves_the_next() -> None:
    timeout = ReusableTimeout()
    for _ in range(3):
        with timeout(30.0):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError), timeout(0.005):
            await asyncio.sleep(30)
    timeout.close()


async def test_a_block_that_is_in_time_hears_nothing_however_often() -> None:
    timeout = ReusableTimeout()
    for _ in range(50):
        with timeout(0.5):
            await passed(0.001)
    timeout.close()


async def test_a_timer_that_rings_between_blocks_disturbs_nobody() -> None:
    timeout = ReusableTimeout()
    with timeout(0.005):
        await asyncio.sleep(0)
    await passed(0.02)
    with timeout(30.0):
        await passed(0.02)
    timeout.close()


async def test_who_is_cancelled_is_cancelled() -> None:
    async def work() -> None:
        timeout = ReusableTimeout()
        with timeout(30.0):
            begun.set()
            await asyncio.sleep(30)

    begun = asyncio.Event()
    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_block_raises_comes_out() -> None:
    timeout = ReusableTimeout()
    with pytest.raises(KeyError), timeout(30.0):
        raise KeyError
    timeout.close()
