"""Futures that others answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hustlex.core.promise import answer, entrust


async def fails() -> int:
    raise ValueError("no number")


async def waits(for_what: asyncio.Event) -> int:
    await for_what.wait()
    return 7


async def test_whoever_waits_gets_what_the_task_makes_of_it() -> None:
    waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    begin = asyncio.Event()
    entrust(waiting, waits(begin))
    begin.set()
    assert await waiting == 7
    failing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    entrust(failing, fails())
    with pytest.raises(ValueError, match="no number"):
        await failing


async def test_a_task_and_whoever_waits_for_it_are_cancelled_together() -> None:
    loop = asyncio.get_running_loop()
    left, kept = loop.create_future(), loop.create_future()
    abandoned, ended = entrust(left, waits(asyncio.Event())), entrust(kept, waits(asyncio.Event()))
    left.cancel()
    ended.cancel()
    await asyncio.wait((abandoned, ended, kept))
    assert abandoned.cancelled() and kept.cancelled()


@pytest.mark.parametrize("outcome", [1, ValueError("late")])
async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(outcome: Any) -> None:
    gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    gone.cancel()
    answer(gone, outcome)
    assert gone.cancelled()
