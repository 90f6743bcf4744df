"""Workflows in motion: their start, and the way from a finished step to those that wait for it. See decision 0010.

Every step of ``advance`` may be repeated, and is: a step stays noted as open until all that it leads to is done. What
makes the whole happen once is that one script, in the slot of the step that is released, decides and enqueues it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from hustlex.core.op import Batch, Flow, Op, do
from hustlex.errors import Conflict, Error
from hustlex.jobs import lookup
from hustlex.jobs.checks import declared
from hustlex.jobs.enqueue import ops as enqueue
from hustlex.jobs.enqueue.job import Workflow
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.types import PayloadError, State
from hustlex.jobs.workflow import ops
from hustlex.jobs.workflow.plan import (
    FoundSteps,
    Link,
    OpenStep,
    Planted,
    Started,
    StepName,
    compose,
    latest_ms,
    life_s,
    plant,
)

SOON_S = 2
"""Until the next look at a step that Python workers may be running, or Go's."""
_NEXT_LOOK_S = {State.SCHEDULED: 60, State.RETRY: 60, State.ARCHIVED: 60}
_WAITING_S = 10
"""Until the next look at a step that was noted just before its release: whoever looked in between must not look away
for long, because the one that released it, and ran it, may be dead by now."""
_GONE = "the step before it is gone: deleted, revoked, or trimmed from the archive"


def start(
    workflow: Workflow, workflow_id: str, now_ms: int, known: KnownQueues, queues: frozenset[str] | None = None
) -> Flow[Started]:
    """Keep the steps that wait, then enqueue the others.

    The same call may be repeated after any failure, with the same id: what is there already is left alone.
    """
    steps = plant(workflow, workflow_id)
    for step in steps:
        declared(step.name.queue, queues)
    fresh = yield from _plant(steps, now_ms, known)
    plain_id = steps[0].name.id.rpartition(":")[0]
    return Started(plain_id, tuple(step.name for step in steps), not fresh)


def _plant(steps: Sequence[Planted], now_ms: int, known: KnownQueues) -> Flow[bool]:
    """False: this was done before, and nothing is done now."""
    first = [step for step in steps if not step.after]
    looks = yield from _all(ops.look(names) for names in ops.by_queue([step.name for step in first]))
    known_before = [bool(look.phase) for found in looks for look in found]
    if all(known_before):
        return False
    # A first step that is there came after all that wait. Some of these may have run and be gone: not again, then.
    waiting = [] if any(known_before) else [step for step in steps if step.after]
    calls: list[Op[Any]] = [enqueue.register(queue) for queue in {step.name.queue for step in steps}]
    calls += _noted([(step.name, SOON_S) for step in first if step.then], now_ms)
    yield from _all([*calls, *_plants(waiting, steps, now_ms)])
    for queue in {step.name.queue for step in steps}:
        known.note(queue)
    answers = yield from _all(_plants(first, steps, now_ms))
    if any(ops.ID_TAKEN in answer for answer in answers):
        raise Conflict(f"another task has the id {first[0].name.id!r}", hint="choose another workflow id")
    return True


def _plants(chosen: Sequence[Planted], steps: Sequence[Planted], now_ms: int) -> list[Op[list[int]]]:
    by_name = {step.name: step for step in chosen}
    chunks = ops.by_queue(list(by_name))
    return [ops.plant([by_name[name] for name in chunk], life_s(steps), latest_ms(steps), now_ms) for chunk in chunks]


def _all(calls: Iterable[Op[Any]]) -> Flow[list[Any]]:
    answers: list[Any] = yield from _each(calls)
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
    return answers


def _each(calls: Iterable[Op[Any]]) -> Flow[list[Any]]:
    batch = tuple(calls)
    answers: list[Any] = (yield Batch(batch)) if batch else []
    return answers


def _noted(looks: Sequence[tuple[StepName, float]], now_ms: int) -> list[Op[None]]:
    return [ops.note(looks[n : n + ops.MOST], now_ms) for n in range(0, len(looks), ops.MOST)]


class Advanced(msgspec.Struct):
    """released: steps that were enqueued. errors: what failed; it is made up for at the next look."""

    released: list[StepName] = []
    errors: list[Error] = []


def advance(names: Sequence[StepName], missing: Collection[StepName], now_ms: int) -> Flow[Advanced]:
    """Look at steps; of those that succeeded, tell the ones that wait for them, and enqueue what can start.

    missing: those whose record was not there the last time either.
    """
    move = _Move(missing, now_ms)
    yield from move.look(names)
    yield from move.deliver()
    yield from move.release()
    yield from move.close()
    return move.done


