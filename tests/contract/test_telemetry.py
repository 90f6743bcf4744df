"""The hook is told of every call of every room, once, start before end: held against what the server itself saw."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.cache.api import Cache
from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, command
from hustlex.core.telemetry import CallEnd, CallStart
from hustlex.drivers import aio, blocking
from hustlex.drivers.aio.options import Options
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Error, Refused, Unavailable
from hustlex.events.api import Channel
from hustlex.idempotency import Idempotency, IdempotencyOptions, Orphaned, Provider, Response, Scope, hmac_signature
from hustlex.jobs import Job, Jobs, State
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.schedules import Schedules
from hustlex.otp import DeliveryStatus, Otp
from hustlex.pins import Pins
from hustlex.ratelimit import Policy, RateLimit
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens import Tokens
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.support.blocking import Blocking
from tests.support.calls import Calls
from tests.support.proxy import Proxy
from tools.check_lua import is_script, lua_files, place

MINUTE = timedelta(minutes=1)
PAY = {"endpoint": "/pay"}
PHONE = "0803 123 4567"
SCOPE = Scope("u1", "POST", "/pay")
LISTENING = {
    (Channel, "subscribe"),
    (Jobs, "follow"),
}
"""Doors that blocking code has not."""

Tour = Callable[["Rooms"], Awaitable[None]]


class Doors:
    """One room; ``gone`` holds the doors that were gone through."""

    def __init__(self, room: Any, kind: type, gone: set[tuple[type, str]]) -> None:
        self._room, self._kind, self._gone = room, kind, gone

    def __getattr__(self, name: str) -> Any:
        self._gone.add((self._kind, name))
        return getattr(self._room, name)


class Rooms:
    """A front whose rooms note which doors were used."""

    def __init__(self, front: Any, style: str) -> None:
        self.front, self.style = front, style
        self.gone: set[tuple[type, str]] = set()

    def room(self, name: str, kind: type) -> Any:
        return Doors(getattr(self.front, name), kind, self.gone)

    def doors(self, room: Any, kind: type) -> Any:
        return Doors(room, kind, self.gone)


async def codes(rooms: Rooms) -> None:
    otp = rooms.room("otp", Otp)
    issued = await otp.issue(PHONE, "login")
    await otp.resend(issued.challenge)
    delivery = await otp.open(issued.challenge)
    await otp.delivery_report(issued.challenge, DeliveryStatus.SENT)
    await otp.verify(issued.challenge, str(int(delivery.code) ^ 1).zfill(len(delivery.code)))
    await otp.verify(issued.challenge, delivery.code)
    await otp.consume_grant("no grant", "login")
    await otp.cancel(issued.challenge)
    await otp.verify_phone(PHONE, "123456")
    await otp.unlock(PHONE, "anon")
    await otp.close_breaker("cc:NG")
    enrolment = otp.totp_enrol("u1", issuer="HustleX", account="ada@example.com")
    otp.totp_reseal("u1", enrolment.sealed)
    await otp.totp_verify("u1", enrolment.sealed, "123456")


async def tokens(rooms: Rooms) -> None:
    room = rooms.room("tokens", Tokens)
    pair, other = await room.login("u1"), await room.login("u1")
    await room.check(pair.access)
    await room.start()
    for mode in ("bounded", "stateless", "strict"):
        await room.check(pair.access, mode=mode)
    await room.check("junk")
    access = await room.introspect(pair.access)
    made = await room.issue_subscription(access, "orders:7")
    for mode in ("bounded", "strict"):
        await room.check_subscription(made.token, "orders:7", mode=mode)
    await room.prove("junk", "GET", "https://api.example.com/")
    await room.set_data("u1", pair.session_id, {"a": "b"})
    await room.data("u1", pair.session_id)
    await room.sessions("u1")
    await room.refresh(pair.refresh)
    await room.jwks()
    await room.rotate_keys()
    await room.retire_key("unknown")
    await room.logout(pair.access)
    await room.revoke_token(other.access)
    await room.revoke_session("u1", other.session_id)
    await room.revoke_all("u1")
    room.stats(), room.now()
    await room.close()


async def limits(rooms: Rooms) -> None:
    room = rooms.room("ratelimit", RateLimit)
    two = Policy("two", 2, MINUTE, overridable=True)
    answers = [await room.check(two, "u1", **PAY) for _ in range(5)]
    assert answers[-1].source == "local_deny"
    await room.check_all([(two, "u1", "/pay"), (two, "u2", "/pay")])
    await room.check_all([(two, "u2", "/pay"), (two, "u3", "/pay")])
    await room.peek(two, "u1", **PAY)
    await room.refund(answers[0])
    await room.reset(two, "u1", **PAY)
    await room.set_limit(two, "u1", **PAY, limit=5)
    places = Policy("places", 1, MINUTE, algorithm="leases")
    async with room.hold(places, "u1", **PAY):
        pass
    place = await room.check(places, "u2", **PAY)
    await room.heartbeat(place)
    await room.release(place)


async def idempotency(rooms: Rooms) -> None:
    room = rooms.room("idempotency", Idempotency)

    async def pay(_: Any) -> Response:
        return Response(200)

    for _ in range(2):
        await room.run("k1", SCOPE, pay, body=b"{}")
    started = await room.begin("k2", SCOPE, body=b"{}")
    async with room.hold(started):
        await room.renew(started, point="charged")
    await room.complete(started, Response(200))
    await room.abandon(await room.begin("k3", SCOPE))
    await room.settle(await room.begin("k4", SCOPE), Response(200))
    await room.reconcile(Orphaned(1, "none"), pay, "k5", SCOPE, options=IdempotencyOptions(orphans="reconcile"))
    event = await room.begin_event(Provider(name="paystack", verify=hmac_signature("x-s", "sk")), "e1")
    await room.settle_event(event, handled=True)


async def pins(rooms: Rooms) -> None:
    room = rooms.room("pins", Pins)
    stored = (await room.hash("u1", "4821")).verifier
    for pin in ("4822", "4821"):
        await room.verify("u1", pin, stored)
    await room.reset("u1")


async def cache(rooms: Rooms) -> None:
    numbers = rooms.doors(rooms.front.cache("number", int, ttl=MINUTE, clearable=True, timeout=PATIENCE), Cache)

    async def seven() -> int:
        return 7

    async def sevens(keys: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(keys, 7)

    for _ in range(2):
        assert await numbers.get_or_compute("a", seven) == 7
    await numbers.set("b", 1)
    await numbers.set_many({"c": 1, "d": 2})
    assert await numbers.get_many(["b", "c", "d", "e"]) == {"b": 1, "c": 1, "d": 2}
    await numbers.get("b")
    await numbers.lookup("b")
    await numbers.delete("b", "c")
    assert await numbers.get_or_compute_many(["d", "f"], sevens) == {"d": 2, "f": 7}
    await numbers.warm(["g"], sevens)
    await numbers.expire("f")
    await numbers.invalidate_tags("odd")
    await numbers.clear()


async def jobs(rooms: Rooms) -> None:
    room = rooms.room("jobs", Jobs)
    first = await room.enqueue("send", {"n": 1}, task_id="t1")
    await room.enqueue("send", {"n": 1}, task_id="t1")
    await room.enqueue_many([Job("send", b"%d" % n) for n in range(3)])
    await room.start(Job("a").then(Job("b")))
    await room.result(first, timeout=timedelta(0))
    await room.explain("t1")
    await room.limit_queue("default", max_size=1000)
    await inspector(rooms.doors(rooms.front.jobs.inspector, Inspector))
    await schedules(rooms.doors(rooms.front.jobs.schedules, Schedules))
    await room.cancel("t1")
    if rooms.style == "aio":
        async with aclosing(room.follow("t1")) as items:
            assert [item async for item in items]


async def inspector(room: Any) -> None:
    for door in ("queues", "servers", "scheduler_entries", "open_steps"):
        await getattr(room, door)()
    for door in ("queue", "history", "groups", "pause", "unpause"):
        await getattr(room, door)("default")
    await room.summaries(["default"])
    await room.time_series("default")
    await room.failing()
    await room.recent(["default"])
    await room.error_groups()
    for door in ("mute_errors", "unmute_errors"):
        with suppress(Error):
            await getattr(room, door)("default", "unknown")
    await room.enqueue_events("entry")
    await room.tasks("default", State.PENDING)
    for door in ("task", "run", "archive", "delete"):
        with suppress(Error):
            await getattr(room, door)("default", "unknown")
    await room.search("state:pending")
    await room.scan_groups("default")
    await room.told("default", "unknown")
    await room.quarantined("default")
    for door in ("put_back", "discard"):
        with suppress(Error):
            await getattr(room, door)("default", "unknown")
    with suppress(Error):
        await room.workflow("default", "unknown:0")
    for door in ("update_payload", "merge_payload"):
        with suppress(Error):
            await getattr(room, door)("default", "unknown", {})
    with suppress(Error):
        await room.clone("default", "unknown")
    with suppress(Error):
        await room.reschedule("default", "unknown", process_in=MINUTE)
    await room.cancel("unknown")
    await room.stop_worker("unknown")
    for door in ("run_all", "archive_all", "delete_all"):
        await getattr(room, door)("default", State.SCHEDULED)
    with suppress(Error):
        await room.delete_queue("none")


async def schedules(room: Any) -> None:
    await room.add("daily", "@daily", Job("t"))
    await room.change("daily", spec="@hourly")
    await room.pause("daily")
    await room.resume("daily")
    await room.run("daily")
    await room.get("daily")
    await room.all()
    await room.remove("daily")


async def events(rooms: Rooms) -> None:
    orders = rooms.doors(rooms.front.events.channel("orders:{it}", int), Channel)
    if rooms.style == "aio":
        async with orders.subscribe(it=7) as messages:
            await orders.publish(1, it=7)
            assert (await anext(messages)).data == 1
    await orders.publish(2, it=7)


TOURS: dict[str, tuple[Tour, tuple[type, ...]]] = {
    "otp": (codes, (Otp,)),
    "tokens": (tokens, (Tokens,)),
    "ratelimit": (limits, (RateLimit,)),
    "idempotency": (idempotency, (Idempotency,)),
    "pins": (pins, (Pins,)),
    "cache": (cache, (Cache,)),
    "jobs": (jobs, (Jobs, Inspector, Schedules)),
    "events": (events, (Channel,)),
}
NO_CALL = {(Channel, "name"), (Cache, "key"), (Cache, "cached"), (Cache, "stats")}


def doors_of(kind: type) -> set[tuple[type, str]]:
    """Every public function of a room."""
    found = {name for each in kind.__mro__ for name, value in vars(each).items() if inspect.isfunction(value)}
    return {(kind, name) for name in found if not name.startswith("_")} - NO_CALL


@pytest.fixture(scope="module")
def scripts(server: EmbeddedServer) -> dict[str, str]:
    """SHA-1 -> name of every script of the package. The server knows them all, so none is sent twice."""
    found = [load(*place(path)) for path in lua_files() if is_script(path.read_text("utf-8"))]
    with redis.Redis.from_url(server.url) as client:
        for script in found:
            client.script_load(script.text)
    return {script.sha1: script.name for script in found}


@pytest.fixture
def asked(url: str, raw: redis.Redis, scripts: dict[str, str]) -> Iterator[Callable[[], tuple[Counter[str], int]]]:
    """The server's own account: how often it was asked for each script, and how many plain commands it got."""
    greetings = {"HELLO", "AUTH", "CLIENT", "SELECT", "PING", "SUBSCRIBE", "UNSUBSCRIBE"}
    with redis.Redis.from_url(url) as client, client.monitor() as monitor:

        def account() -> tuple[Counter[str], int]:
            raw.echo("the end of the account")
            called: Counter[str] = Counter()
            plain = 0
            while True:
                seen = monitor.next_command()
                words = seen["command"].split(" ")
                if "the end of the account" in seen["command"]:
                    return called, plain
                if seen["client_type"] == "lua" or words[0].upper() in greetings:
                    continue
                if words[0].upper() == "EVALSHA":
                    called[scripts[words[1]]] += 1
                elif words[0].upper() != "EVAL":
                    plain += 1

        yield account


