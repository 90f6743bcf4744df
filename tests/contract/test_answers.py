"""An answer that was not awaited is never taken for one."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine
from starlette.requests import Request

from hustlex import HustleX, Tasks
from hustlex.cache.api import Cache
from hustlex.core.answer.aio import later, now
from hustlex.dashboard import Dashboard, Operator
from hustlex.delivery import CallbackSender, ConsoleSender, Courier, Message, Texts
from hustlex.errors import Misuse
from hustlex.events.api import Channel
from hustlex.idempotency import Idempotency, Scope
from hustlex.jobs.api import Jobs
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.schedules import Schedules
from hustlex.metrics import FleetMetrics, room_history
from hustlex.otp import Otp
from hustlex.outbox import Outbox, OutboxRelay
from hustlex.pins.api import Pins
from hustlex.ratelimit import Policy, RateLimit
from hustlex.testing import drain, enqueued
from hustlex.tokens import Access, TokenPair, Tokens
from hustlex.web import OtpCodes, ResponseCache, progress_response, sse_response
from hustlex.worker import Scheduler, Worker
from tests.conftest import PATIENCE, SECRET
from tools.surface import MODULES

POLICY = Policy("login", 1, timedelta(minutes=1))
ROOMS = [Tokens, RateLimit, Otp, Pins, Idempotency, Cache, Channel, Jobs, Inspector, Schedules]
DEPENDENCIES = {"by_ip", "by_strict_user", "by_user", "get_hustlex", "globally", "jwks", "unlimited"}
"""FastAPI calls these, and awaits what it sees to be a coroutine function. A Sender is written by the application."""
OWN = {("Tokens", "check"), ("RateLimit", "check")}
"""Doors that make their answer by themselves."""


@pytest.fixture
async def front(url: str) -> Any:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET) as opened:
        yield opened


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_no_asynchronous_door_gives_a_bare_coroutine(room: type) -> None:
    doors = {name: door for name, door in inspect.getmembers(room, inspect.isfunction) if not name.startswith("_")}
    assert not [name for name, door in doors.items() if inspect.iscoroutinefunction(door)]
    answering = {name for name, door in doors.items() if inspect.iscoroutinefunction(inspect.unwrap(door))}
    assert answering or room is Channel
    for room_name, name in OWN:
        if room.__name__ == room_name:
            assert "Answer[" in doors[name].__annotations__["return"]


@pytest.mark.parametrize("module", [each for each in MODULES if each != "hustlex.sync"])
def test_no_public_name_gives_a_bare_coroutine(module: str) -> None:
    public = importlib.import_module(module)
    bare = {f"{name}{door}" for name in public.__all__ for door in bare_doors(getattr(public, name))}
    assert {each for each in bare if not each.startswith("Sender.")} == {
        name for name in public.__all__ if name in DEPENDENCIES
    }


def bare_doors(value: Any) -> list[str]:
    """What of a public name is a coroutine function: it by itself (""), or its doors."""
    if not inspect.isclass(value):
        return [""] * inspect.iscoroutinefunction(value)
    doors = inspect.getmembers(value, inspect.iscoroutinefunction)
    return [f".{name}" for name, _ in doors if not name.startswith("_")]


async def test_what_no_room_has_says_the_same(front: HustleX, tmp_path: Path) -> None:
    tasks = Tasks()
    to_ada = Message("+2348031234567", "hello", "k1")
    subscription = front.events.channel("pot:all", int, kind="live").subscribe()
    codes, request = OtpCodes(send=asyncio.sleep, purpose="step-up"), Request({"type": "http", "headers": []})
    unawaited: list[Any] = [
        front.health(),
        FleetMetrics(front).text(),
        FleetMetrics(front).scale("default"),
        room_history(front, "otp"),
        Courier(Texts(app="Ajo"), sender := ConsoleSender(tmp_path / "sent")).deliver(front.otp, "junk", claim="c"),
        sender.send(to_ada),
        CallbackSender(print).send(to_ada),
        Dashboard(front).sign_in_token(Operator("read", "ada")),
        OutboxRelay(front.driver, create_engine("sqlite://"), Outbox(MetaData())).flush(),
        Worker(front.driver, tasks).run(),
        Scheduler(front.driver, tasks).run(),
        codes.ask(front, request, "+2348031234567"),
        ResponseCache("pot-page", ttl=timedelta(minutes=1)).clear(front),
        sse_response(request, subscription, authorize=None),
        progress_response(request, front, "t1", authorize=None),
        drain(front, tasks),
        enqueued(front),
    ]
    for answer in unawaited:
        with pytest.raises(Misuse, match="write await before the call"):
            bool(answer)


async def test_a_decision_that_was_not_awaited_lets_nobody_in(front: HustleX) -> None:
    pair = await front.tokens.login("u1")
    assert isinstance(pair, TokenPair)
    unawaited: list[Any] = [
        lambda: front.ratelimit.check(POLICY, "u1", endpoint="/login"),
        lambda: front.ratelimit.check_all([(POLICY, "u1", "/login")]),
        lambda: front.ratelimit.peek(POLICY, "u1", endpoint="/login"),
        lambda: front.ratelimit.hold(POLICY, "u1", endpoint="/login"),
        lambda: front.tokens.check(pair.access),
        lambda: front.tokens.check("junk"),
        lambda: front.tokens.check(pair.access, mode="stateless"),
        lambda: front.tokens.introspect(pair.access),
        lambda: front.otp.verify("junk", "123456"),
        lambda: front.otp.consume_grant("junk", "login"),
        lambda: front.pins.verify("u1", "1234", "junk"),
        lambda: front.idempotency.begin("k", Scope("u1", "POST", "/pay")),
        lambda: front.cache("flags", bool, ttl=timedelta(minutes=1), timeout=PATIENCE).get("open"),
        lambda: front.jobs.cancel("a"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ask in unawaited:
            for judge in (bool, lambda answer: not answer, lambda answer: 1 if answer else 2):
                with pytest.raises(Misuse, match=r"await|asked for"):
                    judge(ask())


async def test_an_answer_is_awaited_like_a_coroutine(front: HustleX) -> None:
    pair = await front.tokens.login("u1")
    assert isinstance(pair, TokenPair)
    for mode in ("strict", "stateless"):
        ask = lambda mode=mode: front.tokens.check(pair.access, mode=mode)  # noqa: E731
        assert isinstance(await ask(), Access)
        assert isinstance(await asyncio.create_task(ask()), Access)
        assert isinstance(await asyncio.wait_for(ask(), 60), Access)
        assert [type(each) for each in await asyncio.gather(ask(), ask())] == [Access, Access]
        assert isinstance(await asyncio.shield(ask()), Access)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ask())
        assert isinstance(task.result(), Access)
        unasked = ask()
        assert asyncio.iscoroutine(unasked) and inspect.isawaitable(unasked)
        unasked.close()


def test_it_runs_as_a_main_coroutine() -> None:
    async def seven() -> int:
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(later(seven())) == asyncio.run(now(7)) == 7


async def test_cancelling_and_errors_reach_what_is_awaited() -> None:
    caught: list[BaseException] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            caught.append(error)
            raise

    task = asyncio.create_task(later(slow()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caught

    async def broken() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await later(broken())
    early = asyncio.create_task(now(1))
    early.cancel()
    with pytest.raises(asyncio.CancelledError):
        await early
