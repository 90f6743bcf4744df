"""Workflow steps: two that start at once, one that starts when both have succeeded, with their results.

A client that may send its call again, and two workers; each leases a step, acknowledges it, and moves the workflow on.
Later somebody looks at open steps, as every worker does now and then.

Invariants:

- The third step is enqueued once, and only when both others have been acknowledged; it carries their results.
- No step is leased again once it was acknowledged.
- In the end each step was acknowledged once, whoever died on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from hustlex.core.op import Effect, Op, command, do
from hustlex.errors import Error, OutcomeUnknown
from hustlex.jobs import RESULTS, Tasks, gather
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, maintain
from hustlex.jobs.lease import ops as lease_ops
from hustlex.jobs.wire import decode_task
from hustlex.jobs.workflow import flows, ops
from hustlex.jobs.workflow.plan import HEADER, StepName, plant
from tests.explore.engine import Mutation, Protocol
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

QUEUE = queue_keys("explored")
DAY = "2026-01-01"
DEAD_MS = 32_000
LOOK_MS = 12_000
"""Behind every next look that a step may have been noted for."""
tasks = Tasks()


@tasks.task("explored:part", queue=QUEUE.name)
async def part(n: int) -> int:
    """One of the first two."""
    return n


@tasks.task("explored:whole", queue=QUEUE.name)
async def whole(parts: list[int]) -> None:
    """The last one."""


FLOW = gather(part.job(n=1), part.job(n=2), then=whole.job(parts=RESULTS))
FIRST, SECOND, LAST = "w:0", "w:1", "w:2"


@dataclass
class Progress:
    """acknowledged: by step, how often. payload: of the last step, as it was leased."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    released: int = 0
    payload: str = ""


class Workflows(Protocol):
    name = "workflow"
    ticks = (LOOK_MS,)
    short = (
        Bounds(0, 0, cast=("client", "worker A")),
        Bounds(1, 0, cast=("worker A", "looker")),
        Bounds(0, 1, cast=("worker A", "looker")),
    )
    long = (
        Bounds(0, 1, states=40_000),
        Bounds(1, 0, cast=("worker A", "worker B")),
        Bounds(1, 1, cast=("client", "worker A")),
        Bounds(2, 1, cast=("worker A", "looker")),
    )

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation(
                "counts-each-telling",
                ops._DELIVER,
                (
                    (
                        "if redis.call('HSETNX', step, 'in:' .. index, result) == 1 then",
                        "redis.call('HSET', step, 'in:' .. index, result) do",
                    ),
                ),
            ),
            Mutation(
                "does-not-wait",
                ops._DELIVER,
                (("if tonumber(redis.call('HGET', step, 'got')) < tonumber(found[2]) then return {1} end", ""),),
            ),
            Mutation("releases-again", ops._RELEASE, (("redis.call('DEL', step)\n  return {1}", "return {1}"),)),
            Mutation("plants-again", ops._PLANT, (("if redis.call('EXISTS', step) == 1 then return 0 end", ""),)),
            Mutation("notes-nothing", patch=_forgetful),
        )

    def ledger(self) -> Progress:
        return Progress()

    def setup(self, world: World) -> Story:
        """The workflow is started."""
        yield from _start()

    def actors(self, world: World) -> None:
        world.add("worker A", _work("a"))
        world.add("worker B", _work("b"))
        world.add("client", _start_again())
        world.add("looker", _look(()))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        progress: Progress = world.ledger
        if op.name == "jobs.release_step" and reply[0] == 1:
            progress.released += 1
            if progress.released > 1:
                raise Broken("the last step was enqueued twice")
        elif op.name == "jobs.cycle":
            for task_id, message in zip(reply[2][::2], reply[2][1::2], strict=True):
                self._leased(progress, task_id.decode(), message)
        elif op.name in ("jobs.answer", "jobs.done") and reply == b"1":
            progress.acknowledged[str(op.args[2])] = progress.acknowledged.get(str(op.args[2]), 0) + 1
            if progress.acknowledged[str(op.args[2])] > 1:
                raise Broken(f"{op.args[2]} was acknowledged twice")

    def _leased(self, progress: Progress, task_id: str, message: bytes) -> None:
        if progress.acknowledged.get(task_id):
            raise Broken(f"{task_id} was leased after it had been acknowledged")
        if task_id == LAST:
            progress.payload = decode_task(message).payload.decode()
            if progress.payload != '{"parts":["of w:0","of w:1"]}':
                raise Broken(f"the last step was given {progress.payload}")
            if not (progress.acknowledged.get(FIRST) and progress.acknowledged.get(SECOND)):
                raise Broken("the last step was leased before the others were acknowledged")

    def closing(self, world: World) -> Story:
        """Another worker, when all others are dead; it looks at open steps again and again."""
        for turn in range(4):
            yield DEAD_MS  # type: ignore[misc]
            yield from do(maintain.recover(QUEUE, 0))
            yield from _work(f"closing{turn}", turns=2)
            yield LOOK_MS  # type: ignore[misc]
            yield from _look(())

    def final(self, world: World, look: Look) -> None:
        progress: Progress = world.ledger
        for step in (FIRST, SECOND, LAST):
            if progress.acknowledged.get(step) != 1:
                raise Broken(f"{step} was acknowledged {progress.acknowledged.get(step, 0)} times")


def _start() -> Story:
    """As the door does it."""
    yield from flows.start(FLOW, "w", 0, KnownQueues(monotonic=lambda: 0.0))


def _start_again() -> Story:
    """The last call of the start, still on its way after its repeat had been answered; then the whole start."""
    steps = plant(FLOW, "w")
    for op in flows._plants([step for step in steps if not step.after], steps, 0):
        yield from do(op)
    yield from _start()


def _work(server: str, turns: int = 2) -> Story:
    """Lease one, acknowledge it, and see who waited for it; again."""
    for turn in range(turns):
        holder = f"{server}:{turn}"
        try:
            cycle = yield from do(lease_ops.cycle(QUEUE, DAY, holder, 1, (), 0))
        except OutcomeUnknown:
            continue
        for task_id, message in zip(cycle.leased[::2], cycle.leased[1::2], strict=True):
            yield from _finish(task_id.decode(), message, holder)


def _finish(task_id: str, message: bytes, holder: str) -> Story:
    read = decode_task(message)
    if HEADER not in read.headers:
        with suppress(Error):
            yield from do(finish.done(QUEUE, DAY, [task_id, holder, ""], 0))
        return
    row = [task_id, holder, read.retention, message, "", f'"of {task_id}"']
    try:
        codes = yield from do(finish.answer(QUEUE, DAY, row, 0))
    except Error:
        return
    if codes == b"1":
        step = StepName(QUEUE.name, task_id)
        yield from flows.advance([step], {step}, 0)


def _look(missing: Sequence[StepName]) -> Story:
    """What every worker does now and then: all open steps that are due."""
    with suppress(Error):
        taken = yield from do(ops.take(flows.SOON_S, 0))
        if taken.steps:
            yield from flows.advance(taken.steps, {*taken.missing, *missing}, 0)


def _forgetful() -> AbstractContextManager[Any]:
    """Nobody keeps a list of the steps that others wait for."""

    def note(looks: Sequence[tuple[StepName, float]], now_ms: int) -> Op[Any]:
        return command("jobs.note_steps", Effect.READ, "PING", decode=lambda _: None)

    return mock.patch.object(ops, "note", note)