@pytest.mark.parametrize("style", ["aio", "blocking"])
@pytest.mark.parametrize("name", TOURS)
async def test_every_door_is_told_of_as_often_as_the_server_was_asked(
    name: str, style: str, url: str, scripts: dict[str, str], asked: Callable[[], tuple[Counter[str], int]]
) -> None:
    tour, kinds = TOURS[name]
    calls = Calls()
    options: Any = {"secret": SECRET, "timeout": PATIENCE, "hook": calls, "ratelimit": unhurried()}
    if style == "aio":
        async with HustleX(url, **options) as front:
            rooms = Rooms(front, style)
            await tour(rooms)
    else:
        with BlockingHustleX(url, **options) as blocking_front:
            rooms = Rooms(Blocking(blocking_front), style)
            await tour(rooms)
    expected = set().union(*(doors_of(kind) for kind in kinds))
    assert rooms.gone >= (expected if style == "aio" else expected - LISTENING), "a door of which nothing is known"
    assert not +calls.open
    called, plain = asked()
    told = Counter(op for op in calls.sent if op in scripts.values())
    assert told == called
    most = sum(op not in told and op != "subscribe" for op in calls.sent)
    given_up = sum(call.size for call in calls.ended if call.outcome != "ok")
    assert most - given_up <= plain <= most
    assert ("subscribe" in calls.sent) == (style == "aio" and name in ("events", "jobs"))
    assert bool(calls.remembered) == (name in ("tokens", "ratelimit"))


