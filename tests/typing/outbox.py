"""What a user's type checker sees of the outbox and the testing helpers. See jobs.py for how to read this."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from sqlalchemy import Engine, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from hustlex import HustleX, Tasks
from hustlex.jobs import TaskInfo
from hustlex.outbox import Outbox, OutboxRelay, Relayed
from hustlex.testing import Drained, EagerJobs, FixedClock, assert_enqueued, drain, eager, enqueued

tasks = Tasks()
outbox = Outbox(MetaData(), retention=timedelta(minutes=5))


@tasks.task("ship")
async def ship(order: int) -> None: ...


def plain(session: Session) -> None:
    assert_type(outbox.add(session, ship.job(1), queue="low"), str)
    outbox.add(session, "raw", {"any": "payload"}, task_id="x")
    outbox.add(session, ship.job(1), queues="typo")  # type: ignore[call-arg]
    outbox.add("no session", ship.job(1))  # type: ignore[arg-type]


async def relayed(hx: HustleX, session: AsyncSession, engine: AsyncEngine, blocking: Engine) -> None:
    outbox.add(session, ship.job(1))
    async with OutboxRelay(hx.driver, engine, outbox) as relay:
        assert_type(await relay.flush(), Relayed)
        assert_type(relay.trouble, str)
    OutboxRelay(hx.driver, blocking, outbox, poll=timedelta(seconds=5))
    OutboxRelay(hx, engine, outbox)  # type: ignore[arg-type]


async def tested(hx: HustleX) -> None:
    async with eager(tasks, hx=hx, state=object()) as jobs:
        assert_type(jobs, EagerJobs)
        assert_type([ran.error for ran in jobs.ran], list[Exception | None])
    assert_type(await drain(hx, tasks), Drained)
    assert_type(await drain(hx.driver, tasks, queues=["low"], clock=FixedClock()), Drained)
    assert_type(await enqueued(hx, ship, arguments={"order": 1}), list[TaskInfo])
    assert_type(await assert_enqueued(hx, "ship", process_in=timedelta(hours=1)), list[TaskInfo])
    await drain(hx, ship)  # type: ignore[arg-type]
    await assert_enqueued(hx, ship, within=1)  # type: ignore[call-arg]
