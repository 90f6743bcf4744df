"""The table in which jobs wait for their transaction's commit and for Redis, and the way into it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, Unpack

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    event,
    func,
)
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, object_session, registry, scoped_session

from hustlex.core import check
from hustlex.core.time import Clock
from hustlex.errors import Misuse
from hustlex.jobs.checks import declaration, seconds
from hustlex.jobs.enqueue.draft import Draft, draft, served
from hustlex.jobs.enqueue.job import Job, as_job
from hustlex.jobs.enqueue.options import Options
from hustlex.jobs.ids import new_id

_LONGEST_NAME = 40
"""What databases allow is 63, and an index has the name within its own."""

AnySession = Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]


def unix_ms() -> int:
    """This machine's time in milliseconds."""
    return int(time.time() * 1000)


class Outbox:
    """A table of the application's own database; what is added in a transaction is enqueued after its commit.

    metadata: the application's, so that its migrations (or ``create_all``) make the table.
    name: the table's.
    retention: given to jobs that set none. For so long after its end a task's id is known to the queue, so a row that
        is relayed a second time, because a relay died between enqueueing and deleting it, is dropped as a duplicate.
        Zero: such a task may run twice if the first run was over by then.
    clock: Unix milliseconds, for ``process_in``.
    queues: all there are, as in ``HustleX(queues=...)``; None = any name will do.

    Tested on SQLite and PostgreSQL. Make it once, beside the models.
    """

    def __init__(
        self,
        metadata: MetaData,
        *,
        name: str = "hustlex_outbox",
        retention: timedelta = timedelta(hours=1),
        clock: Clock = unix_ms,
        queues: Collection[str] | None = None,
    ) -> None:
        check.instance("metadata", metadata, MetaData)
        check.text("name", name, longest=_LONGEST_NAME)
        retention = seconds("retention", retention)
        check.function("clock", clock)
        self.table = _table(metadata, name)
        self._row = type("OutboxRow", (), {"__doc__": "One waiting job, as the session's unit of work wants it."})
        registry(metadata=metadata).map_imperatively(self._row, self.table)
        self._queues = declaration(queues)
        self._retention = retention
        self._clock = clock
        self._mark = f"hustlex outbox {name}"
        self._listeners: set[Callable[[], None]] = set()

    def add(self, session: AnySession, job: Job | str, payload: Any = None, **options: Unpack[Options]) -> str:
        """Enqueue with this session's transaction: ``outbox.add(session, release.job(gig_id=7))``. No await, no I/O.

        job, payload, options: as for ``Jobs.enqueue``; ``process_in`` counts from now. The row is written when the
        session flushes, and goes with a rollback, also to a savepoint. Returns the task's id, drawn here unless given.
        Raises Misuse, here and not in the relay, for what can never be enqueued.
        """
        check.instance("session", session, Session, AsyncSession, scoped_session, async_scoped_session)
        made = as_job(job, payload)
        placed = served(draft(made, self._with_retention(made, options), new_id()), self._queues)
        row = self._row()
        for name, value in self._values(made, placed).items():
            setattr(row, name, value)
        session.add(row)
        self._watch(row)
        return placed.id

    def listen(self, committed: Callable[[], None]) -> None:
        """Call this after each commit in this process that wrote to the outbox, in whatever thread it happens."""
        self._listeners.add(check.function("committed", committed))

    def unlisten(self, committed: Callable[[], None]) -> None:
        """Undo ``listen``."""
        self._listeners.discard(check.function("committed", committed))

    def _with_retention(self, job: Job, options: Options) -> Options:
        if not self._retention or "retention" in job.options or "retention" in options:
            return options
        return {**options, "retention": self._retention}

    def _values(self, job: Job, placed: Draft) -> dict[str, Any]:
        if placed.due.startswith("+"):
            placed = msgspec.structs.replace(placed, due=str(self._clock() + int(placed.due)))
        return {"task_id": placed.id, "queue": placed.queue, "type": job.type, "draft": msgspec.msgpack.encode(placed)}

    def _watch(self, row: object) -> None:
        session = object_session(row)
        if session is None:
            raise Misuse("the session did not take the job", hint="pass an open Session or AsyncSession")
        session.info[self._mark] = True
        if not event.contains(session, "after_commit", self._committed):
            event.listen(session, "after_commit", self._committed)

    def _committed(self, session: Session) -> None:
        """A savepoint's end is no commit; the transaction's is."""
        if not session.in_nested_transaction() and session.info.pop(self._mark, False):
            for committed in tuple(self._listeners):
                committed()


class _Hidden(bytes):
    """Bytes that errors and an engine's echo do not show: a job's arguments are its own affair."""

    def __repr__(self) -> str:
        return "(a job)"


class _Draft(TypeDecorator[bytes]):
    """Bytes in the database, hidden on their way there."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - for all alike
        return None if value is None else _Hidden(value)


def _table(metadata: MetaData, name: str) -> Table:
    """task_id, queue, type: for people who look. draft: the job, ready to be sent. reason: not null = parked."""
    reason: Column[str] = Column("reason", Text)
    failures = Column("failures", Integer, nullable=False, server_default="0", default=0)
    key = Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    waiting = reason.is_(None)
    return Table(
        name,
        metadata,
        key,
        Column("task_id", Text, nullable=False),
        Column("queue", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("draft", _Draft, nullable=False),
        Column("added_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        failures,
        reason,
        Index(f"ix_{name}_waiting", failures, key, postgresql_where=waiting, sqlite_where=waiting),
    )
