"""What a handler leaves on its task: a result, and a stream of what it has to say meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Op, Reply
from hustlex.jobs.keys import ended, queue_keys, step_record, stream
from hustlex.jobs.types import State

_WRITE = load("hustlex.jobs", "stream/write_result")
_TELL = load("hustlex.jobs", "stream/tell")
_END = load("hustlex.jobs", "stream/end_attempt")
_GLANCE = load("hustlex.jobs", "stream/glance")
_AWAIT = load("hustlex.jobs", "stream/await_end")

MOST = 100
"""Items in one glance."""
FIRST, LAST = "-", "+"
"""Positions: from the oldest item that is kept, and only the newest ones, backwards."""


class StreamEntry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a stream. position: ``<Unix ms>-<number>``."""

    position: str
    fields: dict[bytes, bytes]


class Glance(msgspec.Struct, frozen=True, gc=False):
    """A job at one instant."""

    state: State | None
    """None = no such task."""
    message: bytes
    """b"" unless it ended or failed."""
    result: bytes
    """b"" unless it ended or failed."""
    phase: str
    """Of a workflow's step, "" = it is none."""
    why: str
    """Why such a step can never start."""
    items: list[StreamEntry]
    """After the position asked for, 100 at most."""


def write_result(queue: str, task_id: str, data: bytes) -> Op[bool]:
    """Put bytes into the task's ``result``; False when the task is not active (any more)."""
    return _WRITE.op((queue_keys(queue).task(task_id), stream(queue, task_id)), (data,), _yes)


def append(queue: str, task_id: str, fields: Sequence[Arg]) -> Op[bool]:
    """Append to the job's stream; False when the task is not active (any more)."""
    return _TELL.op((queue_keys(queue).task(task_id), stream(queue, task_id)), tuple(fields), _yes)


def end_attempt(queue: str, task_id: str, state: State, result: bytes = b"") -> Op[bool]:
    """Append how an attempt ended, when there is a stream. result: b"" = none, or it was told before."""
    return _END.op((stream(queue, task_id),), (state.value, result), _yes)


def await_end(queue: str, task_id: str) -> Op[bool]:
    """Say that somebody waits; False when there is no such task."""
    names = queue_keys(queue)
    return _AWAIT.op((names.task(task_id), f"{names.prefix}x:awaited"), (), _yes)


def glance(queue: str, task_id: str, position: str) -> Op[Glance]:
    """What is new since a position (or FIRST, LAST), and where the task is."""
    names = queue_keys(queue)
    keys = (
        names.task(task_id),
        stream(queue, task_id),
        step_record(names, task_id),
        f"{names.prefix}x:end:{task_id}",
        ended(names),
    )
    return _GLANCE.op(keys, (task_id, position), _glance)


def _glance(reply: Reply) -> Glance:
    _, state, message, result, phase, why, items = reply
    return Glance(
        State(state.decode()) if state else None,
        message,
        result,
        phase.decode(),
        why.decode("utf-8", "replace"),
        [StreamEntry(position.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for position, flat in items],
    )


def _yes(reply: Reply) -> bool:
    return bool(reply[0] == 1)
