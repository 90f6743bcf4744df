"""Flights as tasks."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from hustlex.cache import circles
from hustlex.cache.commit import Pending, waited
from hustlex.cache.flights import Compute, Course, Landed, Tags
from hustlex.cache.near import NearWatch
from hustlex.cache.plan import TagSpace
from hustlex.core import check, forks
from hustlex.core.faults import as_exception
from hustlex.core.lease_renewal.aio import renewed
from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error, Misuse, Overloaded

_log = logging.getLogger("hustlex.cache")
_inherited: list[object] = []
"""Tasks of a parent process: never resumed, never reported as forgotten."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that can be cached here. Raises Misuse."""
    inner = inspect.unwrap(check.function("the cached function", function))
    called = getattr(type(inner), "__call__", None)  # noqa: B004 - its kind is asked for
    if not any(inspect.iscoroutinefunction(each) for each in (function, inner, called)):
        raise Misuse("the cached function is not async", hint="write async def, or use the cache of hustlex.sync")
    return function


def watching(driver: AsyncDriver, prefix: str) -> NearWatch:
    """What hears of changes, for near caches."""
    return NearWatch(driver, prefix)


_resending: set[asyncio.Task[None]] = set()


def sender(driver: AsyncDriver, space: TagSpace) -> Callable[[Pending], None]:
    """Invalidates when a session has committed, before ``await session.commit()`` returns."""

    def send(what: Pending) -> None:
        try:
            waited(driver.follow(what.flow(space)))
        except Error as failure:
            _log.warning("an invalidation after a commit failed, and is tried again: %s", failure)
            task = asyncio.get_running_loop().create_task(driver.follow(what.again(space)))
            _resending.add(task)
            task.add_done_callback(_resending.discard)

    return send


def fitting(session: Any) -> Any:
    """A session whose commit can wait for us. Raises Misuse."""
    if not hasattr(session, "sync_session") and not hasattr(session, "async_session_factory"):
        inner = getattr(session, "session_factory", None)
        raise Misuse(
            f"after takes an AsyncSession here, not {check.shown(session if inner is None else inner)}",
            hint="pass the AsyncSession that will commit; for a Session use hustlex.sync",
        )
    return session


class Flights:
    """The table, for tasks of one event loop. A cancelled caller leaves; the task goes on while anybody waits."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._flights: dict[str, _TaskFlight] = {}
        forks.watch(self)

    def forked(self) -> None:
        _inherited.append(self._flights)
        self._flights = {}

    def find(self, entry: str) -> _TaskSeat | None:
        return self._seat(entry)

    def _seat(self, entry: str) -> _TaskSeat | None:
        flight = self._flights.get(entry)
        if flight is None:
            return None
        if flight.elsewhere:  # that loop has ended, and its tasks with it
            flight.seal()
            return None
        return _TaskSeat(flight, leading=False)

    def board(self, entry: str, course: Course, tags: Tags = (), *, behind: bool = False) -> _TaskSeat:
        there = self._seat(entry)
        if there is not None:
            return there
        return _TaskSeat(self._start(entry, course, tags, behind=behind), leading=not behind)

    def launch(self, entry: str, course: Course, tags: Tags = ()) -> None:
        there = self._flights.get(entry)
        if there is None or there.elsewhere:
            self._start(entry, course, tags, behind=True).abandoned = True

    def _start(self, entry: str, course: Course, tags: Tags, *, behind: bool) -> _TaskFlight:
        flight = _TaskFlight(self._flights, entry, tags)
        flight.aboard = int(behind)
        context = contextvars.copy_context()
        context.run(circles.enter, flight.node)
        coroutine = self._driver.follow(course(flight))
        flight.task = asyncio.get_running_loop().create_task(coroutine, context=context)
        flight.task.add_done_callback(flight.end)
        self._flights[entry] = flight
        return flight

    def detach(self, entry: str) -> None:
        self._flights.pop(entry, None)

    def detach_tagged(self, tags: Collection[str]) -> None:
        for entry, flight in [*self._flights.items()]:
            if not flight.tags.isdisjoint(tags):
                self._flights.pop(entry, None)

    def kept(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
        together: Any = _Together(self._driver)
        several: Any = renews

        async def run() -> Any:
            async with renewed(together, several, every_s):
                return await _result(compute)

        return run

    def around(self, entry: str, compute: Compute) -> Compute:
        async def run() -> Any:
            with circles.around(entry):
                return await _result(compute)

        return run

    def gate(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        return _Gate(places, patience_s)


class _Together:
    """A driver whose operation is several: leases that are renewed together, while any of them stands."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def run(self, renews: Sequence[Op[bool]]) -> bool:
        return any(answer is not False for answer in await self._driver.run_many(renews))


