"""An application with a database and jobs, and a program that dies in the middle of relaying them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from hustlex.drivers.aio import Driver
from hustlex.jobs import Tasks
from hustlex.outbox import Outbox, OutboxRelay

tasks = Tasks()


@tasks.task("order:ship", queue="critical")
async def ship(order: int) -> None: ...


@tasks.task("order:mail")
async def mail(order: int) -> None: ...


class Shop:
    """Orders, each with a job to ship it."""

    metadata = MetaData()
    orders = Table("orders", metadata, Column("id", Integer, primary_key=True))
    outbox = Outbox(metadata)

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def buy(self, *orders: int, **options: Any) -> list[str]:
        """Orders and their jobs in one transaction; the task ids."""
        async with AsyncSession(self.engine) as session, session.begin():
            await session.execute(insert(self.orders), [{"id": order} for order in orders])
            return [self.outbox.add(session, ship.job(order), **options) for order in orders]

    async def rows(self) -> list[Any]:
        """What is in the outbox, oldest first."""
        table = self.outbox.table
        async with self.engine.connect() as connection:
            return list((await connection.execute(select(table).order_by(table.c.id))).all())

    async def count(self) -> int:
        """How many orders there are."""
        async with self.engine.connect() as connection:
            return (await connection.execute(select(func.count()).select_from(self.orders))).scalar_one()


def open_engine(url: str) -> AsyncEngine:
    options = {"connect_args": {"timeout": 10}} if url.startswith("sqlite") else {}
    return create_async_engine(url, **options)


async def die_before_deleting(database: str, redis: str) -> None:
    """Relay, and kill -9 this process when the rows are enqueued and about to be deleted."""
    engine = open_engine(database)

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _die(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("DELETE"):
            os.kill(os.getpid(), signal.SIGKILL)

    await OutboxRelay(Driver(redis), engine, Shop.outbox).flush()


async def die_after_committing(database: str) -> None:
    """Buy, and kill -9 this process at the commit's end."""
    engine = open_engine(database)
    Shop.outbox.listen(lambda: os.kill(os.getpid(), signal.SIGKILL))
    await Shop(engine).buy(1, 2)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](*sys.argv[2:]))
