"""Every metric that a process can tell is told by a real system that is busy in every room, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from hustlex.app import HustleX
from hustlex.core.telemetry import Combined
from hustlex.core.time import FixedClock
from hustlex.errors import Unavailable
from hustlex.events import Gap
from hustlex.idempotency import Provider, Response, Scope, Started
from hustlex.jobs import Tasks
from hustlex.jobs.keys import queue_keys
from hustlex.metrics import Metrics, SlowLog
from hustlex.metrics.declared import METRICS
from hustlex.metrics.worker import of_worker, watched
from hustlex.otp.telemetry import OtpEvent
from hustlex.outbox import Outbox, OutboxRelay
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.tokens import TokenOptions
from hustlex.worker import Scheduler
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.metrics.conftest import numbers
from tests.support.proxy import Proxy
from tests.worker.support import Running, message, put, running, until

MINUTE, TICK = timedelta(minutes=1), timedelta(microseconds=1)
MOMENT = timedelta(milliseconds=20)
DEFAULT = queue_keys("default")


async def codes(hx: HustleX, metrics: Metrics) -> None:
    """The way of a code; what takes an attack or a day is told as the room tells it."""
    issued = await hx.otp.issue("0803 123 4567", "login")
    code = (await hx.otp.open(issued.challenge)).code
    await hx.otp.delivery_report(issued.challenge, "delivered", channel="sms")
    await hx.otp.verify(issued.challenge, code)
    await hx.otp.open(issued.challenge, claim="a job")
    again = await hx.otp.issue("0803 123 4568", "login")
    await hx.otp.resend(again.challenge)
    enrolment = hx.otp.totp_enrol("u1", issuer="HustleX", account="ada")
    await hx.otp.totp_verify("u1", enrolment.sealed, "404040")
    metrics.note(OtpEvent(event="guesses", outcome="guessing", country="NG"))
    metrics.note(OtpEvent(event="budget", outcome="spent", country="NG", percent=80))
    metrics.note(OtpEvent(event="issue", outcome="ip_cap", country="NG", scope="ip", unusual=True))


async def rights(hx: HustleX) -> None:
    pair = await hx.tokens.login("u1")
    await hx.tokens.start()
    await until(lambda: hx.tokens.stats().warm)
    await hx.tokens.check(pair.access, mode="strict")
    rotated = await hx.tokens.refresh(pair.refresh)
    await hx.tokens.refresh(rotated.pair.refresh)
    await hx.tokens.refresh(pair.refresh)  # stolen
    await hx.tokens.revoke_all("u1")
    two = Policy("two", 2, MINUTE)
    await hx.ratelimit.check(two, "u1", endpoint="/pay")
    verifier = (await hx.pins.hash("u1", "4821")).verifier
    await hx.pins.verify("u1", "4821", verifier)
    started = await hx.idempotency.begin("k1", Scope("u1", "POST", "/pay"))
    assert isinstance(started, Started)
    await hx.idempotency.complete(started, Response(200, b"{}"))
    await hx.idempotency.begin_event(Provider(name="stripe", verify=lambda body, headers: True), "evt_1")


async def cached(hx: HustleX) -> Any:
    """A cache with copies here, one too many. Waiting needs a second process: what one counts is counted."""
    users = hx.cache("user", int, ttl=MINUTE, timeout=PATIENCE, near=MINUTE, near_entries=1)

    async def load() -> int:
        return 1

    await users.get("x")
    await until(lambda: users._plan.near is not None and users._plan.near.watch.live)
    for key in (1, 2, 3):
        await users.get_or_compute(key, load)
        await users.get(key)
    await users.delete(1)
    users._plan.counts.add("wait", "polled")
    users._plan.counts.failed(Unavailable("away"))
    return users


async def events(hx: HustleX, stack: AsyncExitStack) -> None:
    orders = hx.events.channel("orders:{order_id}", dict[str, int], kind="replay")
    messages = await stack.enter_async_context(orders.subscribe(order_id=1, since="other.5"))
    assert isinstance(await anext(aiter(messages)), Gap)


async def outbox(hx: HustleX, engine: AsyncEngine) -> None:
    metadata = MetaData()
    table = Outbox(metadata)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        table.add(session, "send", {"to": 7})
    await OutboxRelay(hx.driver, engine, table).tick()


@asynccontextmanager
async def working(hx: HustleX, metrics: Metrics, raw: redis.Redis) -> AsyncIterator[Running]:
    """A worker whose queue holds a task of one that died, and one whose limits hold a second task back."""
    tasks, free = Tasks(), asyncio.Event()

    @tasks.task("one", max_per_worker=1)
    async def one() -> None:
        await free.wait()

    @tasks.task("quick")
    async def quick() -> None: ...

    tasks.cron("minutely", "* * * * *", one.job())
    put(raw, message("lost", type="one"))
    raw.lmove(DEFAULT.pending, DEFAULT.active, "RIGHT", "LEFT")
    raw.hset(DEFAULT.task("lost"), mapping={"state": "active"})
    raw.zadd(DEFAULT.lease, {"lost": 1})
    await hx.jobs.enqueue_many([quick.job(), one.job(), one.job()])
    clock = FixedClock()
    dispatcher = Scheduler(hx.driver, tasks, clock=clock).dispatcher
    await dispatcher.tick()
    clock.advance(MINUTE)
    await dispatcher.tick()
    async with running(hx.driver, tasks) as run, watched(metrics, hx.driver, of_worker(run.worker, tasks)):
        parts = run.worker.parts
        await until(lambda: run.worker.health.waiting and parts.recoverer.taken_back and parts.executor.succeeded)
        parts.blocks.note(message("slow", type="one"), 0.5)
        parts.janitor.trouble = "it cannot reach the server"
        yield run
        parts.janitor.trouble = ""
        free.set()
        await until(lambda: parts.executor.succeeded >= 4)


EXPECTED = {
    ("hustlex_otp_steps_total", ("NG", "refused")): 1,
    ("hustlex_otp_steps_total", ("NG", "sent")): 2,
    ("hustlex_otp_steps_total", ("NG", "verified")): 1,
    ("hustlex_idempotency_total", ("started",)): 1,
    ("hustlex_idempotency_settled_total", ("kept",)): 1,
    ("hustlex_webhook_events_total", ("started", "stripe")): 1,
    ("hustlex_breaker_open", ("ratelimit",)): 1,
    ("hustlex_breaker_open", ("state",)): 0,
    ("hustlex_degraded", ("ratelimit",)): 1,
    ("hustlex_cache_near_entries", ("user",)): 1,
    ("hustlex_cache_near_evicted_total", ("user",)): 2,
    ("hustlex_event_subscribers", ("orders:{order_id}",)): 1,
    ("hustlex_event_channels", ("orders:{order_id}",)): 1,
    ("hustlex_event_gaps_total", ("orders:{order_id}", "epoch")): 1,
    ("hustlex_outbox_relayed_total", ("enqueued",)): 1,
    ("hustlex_outbox_pending", ()): 0,
    ("hustlex_tasks_recovered_total", ("lease_over", "default")): 1,
    ("hustlex_tasks_held", ("one",)): 2,
    ("hustlex_task_wait_seconds_count", ("default",)): 4,
    ("hustlex_enqueued_total", ("enqueued", "default")): 3,
    ("hustlex_blocking_seconds", ("one",)): 0.5,
}
"""By labels in the order of their names."""


async def test_a_busy_system_tells_every_metric_there_is(
    url: str, raw: redis.Redis, metrics: Metrics, tmp_path: Path
) -> None:
    hook = Combined(metrics, SlowLog(TICK, metrics=metrics))
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    away = HustleX("redis://127.0.0.1:1", timeout=MOMENT, hook=hook, ratelimit=RateLimitOptions(timeout=MOMENT))
    async with AsyncExitStack() as stack:
        proxy = stack.enter_context(Proxy(url))
        rooms: Any = {"ratelimit": unhurried(), "tokens": TokenOptions(grace=timedelta(0))}
        front = HustleX(proxy.url, secret=SECRET, timeout=PATIENCE, hook=hook, **rooms)
        hx = await stack.enter_async_context(front)
        stack.push_async_callback(away.close)
        stack.push_async_callback(engine.dispose)
        for _ in range(5):
            await away.ratelimit.check(Policy("open", 2, MINUTE, on_error="open"), "u1", endpoint="/")
        await codes(hx, metrics)
        await rights(hx)
        users = await cached(hx)
        await events(hx, stack)
        await outbox(hx, engine)
        proxy.lose_reply(containing=b"default")  # so that a call is made again
        assert await hx.jobs.inspector.queues() == ["default"]
        metrics.families["enqueued_total"].add(("q" * 300, "enqueued"))
        async with working(hx, metrics, raw):
            text = metrics.text()
    del users
    shown = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")}
    assert shown == {name for name, metric in METRICS.items() if not metric.fleet}
    found = numbers(text)
    assert {name: found.get(name) for name in EXPECTED} == EXPECTED
    assert found["hustlex_connections", ("state", "open")] >= 2
    assert found["hustlex_call_repeats_total", ("state",)] >= 1
    assert 0 <= found["hustlex_outbox_lag_seconds", ()] < 600
