"""The bounded queue of one subscriber."""

from __future__ import annotations

import asyncio

import pytest

from hustlex.core.inbox import Inbox


def inbox(most: int = 3, most_bytes: int = 0) -> Inbox[str]:
    return Inbox(lambda dropped: f"{dropped} dropped", most, most_bytes)


async def all_of(box: Inbox[str]) -> list[str]:
    box.close()
    return [item async for item in box]


async def test_items_come_in_order_and_then_the_end() -> None:
    box = inbox()
    for item in "abc":
        box.put(item)
    assert await all_of(box) == ["a", "b", "c"]


async def test_the_oldest_make_room_and_a_gap_stands_in_their_place() -> None:
    box = inbox()
    for item in "abcdef":
        box.put(item)
    assert await all_of(box) == ["3 dropped", "d", "e", "f"]


async def test_bytes_are_bounded_too_and_freed_by_reading() -> None:
    box = inbox(10, most_bytes=5)
    box.put("a", 3)
    assert await anext(box) == "a"
    for item in "bcd":
        box.put(item, 2)
    assert await all_of(box) == ["1 dropped", "c", "d"]


async def test_an_error_comes_after_what_is_there_and_stays() -> None:
    box = inbox()
    box.put("a")
    box.close(KeyError("why"))
    assert await anext(box) == "a"
    for _ in range(2):
        with pytest.raises(KeyError):
            await anext(box)


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    box = inbox()
    reading = asyncio.ensure_future(anext(box))
    await asyncio.sleep(0)
    box.put("a")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await anext(box) == "a"
