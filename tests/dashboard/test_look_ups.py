"""People, limits, cache, payments and events: asked for by a form, answered on the same page."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import redis

from hustlex.cache import tally
from hustlex.idempotency import Scope, Started
from hustlex.jobs.schedule.ops import note_refused
from hustlex.metrics.rounds import Lap
from tests.dashboard.conftest import Person

PHONE = "+2348031234567"


async def test_a_phone_that_gets_no_code_says_why(hx: Any, person: Callable[..., Person]) -> None:
    issued = (await hx.otp.issue(PHONE)).or_raise()
    for _ in range(5):
        await hx.otp.verify(issued.challenge, "000000")
    ada = person("act")
    await ada.open("/people")
    await ada.post("/people", phone=PHONE)
    assert "the next code may be sent in" in ada.shown and "sends in 24 h" in ada.shown.lower()
    await ada.post("/people", phone="nonsense")
    assert "<h1>Not done</h1>" in ada.shown


async def test_a_person_is_logged_out(hx: Any, person: Callable[..., Person], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hustlex.audit")
    for device in ("Tecno <b>Spark</b>", "iPhone"):
        await hx.tokens.login("u7", device=device)
    ada = person("act")
    await ada.open("/people")
    await ada.post("/people", user="u7")
    assert "Tecno &lt;b&gt;Spark" in ada.shown and "iPhone" in ada.shown
    [first, second] = (await hx.tokens.inspector.user("u7")).sessions
    await ada.post("/confirm", verb="revoke", user="u7", session=first.session_id, back="/people")
    assert "Log out?" in ada.shown
    await ada.press("revoke", user="u7", session=first.session_id, back="/people")
    assert "The session has ended." in ada.shown
    assert [each.session_id for each in (await hx.tokens.inspector.user("u7")).sessions] == [second.session_id]
    assert (await ada.press("revoke_all", user="u7", back="/people", typed="u8")).status_code == 400
    await ada.press("revoke_all", user="u7", back="/people", typed="u7")
    assert "1 sessions have ended." in ada.shown
    await ada.post("/people", user="u7")
    assert "Nobody is logged in" in ada.shown and "was revoked" in ada.shown
    await ada.open("/audit")
    assert hx.reference("u7") in ada.shown and ">u7<" not in ada.shown and "user=u7" not in ada.shown
    assert "user=u7" not in caplog.text


async def test_pin_attempts_are_forgiven(hx: Any, person: Callable[..., Person]) -> None:
    verifier = (await hx.pins.hash("u7", "7391")).or_raise().verifier
    await hx.pins.verify("u7", "1111", verifier)
    ada = person("act")
    await ada.open("/people")
    await ada.post("/people", user="u7")
    assert "1 wrong PINs since the last right one" in ada.shown
    await ada.press("reset_pin", user="u7", back="/people")
    assert (await hx.pins.inspector.user("u7")).wrong == 0


async def test_a_limit_says_what_is_left(hx: Any, person: Callable[..., Person]) -> None:
    ada = person("read")
    await ada.open("/limits")
    await ada.post("/limits", rule="3/minute per user on POST /pay", who="u7")
    assert "What it promises" in ada.shown and ">3<" in ada.shown
    assert (await ada.post("/limits", rule="nonsense")).status_code == 400
    assert (await ada.post("/limits", rule="3/minute per user on POST /pay")).status_code == 200


async def test_a_cache_entry_says_why(hx: Any, person: Callable[..., Person]) -> None:
    users = hx.cache("user", dict, ttl=timedelta(minutes=15), timeout=timedelta(seconds=5))
    await users.set("42", {"name": "Adaeze"})
    ada = person("read")
    await ada.open("/cache")
    await ada.post("/cache", name="user", key="42")
    assert "A value is stored" in ada.shown and "Adaeze" not in ada.shown
    await ada.post("/cache", name="user", key="43")
    assert "Nothing is stored" in ada.shown


async def test_an_entry_and_a_tag_are_invalidated(hx: Any, person: Callable[..., Person]) -> None:
    users = hx.cache("user", dict, ttl=timedelta(minutes=15), timeout=timedelta(seconds=5))
    for key in ("7391", "7392"):
        await users.set(key, {"name": "Ada"}, tags=["org:5"])
    ada, reader = person("act"), person("read")
    await ada.open("/cache")
    await ada.post("/cache", name="user", key="7391")
    assert "Delete entry" in ada.shown
    await ada.press("delete_entry", cache="user", key="7391", back="/cache")
    assert "The entry is gone" in ada.shown
    assert (await users.get("7391"), await users.get("7392")) == (None, {"name": "Ada"})
    await ada.press("invalidate_tag", tag="org:5", back="/cache")
    assert "All entries with the tag are gone" in ada.shown and await users.get("7392") is None
    await ada.open("/audit")
    assert "cache=user" in ada.shown and "tag=org:5" in ada.shown and "7391" not in ada.shown
    await reader.open("/cache")
    assert "Invalidate" not in reader.shown
    assert hx.cache.declared["user"] is users._plan  # the application's own is as it was


async def test_what_all_processes_read_of_each_cache_is_shown(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "EVERY_S", 0.0)
    users = hx.cache("user", int, ttl=timedelta(minutes=15), timeout=timedelta(seconds=5))
    await users.set(42, 7)
    for key in (42, 42, 42, 43, 42):
        await users.get(key)
    ada = person("read")
    await ada.open("/cache")
    assert "All processes, in the last hour" in ada.shown
    assert "75.0 %" in ada.shown  # the last read is told with the next one


async def test_a_payment_in_doubt_is_listed(hx: Any, person: Callable[..., Person]) -> None:
    ada = person("read")
    await ada.open("/idempotency")
    assert "No payment is in doubt" in ada.shown
    await hx.idempotency.begin("k1", Scope("u7", "POST", "/pay"), body=b"{}")
    await ada.open("/idempotency")
    assert "running" in ada.shown and "(1!)" not in ada.shown


async def test_a_stuck_claim_is_released_and_the_audit_says_how_it_stood(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    begun = await hx.idempotency.begin("k1", Scope("u7", "POST", "/pay"))
    ada, given = person("act"), {"claim": begun.record, "fence": "1", "back": "/idempotency"}
    await ada.open("/people")
    await ada.open("/idempotency")
    assert ">Release" not in ada.shown
    typed = begun.record[-8:]
    answer = await ada.press("release", typed=typed, **given)
    assert answer.status_code == 409 and "its owner lives" in ada.shown
    raw.hset(begun.record, "lease", 1)
    await ada.open("/idempotency")
    assert ">Release" in ada.shown and "ask the provider first" in ada.shown and "(1!)" in ada.shown
    assert "1 payment in doubt: begun, and never ended" in await home_of(ada)
    assert "in doubt" not in await home_of(person("read", rooms=("jobs", "redis", "people")))
    await ada.open(f"/confirm?verb=release&claim={quote(begun.record)}&fence=1&back=/idempotency")
    assert "may have happened, a payment too" in ada.shown and "cannot be undone" in ada.shown
    assert (await ada.press("release", **given)).status_code == 400
    await ada.press("release", typed=typed, **given)
    assert "the next request with this key executes" in ada.shown and "released" in ada.shown
    assert isinstance(await hx.idempotency.begin("k1", Scope("u7", "POST", "/pay")), Started)
    await ada.open("/audit")
    assert "lapsed, 1 owner" in ada.shown and "released, 1 owner" in ada.shown
    await ada.open("/idempotency?kind=events")
    assert "No event is in doubt" in ada.shown


async def test_an_entry_of_cron_that_was_refused_needs_attention(hx: Any, person: Callable[..., Person]) -> None:
    await hx.driver.run(note_refused({"nightly": "the queue is full"}, int(time.time() * 1000)))
    assert "cron nightly: its task was not enqueued: the queue is full" in await home_of(person("read"))
    assert "nightly" not in await home_of(person("read", queues=("gig*",)))


async def test_what_the_doctor_finds_needs_attention(person: Callable[..., Person]) -> None:
    """The test's server keeps nothing on disk."""
    found = await home_of(person("read"))
    assert re.search(r"state server( \S*:\d+)?: persistence: append-only file off", found), "a cluster's names the node"
    assert "state server" not in await home_of(person("read", rooms=("jobs", "people")))


