"""``make pictures``: a busy little system, a real browser, and the pictures of the console that the guides show."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import math
import secrets
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import msgspec

from hustlex import HustleX
from hustlex.core.op import Effect, command
from hustlex.dashboard import Dashboard, Operator
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.idempotency import Response, Scope, Started
from hustlex.jobs import BulkVerb, Tasks, gather
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import QueueMeasure
from hustlex.metrics import Metrics
from hustlex.metrics.history import HistoryTally
from hustlex.ratelimit import parse_rule
from hustlex.worker import Scheduler, Worker
from tests.dashboard.browsing import BUTTON, STATUS, enter, fill, go
from tests.support.browser import Chromium, connected, started
from tools.serving import serving

SIZES = {"wide": (1280, 860), "narrow": (360, 780)}
_AT_MOST_S = 180
PHONE, RULE = "+2348031234567", "3/minute per user on POST /pay"


class Scene(msgspec.Struct, frozen=True):
    """A page, as somebody sees it. fields: what is asked on it. then: words of a button that leads on to a table."""

    path: str
    fields: dict[str, str] = {}
    then: str = ""


SCENES = {
    "home": Scene("/"),
    "queues": Scene("/queues"),
    "queue": Scene("/queues/critical"),
    "tasks": Scene("/tasks?queue=critical&state=retry"),
    "search": Scene("/tasks?q=state:retry,archived+type:gig:*+error~answer"),
    "task": Scene("/tasks/critical/release-3"),
    "errors": Scene("/errors"),
    "workers": Scene("/workers"),
    "cron": Scene("/cron"),
    "workflows": Scene("/workflows"),
    "workflow": Scene("/workflows/default/gig-4711~3a0"),
    "quarantine": Scene("/quarantine?queue=default"),
    "people": Scene("/people"),
    "person": Scene("/people", {"user": "u1", "phone": PHONE}),
    "limits": Scene("/limits"),
    "codes": Scene("/codes"),
    "payments": Scene("/idempotency"),
    "tail": Scene("/events", {"channel": "orders:4711"}, "Show its events"),
    "redis": Scene("/redis"),
    "audit": Scene("/audit"),
}
SHOWN = {
    "home": "console.png",
    "queue": "console-queue.png",
    "workflow": "console-workflow.png",
    "person": "console-person.png",
}
"""What README and guides show, as far as it fits the window, by the names in docs/pictures."""
COUNTED = (
    ("ratelimit_decisions_total", ("pay", "allowed", "redis"), 18_204),
    ("ratelimit_decisions_total", ("pay", "denied", "redis"), 311),
    ("cache_requests_total", ("user", "fresh"), 84_120),
    ("cache_requests_total", ("user", "miss"), 6_310),
    ("otp_steps_total", ("sent", "NG"), 1_240),
    ("otp_steps_total", ("verified", "NG"), 1_102),
    ("otp_steps_total", ("refused", "NG"), 17),
    ("idempotency_total", ("started",), 2_730),
    ("idempotency_total", ("replay",), 48),
    ("calls_total", ("events.append", "ok"), 9_402),
)
SERVED = "local now = redis.call('TIME'); return redis.call('ZADD', KEYS[1], now[1] * 1000, ARGV[1])"
tasks = Tasks()


@tasks.task("gig:escrow_release", queue="critical", max_retry=5)
async def release(gig_id: int, phone: str) -> None:
    """Fails for every third gig."""
    if gig_id % 3 == 0:
        raise TimeoutError("provider.post: no answer within 30 s")


@tasks.task("sms:send", queue="sms")
async def send(to: str, text: str) -> None:
    """Nobody serves its queue."""


@tasks.task("wallet:statement", queue="default")
async def statement(user: str, month: str) -> dict[str, int]:
    """Takes a while."""
    await asyncio.sleep(20 if user == "u1" else 0)
    return {"kobo": 125_000}


@tasks.task("gig:verify", max_retry=0)
async def verify(gig_id: int, what: str) -> str:
    """A step of a workflow; one of them fails."""
    if what == "insurance":
        raise ValueError("no policy covers this gig")
    return what


tasks.cron("statements", "0 7 1 * *", statement.job("all", "last"), timezone="Africa/Lagos")
tasks.cron("remind", "@every 15m", send.job("all", "come back"))


async def seed(hx: HustleX) -> None:
    """What an operator meets on a bad day."""
    for n in range(60):
        await hx.jobs.enqueue(release.job(n, PHONE), task_id=f"release-{n}")
    for n in range(25):
        await hx.jobs.enqueue(send.job(PHONE, f"Your gig {n} was taken"), retention=timedelta(hours=1))
    for n in range(8):
        await hx.jobs.enqueue(statement.job(f"u{n}", "2026-11"), retention=timedelta(hours=1))
    await hx.jobs.enqueue(statement.job("u9", "2026-12"), process_in=timedelta(hours=6))
    checks = gather(*(verify.job(4711, what) for what in ("identity", "address", "insurance")))
    paid = gather(statement.job("u1", "gig-4711"), send.job(PHONE, "Your gig is paid"))
    held = gather(checks, statement.job("u1", "held"), then=release.job(4711, PHONE).then(paid))
    await hx.jobs.start(held, workflow_id="gig-4711")
    key = parked(queue_keys("default"))
    words = ("HSET", key, "6f1c", b"\x0a\x05order\xff\xfe", "77ab", b'{"not": "a message"}')
    await hx.driver.run(command("pictures.aside", Effect.ONCE, *words, keys=(key,), decode=int))


async def lived(hx: HustleX) -> None:
    """One person: signed in on two phones, signed out of one, asked for a code, paid twice, was refused."""
    await hx.tokens.login("u1", device="Tecno Spark 20", platform="android")
    old = (await hx.tokens.login("u1", device="Infinix Hot 40", platform="android")).or_raise()
    await hx.tokens.revoke_session("u1", old.session_id)
    await hx.otp.issue(PHONE)
    for key in ("9b1d", "04fe"):
        begun = await hx.idempotency.begin(key, Scope("u1", "POST", "/pay"))
        assert isinstance(begun, Started)
        await hx.idempotency.complete(begun, Response(201, b"{}"))
    await hx.idempotency.begin("in-doubt", Scope("u1", "POST", "/pay"))
    for _ in range(4):
        await hx.ratelimit.check(parse_rule(RULE).policy, "u1", endpoint="POST /pay")


async def remember(hx: HustleX) -> None:
    """A day as it may have been: quiet at night, a provider that failed for an hour, a pause of the workers."""
    now_ms = int(time.time() * 1000)
    done, failed, ops = 0, 0, []
    for minute in range(1440, 0, -1):
        swing = 1 - math.cos((1440 - minute) / 1440 * 2 * math.pi)
        outage = 200 < minute < 260
        ended = int(900 * swing + 60 * math.sin(minute) + 80)
        done, failed = done + ended, failed + (ended // 3 if outage else ended // 400)
        if not 600 < minute < 640:
            seen = QueueMeasure(done, failed, int(40 * swing) + (3_000 - 50 * abs(minute - 230) if outage else 0), 200)
            ops.append(record.history([("critical", seen)], now_ms - minute * 60_000))
    for op in ops:
        await hx.driver.run(op)


async def told(hx: HustleX) -> None:
    """A day of what an API's two processes and a worker tell of their rooms, and whom they serve now."""
    metrics, now_ms = Metrics(), int(time.time() * 1000)
    tally = HistoryTally(metrics)
    for hour in range(24):
        part = (1.2 - math.cos(hour / 24 * 2 * math.pi)) / 28.8
        for name, labels, times in COUNTED:
            metrics.families[name].add(labels, round(times * part))
        for seconds, times in ((0.02, 900), (0.3, 260), (4.0, 12)):
            metrics.families["task_duration_seconds"].observe(seconds, ("gig:escrow_release",), round(times * part))
            metrics.families["task_wait_seconds"].observe(seconds / 2, ("critical",), round(times * part))
        with patch("hustlex.metrics.history.server_clock", lambda at=hour: now_ms - (23 - at) * 3_600_000):
            await hx.driver.run(tally.report(hx.prefix))
    for process, sse, websocket in (("api-1:17", 412, 96), ("api-2:17", 388, 104)):
        words = ("EVAL", SERVED, 1, f"{hx.prefix}x:{{rooms}}:served", json.dumps([process, sse, websocket]))
        await hx.driver.run(command("pictures.served", Effect.ONCE, *words, keys=(words[3],), decode=int))


