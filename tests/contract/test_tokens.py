"""Tokens on a real server: sessions, rotation, revocation, races, and what may never be found in Redis."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.keyring import Keyring
from hustlex.core.op import Effect
from hustlex.core.time import FixedClock
from hustlex.errors import Full, Misuse
from hustlex.tokens import (
    Access,
    How,
    KeySet,
    LoggedOut,
    LogoutRefused,
    Refreshed,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    RevokedSession,
    TokenOptions,
    TokenPair,
    Tokens,
    TooManySessions,
    ops,
)
from hustlex.tokens.issuer import TokenIssuer
from hustlex.tokens.options import policy_of
from hustlex.tokens.refresh_token import Chain, RefreshToken
from tests.conftest import SECRET

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
ACCESS, LEEWAY, GRACE, IDLE, ABSOLUTE = 15 * MINUTE, 30 * SECOND, 10 * SECOND, 3 * DAY, 7 * DAY
KEEP = ACCESS + LEEWAY
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def rooms() -> dict[str, Any]:
    """Lives to the millisecond; the jitter has tests of its own."""
    return {"tokens": TokenOptions(jitter=0)}


@pytest.fixture(autouse=True)
def every_key_has_an_end(raw: redis.Redis) -> Iterator[None]:
    """After each test, whatever it did: no key without a lifetime, and none beyond the longest."""
    yield
    longest = (ABSOLUTE + KEEP + SECOND) / MS
    for key in keys(raw):
        assert 0 < raw.pttl(key) <= longest, key


async def login(hx: Any, user: str = "u1", **options: Any) -> TokenPair:
    pair = await hx.tokens.login(user, **options)
    assert isinstance(pair, TokenPair)
    return pair


async def refreshed(hx: Any, token: str, how: How = How.ROTATED) -> TokenPair:
    seen = await hx.tokens.refresh(token)
    assert isinstance(seen, Refreshed), seen
    assert seen.how is how
    return seen.pair


async def good(hx: Any, access: str) -> bool:
    return isinstance(await hx.tokens.check(access, mode="strict"), Access)


def claims(access: str) -> dict[str, Any]:
    body = access.split(".")[1]
    seen: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return seen


def keys(raw: redis.Redis) -> list[bytes]:
    """All key names."""
    return list(raw.scan_iter())


def state(raw: redis.Redis) -> dict[bytes, Any]:
    """Everything in the server, to see that nothing changed."""
    return {key: raw.dump(key) for key in sorted(keys(raw))}


# -- login and check


async def test_login_opens_a_session_that_both_checks_accept(hx: Any, raw: redis.Redis) -> None:
    pair = await login(hx, "u1", client_id="android", device="Pixel 9", amr=("sms", "pin"))
    for mode in ("strict", "stateless"):
        seen = await hx.tokens.check(pair.access, mode=mode)
        assert isinstance(seen, Access)
        assert (seen.user_id, seen.session_id, seen.client_id, seen.amr) == (
            "u1",
            pair.session_id,
            "android",
            ("sms", "pin"),
        )
    assert pair.expires_in == ACCESS
    record = raw.hgetall(f"session:{{u1}}:{pair.session_id}")
    assert {name: record[name] for name in (b"st", b"uid", b"cid", b"dn", b"gen", b"kv", b"amr")} == {
        b"st": b"a", b"uid": b"u1", b"cid": b"android", b"dn": b"Pixel 9", b"gen": b"1",
        b"kv": Keyring(SECRET).kid.encode(),
        b"amr": b"sms pin",
    }  # fmt: skip
    assert raw.zrange("sessions:{u1}", 0, -1) == [pair.session_id.encode()]
    assert 0 <= (IDLE + KEEP) / MS - raw.pttl(f"session:{{u1}}:{pair.session_id}") < 5000


async def test_the_record_stays_a_listpack(hx: Any, raw: redis.Redis) -> None:
    pair = await login(hx, "u" * 40, device="\U0001f4f1" * 16, amr=("sms", "pin"))
    await refreshed(hx, pair.refresh)
    assert raw.object("encoding", f"session:{{{'u' * 40}}}:{pair.session_id}") == b"listpack"


async def test_each_login_is_a_session_of_its_own(hx: Any) -> None:
    pairs = [await login(hx) for _ in range(3)]
    assert len({pair.session_id for pair in pairs}) == len({claims(pair.access)["jti"] for pair in pairs}) == 3


async def test_an_access_token_ends_and_leeway_is_granted(hx: Any, clock: FixedClock) -> None:
    pair = await login(hx)
    clock.advance(ACCESS + LEEWAY - MS)
    for mode in ("strict", "stateless"):
        assert isinstance(await hx.tokens.check(pair.access, mode=mode), Access)
    clock.advance(MS)
    for mode in ("strict", "stateless"):
        assert await hx.tokens.check(pair.access, mode=mode) == Rejected(Rejection.EXPIRED)


async def test_a_token_from_a_clock_ahead_of_ours_is_good(hx: Any, clock: FixedClock) -> None:
    clock.advance(29 * SECOND)
    pair = await login(hx)
    clock.advance(-29 * SECOND)
    for mode in ("strict", "stateless"):
        assert isinstance(await hx.tokens.check(pair.access, mode=mode), Access)
    clock.advance(-2 * DAY)  # a server's clock that was set back
    for mode in ("strict", "stateless"):
        assert isinstance(await hx.tokens.check(pair.access, mode=mode), Access)


async def test_a_session_ends_when_it_is_not_used(hx: Any, clock: FixedClock) -> None:
    pair = await login(hx)
    clock.advance(IDLE - ACCESS)
    pair = await refreshed(hx, pair.refresh)
    clock.advance(IDLE - ACCESS)
    pair = await refreshed(hx, pair.refresh)  # refreshing is use
    clock.advance(ABSOLUTE - 2 * (IDLE - ACCESS) - MS)
    pair = await refreshed(hx, pair.refresh)
    assert pair.expires_in <= SECOND  # the access token does not outlive the session
    clock.advance(MS)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.EXPIRED_ABSOLUTE)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.EXPIRED_ABSOLUTE)


async def test_an_idle_session_is_refused_and_stays_refused(hx: Any, clock: FixedClock) -> None:
    pair = await login(hx)
    clock.advance(IDLE)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.EXPIRED_IDLE)
    clock.advance(-DAY)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.EXPIRED_IDLE)


async def test_strict_checks_see_the_idle_and_the_absolute_end(driver: Any, clock: FixedClock) -> None:
    tokens = Tokens(
        driver,
        Keyring(SECRET),
        clock=clock,
        options=TokenOptions(idle=5 * MINUTE, refresh_ttl=30 * MINUTE, access_ttl=30 * MINUTE, jitter=0),
    )
    pair = await tokens.login("u1")
    assert isinstance(pair, TokenPair)
    for _ in range(7):
        clock.advance(4 * MINUTE)
        assert isinstance(await tokens.check(pair.access, mode="strict"), Access)  # each check is use
    clock.advance(2 * MINUTE)
    assert await tokens.check(pair.access, mode="strict") == Rejected(Rejection.EXPIRED_ABSOLUTE)
    idle = await tokens.login("u1")
    assert isinstance(idle, TokenPair)
    clock.advance(5 * MINUTE)
    assert await tokens.check(idle.access, mode="strict") == Rejected(Rejection.EXPIRED_IDLE)


async def test_a_check_notes_activity_at_most_once_a_minute(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    pair = await login(hx)
    began = clock.now_ms
    key = f"session:{{u1}}:{pair.session_id}"
    clock.advance(MINUTE - MS)
    assert await good(hx, pair.access)
    assert int(raw.hget(key, "last") or 0) == began
    clock.advance(MS)
    raw.pexpire(key, 5000)
    assert await good(hx, pair.access)
    assert int(raw.hget(key, "last") or 0) == clock.now_ms
    assert raw.pttl(key) > 5000


async def test_an_expired_token_does_not_keep_a_session_alive(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    pair = await login(hx)
    clock.advance(ACCESS + LEEWAY)
    before = state(raw)
    await hx.tokens.check(pair.access, mode="strict")
    assert state(raw) == before


async def test_a_lost_session_record_logs_out_and_never_in(hx: Any, raw: redis.Redis) -> None:
    pair = await login(hx)
    raw.flushall()
    assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.SESSION_GONE)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.UNKNOWN)
    assert await hx.tokens.logout(pair.access) == LoggedOut(pair.session_id, False)
    assert await hx.tokens.sessions("u1") == []


@pytest.mark.parametrize("user", ["a@b.example", "{u1}", "u1}:x", "\u00fcn\u00efcode \U0001f600", "x" * 255, "*"])
async def test_any_text_may_be_a_user_id_and_stays_out_of_key_names(hx: Any, raw: redis.Redis, user: str) -> None:
    pair = await login(hx, user)
    seen = await hx.tokens.check((await refreshed(hx, pair.refresh)).access)
    assert isinstance(seen, Access) and seen.user_id == user
    assert user == "*" or not any(user.encode() in key for key in keys(raw))
    assert [info.session_id for info in await hx.tokens.sessions(user)] == [pair.session_id]


async def test_nonsense_is_rejected_as_a_value(hx: Any, raw: redis.Redis) -> None:
    for text in ("", "x", "a.b.c", "hxr1.1.u1", "\ud800", "\0", "e" * 100_000):
        assert isinstance(await hx.tokens.check(text, mode="strict"), Rejected)
        assert isinstance(await hx.tokens.refresh(text), RefreshRefused)
        assert isinstance(await hx.tokens.logout(text), LogoutRefused)
    assert raw.dbsize() == 0
    for user in ("", "u" * 256):
        with pytest.raises(Misuse):
            await hx.tokens.login(user)


# -- sessions of a user


async def test_the_cap_ends_the_oldest(hx: Any, clock: FixedClock) -> None:
    pairs = []
    for _ in range(12):
        clock.advance(MS)
        pairs.append(await login(hx))
    assert [info.session_id for info in await hx.tokens.sessions("u1")] == [pair.session_id for pair in pairs[:1:-1]]
    for pair in pairs[:2]:
        assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "evicted")
        assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.REVOKED, "evicted")
    assert all([await good(hx, pair.access) for pair in pairs[2:]])


async def test_a_hundred_logins_at_once_leave_ten(hx: Any) -> None:
    pairs = await asyncio.gather(*[login(hx) for _ in range(100)])
    live = await hx.tokens.sessions("u1")
    assert len(live) == 10
    assert sum(await asyncio.gather(*[good(hx, pair.access) for pair in pairs])) == 10


async def test_the_cap_may_refuse_instead(driver: Any, clock: FixedClock) -> None:
    tokens = Tokens(driver, Keyring(SECRET), clock=clock, options=TokenOptions(sessions_per_user=2, evict_oldest=False))
    results = await asyncio.gather(*[tokens.login("u1") for _ in range(20)])
    assert Counter(type(result) for result in results) == {TokenPair: 2, TooManySessions: 18}
    assert await tokens.login("u1") == TooManySessions(2)
    assert isinstance(await tokens.login("u2"), TokenPair)
    await tokens.revoke_session("u1", (await tokens.sessions("u1"))[0].session_id)
    assert isinstance(await tokens.login("u1"), TokenPair)
    clock.advance(ABSOLUTE)
    assert isinstance(await tokens.login("u1"), TokenPair)


async def test_sessions_past_their_end_take_no_place(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    for _ in range(10):
        await login(hx)
    clock.advance(ABSOLUTE)
    pairs = []
    for _ in range(10):
        clock.advance(MS)
        pairs.append(await login(hx))
        assert raw.zcard("sessions:{u1}") == len(pairs)
    assert all([await good(hx, pair.access) for pair in pairs])


async def test_a_login_repeated_after_a_lost_reply_opens_one_session_and_ends_no_other(hx: Any, driver: Any) -> None:
    mint = TokenIssuer(Keyring(SECRET), policy_of(TokenOptions()), None, "")
    pairs = [await login(hx) for _ in range(9)]
    first = RefreshToken(mint.keyring.kid, "u1", "s" * 22, 1, bytes(32))
    op = ops.login(mint, ops.session_request("u1", "app"), first, FixedClock().now_ms)
    assert op.effect is Effect.IDEMPOTENT
    assert await driver.run(op) == await driver.run(op)
    assert all([await good(hx, pair.access) for pair in pairs])


async def test_a_record_lives_no_longer_than_it_may_matter(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    pair = await login(hx)
    for _ in range(3):
        clock.advance(2 * DAY)
        pair = await refreshed(hx, pair.refresh)
    assert 0 <= (DAY + KEEP) / MS - raw.pttl(f"session:{{u1}}:{pair.session_id}") < 5000


async def test_sessions_tells_what_a_user_may_see(hx: Any, clock: FixedClock) -> None:
    await login(hx, "u2")
    pair = await login(hx, "u1", client_id="web", device="Firefox")
    clock.advance(2 * MINUTE)
    assert await good(hx, pair.access)
    [info] = await hx.tokens.sessions("u1")
    assert (info.session_id, info.client_id, info.device) == (pair.session_id, "web", "Firefox")
    assert (info.last_seen_at - info.created_at, info.expires_at - info.created_at) == (2 * MINUTE, ABSOLUTE)
    assert info.created_at.timestamp() * 1000 == clock.now_ms - 120_000
    clock.advance(IDLE)
    assert await hx.tokens.sessions("u1") == []


async def test_set_data_lives_and_dies_with_its_session(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    pair, other = await login(hx), await login(hx)
    sid = pair.session_id
    assert await hx.tokens.data("u1", sid) == {}
    assert await hx.tokens.set_data("u1", sid, {"theme": "dark", "st": "x", "n\u00e4me": "\u00fc"})
    assert await hx.tokens.data("u1", sid) == {"theme": "dark", "st": "x", "n\u00e4me": "\u00fc"}
    assert await good(hx, pair.access)  # a field named like one of the session's own overwrites nothing
    assert await hx.tokens.data("u1", other.session_id) == {}
    assert await hx.tokens.set_data("u1", sid, {"theme": "light"})
    assert await hx.tokens.data("u1", sid) == {"theme": "light"}
    for key in (f"session:{{u1}}:{sid}", f"session:{{u1}}:{sid}:d"):
        raw.pexpire(key, 5000)
    clock.advance(MINUTE)
    assert await good(hx, pair.access)
    assert abs(raw.pttl(f"session:{{u1}}:{sid}:d") - raw.pttl(f"session:{{u1}}:{sid}")) < 1000
    assert await hx.tokens.set_data("u1", sid, {})
    assert await hx.tokens.data("u1", sid) == {}
    await hx.tokens.set_data("u1", sid, {"theme": "dark"})
    await hx.tokens.logout(pair.access)
    assert await hx.tokens.data("u1", sid) is None
    assert not await hx.tokens.set_data("u1", sid, {"theme": "dark"})
    assert not raw.exists(f"session:{{u1}}:{sid}:d")


# -- refresh


async def test_forty_refreshes_of_one_token_give_one_successor(hx: Any, raw: redis.Redis) -> None:
    pair = await login(hx)
    flush = asyncio.to_thread(raw.script_flush)
    *answers, _ = await asyncio.gather(*[hx.tokens.refresh(pair.refresh) for _ in range(50)], flush)
    assert Counter(answer.how for answer in answers) == {How.ROTATED: 1, How.REPLAYED: 49}
    assert len({answer.pair.refresh for answer in answers}) == 1
    assert len({claims(answer.pair.access)["jti"] for answer in answers}) == 50
    assert all(await asyncio.gather(*[good(hx, answer.pair.access) for answer in answers]))
    await refreshed(hx, answers[0].pair.refresh, How.COALESCED)


async def test_scripts_flushed_between_any_two_steps_change_nothing(hx: Any, raw: redis.Redis) -> None:
    raw.script_flush()
    pair = await login(hx)
    raw.script_flush()
    assert await good(hx, pair.access)
    raw.script_flush()
    pair = await refreshed(hx, pair.refresh)
    raw.script_flush()
    assert len(await hx.tokens.sessions("u1")) == 1
    raw.script_flush()
    assert await hx.tokens.revoke_all("u1", except_session=pair.session_id) == RevokedAll(0, True)
    raw.script_flush()
    assert await hx.tokens.logout(pair.access) == LoggedOut(pair.session_id, True)
    raw.script_flush()
    assert not await good(hx, pair.access)


async def test_stragglers_within_the_grace_are_never_an_alarm(hx: Any, clock: FixedClock) -> None:
    first = await login(hx)
    second = await refreshed(hx, first.refresh)
    clock.advance(GRACE)
    assert (await refreshed(hx, first.refresh, How.REPLAYED)).refresh == second.refresh
    assert (await refreshed(hx, second.refresh, How.COALESCED)).refresh == second.refresh
    clock.advance(SECOND)
    third = await refreshed(hx, second.refresh)
    clock.advance(GRACE)
    assert (await refreshed(hx, second.refresh, How.REPLAYED)).refresh == third.refresh


async def test_a_token_spent_longer_ago_than_the_grace_ends_the_session_for_everyone(
    hx: Any, clock: FixedClock
) -> None:
    first, other = await login(hx), await login(hx)
    second = await refreshed(hx, first.refresh)
    clock.advance(GRACE + MS)
    assert await hx.tokens.refresh(first.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    assert await hx.tokens.refresh(second.refresh) == RefreshRefused(Refusal.REVOKED, "reuse")
    assert await hx.tokens.check(second.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "reuse")
    assert await good(hx, other.access)  # only this session


async def test_only_the_immediate_predecessor_is_honoured(hx: Any, clock: FixedClock) -> None:
    first = await login(hx)
    second = await refreshed(hx, first.refresh)
    clock.advance(GRACE + SECOND)
    third = await refreshed(hx, second.refresh)
    assert await hx.tokens.refresh(first.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    assert not await good(hx, third.access)


@pytest.mark.parametrize("play", ["thief first", "thief second", "inside the grace", "after the grace"])
async def test_a_stolen_token_ends_with_a_dead_thief(hx: Any, clock: FixedClock, play: str) -> None:
    stolen = (await login(hx)).refresh
    if play == "thief first":
        thief = await refreshed(hx, stolen)
        clock.advance(GRACE + MS)
        assert await hx.tokens.refresh(stolen) == RefreshRefused(Refusal.REUSE_DETECTED)  # the victim's call
    elif play == "thief second":
        victim = await refreshed(hx, stolen)
        thief = await refreshed(hx, stolen, How.REPLAYED)
        assert thief.refresh == victim.refresh  # one chain: the thief cannot fork it
        clock.advance(MINUTE)
        thief = await refreshed(hx, thief.refresh)
        clock.advance(GRACE + MS)
        assert await hx.tokens.refresh(victim.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    elif play == "inside the grace":
        thief = await refreshed(hx, stolen)
        clock.advance(GRACE)
        victim = await refreshed(hx, stolen, How.REPLAYED)
        assert thief.refresh == victim.refresh
        clock.advance(MINUTE)
        await refreshed(hx, victim.refresh)
        clock.advance(GRACE + MS)
        assert await hx.tokens.refresh(thief.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    else:
        thief = await refreshed(hx, stolen)
        clock.advance(DAY)
        thief = await refreshed(hx, thief.refresh)
        assert await hx.tokens.refresh(stolen) == RefreshRefused(Refusal.REUSE_DETECTED)
    assert not await good(hx, thief.access)
    assert isinstance(await hx.tokens.refresh(thief.refresh), RefreshRefused)


async def test_a_forged_old_token_cannot_log_a_victim_out(hx: Any, raw: redis.Redis) -> None:
    victim = await login(hx)
    first = await refreshed(hx, victim.refresh)
    stranger = await login(hx, "u2")
    parts, own = victim.refresh.split("."), stranger.refresh.split(".")
    attacker, kid = Keyring(b"a secret that only the attacker knows, long"), parts[1]
    own_name, our_name = Chain(attacker), Chain(attacker)
    our_name._by_kid = {kid: our_name}
    forged = [
        ".".join([*parts[:4], "2", *parts[5:]]),  # another generation
        ".".join([*parts[:6], own[6]]),  # another tag
        ".".join([*own[:3], *parts[3:]]),  # another user's session
        ".".join([*parts[:3], own[3], *parts[4:]]),
        own_name.write(RefreshToken(attacker.kid, "u1", victim.session_id, 1, bytes(32))),
        our_name.write(RefreshToken(kid, "u1", victim.session_id, 1, bytes(32))),
    ]
    before = state(raw)
    for token in forged:
        assert await hx.tokens.refresh(token) == RefreshRefused(Refusal.MALFORMED)
        assert await hx.tokens.logout("", token) == LogoutRefused(Rejection.MALFORMED)
    assert state(raw) == before
    assert await good(hx, first.access)


async def test_a_token_shown_by_another_client_has_left_its_owner(hx: Any) -> None:
    pair = await login(hx, client_id="android")
    assert await hx.tokens.refresh(pair.refresh, client_id="web") == RefreshRefused(Refusal.CLIENT_MISMATCH)
    assert await hx.tokens.refresh(pair.refresh, client_id="android") == RefreshRefused(Refusal.REVOKED, "client")
    assert not await good(hx, pair.access)


async def test_a_generation_lost_in_a_failover_is_no_alarm(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    pair = await login(hx)
    key = f"session:{{u1}}:{pair.session_id}"
    snapshot = raw.dump(key)
    ahead = await refreshed(hx, pair.refresh)
    raw.restore(key, 60_000, snapshot, replace=True)  # the replica that was promoted never saw the rotation
    assert await hx.tokens.refresh(ahead.refresh) == RefreshRefused(Refusal.UNKNOWN_GENERATION)
    assert await good(hx, pair.access)


async def test_a_fork_left_by_a_failover_is_an_alarm(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    pair = await login(hx)
    key = f"session:{{u1}}:{pair.session_id}"
    snapshot = raw.dump(key)
    lost = await refreshed(hx, pair.refresh)
    raw.restore(key, 60_000, snapshot, replace=True)
    kept = await refreshed(hx, pair.refresh)
    assert kept.refresh != lost.refresh
    assert await hx.tokens.refresh(lost.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)


async def test_one_predecessor_is_answered_a_bounded_number_of_times(hx: Any, raw: redis.Redis) -> None:
    pair = await login(hx)
    await refreshed(hx, pair.refresh)
    raw.hset(f"session:{{u1}}:{pair.session_id}", "reuse", 99)
    await refreshed(hx, pair.refresh, How.REPLAYED)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)


# -- logout and revocation


async def test_logout_ends_the_session_and_the_token_at_once(hx: Any, raw: redis.Redis) -> None:
    pair, other = await login(hx), await login(hx)
    newer = await refreshed(hx, pair.refresh)
    assert await hx.tokens.logout(newer.access, newer.refresh) == LoggedOut(pair.session_id, True)
    assert await hx.tokens.logout(newer.access, newer.refresh) == LoggedOut(pair.session_id, False)
    assert await hx.tokens.check(newer.access, mode="strict") == Rejected(Rejection.REVOKED_TOKEN)
    assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "logout")
    assert await hx.tokens.refresh(newer.refresh) == RefreshRefused(Refusal.REVOKED, "logout")
    assert await good(hx, other.access)
    assert [info.session_id for info in await hx.tokens.sessions("u1")] == [other.session_id]
    key = f"session:{{u1}}:{pair.session_id}"
    assert not {b"cur", b"prev", b"slt"} & raw.hgetall(key).keys()
    assert 0 <= KEEP / MS - raw.pttl(key) < 5000


async def test_the_blacklist_holds_until_the_leeway_is_over(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    pair = await login(hx)
    clock.advance(5 * MINUTE)
    await hx.tokens.logout(pair.access)
    seen = claims(pair.access)
    key = f"jwt:blacklist:{seen['jti']}"
    left = seen["exp"] * 1000 + LEEWAY / MS - clock.now_ms
    assert 0 <= left - raw.pttl(key) < 5000
    raw.delete(f"session:{{u1}}:{pair.session_id}")
    clock.now_ms = seen["exp"] * 1000 + 29_000
    assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.REVOKED_TOKEN)
    clock.advance(SECOND)
    assert await hx.tokens.check(pair.access, mode="strict") == Rejected(Rejection.EXPIRED)


async def test_a_malleated_twin_of_a_logged_out_token_is_refused(hx: Any) -> None:
    pair = await login(hx)
    body, _, signature = pair.access.rpartition(".")
    raw_signature = urlsafe_b64decode(signature + "==")
    s = (ORDER - int.from_bytes(raw_signature[32:], "big")).to_bytes(32, "big")
    twin = f"{body}.{urlsafe_b64encode(raw_signature[:32] + s).rstrip(b'=').decode()}"
    assert twin != pair.access
    assert await good(hx, twin)
    await hx.tokens.logout(pair.access)
    assert await hx.tokens.check(twin, mode="strict") == Rejected(Rejection.REVOKED_TOKEN)


async def test_expired_tokens_may_still_log_out(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    pair, other = await login(hx), await login(hx)
    clock.advance(DAY)
    assert await hx.tokens.logout(pair.access) == LoggedOut(pair.session_id, True)
    assert await hx.tokens.logout("", other.refresh) == LoggedOut(other.session_id, True)
    assert isinstance(await hx.tokens.refresh(pair.refresh), RefreshRefused)
    assert isinstance(await hx.tokens.refresh(other.refresh), RefreshRefused)
    assert not raw.keys("jwt:blacklist:*")


async def test_tokens_of_two_sessions_do_not_log_out_either(hx: Any) -> None:
    one, two = await login(hx), await login(hx)
    assert await hx.tokens.logout(one.access, two.refresh) == LogoutRefused(Rejection.MALFORMED)
    assert await good(hx, one.access) and await good(hx, two.access)


async def test_revoke_session_ends_one_of_ones_own(hx: Any) -> None:
    one, two, foreign = await login(hx), await login(hx), await login(hx, "u2")
    assert await hx.tokens.revoke_session("u1", one.session_id) == RevokedSession(True)
    assert await hx.tokens.revoke_session("u1", one.session_id) == RevokedSession(False)
    assert await hx.tokens.revoke_session("u1", foreign.session_id) == RevokedSession(False)
    assert await hx.tokens.revoke_session("u1", "nonsense") == RevokedSession(False)
    assert await hx.tokens.check(one.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "revoked")
    assert await hx.tokens.refresh(one.refresh) == RefreshRefused(Refusal.REVOKED, "revoked")
    assert await good(hx, two.access) and await good(hx, foreign.access)


async def test_the_first_reason_stays(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    pair = await login(hx)
    await refreshed(hx, pair.refresh)
    clock.advance(MINUTE)
    await hx.tokens.refresh(pair.refresh)
    assert await hx.tokens.revoke_session("u1", pair.session_id) == RevokedSession(False)
    assert await hx.tokens.logout(pair.access) == LoggedOut(pair.session_id, False)
    assert await hx.tokens.refresh(pair.refresh) == RefreshRefused(Refusal.REVOKED, "reuse")


async def test_ending_what_is_gone_leaves_no_trace(hx: Any, raw: redis.Redis) -> None:
    pair = await login(hx)
    raw.delete(f"session:{{u1}}:{pair.session_id}")
    assert await hx.tokens.revoke_all("u1", except_session=pair.session_id) == RevokedAll(1, False)
    assert await hx.tokens.revoke_session("u1", pair.session_id) == RevokedSession(False)
    assert await hx.tokens.revoke_session("u1", "s" * 22) == RevokedSession(False)
    assert await hx.tokens.logout("", pair.refresh) == LoggedOut(pair.session_id, False)
    feed = [b"jwt:epoch:{jwt:revocations}", b"jwt:revocations", b"jwt:told:{jwt:revocations}"]
    assert sorted(keys(raw)) == sorted([*feed, b"jwt:revoked_before:{u1}"])


async def test_revoke_all_counts_only_what_had_not_ended(hx: Any, clock: FixedClock) -> None:
    old = await login(hx)
    clock.advance(ABSOLUTE)
    assert await hx.tokens.revoke_all("u1", except_session=old.session_id) == RevokedAll(0, False)


async def test_revoke_all_in_one_millisecond_splits_before_from_after(hx: Any) -> None:
    """The clock stands still throughout: order alone decides."""
    for listed in (1, 2, 2):
        before, foreign = await login(hx), await login(hx, "u2")
        assert await hx.tokens.revoke_all("u1") == RevokedAll(listed, False)
        after = await login(hx)
        assert await hx.tokens.check(before.access, mode="strict") == Rejected(Rejection.REVOKED_ALL)
        assert await hx.tokens.refresh(before.refresh) == RefreshRefused(Refusal.REVOKED, "revoke_all")
        after = await refreshed(hx, after.refresh)
        assert await good(hx, after.access) and await good(hx, foreign.access)
        assert len(await hx.tokens.sessions("u1")) == 1


async def test_revoke_all_keeps_this_device_and_its_tokens(hx: Any, clock: FixedClock) -> None:
    mine, theirs = await login(hx), await login(hx)
    clock.advance(MINUTE)
    assert await hx.tokens.revoke_all("u1", except_session=mine.session_id) == RevokedAll(1, True)
    assert await good(hx, mine.access) and not await good(hx, theirs.access)
    mine = await refreshed(hx, mine.refresh)
    assert await good(hx, mine.access)
    assert [info.session_id for info in await hx.tokens.sessions("u1")] == [mine.session_id]
    assert await hx.tokens.revoke_all("u1") == RevokedAll(1, False)
    assert await hx.tokens.check(mine.access, mode="strict") == Rejected(Rejection.REVOKED_ALL)


async def test_revoke_all_revives_nothing(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    dead, gone, swept = await login(hx), await login(hx), await login(hx)
    await hx.tokens.logout(dead.access)
    raw.delete(f"session:{{u1}}:{gone.session_id}")
    await hx.tokens.revoke_all("u1")
    clock.advance(MS)
    for pair in (dead, gone, swept):
        assert await hx.tokens.revoke_all("u1", except_session=pair.session_id) == RevokedAll(0, False)
        assert not await good(hx, pair.access)
        assert isinstance(await hx.tokens.refresh(pair.refresh), RefreshRefused)
    assert await hx.tokens.sessions("u1") == []


async def test_revoke_all_races_logins_and_refreshes_and_nothing_old_survives(hx: Any) -> None:
    old = [await login(hx) for _ in range(5)]
    revoke = hx.tokens.revoke_all("u1")
    *results, _ = await asyncio.gather(
        *[hx.tokens.refresh(pair.refresh) for pair in old * 4], *[login(hx) for _ in range(5)], revoke
    )
    won = [result.pair for result in results if isinstance(result, Refreshed)]
    for pair in [*old, *won]:
        assert not await good(hx, pair.access)
        assert isinstance(await hx.tokens.refresh(pair.refresh), RefreshRefused)
    for pair in (result for result in results if isinstance(result, TokenPair)):
        assert await good(hx, pair.access) == isinstance(await hx.tokens.refresh(pair.refresh), Refreshed)


@pytest.fixture
def full(raw: redis.Redis) -> Iterator[Any]:
    """``full()``: from now on the server has no memory left and evicts nothing."""
    yield lambda: raw.config_set("maxmemory", 1)
    raw.config_set("maxmemory", 0)


async def test_a_full_server_still_takes_rights_away_and_grants_none(
    hx: Any, raw: redis.Redis, clock: FixedClock, full: Any
) -> None:
    old, out, revoked, plain = await login(hx), await login(hx), await login(hx), await login(hx)
    newer = await refreshed(hx, old.refresh)
    clock.advance(MINUTE)
    full()
    with pytest.raises(Full):
        await hx.tokens.login("u1")
    with pytest.raises(Full):
        await hx.tokens.refresh(plain.refresh)
    assert await good(hx, plain.access)  # noting the activity must not fail the check
    assert await hx.tokens.refresh(old.refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    assert await hx.tokens.check(newer.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "reuse")
    assert await hx.tokens.logout(out.access) == LoggedOut(out.session_id, True)
    assert await hx.tokens.check(out.access, mode="strict") == Rejected(Rejection.REVOKED_TOKEN)
    assert await hx.tokens.revoke_session("u1", revoked.session_id) == RevokedSession(True)
    assert await hx.tokens.check(revoked.access, mode="strict") == Rejected(Rejection.SESSION_REVOKED, "revoked")
    assert await hx.tokens.revoke_all("u1") == RevokedAll(1, False)
    assert await hx.tokens.check(plain.access, mode="strict") == Rejected(Rejection.REVOKED_ALL)


# -- the rest


async def test_no_token_and_no_secret_is_ever_in_redis(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    pairs = [await login(hx), await login(hx)]
    pairs.append(await refreshed(hx, pairs[0].refresh))
    clock.advance(MINUTE)
    pairs.append(await refreshed(hx, pairs[2].refresh))
    await hx.tokens.logout(pairs[1].access)
    held = b"".join(key + raw.dump(key) for key in keys(raw))
    for key in keys(raw):
        kind = raw.type(key)
        readers = {b"hash": raw.hgetall, b"zset": lambda key: raw.zrange(key, 0, -1), b"stream": raw.xrange}
        held += repr(readers.get(kind, raw.get)(key)).encode()
    keyring = Keyring(SECRET)
    for pair in pairs:
        secret, tag = pair.refresh.split(".")[5:]
        for text in (secret, tag, pair.access.split(".")[2], pair.access.split(".")[1]):
            assert text.encode() not in held
        assert urlsafe_b64decode(secret + "=") not in held
    for label in ("rt-tag", "rt-next", "jwt-es256"):
        assert keyring.key(label) not in held


async def test_the_jwks_names_the_key_that_signs(hx: Any) -> None:
    head = (await login(hx)).access.split(".")[0]
    kid = json.loads(urlsafe_b64decode(head + "=="))["kid"]
    assert [key["kid"] for key in (await hx.tokens.jwks())["keys"]] == [kid]


async def test_two_rooms_with_other_prefixes_audiences_or_keys_share_nothing(driver: Any, raw: redis.Redis) -> None:
    keyring, other = Keyring(SECRET), Keyring(b"another secret of thirty-two bytes, or more")
    one = Tokens(driver, keyring)
    pair = await one.login("u1")
    assert isinstance(pair, TokenPair)
    assert isinstance(await one.check(pair.access, mode="strict"), Access)
    rooms = [
        (Tokens(driver, keyring, prefix="b:"), Rejection.SESSION_GONE),
        (Tokens(driver, keyring, options=TokenOptions(audience="b")), Rejection.BAD_AUDIENCE),
        (Tokens(driver, keyring, options=TokenOptions(issuer="b")), Rejection.BAD_ISSUER),
        (Tokens(driver, other), Rejection.UNKNOWN_KID),
    ]
    for room, reason in rooms:
        assert await room.check(pair.access, mode="strict") == Rejected(reason)
    assert await Tokens(driver, other).refresh(pair.refresh) == RefreshRefused(Refusal.MALFORMED)
    rotated = Tokens(driver, other, options=TokenOptions(keys=KeySet.derived(keyring)))
    assert isinstance(await rotated.check(pair.access, mode="strict"), Access)


async def test_on_the_servers_own_clock(driver: Any) -> None:
    """Everything above moved a clock of its own; production has none."""
    tokens = Tokens(driver, Keyring(SECRET))
    pair = await tokens.login("u1")
    assert isinstance(pair, TokenPair)
    for mode in ("strict", "stateless"):
        assert isinstance(await tokens.check(pair.access, mode=mode), Access)
    answer = await tokens.refresh(pair.refresh)
    assert isinstance(answer, Refreshed) and isinstance(await tokens.check(answer.pair.access, mode="strict"), Access)
    assert isinstance(await tokens.logout(answer.pair.access), LoggedOut)
    assert await tokens.check(answer.pair.access, mode="strict") == Rejected(Rejection.REVOKED_TOKEN)
