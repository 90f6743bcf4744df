"""One batch, in one database transaction: claim rows, hand them over, delete what was taken, park what is bad.

Written once, for Engine and AsyncEngine: ``send`` waits for Redis however its caller can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, Table, delete, false, func, select, update

from hustlex.drivers.faults import NOT_EXECUTED
from hustlex.errors import Conflict, Denied, Error, Full, OutcomeUnknown, Refused, Unavailable
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.types import Enqueued, Outcome
from hustlex.jobs.wire import WireError, decode_task
from hustlex.outbox.types import OutboxStanding, Relayed

Send = Callable[[Sequence[Draft]], Sequence[Outcome | Error]]
"""Enqueue; one outcome or error per draft, in order."""

MOST_COUNTED = 10_000
_TRIES = 5


class Claimed(msgspec.Struct, frozen=True):
    """A row. draft: the stored bytes. failures: how often it was refused."""

    id: int
    task_id: str
    type: str
    draft: bytes
    failures: int


Answered = tuple[Claimed, Outcome | Error]
Parked = tuple[Claimed, str]


class RelayedBatch(msgspec.Struct):
    """What one transaction did. parked: task id, type and reason of each. trouble: why others were left."""

    relayed: Relayed
    parked: list[tuple[str, str, str]]
    trouble: Error | None


def relay(connection: Connection, table: Table, limit: int, send: Send) -> RelayedBatch:
    """Work off the oldest rows, at most ``limit``; rows that other relays have claimed are passed over.

    The claim is a lock that ends with the transaction: should this process die, the rows are free at once.
    """
    drafts: list[Draft] = []
    sent: list[Claimed] = []
    parked: list[Parked] = []
    for row in _claim(connection, table, limit):
        try:
            drafts.append(_read(row.draft))
            sent.append(row)
        except (msgspec.DecodeError, WireError) as fault:
            parked.append((row, f"unreadable: {fault}"))
    answers = send(drafts) if drafts else ()
    return _settle(connection, table, parked, list(zip(sent, answers, strict=True)))


def standing(connection: Connection, table: Table) -> OutboxStanding:
    """What waits, at a cost that does not grow with it."""
    waiting = select(table.c.id).where(table.c.reason.is_(None)).limit(MOST_COUNTED).subquery()
    pending = connection.execute(select(func.count()).select_from(waiting)).scalar_one()
    oldest = select(table.c.added_at).where(table.c.reason.is_(None)).order_by(table.c.id).limit(1)
    added_at = connection.execute(oldest).scalar_one_or_none()
    if added_at is None:
        return OutboxStanding(0, 0.0)
    known = added_at if added_at.tzinfo is not None else added_at.replace(tzinfo=UTC)  # SQLite keeps no zone
    return OutboxStanding(pending, max(0.0, (datetime.now(UTC) - known).total_seconds()))


def is_refusal(answer: Outcome | Error) -> bool:
    """Whether the server answers others and refuses this job."""
    return isinstance(answer, Error) and not _is_passing(answer)


def _is_passing(error: Error) -> bool:
    """The server is away, full or not ready: no job's fault."""
    if isinstance(error, Refused) and error.server_code in {*NOT_EXECUTED, "MISCONF"}:
        return True
    return isinstance(error, Unavailable | OutcomeUnknown | Full)


def _read(data: bytes) -> Draft:
    """A stored draft. Raises msgspec.DecodeError or WireError for one that no worker could read."""
    draft = msgspec.msgpack.decode(data, type=Draft)
    decode_task(draft.message)
    return draft


def _claim(connection: Connection, table: Table, limit: int) -> list[Claimed]:
    if connection.dialect.name == "sqlite":
        # It has one writer at a time and no row locks: become the writer before reading.
        connection.execute(update(table).where(false()).values(failures=0))
    waiting = (
        select(*(table.c[name] for name in Claimed.__struct_fields__))
        .where(table.c.reason.is_(None))
        .order_by(table.c.failures, table.c.id)
    )
    found = connection.execute(waiting.limit(limit).with_for_update(skip_locked=True))
    return [Claimed(*row) for row in found]


def _settle(connection: Connection, table: Table, parked: list[Parked], answered: list[Answered]) -> RelayedBatch:
    taken: list[Answered] = []
    refused: list[int] = []
    left: list[Error] = []
    for row, answer in answered:
        if not isinstance(answer, Error):
            taken.append((row, answer))
        elif _is_bad(row, answer):
            parked.append((row, str(answer)))
        else:
            left.append(answer)
            refused += [row.id] if is_refusal(answer) else []
    _write(connection, table, [row.id for row, _ in taken], refused, parked)
    enqueued = sum(isinstance(answer, Enqueued) for _, answer in taken)
    relayed = Relayed(enqueued, len(taken) - enqueued, len(parked), len(left))
    return RelayedBatch(relayed, [(row.task_id, row.type, reason) for row, reason in parked], left[0] if left else None)


def _is_bad(row: Claimed, error: Error) -> bool:
    """Refused again and again. Missing rights or a full queue are no fault of the job; it waits, behind the others."""
    return is_refusal(error) and not isinstance(error, Denied | Conflict) and row.failures + 1 >= _TRIES


def _write(connection: Connection, table: Table, taken: list[int], refused: list[int], parked: list[Parked]) -> None:
    if taken:
        connection.execute(delete(table).where(table.c.id.in_(taken)))
    if refused:
        tried = update(table).where(table.c.id.in_(refused))
        connection.execute(tried.values(failures=table.c.failures + 1))
    for row, reason in parked:
        connection.execute(update(table).where(table.c.id == row.id).values(reason=reason))
