"""A cache on the state's server yields while memory is short: it lives shorter, stores nothing, then drops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.telemetry import CallStart
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.sync import HustleX as BlockingHustleX
from tests.support import servers
from tests.support.blocking import Blocking

pytestmark = pytest.mark.one_server
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(binary=servers.binary("valkey9")) as server:
        yield server


@pytest.fixture
def raw(own_server: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_server.url) as raw:
        raw.execute_command("FLUSHALL", "SYNC")  # what is freed later would count as in use, as a large command would
        raw.setrange("ballast", 2**24, b"x")  # beside it the buffers of connections are nothing
        yield raw
        raw.config_set("maxmemory", 0)
        raw.config_set("maxmemory-policy", "noeviction")


@pytest.fixture(params=["aio", "blocking"])
async def opened(request: pytest.FixtureRequest, own_server: EmbeddedServer) -> AsyncIterator[Any]:
    """Makes fronts, each of which looks at the memory with its first write."""
    fronts = []

    def make(**options: Any) -> Any:
        front: Any = HustleX(own_server.url, prefix="a[b]:", **options)
        if request.param == "blocking":
            front = Blocking(BlockingHustleX(own_server.url, prefix="a[b]:", **options))
        fronts.append(front)
        return front

    yield make
    for front in fronts:
        await front.close()


def users(hx: Any) -> Any:
    return hx.cache("user", str, ttl=timedelta(hours=1), jitter=0.0, timeout=timedelta(seconds=5))


def use(raw: redis.Redis, share: float) -> None:
    """From now on so much of maxmemory is in use."""
    info = raw.info("memory")
    raw.config_set("maxmemory", int((info["used_memory"] - info["mem_not_counted_for_evict"]) / share))


async def load() -> str:
    return "Ada"


async def load_many(keys: list[str]) -> dict[str, str]:
    return dict.fromkeys(keys, "Ada")


@pytest.mark.parametrize(("share", "longest_ms"), [(0.5, HOUR_MS), (0.75, HOUR_MS / 2)])
async def test_entries_live_half_as_long(opened: Any, raw: redis.Redis, share: float, longest_ms: float) -> None:
    use(raw, share)
    hx = opened()
    assert await users(hx).get_or_compute("1", load) == "Ada"
    await users(hx).set("2", "Bola")
    for key in ("1", "2"):
        assert longest_ms * 0.9 < raw.pttl(f"a[b]:cache:user:{key}") <= longest_ms


async def test_nothing_is_stored(opened: Any, raw: redis.Redis) -> None:
    await users(opened()).set("1", "old")
    use(raw, 0.85)
    hx = opened()
    assert await users(hx).set("1", "new") is False
    assert await users(hx).get("1") is None, "what was there is old"
    assert await users(hx).get_or_compute("2", load) == "Ada"
    assert await users(hx).get_or_compute_many(["3"], load_many) == {"3": "Ada"}
    assert raw.keys("a\\[b\\]:c[^t]*") == [], "nor a lease"


async def test_what_ends_first_is_dropped_and_nothing_else(opened: Any, raw: redis.Redis) -> None:
    cache = users(opened())
    for number in range(20):
        await cache.set(str(number), "x", ttl=timedelta(minutes=1 + number))
    raw.set("a[b]:session:1", "x", ex=1)
    raw.set("other:cache:1", "x", ex=1)
    use(raw, 0.95)
    await users(opened()).set("new", "x")
    left = {int(key.rpartition(b":")[2]) for key in raw.keys("a\\[b\\]:cache:user:*")}
    assert left == set(range(10, 20))
    assert raw.exists("a[b]:session:1", "other:cache:1") == 2


@pytest.mark.parametrize("settings", [{"maxmemory-policy": "allkeys-lru"}, {"maxmemory": 0}])
async def test_where_the_server_evicts_or_has_no_limit_nothing_changes(
    opened: Any, raw: redis.Redis, settings: dict[str, Any]
) -> None:
    use(raw, 0.85)
    for name, value in settings.items():
        raw.config_set(name, value)
    hx = opened()
    await users(hx).set("1", "x")
    assert await users(hx).get("1") == "x"


async def test_a_cache_with_a_server_of_its_own_does_not_look(
    opened: Any, raw: redis.Redis, own_server: EmbeddedServer
) -> None:
    use(raw, 0.85)
    hx = opened(cache_url=own_server.url)
    await users(hx).set("1", "x")
    assert await users(hx).get("1") == "x"


async def test_it_looks_every_five_seconds_at_most(opened: Any, raw: redis.Redis) -> None:
    looks: list[str] = []

    def hook(start: CallStart) -> None:
        looks.extend(name for name in start.ops if name == "cache.memory")

    cache = users(opened(hook=hook))
    for number in range(20):
        await cache.set(str(number), "x")
    assert len(looks) == 1
