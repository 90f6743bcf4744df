"""The SQL database: SQLite in a file by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from examples.gigs.models import Base


class Database:
    """Opens sessions; one ``transaction()`` is one unit of work, committed at its end or rolled back."""

    def __init__(self, url: str) -> None:
        self.engine = create_async_engine(url, hide_parameters=True)  # they are phones and amounts; errors are logged
        if url.startswith("sqlite"):
            _make_private(self.engine.url.database)
            _share_sqlite(self.engine.sync_engine)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    async def create_tables(self) -> None:
        """Make what is missing; safe when several processes start at once."""
        async with self.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def _make_private(file: str | None) -> None:
    """SQLite gives the files beside it the same rights."""
    if file and file != ":memory:":
        Path(file).touch(mode=0o600)


def _share_sqlite(engine: Any) -> None:
    """Let API and worker write one file: readers do not block, writers queue up from their first statement.

    Without BEGIN IMMEDIATE two transactions that read first and write later can refuse each other for good.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below, not the driver's own
        cursor = connection.cursor()
        for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
