"""Each sentence of the page for those who come from slowapi or limits is held by a check on the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import redis
from fastapi import Depends, FastAPI

from hustlex import HustleX
from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError
from hustlex.ratelimit import Outcome, Policy, RateLimitOptions, Source, parse_rule, sheet
from hustlex.web import RateLimit, RateLimitMiddleware, install, lifespan
from tests.support.claims import Check, Claims, unheld

MINUTE = timedelta(minutes=1)
AWAY = "redis://127.0.0.1:1"
PATIENT = timedelta(seconds=10)
claims = Claims()


class House:
    """Fronts and applications on the test's server, or on one that is away."""

    def __init__(self, url: str, clock: FixedClock, raw: redis.Redis) -> None:
        self.url, self.clock, self.raw = url, clock, raw

    def front(self, url: str = "", **options: Any) -> HustleX:
        budget = timedelta(milliseconds=20) if url else PATIENT
        limits = RateLimitOptions(**({"timeout": budget} | options))
        return HustleX(url or self.url, clock=self.clock, ratelimit=limits)

    def app(self, *limits: RateLimit, url: str = "", **installed: Any) -> FastAPI:
        """An application whose route / has these limits."""
        app = FastAPI(lifespan=lifespan(lambda: self.front(url)))
        install(app, **installed)
        app.add_api_route("/", nothing, dependencies=[Depends(limit) for limit in limits])
        return app


async def nothing() -> None:
    return None


@asynccontextmanager
async def serving(app: Any, address: str = "203.0.113.7") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://hustlex.test") as client:
        yield client


async def statuses(app: FastAPI, times: int, path: str = "/", **headers: str) -> list[int]:
    async with app.router.lifespan_context(app), serving(app) as client:
        return [(await client.get(path, headers=headers)).status_code for _ in range(times)]


@pytest.fixture
def house(url: str, clock: FixedClock, raw: redis.Redis) -> House:
    return House(url, clock, raw)


def test_every_sentence_is_held_and_nothing_else() -> None:
    assert unheld(["slowapi-limits"], claims, {}) == (set(), set())


@claims.hold(
    "nothing to make: the room is `hx.ratelimit`",
    '`await hx.ratelimit.check(policy, "u7", endpoint="/pay")`, truthy when allowed',
    "`hx.ratelimit.peek`",
    '`hx.ratelimit.reset(policy, "u7", endpoint="/pay")`',
    "`cost=`",
)
async def the_room(house: House) -> None:
    policy = Policy("p", 3, MINUTE)
    async with house.front() as hx:
        room = hx.ratelimit
        assert await room.check(policy, "u7", endpoint="/pay", cost=2)
        for _ in range(2):  # looking charges nothing
            assert (await room.peek(policy, "u7", endpoint="/pay")).remaining == 1
        assert not await room.check(policy, "u7", endpoint="/pay", cost=2)
        assert await room.reset(policy, "u7", endpoint="/pay")
        assert await room.check(policy, "u7", endpoint="/pay", cost=3)


@claims.hold('`dependencies=[Depends(RateLimit("5/minute per ip"))]`')
async def a_dependency(house: House) -> None:
    assert await statuses(house.app(RateLimit("5/minute per ip")), 6) == [200] * 5 + [429]


@claims.hold("`per user`, `per ip`, `per key`, `global`, or `key=` a dependency")
async def who_is_limited(house: House) -> None:
    whos = {f"1/minute {who}": parse_rule(f"1/minute {who}").who for who in ("per user", "per ip", "per key", "global")}
    assert list(whos.values()) == ["user", "ip", "key", "global"]

    async def tenant(tenant: str) -> str:
        return tenant

    app = house.app(RateLimit(Policy("p", 1, MINUTE), key=tenant))
    async with app.router.lifespan_context(app), serving(app) as client:
        answers = [(await client.get("/", params={"tenant": name})).status_code for name in "aab"]
    assert answers == [200, 429, 200]


@claims.hold('`RateLimitMiddleware(app, hx.ratelimit, ["100/minute per ip"])`')
async def for_all_routes(house: House) -> None:
    hx = house.front()
    async with hx, serving(RateLimitMiddleware(house.app(), hx.ratelimit, ["2/minute per ip"])) as client:
        answers = [(await client.get(path)).status_code for path in ("/", "/elsewhere", "/")]
    assert answers == [200, 404, 429]


@claims.hold(
    '`RateLimit(["5/minute per ip", "100/hour per ip"])`: charged together, or not at all',
    "Counting is by the server's clock, and several limits are one step: a call refused by the second is not charged "
    "by the first.",
)
async def several_at_once(house: House) -> None:
    two = RateLimit(["5/minute per ip on /pay", "2/hour per ip on /pay"])
    assert await statuses(house.app(two), 4) == [200, 200, 429, 429]
    policies = [rule.policy for rule in map(parse_rule, ("5/minute per ip", "2/hour per ip"))]
    async with house.front() as hx:
        seen = await hx.ratelimit.peek(policies, "ip:203.0.113.7", endpoint="/pay")
    assert [state.remaining for state in seen.per_policy] == [3, 0]
    async with HustleX(house.url, ratelimit=RateLimitOptions(timeout=PATIENT)) as hx:  # no clock of its own
        assert await hx.ratelimit.check(policies, "u7", endpoint="/pay")


