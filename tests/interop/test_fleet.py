"""Go and Python workers on one queue: shared work, deaths on either side, outages, pauses, housekeeping for each other.

The library recovers a dead worker's tasks 30 s after the end of their lease, and looks once a minute. Where that time
is no part of what is tested, ``expire`` writes leases that ended long ago, which is what time alone would do. The
tests marked slow wait for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.jobs import Inspector, Job, Jobs
from tests.interop.support import GoClient, Launch, Peer, counted, enlist, runs, state, stored
from tests.worker.support import until

P = "asynq:{default}:"
HOUR = timedelta(hours=1)
BOTH_WAYS = pytest.mark.parametrize(("first", "second"), [("go", "py"), ("py", "go")])


def expire(raw: redis.Redis, ids: Iterable[str]) -> None:
    """Make the leases of these tasks end 31 seconds ago, as if that time had passed without a heartbeat."""
    raw.zadd(P + "lease", {task_id: raw.time()[0] - 31 for task_id in ids}, xx=True)


def active(raw: redis.Redis) -> set[str]:
    """Ids of the tasks in somebody's hands, alive or dead."""
    return {task_id.decode() for task_id in raw.lrange(P + "active", 0, -1)}


def abandoned(raw: redis.Redis) -> set[str]:
    """Those whose lease was not extended for 6 seconds; who lives does it every 5."""
    now = raw.time()[0]
    leases = raw.zrange(P + "lease", 0, -1, withscores=True)
    return {task_id.decode() for task_id, until_s in leases if now < until_s < now + 24}


IS_WITH_THE_LIBRARY = """
if redis.call('LLEN', KEYS[1]) > 0 then return 0 end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    if redis.call('HEXISTS', ARGV[1] .. id, 'owner') == 1 then return 0 end
end
return 1
"""


def is_with_the_library(raw: redis.Redis) -> bool:
    """Nothing waits, and what is in hands is in the library's: it signs no task, ours do.

    In one look. Between two of them ours could be given back, and then neither would wait nor be in hands.
    """
    return raw.eval(IS_WITH_THE_LIBRARY, 2, P + "pending", P + "active", P + "t:") == 1


def assert_nothing_left(raw: redis.Redis, processed: int, failed: int = 0) -> None:
    """Only counters are left of a queue whose tasks all succeeded in the end."""
    assert int(raw.get(P + "processed") or 0) == processed
    assert int(raw.get(P + "failed") or 0) == failed
    left = {key for key in raw.scan_iter(P + "*", count=10_000) if b":x:" not in key}
    assert {key.split(b"}:")[1].split(b":")[0] for key in left} <= {b"processed", b"failed"}