# -- how calls end, in both drivers


def get(key: str) -> Op[Any]:
    return command("test.get", Effect.READ, "GET", key, keys=(key,), decode=lambda reply: reply)


def bump(key: str) -> Op[int]:
    return command("test.bump", Effect.ONCE, "INCR", key, keys=(key,), decode=int)


KINDS: dict[str, Callable[..., Any]] = {"aio": aio.Driver, "blocking": blocking.Driver}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return KINDS[request.param]


async def through(method: Callable[..., Any], *args: Any) -> Any:
    """Either driver's method."""
    if inspect.iscoroutinefunction(method):
        return await method(*args)
    return await asyncio.to_thread(method, *args)


def ends(calls: Calls) -> list[tuple[str, int, str, str, int]]:
    assert not +calls.open
    return [(call.op, call.size, call.outcome, call.error, call.failed) for call in calls.ended]


async def test_a_batch_is_one_call_and_says_what_failed(kind: Any, url: str, raw: redis.Redis) -> None:
    raw.set("text", "x")
    calls = Calls()
    driver = kind(url, hook=calls)
    await through(driver.run_many, [get("a"), bump("text"), get("b"), bump("n")])
    await through(driver.run_many, [bump("n")] * 3)
    await through(driver.run_many, [bump("text")])
    await through(driver.run_many, [])
    await through(driver.close)
    assert ends(calls) == [
        ("batch", 4, "failed", "Refused", 1),
        ("test.bump", 3, "ok", "", 0),
        ("test.bump", 1, "failed", "Refused", 1),
    ]


