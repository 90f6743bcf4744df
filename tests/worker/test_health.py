"""What a worker says of itself: health, its endpoint, the application's check, and handlers that block the loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from hustlex import __version__
from hustlex.core.words import duration
from hustlex.drivers.aio import Driver
from hustlex.errors import ConfigurationError, Error
from hustlex.jobs import Jobs, Tasks
from hustlex.worker import serve_health
from hustlex.worker.health.loop_monitor import Blocks
from hustlex.worker.health.watchdog import Watchdog
from tests.cli import inside
from tests.support import forked
from tests.support.proxy import Proxy
from tests.worker.support import DEFAULT, Running, message, put, running, until

Start = Callable[..., Awaitable[Running]]


async def get(port: int, path: str = "/health", method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:
        return await client.request(method, f"http://127.0.0.1:{port}{path}")


# Handlers that block.


@pytest.mark.parametrize("how", ["at once", "before it waits", "after a wait"])
async def test_a_handler_that_blocks_the_loop_is_named(
    jobs: Jobs, start: Start, tasks: Tasks, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    @tasks.task("blocks")
    async def blocks() -> None:
        if how == "after a wait":
            await asyncio.sleep(0.001)
        time.sleep(0.15)
        if how == "before it waits":
            await asyncio.sleep(0.001)

    @tasks.task("polite")
    async def polite() -> None:
        for _ in range(5):
            await asyncio.sleep(0.03)

    @tasks.task("thread")
    def thread() -> None:
        time.sleep(0.15)

    ended: list[str] = []

    async def log(job: Any, handle: Any) -> None:
        await handle()
        ended.append(job.type)

    run = await start(middleware=[log])
    await jobs.enqueue_many([blocks.job(), thread.job(), polite.job(), blocks.job(), blocks.job()])
    await until(lambda: len(ended) == 5)
    assert list(run.worker.health.blocking) == ["blocks"]
    assert 0.15 <= run.worker.health.blocking["blocks"] < 2
    assert run.worker.health.ok
    lines = [record.message for record in caplog.records if "kept the event loop" in record.message]
    assert len(lines) == 1 and "task type blocks" in lines[0]
    await run.worker.parts.heartbeat.tick()
    (server,) = await jobs.inspector.servers()
    assert server.vitals is not None and server.vitals.blocks == run.worker.health.blocking
    assert server.vitals.version == __version__ and server.vitals.memory > 10_000_000
    assert server.vitals.trouble == {} and (server.vitals.ahead, server.vitals.hung) == (0, 0)
    assert server.vitals.wrong == [f"blocks kept the event loop for {duration(server.vitals.blocks['blocks'])}"]


def test_blocks_are_forgotten_and_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr("hustlex.worker.health.loop_monitor.monotonic", lambda: now[0])
    blocks = Blocks()
    for at, seconds in ((1000, 0.2), (1030, 0.5), (1059, 0.3), (1061, 0.2)):
        now[0] = at
        blocks.note(message("x", type="a"), seconds)
    blocks.note(message("y", type="b"), 0.4)
    assert blocks.worst == {"a": 0.5, "b": 0.4}
    assert [record.args[0] for record in caplog.records] == ["a", "a", "b"]
    now[0] = 1661.5
    assert blocks.worst == {}


# The endpoint.


async def test_the_endpoint_answers_for_the_worker(driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis) -> None:
    held = asyncio.Event()

    @tasks.task("hold")
    async def hold() -> None:
        await held.wait()

    async with running(driver, tasks, queues={"default": 1, "low": 1}, concurrency=2) as run:
        async with serve_health(run.worker, driver, 0) as port:
            raw.set(DEFAULT.paused.replace("default", "low"), 1)
            for _ in range(3):
                await jobs.enqueue(hold.job())
            await until(lambda: len(run.worker.parts.executor.waiting) == 2)
            await asyncio.sleep(0.05)
            answer = await get(port)
            found = answer.json()
            wait_ms = found["queues"]["default"].pop("wait_ms")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert 50 <= wait_ms < 5000
            assert found == {
                "ok": True,
                "worker": run.worker.id,
                "status": "active",
                "trouble": {},
                "queues": {
                    "default": {"held": 2, "pending": 1, "paused": False},
                    "low": {"held": 0, "pending": 0, "wait_ms": 0, "paused": True},
                },
                "running": 2,
                "concurrency": 2,
                "blocking": {},
                "waiting": {},
                "hung": {},
                "ahead": 0,
                "broken": 0,
                "unknown": [],
                "degraded": {},
            }
            assert (await get(port, method="HEAD")).content == b""
            assert [(await get(port, path)).status_code for path in ("/", "/health?x=1", "/live")] == [404, 200, 200]
            assert (await get(port, method="POST")).status_code == 405
            held.set()
            await run.stop()
            assert (await get(port)).status_code == 503
            assert (await get(port, "/live")).json() == {"live": True}
        with pytest.raises(httpx.ConnectError):
            await get(port)


async def test_types_that_nobody_here_knows_are_shown(
    driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """They are no trouble of this worker's: another one, of the next release perhaps, runs them."""
    put(raw, message("1", type="mail:b\nERROR forged"), message("2", type="mail:a"), message("3", type="mail:a"))
    async with running(driver, tasks) as run, serve_health(run.worker, driver, 0) as port:
        await until(lambda: raw.zcard(DEFAULT.scheduled) == 3)
        found = (await get(port)).json()
    assert (found["ok"], found["unknown"]) == (True, ["mail:a", "'mail:b\\nERROR forged'"])
    assert "\nERROR forged" not in caplog.text


