"""What a page costs: how many commands its answer took, and how long. The footer says it.

The console reaches the servers by drivers that count; the application's own calls, beside which it may be mounted, go
another way and pay nothing for it.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from hustlex.app import HustleX
from hustlex.core.lazy import lazy
from hustlex.core.op import AsyncDriver, Batch, Durable, Flow, Op, Part, Step

T = TypeVar("T")


class PageCost:
    """Of one request, from its first byte on."""

    def __init__(self) -> None:
        self.commands = 0
        self._began = time.perf_counter()

    def add(self, commands: int) -> None:
        """So many more were sent."""
        self.commands += commands

    @property
    def ms(self) -> float:
        """Milliseconds so far."""
        return (time.perf_counter() - self._began) * 1000


_now: ContextVar[PageCost | None] = ContextVar("hustlex.dashboard.cost", default=None)


def begin() -> None:
    """Count anew, for the request that is served in this task."""
    _now.set(PageCost())


def so_far() -> PageCost:
    """Of the request that is served in this task."""
    found = _now.get()
    return PageCost() if found is None else found


def counted(hx: HustleX) -> HustleX:
    """The same application, its rooms made anew on drivers that count."""
    front = copy.copy(hx)
    for name in [name for name in vars(front) if isinstance(getattr(type(hx), name, None), lazy)]:
        del vars(front)[name]
    front.driver = _counting(hx.driver)
    front.cache_driver = front.driver if hx.cache_driver is hx.driver else _counting(hx.cache_driver)
    return front


def _counting(driver: AsyncDriver) -> AsyncDriver:
    made: Any = _Counting(driver)
    wrapped: AsyncDriver = made
    return wrapped


def _count(commands: int) -> None:
    found = _now.get()
    if found is not None:
        found.add(commands)


class _Counting:
    """A driver that counts what it is handed: what a broken link made it repeat is one."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver

    async def run(self, op: Op[T]) -> T:
        _count(1)
        return await self._driver.run(op)

    def send(self, op: Op[T], *, at_once: bool = False) -> asyncio.Future[T]:
        _count(1)
        return self._driver.send(op, at_once=at_once)

    async def run_many(self, ops: Sequence[Op[T]]) -> Sequence[Any]:
        _count(len(ops))
        return await self._driver.run_many(ops)

    async def block(self, op: Op[T], seconds: float) -> T:
        _count(1)
        return await self._driver.block(op, seconds)

    async def follow(self, flow: Flow[T]) -> T:
        return await self._driver.follow(_steps(flow))

    def __getattr__(self, name: str) -> Any:
        """What the pages do not call."""
        return getattr(self._driver, name)


def _steps(flow: Flow[T]) -> Flow[T]:
    """The same flow; each of its steps is counted when it is taken."""
    try:
        step = flow.send(None)
        while True:
            _count(_size(step))
            try:
                answer = yield step
            except BaseException as error:  # noqa: BLE001 - the flow decides
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


def _size(step: Step) -> int:
    if isinstance(step, Batch | Durable):
        return len(step.ops)
    return int(isinstance(step, Op | Part))
