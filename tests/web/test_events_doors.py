"""Nonsense at every door of events: oversized, of a wrong type, unknown, expired, forbidden. One clear error each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis
from fastapi import FastAPI

from hustlex.errors import Misuse
from hustlex.events import Gap, Position
from hustlex.web import events_router
from tests.web.conftest import Serve
from tests.web.test_events import Options, Paid, World, closing_code, live, logged_in, opened, streaming, world

__all__ = ["live", "world"]  # fixtures

EXPIRED = Position("of-a-life-that-is-over", 7)
LONG = "x" * 300


class Note(msgspec.Struct, frozen=True, tag="note"):
    text: str


@pytest.fixture
def options() -> Options:
    return {}


@pytest.fixture
def channels() -> Callable[[Any], list[Any]]:
    made: dict[Any, list[Any]] = {}

    def of(front: Any) -> list[Any]:
        if front not in made:
            kinds = {"orders:{order_id}": "replay", "prices:{order_id}": "latest", "live:{order_id}": "live"}
            made[front] = [
                front.events.channel(name, Paid | Note, kind=kind, max_payload=200) for name, kind in kinds.items()
            ]
        return made[front]

    return of


@pytest.fixture
def families(live: FastAPI, channels: Callable[[Any], list[Any]]) -> list[Any]:
    return channels(live.state.hustlex)


@pytest.mark.parametrize(
    ("event", "parameters", "words"),
    [
        (Note(LONG), {"order_id": 1}, "the event has 325 bytes"),
        (Paid("secret"), {"order_id": 1}, "a Paid with these values is not what this channel carries"),  # type: ignore[arg-type]
        ({"type": "sold"}, {"order_id": 1}, "a dict with these values is not what this channel carries"),
        (object(), {"order_id": 1}, "a object cannot be written as JSON"),
        (Paid(1), {}, "takes the parameters ['order_id'], not []"),
        (Paid(1), {"order": 1}, "takes the parameters ['order_id'], not ['order']"),
        (Paid(1), {"order_id": LONG}, "order_id"),
        (Paid(1), {"order_id": None}, "order_id"),
        (Paid(1), {"order_id": 1.5}, "order_id"),
        (Paid(1), {"order_id": ""}, "order_id"),
    ],
)
async def test_publishing_it_is_refused_before_anything_is_sent(
    families: list[Any], raw: redis.Redis, event: Any, parameters: dict[str, Any], words: str
) -> None:
    for family in families:
        with pytest.raises(Misuse) as refused:
            await family.publish(event, **parameters)
        assert words in str(refused.value)
        assert "secret" not in str(refused.value)
    assert list(raw.scan_iter("ev:*")) == []


async def test_options_that_cannot_be_are_refused(families: list[Any]) -> None:
    orders = families[0]
    for wrong in ({"idem": 1.5}, {"idem": ""}, {"idem": LONG * 9}, {"version": 0}, {"version": "1"}, {"version": True}):
        with pytest.raises(Misuse, match=next(iter(wrong))):
            await orders.publish(Paid(1), order_id=1, **wrong)
    for wrong in ({"limit": 0}, {"limit": 301}, {"limit": "5"}, {"reverse": 1}, {"since": 5}, {"since": "x" * 5_000}):
        with pytest.raises(Misuse, match=next(iter(wrong))):
            await orders.history(order_id=1, **wrong)
    for wrong in ({"since": 5}, {"since": b"a.1"}, {"conflate": 5}):
        with pytest.raises(Misuse, match=next(iter(wrong))):
            orders.subscribe(order_id=1, **wrong)


async def test_a_cursor_that_is_over_is_a_gap_at_every_door(live: FastAPI, families: list[Any]) -> None:
    orders = families[0]
    here = await orders.publish(Paid(1), order_id=1)
    async with orders.subscribe(order_id=1, since=EXPIRED) as messages:
        assert await anext(messages) == Gap("epoch", channel="orders:1", position=here)
    assert await orders.history(order_id=1, since=EXPIRED) == []
    async with streaming(live, f"ch=orders:1&last_event_id={EXPIRED}") as sent:
        assert (await sent.get())["status"] == 200
        await sent.get()
        told = (await sent.get())["body"].decode()
        said = json.loads(told.partition("data: ")[2])
        assert said == {"reason": "epoch", "recovered": False, "position": str(here)}
    async with opened(live) as browser:
        answer = await browser.subscribe("orders:1", since={"e": EXPIRED.epoch, "o": EXPIRED.offset})
        assert (answer["recovered"], answer["e"], answer["o"]) == (False, here.epoch, here.offset)
        gap = {"ch": "orders:1", "reason": "epoch", "recovered": False, "e": here.epoch, "o": here.offset}
        assert await browser.hear() == {"gap": gap}


async def test_over_http_it_is_one_problem(
    app: FastAPI, world: World, channels: Callable[[Any], list[Any]], serve: Serve
) -> None:
    app.include_router(events_router(channels, authorize=world.may))
    world.denied.add(("orders:13", "subscribe"))
    async with serve(app) as client:
        head = {"Authorization": f"Bearer {(await logged_in(app)).access}"}
        junk = {"Authorization": "Bearer junk"}
        several = "&".join(f"ch=orders:{number}" for number in range(33))
        for method, path, headers, status in (
            ("GET", "stream", {}, 422),
            ("GET", f"stream?{several}", {}, 422),
            ("GET", "stream?ch=nobody:1", {}, 404),
            ("GET", f"stream?ch=orders:{LONG}", {}, 404),
            ("GET", "stream?ch=orders:%00", {}, 404),
            ("GET", "stream?ch=orders:1&ch=nobody:1", {}, 404),
            ("GET", "stream?ch=orders:13", {}, 403),
            ("GET", "stream?ch=orders:1", junk, 401),
            ("GET", "stream?ch=orders:1&token=junk", {}, 401),
            ("POST", "stream?ch=orders:1", {}, 405),
            ("POST", "token", head, 422),
            ("POST", f"token?ch={LONG}", head, 422),
            ("POST", "token?ch=nobody:1", head, 404),
            ("POST", "token?ch=orders:13", head, 403),
            ("POST", "token?ch=orders:1", {}, 401),
            ("POST", "token?ch=orders:1", junk, 401),
        ):
            answer = await client.request(method, f"/events/{path}", headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
            assert answer.json()["status"] == status
            assert LONG not in answer.text


async def test_over_a_socket_it_is_one_error_and_the_connection_stays(live: FastAPI, world: World) -> None:
    world.denied |= {("orders:13", action) for action in ("subscribe", "publish", "history", "presence")}
    paid = {"type": "paid", "amount": 1}
    async with opened(live) as browser:
        for command, code in (
            ({"subscribe": {"ch": f"orders:{LONG}"}}, 102),
            ({"subscribe": {"ch": "orders:13"}}, 103),
            ({"subscribe": {"ch": "orders:1", "token": "junk"}}, 103),
            ({"publish": {"ch": "nobody:1", "data": paid}}, 102),
            ({"publish": {"ch": "orders:13", "data": paid}}, 103),
            ({"publish": {"ch": "orders:1", "data": {"type": "note", "text": LONG}}}, 101),
            ({"publish": {"ch": "orders:1", "data": {"type": "paid", "amount": "x"}}}, 101),
            ({"publish": {"ch": "orders:1", "data": paid, "idem": LONG * 9}}, 101),
            ({"history": {"ch": "nobody:1"}}, 102),
            ({"history": {"ch": "orders:1", "limit": 301}}, 101),
            ({"history": {"ch": "orders:13"}}, 103),
            ({"presence": {"ch": "nobody:1"}}, 102),
            ({"presence": {"ch": "orders:13"}}, 103),
            ({"refresh": {"ch": "orders:1", "token": "junk"}}, 101),
        ):
            error = (await browser.ask(**command))["error"]
            assert (error["code"], error["temporary"]) == (code, False), command
            assert LONG not in error["message"]
        assert (await browser.subscribe("orders:1"))["ch"] == "orders:1"
    for text in ("x" * 66_000, json.dumps({"id": 1, "publish": {"ch": "orders:1", "data": {"text": "x" * 66_000}}})):
        async with opened(live) as browser:
            browser.incoming.put_nowait({"type": "websocket.receive", "text": text})
            assert await closing_code(browser) == 4501