async def test_a_call_that_is_repeated_is_told_once(kind: Any, faulty: Proxy) -> None:
    calls = Calls()
    driver = kind(faulty.url, hook=calls)
    await through(driver.run, get("warm"))
    faulty.lose_reply(containing=b"GET", times=2)
    await through(driver.run, get("a"))
    faulty.lose_reply(containing=b"GET")
    await through(driver.run_many, [get("a"), get("b")])
    await through(driver.close)
    assert ends(calls) == [
        ("test.get", 1, "ok", "", 0),
        ("test.get", 1, "ok", "", 0),
        ("test.get", 2, "ok", "", 0),
    ]


async def test_a_call_that_fails_says_how(kind: Any, url: str, raw: redis.Redis) -> None:
    raw.set("text", "x")
    calls = Calls()
    driver, away = kind(url, hook=calls), kind("redis://127.0.0.1:1", hook=calls)
    with pytest.raises(Refused):
        await through(driver.run, bump("text"))
    with pytest.raises(Unavailable):
        await through(away.run, command("test.get", Effect.READ, "GET", "a", decode=len, timeout_ms=30))
    for each in (driver, away):
        await through(each.close)
    assert ends(calls) == [("test.bump", 1, "failed", "Refused", 1), ("test.get", 1, "failed", "Unavailable", 1)]


