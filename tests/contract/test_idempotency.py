"""Idempotency keys on a real server, through the public door, async and blocking."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import BadReply, ConfigurationError, Full, Misuse, Unavailable
from hustlex.idempotency import (
    Executed,
    Finding,
    IdempotencyOptions,
    InFlight,
    InvalidKey,
    Mismatch,
    Orphaned,
    Provider,
    Replay,
    Response,
    Scope,
    Seen,
    Started,
    hmac_signature,
)
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE, SECRET
from tests.support import forked
from tests.support.proxy import Proxy

PAY = Scope("u1", "POST", "/transfers/{id}")
BODY = b'{"amount": 5000, "to": "u2"}'
CREATED = Response(201, b'{"id": 7}', (("Content-Type", "application/json"), ("X-Request-Id", "r1")))
LEASE = timedelta(seconds=30)
TAKEOVER = IdempotencyOptions(orphans="takeover")
REFUSE = IdempotencyOptions(orphans="refuse")
PAYSTACK = Provider(name="paystack", verify=hmac_signature("x-paystack-signature", "sk_test"))


async def begin(hx: Any, key: str = "k1", scope: Scope = PAY, **more: Any) -> Any:
    return await hx.idempotency.begin(key, scope, **({"body": BODY} | more))


async def begun(hx: Any, **more: Any) -> Started:
    started = await begin(hx, **more)
    assert isinstance(started, Started), started
    return started


# -- one key, one execution


async def test_a_key_is_executed_once_and_then_replayed(hx: Any) -> None:
    started = await begun(hx)
    assert (started.fence, started.point, started.durable) == (1, "none", None)
    assert await hx.idempotency.complete(started, CREATED)
    replay = await begin(hx)
    assert isinstance(replay, Replay) and replay.response.whole
    assert (replay.response.status, replay.response.body) == (201, CREATED.body)
    assert replay.response.headers == (("content-type", "application/json"),)


async def test_of_500_concurrent_callers_one_executes_and_the_rest_are_told(hx: Any) -> None:
    executions = 0

    async def pay(_: Started) -> Response:
        nonlocal executions
        executions += 1
        await asyncio.sleep(0)
        return CREATED

    async def client() -> Any:
        while isinstance(outcome := await hx.idempotency.run("k1", PAY, pay, body=BODY), InFlight):
            assert outcome.retry_after is not None and outcome.retry_after <= LEASE
            await asyncio.sleep(0.001)
        return outcome

    outcomes = await asyncio.gather(*(client() for _ in range(500 if hx_is_async(hx) else 60)))
    assert executions == 1
    assert sum(isinstance(outcome, Executed) for outcome in outcomes) == 1
    assert {outcome.response.body for outcome in outcomes} == {CREATED.body}


def hx_is_async(hx: Any) -> bool:
    return getattr(hx, "style", "aio") == "aio"


def test_of_50_threads_one_executes(url: str) -> None:
    executions: list[int] = []
    answers: list[Any] = []

    def pay(started: Started) -> Response:
        executions.append(started.fence)
        return CREATED

    with BlockingHustleX(url, timeout=PATIENCE, secret=SECRET) as hx:

        def client() -> None:
            outcome: Any = InFlight(None)
            while isinstance(outcome, InFlight):
                outcome = hx.idempotency.run("k1", PAY, pay, body=BODY)
            answers.append(outcome)

        threads = [threading.Thread(target=client) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert executions == [1]
    assert sorted(type(answer).__name__ for answer in answers) == ["Executed"] + ["Replay"] * 49


_CLIENTS = """
import asyncio, sys
from datetime import timedelta
from hustlex.app import HustleX
from hustlex.idempotency import InFlight, Response, Scope

async def main():
    async with HustleX(sys.argv[1], secret=sys.argv[2], timeout=timedelta(seconds=5)) as hx:
        executed = []
        async def pay(claim):
            executed.append(claim.fence)
            return Response(200, b"paid")
        async def client():
            outcome = InFlight(None)
            while isinstance(outcome, InFlight):
                outcome = await hx.idempotency.run("k1", Scope("u1", "POST", "/pay"), pay)
            return outcome.response.body
        bodies = await asyncio.gather(*(client() for _ in range(50)))
        assert set(bodies) == {b"paid"}
        print(len(executed))

