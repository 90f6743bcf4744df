"""Strangers decide how many callers, keys, phones and jobs there are: what a process keeps of them does not grow."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request

import hustlex
from hustlex.app import HustleX
from hustlex.core.op import Op
from hustlex.idempotency import Scope
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens.signature_cache import SignatureCache
from hustlex.web import RateLimit, install, lifespan
from tests.conftest import SECRET

MINUTE = timedelta(minutes=1)
PLENTY = Policy("plenty", 1_000, MINUTE)
LOG = Policy("log", 1_000, MINUTE, "log")
ONE = Policy("one", 1, timedelta(hours=1))
PLACES = Policy("places", 5, MINUTE, "leases")
LIMITS = RateLimitOptions(check_budget=timedelta(seconds=10), remembered=4)

MANY, ROUNDS = 50, 60
MOST_BLOCKS = 0.5
"""Of memory, left by each stranger: one object that is never freed is 1 or more."""

Front = Any


async def twice(front: Front, who: str) -> None:
    """The second is refused, and the refusal remembered."""
    for _ in range(3):
        await done(front.ratelimit.check(ONE, who, endpoint="/twice"))


async def held(front: Front, who: str) -> None:
    hold = front.ratelimit.hold(PLACES, who, endpoint="/held")
    if hasattr(hold, "__aenter__"):
        async with hold as place:
            assert place
    else:
        with hold as place:
            assert place


async def paid_back(front: Front, who: str) -> None:
    assert await done(front.ratelimit.refund(await done(front.ratelimit.check(PLENTY, who, endpoint="/back"))))


async def computed(front: Front, who: str) -> None:
    if "leaking" not in vars(front):
        vars(front)["leaking"] = front.cache("leak", str, ttl=MINUTE)
    cache = vars(front)["leaking"]
    value = _later if isinstance(front, HustleX) else lambda: "v"
    assert await done(cache.get_or_compute(who, value)) == "v"


async def _later() -> str:
    return "v"


STORIES: dict[str, Callable[[Front, str], Any]] = {
    "a limit": lambda front, who: front.ratelimit.check(PLENTY, who, endpoint="/a"),
    "a log": lambda front, who: front.ratelimit.check(LOG, who, endpoint="/b"),
    "a cost": lambda front, who: front.ratelimit.check(PLENTY, who, endpoint="/c", cost=2),
    "several": lambda front, who: front.ratelimit.check_all([(PLENTY, who, "/d"), (LOG, who, "/d")]),
    "a peek": lambda front, who: front.ratelimit.peek(PLENTY, who, endpoint="/e"),
    "refusals": twice,
    "a place": held,
    "a refund": paid_back,
    "a cache": computed,
    "a key": lambda front, who: front.idempotency.begin(who, Scope(who, "POST", "/pay"), body=b"{}"),
    "a job": lambda front, who: front.jobs.enqueue("leak:job", b"{}", task_id=who),
    "a session": lambda front, who: front.tokens.login(who),
    "a code": lambda front, who: front.otp.issue(f"+23480{int(who[1:]) % 10**8:08}", "login"),
    "a PIN": lambda front, who: front.pins.reset(who),
}


async def done(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


async def blocks_left(story: Callable[[str], Any]) -> float:
    """Memory blocks that each stranger leaves. A leak shows in every round, what is still filling up only in some."""
    names = (f"u{number}" for number in itertools.count(1))
    grown = []
    gc.freeze()  # what was there before is nothing to look at
    try:
        while len(grown) < ROUNDS and (not grown or grown[-1] >= MOST_BLOCKS):
            before = sys.getallocatedblocks()
            for who in itertools.islice(names, MANY):
                await done(story(who))
            await asyncio.sleep(0)
            gc.collect()
            grown.append((sys.getallocatedblocks() - before) / MANY)
    finally:
        gc.unfreeze()
    return min(grown)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of tokens is bounded by 10,000, more than a quick test shows."""
    monkeypatch.setattr(SignatureCache.__init__, "__defaults__", (4,))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", [HustleX, BlockingHustleX], ids=["aio", "blocking"])
@pytest.mark.parametrize("name", STORIES)
async def test_strangers_leave_no_memory_behind(name: str, kind: Any, url: str) -> None:
    front = kind(url, secret=SECRET, ratelimit=LIMITS)
    assert await blocks_left(lambda who: STORIES[name](front, who)) < MOST_BLOCKS
    await done(front.close())


async def test_callers_are_freed_without_a_collector(url: str) -> None:
    """No cycle: a process that turned the collector off, or runs it seldom, is as flat."""
    async with HustleX(url, secret=SECRET, ratelimit=LIMITS) as front:
        await blocks_left(lambda who: front.ratelimit.check(PLENTY, who, endpoint="/a"))
        gc.disable()
        try:
            before = sys.getallocatedblocks()
            for number in range(300):
                await front.ratelimit.check(PLENTY, f"v{number}", endpoint="/a")
                await front.ratelimit.check(LOG, f"v{number}", endpoint="/a")
                await front.ratelimit.check(PLENTY, f"v{number}", endpoint="/a", cost=2)
                await twice(front, f"v{number}")
            assert (sys.getallocatedblocks() - before) / 300 < 1
        finally:
            gc.enable()


async def test_requests_of_strangers_leave_no_memory_behind(url: str) -> None:
    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, secret=SECRET, ratelimit=LIMITS)))
    install(app)
    guard = RateLimit(PLENTY, key=_stranger)

    @app.get("/", dependencies=[Depends(guard)])
    async def nothing() -> None:
        return None

    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as client:

        async def ask(who: str) -> None:
            assert (await client.get("/", headers={"x-who": who})).status_code == 200

        assert await blocks_left(ask) < MOST_BLOCKS


async def _stranger(request: Request) -> str:
    return request.headers["x-who"]


def test_what_the_collector_must_not_look_at_holds_no_functions() -> None:
    """A function may be bound to anything, and so close a cycle that is never freed."""
    hidden = [kind for kind in _structs(msgspec.Struct) if not kind.__struct_config__.gc]
    for kind in hidden:
        annotations = [str(field.type) for field in msgspec.structs.fields(kind)]
        assert not any("Callable" in each or "Job" in each for each in annotations), kind
    assert Op.__struct_config__.gc


def _structs(base: Any) -> list[Any]:
    return [
        each
        for kind in base.__subclasses__()
        if kind.__module__.startswith(hustlex.__name__)
        for each in (kind, *_structs(kind))
    ]
