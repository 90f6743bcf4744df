"""What strangers do, each once under a name of his own: for tests of what a process keeps of them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hustlex.app import HustleX
from hustlex.idempotency import Response, Scope
from hustlex.ratelimit import Policy, RateLimitOptions

MINUTE = timedelta(minutes=1)
PLENTY = Policy("plenty", 1_000, MINUTE)
LOG = Policy("log", 1_000, MINUTE, "log")
ONE = Policy("one", 1, timedelta(hours=1))
PLACES = Policy("places", 5, MINUTE, "leases")
LIMITS = RateLimitOptions(timeout=timedelta(seconds=10), remembered=4)

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


async def at_once(front: Front, who: str) -> None:
    """Checks that share calls: of one key, and of others."""
    names = [who] * 12 + [f"{who}.{number}" for number in range(5)]
    await asyncio.gather(*(front.ratelimit.check(PLENTY, name, endpoint="/once") for name in names))


async def paid_back(front: Front, who: str) -> None:
    assert await done(front.ratelimit.refund(await done(front.ratelimit.check(PLENTY, who, endpoint="/back"))))


async def computed(front: Front, who: str) -> None:
    if "leaking" not in vars(front):
        vars(front)["leaking"] = front.cache("leak", str, ttl=MINUTE, timeout=MINUTE)
    cache = vars(front)["leaking"]
    value = _later if isinstance(front, HustleX) else lambda: "v"
    assert await done(cache.get_or_compute(who, value)) == "v"


async def _later() -> str:
    return "v"


async def failed(front: Front, who: str) -> None:
    """A computation that raises."""

    def fail() -> str:
        raise LookupError(who)

    async def fail_later() -> str:
        return fail()

    if "failing" not in vars(front):
        vars(front)["failing"] = front.cache("failing", str, ttl=MINUTE, timeout=MINUTE)
    with contextlib.suppress(LookupError):
        await done(vars(front)["failing"].get_or_compute(who, fail_later if isinstance(front, HustleX) else fail))


async def logged_in(front: Front, who: str) -> None:
    issued = await done(front.otp.issue(f"+23480{int(who[1:]) % 10**8:08}", "login"))
    if hasattr(issued, "challenge"):
        await done(front.otp.verify(issued.challenge, (await done(front.otp.open(issued.challenge))).code))


async def executed(front: Front, who: str) -> None:
    async def later(_: object) -> Response:
        return Response(200, b"{}")

    run = later if isinstance(front, HustleX) else lambda _: Response(200, b"{}")
    await done(front.idempotency.run(who, Scope(who, "POST", "/pay"), run, body=b"{}"))


async def listening(front: Front, who: str) -> None:
    async with front.driver.subscribe(f"ch:{who}"):
        pass


async def following(front: Front, who: str) -> None:
    if "orders" not in vars(front):
        vars(front)["orders"] = front.events.channel("orders:{number}", dict)
    async with vars(front)["orders"].subscribe(number=who):
        pass


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
    "a failed computation": failed,
    "an execution": executed,
    "a login by code": logged_in,
    "a bad token": lambda front, who: front.tokens.check(f"no.{who}.token"),
}
ASYNC_STORIES: dict[str, Callable[[Front, str], Any]] = {
    "limits at once": at_once,
    "a subscription": listening,
    "an event stream": following,
}


async def done(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer
