"""A server on which every example of the command line finds what it speaks of."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import redis

from hustlex.core.op import Effect, command
from hustlex.jobs import Job
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind
from hustlex.jobs.wire import TaskMessage, encode_task
from hustlex.metrics import Metrics
from hustlex.metrics.history import HistoryTally
from hustlex.ratelimit import Penalty, Policy
from hustlex.sync import HustleX
from tests.conftest import PATIENCE, SECRET, unhurried

PHONE = "+2348031234567"
ID = "3f9a01c2-77aa-4b1e-9d6f-0f3c5a4f2b11"
WORKFLOW = "0d3f6c1e-5a41-4a53-9a57-2f6f1a0d7c11"
HOUR = timedelta(hours=1)
FAILED = "6f0c2a9d4b7e1835"
CLAIM = "0f2c9c1e77aa4b1e9d6f0f3c5a4f2b11"
TOKEN = "tok_5f2c9c1e77aa4b1e9d6f"
PAYLOAD = {"to": PHONE, "token": TOKEN, "amount": 4_500_713}


def opened(url: str) -> HustleX:
    """The front, with the settings that ``environment`` names."""
    return HustleX(url, secret=SECRET, prefix="app:", timeout=PATIENCE, ratelimit=unhurried())


def restored(url: str, raw: redis.Redis) -> None:
    """The emptied server as ``seed`` leaves it; made once, since that takes longer than most tests."""
    if url not in _KEPT:
        with opened(url) as hx:
            seed(hx)
        _KEPT[url] = [(key, raw.pttl(key), raw.dump(key)) for key in raw.scan_iter(count=10_000)]
        return
    with raw.pipeline(transaction=False) as pipe:
        for key, life_ms, value in _KEPT[url]:
            pipe.restore(key, max(life_ms, 0), value)
        pipe.execute()


_KEPT: dict[str, list[tuple[bytes, int, bytes]]] = {}


def environment(url: str) -> dict[str, str]:
    """Of the command."""
    return {"HUSTLEX_URL": url, "HUSTLEX_SECRET": SECRET.decode(), "HUSTLEX_PREFIX": "app:", "NO_COLOR": "1"}


def seed(hx: HustleX) -> None:
    """Queues, tasks in several states, an entry, a workflow, a session, a code, a cached value, events, rules."""
    jobs = hx.jobs
    jobs.enqueue("gig:pay", PAYLOAD, task_id=ID)
    for name in ("mail-7", "mail-8"):
        jobs.enqueue("mail:send", PAYLOAD, task_id=name, queue="mail", process_in=HOUR)
    jobs.enqueue("old:task", queue="old")
    jobs.enqueue("report:build", task_id="report-7")
    jobs.inspector.archive("default", "report-7")
    jobs.schedules.add("report", "0 7 * * 1", Job("report:build"))
    jobs.start(Job("gig:first").then(Job("gig:second")), workflow_id=WORKFLOW)
    jobs.enqueue("mail:line", PAYLOAD, queue="mail", group="digest")
    fail(hx)
    aside(hx, "mail", "mail-5")
    aside(hx, "mail", "mail-6", PHONE)
    hx.tokens.login("u7", device="Pixel 9")
    hx.otp.issue(PHONE)
    hx.driver.run(
        _put(f"app:idem:{{u7}}:POST%20/pay:{CLAIM}", "st", "run", "lease", 1, "fence", 1, "point", "charging")
    )
    part = int(time.time() // 180)
    hx.driver.run(_put("app:otp:{pfx:2348031}:cap", "next", 1, "since", 1, f"s{part}", 20, f"s{part + 1}", 20))
    hx.cache("user", str, ttl=HOUR).set("42", "Ada")
    channel: Any = hx.events.channel("orders:42", Any, kind="replay")
    channel.publish_many([{"state": "paid", "to": PHONE} for _ in range(10)])
    strict = Policy("pay", 9, HOUR, penalty=Penalty())
    hx.ratelimit.inspector.ban(strict, "u8", endpoint="POST /pay", length=HOUR)
    metrics = Metrics()
    metrics.callers.note("pay", "u7")
    metrics.families["task_wait_seconds"].observe(0.3, ("mail",))
    hx.driver.run(HistoryTally(metrics).report(hx.prefix))


def fail(hx: HustleX) -> None:
    """A group of failures."""
    kind = FailureKind("mail:send", "app.errors.ProviderDown", "provider.post", "no answer to <n>")
    hx.driver.run(record.failures(queue_keys("mail"), [FailureCount(FAILED, kind, 3, ("mail-7",))], 0))


def aside(hx: HustleX, queue: str, task_id: str, message: str | None = None) -> None:
    """A message that a worker set aside. message: None = one that can be decoded by now."""
    written = message or encode_task(TaskMessage("mail:send", b"{}", task_id, queue, 25))
    hx.driver.run(_put(parked(queue_keys(queue)), task_id, written))


def _put(key: str, *fields: Any) -> Any:
    """A request whose owner is gone, or a prefix that is slowed down."""
    return command("test.put", Effect.ONCE, "HSET", key, *fields, keys=(key,), decode=int)


RULES = '[pay]\nrule = "1/minute"\npenalty = {strikes = 1, per = "1min", ban = "1h"}\n'
"""What examples call limits.toml."""
CODES = "async def send_again(to):\n    return None\n"
"""What examples call the module codes."""


def emptied(url: str) -> None:
    """A server of one's own."""
    with redis.Redis.from_url(url) as raw:
        raw.flushall()