async def under_way(hx: HustleX) -> None:
    """Until heartbeats tell what runs, and one task has failed twice."""
    for retried in (1, 2):
        while (await hx.jobs.inspector.task("critical", "release-3")).retried < retried:
            await asyncio.sleep(0.05)
        if retried == 1:
            await hx.jobs.inspector.run("critical", "release-3")
    while not any(each.active_worker_count for each in await hx.jobs.inspector.servers()):
        await asyncio.sleep(0.1)
    while not await hx.jobs.inspector.scheduler_entries():
        await asyncio.sleep(0.1)


async def publishing(hx: HustleX) -> None:
    """What is heard on a channel while somebody looks."""
    channel = hx.events.channel("orders:{order}", dict)
    for step in itertools.cycle(("placed", "paid", "assigned", "on the way", "delivered")):
        await channel.publish({"state": step, "phone": PHONE}, order=4711)
        await asyncio.sleep(0.3)


async def planned(hx: HustleX) -> str:
    """A bulk act that waits to be started; its id."""
    bulk = await hx.jobs.inspector.bulk.plan(
        BulkVerb.ARCHIVE, "state:retry,pending", by="ada", label="state:retry,pending"
    )
    while bulk.moving:
        bulk = await hx.jobs.inspector.bulk.step(bulk.id)
    return bulk.id


async def take(browser: Chromium, place: str, token: str, target: Path, scenes: dict[str, Scene]) -> list[str]:
    """Sign in as a person would, then every scene in both sizes and themes; what was wrong with pages."""
    wrong, tab = list[str](), await browser.open(f"{place}/enter#{token}")
    await tab.until("document.querySelector('h1') && location.pathname === '/'")
    await tab.call("Emulation.setScrollbarsHidden", hidden=True)
    for domain in ("Log", "Runtime"):
        await tab.call(f"{domain}.enable")
    for name, scene in scenes.items():
        await tab.look(*SIZES["wide"])
        await go(tab, f"{place}/enter", scene.path)
        if scene.fields:
            await fill(tab, scene.fields)
        if scene.then:
            await enter(tab, BUTTON % json.dumps(scene.then))
            await tab.until("document.querySelectorAll('main tbody tr').length > 3")
        if (status := await tab.run(STATUS)) != 200:
            wrong.append(f"{name}: {status}")
        if name in SHOWN:
            (target / SHOWN[name]).write_bytes(await tab.picture())
        for size, looks in SIZES.items():
            for theme in ("light", "dark"):
                await tab.look(*looks, theme)
                if await tab.run("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                    wrong.append(f"{name} {size}: wider than the window")
                shot = await tab.call("Page.captureScreenshot", captureBeyondViewport=True)
                (target / f"{name}-{size}-{theme}.png").write_bytes(base64.b64decode(shot["data"]))
        wrong += [f"{name}: {each}" for each in complaints(browser)]
    return wrong


def complaints(browser: Chromium) -> list[str]:
    """What the browser has said against pages since somebody asked: errors of scripts, refusals of the policy."""
    found, loud = [], ("error", "warning", "assert")
    for each in browser.told:
        about = each["params"]
        level = about.get("entry", about).get("level", about.get("type"))
        if each["method"] == "Runtime.exceptionThrown" or level in loud:
            found.append(json.dumps(about)[:300])
    browser.told.clear()
    return found


async def main(target: Path) -> list[str]:
    """Everything, ended in the reverse order; what was wrong with pages."""
    with (
        tempfile.TemporaryDirectory() as data,
        EmbeddedServer(Path(data), append_only=True) as server,
        started() as address,
    ):
        async with HustleX(server.url, secret=secrets.token_bytes(32)) as hx:
            await remember(hx)
            await seed(hx)
            await lived(hx)
            await told(hx)
            worker = Worker(hx.driver, tasks, queues={"critical": 6, "default": 3}, concurrency=10)
            scheduler = Scheduler(hx.driver, tasks)
            running = [asyncio.create_task(worker.run()), asyncio.create_task(scheduler.run())]
            heard = asyncio.create_task(publishing(hx))
            await under_way(hx)
            console = Dashboard(hx, title="HustleX", hosts=None, rules=[RULE], channels=["users:{user}"])
            async with serving(console) as place, connected(address) as browser:
                scenes = SCENES | {"bulk": Scene(f"/bulk/{await planned(hx)}")}
                wrong = await take(browser, place, await console.sign_in_token(Operator("act", "ada")), target, scenes)
            heard.cancel()
            worker.stop()
            scheduler.stop()
            await asyncio.gather(*running)
    return wrong


def shown() -> int:
    """Take all, keep what was asked for: the whole in a directory that is named, else what the guides show."""
    with tempfile.TemporaryDirectory() as kept:
        target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(kept)
        target.mkdir(parents=True, exist_ok=True)
        wrong = asyncio.run(asyncio.wait_for(main(target), _AT_MOST_S))
        if len(sys.argv) == 1 and not wrong:
            for name in SHOWN.values():
                (Path("docs/pictures") / name).write_bytes((target / name).read_bytes())
    print("\n".join(wrong) or f"{len(SCENES) + 1} pages were looked at, and nothing was said against them")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(shown())