async def test_a_call_that_is_given_up_is_told_as_cancelled(kind: Any, url: str) -> None:
    """By Ctrl-C, as a thread sees it."""

    class GivenUp(BaseException):
        """Not an error."""

    def give_up(_: Any) -> Any:
        raise GivenUp

    calls = Calls()
    driver = kind(url, hook=calls)
    with pytest.raises(GivenUp):
        await through(driver.run, command("test.get", Effect.READ, "GET", "a", decode=give_up))
    await through(driver.close)
    assert ends(calls) == [("test.get", 1, "cancelled", "GivenUp", 1)]


async def test_what_waits_and_is_cancelled_is_told(url: str, raw: redis.Redis) -> None:
    calls = Calls()
    wait = command("test.wait", Effect.READ, "BLPOP", "nothing", 10, keys=("nothing",), decode=lambda reply: reply)
    async with aio.Driver(url, hook=calls) as driver, driver.another() as second:
        await second.run(get("a"))
        waiting = asyncio.create_task(driver.block(wait, 10))
        while not any(call.op == "test.wait" for call in calls.started):
            await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        raw.rpush("nothing", "x")
        await driver.block(wait, 10)
        many = asyncio.create_task(driver.run_many([get("a")] * 3))
        await asyncio.sleep(0)
        many.cancel()
        with suppress(asyncio.CancelledError):
            await many
        async with driver.subscribe("c"):
            assert calls.open == Counter(["subscribe"])
    assert ends(calls) == [
        ("test.get", 1, "ok", "", 0),
        ("test.wait", 1, "cancelled", "CancelledError", 1),
        ("test.wait", 1, "ok", "", 0),
        ("test.get", 3, "cancelled", "CancelledError", 3),
        ("subscribe", 1, "ok", "", 0),
    ]


async def test_a_subscription_that_fails_is_told() -> None:
    calls = Calls()
    async with aio.Driver("redis://127.0.0.1:1", Options(connect=0.02, command=0.02), hook=calls) as driver:
        with pytest.raises(Unavailable):
            async with driver.subscribe("c"):
                pass
    assert ends(calls) == [("subscribe", 1, "failed", "Unavailable", 1)]


async def test_a_command_that_waits_has_its_time_in_both_drivers(kind: Any, url: str, raw: redis.Redis) -> None:
    """Longer than a call may take."""
    calls = Calls()
    wait = command("test.wait", Effect.READ, "BLPOP", "q", 1.2, keys=("q",), decode=lambda reply: reply)
    driver = kind(url, hook=calls, timeout=timedelta(seconds=1))
    assert await through(driver.block, wait, 1.2) is None
    raw.rpush("q", "x")
    assert await through(driver.block, wait, 1.2) == [b"q", b"x"]
    await through(driver.close)
    assert ends(calls) == [("test.wait", 1, "ok", "", 0)] * 2


async def test_a_hook_that_fails_changes_no_answer(kind: Any, url: str, caplog: pytest.LogCaptureFixture) -> None:
    def at_once(_: CallStart) -> None:
        raise RuntimeError("no start")

    def later(_: CallStart) -> Callable[[CallEnd], None]:
        def end(_: CallEnd) -> None:
            raise RuntimeError("no end")

        return end

    for hook in (at_once, later):
        driver = kind(url, hook=hook)
        with caplog.at_level(logging.ERROR, "hustlex"):
            assert await through(driver.run, get("a")) is None
            assert await through(driver.run_many, [get("a")]) == [None]
        await through(driver.close)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["no start"] * 2 + [
        "no end"
    ] * 2
