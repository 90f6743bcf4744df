"""A ledger that never complains proves nothing: rooms that lie are found out."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self

import pytest

from hustlex.events import Gap, Message
from hustlex.idempotency import Replay, Response, Started
from hustlex.otp import Delivery, Granted, Issued, Verified
from hustlex.ratelimit import Decision, Outcome, Policy, Source
from hustlex.tokens import Access, LoggedOut, Refreshed, RevokedAll, RevokedSession, TokenPair
from hustlex.tokens.types import How
from tests.chaos.ledgers import Ledger
from tests.chaos.ledgers.cache import CacheLedger
from tests.chaos.ledgers.codes import CodesLedger
from tests.chaos.ledgers.events import EventsLedger, Reader
from tests.chaos.ledgers.idempotency import Claim, IdempotencyLedger, Request
from tests.chaos.ledgers.limits import POLICIES, LimitsLedger
from tests.chaos.ledgers.money import MoneyLedger
from tests.chaos.ledgers.tokens import Session, TokensLedger

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCESS = Access("u1", "s", "app", "j", NOW, NOW, NOW, ())


def says(answer: Any) -> Any:
    """An async function of a room that says this, whatever it is asked."""

    async def say(*_: Any, **__: Any) -> Any:
        return answer

    return say


async def ledger_of(kind: type[Ledger], **rooms: Any) -> Any:
    """A ledger whose two fronts are one liar."""
    front: Any = SimpleNamespace(**rooms)
    stage: Any = SimpleNamespace(over=False, as_of=lambda asked: asked)
    ledger = kind(stage, [front, front], 1)
    if kind is not MoneyLedger:
        await ledger.prepare()
    return ledger


async def test_a_code_that_two_use_is_found() -> None:
    otp = SimpleNamespace(
        issue=says(Issued("c", "REF", MINUTE, MINUTE, 2)),
        open=says(Delivery("+234", "123456", "login", "REF", MINUTE, "")),
        verify=says(Verified("g", "s", "login", False)),
        consume_grant=says(Granted("+234", "s", "login")),
    )
    ledger = await ledger_of(CodesLedger, otp=otp)
    await ledger._one_code()
    assert {"codes: a code was used twice", "codes: a grant was spent twice"} <= set(ledger.complaints())


async def test_a_revoked_token_that_passes_is_found() -> None:
    pair = TokenPair("a", "r", MINUTE, "s", MINUTE)
    tokens = SimpleNamespace(
        start=says(True),
        check=says(ACCESS),
        refresh=says(Refreshed(pair, How.ROTATED)),
        logout=says(LoggedOut("s", True)),
        revoke_session=says(RevokedSession(True)),
        revoke_all=says(RevokedAll(1, False)),
    )
    ledger = await ledger_of(TokensLedger, tokens=tokens)
    ledger._alive.append(Session("u1", pair))
    await ledger._end()
    ledger._over[0].revoked = time.monotonic() - 60
    await ledger._check_over()
    found = " ".join(ledger.complaints())
    assert all(word in found for word in ("a strict check", "a bounded check", "brought the session back"))


async def test_a_limit_that_lets_too_many_pass_is_found() -> None:
    ledger = await ledger_of(LimitsLedger)
    passed = Decision(True, Outcome.ALLOWED, 1, Source.REDIS)
    for policy in POLICIES:
        for _ in range(100):
            ledger._note(policy, passed, time.monotonic())
    assert {each.split()[1] for each in ledger.complaints()} == {policy.name for policy in POLICIES}
    honest = await ledger_of(LimitsLedger)
    for _ in range(20):
        honest._note(Policy("log", 20, timedelta(seconds=2), "log"), passed, time.monotonic())
    assert honest.complaints() == []


async def test_a_second_owner_and_a_lost_answer_are_found() -> None:
    started = Started("r", "o", 1, "none", 2_000, 60_000)
    idempotency = SimpleNamespace(begin=says(started), complete=says(True), abandon=says(False))
    ledger = await ledger_of(IdempotencyLedger, idempotency=idempotency)
    request = Request("k")
    await asyncio.gather(*(ledger._caller(request) for _ in range(2)))
    await ledger._again(request)
    found = " ".join(ledger.complaints())
    assert "two owned a key" in found or "claimed after its answer" in found
    assert "a kept answer was lost" in found
    idempotency.begin = says(Replay(Response(200, b"another")))
    await ledger._again(request)
    assert "was not the answer" in ledger.complaints()[-1]


@pytest.mark.parametrize(
    ("first", "given_back", "then", "wrong"),
    [
        (1, False, 1, True),
        (1, False, 2, False),
        (1, True, 1, False),
        (2, True, 2, True),
        (2, True, 1, True),
        (2, True, 3, False),
    ],
)
async def test_a_fence_that_does_not_rise_is_found(*, first: int, given_back: bool, then: int, wrong: bool) -> None:
    """A key that was given back by its first owner is forgotten, and only then do fences begin anew."""
    ledger = await ledger_of(IdempotencyLedger, idempotency=SimpleNamespace(complete=says(False), abandon=says(True)))
    request = Request("k", [Claim(time.monotonic() - 60, first, given_back)])
    await ledger._own(request, Started("r", "o", then, "none", 2_000, 60_000), time.monotonic())
    assert ledger.complaints() == ([f"idempotency: fence {then} came after {first}"] if wrong else [])


async def test_a_stale_value_is_found() -> None:
    cache = SimpleNamespace(get_or_compute=says(0), delete=says(None))
    ledger = await ledger_of(CacheLedger, cache=lambda *_, **__: cache)
    ledger._floors = [[(0.0, 7)] for _ in ledger._floors]
    reading = asyncio.create_task(ledger._read())
    async with asyncio.timeout(5):
        while not ledger.wrong:
            await asyncio.sleep(0)
    ledger.stage.over = True
    await reading
    assert "version 0 was served, and 7 had been invalidated for" in ledger.complaints()[0]


@pytest.mark.parametrize(
    ("offsets", "wrong"), [([1, 2, 3], False), ([1, 3], True), ([1, 2, 2], True), ([1, None, 3], False)]
)
async def test_an_event_that_is_gone_or_doubled_without_a_gap_is_found(offsets: list[Any], *, wrong: bool) -> None:
    items = [Gap("trimmed") if n is None else Message(n, "chaos:kept", 0, "e", n) for n in offsets]
    channel = SimpleNamespace(subscribe=lambda: Heard(items))
    events = SimpleNamespace(channel=lambda *_, **__: channel)
    ledger = await ledger_of(EventsLedger, events=events)
    ledger._acknowledged["kept"] = [1, 2, 3]
    reader = Reader()
    await ledger._listen("kept", channel, reader)
    ledger._judge("kept", reader)
    assert bool(ledger.complaints()) is wrong


class Heard:
    """A subscription to these items."""

    def __init__(self, items: list[Any]) -> None:
        self._items = iter(items)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


async def test_every_way_to_lose_a_kobo_is_found() -> None:
    ledger = await ledger_of(MoneyLedger)
    ledger._transfers = {"a": (1, 2, 500, "moved"), "b": (2, 1, 70, "unknown")}
    ledger._posted, ledger._completed = {9: 300}, {9: 2}
    out, into = ("transfer:1:a:out", (1, -500)), ("transfer:1:a:in", (2, 500))
    held, paid = ("escrow:9:hold", (1, -300)), ("escrow:9:release", (2, 300))
    gigs = {9: (1, 2, 300)}
    welcome = [("welcome:1", (1, 5_000_000)), ("welcome:2", (2, 5_000_000))]

    def judged(*lines: tuple[str, tuple[int, int]], balances: dict[int, int] | None = None) -> list[str]:
        ledger.wrong = []
        found = dict([*welcome, *lines])
        sums = {user: sum(amount for owner, amount in found.values() if owner == user) for user in (1, 2)}
        ledger._judge_transfers(found)
        ledger._judge_gigs(found, gigs)
        ledger._judge_balances(found, balances or sums)
        return ledger.wrong

    assert judged(out, into, held, paid) == []
    assert "it did not" in judged(held, paid)[0]
    assert "halves" in judged(out, held, paid)[0]
    assert "its payment is None" in judged(out, into, held)[0]
    assert (
        "more than once" in judged(out, into, ("transfer:x:out", (1, -500)), ("transfer:x:in", (2, 500)), held, paid)[0]
    )
    assert "wallets hold" in judged(out, into, held, paid, balances={1: 4_999_200, 2: 5_000_801})[0]
