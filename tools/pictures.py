"""``make pictures``: a busy little system, a real browser, and the pictures of the console that the guides show."""

from __future__ import annotations

import asyncio
import base64
import math
import secrets
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from hustlex import HustleX
from hustlex.dashboard import Dashboard, Operator
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.jobs import BulkVerb, Tasks
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import QueueMeasure
from hustlex.worker import Scheduler, Worker
from tests.support.browser import Chromium, connected, started
from tools.serving import serving

SIZES = {"wide": (1280, 860), "narrow": (360, 780)}
PAGES = {
    "home": "/",
    "queues": "/queues",
    "queue": "/queues/critical",
    "tasks": "/tasks?queue=critical&state=retry",
    "search": "/tasks?q=state:retry,archived+type:gig:*+error~answer",
    "errors": "/errors",
    "workers": "/workers",
    "cron": "/cron",
    "workflows": "/workflows",
    "people": "/people",
    "limits": "/limits",
    "payments": "/idempotency",
    "redis": "/redis",
    "audit": "/audit",
}
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


tasks.cron("statements", "0 7 1 * *", statement.job("all", "last"), timezone="Africa/Lagos")
tasks.cron("remind", "@every 15m", send.job("all", "come back"))


async def seed(hx: HustleX) -> None:
    """What an operator meets on a bad day."""
    for n in range(60):
        await hx.jobs.enqueue(release.job(n, "+2348031234567"))
    for n in range(25):
        await hx.jobs.enqueue(send.job("+2348031234567", f"Your gig {n} was taken"), retention=timedelta(hours=1))
    for n in range(8):
        await hx.jobs.enqueue(statement.job(f"u{n}", "2026-11"), retention=timedelta(hours=1))
    await hx.jobs.enqueue(statement.job("u9", "2026-12"), process_in=timedelta(hours=6))


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


async def planned(hx: HustleX) -> str:
    """A bulk act that waits to be started; its id."""
    bulk = await hx.jobs.inspector.bulk.plan(
        BulkVerb.ARCHIVE, "state:retry,pending", by="ada", label="state:retry,pending"
    )
    while bulk.moving:
        bulk = await hx.jobs.inspector.bulk.step(bulk.id)
    return bulk.id


async def take(browser: Chromium, place: str, token: str, target: Path, pages: dict[str, str]) -> None:
    """Sign in as a person would, then every page in both sizes and themes."""
    tab = await browser.open(f"{place}/enter#{token}")
    await tab.until("document.querySelector('h1') && location.pathname === '/'")
    for size, (width, height) in SIZES.items():
        await tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        for theme in ("light", "dark"):
            await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
            for name, path in pages.items():
                await tab.call("Page.navigate", url=place + path)
                await tab.until(
                    f"document.readyState === 'complete' && location.pathname + location.search === '{path}'"
                )
                wide = await tab.run("document.documentElement.scrollWidth > document.documentElement.clientWidth")
                if wide:
                    print(f"{name} {size}: wider than the window")
                shot = await tab.call("Page.captureScreenshot", captureBeyondViewport=True)
                (target / f"{name}-{size}-{theme}.png").write_bytes(base64.b64decode(shot["data"]))


async def main(target: Path) -> None:
    """Everything, ended in the reverse order."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, EmbeddedServer(Path(data)) as server, started() as address:
        async with HustleX(server.url, secret=secrets.token_bytes(32)) as hx:
            await remember(hx)
            await seed(hx)
            worker = Worker(hx.driver, tasks, queues={"critical": 6, "default": 3}, concurrency=10)
            scheduler = Scheduler(hx.driver, tasks)
            running = [asyncio.create_task(worker.run()), asyncio.create_task(scheduler.run())]
            await asyncio.sleep(6)  # until the next heartbeat has told what runs
            console = Dashboard(hx, title="HustleX", hosts=None)
            async with serving(console) as place, connected(address) as browser:
                pages = PAGES | {"bulk": f"/bulk/{await planned(hx)}"}
                await take(browser, place, await console.sign_in_token(Operator("act", "ada")), target, pages)
            worker.stop()
            scheduler.stop()
            await asyncio.gather(*running)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")))