@pytest.mark.parametrize(
    ("count", "slots"), [(10_000, 100), (3000, 16), (5000, 1000)], ids=["batches of 100", "of 16", "of 1000"]
)
async def test_a_mixed_fleet_runs_each_task_once(
    jobs: Jobs, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis, count: int, slots: int
) -> None:
    """C1 and C16: half from each client, a quarter unique; counters exact, nothing left."""
    many = [
        Job("ok:x", b"%d" % n, {"task_id": f"t{n}"} if n % 4 else {"task_id": f"t{n}", "unique_for": HOUR})
        for n in range(count)
    ]
    fleet = [launch("go", concurrency=50), launch("py", concurrency=slots)]
    await enlist(inspector, fleet)
    await asyncio.gather(asyncio.to_thread(go.enqueue_many, many[: count // 2]), jobs.enqueue_many(many[count // 2 :]))
    await until(lambda: raw.get(P + "processed") == b"%d" % count)
    assert counted(raw) == {f"t{n}": 1 for n in range(count)}
    assert {run["by"] for run in runs(raw)} == {"go", "py"}
    assert all(run["id"] == f"t{int(run['payload'])}" for run in runs(raw))
    for peer in fleet:
        peer.stop()
    assert_nothing_left(raw, count)


# -- C7: deaths


async def kill_in_mid_work(raw: redis.Redis, peer: Peer) -> None:
    """Hold the process, so that nothing moves while we look; end it as soon as it is held with tasks in hand."""

    def is_held_at_work() -> bool:
        peer.process.send_signal(signal.SIGSTOP)
        held = active(raw)
        if any(run["pid"] == peer.pid and run["id"] in held for run in runs(raw)):
            return True
        peer.process.send_signal(signal.SIGCONT)
        return False

    await until(is_held_at_work)
    peer.kill()


async def test_nothing_is_lost_when_workers_of_both_languages_are_killed(
    jobs: Jobs, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis
) -> None:
    """Two of each, one of each killed in mid-work. Ours comes back in seconds and uncounted, the library's counted.

    The work is long enough for whoever is held to have some in hand, on a busy machine, too.
    """
    count = 600
    fleet = [launch(language, concurrency=20, retry_delay_ms=0) for language in ("go", "py", "go", "py")]
    await enlist(inspector, fleet)
    dead_go, dead_py = fleet[0], fleet[1]
    await jobs.enqueue_many([Job("slow:x", b"400", {"task_id": f"t{n}"}) for n in range(count)])
    await until(lambda: len({run["pid"] for run in runs(raw)}) == 4)
    for dying in (dead_go, dead_py):
        await kill_in_mid_work(raw, dying)

    await until(lambda: is_with_the_library(raw))  # what the dead one of ours held was given back, and is done
    await asyncio.to_thread(fleet[2].stop)  # it finishes what it holds: what is left is the dead one's
    stranded = active(raw)
    expire(raw, stranded)
    await until(lambda: int(raw.get(P + "processed")) == count + len(stranded))
    assert_nothing_left(raw, count + len(stranded), len(stranded))
    found = runs(raw)
    assert {run["id"] for run in found} == {f"t{n}" for n in range(count)}
    repeated = {task_id for task_id, times in counted(raw).items() if times > 1}
    assert repeated == {run["id"] for run in found if run["pid"] in (dead_go.pid, dead_py.pid)} & repeated
    assert len(repeated) <= 40
    assert {run["id"] for run in found if run["retried"]} == stranded
    assert max(counted(raw).values()) == 2


@BOTH_WAYS
async def test_a_task_of_a_killed_worker_is_recovered_by_the_other(
    go: GoClient, launch: Launch, raw: redis.Redis, first: str, second: str
) -> None:
    """By the library's rules, a counted retry; a task without retries is archived."""
    go.enqueue("slow:x", b"60000", task_id="t", headers={"k": "v"})
    go.enqueue("slow:x", b"60000", task_id="last", max_retry=0)
    worker = launch(first)
    await until(lambda: len(runs(raw)) == 2)
    worker.kill()
    raw.delete(P + "x:owners")  # by now ours would have recovered its own, sooner and uncounted
    expire(raw, ["t", "last"])
    launch(second, retry_delay_ms=0)
    await until(lambda: len(runs(raw)) == 3)
    again = runs(raw)[2]
    assert (again["id"], again["by"], again["retried"], again["headers"]) == ("t", second, 1, {"k": "v"})
    assert stored(raw, "t").error_msg == stored(raw, "last").error_msg == "asynq: task lease expired"
    assert (state(raw, "last"), stored(raw, "last").retried) == ("archived", 0)
    assert [raw.get(P + "processed"), raw.get(P + "failed")] == [b"2", b"2"]


@pytest.mark.slow
@BOTH_WAYS
async def test_a_task_of_a_killed_worker_is_recovered_by_the_other_in_its_own_time(
    go: GoClient, launch: Launch, raw: redis.Redis, first: str, second: str
) -> None:
    """Lease 30 s, grace 30 s, and for the library up to a minute until its recoverer looks."""
    go.enqueue("slow:x", b"200000", task_id="t")
    worker = launch(first)
    await until(lambda: len(runs(raw)) == 1)
    worker.kill()
    if first == "py":
        raw.delete(P + "x:owners")
    launch(second, retry_delay_ms=0)
    await until(lambda: len(runs(raw)) == 2, 150)
    assert (runs(raw)[1]["by"], runs(raw)[1]["retried"]) == (second, 1)
    assert stored(raw, "t").error_msg == "asynq: task lease expired"


@pytest.mark.slow
@BOTH_WAYS
async def test_a_worker_that_was_stopped_leaves_its_recovered_task_alone(
    go: GoClient, launch: Launch, raw: redis.Redis, first: str, second: str
) -> None:
    """C9: SIGSTOP until the task was recovered and runs elsewhere, then SIGCONT: it is touched by nobody else."""
    go.enqueue("slow:x", b"40000", task_id="t")
    sleeper = launch(first, retry_delay_ms=0)
    await until(lambda: len(runs(raw)) == 1)
    os.kill(sleeper.pid, signal.SIGSTOP)
    launch(second, retry_delay_ms=0)
    await until(lambda: len(runs(raw)) == 2, 150)
    held = raw.hgetall(P + "t:t")
    os.kill(sleeper.pid, signal.SIGCONT)
    async with asyncio.timeout(60):
        while raw.zscore(P + "lease", "t") < raw.time()[0] + 25:  # until its holder's next heartbeat or two
            await asyncio.sleep(0.2)
    await asyncio.sleep(12)
    assert (raw.hgetall(P + "t:t"), active(raw), len(runs(raw))) == (held, {"t"}, 2)
    await until(lambda: not raw.exists(P + "t:t"))
    assert runs(raw)[1]["retried"] == 1
    assert_nothing_left(raw, 2, 1)


# -- C10: outages of the server


@pytest.mark.parametrize("trouble", ["restart", "client kill", "client pause"])
async def test_an_outage_loses_nothing_and_leaves_nothing_stuck(
    tmp_path: Path, launch: Launch, server: EmbeddedServer, trouble: str
) -> None:
    """Every change is forced to disk. What the library's worker could not acknowledge runs again after its lease."""
    options = {"append_only": True, "appendfsync": "always"}
    with EmbeddedServer(tmp_path, binary=server_binary(server), **options) as own:  # type: ignore[arg-type]
        count = 600
        async with Driver(own.url) as driver:
            jobs = Jobs(driver)
            await jobs.enqueue_many([Job("slow:x", b"20", {"task_id": f"t{n}"}) for n in range(count)])
            fleet = [launch(language, at=own.url, concurrency=10, retry_delay_ms=0) for language in ("go", "py")]
            with redis.Redis.from_url(own.url) as raw:
                await until(lambda: raw.llen("peer:runs") > 100)
                if trouble == "restart":
                    own.restart()
                elif trouble == "client kill":
                    raw.client_kill_filter(_type="normal", skipme=True)
                else:
                    raw.client_pause(2000)
            with redis.Redis.from_url(own.url) as raw:
                await finish(raw, count)
                assert counted(raw).keys() == {f"t{n}" for n in range(count)}
                assert sum(counted(raw).values()) <= count + 40
                failed = int(raw.get(P + "failed") or 0)
                assert_nothing_left(raw, count + failed, failed)
            for peer in fleet:
                peer.kill()


def server_binary(server: EmbeddedServer) -> Path | None:
    """The binary that the chosen server runs from."""
    return server._binary


async def finish(raw: redis.Redis, count: int) -> None:
    """Wait for the end; a lease that nobody has extended for 6 seconds is made to end now."""
    async with asyncio.timeout(60):
        while raw.exists(P + "pending", P + "active", P + "retry", P + "scheduled"):
            if left := abandoned(raw):
                expire(raw, left)
            await asyncio.sleep(0.1)


# -- C11, C13: pause, and housekeeping for the other language


@pytest.mark.parametrize("by", ["go", "py"])
async def test_a_pause_stops_both_kinds_within_a_moment(
    jobs: Jobs, inspector: Inspector, go: GoClient, launch: Launch, raw: redis.Redis, by: str
) -> None:
    """C11."""
    count = 2000
    await jobs.enqueue_many([Job("slow:x", b"20", {"task_id": f"t{n}"}) for n in range(count)])
    fleet = [launch("go"), launch("py")]
    await until(lambda: {run["by"] for run in runs(raw)} == {"go", "py"})
    await inspector.pause("default") if by == "py" else go("pause", queue="default")
    await until(lambda: not active(raw), 6)
    ran = len(runs(raw))
    await asyncio.sleep(0.5)
    assert len(runs(raw)) == ran < count
    await inspector.unpause("default") if by == "py" else go("unpause", queue="default")
    await until(lambda: raw.get(P + "processed") == b"%d" % count)
    assert {run["by"] for run in runs(raw)[ran:]} == {"go", "py"}
    for peer in fleet:
        peer.stop()
    assert_nothing_left(raw, count)


@BOTH_WAYS
async def test_the_other_language_keeps_house(
    go: GoClient, launch: Launch, raw: redis.Redis, first: str, second: str
) -> None:
    """C13: completed tasks of a worker that is gone are deleted, failed ones run again."""
    go.enqueue("ok:x", b"x", task_id="kept", retention=timedelta(seconds=1))
    go.enqueue("once:x", b"x", task_id="failed")
    worker = launch(first, retry_delay_ms=1000)
    await until(lambda: (state(raw, "kept"), state(raw, "failed")) == ("completed", "retry"))
    worker.stop()
    launch(second)
    await until(lambda: not raw.exists(P + "completed", P + "t:kept", P + "retry", P + "t:failed"))
    assert [(run["id"], run["by"]) for run in runs(raw)][2:] == [("failed", second)]
    assert_nothing_left(raw, 3, 1)
