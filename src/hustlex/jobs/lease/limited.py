"""Leasing and starting within limits, and giving back what may not run yet. ``limits`` says what is promised."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Op, Reply
from hustlex.jobs.keys import QueueKeys, owners
from hustlex.jobs.lease.limits import Limits
from hustlex.jobs.lease.ops import Cycle, pasts

_CYCLE = load("hustlex.jobs", "lease/cycle_limited")
_PERMIT = load("hustlex.jobs", "lease/permit")
_DEFER = load("hustlex.jobs", "lease/defer")

WHEN_ONE_ENDS = -1
"""A wait that ends with a running task, not at a known time."""


class PermitRequest(msgspec.Struct, frozen=True):
    """What one gate wants. starting, ended: id and holder of tasks that want to start, in order, and that had a permit.

    life_s: how long any that want to start may run.
    """

    gate: str
    limits: Limits
    starting: Sequence[tuple[bytes, str]]
    ended: Sequence[tuple[bytes, str]]
    life_s: int


class Permit(msgspec.Struct, frozen=True):
    """granted: so many of the first may start. wait_ms: when not all may, how long to wait, or WHEN_ONE_ENDS."""

    granted: int
    wait_ms: int


def cycle(
    queue: QueueKeys,
    day: str,
    holder: str,
    want: int,
    rows: Sequence[Arg],
    now_ms: int,
    limits: Limits,
) -> Op[Cycle]:
    """``lease.cycle`` for a queue with limits; ``max_concurrency`` counts tasks in active, whoever holds them."""
    keys = (
        queue.pending,
        queue.paused,
        queue.active,
        queue.lease,
        owners(queue),
        queue.processed,
        queue.processed_on(day),
        queue.prefix + "x:starts",
    )
    limit, per_ms = _window(limits)
    args = (now_ms, queue.task_prefix, holder, want, limits.max_concurrency, limit, per_ms, *rows)
    return _CYCLE.op(keys, args, _cycle)


def _window(limits: Limits) -> tuple[int, int]:
    return (limits.rate.count, limits.rate.per_ms) if limits.rate else (0, 0)


def _cycle(reply: Reply) -> Cycle:
    if reply[0] == 1:
        return Cycle(True, reply[1], [])
    return Cycle(False, reply[1], reply[2], reply[5] if reply[0] == 2 else 0, pasts(reply[3]), reply[4])


def permit(queue: QueueKeys, asks: Sequence[PermitRequest], now_ms: int) -> Op[list[Permit]]:
    """Ask for all gates of one queue in one step. A call whose reply is lost may have used up starts of a rate."""
    args: list[Arg] = [now_ms, queue.prefix + "x:"]
    for ask in asks:
        most = ask.limits.max_concurrency
        ended = ask.ended if most else ()
        args += (ask.gate, most, *_window(ask.limits), ask.life_s)
        args += (len(ask.starting), len(ended))
        args += (field for task in (*ask.starting, *ended) for field in task) if most else ()
    return _PERMIT.op((queue.lease,), tuple(args), _permits)


def _permits(reply: Reply) -> list[Permit]:
    return [Permit(*reply[i : i + 2]) for i in range(0, len(reply), 2)]


def defer(queue: QueueKeys, _: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """Give tasks back, to run later; nothing is counted, no retry is used. rows: id, holder, delay in ms.

    Answers a byte per row, as ``finish`` does.
    """
    return _DEFER.op((queue.active, queue.lease, queue.scheduled), (now_ms, queue.task_prefix, "", *rows), bytes)


def put_off(queue: QueueKeys, _: str, rows: Sequence[Arg], now_ms: int) -> Op[bytes]:
    """As ``defer``, for tasks of a type that the worker does not know: since when stays on them, see ``ops.Past``."""
    keys = (queue.active, queue.lease, queue.scheduled)
    return _DEFER.op(keys, (now_ms, queue.task_prefix, "parked_at", *rows), bytes)
