"""Steps of workflows: kept until those before them have succeeded, then enqueued once."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply, command
from hustlex.jobs.enqueue.placeholders import Slots
from hustlex.jobs.keys import queue_keys, step_record
from hustlex.jobs.lookup import page_size, scan_cursor
from hustlex.jobs.types import State
from hustlex.jobs.workflow.plan import LIFE_S, Link, Planted, StepName, links

_PLANT = load("hustlex.jobs", "workflow/plant")
_LOOK = load("hustlex.jobs", "workflow/look_steps")
_DELIVER = load("hustlex.jobs", "workflow/deliver")
_RELEASE = load("hustlex.jobs", "workflow/release_step")
_BREAK = load("hustlex.jobs", "workflow/break_step")
_CLOSE = load("hustlex.jobs", "workflow/close_steps")
_NOTE = load("hustlex.jobs", "workflow/note_steps")
_TAKE = load("hustlex.jobs", "workflow/take_steps")

OPEN = "asynq:x:{flows}:open"
"""Ours, for all queues: steps that others wait for, by the time of the next look."""
MOST = 100
"""Steps in one call."""
KNOWN, PLANTED, ID_TAKEN = 0, 1, 2
"""What ``plant`` answers per step."""
FORGET_S = -1
MISSING_S = 3600.5
"""In ``note``: never again; and an hour later, remembered as missing."""


class Look(msgspec.Struct, frozen=True, gc=False):
    """phase: of the step's record, "" = none. state: of its task, None = gone. result: b"" = none."""

    phase: str
    state: State | None
    result: bytes
    then: tuple[Link, ...]


class Ready(msgspec.Struct, frozen=True, gc=False):
    """A step that can start. results: of the steps before it, when it asked for any."""

    message: bytes
    then: tuple[Link, ...]
    slots: Slots
    results: list[bytes]


class Released(enum.Enum):
    """BEFORE: somebody did it, or the step can never start. ID_TAKEN: it can never start from now on."""

    BEFORE = 0
    NOW = 1
    ID_TAKEN = 2


class Taken(msgspec.Struct, frozen=True, gc=False):
    """Steps to look at. missing: those of them that were not there the last time. wait_s: until the next, -1 = none."""

    steps: list[StepName]
    missing: frozenset[StepName]
    wait_s: int


def plant(steps: Sequence[Planted], life_s: int, latest_ms: int, now_ms: int) -> Op[list[int]]:
    """At most 100 steps of one queue; answers KNOWN, PLANTED or ID_TAKEN for each."""
    queue = queue_keys(steps[0].name.queue)
    args: list[Arg] = [now_ms, queue.prefix, life_s, latest_ms]
    for step in steps:
        after = msgspec.json.encode([(name.queue, name.id) for name in step.after])
        then, slots = msgspec.json.encode(step.then), msgspec.json.encode(step.slots)
        args += (step.name.id, step.message, step.due, len(step.after), step.keep_s, after, then, slots, step.wishes)
    return _PLANT.op((queue.pending, queue.scheduled), tuple(args), lambda reply: list(reply[1:]))


def look(names: Sequence[StepName]) -> Op[list[Look]]:
    """What became of at most 100 steps of one queue."""
    queue = queue_keys(names[0].queue)
    keys = [key for name in names for key in (step_record(queue, name.id), queue.task(name.id))]
    return _LOOK.op(tuple(keys), (), _looks)


def _looks(reply: Reply) -> list[Look]:
    rows = [reply[n : n + 4] for n in range(1, len(reply), 4)]
    return [
        Look(phase.decode(), State(state.decode()) if state else None, result, links(then))
        for phase, state, result, then in rows
    ]


def deliver(link: Link, result: bytes) -> Op[Ready | None]:
    """Tell a step that one before it has succeeded. Ready when it was the last of them, also when told again."""
    return _DELIVER.op((step_record(queue_keys(link.queue), link.id),), (link.index, result), _ready)


def _ready(reply: Reply) -> Ready | None:
    if reply[0] != 3:
        return None
    return Ready(reply[1], links(reply[2]), msgspec.json.decode(reply[3], type=Slots), reply[4:])


def release(name: StepName, message: bytes, now_ms: int) -> Op[Released]:
    """Enqueue a step that is ready, once."""
    queue = queue_keys(name.queue)
    keys = (step_record(queue, name.id), queue.pending, queue.scheduled)
    return _RELEASE.op(keys, (now_ms, queue.prefix, name.id, message, LIFE_S), lambda reply: Released(reply[0]))


def break_step(name: StepName, why: str) -> Op[bool]:
    """Note that a step can never start."""
    return _BREAK.op((step_record(queue_keys(name.queue), name.id),), (why,), _yes)


def close(names: Sequence[StepName], now_ms: int) -> Op[None]:
    """At most 100 steps of one queue are done with."""
    queue = queue_keys(names[0].queue)
    args: tuple[Arg, ...] = (now_ms, queue.prefix, *(name.id for name in names))
    return _CLOSE.op((queue.completed,), args, lambda _: None)


def note(looks: Sequence[tuple[StepName, float]], now_ms: int) -> Op[None]:
    """When to look at steps: seconds from now, or FORGET_S, or MISSING_S."""
    rows: list[Arg] = [field for name, wait_s in looks for field in (str(wait_s), _member(name))]
    return _NOTE.op((OPEN,), (now_ms, LIFE_S, *rows), lambda _: None)


def take(pause_s: int, now_ms: int) -> Op[Taken]:
    """What is to be looked at now, 100 steps at most."""
    return _TAKE.op((OPEN,), (now_ms, pause_s), _taken)


def _taken(reply: Reply) -> Taken:
    rows = [(_name(reply[n]), reply[n + 1]) for n in range(2, len(reply), 2)]
    return Taken([name for name, _ in rows], frozenset(name for name, missing in rows if missing), reply[1])


def scan(cursor: str, size: int) -> Op[tuple[str, list[StepName]]]:
    """Some steps that others wait for, and where to go on, "" = nowhere. Raises Misuse."""
    words = ("ZSCAN", OPEN, scan_cursor(cursor), "COUNT", page_size(size))
    return command("jobs.open_steps", Effect.READ, *words, keys=(OPEN,), decode=_scanned)


def _scanned(reply: Reply) -> tuple[str, list[StepName]]:
    cursor, pairs = reply
    names = [_name(member) for member in pairs[::2]]
    return "" if cursor == b"0" else bytes(cursor).decode(), sorted(names)


def by_queue(names: Sequence[StepName]) -> Iterator[list[StepName]]:
    """Chunks of one queue each, in which ``look`` and ``close`` take them."""
    queues: dict[str, list[StepName]] = {}
    for name in names:
        queues.setdefault(name.queue, []).append(name)
    for group in queues.values():
        yield from (group[n : n + MOST] for n in range(0, len(group), MOST))


def _member(name: StepName) -> bytes:
    return msgspec.json.encode((name.queue, name.id))


def _name(member: bytes) -> StepName:
    queue, task_id = msgspec.json.decode(member, type=tuple[str, str])
    return StepName(queue, task_id)


def _yes(reply: Reply) -> bool:
    return bool(reply[0] == 1)
