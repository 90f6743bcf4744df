"""Computations as tasks."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

from hustlex.cache import circles
from hustlex.cache.commit import Pending, waited
from hustlex.cache.computations import Compute, MakeFlow, SharedResult, Tags
from hustlex.cache.near import NearWatch
from hustlex.cache.plan import CachePlan, TagSpace
from hustlex.cache.reading import SERVER_FAILURES, Looked
from hustlex.cache.shared_reads import SharedReads
from hustlex.cache.shortcut import LONG, hit
from hustlex.core import check, forks
from hustlex.core.faults import as_exception
from hustlex.core.lease_renewal.aio import renewed
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver, Flow, Op
from hustlex.errors import Error, Misuse, Overloaded

_log = logger("hustlex.cache")
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


async def found(
    driver: AsyncDriver,
    plan: CachePlan[Any],
    entry: str,
    tags: tuple[str, ...],
    flow: Callable[[Looked | None], Flow[Any]],
) -> Any:
    """The value by the short way; else what the flow answers, which is given what was read."""
    if not plan.short or plan.computations.under_way(entry):
        return await driver.follow(flow(None))
    looked = await _look(driver, plan, entry, tags)
    value = hit(plan, tags, looked)
    return await driver.follow(flow(looked)) if value is LONG else value


async def _look(driver: AsyncDriver, plan: CachePlan[Any], entry: str, tags: tuple[str, ...]) -> Looked:
    timeout_ms, reads = plan.policy.timeout_ms, plan.space.reads
    assert reads is not None
    asked = [reads.ask(plan.stamp(tag), timeout_ms) for tag in tags]
    try:
        raw = await driver.run(plan.get(entry))
    except SERVER_FAILURES as failure:
        return Looked(failure)
    if raw is None:
        return Looked(None)
    plan.weigh(raw)
    return Looked(raw, tuple([await future for future in asked]))


class Computations:
    """The table, for tasks of one event loop. A cancelled caller leaves; the task goes on while anybody waits."""

    def __init__(self, driver: AsyncDriver) -> None:
        self.reads: SharedReads | None = SharedReads(driver)
        self._driver = driver
        self._computations: dict[str, _TaskComputation] = {}
        forks.watch(self)

    def forked(self) -> None:
        _inherited.append(self._computations)
        self._computations = {}

    def under_way(self, entry: str) -> bool:
        return entry in self._computations

    def join(self, entry: str) -> _TaskParticipant | None:
        return self._joined(entry)

    def _joined(self, entry: str) -> _TaskParticipant | None:
        computation = self._computations.get(entry)
        if computation is None:
            return None
        if computation.elsewhere:  # that loop has ended, and its tasks with it
            computation.close()
            return None
        return _TaskParticipant(computation, leading=False)

    def join_or_start(
        self, entry: str, make_flow: MakeFlow, tags: Tags = (), *, background: bool = False
    ) -> _TaskParticipant:
        there = self._joined(entry)
        if there is not None:
            return there
        return _TaskParticipant(self._start(entry, make_flow, tags, background=background), leading=not background)

    def start_in_background(self, entry: str, make_flow: MakeFlow, tags: Tags = ()) -> None:
        there = self._computations.get(entry)
        if there is None or there.elsewhere:
            self._start(entry, make_flow, tags, background=True).abandoned = True

    def _start(self, entry: str, make_flow: MakeFlow, tags: Tags, *, background: bool) -> _TaskComputation:
        computation = _TaskComputation(self._computations, entry, tags)
        computation.callers = int(background)
        context = contextvars.copy_context()
        context.run(circles.enter, computation.node)
        coroutine = self._driver.follow(make_flow(computation))
        computation.task = asyncio.get_running_loop().create_task(coroutine, context=context)
        computation.task.add_done_callback(computation.end)
        self._computations[entry] = computation
        return computation

    def detach(self, entry: str) -> None:
        self._computations.pop(entry, None)

    def detach_tagged(self, tags: Collection[str]) -> None:
        for entry, computation in [*self._computations.items()]:
            if not computation.tags.isdisjoint(tags):
                self._computations.pop(entry, None)

    def renewing(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
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

    def bulkhead(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        return _Bulkhead(places, patience_s)


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
    except GeneratorExit as escaped:  # would end this as if nobody waited, and leave the lease behind
        raise as_exception(escaped) from escaped
    raise Misuse(f"compute returned {check.shown(result)} at once", hint="pass an async function")


class _Bulkhead:
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


class _TaskComputation:
    """abandoned: whoever started it has gone, and may have taken along what the computation needs. callers: how many
    wait for it; one in the background has one more, so that it is never empty. task: None once it has ended, since its
    error leads here."""

    task: asyncio.Task[SharedResult] | None = None

    def __init__(self, table: dict[str, _TaskComputation], entry: str, tags: Tags) -> None:
        self.node = circles.Node()
        self.tags = frozenset(tags)
        self._table = table
        self._entry = entry
        self.stage = 0
        self.callers = 0
        self.abandoned = False

    @property
    def elsewhere(self) -> bool:
        """Whether it belongs to another event loop."""
        return self.task is not None and self.task.get_loop() is not asyncio.get_running_loop()

    def advance(self) -> None:
        self.stage += 1

    def close(self) -> None:
        if self._table.get(self._entry) is self:
            del self._table[self._entry]

    def end(self, task: asyncio.Task[SharedResult]) -> None:
        self.close()
        self.task = None
        if not task.cancelled():
            task.exception()  # one that all have left is not reported as forgotten


class _TaskParticipant:
    """task: until it is left. An error that is raised here knows this frame, so no name in it holds the task."""

    def __init__(self, computation: _TaskComputation, *, leading: bool) -> None:
        self._tied = circles.tie(computation.node)
        self._computation = computation
        self._task = computation.task
        self._stage = computation.stage
        self.leading = leading
        computation.callers += 1

    async def wait(self, patience_s: float) -> SharedResult | None:
        assert self._task is not None
        await asyncio.wait((self._task,), timeout=None if self.leading else patience_s)
        if not self._task.done():
            raise circles.Impatient
        if self._task.cancelled():
            if self.leading:
                raise asyncio.CancelledError
            return None
        if self._computation.abandoned and self._task.exception() is not None:
            return None
        result = self._task.result()
        return result if self.leading or result.proven or self._stage < self._computation.stage else None

    def leave(self) -> None:
        computation, task, self._task = self._computation, self._task, None
        circles.untie(self._tied, computation.node)
        computation.callers -= 1
        if task is None or task.done():
            return
        computation.abandoned = computation.abandoned or self.leading
        if not computation.callers:
            computation.close()
            task.cancel()
