"""Whatever reply of a cached computation is lost, or whenever its caller goes: nobody is left with the lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.cache import Cache, Caches
from hustlex.core.op import Op
from hustlex.drivers.aio import Driver
from hustlex.errors import Timeout
from tests.conftest import LONG
from tests.contract.test_cache import every_key_ends

__all__ = ["every_key_ends"]

MOST_CALLS = 20


class Losing(Driver):
    """A driver whose nth call is carried out, and its reply lost. lose: counted down; at 0 it is that call."""

    lose = -1
    lost = 0

    async def run(self, op: Op[Any]) -> Any:
        answer = await super().run(op)
        if self._is_lost():
            raise Timeout("the reply was lost", op=op.name)
        return answer

    async def run_many(self, ops: Sequence[Op[Any]]) -> list[Any]:
        answers = await super().run_many(ops)
        return [Timeout("the reply was lost", op=op.name) for op in ops] if self._is_lost() else list(answers)

    def _is_lost(self) -> bool:
        self.lose -= 1
        self.lost += self.lose == -1
        return self.lose == -1


async def one() -> int:
    return 7


async def many(keys: list[int]) -> dict[int, int]:
    return dict.fromkeys(keys, 7)


async def broken(keys: list[int]) -> dict[int, int]:
    raise LookupError(str(keys))


DOORS: dict[str, Callable[[Cache[int]], Awaitable[Any]]] = {
    "get_or_compute": lambda cache: cache.get_or_compute(1, one),
    "get_or_compute with tags": lambda cache: cache.get_or_compute(1, one, tags=["a"]),
    "get_or_compute_many": lambda cache: cache.get_or_compute_many([1, 2], many),
    "get_or_compute_many with tags": lambda cache: cache.get_or_compute_many([1, 2], many, tags=["a"]),
    "get_or_compute_many that fails": lambda cache: cache.get_or_compute_many([1, 2], broken, tags=["a"]),
    "warm": lambda cache: cache.warm([1, 2], many, tags=["a"]),
}
every_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS.keys())


async def until_no_lease_is_left(raw: redis.Redis) -> None:
    """In far less time than a lease lives."""
    async with asyncio.timeout(8):
        while [key for key in raw.scan_iter() if key.startswith(b"cl:")]:
            await asyncio.sleep(0.002)


def caches(driver: Driver) -> Cache[int]:
    lease = timedelta(seconds=20)
    return Caches(driver)("n", int, ttl=timedelta(minutes=1), timeout=LONG, lease=lease, clearable=True)


@every_door
async def test_a_lost_reply_leaves_no_lease(url: str, raw: redis.Redis, door: Callable[[Any], Awaitable[Any]]) -> None:
    async with Losing(url, timeout=LONG) as driver:
        for call in range(MOST_CALLS):
            raw.flushall()
            driver.lose, driver.lost = call, 0
            await asyncio.gather(door(caches(driver)), return_exceptions=True)
            await until_no_lease_is_left(raw)
            if not driver.lost:
                break
        assert 2 < call < MOST_CALLS - 1


@every_door
async def test_a_caller_that_goes_leaves_no_lease(url: str, raw: redis.Redis, door: Callable[[Any], Any]) -> None:
    async with Driver(url, timeout=LONG) as driver:
        for turns in range(15):
            raw.flushall()
            call = asyncio.ensure_future(door(caches(driver)))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await until_no_lease_is_left(raw)