def test_a_way_through_the_keys_forgets_what_the_next_does_not_find() -> None:
    lap = Lap()
    lap.take(["a"], "7")
    lap.take(["b"], "")
    assert lap.names == {"a", "b"} and lap.cursor == ""
    lap.take([], "7")
    assert lap.names == {"a", "b"}, "the way is not at its end"
    lap.take(["b", "c"], "")
    assert lap.names == {"b", "c"}


async def home_of(somebody: Person) -> str:
    """Home, when all that it asks once a minute was asked: one thing at each look."""
    for _ in range(5):
        await somebody.open("/")
    return somebody.shown


async def test_what_a_breaker_slows_down_is_shown_and_ended_with_a_note(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    part = int(time.time() // 180)
    counts = {"next": 1, "since": time.time_ns() // 10**6 - 240_000, f"s{part}": 20, f"v{part}": 1}
    raw.hset("otp:{pfx:2348031}:cap", mapping=counts)
    ada = person("act")
    await ada.open("/people")
    await ada.open("/codes")
    assert "pfx:2348031" in ada.shown and "4 m" in ada.shown and "(1!)" in ada.shown
    assert "codes of pfx:2348031 are slowed down" in await home_of(ada)
    assert "slowed down" not in await home_of(person("read", rooms=("jobs", "redis", "idempotency")))
    await ada.press("close_breaker", breaker="pfx:2348031", back="/codes")
    assert "Messages pass again" in ada.shown and "is slowed down" in ada.shown
    assert (await ada.press("close_breaker", breaker="pfx:2348031", back="/codes")).status_code == 409
    assert (await ada.press("close_breaker", breaker="nonsense", back="/codes")).status_code == 400
    await ada.open("/audit")
    assert "slowed down, 1 of 20 typed" in ada.shown and "not slowed down" in ada.shown


async def test_a_channel_says_who_listens(hx: Any, person: Callable[..., Person]) -> None:
    orders = hx.events.channel("orders:{order_id}", dict)
    ada = person("read")
    await ada.open("/events")
    async with orders.subscribe(order_id=42):
        await ada.post("/events", channel="orders:42")
        assert "1 connection listens to orders:42" in ada.shown
    await ada.post("/events", channel="orders:43")
    assert "Nobody listens" in ada.shown


async def test_a_look_up_from_elsewhere_is_refused(person: Callable[..., Person]) -> None:
    ada = person("act")
    for page in ("/people", "/limits", "/cache", "/events"):
        assert (await ada.post(page, user="u7", form_token="")).status_code == 403, page
        await ada.open(page)
        ada.client.headers["Sec-Fetch-Site"] = "cross-site"
        assert (await ada.post(page, user="u7")).status_code == 403, page
        ada.client.headers["Sec-Fetch-Site"] = "same-origin"
    assert (await ada.post("/queues")).status_code in (404, 405)
