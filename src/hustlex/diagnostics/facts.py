"""What servers and jobs say of themselves: asked in a few round trips, and changed by none of them."""

from __future__ import annotations

import time
from typing import TypeVar

import msgspec

from hustlex.core.memory import MemoryLimit, ask
from hustlex.core.memory.facts import fields_of
from hustlex.core.op import Effect, Flow, Op, Reply, command, do
from hustlex.errors import Refused
from hustlex.jobs.inspect import orphans
from hustlex.jobs.inspect.orphans import Orphans
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.ops import Refusals
from hustlex.jobs.schedule.periodic import ScheduleInfo

T = TypeVar("T")


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself."""

    info: dict[str, str]
    """The fields of INFO; none when the user may not ask for it."""
    memory: MemoryLimit
    """How much it may hold, and what it does then."""
    user: str
    """Whose rights we have; "" when that may not be asked."""
    skew_ms: int
    """Its clock minus ours."""
    round_trip_ms: float
    """How long one call took."""


class JobFacts(msgspec.Struct, frozen=True):
    """What is known of jobs that do not run."""

    entries: list[ScheduleInfo]
    """All periodic entries."""
    refused: dict[str, Refusals]
    """Entries whose task was not enqueued, of the last days."""
    orphans: Orphans
    """Queues and types that no worker takes."""


def of_server() -> Flow[ServerFacts]:
    """Ask a server. Raises Unavailable, and Denied for a wrong password."""
    yield from do(command("doctor.ping", Effect.READ, "PING", decode=bool))
    info = yield from _allowed(
        command("doctor.info", Effect.READ, "INFO", decode=lambda reply: fields_of(bytes(reply)))
    )
    before = time.time()
    server_ms = yield from do(command("doctor.time", Effect.READ, "TIME", decode=_milliseconds))
    after = time.time()
    memory = yield from ask()
    user = yield from _allowed(command("doctor.whoami", Effect.READ, "ACL", "WHOAMI", decode=_text))
    return ServerFacts(
        info=info or {},
        memory=memory,
        user=user or "",
        skew_ms=round(server_ms - (before + after) * 500),
        round_trip_ms=(after - before) * 1000,
    )


def of_jobs(now_ms: int = 0) -> Flow[JobFacts | None]:
    """Ask for what does not run; None for a user who may not look at jobs. Bounded, see ``Orphans``."""
    try:
        entries = yield from do(schedules.listed(now_ms))
        refused = yield from do(schedules.refused())
        return JobFacts(entries, refused, (yield from orphans.find(now_ms)))
    except Refused:
        return None


def _allowed(op: Op[T]) -> Flow[T | None]:
    try:
        return (yield from do(op))
    except Refused:
        return None


def _text(reply: Reply) -> str:
    return bytes(reply).decode()


def _milliseconds(reply: Reply) -> int:
    return int(reply[0]) * 1000 + int(reply[1]) // 1000
