"""Events for browsers: the WebSocket's protocol, what is allowed, and the routes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis
from fastapi import FastAPI

from hustlex.core.streams import open_streams
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.events import Position
from hustlex.jobs import Tasks, current_job
from hustlex.testing import drain
from hustlex.tokens import Access, TokenPair
from hustlex.web import Allow, Deny, events_router
from tests.web.conftest import Serve

FAST = timedelta(milliseconds=30)


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    amount: int


class World:
    """What the application allows, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str, dict[str, str], str]] = []
        self.denied: set[tuple[str, str]] = set()
        self.until: datetime | None = None

    async def may(self, access: Access | None, channel: str, values: dict[str, str], action: str) -> Allow | Deny:
        self.asked.append((None if access is None else access.user_id, channel, values, action))
        return Deny() if (channel, action) in self.denied else Allow(self.until)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def channels() -> Callable[[Any], list[Any]]:
    made: dict[Any, list[Any]] = {}

    def of(front: Any) -> list[Any]:
        if front not in made:
            events = front.events
            made[front] = [
                events.channel("orders:{order_id}", Paid, kind="replay"),
                events.channel("live:{topic}", Paid),
                events.channel("inbox:all#{user}", Paid, kind="replay"),
            ]
        return made[front]

    return of


Options = dict[str, Any]


@pytest.fixture
def options() -> Options:
    return {}


@pytest.fixture
async def live(
    app: FastAPI, world: World, channels: Callable[[Any], list[Any]], options: Options
) -> AsyncIterator[FastAPI]:
    app.include_router(events_router(channels, authorize=world.may, **options))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def orders(live: FastAPI, channels: Callable[[Any], list[Any]]) -> Any:
    return channels(live.state.hustlex)[0]


class Gone(Exception):
    """The server closed the socket with this code."""