@claims.hold(
    "`using fixed`; `sliding-window-counter`: `using counter`; `moving-window`: `using log`",
    "The default, `strict`, never admits more than the limit in any window. `fixed` admits up to twice as much.",
)
async def algorithms(house: House) -> None:
    worst = {}
    for said, algorithm in (
        ("", "strict"),
        (" using fixed", "fixed"),
        (" using counter", "counter"),
        (" using log", "log"),
    ):
        policy = parse_rule(f"10/minute per ip{said}").policy
        assert policy.algorithm == algorithm
        worst[algorithm] = sheet(policy).worst
        async with house.front() as hx:  # around the turn of a minute
            turn = -(house.clock.now_ms // -60_000) * 60_000
            house.clock.advance(timedelta(milliseconds=turn - 1 - house.clock.now_ms))
            passed = [bool(await hx.ratelimit.check(policy, algorithm, endpoint="/pay")) for _ in range(11)]
            house.clock.advance(timedelta(seconds=2))
            passed += [bool(await hx.ratelimit.check(policy, algorithm, endpoint="/pay")) for _ in range(11)]
        assert sum(passed) <= worst[algorithm]
        assert sum(passed) == (20 if algorithm == "fixed" else 10)
    assert worst == {"strict": 10, "log": 10, "fixed": 20, "counter": 19}


@claims.hold('`RateLimitOptions(exempt=frozenset({"ip:10.0.0.1"}))`, or leave the dependency out')
async def exemptions(house: House) -> None:
    policy = Policy("p", 1, MINUTE)
    async with house.front(exempt=frozenset({"ip:10.0.0.1"})) as hx:
        answers = [await hx.ratelimit.check(policy, "ip:10.0.0.1", endpoint="/pay") for _ in range(3)]
        assert {answer.outcome for answer in answers} == {Outcome.EXEMPT}
        assert [bool(await hx.ratelimit.check(policy, "ip:10.0.0.2", endpoint="/pay")) for _ in range(2)] == [
            True,
            False,
        ]
    assert await statuses(house.app(), 3) == [200] * 3


@claims.hold(
    "`failing open`, `failing local` (default, divided by `expected_replicas`), `failing closed`",
    "An outage is never a 500.",
)
async def outages(house: House) -> None:
    told = {
        "failing open": [200] * 3,
        "failing local": [200, 200, 429],
        "": [200, 200, 429],
        "failing closed": [503] * 3,
    }
    for said, answers in told.items():
        app = house.app(RateLimit(f"2/minute per ip {said}".strip()), url=AWAY)
        assert await statuses(app, 3) == answers
    async with house.front(AWAY, expected_replicas=2) as hx:
        asked = [await hx.ratelimit.check(Policy("p", 4, MINUTE), "u7", endpoint="/pay") for _ in range(4)]
    assert [bool(answer) for answer in asked] == [True, True, False, False]
    assert {answer.source for answer in asked} == {Source.LOCAL_FALLBACK}


@claims.hold('always, in the current IETF form; `install(app, legacy="x-ratelimit")` adds the old one')
async def headers(house: House) -> None:
    for options in ({}, {"legacy": "x-ratelimit"}):
        app = house.app(RateLimit("5/minute per ip"), **options)
        async with app.router.lifespan_context(app), serving(app) as client:
            answer = await client.get("/")
        assert answer.headers["ratelimit"].startswith('"5-per-min-ip";r=') and "ratelimit-policy" in answer.headers
        assert ("x-ratelimit-limit" in answer.headers) == bool(options)


@claims.hold(
    "Two handlers of one name do not share a count; a route without a limit can fail the start (`require_policy=True`)."
)
async def handlers_of_one_name(house: House) -> None:
    app = house.app(RateLimit("1/minute per ip"))
    app.add_api_route("/other", nothing, dependencies=[Depends(RateLimit("1/minute per ip"))])
    async with app.router.lifespan_context(app), serving(app) as client:
        assert [(await client.get(path)).status_code for path in ("/", "/other", "/")] == [200, 200, 429]
    bare = FastAPI(lifespan=lifespan(house.front, require_policy=True))
    install(bare)
    bare.add_api_route("/bare", nothing)
    with pytest.raises(ConfigurationError, match="GET /bare"):
        async with bare.router.lifespan_context(bare):
            pass


@claims.hold("Keys do not carry over: every caller starts afresh on the day of the change.")
async def keys(house: House) -> None:
    house.raw.set("LIMITS:LIMITER/203.0.113.7//5/1/minute", 5, ex=60)
    assert await statuses(house.app(RateLimit("5/minute per ip")), 1) == [200]
    assert all(key.startswith((b"ratelimit:", b"LIMITS:")) for key in house.raw.scan_iter())


@pytest.mark.parametrize("check", claims.each, ids=lambda check: check.__name__)
async def test_what_the_page_says_is_true(check: Check, house: House) -> None:
    await check(house)