class _Move:
    """One pass. finished: steps that succeeded, with what they lead to. closed: steps that everybody was told of."""

    def __init__(self, missing: Collection[StepName], now_ms: int) -> None:
        self.done = Advanced()
        self._missing = missing
        self._now_ms = now_ms
        self._looks: dict[StepName, ops.Look] = {}
        self._next: dict[StepName, float] = {}
        self._ready: dict[StepName, ops.Ready] = {}
        self._sources: dict[StepName, list[StepName]] = {}
        self._failed: set[StepName] = set()

    def look(self, names: Sequence[StepName]) -> Flow[None]:
        """What became of them."""
        chunks = list(ops.by_queue(names))
        answers = yield from _each(ops.look(chunk) for chunk in chunks)
        for chunk, answer in zip(chunks, answers, strict=True):
            if isinstance(answer, Error):
                self.done.errors.append(answer)
                continue
            for name, look in zip(chunk, answer, strict=True):
                self._judge(name, look)

    def _judge(self, name: StepName, look: ops.Look) -> None:
        """Whether it is over, or when to look again."""
        if not look.phase:
            self._next[name] = ops.FORGET_S if name in self._missing else ops.MISSING_S
        elif look.phase == "waits":
            self._next[name] = _WAITING_S
        elif look.phase == "runs" and look.state not in (State.COMPLETED, None):
            self._next[name] = _NEXT_LOOK_S.get(look.state, SOON_S)
        else:
            self._next[name] = ops.FORGET_S
            if look.phase == "runs":
                self._looks[name] = look

    def deliver(self) -> Flow[None]:
        """Tell those that wait of successes, and of steps that are gone."""
        links = [(name, look, link) for name, look in self._looks.items() for link in look.then]
        answers = yield from _each(self._news(look, link) for _, look, link in links)
        for (source, _, link), answer in zip(links, answers, strict=True):
            if isinstance(answer, Error):
                self._fail([source], answer)
            elif isinstance(answer, ops.Ready):
                target = StepName(link.queue, link.id)
                self._ready[target] = answer
                self._sources.setdefault(target, []).append(source)

    @staticmethod
    def _news(look: ops.Look, link: Link) -> Op[Any]:
        if look.state is None:
            return ops.break_step(StepName(link.queue, link.id), _GONE)
        return ops.deliver(link, look.result)

    def release(self) -> Flow[None]:
        """Enqueue what can start; noted as open before, so that no crash hides it."""
        opened = [(name, SOON_S) for name, ready in self._ready.items() if ready.then]
        answers = yield from _each(_noted(opened, self._now_ms))
        if errors := [answer for answer in answers if isinstance(answer, Error)]:
            for sources in self._sources.values():
                self._fail(sources, errors[0])
            return
        answers = yield from _each(self._start(name, ready) for name, ready in self._ready.items())
        for name, answer in zip(self._ready, answers, strict=True):
            if isinstance(answer, Error):
                self._fail(self._sources[name], answer)
            elif answer is ops.Released.NOW:
                self.done.released.append(name)

    def _start(self, name: StepName, ready: ops.Ready) -> Op[Any]:
        try:
            return ops.release(name, compose(ready.message, ready.slots, ready.results), self._now_ms)
        except PayloadError as error:
            return ops.break_step(name, error.message)

    def close(self) -> Flow[None]:
        """Be done with the steps that succeeded, and note when to look at the others."""
        chunks = list(ops.by_queue([name for name in self._looks if name not in self._failed]))
        answers = yield from _each(ops.close(chunk, self._now_ms) for chunk in chunks)
        for chunk, answer in zip(chunks, answers, strict=True):
            if isinstance(answer, Error):
                self._fail(chunk, answer)
        noted = [(name, wait_s) for name, wait_s in self._next.items() if name not in self._failed]
        answers = yield from _each(_noted(noted, self._now_ms))
        self.done.errors.extend(answer for answer in answers if isinstance(answer, Error))

    def _fail(self, sources: Iterable[StepName], error: Error) -> None:
        self._failed.update(sources)
        self.done.errors.append(error)


def open_steps(cursor: str, size: int) -> Flow[FoundSteps]:
    """Some of the steps that others wait for. size: about so many, 1 to 1000."""
    left, names = yield from do(ops.scan(cursor, size))
    looks = yield from _looks(names)
    found = (
        OpenStep(name.queue, name.id, look.state, tuple(StepName(link.queue, link.id) for link in look.then))
        for name, look in looks
        if look.phase
    )
    return FoundSteps(tuple(found), left)


def _looks(names: Sequence[StepName]) -> Flow[list[tuple[StepName, ops.Look]]]:
    """A hundred in a call; of a cluster, those of one queue."""
    chunks = list(ops.by_queue(names))
    if len(chunks) > 1 and not (yield from do(lookup.clustered())):
        chunks = [list(names[n : n + ops.MOST]) for n in range(0, len(names), ops.MOST)]
    answers = yield from _all(ops.look(chunk) for chunk in chunks)
    return [pair for chunk, answer in zip(chunks, answers, strict=True) for pair in zip(chunk, answer, strict=True)]
