"""What a lost write means for each room: the replica lags, the primary dies, the replica takes over.

The rows of the table in docs/guides/durability.md. ``lost`` did everything while the replica heard nothing; ``kept``
waited for the replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from hustlex.app import DurableRooms, HustleX
from hustlex.core.durability import level
from hustlex.core.durability.level import Durability
from hustlex.errors import NotDurable
from hustlex.events import Gap, Message
from hustlex.idempotency import IdempotencyOptions, Replay, Response, Scope, Started
from hustlex.jobs import Tasks
from hustlex.otp import Gone, OtpOptions, Policy, Verified
from hustlex.pins import PinHashed, PinWrong
from hustlex.ratelimit import Policy as Limit
from hustlex.testing import drain
from hustlex.tokens import Access, Refreshed, RefreshRefused, Refusal, Rejected, TokenOptions, TokenPair
from tests.conftest import SECRET
from tests.support.otp import code_of, sent
from tests.support.replicas import ReplicaPair

pytestmark = [pytest.mark.one_server, pytest.mark.xdist_group("durability_failover")]
PAY = Scope("u1", "POST", "/pay")
LIMIT = Limit("five", 5, timedelta(minutes=10))
ASKING: dict[str, Any] = {
    "secret": SECRET,
    "tokens": TokenOptions(durability="replica"),
    "otp": OtpOptions(policies={"login": Policy(durability="replica")}, caps=None),
}


tasks = Tasks()
RUNS: list[str] = []


@tasks.task("note")
async def note(name: str) -> None:
    RUNS.append(name)


class Story(msgspec.Struct):
    """What there was, and what was answered. url: of the server that took over."""

    waited: bool
    ended: TokenPair
    turned: TokenPair
    successor: TokenPair
    challenge: str
    code: str
    pin: str
    newcomer: TokenPair
    position: Any
    said: dict[str, Any]
    url: str = ""


async def story(pair: ReplicaPair, *, waited: bool) -> Story:
    claims = IdempotencyOptions(durability="replica", replica_wait=timedelta(milliseconds=1_000 if waited else 50))
    async with HustleX(pair.url, idempotency=claims, **ASKING) as hx:
        ended, turned = [(await hx.tokens.login(user)).or_raise() for user in ("u1", "u2")]
        issued = await sent(hx.otp)
        code = await code_of(hx.otp, issued.challenge)
        hashed = await hx.pins.hash("u1", "4821")
        assert isinstance(hashed, PinHashed)
        await hx.jobs.enqueue(note.job(name="before"))
        await orders(hx).publish(1, n=1)
        await users(hx).set("ada", "old")
        if not waited:
            pair.lag()
        patient = DurableRooms(hx, Durability("replica", wait_ms=5_000 if waited else 100))
        safe: Any = patient if waited else hx
        refreshed = await safe.tokens.refresh(turned.refresh)
        assert isinstance(refreshed, Refreshed)
        key, started = await claimed(hx, waited)
        await safe.idempotency.complete(started, Response(201))
        assert isinstance(await safe.pins.verify("u1", "4822", hashed.verifier), PinWrong)
        await orders(safe).publish(2, n=1)
        position = await orders(hx).position(n=1)
        newcomer = (await safe.tokens.login("u3")).or_raise()
        await users(hx).delete("ada")
        for _ in range(5):
            await hx.ratelimit.check(LIMIT, "u1", endpoint="/")
        await drain(hx, tasks)
        said = {
            "logout": await hx.tokens.logout(ended.access),
            "verify": await hx.otp.verify(issued.challenge, code),
            "key": key,
            "claim": started,
            "enqueue": await _answer(patient.jobs.enqueue(note.job(name="new"))),
        }
        return Story(
            waited, ended, turned, refreshed.pair, issued.challenge, code, hashed.verifier, newcomer, position, said
        )


async def claimed(hx: Any, durable: bool) -> tuple[str, Started]:
    """A claim that got so far; a busy machine's replica may not answer in the second that a claim waits at most."""
    for number in range(60):
        started = await hx.idempotency.begin(f"k{number}", PAY)
        assert isinstance(started, Started)
        if started.durable is durable:
            return f"k{number}", started
    raise AssertionError(f"no claim said that durable is {durable}")


def orders(hx: Any) -> Any:
    return hx.events.channel("orders:{n}", int, kind="replay")


def users(hx: Any) -> Any:
    return hx.cache("user", str, ttl=timedelta(minutes=10), timeout=timedelta(seconds=5))


async def _answer(call: Any) -> Any:
    try:
        return await call
    except NotDurable as error:
        return error


