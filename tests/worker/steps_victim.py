"""A worker process to be killed: ``python -m tests.worker.steps_victim URL [CALLS]``.

With CALLS it kills itself (SIGKILL) after so many calls of its first move from a finished step to those behind it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Iterable, Sequence

from hustlex.core.op import Effect, Flow, command
from hustlex.drivers.aio import Driver
from hustlex.jobs import RESULT, RESULTS, Tasks, Workflow, current_job, gather
from hustlex.jobs.wire import TaskMessage
from hustlex.jobs.workflow import flows as steps
from hustlex.jobs.workflow.plan import StepName
from hustlex.worker import Worker
from hustlex.worker.complete.workflow_advancer import WorkflowAdvancer

tasks = Tasks()
_drivers: list[Driver] = []


@tasks.task("part")
async def part(n: int) -> None:
    await _note(str(n))
    await current_job().result.write(n + 1)


@tasks.task("join", queue="joins")
async def join(parts: list[int]) -> None:
    await _note("join " + ",".join(map(str, parts)))
    await current_job().result.write(sum(parts))


async def _note(text: str) -> None:
    driver = _drivers[0]
    await driver.run(command("test.note", Effect.ONCE, "RPUSH", "test:ran", text, decode=int))


def flow(first: int) -> Workflow:
    """One, then three at once, then all together, then one more: six steps in two queues."""
    middle = gather(part.job(RESULT), part.job(first + 10), part.job(first + 20), then=join.job(RESULTS))
    return part.job(first).then(middle.then(part.job(RESULT)))


_advance, _plan = steps.advance, WorkflowAdvancer.plan


def _fatal(calls: int) -> None:
    """Armed by the first acknowledgement of a step."""
    armed: list[bool] = []

    def plan(self: WorkflowAdvancer, messages: Iterable[TaskMessage]) -> None:
        armed.append(True)
        _plan(self, messages)

    def advance(names: Sequence[StepName], missing: Collection[StepName], now_ms: int) -> Flow[steps.Advanced]:
        moving, answer, made = _advance(names, missing, now_ms), None, 0
        while True:
            if armed and made == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                step = moving.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                advanced: steps.Advanced = end.value
                return advanced
            answer = yield step
            made += 1

    steps.advance = advance
    WorkflowAdvancer.plan = plan  # type: ignore[method-assign]


async def main(url: str, calls: str | None) -> None:
    driver = Driver(url)
    _drivers.append(driver)
    if calls is not None:
        _fatal(int(calls))
    async with driver:
        await Worker(driver, tasks, queues={"default": 1, "joins": 1}, concurrency=20).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
