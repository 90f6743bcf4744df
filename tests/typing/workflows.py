"""What a user's type checker sees of workflows, streams and explanations. Checked by mypy, never run.

A ``type: ignore`` here is an assertion: mypy must complain at that place, or the file fails.
"""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never, assert_type

from hustlex.app import HustleX
from hustlex.jobs import (
    RESULT,
    RESULTS,
    Explanation,
    Failed,
    FoundSteps,
    Gone,
    Log,
    NotYet,
    Progress,
    Result,
    Started,
    StateChange,
    Succeeded,
    Tasks,
    Workflow,
    current_job,
    gather,
)
from hustlex.sync import HustleX as BlockingHustleX

tasks = Tasks()


@tasks.task("one")
async def one(n: int) -> None:
    assert_type(await current_job().progress(0.5, "half"), bool)
    assert_type(await current_job().log("text"), bool)
    await current_job().progress("half")  # type: ignore[arg-type]


@tasks.task("all")
def every(parts: list[int], title: str) -> None: ...


flow = gather(one.job(1), one.job(2).then(one.job(RESULT)), then=every.job(RESULTS, "t"))
assert_type(flow, Workflow)
assert_type(flow.then(one.job(n=RESULT)), Workflow)
one.job(1).then(one)  # type: ignore[arg-type]
gather(one.job(1), then=every)  # type: ignore[arg-type]
every.job(RESULTS)  # type: ignore[call-arg]
every.job(RESULTS, title=3)  # type: ignore[arg-type]


async def run(hx: HustleX) -> None:
    started = await hx.jobs.start(flow, workflow_id="w")
    assert_type(started, Started)
    await hx.jobs.start(one.job(1))  # type: ignore[arg-type]
    assert_type(await hx.jobs.inspector.open_steps(), FoundSteps)
    assert_type(await hx.jobs.explain(started.last.id), Explanation)
    async for item in hx.jobs.follow(started.last.id, queue=started.last.queue, since=""):
        if isinstance(item, Progress):
            assert_type(item.fraction, float)
        elif isinstance(item, Log):
            assert_type(item.text, str)
        elif isinstance(item, Result):
            assert_type(item.data, bytes)
        elif isinstance(item, StateChange):
            assert_type(item.error, str)
        else:
            assert_never(item)


async def wait(hx: HustleX) -> bytes | None:
    ending = await hx.jobs.result("t", timeout=timedelta(seconds=1))
    if isinstance(ending, Succeeded):
        return ending.result
    if isinstance(ending, Failed):
        raise ValueError(ending.error)
    if isinstance(ending, NotYet | Gone):
        return None
    assert_never(ending)


def blocking(hx: BlockingHustleX) -> None:
    assert_type(hx.jobs.start(flow), Started)
    assert_type(hx.jobs.result("t", timeout=timedelta(0)), Succeeded[bytes | None] | Failed | NotYet | Gone)
    assert_type(hx.jobs.explain("t", queue="q"), Explanation)
    hx.jobs.follow("t")  # type: ignore[attr-defined]
