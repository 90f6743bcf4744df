"""Carries jobs from the outbox to their queues, at least once, as often as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver, Effect, command
from hustlex.core.telemetry import Telemetry, told_of
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Conflict, Error, Timeout
from hustlex.jobs.enqueue import flows
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.enqueue.ops import MOST_AT_ONCE, enqueue
from hustlex.jobs.ids import new_token
from hustlex.jobs.types import Outcome, PartlyEnqueued, QueueFull
from hustlex.outbox.batch import RelayedBatch, is_refusal, relay, standing
from hustlex.outbox.table import Outbox
from hustlex.outbox.types import OutboxStanding, Relayed
from hustlex.worker.service import Service

_log = logger("hustlex.outbox")

_PATIENCE_S = 2.0
"""How long Redis may take while rows are claimed; on SQLite nobody else can write meanwhile."""
_TOLD_EVERY_S = 10.0
_PING = command("outbox.ping", Effect.READ, "PING", decode=bool)


@answering
class OutboxRelay(Service):
    """Run one in every process that adds jobs, so that a commit wakes it, and one in the worker, for the rest::

        async with OutboxRelay(hx.driver, engine, outbox): ...

    driver: the queues' server.
    engine: the outbox' database.
    poll: how often to look for what other processes added.
    batch: most rows in one transaction, 1 to 500. Relays share the work: PostgreSQL's row locks keep them apart, on
        SQLite they take turns. One relay keeps each queue's order of adding; several keep it by and large.

    ``trouble`` says what keeps it from working, "" = nothing.
    """

    name = "outbox"

    def __init__(
        self,
        driver: AsyncDriver,
        engine: AsyncEngine | Engine,
        outbox: Outbox,
        *,
        clock: Clock = server_clock,
        poll: timedelta = timedelta(seconds=1),
        batch: int = MOST_AT_ONCE,
    ) -> None:
        check.driver(driver)
        check.instance("engine", engine, AsyncEngine, Engine)
        check.instance("outbox", outbox, Outbox)
        check.whole("batch", batch, 1, MOST_AT_ONCE)
        check.duration("poll", poll, timedelta(milliseconds=1))
        check.function("clock", clock)
        super().__init__()
        self._driver = driver
        self._engine = engine
        self._outbox = outbox
        self._clock = clock
        self._poll_s = poll.total_seconds()
        self._batch = batch
        self._known = KnownQueues()
        self._told_at = float("-inf")
        self._home: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin the loop, in this event loop."""
        self._home = asyncio.get_running_loop()
        self._outbox.listen(self.wake)
        super().start()

    async def stop(self) -> None:
        """End the loop after its batch. What is left waits for another relay, or for the next start."""
        self._outbox.unlisten(self.wake)
        await super().stop()

    def wake(self) -> None:
        """Look now. From any thread."""
        if self._home is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._home.call_soon_threadsafe(super().wake)

    async def tick(self) -> float:
        """One batch. Raises the first error of those that left rows behind."""
        if self.trouble:
            await self._driver.run(_PING)
        batch = await self._work_off()
        if isinstance(self._driver.hook, Telemetry):
            await self._tell(self._driver.hook, batch.relayed)
        if batch.trouble is not None:
            raise batch.trouble
        return 0 if batch.relayed.claimed == self._batch else self._poll_s

    async def _tell(self, hook: Telemetry, relayed: Relayed) -> None:
        """Of a batch, and now and then of what is left; the database is asked for that only where somebody listens."""
        if relayed.claimed:
            told_of(hook, relayed)
        if monotonic() >= self._told_at + _TOLD_EVERY_S:
            self._told_at = monotonic()
            told_of(hook, await self._standing())

    async def _standing(self) -> OutboxStanding:
        table = self._outbox.table
        if isinstance(self._engine, AsyncEngine):
            async with self._engine.connect() as connection:
                return await connection.run_sync(standing, table)
        return await asyncio.to_thread(_look, self._engine, table)

    async def flush(self) -> Relayed:
        """Relay all that is committed, here and now: for tests, and scripts that end. Raises what kept rows back."""
        total = Relayed()
        while True:
            batch = await self._work_off()
            total += batch.relayed
            if batch.trouble is not None:
                raise batch.trouble
            if batch.relayed.claimed < self._batch:
                return total

    async def _work_off(self) -> RelayedBatch:
        if isinstance(self._engine, AsyncEngine):
            async with self._engine.begin() as connection:
                done = await connection.run_sync(self._relay)
        else:
            done = await asyncio.to_thread(self._in_thread, self._engine, asyncio.get_running_loop())
        for task_id, task_type, reason in done.parked:
            _log.error("task %s of type %r is parked: %s", task_id, task_type, reason)
        return done

    def _relay(self, connection: Connection) -> RelayedBatch:
        table = self._outbox.table
        return relay(connection, table, self._batch, lambda drafts: await_only(self._send(drafts)))

    def _in_thread(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> RelayedBatch:
        def send(drafts: Sequence[Draft]) -> Sequence[Outcome | Error]:
            return asyncio.run_coroutine_threadsafe(self._send(drafts), loop).result()

        with engine.begin() as connection:
            return relay(connection, self._outbox.table, self._batch, send)

    async def _send(self, drafts: Sequence[Draft]) -> list[Outcome | Error]:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return [_waits(answer) for answer in await self._deliver(drafts)]
        except TimeoutError:
            return [Timeout("the queues' server did not answer in time", op="outbox.relay") for _ in drafts]

    async def _deliver(self, drafts: Sequence[Draft]) -> list[Outcome | Error]:
        """All at once; those of a refused step again, each alone, so that one bad job holds nobody back."""
        results = await self._enqueue(drafts)
        alone = [at for at, result in enumerate(results) if is_refusal(result)]
        calls = [enqueue((drafts[at],), new_token(), self._clock()) for at in alone]
        answers: list[list[Outcome] | Error] = await self._driver.run_many(calls)
        for at, answer in zip(alone, answers, strict=True):
            results[at] = answer if isinstance(answer, Error) else answer[0]
        return results

    async def _enqueue(self, drafts: Sequence[Draft]) -> list[Outcome | Error]:
        try:
            return [*await self._driver.follow(flows.enqueue_many(drafts, self._clock(), self._known))]
        except PartlyEnqueued as some:
            return some.results
        except Error as error:
            return [error for _ in drafts]


def _look(engine: Engine, table: Table) -> OutboxStanding:
    with engine.connect() as connection:
        return standing(connection, table)


def _waits(answer: Outcome | Error) -> Outcome | Error:
    """A job for a full queue is not done with."""
    if isinstance(answer, QueueFull):
        return Conflict(f"queue {answer.queue!r} is full: {answer.size} of {answer.limit} tasks", op="outbox.relay")
    return answer