@pytest.mark.parametrize("how", ["fails", "blocks", "hangs", "unknown"])
async def test_a_type_is_one_line_of_the_log_whatever_it_holds(
    driver: Driver, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """What others push is not checked by anybody."""
    free = asyncio.Event()

    async def acts(message: Any) -> None:
        if how == "blocks":
            time.sleep(0.12)
        while how == "hangs" and not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()
        raise ValueError("as usual")

    if how != "unknown":
        tasks.task("mail:", prefix=True)(lambda: acts(None))
    put(raw, message("1", type="mail:\x1b[2J\nERROR forged", timeout=1))
    async with running(driver, tasks, concurrency=1) as run:
        await until(lambda: "mail:" in caplog.text.replace("task types mail:", "") and "forged" in caplog.text)
        if how == "hangs":
            await until(lambda: run.worker.health.trouble)
            assert run.worker.health.trouble["slots"].isprintable()
        free.set()
    assert "\nERROR forged" not in caplog.text and "\x1b" not in caplog.text


async def test_the_endpoint_fails_while_redis_is_away_and_recovers(
    faulty: Proxy, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(faulty.url)
    try:
        async with running(driver, tasks) as run, serve_health(run.worker, driver, 0) as port:
            await until(lambda: run.worker.parts.heartbeat.status == "active")
            assert (await get(port)).status_code == 200
            faulty.refuse = True
            faulty.cut()
            await until(lambda: not run.worker.health.ok)
            answer = await get(port)
            assert answer.status_code == 503
            assert answer.json()["trouble"] and answer.json()["queues"]["default"]["pending"] is None
            faulty.refuse = False
            await until(lambda: run.worker.health.ok)
            assert (await get(port)).status_code == 200
    finally:
        await driver.close()


async def test_nonsense_at_the_endpoint_harms_nobody(driver: Driver, tasks: Tasks) -> None:
    async with running(driver, tasks) as run, serve_health(run.worker, driver, 0) as port:
        for nonsense in (b"", b"\r\n\r\n", b"\x00" * 20_000, b"GET /health", b"GET\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(nonsense)
            if writer.can_write_eof():
                writer.write_eof()
            async with asyncio.timeout(60):
                await reader.read()
            writer.close()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        async with asyncio.timeout(60):
            for reader, _ in idle[32:]:
                assert await reader.read() == b""  # no more than so many at a time
        for _, writer in idle:
            writer.close()
        await until(lambda: run.worker.health.ok)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert (await get(port)).status_code == 200
                    break
                except httpx.RemoteProtocolError:
                    await asyncio.sleep(0.01)


async def test_a_taken_port_is_a_clear_error(driver: Driver, tasks: Tasks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with running(driver, tasks) as run:
            with pytest.raises(ConfigurationError, match=r"cannot listen on 127\.0\.0\.1"):
                async with serve_health(run.worker, driver, taken.getsockname()[1]):
                    raise AssertionError("must not be reached")


async def test_the_command_line_serves_health_and_reserves_slots(url: str, raw: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "backend.py").write_text("from hustlex import Tasks\ntasks = Tasks()\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--queue", "critical=reserved:6", "--queue", "default", "--health-port", str(port))
    command = (sys.executable, "-m", "hustlex.cli.main", "worker", "backend", "--url", url, *options)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    worker = forked.Popen(command, env=environment, cwd=tmp_path)
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    answer = await get(port)
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        assert answer.json()["queues"].keys() == {"critical", "default"}
        worker.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait, 60) == 0
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("given", ["critical=reserved:0", "critical=reserved", "=3", "critical=many"])
def test_the_command_line_refuses_odd_queues(given: str) -> None:
    told = inside.hustlex("worker", "backend", "--queue", given)
    assert "NAME=reserved:SLOTS" in told.stderr
    assert told.returncode == 2


# The application's check.


async def test_the_health_check_is_called_as_in_asynq(
    faulty: Proxy, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Error | None] = []

    def check(error: Error | None) -> None:
        told.append(error)
        if len(told) == 1:
            raise ValueError("the check's own fault")

    driver = Driver(faulty.url)
    options: dict[str, Any] = {"health_check": check, "health_check_interval": timedelta(milliseconds=20)}
    try:
        async with running(driver, tasks, **options):
            await until(lambda: len(told) >= 3)
            assert told[:3] == [None] * 3
            faulty.refuse = True
            faulty.cut()
            await until(lambda: told[-1] is not None)
            faulty.refuse = False
            await until(lambda: told[-1] is None)
    finally:
        await driver.close()
    assert any("health check raised" in record.message for record in caplog.records)


# The watchdog.


async def test_a_part_that_died_is_started_again(
    jobs: Jobs, start: Start, tasks: Tasks, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    @tasks.task("t")
    async def t() -> None: ...

    run = await start()
    dog = next(part for part in run.worker.parts.services() if isinstance(part, Watchdog))
    await until(lambda: all(loop.resting for loop in run.worker.parts.fetcher.services))
    for loop in run.worker.parts.fetcher.services:
        loop._task.cancel()
    await until(lambda: all(loop.fault() for loop in run.worker.parts.fetcher.services))
    await jobs.enqueue(t.job())
    dog.wake()
    await until(lambda: raw.get(DEFAULT.processed) == b"1")
    assert "fetcher 0: its loop ended, started again" in run.worker.health.trouble["watchdog"]
    dog.wake()
    await until(lambda: run.worker.health.ok)
    lines = [record.message for record in caplog.records if record.message.startswith("watchdog")]
    assert len(lines) == 1


async def test_a_part_that_hangs_is_started_again(
    jobs: Jobs,
    start: Start,
    tasks: Tasks,
    raw: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A call that never comes back: what it carried is put back and sent anew."""

    @tasks.task("t")
    async def t() -> None: ...

    run = await start()
    worker = run.worker
    dog = next(part for part in worker.parts.services() if isinstance(part, Watchdog))
    send, hung = worker._driver.run_many, []

    async def hang(ops: Any) -> Any:
        if len(hung) < 2:
            hung.append(await send(ops))
            await asyncio.sleep(60)
        return await send(ops)

    for loop in worker.parts.fetcher.services:
        loop._driver = Stub(hang)
    await jobs.enqueue_many([t.job() for _ in range(5)])
    await until(lambda: len(hung) == 1)
    monkeypatch.setattr("hustlex.worker.fetch.fetcher.FetchLoop.longest_pass_s", 0.05)
    await asyncio.sleep(0.1)
    dog.wake()
    await until(lambda: raw.get(DEFAULT.processed) == b"5" and not worker.parts.queues[0].held)
    (line,) = [record.message for record in caplog.records if record.message.startswith("watchdog: ")]
    assert "a pass took more than 0 s, started again" in line
    assert not raw.exists(DEFAULT.active)


class Stub:
    def __init__(self, run_many: Any) -> None:
        self.run_many = run_many


async def test_a_worker_that_forgets_to_lease_is_reminded(start: Start, tasks: Tasks, raw: redis.Redis) -> None:
    """A lost wake-up: everything lives, tasks wait, slots are free."""

    @tasks.task("t")
    async def t() -> None: ...

    run = await start()
    fetcher = run.worker.parts.fetcher
    dog = next(part for part in run.worker.parts.services() if isinstance(part, Watchdog))
    await until(lambda: all(loop.resting for loop in fetcher.services))
    for waiter in run.worker.parts.waiters.values():
        await waiter.stop()
    await run.worker.parts.poller.stop()
    put(raw, message("t1", type="t"))
    run.worker.parts.queues[0].wake()
    assert not dog._idle_for_no_reason()
    fetcher.asked_at -= 60
    assert dog._idle_for_no_reason()
    dog.wake()
    await until(lambda: raw.get(DEFAULT.processed) == b"1")
    assert "nothing is leased" in dog.trouble
    dog.wake()
    await until(lambda: run.worker.health.ok)


async def test_a_busy_worker_is_no_trouble(jobs: Jobs, start: Start, tasks: Tasks) -> None:
    """All slots taken, a paused queue, a full one: nothing is leased, and that is right."""
    release = asyncio.Event()

    @tasks.task("hold")
    async def hold() -> None:
        await release.wait()

    await jobs.enqueue_many([hold.job() for _ in range(9)])
    run = await start(concurrency=2)
    dog = next(part for part in run.worker.parts.services() if isinstance(part, Watchdog))
    await until(lambda: len(run.worker.parts.executor.waiting) == 2)
    run.worker.parts.fetcher.asked_at -= 60
    assert await dog.tick() > 0
    release.set()
