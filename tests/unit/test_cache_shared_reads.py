"""Reads of stamps that the callers of one turn share: none gets an answer older than its question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hustlex.cache.shared_reads import SharedReads, answered
from hustlex.core.op import Op
from hustlex.errors import Misuse, Unavailable


class HandDriver:
    """Notes what is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[Any]] = []

    async def run_many(self, ops: Sequence[Op[Any]]) -> list[Any]:
        self.asked.append([op.keys[0] for op in ops])
        self.answers.append(asyncio.get_running_loop().create_future())
        found: list[Any] = await self.answers[-1]
        return found

    async def sent(self, times: int) -> None:
        while len(self.asked) < times:
            await asyncio.sleep(0)


@pytest.fixture
def driver() -> HandDriver:
    return HandDriver()


@pytest.fixture
def reads(driver: HandDriver) -> SharedReads:
    return SharedReads(driver)  # type: ignore[arg-type]


async def test_one_turn_asks_for_each_key_once(driver: HandDriver, reads: SharedReads) -> None:
    asked = [reads.ask(key, 50) for key in ("a", "b", "a", "a")]
    await driver.sent(1)
    driver.answers[0].set_result([b"1", None])
    assert await answered(asked) == [b"1", None, b"1", b"1"]
    assert driver.asked == [["a", "b"]]


async def test_what_is_asked_for_goes_with_what_its_caller_sends_in_the_same_turn(
    driver: HandDriver, reads: SharedReads
) -> None:
    written: list[list[list[str]]] = []
    asked = reads.ask("a", 50)
    asyncio.get_running_loop().call_soon(lambda: written.append([*driver.asked]))  # as a connection plans its write
    await driver.sent(1)
    driver.answers[0].set_result([b"1"])
    assert await asked == b"1"
    assert written == [[["a"]]]


async def test_reads_that_were_cancelled_before_they_began_hold_up_nobody(
    driver: HandDriver, reads: SharedReads
) -> None:
    lost = reads.ask("a", 50)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lost
    found = reads.ask("a", 50)
    await driver.sent(1)
    driver.answers[0].set_result([b"1"])
    assert await found == b"1"


async def test_whoever_comes_once_it_is_sent_asks_anew(driver: HandDriver, reads: SharedReads) -> None:
    first = reads.ask("a", 50)
    await driver.sent(1)
    second = reads.ask("a", 50)
    await driver.sent(2)
    driver.answers[1].set_result([b"newer"])
    driver.answers[0].set_result([b"older"])
    assert (await first, await second) == (b"older", b"newer")


async def test_each_waits_as_long_as_it_said(driver: HandDriver, reads: SharedReads) -> None:
    asked = [reads.ask("a", 50), reads.ask("a", 5000)]
    await driver.sent(1)
    driver.answers[0].set_result([Unavailable("late"), b"1"])
    late, found = await answered(asked)
    assert isinstance(late, Unavailable)
    assert found == b"1"


async def test_one_that_gives_up_leaves_the_others_their_answer(driver: HandDriver, reads: SharedReads) -> None:
    asked = [reads.ask("a", 50) for _ in range(2)]
    await driver.sent(1)
    asked[0].cancel()
    driver.answers[0].set_result([b"1"])
    assert await asked[1] == b"1"


async def test_what_is_no_failure_of_the_server_reaches_each(driver: HandDriver, reads: SharedReads) -> None:
    asked = [reads.ask("a", 50) for _ in range(2)]
    await driver.sent(1)
    driver.answers[0].set_exception(ValueError("a bug"))
    for each in asked:
        with pytest.raises(ValueError, match="a bug"):
            await each


def test_another_loop_begins_anew(driver: HandDriver, reads: SharedReads) -> None:
    async def ask_and_leave() -> None:
        reads.ask("a", 50)

    async def ask() -> Any:
        future = reads.ask("a", 50)
        await driver.sent(1)
        driver.answers[-1].set_result([b"1"])
        return await future

    asyncio.run(ask_and_leave())
    driver.asked.clear()
    assert asyncio.run(ask()) == b"1"


async def test_misuse_is_an_error_like_others(driver: HandDriver, reads: SharedReads) -> None:
    future = reads.ask("a", 50)
    await driver.sent(1)
    driver.answers[0].set_exception(Misuse("another loop"))
    assert isinstance(await future, Misuse)