asyncio.run(main())
"""


def test_over_four_processes_one_caller_executes(url: str) -> None:
    arguments = [sys.executable, "-c", _CLIENTS, url, SECRET.decode()]
    clients = [forked.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sum(int(client.communicate(timeout=60)[0]) for client in clients) == 1


@pytest.mark.parametrize("room", ["idempotency", "pins"])
def test_the_room_needs_a_secret(url: str, room: str) -> None:
    with BlockingHustleX(url, timeout=PATIENCE) as hx, pytest.raises(ConfigurationError):
        getattr(hx, room)


# -- what is the same request


@pytest.mark.parametrize(
    "other",
    [Scope("u2", "POST", PAY.route), Scope("u1", "PUT", PAY.route), Scope("u1", "POST", "/refunds")],
    ids=["user", "method", "route"],
)
async def test_another_user_method_or_route_is_another_key(hx: Any, other: Scope) -> None:
    await begun(hx)
    await begun(hx, scope=other)


async def test_the_method_is_read_in_any_case(hx: Any) -> None:
    await begun(hx)
    assert isinstance(await begin(hx, scope=Scope("u1", "post", PAY.route)), InFlight)


@pytest.mark.parametrize(
    ("body", "content_type", "same"),
    [
        (b'{"to":"u2","amount":5000}', "application/json", True),
        (b'{ "to" : "\\u00752", "amount" : 5000 }\n', "application/problem+json; charset=utf-8", True),
        (b'{"to":"u2","amount":5000.0}', "application/json", False),
        (b'{"to":"u2","amount":"5000"}', "application/json", False),
        (b'{"to":"u2","amount":5000,"amount":5000}', "application/json", False),
        (b'{"to":"u2"}', "application/json", False),
        (b"", "application/json", False),
        (BODY, "text/plain", False),
    ],
)
async def test_a_key_is_good_for_one_body(hx: Any, body: bytes, content_type: str, same: bool) -> None:
    started = await begun(hx)
    wanted = InFlight if same else Mismatch
    assert isinstance(await begin(hx, body=body, content_type=content_type), wanted)
    await hx.idempotency.complete(started, CREATED)
    wanted = Replay if same else Mismatch
    assert isinstance(await begin(hx, body=body, content_type=content_type), wanted)


@pytest.mark.parametrize("key", ["", "k" * 256, "k 1", "ключ", "k\n", '""', '"a"b"', "k\x7f", '"' + "k" * 256 + '"'])
async def test_a_key_that_cannot_be_one_is_told_without_a_round_trip(hx: Any, raw: redis.Redis, key: str) -> None:
    assert await begin(hx, key=key) == InvalidKey()
    assert raw.dbsize() == 0


@pytest.mark.parametrize(("one", "same"), [('"k1"', "k1"), ('"a\\"b"', 'a"b'), ("k" * 255, "k" * 255)])
async def test_a_key_may_be_a_structured_field_string(hx: Any, one: str, same: str) -> None:
    await begun(hx, key=one)
    assert isinstance(await begin(hx, key=same), InFlight)


@pytest.mark.parametrize("scope", [("", "POST", "/a"), ("u", "", "/a"), ("u", "PO ST", "/a"), ("u", "POST", "")])
def test_a_scope_names_all_its_parts(scope: tuple[str, str, str]) -> None:
    with pytest.raises(Misuse):
        Scope(*scope)


# -- leases, fences, orphans


async def test_an_owner_that_is_silent_too_long_leaves_an_orphan(hx: Any, clock: FixedClock) -> None:
    await begun(hx)
    clock.advance(LEASE - timedelta(milliseconds=1))
    assert await begin(hx) == InFlight(timedelta(milliseconds=1))
    clock.advance(timedelta(milliseconds=1))
    assert await begin(hx) == Orphaned(1, "none")
    assert await begin(hx, options=REFUSE) == Orphaned(1, "none")


async def test_renewing_keeps_it_and_tells_how_far_the_work_came(hx: Any, clock: FixedClock) -> None:
    started = await begun(hx)
    for _ in range(5):
        clock.advance(LEASE - timedelta(seconds=1))
        assert await hx.idempotency.renew(started, point="charging")
    assert isinstance(await begin(hx), InFlight)
    clock.advance(LEASE)
    assert await begin(hx) == Orphaned(1, "charging")
    assert await hx.idempotency.renew(started), "nobody took it: its owner may go on"
    assert isinstance(await begin(hx), InFlight)


async def test_a_takeover_fences_the_late_owner(hx: Any, clock: FixedClock) -> None:
    late = await begun(hx)
    await hx.idempotency.renew(late, point="charging")
    clock.advance(LEASE)
    taker = await begun(hx, options=TAKEOVER)
    assert (taker.fence, taker.point) == (2, "charging")
    assert not await hx.idempotency.renew(late)
    assert not await hx.idempotency.abandon(late)
    assert not await hx.idempotency.complete(late, Response(200, b"late"))
    assert await hx.idempotency.complete(taker, CREATED)
    assert not await hx.idempotency.complete(late, Response(200, b"late"))
    assert (await begin(hx)).response.body == CREATED.body


async def test_a_kept_answer_is_never_overwritten(hx: Any, clock: FixedClock) -> None:
    started = await begun(hx)
    assert await hx.idempotency.complete(started, CREATED)
    assert await hx.idempotency.complete(started, Response(500, b"again")), "a repeat by its owner is told yes"
    assert not await hx.idempotency.abandon(started)
    assert not await hx.idempotency.renew(started)
    clock.advance(10 * LEASE)
    assert (await begin(hx, options=TAKEOVER)).response.body == CREATED.body


async def test_a_claim_without_a_lease_is_alive(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    started = await begun(hx)
    raw.hdel(started.record, "lease")
    clock.advance(100 * LEASE)
    assert await begin(hx, options=TAKEOVER) == InFlight(None)


async def test_only_the_orphan_that_was_looked_at_is_taken_over(hx: Any, clock: FixedClock) -> None:
    await begun(hx)
    clock.advance(LEASE)
    seen = await begin(hx)
    takers = await asyncio.gather(*(begin(hx, over=seen) for _ in range(40)))
    assert sorted(type(taker).__name__ for taker in takers) == ["InFlight"] * 39 + ["Started"]
    clock.advance(LEASE)
    assert await begin(hx, over=seen) == Orphaned(2, "none"), "that is another orphan"


async def test_a_claim_given_back_is_free_at_once(hx: Any) -> None:
    assert await hx.idempotency.abandon(await begun(hx))
    again = await begun(hx, body=b"{}")
    assert await hx.idempotency.renew(again, point="charging")
    assert not await hx.idempotency.abandon(again), "it is past a recovery point"
    assert isinstance(await begin(hx, body=b"{}"), InFlight)


async def test_what_was_taken_over_is_given_back_as_an_orphan(hx: Any, clock: FixedClock) -> None:
    await begun(hx)
    clock.advance(LEASE)
    assert await hx.idempotency.abandon(await begun(hx, options=TAKEOVER))
    assert await begin(hx) == Orphaned(2, "none")
    assert (await begun(hx, options=TAKEOVER)).fence == 3, "a fence is never given twice"


# -- the whole story


async def test_reconciling_finds_the_answer(hx: Any, clock: FixedClock) -> None:
    await begun(hx)
    clock.advance(LEASE)
    asked: list[Orphaned] = []

    async def ask(orphan: Orphaned) -> Response:
        asked.append(orphan)
        return CREATED

    outcome = await hx.idempotency.run("k1", PAY, never, body=BODY, reconcile=ask)
    assert isinstance(outcome, Replay) and outcome.response.body == CREATED.body
    assert asked == [Orphaned(1, "none")]
    assert isinstance(await begin(hx), Replay), "it is kept"


async def test_reconciling_finds_that_nothing_was_done(hx: Any, clock: FixedClock) -> None:
    await begun(hx)
    clock.advance(LEASE)
    fences: list[int] = []

    async def pay(started: Started) -> Response:
        fences.append(started.fence)
        return CREATED

    async def ask(_: Orphaned) -> Finding:
        return Finding.NOT_DONE

    runs = (hx.idempotency.run("k1", PAY, pay, body=BODY, reconcile=ask) for _ in range(30))
    outcomes = await asyncio.gather(*runs)
    assert fences == [2]
    assert sum(isinstance(outcome, Executed) for outcome in outcomes) == 1


async def never(_: Started) -> Response:
    raise AssertionError("must not be executed")


async def test_a_finding_that_is_none_takes_nothing_over(hx: Any, clock: FixedClock) -> None:
    await begun(hx)
    clock.advance(LEASE)

    async def ask(_: Orphaned) -> Any:
        return None

    with pytest.raises(Misuse, match="reconcile"):
        await hx.idempotency.run("k1", PAY, never, body=BODY, reconcile=ask)
    assert await begin(hx) == Orphaned(1, "none")


@pytest.mark.parametrize("orphans", ["refuse", "reconcile"])
async def test_what_nobody_knows_is_not_executed(hx: Any, clock: FixedClock, orphans: Any) -> None:
    await begun(hx)
    clock.advance(LEASE)

    async def ask(_: Orphaned) -> Finding:
        assert orphans == "reconcile"
        return Finding.UNKNOWN

    options = IdempotencyOptions(orphans=orphans)
    for reconcile in (ask, None):
        outcome = await hx.idempotency.run("k1", PAY, never, body=BODY, reconcile=reconcile, options=options)
        assert outcome == Orphaned(1, "none")


async def test_an_exception_is_passed_on_and_leaves_the_claim_to_lapse(hx: Any, clock: FixedClock) -> None:
    async def fail(_: Started) -> Response:
        raise LookupError("the provider answered nonsense")

    with pytest.raises(LookupError):
        await hx.idempotency.run("k1", PAY, fail, body=BODY)
    assert isinstance(await begin(hx), InFlight)
    clock.advance(LEASE)
    assert await begin(hx) == Orphaned(1, "none")


@pytest.mark.parametrize("status", [200, 202, 302, 400, 402, 404, 409, 500, 502])
async def test_these_answers_are_kept(hx: Any, status: int) -> None:
    await answer(hx, status)
    assert (await begin(hx)).response.status == status


@pytest.mark.parametrize("status", [401, 403, 422, 429])
async def test_these_answers_give_the_key_back(hx: Any, status: int) -> None:
    await answer(hx, status)
    assert (await begun(hx)).fence == 1


async def test_a_refusal_past_a_recovery_point_is_an_answer(hx: Any) -> None:
    async def decline(started: Started) -> Response:
        await hx.idempotency.renew(started, point="charging")
        return Response(422, b"declined")

    assert isinstance(await hx.idempotency.run("k1", PAY, decline, body=BODY), Executed)
    assert (await begin(hx)).response.body == b"declined"


async def test_an_answer_that_says_nothing_leaves_the_claim_to_lapse(hx: Any, clock: FixedClock) -> None:
    await answer(hx, 503)
    assert isinstance(await begin(hx), InFlight)
    clock.advance(LEASE)
    assert await begin(hx) == Orphaned(1, "none")


async def answer(hx: Any, status: int) -> None:
    async def respond(_: Started) -> Response:
        return Response(status)

    assert isinstance(await hx.idempotency.run("k1", PAY, respond, body=BODY), Executed)


async def test_a_lease_is_renewed_while_the_block_runs(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    started = await begun(hx, options=IdempotencyOptions(lease=timedelta(seconds=1)))
    clock.advance(timedelta(milliseconds=900))
    before = int(raw.hget(started.record, "lease"))
    async with hx.idempotency.hold(started) as lease:
        async with asyncio.timeout(60):
            while int(raw.hget(started.record, "lease")) == before:
                await asyncio.sleep(0.01)
        assert not lease.lost
        raw.hset(started.record, "own", "another")
        async with asyncio.timeout(60):
            while not lease.lost:
                await asyncio.sleep(0.01)


async def test_an_execution_that_lost_its_claim_says_so(
    hx: Any, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def pay(started: Started) -> Response:
        raw.hset(started.record, "own", "another")
        return CREATED

    outcome = await hx.idempotency.run("k1", PAY, pay, body=BODY)
    assert isinstance(outcome, Executed) and not outcome.recorded
    assert "may have run twice" in caplog.text


async def test_an_answer_that_cannot_be_kept_is_still_the_callers(
    url: str, faulty: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async def pay(_: Started) -> Response:
        faulty.refuse = True
        faulty.cut()
        return CREATED

    async with HustleX(faulty.url, secret=SECRET) as hx:
        outcome = await hx.idempotency.run("k1", PAY, pay, body=BODY)
    assert isinstance(outcome, Executed) and not outcome.recorded
    assert outcome.response.body == CREATED.body
    assert "could not be settled" in caplog.text


# -- what is stored


async def test_the_record_is_where_the_contract_says(hx: Any, raw: redis.Redis) -> None:
    await begun(hx, key="order-1234")
    digest = hashlib.sha256(b"order-1234").hexdigest()[:32]
    assert raw.keys() == [f"idem:{{u1}}:POST%20/transfers/%7Bid%7D:{digest}".encode()]
    assert raw.hgetall(raw.keys()[0]).keys() == {b"st", b"fp", b"own", b"lease", b"fence", b"point", b"cre", b"len"}


async def test_nothing_stored_reveals_the_request_or_the_answer(hx: Any, raw: redis.Redis, tmp_path: Path) -> None:
    secret = b"4111-pin-0042"
    scope = Scope("+2348012345678", "POST", "/pay")
    started = await begun(hx, key="key-of-the-client", scope=scope, body=b'{"pin": "0042"}')
    await hx.idempotency.complete(started, Response(200, secret, (("location", "/receipts/77190"),)))
    stored = b"".join(raw.dump(key) + key for key in raw.scan_iter())
    for text in (secret, b"77190", b"0042", b"2348012345678", b"key-of-the-client"):
        assert text not in stored
    content = b'{"pin":"0042"}'
    guessable = [content, b"POST/pay+2348012345678" + content, b"POST\0/pay\0+2348012345678\0" + content]
    assert not {hashlib.sha256(guess).hexdigest().encode() for guess in guessable} & set(
        raw.hgetall(raw.keys()[0]).values()
    )


async def test_an_answer_opens_only_where_it_was_sealed(hx: Any, raw: redis.Redis) -> None:
    started = await begun(hx)
    await hx.idempotency.complete(started, CREATED)
    other = await begun(hx, key="k2")
    await hx.idempotency.complete(other, Response(201, b"other"))
    for field, value in (("body", raw.hget(other.record, "body")), ("code", b"200"), ("body", b"nonsense")):
        kept = raw.hget(started.record, field)
        raw.hset(started.record, field, value)
        with pytest.raises(BadReply):
            await begin(hx)
        raw.hset(started.record, field, kept)
    assert isinstance(await begin(hx), Replay)


async def test_a_large_answer_leaves_only_its_status(hx: Any, raw: redis.Redis) -> None:
    started = await begun(hx)
    await hx.idempotency.complete(started, Response(200, b"x" * 65_537, (("content-type", "text/plain"),)))
    replay = await begin(hx)
    assert (replay.response.status, replay.response.body, replay.response.whole) == (200, b"", False)
    assert raw.memory_usage(started.record) < 1_000
    largest = await begun(hx, key="k2")
    await hx.idempotency.complete(largest, Response(200, b"x" * 65_536))
    assert len((await begin(hx, key="k2")).response.body) == 65_536


async def test_every_record_ends(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    day = 86_400_000
    started = await begun(hx)

    def bounded() -> bool:
        return day - 5_000 < raw.pttl(started.record) <= day

    assert bounded()
    for step in (
        lambda: hx.idempotency.renew(started, point="p"),
        lambda: hx.idempotency.complete(started, CREATED),
    ):
        raw.pexpire(started.record, 1_000)
        await step()
        assert bounded()
    raw.pexpire(started.record, 50_000)
    await begin(hx)
    assert raw.pttl(started.record) <= 50_000, "asking does not extend it"
    lapsed = await begun(hx, key="k2")
    clock.advance(LEASE)
    raw.pexpire(lapsed.record, 1_000)
    taken = await begun(hx, key="k2", options=IdempotencyOptions(ttl=timedelta(minutes=1), orphans="takeover"))
    assert 55_000 < raw.pttl(taken.record) <= 60_000


async def test_nothing_shows_in_a_repr_or_a_log(hx: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []

    async def pay(started: Started) -> Response:
        shown.append(repr(started))
        return Response(200, b"secret-body", (("location", "secret-place"),))

    shown += [repr(await hx.idempotency.run("secret-key", PAY, pay, body=b'{"a":"secret-value"}')) for _ in range(2)]
    shown += [repr(hx.idempotency), repr(PAYSTACK), caplog.text]
    assert not [text for text in shown if "secret" in text or "sk_test" in text]


# -- events of providers


async def test_begin_event_lets_an_event_be_handled_once(hx: Any, raw: redis.Redis) -> None:
    started = await hx.idempotency.begin_event(PAYSTACK, "evt_1")
    assert isinstance(started, Started)
    assert raw.keys() == [b"webhook:{paystack}:evt_1"]
    assert 604_700_000 < raw.pttl("webhook:{paystack}:evt_1") <= 604_800_000
    assert isinstance(await hx.idempotency.begin_event(PAYSTACK, "evt_1"), InFlight)
    assert await hx.idempotency.complete(started)
    assert await hx.idempotency.begin_event(PAYSTACK, "evt_1") == Seen()
    assert isinstance(await hx.idempotency.begin_event(PAYSTACK, "evt_2"), Started)
    assert await hx.idempotency.begin_event(PAYSTACK, "") == InvalidKey()


async def test_begin_event_takes_over_from_a_handler_that_died(hx: Any, clock: FixedClock) -> None:
    late = await hx.idempotency.begin_event(PAYSTACK, "evt_1")
    clock.advance(timedelta(seconds=60))
    taker = await hx.idempotency.begin_event(PAYSTACK, "evt_1")
    assert (taker.fence, await hx.idempotency.complete(late), await hx.idempotency.complete(taker)) == (2, False, True)


async def test_settle_event_ends_it_or_lets_the_provider_send_it_again(hx: Any, clock: FixedClock) -> None:
    failed = await hx.idempotency.begin_event(PAYSTACK, "evt_1")
    assert await hx.idempotency.settle_event(failed, handled=False)
    again = await hx.idempotency.begin_event(PAYSTACK, "evt_1")
    assert isinstance(again, Started)
    assert await hx.idempotency.settle_event(again, handled=True)
    assert await hx.idempotency.begin_event(PAYSTACK, "evt_1") == Seen()
    lost = await hx.idempotency.begin_event(PAYSTACK, "evt_2")
    clock.advance(timedelta(seconds=60))
    await hx.idempotency.begin_event(PAYSTACK, "evt_2")
    assert not await hx.idempotency.settle_event(lost, handled=True)


# -- a server in trouble


async def test_without_a_server_nothing_is_executed(faulty: Proxy) -> None:
    faulty.refuse = True
    async with HustleX(faulty.url, secret=SECRET) as hx:
        with pytest.raises(Unavailable):
            await hx.idempotency.run("k1", PAY, never, body=BODY)
    with BlockingHustleX(faulty.url, secret=SECRET) as blocking, pytest.raises(Unavailable):
        blocking.idempotency.begin("k1", PAY, body=BODY)


async def test_a_claim_whose_answer_came_too_late_is_taken_back(faulty: Proxy, raw: redis.Redis) -> None:
    async with HustleX(faulty.url, secret=SECRET) as hx:
        await hx.idempotency.abandon(await begun(hx))
        faulty.delay_seconds = 1.5
        with pytest.raises(Unavailable):
            await begin(hx)
        async with asyncio.timeout(60):
            while raw.dbsize():
                await asyncio.sleep(0.01)
        faulty.delay_seconds = 0
        assert (await begun(hx)).fence == 1


async def test_a_claim_whose_caller_is_cancelled_is_taken_back(url: str, raw: redis.Redis) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET) as hx:
        for turns in range(60):
            claiming = asyncio.ensure_future(begin(hx, key=f"k{turns}"))
            for _ in range(turns % 6):
                await asyncio.sleep(0)
            claiming.cancel()
            (outcome,) = await asyncio.gather(claiming, return_exceptions=True)
            if isinstance(outcome, Started):
                assert await hx.idempotency.abandon(outcome)
    assert raw.dbsize() == 0


@pytest.mark.parametrize("verb", ["begin", "renew", "complete", "abandon"])
async def test_a_lost_reply_changes_nothing(faulty: Proxy, verb: str) -> None:
    """Every script may be repeated: the second run finds what the first one did."""
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET) as hx:
        warm = await begun(hx, key="warm")
        await hx.idempotency.renew(warm)
        await hx.idempotency.abandon(warm)
        warm = await begun(hx, key="warm2")
        await hx.idempotency.complete(warm, CREATED)
        if verb == "begin":
            faulty.lose_reply(containing=b"EVALSHA")
            assert (await begun(hx)).fence == 1
            return
        started = await begun(hx)
        faulty.lose_reply(containing=b"EVALSHA")
        calls = {
            "renew": lambda: hx.idempotency.renew(started, point="p"),
            "complete": lambda: hx.idempotency.complete(started, CREATED),
            "abandon": lambda: hx.idempotency.abandon(started),
        }
        assert await calls[verb]() is True


async def test_scripts_may_be_flushed_between_any_two_steps(hx: Any, raw: redis.Redis) -> None:
    started = await begun(hx)
    for step in (
        lambda: hx.idempotency.renew(started),
        lambda: hx.idempotency.complete(started, CREATED),
        lambda: begin(hx),
        lambda: hx.idempotency.abandon(started),
    ):
        raw.script_flush()
        await step()
    assert isinstance(await begin(hx), Replay)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "data", append_only=True, appendfsync="always") as server:
        yield server


async def test_a_restart_between_claim_and_answer_loses_neither(own_server: EmbeddedServer) -> None:
    async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET) as hx:
        started = await begun(hx)
        own_server.restart()
        assert isinstance(await begin(hx), InFlight)
        assert await hx.idempotency.complete(started, CREATED)
        own_server.restart()
        assert isinstance(await begin(hx), Replay)


async def test_on_a_full_server_nothing_begins_but_all_that_began_ends(own_server: EmbeddedServer) -> None:
    with redis.Redis.from_url(own_server.url) as raw:
        async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET) as hx:
            running, done, idle = [await begun(hx, key=key) for key in ("k1", "k2", "k3")]
            await hx.idempotency.complete(done, CREATED)
            raw.config_set("maxmemory", "1")
            with pytest.raises(Full):
                await begin(hx, key="k4")
            assert isinstance(await begin(hx, key="k2"), Replay)
            assert await hx.idempotency.renew(running, point="charging")
            assert await hx.idempotency.complete(running, CREATED)
            assert await hx.idempotency.abandon(idle)
            assert isinstance(await begin(hx, key="k1"), Replay)


# -- replicas


@pytest.mark.one_server
async def test_a_claim_can_wait_for_replicas(hx: Any) -> None:
    options = IdempotencyOptions(durability="replica", replica_wait=timedelta(milliseconds=20))
    started = await begun(hx, options=options)
    assert started.durable is False, "there is none; the claim stands"
    assert isinstance(await begin(hx), InFlight)


async def test_a_claim_that_a_replica_has_says_so(own_server: EmbeddedServer, tmp_path: Path) -> None:
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("repl-diskless-sync-delay", 0)
    with EmbeddedServer(tmp_path / "replica") as replica, redis.Redis.from_url(replica.url) as client:
        primary = urlsplit(own_server.url)
        client.config_set("masterauth", primary.password)
        client.replicaof(primary.hostname, primary.port)
        async with asyncio.timeout(60):
            while client.info("replication").get("master_link_status") != "up":
                await asyncio.sleep(0.02)
        options = IdempotencyOptions(durability="replica", replica_wait=timedelta(seconds=1))
        async with HustleX(own_server.url, timeout=PATIENCE, secret=SECRET) as hx:
            # A busy machine's replica may not answer in the second that a claim waits at most.
            claims = [await begun(hx, key=f"a{n}", options=options) for n in range(20)]
            assert any(started.durable for started in claims)
        with BlockingHustleX(own_server.url, timeout=PATIENCE, secret=SECRET) as hx:
            claims = (hx.idempotency.begin(f"b{n}", PAY, options=options) for n in range(60))
            assert any(isinstance(started, Started) and started.durable for started in claims)


def test_options_are_checked() -> None:
    for wrong in (
        {"orphans": "ignore"},
        {"lease": timedelta(0)},
        {"ttl": timedelta(seconds=5)},
        {"lease": timedelta(hours=1), "ttl": timedelta(hours=1)},
        {"max_answer": -1},
        {"replicas": 9},
        {"headers": frozenset({"Location"})},
    ):
        with pytest.raises(ConfigurationError):
            IdempotencyOptions(**wrong)  # type: ignore[arg-type]
