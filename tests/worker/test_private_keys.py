"""Keys of ours beside Asynq's: each ends by itself or has a most, at every moment, whatever is going on."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any, Self

import pytest
import redis

from hustlex.drivers.aio import Driver
from hustlex.jobs import BulkVerb, Job, Jobs, Limits, Rate, Tasks, current_job, gather
from hustlex.worker import Scheduler
from hustlex.worker.maintain import recorder
from tests.worker.support import DEFAULT, message, put, running, until
from tools.check_lua import lua_files

HOUR = timedelta(hours=1)
KEPT = {"x:bulks", "x:limit", "x:{schedules}:entries", "x:{schedules}:state"}
"""Ids of the newest hundred bulk acts; one number for each queue that an operator limited; and at most 10,000 stored
periodic entries."""


def kind_of(key: str) -> str:
    """``x:sent`` of ``asynq:{default}:x:sent:3f...``; "" for a key that Asynq has too."""
    found = re.search(r"(?:^asynq|\}):(x:(?:\{[a-z]+\}:)?[a-z_]+)", key)
    return found[1] if found else ""


def kinds_in_scripts() -> set[str]:
    """Every kind that the header of a script names."""
    found = set()
    for script in lua_files():
        for line in script.read_text("utf-8").splitlines():
            if line.startswith("--"):
                found |= {kind_of(key) for key in re.findall(r"asynq:[^ ]*x:[{}a-z_:]+", line)}
    return found - {""}


class Guard:
    """Looks at all keys, again and again, in a thread. seen: kinds of ours; endless: those without an end."""

    def __init__(self, url: str) -> None:
        self.seen: set[str] = set()
        self.endless: set[str] = set()
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        with redis.Redis.from_url(self._url, decode_responses=True) as client:
            while not self._stop.wait(0.002):
                keys = [key for key in client.scan_iter("asynq:*x:*", count=10_000) if kind_of(key)]
                lives = client.pipeline(transaction=False)
                for key in keys:
                    lives.pttl(key)
                self.seen |= {kind_of(key) for key in keys}
                self.endless |= {kind_of(key) for key, left in zip(keys, lives.execute(), strict=True) if left == -1}


@pytest.mark.timeout(450)
async def test_every_private_key_has_an_end_or_a_most(
    url: str, driver: Driver, jobs: Jobs, tasks: Tasks, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that makes one, at once; a kind that a script names and this test does not provoke fails it too."""
    monkeypatch.setattr(recorder, "_EVERY_S", 0.5)
    ran: list[Any] = []

    @tasks.task("limited", max_concurrency=2, rate=Rate(50), key="n")
    async def limited(n: int) -> None:
        ran.append(n)

    @tasks.task("tells")
    async def tells() -> None:
        assert await current_job().progress(0.5)
        assert await current_job().result.write({"n": 1})

    @tasks.task("answers")
    async def answers() -> int:
        return 7

    @tasks.task("fails", max_retry=1, retry_delay=timedelta(milliseconds=20))
    async def fails() -> None:
        raise ValueError

    tasks.cron("tick", "@every 1s", Job("limited", b'{"n":0}'))
    tasks.cron("refused", "@every 1s", Job("nobody knows it", None, {"task_id": "fixed"}))
    scheduler = Scheduler(driver, tasks)
    limits = {"default": Limits(max_concurrency=20, rate=Rate(500))}
    with Guard(url) as guard:
        await jobs.limit_queue("default", max_size=10_000)
        await jobs.schedules.add("stored", "@hourly", tells.job())
        await jobs.inspector.bulk.plan(BulkVerb.ARCHIVE, "state:retry", by="ada", label="state:retry")
        async with running(driver, tasks, limits=limits, queues={"default": 1, "other": 1}) as run:
            scheduling = run.task.get_loop().create_task(scheduler.run())
            raw.hset(DEFAULT.task("bad"), mapping={"msg": b"\x0a\xff", "state": "pending"})
            raw.lpush(DEFAULT.pending, "bad")
            put(raw, message("unknown", type="nobody knows it"))
            await jobs.enqueue_many([limited.job(n % 3) for n in range(60)])
            await jobs.enqueue_many([tells.job(), fails.job(), tells.job().with_options(process_in=HOUR)])
            await jobs.enqueue(tells.job(), debounce=timedelta(milliseconds=50))
            await jobs.enqueue(tells.job(), group="g", unique_for=HOUR)
            await jobs.enqueue_many([Job("t", b"", {"group": f"g{n}"}) for n in range(120)])
            await jobs.start(tells.job().then(gather(tells.job(), tells.job().with_options(queue="other"))))
            later = (await jobs.enqueue(answers.job(), process_in=timedelta(milliseconds=100))).or_raise()
            assert await later.result(timeout=timedelta(seconds=15)) == 7
            followed = (await jobs.enqueue(tells.job())).or_raise()
            items = [item async for item in jobs.follow(followed.id)]
            assert items
            await until(lambda: len(ran) > 60 and raw.zcard(DEFAULT.archived) and guard.seen >= kinds_in_scripts())
            scheduler.stop()
            await scheduling
    assert guard.endless <= KEPT
    left = [key for key in raw.scan_iter("asynq:*") if kind_of(key.decode()) and raw.ttl(key) == -1]
    assert {kind_of(key.decode()) for key in left} <= KEPT


async def test_what_stays_has_a_most(hx: Any, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys without an end: one number, and entries that are counted."""
    await hx.jobs.limit_queue("default", max_size=5)
    await hx.jobs.limit_queue("default", max_size=None)
    await hx.jobs.schedules.add("daily", "@daily", Job("t"))
    await hx.jobs.schedules.pause("daily")
    await hx.jobs.schedules.remove("daily")
    assert raw.keys("*x:limit*") == []
    assert raw.hkeys("asynq:x:{schedules}:state") == []
    assert raw.hkeys("asynq:x:{schedules}:entries") in ([], [b""])
