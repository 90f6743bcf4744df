"""The events of a channel, for whoever asks: as they come, for a time, hidden where personal, a few a second."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hustlex.app import HustleX
from hustlex.dashboard import Dashboard, Operator, tails
from hustlex.dashboard.tails import Tail
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.events import Message
from tests.conftest import PATIENCE, SECRET
from tests.dashboard.conftest import Person, text

PHONE = "+2348031234567"


async def begun(ada: Person, channel: str = "orders:42", kind: str = "live") -> str:
    """The page that shows it."""
    await ada.open("/events")
    await ada.post("/events", channel=channel)
    assert "Show its events" in ada.shown
    answer = await ada.press("tail", channel=channel, kind=kind, back="/events")
    assert answer.status_code == 200 and "It is listened to for two minutes." in ada.shown, ada.shown
    return answer.request.url.path


@pytest.mark.parametrize("kind", ["live", "replay"])
async def test_events_are_shown_as_they_come_and_what_is_personal_is_not(
    hx: Any, person: Callable[..., Person], kind: Any
) -> None:
    options = {} if kind == "live" else {"kind": kind}
    channel = hx.events.channel("orders:{order}", dict, **options)
    await channel.publish({"state": "before"}, order=42)
    ada = person("act")
    path = await begun(ada, kind=kind)
    assert "Nothing was published since." in ada.shown
    await channel.publish({"state": "paid <b>", "phone": PHONE}, order=42)
    await channel.publish({"state": "other"}, order=43)
    while "Nothing was published since." in ada.shown:
        await asyncio.sleep(0)  # a page that asks no server lets nobody else run
        await ada.open(path)
    assert "paid &lt;b&gt;" in ada.shown and PHONE not in ada.shown and "before" not in text(ada.shown)
    assert "other" not in text(ada.shown)
    await ada.open("/audit")
    assert "tail" in ada.shown and "channel=orders:42" in ada.shown


async def test_only_who_asked_sees_it_and_only_who_may_act_asks(person: Callable[..., Person], hx: Any) -> None:
    async def who(request: Any) -> Operator:
        return Operator("act", request.headers.get("X-Name", "ada"))

    ada = Person(Dashboard(hx, access=who))
    path = await begun(ada)
    assert (await ada.open(path)).status_code == 200
    ada.client.headers["X-Name"] = "eve"
    assert (await ada.open(path)).status_code == 404
    reader = person("read")
    await reader.open("/events")
    await reader.post("/events", channel="orders:42")
    assert "listen" in reader.shown and "Show its events" not in reader.shown
    assert (await reader.press("tail", channel="orders:42", back="/events")).status_code == 403


async def test_it_ends_by_itself(person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "LIFE", timedelta(milliseconds=20))
    ada = person("act")
    path = await begun(ada)
    while "are over: nothing more is heard" not in ada.shown:
        await asyncio.sleep(0)
        await ada.open(path)
    assert (await ada.client.get("/live", params={"path": path})).status_code == 404


async def test_while_the_server_is_away_nobody_is_told_that_it_listens() -> None:
    async def who(_: Any) -> Operator:
        return Operator("act", "ada")

    with EmbeddedServer() as server:
        async with HustleX(server.url, secret=SECRET, timeout=PATIENCE) as front:
            ada = Person(Dashboard(front, access=who))
            path = await begun(ada)
            assert "Listening" in ada.shown
            server.kill()
            while "Nothing is heard now" not in ada.shown:
                await asyncio.sleep(0)
                await ada.open(path)
            server.start()
            while "reconnected" not in ada.shown:
                await asyncio.sleep(0)
                await ada.open(path)
            assert "Listening" in ada.shown


async def test_what_is_no_channel_is_refused(person: Callable[..., Person]) -> None:
    ada = person("act")
    await ada.open("/events")
    for channel, kind in (("no colon", "live"), ("orders:{x}", "live"), ("orders:42", "weekly"), ("\x00:1", "live")):
        answer = await ada.press("tail", channel=channel, kind=kind, back="/events")
        assert answer.status_code == 400, (channel, kind)


async def test_one_person_keeps_nobody_else_away(
    person: Callable[..., Person], hx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def who(request: Any) -> Operator:
        return Operator("act", request.headers.get("X-Name", "ada"))

    monkeypatch.setattr(tails, "MOST_EACH", 2)
    monkeypatch.setattr(tails, "_MOST_OPEN", 3)
    ada = Person(Dashboard(hx, access=who))
    *_, third, _, _ = [await begun(ada, f"orders:{n}") for n in range(5)]
    await ada.open(third)
    assert "you began to listen to another channel" in ada.shown
    ada.client.headers["X-Name"] = "eve"
    await begun(ada, "orders:7")
    ada.client.headers["X-Name"] = "bob"
    await ada.open("/events")
    answer = await ada.press("tail", channel="orders:8", back="/events")
    said = text(ada.shown)
    assert answer.status_code == 409 and "listens to 3 channels already, for 2 people" in said
    assert re.search(r"the next one in (2 m|1 m \d+ s)", said), said


def test_twenty_a_second_are_kept_and_the_last_hundred() -> None:
    now = [0.0]
    tail = Tail("orders:42", "ada", clock=lambda: now[0])
    for n in range(50):
        tail.take(Message(n, "orders:42", 0))
    assert (len(tail.heard), tail.left_out, tail.count) == (20, 30, 50)
    for second in range(1, 10):
        now[0] = float(second)
        for n in range(20):
            tail.take(Message(n, "orders:42", 0))
    assert (len(tail.heard), tail.left_out) == (100, 30)
