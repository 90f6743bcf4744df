"""Live connections: counted by the process that serves them, told to all, and gone with it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.streams import OpenStreams, open_streams
from hustlex.metrics import Metrics, history
from hustlex.metrics import live as live_module
from hustlex.metrics.history import recorded
from hustlex.metrics.live import LiveTally, read_live
from tests.conftest import PATIENCE

KEY = "p:x:{rooms}:served"


def process(monkeypatch: pytest.MonkeyPatch, pid: int, at_ms: int = 0) -> None:
    """What is told next is told by another process, at that moment."""
    monkeypatch.setattr(live_module.os, "getpid", lambda: pid)
    monkeypatch.setattr(live_module.socket, "gethostname", lambda: "api-1")
    monkeypatch.setattr(live_module, "server_clock", lambda: at_ms)


async def told(hx: HustleX, tally: LiveTally) -> None:
    if (op := tally.report(hx.prefix)) is not None:
        await hx.driver.run(op)


async def found(hx: HustleX) -> list[tuple[str, int, int]]:
    return [(each.process, each.sse, each.websocket) for each in await hx.driver.run(read_live(hx.prefix))]


async def test_each_process_tells_its_own_and_is_forgotten_when_it_is_silent(
    url: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = LiveTally(), LiveTally()
    async with HustleX(url, prefix="p:", timeout=PATIENCE) as hx:
        process(monkeypatch, 7, 1_000_000)
        assert mine.report(hx.prefix) is None, "nothing to tell costs nothing"
        with ExitStack() as streams:
            for kind in ("sse", "sse", "websocket"):
                streams.enter_context(open_streams.one(kind))
            await told(hx, mine)
            process(monkeypatch, 8, 1_001_000)
            streams.enter_context(open_streams.one("sse"))
            await told(hx, other)
            assert await found(hx) == [("api-1:8", 3, 1), ("api-1:7", 2, 1)]
            assert 0 < raw.pttl(KEY) <= 60_000
            process(monkeypatch, 8, 1_060_500)  # the first was killed
            streams.enter_context(open_streams.one("websocket"))
            await told(hx, other)
            assert await found(hx) == [("api-1:8", 3, 2)]
        await told(hx, other)
        assert await found(hx) == [] and other.report(hx.prefix) is None


async def test_a_process_whose_answer_was_lost_is_counted_once(
    url: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HustleX(url, prefix="p:", timeout=PATIENCE) as hx:
        process(monkeypatch, 7, 1_000_000)
        raw.zadd(KEY, {'["api-1:7",9,0]': 999_000})
        with open_streams.one("sse"):
            await told(hx, LiveTally())
            assert raw.zcard(KEY) == 2 and await found(hx) == [("api-1:7", 1, 0)]


async def test_what_cannot_be_read_hides_nothing_else(
    url: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HustleX(url, prefix="p:", timeout=PATIENCE) as hx:
        process(monkeypatch, 7, 1_000_000)
        raw.zadd(KEY, dict.fromkeys(("no JSON", '["api-1:9"]', '{"sse": 1}', "\xff"), 999_000))
        with open_streams.one("sse"):
            await told(hx, LiveTally())
            assert await found(hx) == [("api-1:7", 1, 0)]


async def test_it_is_told_with_what_rooms_did_and_taken_back_at_the_end(
    url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "EVERY_S", 0.001)
    async with HustleX(url, prefix="p:", timeout=PATIENCE, hook=metrics) as hx:
        with ExitStack() as streams:
            async with recorded(metrics, lambda: hx):
                streams.enter_context(open_streams.one("websocket"))
                async with asyncio.timeout(60):
                    while not (seen := await found(hx)):
                        await asyncio.sleep(0)
                assert [each[1:] for each in seen] == [(0, 1)]
                streams.close()
        assert await found(hx) == []


def test_a_child_has_none_of_its_parents() -> None:
    counted = OpenStreams()
    with counted.one("sse"):
        assert counted.counts == (1, 0)
        counted.forked()
        assert counted.counts == (0, 0)
    assert counted.counts == (0, 0)


def test_they_are_a_metric(told: Any) -> None:
    with open_streams.one("sse"):
        assert told()["hustlex_event_streams", ("sse",)] == 1
    assert told()["hustlex_event_streams", ("sse",)] == 0
