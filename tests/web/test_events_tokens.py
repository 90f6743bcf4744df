"""Subscription tokens at the doors of events: who shows one hears its channel, and nobody is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from hustlex.core.time import FixedClock
from hustlex.web import events_router
from tests.web.conftest import Serve
from tests.web.test_events import (
    FAST,
    Options,
    Paid,
    World,
    channels,
    live,
    logged_in,
    opened,
    orders,
    streaming,
    world,
)

__all__ = ["channels", "live", "orders", "world"]  # fixtures

SECOND = timedelta(seconds=1)


@pytest.fixture
def options() -> Options:
    return {"subscription_ttl": 60 * SECOND}


async def token_of(app: FastAPI, user: str = "u1", ch: str = "orders:1", **more: Any) -> tuple[str, str]:
    """A new login's access token, and a subscription token of it."""
    tokens = app.state.hustlex.tokens
    pair = await logged_in(app, user)
    access = (await tokens.check(pair.access)).or_raise()
    return pair.access, (await tokens.issue_subscription(access, ch, **more)).token


async def test_the_router_gives_tokens_for_what_is_allowed(
    app: FastAPI, world: World, channels: Any, serve: Serve, options: Options, clock: FixedClock
) -> None:
    app.include_router(events_router(channels, authorize=world.may, **options))
    world.denied.add(("orders:2", "subscribe"))
    async with serve(app) as client:
        assert (await client.post("/events/token?ch=orders:1")).status_code == 401
        head = {"Authorization": f"Bearer {(await logged_in(app)).access}"}
        for ch, status in (("nobody:1", 404), ("orders:2", 403), ("inbox:all%23u2", 403), ("", 404)):
            assert (await client.post(f"/events/token?ch={ch}", headers=head)).status_code == status
        answer = await client.post("/events/token?ch=inbox:all%23u1", headers=head)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        told = answer.json()
        assert told["channel"] == "inbox:all#u1"
        assert 59 < told["expires_in"] <= 61
        world.until = app.state.hustlex.tokens.now() + 20 * SECOND
        assert 19 < (await client.post("/events/token?ch=orders:1", headers=head)).json()["expires_in"] <= 21


async def test_a_socket_hears_by_token_alone_and_resumes_where_it_says(
    live: FastAPI, orders: Any, world: World
) -> None:
    world.denied = {("orders:1", "subscribe"), ("orders:1", "history"), ("orders:1", "publish")}
    first = await orders.publish(Paid(1), order_id=1)
    await orders.publish(Paid(2), order_id=1)
    access, token = await token_of(live, since=str(first))
    async with opened(live, access) as browser:
        assert (await browser.ask(subscribe={"ch": "orders:1"}))["error"]["code"] == 103
        asked = len(world.asked)
        answer = await browser.subscribe("orders:1", token=token)
        assert (answer["recovered"], answer["o"]) == (True, 1)
        assert 290 < answer["expires_in"] <= 301
        assert (await browser.hear())["push"]["data"]["amount"] == 2
        assert len((await browser.ask(history={"ch": "orders:1"}))["history"]["msgs"]) == 2
        assert len(world.asked) == asked, "nobody was asked"
        refused = await browser.ask(publish={"ch": "orders:1", "data": {"type": "paid", "amount": 3}})
        assert refused["error"]["code"] == 103, "to hear is not to publish"


async def test_attacks_on_a_socket_are_refused(live: FastAPI, world: World) -> None:
    world.denied = {("orders:1", "subscribe"), ("orders:2", "subscribe")}
    mine, token = await token_of(live)
    theirs, other_users = await token_of(live, "u2")
    _, bound = await token_of(live, ch="inbox:all#u2")
    async with opened(live, mine) as browser:
        for ch, shown in (
            ("orders:2", token),  # of another channel
            ("orders:1", other_users),
            ("orders:1", token[:-8] + "AAAAAAAA"),
            ("orders:1", mine),  # of another kind
            ("orders:1", "junk"),
            ("inbox:all#u2", bound),  # bound to somebody else, whoever signed it
        ):
            assert (await browser.ask(subscribe={"ch": ch, "token": shown}))["error"]["code"] == 103, ch
        assert (await browser.ask(subscribe={"ch": "nobody:1", "token": token}))["error"]["code"] == 102
        assert (await browser.subscribe("orders:1", token=token))["ch"] == "orders:1", "the connection goes on"
    async with opened(live) as stranger:  # a stolen one, without its user's login
        assert (await stranger.ask(subscribe={"ch": "orders:1", "token": token}))["error"]["code"] == 103
    async with opened(live, theirs) as browser:
        assert (await browser.ask(subscribe={"ch": "orders:1", "token": token}))["error"]["code"] == 103


