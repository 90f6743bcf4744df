"""Home: what fills the servers, who is connected, and what acts make of what was known."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.cli.acts import acting
from hustlex.core.op import Effect, command
from hustlex.core.streams import open_streams
from hustlex.dashboard import Dashboard, Operator, patrol
from hustlex.idempotency import Scope
from hustlex.jobs import Job
from hustlex.jobs.schedule.ops import note_refused
from hustlex.metrics import Metrics
from hustlex.metrics.history import HistoryTally
from hustlex.metrics.live import LiveTally
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE, SECRET
from tests.dashboard.conftest import Person

PHONE = "+2348031234567"
LOOKS = 5
"""After so many, all is asked that is asked once a minute."""

pytestmark = pytest.mark.one_server


def text(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html.partition("<main")[2])))


async def home(somebody: Person, looks: int = LOOKS) -> str:
    for _ in range(looks):
        assert (await somebody.open("/")).status_code == 200
    return text(somebody.shown)


async def seeing(front: HustleX, level: Any = "act", **more: Any) -> Person:
    """Somebody at another console."""

    async def who(_: Any) -> Operator:
        return Operator(level, "bob", **more)

    return Person(Dashboard(front, access=who))


# -- memory by room


async def test_the_first_look_tells_what_fills_the_server_and_the_next_how_old_that_is(
    hx: Any, raw: redis.Redis, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(patrol, "monotonic", lambda: now[0])
    await hx.otp.issue(PHONE)
    raw.set("wallet:ada", "x" * 100_000)
    ada = person("read")
    shown = await home(ada, 1)
    assert re.search(r"Memory by room.* other 1 \d+\.\d KiB \d\d\.\d %", shown) and " otp " in shown
    assert re.search(rf"All {raw.dbsize()} keys were looked at, just now; \d+ connections to the server\.", shown)
    assert re.search(r"Redis memory \d+\.\d MiB no limit", shown)
    raw.set("wallet:bob", "x")
    now[0] += 40
    assert "keys were looked at, 40 s ago" in await home(ada, 1) and "other 1 " in text(ada.shown)
    now[0] += 60
    assert "other 2 " in await home(ada, LOOKS)


async def test_of_many_keys_some_are_looked_at(hx: Any, raw: redis.Redis, person: Callable[..., Person]) -> None:
    await hx.driver.run(command("test.many", Effect.ONCE, "DEBUG", "POPULATE", 3000, keys=(), decode=bytes))
    shown = await home(person("read"), 1)
    assert re.search(r"≈ from 200 of 3,\d\d\d keys, which chance chose, ", shown)
    assert re.search(r"other (3,0|2,9)\d\d ", shown)  # chance may choose what is not one of them, too


async def test_memory_is_told_to_whom_the_servers_and_all_queues_exist(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    await hx.otp.issue(PHONE)
    for narrow in ({"rooms": ("jobs", "people")}, {"queues": ("gig*",)}):
        shown = await home(person("read", **narrow))
        assert "Memory by room" not in shown and "Redis memory" not in shown
    shown = await home(person("read", rooms=("jobs", "redis")), 1)
    assert " otp " not in shown and " other " in shown and "Live connections" not in shown


@pytest.mark.parametrize(
    ("forbidden", "words", "still"),
    [
        ("-memory|usage", "The user may not ask for sizes: it lacks +memory|usage", "keys were looked at"),
        ("-dbsize", "A user who may look has +eval +dbsize +randomkey", "Redis memory"),
        ("-info", "A user who may look has +info", "keys were looked at"),
    ],
)
async def test_what_the_server_does_not_let_be_seen_is_said(
    url: str, hx: Any, raw: redis.Redis, forbidden: str, words: str, still: str
) -> None:
    await hx.otp.issue(PHONE)
    raw.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", forbidden)
    parts = urlsplit(url)
    limited = urlunsplit(parts._replace(netloc=f"limited:pw@{parts.hostname}:{parts.port}"))
    try:
        async with HustleX(limited, secret=SECRET, timeout=PATIENCE) as front:
            shown = await home(await seeing(front), 1)
    finally:
        raw.execute_command("ACL", "DELUSER", "limited")
    assert words in shown and still in shown


async def test_a_cache_server_that_is_away_takes_nothing_else_away(url: str) -> None:
    away: dict[str, Any] = {"cache_url": "redis://127.0.0.1:1/0", "timeout": timedelta(seconds=1)}
    async with HustleX(url, secret=SECRET, **away) as front:
        await front.otp.issue(PHONE)
        shown = await home(await seeing(front), 2)
    assert " otp " in shown and "The cache server did not answer when it was asked last." in shown


# -- live connections


async def test_live_connections_are_told_in_all_and_by_process(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = person("read")
    assert "Live connections - no process tells" in await home(ada, 1)
    await hx.driver.run(HistoryTally(Metrics()).report(hx.prefix))
    assert "Live connections 0 of clients to events" in await home(ada, 1)
    assert "No client has a live connection." in text(ada.shown)
    for pid in range(7):
        monkeypatch.setattr("hustlex.metrics.live.os.getpid", lambda pid=pid: pid)
        monkeypatch.setattr("hustlex.metrics.live.socket.gethostname", lambda: "<b>api")
        with open_streams.one("sse"), open_streams.one("websocket"):
            op = LiveTally().report(hx.prefix)
            assert op is not None
            await hx.driver.run(op)
    shown = await home(ada, 1)
    assert "Live connections 14 of clients to events" in shown
    assert "14 live connections of clients: 7 event streams, 7 sockets" in shown and "and 2 more processes" in shown
    assert "<b>api:0 1 1" in shown and "<b>api" not in ada.shown.replace("&lt;b&gt;", "")
    assert text((await ada.open("/events")).text).count("<b>api") == 7
    assert "14 live connections" in await home(person("read", rooms=("events",)), 1)


# -- what somebody has acted on meanwhile


async def slowed(raw: redis.Redis) -> None:
    part = int(time.time() // 180)
    counts = {"next": 1, "since": time.time_ns() // 10**6 - 240_000, f"s{part}": 20, f"v{part}": 1}
    for name in ("pfx:2348031", "pfx:23480"):
        raw.hset(f"otp:{{{name}}}:cap", mapping=counts)


def by_command(url: str, breaker: str) -> None:
    with (
        BlockingHustleX(url, secret=SECRET, timeout=PATIENCE) as front,
        acting(front, "close_breaker", breaker=breaker),
    ):
        assert front.otp.close_breaker(breaker)


async def test_what_was_acted_on_is_not_believed_any_more_in_any_process(
    url: str, hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    await slowed(raw)
    begun = [await hx.idempotency.begin(key, Scope("u7", "POST", "/pay")) for key in ("k1", "k2")]
    for each in begun:
        raw.hset(each.record, "lease", 1)
    await hx.jobs.schedules.add("nightly", "@every 1h", Job("a:b"))
    await hx.driver.run(note_refused({"nightly": "the queue is full"}, int(time.time() * 1000)))
    ada = person("act")
    async with HustleX(url, secret=SECRET, timeout=PATIENCE) as elsewhere:
        bob = await seeing(elsewhere)
        for each in (ada, bob):
            shown = await home(each)
            for words in ("codes of pfx:23480 and 1 more", "2 payments in doubt", "cron nightly: its task was not"):
                assert words in shown, words
        await ada.open("/people")
        await ada.press("close_breaker", breaker="pfx:23480", back="/")
        for each in (ada, bob):
            assert "codes of pfx:2348031 are slowed down" in await home(each, 1)
        await asyncio.to_thread(by_command, url, "pfx:2348031")
        for each in (ada, bob):
            assert "are slowed down" not in await home(each, 1)
        await ada.press("release", claim=begun[0].record, fence="1", typed=begun[0].record[-8:], back="/")
        for each in (ada, bob):
            assert "1 payment in doubt" in await home(each, 1)
        raw.delete("asynq:x:{schedules}:refused")
        await ada.press("pause_entry", entry="nightly", back="/")
        for each in (ada, bob):
            assert "was not enqueued" not in await home(each, 1)


async def test_when_much_was_done_all_is_asked_anew(hx: Any, raw: redis.Redis, person: Callable[..., Person]) -> None:
    await slowed(raw)
    ada = person("act")
    assert "are slowed down" in await home(ada)
    for scope in ("2348031", "23480"):
        raw.delete(f"otp:{{pfx:{scope}}}:cap")
    await hx.jobs.enqueue("a:b")
    await ada.open("/people")
    for _ in range(20):
        await ada.client.post("/act", data={"form_token": ada.token, "verb": "pause", "queue": "default", "back": "/"})
    assert "are slowed down" not in await home(ada, 1)


async def test_a_claim_stands_in_the_audit_without_its_person(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    begun = await hx.idempotency.begin("k1", Scope(PHONE, "POST", "/pay"))
    raw.hset(begun.record, "lease", 1)
    ada = person("act")
    await ada.open("/people")
    await ada.press("release", claim=begun.record, fence="1", typed=begun.record[-8:], back="/")
    [entry] = [fields for _, fields in raw.xrevrange("console:{audit}", count=1)]
    target = entry[b"target"].decode()
    assert target.startswith(f"user={hx.reference(PHONE)} claim=POST%20/pay:") and "8031234567" not in target
    assert quote(PHONE) not in repr(raw.xrange("console:{audit}"))
