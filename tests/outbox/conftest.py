"""Each test with a database of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.outbox.shop import Shop, open_engine
from tests.support.needs import needs
from tests.support.postgres import Postgres, find_binaries


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL, shared by the tests of this process."""
    with Postgres(needs(find_binaries(), "PostgreSQL (initdb and postgres)")) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An SQLAlchemy URL."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}"
    url: str = request.getfixturevalue("postgres").url
    return url


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """Its engine, with the shop's tables, empty."""
    engine = open_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(Shop.metadata.drop_all)
        await connection.run_sync(Shop.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def shop(engine: AsyncEngine) -> Shop:
    """Orders and an outbox."""
    return Shop(engine)


@pytest.fixture
def statements(engine: AsyncEngine) -> list[str]:
    """Every statement that the engine sends from now on."""
    seen: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _see(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    return seen
