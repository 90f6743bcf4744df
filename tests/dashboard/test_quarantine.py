"""What workers set aside: looked at, put back, deleted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import redis

from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.wire import TaskMessage, encode_task
from tests.dashboard.conftest import Person

LOW = queue_keys("low")
PAYLOAD = b'{"phone": "+2348031234567", "pin": "4821"}'
READABLE = encode_task(TaskMessage("gig:pay", PAYLOAD, "good", "low", 25))


async def set_aside(hx: Any, raw: redis.Redis) -> None:
    """A message that a newer program can decode, and one that none can."""
    await hx.jobs.enqueue("gig:pay", queue="low", task_id="other")
    raw.hset(parked(LOW), mapping={"good": READABLE, "bad": b"\x0a\xff" + PAYLOAD})


async def test_what_was_set_aside_is_put_back_or_deleted(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    await set_aside(hx, raw)
    ada = person("act")
    await ada.open("/")
    assert "workers set 2 messages aside" in ada.shown
    await ada.open("/quarantine")
    assert "no task message" in ada.shown and "can be decoded now" in ada.shown and "gig:pay" in ada.shown
    assert not re.search(rf"8031234567|4821|{b'4821'.hex()}|{b'4821'.hex(' ')}", ada.shown)
    good = {"queue": "low", "task": "good", "back": "/quarantine"}
    await ada.post("/confirm", verb="put_back", **good)
    assert "It runs once there is a slot." in ada.shown
    await ada.press("put_back", **good)
    assert "It is pending now" in ada.shown and "1 of 1" in ada.shown
    assert (await hx.jobs.inspector.task("low", "good")).type == "gig:pay"
    answer = await ada.press("put_back", queue="low", task="bad", back="/quarantine")
    assert answer.status_code == 409 and "still cannot be read" in ada.shown
    await ada.press("discard", queue="low", task="bad", back="/quarantine")
    assert "Nothing was set aside" in ada.shown and not raw.exists(parked(LOW))
    await ada.open("/audit")
    assert ada.shown.count("set aside") == 3 and ada.shown.count("not there") == 1  # how it stood before and after


async def test_a_message_longer_than_is_told_can_be_put_back(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    await hx.jobs.enqueue("gig:pay", queue="low", task_id="other")
    raw.hset(parked(LOW), "long", encode_task(TaskMessage("gig:pay", b"x" * 9_000, "long", "low", 25)))
    ada = person("act")
    await ada.open("/quarantine")
    assert "Put back" in ada.shown
    await hx.jobs.inspector.put_back("low", "long")
    assert len((await hx.jobs.inspector.task("low", "long")).payload) == 9_000


async def test_what_other_queues_set_aside_does_not_exist(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    await set_aside(hx, raw)
    ada = person("act", queues=("gig*",))
    await ada.open("/quarantine?queue=low")
    assert "Nothing was set aside" in ada.shown
    await ada.open("/people")
    assert (await ada.press("discard", queue="low", task="bad", back="/")).status_code == 404
    assert raw.hlen(parked(LOW)) == 2
