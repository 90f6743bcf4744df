"""A timeout that is used again and again."""

from __future__ import annotations

import asyncio

import pytest

from hustlex.web.alarm import Alarm


async def test_it_rings_for_the_block_that_is_late_and_serves_the_next() -> None:
    alarm = Alarm()
    for _ in range(3):
        with alarm(30.0):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError), alarm(0.005):
            await asyncio.sleep(30)
    alarm.close()


async def test_a_block_that_is_in_time_hears_nothing_however_often() -> None:
    alarm = Alarm()
    for _ in range(50):
        with alarm(0.5):
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    alarm.close()


async def test_a_timer_that_rings_between_blocks_disturbs_nobody() -> None:
    alarm = Alarm()
    with alarm(0.005):
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    with alarm(30.0):
        await asyncio.sleep(0.02)
    alarm.close()


async def test_who_is_cancelled_is_cancelled() -> None:
    async def work() -> None:
        alarm = Alarm()
        with alarm(30.0):
            begun.set()
            await asyncio.sleep(30)

    begun = asyncio.Event()
    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_block_raises_comes_out() -> None:
    alarm = Alarm()
    with pytest.raises(KeyError), alarm(30.0):
        raise KeyError
    alarm.close()
