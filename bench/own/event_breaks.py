"""A subscription whose link is cut 80 times while messages flow: how soon it goes on, and what was lost."""

from __future__ import annotations

import asyncio
import statistics
import time

import msgspec

from hustlex.core.op import Effect, command
from hustlex.drivers.aio import Driver
from hustlex.events import Events, Message

_BREAKS = 80
_EVERY_S = 0.002


class Tick(msgspec.Struct, frozen=True):
    """A number, counted up."""

    number: int


async def measure(url: str, _: float) -> dict[str, float]:
    """Milliseconds from the cut to the first message that was sent after it; messages lost, doubled, out of order."""
    listening, publishing = Driver(url), Driver(url)
    options = {"kind": "replay", "size": 10_000}
    inbound = Events(listening).channel("ticks:all", Tick, **options)  # type: ignore[call-overload]
    outbound = Events(publishing).channel("ticks:all", Tick, **options)  # type: ignore[call-overload]
    got: list[int] = []
    arrived = asyncio.Condition()
    sent = 0

    async def listen() -> None:
        async with inbound.subscribe() as messages:
            async for item in messages:
                got.append(item.data.number if isinstance(item, Message) else -1)
                async with arrived:
                    arrived.notify_all()

    async def publish() -> None:
        nonlocal sent
        while True:
            await outbound.publish(Tick(sent))
            sent += 1
            await asyncio.sleep(_EVERY_S)

    tasks = [asyncio.create_task(listen())]
    await asyncio.sleep(0.2)
    tasks.append(asyncio.create_task(publish()))
    kill = command("bench.kill", Effect.ONCE, "CLIENT", "KILL", "TYPE", "pubsub", decode=int)
    back: list[float] = []
    for _ in range(_BREAKS):
        await publishing.run(kill)
        begun, first = time.perf_counter(), sent + 1
        async with asyncio.timeout(20), arrived:
            await arrived.wait_for(lambda: got and got[-1] >= first)  # noqa: B023
        back.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.02)
    tasks[1].cancel()
    await asyncio.sleep(0.5)
    tasks[0].cancel()
    await asyncio.wait(tasks)
    wanted = [*range(got[0], sent)]
    lost, doubled = len(set(wanted) - set(got)), len(got) - len(set(got))
    await listening.close()
    await publishing.close()
    return {
        "resume_ms": statistics.median(back),
        "resume_worst_ms": max(back),
        "events_breaks": _BREAKS,
        "events_sent": sent,
        "events_lost": lost,
        "events_doubled": doubled,
        "events_disordered": float(got != sorted(got)),
    }
