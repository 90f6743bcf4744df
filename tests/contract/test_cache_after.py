"""Invalidations bound to a commit of SQLAlchemy: done when commit returns, never before it, never lost with it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from hustlex.app import HustleX
from hustlex.errors import Misuse
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE
from tests.contract.test_cache import every_key_ends

__all__ = ["every_key_ends"]

TTL = timedelta(minutes=5)
PATIENT = timedelta(seconds=10)


async def test_an_async_commit_invalidates_before_it_returns(url: str) -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with HustleX(url, timeout=PATIENCE) as hx, AsyncSession(engine) as session:
        users = hx.cache("user", int, ttl=TTL, timeout=PATIENT)

        @users.cached("user:f:{it}")
        async def load(it: int) -> int:
            return it

        for key in (1, 2, 3):
            await users.set(key, 1, tags=[f"t{key}"])
        await load(5)
        await session.execute(text("select 1"))
        hx.cache.after(session).delete(users, 1, 1).delete(load, 5)
        async with session.begin_nested():
            hx.cache.after(session).invalidate_tags("t2")
        assert await users.get_many([1, 2, 3]) == {1: 1, 2: 1, 3: 1}
        await session.commit()
        assert await users.get_many([1, 2, 3]) == {3: 1}
        assert await users.get(load.key(5)) is None
        await users.set(1, 1)
        await session.execute(text("select 1"))
        await session.commit()  # what was done is not done again
        assert await users.get(1) == 1
        hx.cache.after(session).delete(users, 1)
        await session.rollback()
        assert await users.get(1) == 1
        with pytest.raises(Misuse, match="AsyncSession"):
            hx.cache.after(Session())
    await engine.dispose()


def test_a_blocking_commit_does_too(url: str) -> None:
    engine = create_engine("sqlite://")
    with BlockingHustleX(url, timeout=PATIENCE) as hx, Session(engine) as session:
        users = hx.cache("user", int, ttl=TTL, timeout=PATIENT)
        users.set(1, 1)
        session.execute(text("select 1"))
        hx.cache.after(session).delete(users, 1)
        assert users.get(1) == 1
        session.commit()
        assert users.get(1) is None
        with pytest.raises(Misuse, match="Session"):
            hx.cache.after(AsyncSession())
    engine.dispose()


async def test_a_commit_stands_although_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with (
        HustleX("redis://127.0.0.1:1", timeout=timedelta(milliseconds=50)) as hx,
        AsyncSession(engine) as session,
    ):
        users = hx.cache("user", int, ttl=TTL, timeout=PATIENT)
        await session.execute(text("select 1"))
        hx.cache.after(session).delete(users, 1)
        with caplog.at_level(logging.WARNING):
            await session.commit()
        assert "tried again" in caplog.text
        from hustlex.cache import aio

        for task in [*aio._resending]:
            task.cancel()
        await asyncio.gather(*aio._resending, return_exceptions=True)
    await engine.dispose()
