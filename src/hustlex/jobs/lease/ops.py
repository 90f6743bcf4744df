"""Taking tasks and keeping them: what a worker asks of one queue while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.jobs.keys import QueueKeys, owners, parked

_CYCLE = load("hustlex.jobs", "lease/cycle")
_EXTEND = load("hustlex.jobs", "lease/extend")
_ADOPT = load("hustlex.jobs", "lease/adopt")
_TRIAL = load("hustlex.jobs", "lease/put_on_trial")
_PARK = load("hustlex.jobs", "lease/park")

LEASE_S = 30
"""How long a lease lasts without a heartbeat."""
MOST = 1000
"""Tasks in one call, leased or acknowledged."""


class Past(msgspec.Struct, frozen=True, gc=False):
    """What a task's private fields remember."""

    crashes: int = 0
    """How often a worker died with it."""
    parked_at: int = 0
    """Unix second since when workers have put it off because none knew its type; 0 = they have not."""
    canceled: int = 0
    """1 = it must not run."""
    expires_ms: int = 0
    """Unix ms at which it is not worth its start any more; 0 = never."""


NO_PAST = Past()


class Cycle(msgspec.Struct, frozen=True, gc=False):
    """The answer of ``cycle``."""

    paused: bool
    """The queue is, so nothing was leased."""
    codes: bytes
    """One byte per row, ``1`` done, ``0`` not held."""
    leased: list[bytes]
    """id, message, id, message, ... as bytes."""
    wait_ms: int = 0
    """The queue's limits forbid more for so long, see ``limited``; 0 = they do not."""
    pasts: dict[bytes, Past] = {}
    """By id, of those that have one."""
    waited_ms: int = -1
    """For how long the first of those leased had been pending; -1 = nobody knows."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """A task that a server holds, as ``adopt`` finds it."""

    id: bytes
    holder: bytes
    message: bytes
    past: Past


def cycle(queue: QueueKeys, day: str, holder: str, want: int, rows: Sequence[Arg], now_ms: int) -> Op[Cycle]:
    """Acknowledge and lease in one step. want: 0 to 1000. rows: id, holder, lock of each finished task.

    day: today in UTC. holder: ``<server id>:<number>``, new for each call. now_ms: 0 is the server's clock.
    """
    keys = (
        queue.pending,
        queue.paused,
        queue.active,
        queue.lease,
        owners(queue),
        queue.processed,
        queue.processed_on(day),
    )
    return _CYCLE.op(keys, (now_ms, queue.task_prefix, holder, want, *rows), _cycle)


def _cycle(reply: Reply) -> Cycle:
    if reply[0] == 1:
        return Cycle(True, reply[1], [])
    return Cycle(False, reply[1], reply[2], 0, pasts(reply[3]), reply[4])


def pasts(rows: Reply) -> dict[bytes, Past]:
    """What scripts tell of the tasks they lease."""
    return {row[0]: Past(*row[1:]) for row in rows}


def extend(queue: QueueKeys, server: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Lengthen leases to 30 s from now and say that the server lives. rows: id, holder of each task.

    Answers a byte per row: ``1`` extended, ``2`` as well, and it was cancelled; ``0`` somebody else has the task now.
    """
    return _EXTEND.op((queue.lease, owners(queue)), (now_ms, queue.task_prefix, server, *rows), bytes)


def adopt(queue: QueueKeys, server: str, now_ms: int) -> Op[list[Held]]:
    """What this server holds according to Redis: finds a lease whose reply was lost."""
    return _ADOPT.op((queue.lease,), (now_ms, queue.task_prefix, server), _adopted)


def _adopted(reply: Reply) -> list[Held]:
    return [Held(row[0], row[1], row[2], Past(*row[3][1:])) for row in reply]


def put_on_trial(queue: QueueKeys, task_id: bytes, holder: str) -> Op[bool]:
    """A task that is suspected of killing workers is started now, with no other suspect. False: not held."""
    key = queue.task_prefix.encode() + task_id
    return _TRIAL.op((key.decode("utf-8", "surrogateescape"),), (holder,), lambda reply: bool(reply[0]))


def park(queue: QueueKeys, task_id: bytes, holder: str) -> Op[bool]:
    """Set an undecodable message aside. False: not held."""
    keys = (queue.active, queue.lease, parked(queue))
    return _PARK.op(keys, (queue.task_prefix, task_id, holder), lambda reply: bool(reply[0]))


def let_go(queue: QueueKeys, server: str) -> Op[None]:
    """This server holds nothing in this queue any more."""
    key = owners(queue)
    return command("jobs.let_go", Effect.IDEMPOTENT, "ZREM", key, server, keys=(key,), decode=lambda _: None)


def wait_pending(queue: QueueKeys, seconds: int) -> Op[bool]:
    """Wait on the server until the queue has a pending task; changes nothing. True: it has. Run it with ``block``.

    Moving the last element of a list to its own end blocks while the list is empty, whoever pushes to it later.
    """
    words = ("BLMOVE", queue.pending, queue.pending, "RIGHT", "RIGHT", seconds)
    return command(
        "jobs.wait_pending", Effect.READ, *words, keys=(queue.pending,), decode=lambda reply: reply is not None
    )