class TestWatched:
    """The socket looks often, and a ping may be answered late: the machine may be busy."""

    @pytest.fixture
    def options(self) -> Options:
        return {"heartbeat": FAST, "pong": 60 * SECOND}

    async def test_a_token_is_renewed_or_its_channel_ends(self, live: FastAPI, orders: Any, clock: FixedClock) -> None:
        access, token = await token_of(live, ttl=30 * SECOND)
        tokens = live.state.hustlex.tokens
        user = (await tokens.check(access)).or_raise()
        async with opened(live, access) as browser:
            await browser.subscribe("orders:1", token=token)
            clock.advance(20 * SECOND)
            newer = (await tokens.issue_subscription(user, "orders:1", ttl=30 * SECOND)).token
            renewed = (await browser.ask(refresh={"ch": "orders:1", "token": newer}))["refresh"]
            assert renewed["ch"] == "orders:1"
            assert 29 < renewed["expires_in"] <= 31
            clock.advance(15 * SECOND)  # the first one is over
            await orders.publish(Paid(1), order_id=1)
            while "push" not in (frame := await browser.hear()):
                browser.say({})
            clock.advance(20 * SECOND)
            while "unsubscribed" not in (frame := await browser.hear()):
                browser.say({})
            assert frame["unsubscribed"] == {"ch": "orders:1", "code": 109, "message": "subscription expired"}
            assert (await browser.ask(subscribe={"ch": "orders:1", "token": newer}))["error"]["code"] == 109
            assert (await browser.ask(refresh={"ch": "orders:1", "token": newer}))["error"]["code"] == 101
            await browser.subscribe("orders:2")
            assert (await browser.ask(refresh={"ch": "orders:2", "token": newer}))["error"]["code"] == 101


async def test_a_stream_hears_by_token_until_it_ends(
    live: FastAPI, orders: Any, world: World, clock: FixedClock
) -> None:
    world.denied = {("orders:1", "subscribe")}
    first = await orders.publish(Paid(1), order_id=1)
    second = await orders.publish(Paid(2), order_id=1)
    _, token = await token_of(live, ttl=30 * SECOND, since=str(first))
    query = f"ch=orders:1&token={token}&ch=orders:2"
    async with streaming(live, f"ch=orders:1&token={token}") as sent:
        assert (await sent.get())["status"] == 200
        await sent.get()
        assert b'"amount":2' in (await sent.get())["body"], "from where the token says"
    here = str(second).encode()
    async with streaming(live, f"ch=orders:1&token={token}", (b"last-event-id", here)) as sent:
        assert (await sent.get())["status"] == 200
        await sent.get()
        await orders.publish(Paid(3), order_id=1)
        assert b'"amount":3' in (await sent.get())["body"], "from where the browser says"
        clock.advance(31 * SECOND)
        await orders.publish(Paid(4), order_id=1)
        while (last := await sent.get())["body"]:
            assert b"amount" not in last["body"]
    async with streaming(live, query) as sent:
        assert (await sent.get())["status"] == 401, "it is over"
    assert [channel for _, channel, _, _ in world.asked] == [], "nobody was asked"


async def test_attacks_on_a_stream_are_refused(
    app: FastAPI, world: World, channels: Any, serve: Serve, options: Options
) -> None:
    app.include_router(events_router(channels, authorize=world.may, **options))
    world.denied = {("orders:1", "subscribe"), ("orders:2", "subscribe")}
    async with serve(app) as client:
        mine, token = await token_of(app)
        theirs, others = await token_of(app, "u2", "orders:2")
        _, bound = await token_of(app, ch="inbox:all#u2")
        for query, head, status in (
            (f"ch=orders:2&token={token}", {}, 401),
            (f"ch=orders:1&token={token[:-8]}AAAAAAAA", {}, 401),
            (f"ch=orders:1&token={mine}", {}, 401),
            (f"ch=orders:1&token={token}", {"Authorization": f"Bearer {theirs}"}, 401),
            (f"ch=orders:1&token={token}&ch=orders:2&token={others}", {}, 401),  # of two users
            (f"ch={quote('inbox:all#u2')}&token={bound}", {}, 401),
            (f"ch=orders:1&token=&token={token}", {}, 403),
            (f"ch=nobody:1&token={token}", {}, 404),
        ):
            answer = await client.get(f"/events/stream?{query}", headers=head)
            assert answer.status_code == status, query
            assert token not in answer.text


async def test_a_logout_ends_a_stream_that_a_token_opened_and_its_replay(live: FastAPI, orders: Any) -> None:
    access, token = await token_of(live)
    async with streaming(live, f"ch=orders:1&token={token}") as sent:
        assert (await sent.get())["status"] == 200
        await sent.get()
        await live.state.hustlex.tokens.logout(access)
        await orders.publish(Paid(1), order_id=1)
        assert await sent.get() == {"type": "http.response.body", "body": b"", "more_body": False}
    async with streaming(live, f"ch=orders:1&token={token}") as sent:
        assert (await sent.get())["status"] == 401


class TestPlaces:
    @pytest.fixture
    def options(self) -> Options:
        return {"per_user": 1}

    async def test_streams_by_token_count_among_their_users(self, live: FastAPI) -> None:
        access, token = await token_of(live)
        head = b"authorization", f"Bearer {access}".encode()
        async with streaming(live, f"ch=orders:1&token={token}") as sent:
            assert (await sent.get())["status"] == 200
            async with streaming(live, f"ch=orders:1&token={token}") as second:
                assert (await second.get())["status"] == 429
            async with streaming(live, "ch=orders:1", head) as third:
                assert (await third.get())["status"] == 429
