"""Flights as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hustlex.cache.flights import ITSELF, Compute, Course, Landed
from hustlex.core.keeper.aio import kept
from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Misuse


class Flights:
    """The table, for tasks of one event loop. A cancelled caller leaves; the task goes on while anybody waits."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._flights: dict[str, _TaskFlight] = {}

    def find(self, entry: str) -> _TaskSeat | None:
        flight = self._flights.get(entry)
        if flight is None:
            return None
        if flight.task is asyncio.current_task():
            raise Misuse(ITSELF)
        return _TaskSeat(flight, leading=False)

    def board(self, entry: str, course: Course) -> _TaskSeat:
        there = self._flights.get(entry)
        if there is not None:
            return _TaskSeat(there, leading=False)
        flight = self._flights[entry] = _TaskFlight(self._flights, entry)
        flight.task = asyncio.get_running_loop().create_task(self._driver.follow(course(flight)))
        flight.task.add_done_callback(flight.end)
        return _TaskSeat(flight, leading=True)

    def detach(self, entry: str) -> None:
        self._flights.pop(entry, None)

    def kept(self, compute: Compute, renew: Op[bool], every_s: float) -> Compute:
        async def run() -> Any:
            async with kept(self._driver, renew, every_s):
                return await compute()

        return run

    def gate(self, places: int) -> Callable[[Compute], Compute]:
        semaphore = asyncio.Semaphore(places)

        def guarded(compute: Compute) -> Compute:
            async def run() -> Any:
                async with semaphore:
                    return await compute()

            return run

        return guarded


class _TaskFlight:
    task: asyncio.Task[Landed]

    def __init__(self, table: dict[str, _TaskFlight], entry: str) -> None:
        self._table = table
        self._entry = entry
        self.stage = 0
        self.aboard = 0

    def advance(self) -> None:
        self.stage += 1

    def seal(self) -> None:
        if self._table.get(self._entry) is self:
            del self._table[self._entry]

    def end(self, task: asyncio.Task[Landed]) -> None:
        self.seal()
        if not task.cancelled():
            task.exception()  # one that all have left is not reported as forgotten


class _TaskSeat:
    def __init__(self, flight: _TaskFlight, *, leading: bool) -> None:
        self._flight = flight
        self._stage = flight.stage
        self.leading = leading
        flight.aboard += 1

    async def wait(self) -> Landed | None:
        task = self._flight.task
        await asyncio.wait((task,))
        if task.cancelled():
            if self.leading:
                raise asyncio.CancelledError
            return None
        landed = task.result()
        return landed if self.leading or landed.proven or self._stage < self._flight.stage else None

    def leave(self) -> None:
        self._flight.aboard -= 1
        if not self._flight.aboard and not self._flight.task.done():
            self._flight.seal()
            self._flight.task.cancel()
