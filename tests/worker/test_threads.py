"""Threads for plain functions: what strikes one, or keeps one from starting, costs an attempt and never a place."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
from collections.abc import Iterator

import pytest

from hustlex.worker.threads import Threads

LIMIT = 3


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(LIMIT)
    yield made
    made.close()


class TooLate(BaseException):
    """What a library throws into a thread whose function took too long."""


def struck_when_it_has_ended() -> None:
    """The next step of this thread after the function is one of the engine's own."""

    def trace(*_: object) -> None:
        raise TooLate

    sys.settrace(trace)


def strike(ident: int) -> None:
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(TooLate)) == 1


async def every_place_serves(threads: Threads) -> None:
    """So many calls at once as there may be, and they need each other."""
    together = threading.Barrier(LIMIT)
    async with asyncio.timeout(60):
        await asyncio.gather(*(threads.submit(lambda: together.wait(30)) for _ in range(LIMIT)))
    assert threads.trouble == ""


async def test_a_thread_that_is_struck_behind_its_call_says_so_and_serves_on(threads: Threads) -> None:
    for _ in range(2 * LIMIT):
        async with asyncio.timeout(60):
            with pytest.raises(Exception, match="TooLate"):
                await threads.submit(struck_when_it_has_ended)
    await every_place_serves(threads)


async def test_a_thread_that_is_struck_while_it_waits_takes_no_call_along(threads: Threads) -> None:
    """It hears of it as it is given the next one."""
    await every_place_serves(threads)
    idents = set[int]()
    while len(idents) < LIMIT:
        idents.add(await threads.submit(threading.get_ident))
    for ident in idents:
        strike(ident)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(threads.submit(lambda one=one: one) for one in range(2 * LIMIT)), return_exceptions=True
        )
    assert all(answer == one or "TooLate" in repr(answer) for one, answer in enumerate(answers))
    await every_place_serves(threads)


async def test_where_no_thread_can_be_started_a_call_fails_and_nothing_is_forgotten(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", full)
        for _ in range(2 * LIMIT):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await threads.submit(int)
    assert await threads.submit(int) == 0
    await every_place_serves(threads)


async def test_where_no_more_threads_can_be_started_calls_wait_for_those_there_are(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await threads.submit(int) == 0
    go_on = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("full")))
        first, second = threads.submit(lambda: go_on.wait(30)), threads.submit(int)
        go_on.set()
        async with asyncio.timeout(60):
            assert (await first, await second) == (True, 0)
    await every_place_serves(threads)