async def _result(compute: Compute) -> Any:
    try:
        result = compute()
        if inspect.isawaitable(result):
            return await result
    except GeneratorExit as escaped:  # would end the flight as if nobody waited for it, and leave its lease behind
        raise as_exception(escaped) from escaped
    raise Misuse(f"compute returned {check.shown(result)} at once", hint="pass an async function")


class _Gate:
    """A semaphore, another one in each event loop."""

    def __init__(self, places: int, patience_s: float) -> None:
        self._places = places
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._semaphore = asyncio.Semaphore(places)

    def __call__(self, compute: Compute) -> Compute:
        async def run() -> Any:
            if circles.placed():
                return await _result(compute)
            semaphore = await self._place()
            try:
                with circles.placing():
                    return await _result(compute)
            finally:
                semaphore.release()

        return run

    async def _place(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._semaphore = loop, asyncio.Semaphore(self._places)
        semaphore = self._semaphore
        try:
            async with asyncio.timeout(self._patience_s):
                await semaphore.acquire()
        except TimeoutError:
            raise Overloaded(f"{self._places} computations run already", hint="raise bulkhead") from None
        return semaphore


class _TaskFlight:
    """abandoned: whoever started it has gone, and may have taken along what the computation needs. aboard: passengers;
    one in the background has one more, so that it is never empty. task: None once it has ended, since its error leads
    here."""

    task: asyncio.Task[Landed] | None = None

    def __init__(self, table: dict[str, _TaskFlight], entry: str, tags: Tags) -> None:
        self.node = circles.Node()
        self.tags = frozenset(tags)
        self._table = table
        self._entry = entry
        self.stage = 0
        self.aboard = 0
        self.abandoned = False

    @property
    def elsewhere(self) -> bool:
        """Whether it belongs to another event loop."""
        return self.task is not None and self.task.get_loop() is not asyncio.get_running_loop()

    def advance(self) -> None:
        self.stage += 1

    def seal(self) -> None:
        if self._table.get(self._entry) is self:
            del self._table[self._entry]

    def end(self, task: asyncio.Task[Landed]) -> None:
        self.seal()
        self.task = None
        if not task.cancelled():
            task.exception()  # one that all have left is not reported as forgotten


class _TaskSeat:
    """task: until it is left. An error that is raised here knows this frame, so no name in it holds the task."""

    def __init__(self, flight: _TaskFlight, *, leading: bool) -> None:
        self._tied = circles.tie(flight.node)
        self._flight = flight
        self._task = flight.task
        self._stage = flight.stage
        self.leading = leading
        flight.aboard += 1

    async def wait(self, patience_s: float) -> Landed | None:
        assert self._task is not None
        await asyncio.wait((self._task,), timeout=None if self.leading else patience_s)
        if not self._task.done():
            raise circles.Impatient
        if self._task.cancelled():
            if self.leading:
                raise asyncio.CancelledError
            return None
        if self._flight.abandoned and self._task.exception() is not None:
            return None
        landed = self._task.result()
        return landed if self.leading or landed.proven or self._stage < self._flight.stage else None

    def leave(self) -> None:
        flight, task, self._task = self._flight, self._task, None
        circles.untie(self._tied, flight.node)
        flight.aboard -= 1
        if task is None or task.done():
            return
        flight.abandoned = flight.abandoned or self.leading
        if not flight.aboard:
            flight.seal()
            task.cancel()
