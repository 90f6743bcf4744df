"""Strangers decide how many callers, keys, phones and jobs there are: what a process keeps of them does not grow."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request

import hustlex
from hustlex.app import HustleX
from hustlex.cache import plan
from hustlex.core.op import Op
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens.signature_cache import SignatureCache
from hustlex.web import Idempotent, RateLimit, install, lifespan
from tests.conftest import PATIENCE, SECRET
from tests.support.strangers import ASYNC_STORIES, LIMITS, PLENTY, STORIES, done

MANY, ROUNDS = 50, 60
MOST_BLOCKS = 0.5
"""Of memory, left by each stranger: one object that is never freed is 1 or more."""


async def blocks_left(story: Callable[[str], Any]) -> float:
    """Memory blocks that each stranger leaves. A leak shows in every round, what is still filling up only in some."""
    names = (f"u{number}" for number in itertools.count(1))
    grown = []
    freeze()
    while len(grown) < ROUNDS and (not grown or grown[-1] >= MOST_BLOCKS):
        before = sys.getallocatedblocks()
        for who in itertools.islice(names, MANY):
            await done(story(who))
        await asyncio.sleep(0)
        gc.collect()
        grown.append((sys.getallocatedblocks() - before) / MANY)
    return min(grown)


def freeze() -> None:
    """What was there before is nothing to look at; nor is it later, as the collected tests are not."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of tokens and of a cache's keys is bounded by thousands, more than a quick test shows. So is
    what is remembered of callers, see LIMITS."""
    monkeypatch.setattr(SignatureCache.__init__, "__defaults__", (4,))
    monkeypatch.setattr(plan, "_MOST_NAMES", 4)
    monkeypatch.setattr(plan, "_MOST_RESTS", 4)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", [HustleX, BlockingHustleX], ids=["aio", "blocking"])
@pytest.mark.parametrize("name", STORIES)
async def test_strangers_leave_no_memory_behind(name: str, kind: Any, url: str) -> None:
    front = kind(url, secret=SECRET, ratelimit=LIMITS)
    assert await blocks_left(lambda who: STORIES[name](front, who)) < MOST_BLOCKS
    await done(front.close())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", [HustleX, BlockingHustleX], ids=["aio", "blocking"])
@pytest.mark.parametrize("name", [*STORIES, *ASYNC_STORIES])
async def test_strangers_are_freed_without_a_collector(name: str, kind: Any, url: str) -> None:
    """No cycle: a process that turned the collector off, or runs it seldom, is as flat."""
    if kind is BlockingHustleX and name in ASYNC_STORIES:
        return
    front = kind(url, secret=SECRET, ratelimit=LIMITS)
    story = (STORIES | ASYNC_STORIES)[name]
    assert await cycles_left(lambda who: story(front, who)) < MOST_BLOCKS
    await done(front.close())


async def cycles_left(story: Callable[[str], Any]) -> float:
    """Objects for each stranger that only a collector would free."""
    for number in range(3):
        await done(story(f"u{number}"))
    freeze()
    gc.disable()
    try:
        for number in range(20):
            await done(story(f"u{100 + number}"))
        await asyncio.sleep(0.01)
        return gc.collect() / 20
    finally:
        gc.enable()


@pytest.fixture
async def ask(url: str, small: None) -> AsyncIterator[Callable[[str], Any]]:
    """A request of a stranger, to a route with a limit that is executed once."""
    app = FastAPI(lifespan=lifespan(lambda: HustleX(url, timeout=PATIENCE, secret=SECRET, ratelimit=LIMITS)))
    install(app)

    @app.post("/", dependencies=[Depends(RateLimit(PLENTY, key=_stranger)), Depends(Idempotent(key=_stranger))])
    async def nothing() -> None:
        return None

    async def asked(who: str) -> None:
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        headers = [(b"host", b"t"), (b"x-who", who.encode()), (b"idempotency-key", who.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
        await app({**scope, "client": ("203.0.113.7", 1), "server": ("t", 80), "scheme": "http"}, receive, send)
        assert said[0]["status"] == 200

    async with app.router.lifespan_context(app):
        yield asked


async def test_requests_of_strangers_leave_no_memory_behind(ask: Callable[[str], Any]) -> None:
    assert await blocks_left(ask) < MOST_BLOCKS


async def test_requests_of_strangers_are_freed_without_a_collector(ask: Callable[[str], Any]) -> None:
    assert await cycles_left(ask) < MOST_BLOCKS


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
