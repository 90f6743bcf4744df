"""Work beside its caller, as a task and as a thread."""

from __future__ import annotations

import asyncio
import threading

from hustlex.core.background import aio, blocking


async def test_a_task_starts_once_tells_when_it_is_ready_and_ends() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        background.ready()
        while not background.ended:
            await background.pause(3600)

    background = aio.Background(work, "work")
    assert not await background.wait(0)
    for _ in range(3):
        background.start()
    assert await background.wait(60)
    await background.close(5)
    background.start()
    await asyncio.sleep(0)
    assert begun == 1


def test_a_task_of_a_loop_that_has_ended_starts_again() -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append("work")
        background.ready()
        await background.pause(3600)

    background = aio.Background(work, "work", lambda: begun.append("again"))

    async def use() -> None:
        background.start()
        assert await background.wait(60)

    for _ in range(2):
        asyncio.run(use())
    assert begun == ["work", "again", "work"]


def test_a_thread_starts_once_tells_when_it_is_ready_and_ends() -> None:
    begun: list[int] = []

    def work() -> None:
        begun.append(threading.get_ident())
        background.ready()
        while not background.ended:
            background.pause(3600)

    background = blocking.Background(work, "work")
    assert not background.wait(0)
    for _ in range(3):
        background.start()
    assert background.wait(60)
    background.close(5)
    background.start()
    assert len(begun) == 1
    assert begun[0] not in {thread.ident for thread in threading.enumerate()}


def test_a_thread_that_is_gone_starts_again() -> None:
    begun: list[str] = []

    def work() -> None:
        begun.append("work")
        background.ready()

    background = blocking.Background(work, "work", lambda: begun.append("again"))
    background.start()
    assert background.wait(60)
    (thread,) = [each for each in threading.enumerate() if each.name == "work"] or [None]
    if thread is not None:
        thread.join(60)
    background.start()
    background.close(5)
    assert begun == ["work", "again", "work"]