@pytest.fixture(scope="module", params=["lost", "kept"])
def told(request: pytest.FixtureRequest) -> Iterator[Story]:
    """lost: all of it was done while the replica heard nothing. kept: it was waited for."""
    waited = request.param == "kept"
    with ReplicaPair() as pair, pytest.MonkeyPatch.context() as patch:
        if waited:  # the machine may be busy
            patch.setattr(level, "BRIEFLY_MS", 5_000)
        made = asyncio.run(story(pair, waited=waited))
        made.url = pair.fail_over()
        yield made


@pytest.fixture
async def hx(told: Story) -> AsyncIterator[HustleX]:
    async with HustleX(told.url, secret=SECRET, otp=OtpOptions(caps=None)) as after:
        yield after


async def test_a_session_that_was_ended(told: Story, hx: HustleX) -> None:
    """Lost, it lives on until its own end: the answer had said that no replica knew."""
    assert told.said["logout"].durable is told.waited
    found = await hx.tokens.check(told.ended.access, mode="strict")
    assert isinstance(found, Rejected if told.waited else Access)
    if not told.waited:
        assert (await hx.tokens.logout(told.ended.access)).ended, "said once more, it is over"
        assert isinstance(await hx.tokens.check(told.ended.access, mode="strict"), Rejected)


async def test_a_refresh_token_that_was_spent(told: Story, hx: HustleX) -> None:
    """Lost, its successor is not known, and the user logs in again; no session is opened by it, nor is it an alarm."""
    found = await hx.tokens.refresh(told.successor.refresh)
    if told.waited:
        assert isinstance(found, Refreshed)
    else:
        assert isinstance(found, RefreshRefused) and found.reason is Refusal.UNKNOWN_GENERATION


async def test_a_login(told: Story, hx: HustleX) -> None:
    """Lost, nobody knows the session, and the user logs in again."""
    found = await hx.tokens.refresh(told.newcomer.refresh)
    assert isinstance(found, Refreshed if told.waited else RefreshRefused)


async def test_a_code_that_was_used(told: Story, hx: HustleX) -> None:
    """Lost, it is good once more, for the rest of its five minutes."""
    assert told.said["verify"].durable is told.waited
    assert isinstance(await hx.otp.verify(told.challenge, told.code), Gone if told.waited else Verified)


async def test_a_key_that_was_spent(told: Story, hx: HustleX) -> None:
    """Lost, the request is executed again: who moves money looks at ``durable`` first."""
    assert told.said["claim"].durable is told.waited
    assert isinstance(await hx.idempotency.begin(told.said["key"], PAY), Replay if told.waited else Started)


async def test_a_pin_that_was_guessed_at(told: Story, hx: HustleX) -> None:
    """Lost, the guess was free."""
    found = await hx.pins.verify("u1", "4822", told.pin)
    assert isinstance(found, PinWrong)
    async with HustleX(told.url, secret=SECRET) as other:
        fresh = await other.pins.hash("u9", "4821")
        assert isinstance(fresh, PinHashed)
        first = await other.pins.verify("u9", "4822", fresh.verifier)
    assert isinstance(first, PinWrong)
    assert found.left == first.left - (1 if told.waited else 0)


async def test_jobs_that_were_enqueued_and_acknowledged(told: Story, hx: HustleX) -> None:
    """Lost, a job is gone, which its enqueue had said; one that was done runs again, as after any crash."""
    assert isinstance(told.said["enqueue"], NotDurable) is not told.waited
    RUNS.clear()
    await drain(hx, tasks)
    assert ("new" in RUNS) is told.waited
    if not told.waited:
        assert RUNS == ["before"]


async def test_events_with_history(told: Story, hx: HustleX) -> None:
    """Lost, they are gone, and who goes on from behind them is told of a gap."""
    found = await orders(hx).history(n=1)
    assert [message.data for message in found] == ([1, 2] if told.waited else [1])
    async with orders(hx).subscribe(n=1, since=told.position) as messages:
        await orders(hx).publish(3, n=1)
        first = await anext(messages)
    assert isinstance(first, Message if told.waited else Gap)


async def test_a_cached_value_that_was_invalidated(told: Story, hx: HustleX) -> None:
    """Lost, the old one is there until its time is over."""
    assert await users(hx).get("ada") == (None if told.waited else "old")


async def test_calls_that_were_counted(told: Story, hx: HustleX) -> None:
    """Limits never wait: lost, the callers begin anew; so one window may admit what it admitted before once more."""
    decision = await hx.ratelimit.check(LIMIT, "u1", endpoint="/")
    if not told.waited:
        assert decision.allowed
