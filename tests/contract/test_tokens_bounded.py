"""Bounded checks: what another process revoked is seen in time, whatever happens to the feed; proofs, not hopes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import RevocationIncomplete, Unavailable
from hustlex.tokens import (
    Access,
    Alarm,
    CheckResult,
    Forbidden,
    LoggedOut,
    NotOurs,
    Refreshed,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    RevokedSession,
    TokenOptions,
    TokenPair,
)
from tests.conftest import SECRET
from tests.support import servers
from tests.support.blocking import Blocking
from tests.support.calls import Calls
from tests.support.proxy import Proxy
from tests.worker.nasty import Exits, Mute, Wordless

MINUTE = timedelta(minutes=1)
SOON = TokenOptions(staleness=timedelta(seconds=1))
"""For tests that wait until a proof is too old; elsewhere a busy machine may keep a process from reading on."""

FEED = "jwt:revocations"

Open = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["aio", "blocking"])
async def process(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Open]:
    """``await process(url)``: a front of its own, as another process would have, async or blocking."""
    async with AsyncExitStack() as stack:

        async def begin(at: str = url, **options: Any) -> Any:
            given: dict[str, Any] = {"secret": SECRET} | options
            if request.param == "aio":
                from hustlex.app import HustleX

                return await stack.enter_async_context(HustleX(at, **given))
            from hustlex.sync import HustleX as BlockingHustleX

            front = BlockingHustleX(at, **given)
            stack.push_async_callback(asyncio.to_thread, front.close)
            return Blocking(front)

        yield begin


async def login(hx: Any, user: str = "u1", **options: Any) -> TokenPair:
    pair = await hx.tokens.login(user, **options)
    assert isinstance(pair, TokenPair)
    return pair


async def until(question: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + seconds
    while not await question():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


async def refused(hx: Any, access: str) -> bool:
    return isinstance(await hx.tokens.check(access), Rejected)


def by_view(answer: CheckResult) -> bool:
    return isinstance(answer, Access) and answer.mode == "bounded"


# -- the common way


async def test_a_bounded_check_asks_nobody_once_it_knows_all(process: Open) -> None:
    calls = Calls()
    hx = await process(hook=calls)
    pair = await login(hx)
    assert await hx.tokens.start()
    assert hx.tokens.stats().warm
    calls.clear()
    for _ in range(100):
        assert by_view(await hx.tokens.check(pair.access))
    assert "tokens.check" not in calls.sent
    assert calls.remembered == ["tokens.check"] * 100
    assert hx.tokens.stats().lag_s < 2


@pytest.mark.parametrize("logged_in", ["before", "while it was ahead"])
async def test_all_ends_for_bounded_checks_although_the_clock_was_set_back(
    process: Open, clock: FixedClock, logged_in: str
) -> None:
    hx, other = await process(clock=clock), await process(clock=clock)
    before = await login(hx)
    clock.advance(10 * MINUTE)
    ahead = await login(hx)
    if logged_in == "before":
        refreshed = await hx.tokens.refresh(before.refresh)
        assert isinstance(refreshed, Refreshed)
        ahead = refreshed.pair
    for front in (hx, other):
        assert await front.tokens.start()
    clock.advance(-6 * MINUTE)
    assert not await refused(hx, ahead.access)
    read = other.tokens.stats().read
    await hx.tokens.revoke_all("u1")
    assert [await refused(front, ahead.access) for front in (hx, other)] == [True, True]

    async def told() -> bool:  # till then it asks the server, as long as the token is of a time to come
        return bool(other.tokens.stats().read > read)

    await until(told)
    assert not await refused(hx, (await login(hx)).access)
    if logged_in == "before":
        clock.advance(7 * MINUTE)  # it has caught up
        assert [await refused(front, ahead.access) for front in (hx, other)] == [True, True]


async def test_until_it_knows_all_a_bounded_check_is_strict(process: Open) -> None:
    hx = await process()
    pair = await login(hx)
    first = await hx.tokens.check(pair.access)
    assert isinstance(first, Access) and first.mode == "strict"
    assert isinstance(first, Access)

    async def bounded() -> bool:
        return by_view(await hx.tokens.check(pair.access))

    await until(bounded)


async def test_what_another_process_revokes_is_seen_in_time(process: Open) -> None:
    here, there = await process(), await process()
    assert await here.tokens.start()
    logged_out, ended, kept, swept, forbidden = [await login(there, "u1") for _ in range(5)]
    foreign = await login(there, "u2")
    for pair in (logged_out, ended, kept, swept, forbidden, foreign):
        assert by_view(await here.tokens.check(pair.access))

    assert await there.tokens.logout(logged_out.access) == LoggedOut(logged_out.session_id, True)
    assert await there.tokens.revoke_session("u1", ended.session_id) == RevokedSession(True)
    assert isinstance(await there.tokens.revoke_token(forbidden.access), Forbidden)
    for pair, reason in (
        (logged_out, Rejection.SESSION_REVOKED),
        (ended, Rejection.SESSION_REVOKED),
        (forbidden, Rejection.REVOKED_TOKEN),
    ):
        await until(lambda access=pair.access: refused(here, access))
        assert await here.tokens.check(pair.access) == Rejected(reason)
    renewed = await there.tokens.refresh(forbidden.refresh)
    assert isinstance(renewed, Refreshed) and by_view(await here.tokens.check(renewed.pair.access))

    assert await there.tokens.revoke_all("u1", except_session=kept.session_id) == RevokedAll(2, True)
    await until(lambda: refused(here, swept.access))
    assert await here.tokens.check(swept.access) == Rejected(Rejection.REVOKED_ALL)
    assert by_view(await here.tokens.check(kept.access)) and by_view(await here.tokens.check(foreign.access))
    after = await login(there, "u1")
    assert by_view(await here.tokens.check(after.access))


async def test_a_stolen_refresh_token_and_a_full_house_are_told_too(process: Open) -> None:
    clock = FixedClock()
    options = TokenOptions(sessions_per_user=1)
    here, there = [await process(tokens=options, clock=clock) for _ in range(2)]
    assert await here.tokens.start()
    first = await login(there)
    clock.advance(timedelta(milliseconds=1))
    second = await login(there)
    await until(lambda: refused(here, first.access))
    renewed = await there.tokens.refresh(second.refresh)
    assert isinstance(renewed, Refreshed) and by_view(await here.tokens.check(renewed.pair.access))
    clock.advance(MINUTE)
    assert await there.tokens.refresh(second.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    await until(lambda: refused(here, renewed.pair.access))


async def test_an_alarm_tells_who_and_where(process: Open) -> None:
    clock, heard = FixedClock(), []
    options = TokenOptions(on_alarm=heard.append)
    hx = await process(tokens=options, clock=clock)
    pair = await login(hx, "ada@example.com", device="Ada's phone", ip="102.89.23.77")
    current = pair
    for _ in range(3):
        renewed = await hx.tokens.refresh(current.refresh, ip="102.89.40.1")
        assert isinstance(renewed, Refreshed)
        current = renewed.pair
        clock.advance(MINUTE)
    assert heard == []
    await hx.tokens.refresh(pair.refresh, ip="203.0.113.9")
    assert heard == [
        Alarm(
            Refusal.REUSE_DETECTED, "ada@example.com", pair.session_id, "Ada's phone", "102.89.40.0/24",
            "203.0.113.0/24", 3,
        )
    ]  # fmt: skip
    await hx.tokens.refresh(pair.refresh)
    assert len(heard) == 1
    other = await login(hx)
    await hx.tokens.refresh(other.refresh, client_id="web")
    assert (heard[1].reason, heard[1].generations) == (Refusal.CLIENT_MISMATCH, 0)


async def test_a_spent_token_from_elsewhere_within_the_grace_is_told(process: Open) -> None:
    clock, heard = FixedClock(), []
    hx = await process(tokens=TokenOptions(on_alarm=heard.append), clock=clock)
    pair = await login(hx, device="Ada's phone", ip="102.89.23.77")
    renewed = await hx.tokens.refresh(pair.refresh, ip="102.89.23.9", device="Ada's phone")
    assert isinstance(renewed, Refreshed)
    for same in ({}, {"ip": "102.89.23.200"}, {"device": "Ada's phone"}):
        assert isinstance(await hx.tokens.refresh(pair.refresh, **same), Refreshed)
    assert heard == []
    for _ in range(3):
        again = await hx.tokens.refresh(pair.refresh, ip="203.0.113.9", device="curl")
        assert isinstance(again, Refreshed) and again.pair.refresh == renewed.pair.refresh
    known, seen = ("Ada's phone", "102.89.23.0/24"), "203.0.113.0/24"
    assert heard == [Alarm(Refusal.SPENT_ELSEWHERE, "u1", pair.session_id, *known, seen, 1, False, "curl")]
    clock.advance(MINUTE)
    assert isinstance(await hx.tokens.refresh(renewed.pair.refresh, ip="203.0.113.9"), Refreshed)
    assert isinstance(await hx.tokens.refresh(renewed.pair.refresh, device="a tablet"), Refreshed)
    assert [alarm.seen_device for alarm in heard] == ["curl", "a tablet"]


@pytest.mark.parametrize("error", [RuntimeError("the pager is out"), Mute(), Exits(), Wordless()])
async def test_an_alarm_that_fails_hides_nothing(
    process: Open, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def broken(_: Alarm) -> None:
        raise error

    hx = await process(tokens=TokenOptions(on_alarm=broken))
    pair = await login(hx)
    assert await hx.tokens.refresh(pair.refresh, client_id="web") == RefreshRefused(Refusal.CLIENT_MISMATCH)
    assert "alarm" in caplog.text and pair.refresh.split(".")[5] not in caplog.text


async def test_on_reuse_the_whole_user_may_be_ended(process: Open) -> None:
    clock = FixedClock()
    hx = await process(tokens=TokenOptions(on_reuse="user"), clock=clock)
    stolen, other = await login(hx), await login(hx)
    assert isinstance(await hx.tokens.refresh(stolen.refresh), Refreshed)
    clock.advance(MINUTE)
    assert await hx.tokens.refresh(stolen.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    assert await hx.tokens.check(other.access, mode="strict") == Rejected(Rejection.REVOKED_ALL)


async def test_its_own_revocations_a_process_knows_at_once(process: Open) -> None:
    hx = await process()
    assert await hx.tokens.start()
    for _ in range(20):
        pair = await login(hx)
        assert by_view(await hx.tokens.check(pair.access))
        await hx.tokens.logout(pair.access)
        assert await refused(hx, pair.access)


async def test_what_the_feed_says_that_we_cannot_read_proves_nothing(process: Open, raw: redis.Redis) -> None:
    raw.xadd(FEED, {"kind": "sid"})
    raw.pexpire(FEED, 60_000)
    hx = await process()
    assert not await hx.tokens.start(timeout=timedelta(seconds=0.3))
    seen = await hx.tokens.check((await login(hx)).access)
    assert isinstance(seen, Access) and seen.mode == "strict"


async def test_a_closed_front_follows_nothing(process: Open, raw: redis.Redis) -> None:
    hx = await process(tokens=SOON)
    pair = await login(hx)
    assert await hx.tokens.start()
    await hx.tokens.close()
    await hx.tokens.close()

    async def nobody_waits() -> bool:
        return not [client for client in raw.client_list() if "b" in client["flags"]]

    await until(nobody_waits)
    assert by_view(await hx.tokens.check(pair.access))  # for as long as the last proof holds

    async def strict() -> bool:
        return not by_view(await hx.tokens.check(pair.access))

    await until(strict)
    assert await nobody_waits()


async def test_expiry_is_judged_by_the_servers_clock(process: Open, raw: redis.Redis) -> None:
    hx = await process()
    assert await hx.tokens.start()
    apart = []
    for _ in range(5):
        seconds, micros = raw.time()
        apart.append(abs(hx.tokens.now().timestamp() - (seconds + micros / 1e6)))
    assert min(apart) < 0.5


# -- when the feed fails


@pytest.mark.parametrize("calm", [True, False], ids=["calm", "cut"])
async def test_nothing_is_ever_accepted_later_than_the_bound(process: Open, raw: redis.Redis, calm: bool) -> None:
    """Many callers check without pause while another process revokes, and while every link is cut now and then.

    A call that was begun at a moment and accepted proves that the revocation came less than the bound before it.
    """
    here, there = await process(tokens=SOON), await process()
    pairs = [await login(there, f"u{number}") for number in range(24)]
    assert await here.tokens.start()
    accepted = dict.fromkeys((pair.session_id for pair in pairs), 0.0)
    revoked = dict.fromkeys(accepted, float("inf"))
    done = asyncio.Event()
    bounded = 0

    async def caller(share: list[TokenPair]) -> None:
        nonlocal bounded
        while not done.is_set():
            for pair in share:
                begun = time.monotonic()
                try:
                    answer = await here.tokens.check(pair.access)
                except Unavailable:
                    continue
                if isinstance(answer, Access):
                    bounded += answer.mode == "bounded"
                    accepted[pair.session_id] = max(accepted[pair.session_id], begun)
            await asyncio.sleep(0.002)

    async def revoker() -> None:
        for number, pair in enumerate(pairs):
            if not calm and number % 4 == 0:
                raw.client_kill_filter(_type="normal", skipme=True)
            revoke = (
                lambda pair=pair: there.tokens.logout(pair.access),
                lambda pair=pair: there.tokens.revoke_token(pair.access),
                lambda pair=pair, number=number: there.tokens.revoke_all(f"u{number}"),
            )[number % 3]
            await revoke()
            revoked[pair.session_id] = time.monotonic()
            await asyncio.sleep(0.03)
        await asyncio.sleep(1.2 * SOON.staleness.total_seconds())  # an acceptance after the bound must have its chance
        done.set()

    await asyncio.gather(revoker(), *[caller(pairs[number::8]) for number in range(8)])
    late = {sid: accepted[sid] - revoked[sid] for sid in accepted}
    assert max(late.values()) < SOON.staleness.total_seconds(), late
    assert bounded > 100
    for pair in pairs:
        await until(lambda access=pair.access: refused(here, access))


@pytest.fixture
def slow_feed(faulty: Proxy) -> Iterator[Proxy]:
    """Asked for before ``process``, so that it goes after what connects to it."""
    yield faulty
    faulty.refuse = faulty.black_hole = False


async def test_a_stopped_feed_makes_checks_strict_and_nothing_is_missed(slow_feed: Proxy, process: Open) -> None:
    """The feed, and all else of one process, stands still while another revokes; then it goes on."""
    here, there = await process(slow_feed.url, tokens=SOON), await process()
    kept, lost = await login(there), await login(there)
    assert await here.tokens.start()
    assert by_view(await here.tokens.check(kept.access)) and by_view(await here.tokens.check(lost.access))

    slow_feed.refuse = True
    slow_feed.cut()
    assert await there.tokens.logout(lost.access) == LoggedOut(lost.session_id, True)
    revoked_at = time.monotonic()
    assert isinstance(await here.tokens.check(kept.access), Access)  # still within the bound

    async def unavailable() -> bool:
        begun = time.monotonic()
        try:
            await here.tokens.check(lost.access)
        except Unavailable:
            return True
        assert begun - revoked_at < SOON.staleness.total_seconds(), "a check relied on what was too old"
        return False

    await until(unavailable)
    slow_feed.refuse = False

    async def again() -> bool:
        try:
            assert await refused(here, lost.access)
            return by_view(await here.tokens.check(kept.access))
        except Unavailable:
            return False

    await until(again)
    assert await here.tokens.check(lost.access) == Rejected(Rejection.SESSION_REVOKED)


async def test_a_black_hole_proves_nothing(slow_feed: Proxy, process: Open) -> None:
    here, there = await process(slow_feed.url, tokens=SOON), await process()
    pair = await login(there)
    assert await here.tokens.start()
    slow_feed.black_hole = True
    await there.tokens.logout(pair.access)

    async def known() -> bool:
        try:
            return await refused(here, pair.access)
        except Unavailable:
            return True

    await until(known)
    with pytest.raises(Unavailable):
        assert not await refused(here, pair.access)


async def test_away_from_the_server_known_revocations_hold_and_the_rest_may_pass(
    slow_feed: Proxy, process: Open
) -> None:
    options = TokenOptions(staleness=SOON.staleness, away="stateless")
    here, there = await process(slow_feed.url, tokens=options), await process()
    good, bad = await login(there), await login(there)
    assert await here.tokens.start()
    await there.tokens.logout(bad.access)
    await until(lambda: refused(here, bad.access))
    slow_feed.refuse = True
    slow_feed.cut()

    async def stateless() -> bool:
        seen = await here.tokens.check(good.access)
        assert isinstance(seen, Access)
        return seen.mode == "stateless"

    await until(stateless)
    assert await refused(here, bad.access)
    with pytest.raises(Unavailable):
        await here.tokens.check(good.access, mode="strict")


async def test_a_restarted_server_is_followed_again(process: Open, request: pytest.FixtureRequest) -> None:
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary, append_only=True, appendfsync="always") as server:
        here, there = await process(server.url), await process(server.url)
        before, after = await login(there), await login(there)
        assert await here.tokens.start()
        await there.tokens.logout(before.access)
        server.kill()
        server.restart()
        assert await there.tokens.logout(after.access) == LoggedOut(after.session_id, True)

        async def both() -> bool:
            try:
                known = await refused(here, before.access) and await refused(here, after.access)
            except Unavailable:
                return False
            return known and here.tokens.stats().entries >= 2  # while it is cold, Redis is asked each time

        await until(both)


async def test_a_forgotten_script_costs_nothing(process: Open, raw: redis.Redis) -> None:
    here, there = await process(), await process()
    assert await here.tokens.start()
    for _ in range(5):
        pair = await login(there)
        raw.script_flush()
        assert await there.tokens.logout(pair.access) == LoggedOut(pair.session_id, True)
        await until(lambda access=pair.access: refused(here, access))


async def test_a_revocation_that_cannot_be_told_says_so_and_stands(process: Open, raw: redis.Redis) -> None:
    hx = await process()
    out, ended, swept, held = [await login(hx) for _ in range(4)]
    raw.set(FEED, "not a stream", px=60_000)
    for call in (
        lambda: hx.tokens.logout(out.access),
        lambda: hx.tokens.revoke_session("u1", ended.session_id),
        lambda: hx.tokens.revoke_token(held.access),
        lambda: hx.tokens.revoke_all("u1"),
    ):
        with pytest.raises(RevocationIncomplete) as caught:
            await call()
        assert caught.value.authoritative and caught.value.maybe_executed
    for pair in (out, ended, swept, held):
        assert isinstance(await hx.tokens.check(pair.access, mode="strict"), Rejected)
    raw.delete(FEED)
    assert await hx.tokens.logout(out.access) == LoggedOut(out.session_id, False)
    assert [fields[b"name"] for _, fields in raw.xrange(FEED)] == [out.session_id.encode()]


async def test_a_login_stands_though_the_evicted_cannot_be_told(process: Open, raw: redis.Redis) -> None:
    hx = await process(tokens=TokenOptions(sessions_per_user=1))
    first = await login(hx)
    raw.set(FEED, "not a stream", px=60_000)
    second = await login(hx)
    assert await hx.tokens.check(first.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "evicted")
    assert isinstance(await hx.tokens.check(second.access, mode="strict"), Access)


async def test_the_feed_stays_short_and_ends_by_itself(process: Open, raw: redis.Redis) -> None:
    for number in range(1, 1001):
        raw.xadd(FEED, {"kind": "sid", "name": "x", "kept": "", "line": 0, "until": 0}, id=f"{number}-1")
    hx = await process()
    pair = await login(hx)
    await hx.tokens.logout(pair.access)
    assert raw.xlen(FEED) <= 200
    assert 0 < raw.pttl(FEED) <= 15 * 60_000 + 30_000 + 60_000


async def test_the_feed_holds_no_token_and_no_user_id(process: Open, raw: redis.Redis) -> None:
    hx = await process()
    pair = await login(hx, "ada@example.com")
    await hx.tokens.logout(pair.access)
    await hx.tokens.revoke_all("ada@example.com")
    told = repr(raw.xrange(FEED))
    assert "example" not in told and pair.access.split(".")[2] not in told and pair.refresh.split(".")[5] not in told


# -- blacklist, as others read it


async def test_a_service_in_another_language_finds_the_blacklist_by_the_jti_alone(
    process: Open, raw: redis.Redis
) -> None:
    hx = await process()
    pair = await login(hx)
    seen = await hx.tokens.check(pair.access, mode="strict")
    assert isinstance(seen, Access)
    forbidden = await hx.tokens.revoke_token(pair.access)
    assert forbidden == Forbidden(pair.session_id, seen.jti)
    key = f"jwt:blacklist:{seen.jti}"
    assert raw.get(key) == b"1"
    rest_ms = seen.expires_at.timestamp() * 1000 + 30_000 - raw.time()[0] * 1000
    assert abs(raw.pttl(key) - rest_ms) < 2_000
    assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.REVOKED_TOKEN)
    assert isinstance(await hx.tokens.refresh(pair.refresh), Refreshed)  # the session goes on


async def test_revoke_token_of_the_clients_own_only(process: Open) -> None:
    hx = await process()
    pair = await login(hx, client_id="web")
    for token in (pair.access, pair.refresh):
        assert await hx.tokens.revoke_token(token, client_id="app") == NotOurs(other_client=True)
    assert await hx.tokens.revoke_token("nonsense", client_id="app") == NotOurs()
    assert isinstance(await hx.tokens.check(pair.access, mode="strict"), Access)
    assert await hx.tokens.revoke_token(pair.refresh, client_id="web") == RevokedSession(True)
    assert await hx.tokens.revoke_token(pair.refresh, client_id="web") == RevokedSession(False)
    assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "revoked")


# -- a replica


async def test_a_revocation_may_wait_for_a_replica(
    process: Open, server: EmbeddedServer, raw: redis.Redis, request: pytest.FixtureRequest
) -> None:
    options = TokenOptions(durability="replica")
    hx = await process(tokens=options)
    pair = await login(hx)
    assert await hx.tokens.logout(pair.access) == LoggedOut(pair.session_id, True, durable=False)
    raw.config_set("repl-diskless-sync-delay", 0)
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary) as second, redis.Redis.from_url(second.url) as replica:
        replica.config_set("masterauth", redis.Redis.from_url(server.url).connection_pool.connection_kwargs["password"])
        replica.replicaof("127.0.0.1", server.port)

        async def replicated(revoke: Callable[[TokenPair], Awaitable[Any]]) -> bool:
            """A busy machine may take more than the 50 ms that are waited."""
            done = await revoke(await login(hx))
            assert isinstance(done.durable, bool)
            return done.durable

        await until(lambda: replicated(lambda pair: hx.tokens.logout(pair.access)))
        await until(lambda: replicated(lambda pair: hx.tokens.revoke_token(pair.access)))
        await until(lambda: replicated(lambda pair: hx.tokens.revoke_session("u1", pair.session_id)))
        await until(lambda: replicated(lambda pair: hx.tokens.revoke_all("u1")))
        assert replica.exists("jwt:revoked_before:{u1}")
    assert (await hx.tokens.revoke_all("u1")).durable is False
