"""Workflows whose steps Go workers run: they know nothing of it, and leave what a Python worker needs to go on."""

from __future__ import annotations

import asyncio
from collections import Counter

import redis

from hustlex.jobs import RESULT, RESULTS, Inspector, Job, Jobs, gather
from tests.interop.support import Launch, counted, enlist, runs, stored
from tests.worker.support import until

OPEN = "asynq:x:{flows}:open"


def leftovers(raw: redis.Redis) -> set[str]:
    """What is left of queues beside counters, receipts and signs of life."""
    passing = ("processed", "failed", "x:step", "x:owners", "x:ended")
    names = [name.decode().split("}:")[1] for name in raw.scan_iter("asynq:{*}:*", count=10_000)]
    return {name for name in names if not name.startswith(passing)}


async def test_a_chain_through_a_queue_that_only_go_serves(
    jobs: Jobs, inspector: Inspector, launch: Launch, raw: redis.Redis
) -> None:
    go = Job("result:go").taking(RESULT).with_options(queue="go")
    flow = Job("result:py").then(go).then(Job("ok:py").taking(RESULT))
    peers = [launch("go", queues={"go": 1}), launch("py", queues={"default": 1})]
    await enlist(inspector, peers)
    await jobs.start(flow, workflow_id="w")
    await until(lambda: counted(raw)["w:2"])
    assert [(run["id"], run["by"]) for run in runs(raw)] == [("w:0", "py"), ("w:1", "go"), ("w:2", "py")]
    assert [run["payload"] for run in runs(raw)] == [None, b'{"done":true}', b'{"done":true}']
    await until(lambda: not raw.exists(OPEN) and not leftovers(raw))


async def test_a_mixed_fleet_runs_the_parts_of_a_fan_in(
    jobs: Jobs, inspector: Inspector, launch: Launch, raw: redis.Redis
) -> None:
    await enlist(inspector, [launch("go", concurrency=4), launch("py", concurrency=4), launch("go", concurrency=4)])
    parts = 120
    await jobs.start(gather(*[Job("result:part")] * parts, then=Job("ok:all").taking(RESULTS)), workflow_id="w")
    await until(lambda: counted(raw)[f"w:{parts}"])
    await asyncio.sleep(0.2)
    assert counted(raw) == Counter(f"w:{n}" for n in range(parts + 1)), "each once"
    assert {run["by"] for run in runs(raw)} == {"go", "py"}
    assert runs(raw)[-1]["payload"] == b"[" + b",".join([b'{"done":true}'] * parts) + b"]"
    await until(lambda: not raw.exists(OPEN) and not leftovers(raw))


async def test_a_step_that_go_archived_stops_the_chain_and_is_named(
    jobs: Jobs, inspector: Inspector, launch: Launch, raw: redis.Redis
) -> None:
    await enlist(inspector, [launch("go"), launch("py", queues={"other": 1})])
    shaky = Job("once:x").with_options(max_retry=0)
    await jobs.start(shaky.then(Job("ok:x")), workflow_id="w")
    await until(lambda: raw.zscore("asynq:{default}:archived", "w:0"))
    assert stored(raw, "w:0").headers["hustlex-step"] == "1", "kept by the library through its own encoding"
    seen = await jobs.explain("w:1")
    assert [(step.id, step.cause) for step in seen.waits_for] == [("w:0", "archived")]
    assert not counted(raw)["w:1"]