class Browser:
    """A client by hand, without a socket."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.number = 0
        self.aside: list[Any] = []

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        await self.outgoing.put(message)

    def say(self, *frames: Any) -> None:
        text = json.dumps(frames[0] if len(frames) == 1 else list(frames))
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        async with asyncio.timeout(60):
            message = await self.outgoing.get()
        if message["type"] == "websocket.close":
            raise Gone(message["code"])
        return json.loads(message["text"])

    async def ask(self, **command: Any) -> Any:
        """Send a command; its answer. What comes before it is kept aside."""
        self.number += 1
        self.say({"id": self.number, **command})
        while (frame := await self.hear()).get("id") != self.number:
            self.aside.append(frame)
        frame.pop("id")
        return frame

    async def subscribe(self, ch: str, **more: Any) -> Any:
        return (await self.ask(subscribe={"ch": ch, **more}))["subscribe"]


@asynccontextmanager
async def opened(app: FastAPI, token: str | None = "") -> AsyncIterator[Browser]:
    browser = Browser()
    scope = {
        "type": "websocket",
        "path": "/events/socket",
        "headers": [(b"host", b"hustlex.test")],
        "query_string": b"",
        "subprotocols": [],
        "scheme": "ws",
    }
    browser.incoming.put_nowait({"type": "websocket.connect"})
    task = asyncio.ensure_future(app(scope, browser.incoming.get, browser.send))
    try:
        async with asyncio.timeout(60):
            assert (await browser.outgoing.get())["type"] == "websocket.accept"
        if token is not None:
            assert "connect" in await browser.ask(connect={"token": token})
        yield browser
    finally:
        browser.takes.set()
        browser.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(task, 60)


async def logged_in(app: FastAPI, user: str = "u1") -> TokenPair:
    pair = await app.state.hustlex.tokens.login(user, client_id="app")
    assert isinstance(pair, TokenPair)
    return pair


async def closing_code(browser: Browser) -> int:
    with pytest.raises(Gone) as gone:
        while True:
            await browser.hear()
    code: int = gone.value.args[0]
    return code


# -- the protocol


async def test_a_subscription_starts_and_resumes(live: FastAPI, orders: Any, world: World, clock: FixedClock) -> None:
    async with opened(live) as browser:
        first = await browser.subscribe("orders:42")
        assert first == {"ch": "orders:42", "recovered": None, "e": "", "o": 0}
        here = await orders.publish(Paid(5), order_id=42)
        data = {"type": "paid", "amount": 5}
        push = {"push": {"ch": "orders:42", "ts": clock(), "e": here.epoch, "o": 1, "data": data}}
        assert await browser.hear() == push
        assert await browser.ask(unsubscribe={"ch": "orders:42"}) == {"unsubscribe": {"ch": "orders:42"}}
        await orders.publish(Paid(6), order_id=42)
        back = await browser.subscribe("orders:42", since={"e": here.epoch, "o": 1})
        assert back["recovered"] is True
        assert (await browser.hear())["push"]["data"]["amount"] == 6
        assert browser.aside == []
    assert world.asked == [(None, "orders:42", {"order_id": "42"}, "subscribe")] * 2
    async with opened(live) as browser:
        lost = await browser.subscribe("orders:42", since={"e": "other", "o": 7})
        assert (lost["recovered"], lost["o"]) == (False, 2)
        gap = {"ch": "orders:42", "reason": "epoch", "recovered": False, "e": here.epoch, "o": 2}
        assert await browser.hear() == {"gap": gap}


async def test_one_connection_has_several_channels_and_takes_batches(live: FastAPI, orders: Any) -> None:
    async with opened(live) as browser:
        browser.say({"id": 8, "subscribe": {"ch": "orders:1"}}, {"id": 9, "subscribe": {"ch": "live:a%20b"}}, {})
        assert [(await browser.hear())["id"] for _ in range(2)] == [8, 9]
        assert open_streams.counts == (0, 1)
        await orders.publish(Paid(1), order_id=1)
        assert (await browser.hear())["push"]["ch"] == "orders:1"
        assert await browser.ask(publish={"ch": "live:a%20b", "data": {"type": "paid", "amount": 2}}) is not None
        pushed = browser.aside or [await browser.hear()]
        assert pushed[0]["push"]["data"] == {"type": "paid", "amount": 2}
    assert open_streams.counts == (0, 0)


async def test_clients_publish_and_read_what_is_kept(live: FastAPI, orders: Any) -> None:
    async with opened(live) as browser:
        paid = {"ch": "orders:1", "data": {"type": "paid", "amount": 5}, "idem": "a"}
        first = (await browser.ask(publish=paid))["publish"]
        assert (await browser.ask(publish=paid))["publish"] == first
        assert first["o"] == 1
        kept = (await browser.ask(history={"ch": "orders:1"}))["history"]["msgs"]
        assert [(each["o"], each["data"]["amount"]) for each in kept] == [(1, 5)]
        assert await orders.position(order_id=1) == Position(first["e"], 1)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"subscribe": {"ch": "nobody:1"}}, 102),
        ({"subscribe": {"ch": "orders:"}}, 102),
        ({"subscribe": {"ch": "orders:{x}"}}, 102),
        ({"subscribe": {"ch": "x" * 300}}, 102),
        ({"subscribe": {"ch": "orders:forbidden"}}, 103),
        ({"subscribe": {"ch": "inbox:all#u1"}}, 103),
        ({"publish": {"ch": "orders:1", "data": {"type": "sold"}}}, 101),
        ({"publish": {"ch": "orders:1"}}, 101),
        ({"publish": {"ch": "orders:1", "data": {"type": "paid", "amount": 1}, "idem": ""}}, 101),
        ({"publish": {"ch": "orders:forbidden", "data": {"type": "paid", "amount": 1}}}, 103),
        ({"history": {"ch": "orders:forbidden"}}, 103),
        ({"history": {"ch": "live:x"}}, 101),
        ({"history": {"ch": "orders:1", "limit": 0}}, 101),
        ({"presence": {"ch": "orders:forbidden"}}, 103),
        ({"presence": {"ch": "orders:1"}}, 101),
    ],
)
async def test_a_command_that_cannot_be_done_gets_one_error(
    live: FastAPI, world: World, command: dict[str, Any], code: int
) -> None:
    world.denied = {("orders:forbidden", action) for action in ("subscribe", "publish", "history", "presence")}
    async with opened(live) as browser:
        error = (await browser.ask(**command))["error"]
        assert (error["code"], error["temporary"]) == (code, False)
        assert (await browser.subscribe("orders:1"))["ch"] == "orders:1", "the connection goes on"


class TestPresence:
    @pytest.fixture
    def options(self) -> Options:
        return {"presence": lambda hx: [hx.events.presence("live:{topic}")]}

    async def test_who_hears_a_channel_is_there(self, live: FastAPI, world: World) -> None:
        pair = await logged_in(live, "ada")
        async with opened(live, pair.access) as ada:
            await ada.subscribe("live:x")
            async with opened(live) as stranger, opened(live, pair.access) as tablet:
                await stranger.subscribe("live:x")
                await tablet.subscribe("live:x")
                there = (await ada.ask(presence={"ch": "live:x"}))["presence"]
                assert (there["connections"], there["users"]) == (3, 1)
                assert sorted(member["user"] for member in there["members"]) == ["", "ada", "ada"]
                assert len({member["id"] for member in there["members"]}) == 3
                await tablet.ask(unsubscribe={"ch": "live:x"})
                assert (await ada.ask(presence={"ch": "live:x", "limit": 1}))["presence"]["connections"] == 2
            there = (await ada.ask(presence={"ch": "live:x"}))["presence"]
            assert [member["user"] for member in there["members"]] == ["ada"]
            world.denied.add(("live:x", "presence"))
            assert (await ada.ask(presence={"ch": "live:x"}))["error"]["code"] == 103
        assert (await live.state.hustlex.events.presence("live:{topic}").count(topic="x")).members == 0


class TestJobs:
    @pytest.fixture
    def options(self) -> Options:
        return {"jobs": "jobs:{task_id}", "results": True}

    async def test_a_jobs_progress_is_a_channel_and_resumes(self, live: FastAPI, world: World) -> None:
        tasks, hx = Tasks(), live.state.hustlex

        @tasks.task("report:build")
        async def build() -> dict[str, int]:
            await current_job().progress(0.5, "half")
            await current_job().log("a line")
            return {"pages": 2}

        job = (await hx.jobs.enqueue(build.job())).or_raise()
        ch = f"jobs:{job.id}"
        async with opened(live) as browser:
            assert await browser.subscribe(ch) == {"ch": ch, "recovered": None}
            await drain(hx, tasks)
            told = [(await browser.hear())["push"]]
            while told[-1]["data"] != {"type": "state", "state": "completed"}:
                told.append((await browser.hear())["push"])
            told = [each for each in told if each["data"]["type"] != "state"]
            assert [each["data"] for each in told] == [
                {"type": "progress", "fraction": 0.5, "text": "half"},
                {"type": "log", "text": "a line"},
                {"type": "result", "result": {"pages": 2}},
            ]
            await browser.ask(unsubscribe={"ch": ch})
            since = {"e": told[0]["e"], "o": 0}
            assert (await browser.subscribe(ch, since=since))["recovered"] is True
            assert [(await browser.hear())["push"]["data"]["type"] for _ in range(3)] == ["log", "result", "state"]
        assert (None, ch, {"task_id": job.id}, "subscribe") in world.asked

    async def test_a_job_that_is_not_there_or_not_theirs_is_refused(self, live: FastAPI, world: World) -> None:
        world.denied.add(("jobs:hidden", "subscribe"))
        async with opened(live) as browser:
            for command, code in (
                ({"subscribe": {"ch": "jobs:none"}}, 102),
                ({"subscribe": {"ch": "jobs:hidden"}}, 103),
                ({"subscribe": {"ch": "jobs:none", "since": {"e": "junk", "o": 0}}}, 101),
                ({"publish": {"ch": "jobs:none", "data": {}}}, 101),
                ({"history": {"ch": "jobs:none"}}, 101),
            ):
                assert (await browser.ask(**command))["error"]["code"] == code
            assert (await browser.subscribe("orders:1"))["ch"] == "orders:1", "the connection goes on"


async def test_a_channel_is_subscribed_once(live: FastAPI) -> None:
    async with opened(live) as browser:
        await browser.subscribe("orders:1")
        assert (await browser.ask(subscribe={"ch": "orders:1"}))["error"]["code"] == 105


@pytest.mark.parametrize(
    "text", ["", "nonsense", "5", '"x"', "[1]", "[" * 10_000, "x" * 70_000, '{"id":1,"subscribe":{}}',
             '{"id":1,"subscribe":{"ch":"orders:1","since":{"e":"a","o":-1}}}', '{"id":1,"connect":{}}'],
)  # fmt: skip
async def test_what_is_no_command_ends_the_connection(live: FastAPI, text: str) -> None:
    async with opened(live) as browser:
        browser.incoming.put_nowait({"type": "websocket.receive", "text": text})
        assert await closing_code(browser) == 4501


async def test_a_close_that_nobody_hears_is_the_end_and_no_error(live: FastAPI) -> None:
    """As when the server stops, and the browser has gone: servers raise OSError then."""
    scope = {"type": "websocket", "path": "/events/socket", "headers": [(b"host", b"hustlex.test")], "scheme": "ws"}
    sent: list[str] = []

    async def receive() -> Any:
        return {"type": "websocket.receive", "text": "nonsense"} if sent else {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.close":
            raise OSError("the client has gone")

    await live({**scope, "query_string": b"", "subprotocols": []}, receive, send)
    assert sent == ["websocket.accept", "websocket.close"]


async def test_the_first_command_says_who_connects(live: FastAPI) -> None:
    for first in ({"id": 1, "subscribe": {"ch": "orders:1"}}, {}):
        async with opened(live, token=None) as browser:
            browser.say(first)
            assert await closing_code(browser) == 4501
    async with opened(live, token=None) as browser:
        browser.say({"id": 1, "connect": {"token": "junk"}})
        assert await closing_code(browser) == 4500


async def test_errors_and_commands_are_bounded(live: FastAPI) -> None:
    async with opened(live) as browser:
        browser.say(*[{"id": n, "subscribe": {"ch": "nobody:1"}} for n in range(1, 30)])
        assert await closing_code(browser) == 4509
    async with opened(live) as browser:
        browser.say(*[{}] * 60)
        assert await closing_code(browser) == 4013


class TestLimits:
    @pytest.fixture
    def options(self) -> Options:
        return {"per_connection": 2, "per_user": 1}

    async def test_of_channels_and_of_connections(self, live: FastAPI) -> None:
        pair = await logged_in(live)
        async with opened(live, pair.access) as browser:
            for number in range(2):
                await browser.subscribe(f"orders:{number}")
            assert (await browser.ask(subscribe={"ch": "orders:3"}))["error"]["code"] == 106
            async with opened(live, pair.access) as second:
                assert await closing_code(second) == 4504
            async with opened(live, (await logged_in(live, "u2")).access):
                pass


class TestWatched:
    @pytest.fixture
    def options(self) -> Options:
        return {"heartbeat": FAST, "pong": FAST}

    async def test_a_client_that_answers_no_ping_is_closed(self, live: FastAPI) -> None:
        async with opened(live) as browser:
            for _ in range(3):
                assert await browser.hear() == {}
                browser.say({})
            assert await closing_code(browser) == 4012

    async def test_a_logged_out_user_hears_no_more(self, live: FastAPI) -> None:
        pair = await logged_in(live)
        async with opened(live, pair.access) as browser:
            await live.state.hustlex.tokens.logout(pair.access)
            assert await closing_code(browser) == 4500

    async def test_a_token_is_renewed_before_it_ends(self, live: FastAPI, clock: FixedClock) -> None:
        pair = await logged_in(live)
        async with opened(live, pair.access) as browser:
            clock.advance(pair.expires_in - timedelta(seconds=5))
            newer = await logged_in(live)
            assert (await browser.ask(refresh={"token": newer.access}))["refresh"]["expires_in"] > 60
            clock.advance(timedelta(seconds=10))
            browser.say({})
            assert (await browser.subscribe("inbox:all#u1"))["ch"] == "inbox:all#u1"
            clock.advance(newer.expires_in)
            assert await closing_code(browser) == 4005
        pair = await logged_in(live)
        async with opened(live, pair.access) as browser:
            browser.say({"id": 5, "refresh": {"token": (await logged_in(live, "u2")).access}})
            assert await closing_code(browser) == 4500

    async def test_what_was_allowed_for_a_time_is_asked_again(
        self, live: FastAPI, world: World, clock: FixedClock
    ) -> None:
        pair = await logged_in(live)
        async with opened(live, pair.access) as browser:
            world.until = live.state.hustlex.tokens.now() + timedelta(seconds=10)
            await browser.subscribe("orders:1")
            world.denied.add(("orders:1", "subscribe"))
            clock.advance(timedelta(seconds=11))
            while "unsubscribed" not in (frame := await browser.hear()):
                browser.say({})
            assert frame["unsubscribed"] == {"ch": "orders:1", "code": 103, "message": "permission denied"}


async def test_a_name_that_is_bound_to_a_user_is_theirs_alone(live: FastAPI) -> None:
    for user, code in (("u1", None), ("u2", 103)):
        async with opened(live, (await logged_in(live, user)).access) as browser:
            answer = await browser.ask(subscribe={"ch": "inbox:all#u1"})
            assert answer.get("error", {}).get("code") == code


async def test_nothing_stays_when_clients_come_and_go(live: FastAPI, raw: redis.Redis) -> None:
    tasks = len(asyncio.all_tasks())
    for _ in range(30):
        async with opened(live) as browser:
            await browser.subscribe("orders:1")
            await browser.subscribe("live:x")
    async with asyncio.timeout(60):
        while raw.pubsub_channels():
            await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) <= tasks + 3  # the driver's own


# -- the stream and the client


async def test_the_stream_is_for_declared_and_allowed_channels(
    app: FastAPI, world: World, channels: Any, serve: Serve
) -> None:
    app.include_router(events_router(channels, authorize=world.may))
    world.denied.add(("orders:2", "subscribe"))
    async with serve(app) as client:
        for query, status in (("ch=nobody:1", 404), ("ch=orders:2", 403), ("ch=orders:1&ch=orders:2", 403), ("", 422)):
            answer = await client.get(f"/events/stream?{query}")
            assert answer.status_code == status
            assert "problem+json" in answer.headers["content-type"]
        wrong = await client.get("/events/stream?ch=orders:1", headers={"Authorization": "Bearer junk"})
        assert wrong.status_code == 401
        script = await client.get("/events/client.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "export class Events" in script.text


@asynccontextmanager
async def streaming(app: FastAPI, query: str, *headers: tuple[bytes, bytes]) -> AsyncIterator[asyncio.Queue[Any]]:
    """What the stream sends; it is left with the block."""
    sent: asyncio.Queue[Any] = asyncio.Queue()
    request = {"type": "http.request", "body": b"", "more_body": False}
    arriving: asyncio.Queue[Any] = asyncio.Queue()
    arriving.put_nowait(request)
    scope = {
        "type": "http", "method": "GET", "scheme": "http", "path": "/events/stream", "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", b"hustlex.test"), *headers], "client": ("1.2.3.4", 5),
    }  # fmt: skip
    task = asyncio.ensure_future(app(scope, arriving.get, sent.put))
    try:
        async with asyncio.timeout(60):
            yield sent
    finally:
        arriving.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(task, 60)


async def test_a_stream_ends_when_what_was_allowed_for_a_time_is_over(
    live: FastAPI, world: World, orders: Any, clock: FixedClock
) -> None:
    world.until = live.state.hustlex.tokens.now() + timedelta(seconds=30)
    async with streaming(live, "ch=orders:1&ch=orders:2") as sent:
        assert (await sent.get())["status"] == 200
        await sent.get()
        await orders.publish(Paid(1), order_id=1)
        assert b"paid" in (await sent.get())["body"]
        clock.advance(timedelta(seconds=31))
        await orders.publish(Paid(2), order_id=1)
        assert await sent.get() == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("query", ["ch=orders:1", "ch=orders:1&ch=orders:2"])
@pytest.mark.parametrize("place", [b"a" * 8_000, b"1" * 5_000 + b".1", b"m1.gadvcmRlcnM6MZKiYQpiAA", b"x" * 20_000])
async def test_a_forged_place_is_a_gap(live: FastAPI, orders: Any, query: str, place: bytes) -> None:
    await orders.publish(Paid(1), order_id=1)
    async with streaming(live, query, (b"last-event-id", place)) as sent:
        assert (await sent.get())["status"] == 200
        await sent.get()
        assert b"event: gap" in (await sent.get())["body"]


async def test_bad_options_get_one_sentence(channels: Any, world: World) -> None:
    for wrong in (
        {"authorize": None},
        {"presence": []},
        {"jobs": "jobs:{x}"},
        {"jobs": 5},
        {"heartbeat": 5},
        {"pong": timedelta(0)},
        {"per_user": 0},
        {"prefix": "x"},
    ):
        with pytest.raises(Misuse):
            events_router(channels, **{"authorize": world.may, **wrong})
    with pytest.raises(Misuse):
        events_router([], authorize=world.may)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        Allow(datetime(2026, 1, 1))  # noqa: DTZ001
