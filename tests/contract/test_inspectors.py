"""What an operator asks of each room: looked at in bounded reads, without a secret, a code or a phone in the answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis

from hustlex import HustleX
from hustlex.cache import tally
from hustlex.core.time import FixedClock
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.idempotency import Mismatch, Orphaned, Provider, Response, Scope, Started
from hustlex.otp import Cap, Caps, Email, Issued, OtpOptions
from hustlex.otp import Policy as OtpPolicy
from hustlex.ratelimit import Penalty, Policy
from tests.conftest import PATIENCE, SECRET
from tests.support.calls import Calls

MINUTE = timedelta(minutes=1)
PHONE = "+2348031234567"
ZERO = timedelta(0)
PAY = Scope("u1", "POST", "/pay")


@pytest.fixture
def rooms(rooms: dict[str, Any]) -> dict[str, Any]:
    return rooms | {"otp": OtpOptions(policies={"login": OtpPolicy(), "pay": OtpPolicy(binding="subject")})}


def plain(answer: Any) -> str:
    return msgspec.json.encode(answer).decode()


# -- codes


async def test_a_phone_that_was_never_seen_has_nothing(hx: Any) -> None:
    state = await hx.otp.inspector.phone(PHONE)
    assert [(lane.lane, lane.sends, lane.wrong, lane.locked_for) for lane in state.lanes] == [
        ("anon", 0, 0, ZERO),
        ("known", 0, 0, ZERO),
        ("extra", 0, 0, ZERO),
    ]
    assert (state.open, state.devices) == ((), 0)
    assert [scope.scope for scope in state.scopes] == ["country", "block", "prefix"]


async def test_open_codes_pauses_and_wrong_ones_are_told_per_lane(hx: Any, clock: FixedClock) -> None:
    issued = await hx.otp.issue(PHONE)
    await hx.otp.issue(PHONE, "pay", lane="known")
    for _ in range(3):
        await hx.otp.verify(issued.challenge, "000000")
    clock.advance(timedelta(seconds=10))
    state = await hx.otp.inspector.phone(PHONE)
    anon, known, _ = state.lanes
    assert (anon.sends, anon.wrong, anon.next_send_in) == (1, 3, timedelta(seconds=50))
    assert (known.sends, known.wrong) == (1, 0)
    left = timedelta(minutes=5) - timedelta(seconds=10)
    assert [(code.purpose, code.lane, code.expires_in) for code in state.open] == [
        ("login", "anon", left),
        ("pay", "anon", left),
    ]


async def test_sends_are_told_by_lane_newest_first(hx: Any, clock: FixedClock) -> None:
    assert await hx.otp.inspector.sends(PHONE) == {"anon": (), "known": (), "extra": ()}
    first = clock()
    await hx.otp.issue(PHONE)
    await hx.otp.issue(PHONE, "pay", lane="known")
    clock.advance(timedelta(minutes=2))
    await hx.otp.issue(PHONE)
    sends = await hx.otp.inspector.sends(PHONE)
    assert [round(at.timestamp() * 1000) - first for at in sends["anon"]] == [120_000, 0]
    assert ([round(at.timestamp() * 1000) - first for at in sends["known"]], sends["extra"]) == ([0], ())


async def test_a_lock_is_told_and_unlocking_lifts_it(hx: Any, clock: FixedClock) -> None:
    for _ in range(3):
        issued = await hx.otp.issue(PHONE)
        assert isinstance(issued, Issued)
        for _ in range(5):
            await hx.otp.verify(issued.challenge, "000000")
        clock.advance(timedelta(minutes=3))
    anon = (await hx.otp.inspector.phone(PHONE)).lanes[0]
    assert (anon.locks, anon.wrong) == (1, 15)
    assert timedelta(minutes=11) < anon.locked_for <= timedelta(minutes=15)
    await hx.otp.unlock(PHONE, "anon")
    anon = (await hx.otp.inspector.phone(PHONE)).lanes[0]
    assert (anon.locks, anon.wrong, anon.locked_for) == (0, 0, ZERO)


async def test_an_answer_holds_no_phone_no_code_and_no_challenge(hx: Any) -> None:
    issued = await hx.otp.issue(PHONE)
    code = (await hx.otp.open(issued.challenge)).code
    mail = await hx.otp.issue(Email("ada@example.com"))
    for state in (await hx.otp.inspector.phone(PHONE), await hx.otp.inspector.phone(Email("ada@example.com"))):
        assert len(state.open) == 1
        for secret in (PHONE, PHONE[1:8], code, issued.challenge, mail.challenge, "ada", "example.com"):
            assert secret not in plain(state)


async def test_a_purpose_of_another_program_is_looked_for_when_it_is_named(hx: Any, raw: redis.Redis) -> None:
    await hx.otp.issue(PHONE)
    (key,) = raw.keys("otp:*:sends")
    for member, score in raw.zrange(key, 0, -1, withscores=True):
        if member.startswith(b"@login:"):
            raw.zadd(key, {member.replace(b"@login:", b"@other:"): score})
    found = (await hx.otp.inspector.phone(PHONE, purposes=["other"])).open
    assert sorted(code.purpose for code in found) == ["login", "other"]
    with pytest.raises(Misuse, match="at most 50"):
        await hx.otp.inspector.phone(PHONE, purposes=[str(number) for number in range(60)])


async def test_a_country_tells_its_cap_and_its_breaker(hx: Any, clock: FixedClock) -> None:
    assert (await hx.otp.inspector.country("NG")).used == 0
    for number in range(4):
        await hx.otp.issue(f"+23480312{number}4567")
    state = await hx.otp.inspector.country("NG")
    assert (state.scope, state.used, state.most, state.slowed, state.budget) == ("country", 4, 20_000, False, 0)
    for odd in ("ng", "NGA", "1a", ""):
        with pytest.raises(Misuse):
            await hx.otp.inspector.country(odd)


@pytest.mark.parametrize("caps", [Caps(block=Cap(3, timedelta(hours=1)))])
async def test_what_a_scope_has_left_is_what_the_next_message_meets(url: str, clock: FixedClock, caps: Caps) -> None:
    options = OtpOptions(caps=caps)
    async with HustleX(url, secret=SECRET, clock=clock, timeout=PATIENCE, otp=options) as hx:
        for number in range(4):
            block = (await hx.otp.inspector.phone(f"+234803123456{number}")).scopes[1]
            admitted = isinstance(await hx.otp.issue(f"+234803123456{number}"), Issued)
            assert (block.used, admitted) == (number, number < block.most)


# -- sessions


async def test_a_user_tells_sessions_and_the_line_before_which_all_is_void(hx: Any, clock: FixedClock) -> None:
    pair = await hx.tokens.login("u1", device="Pixel", ip="203.0.113.9")
    state = await hx.tokens.inspector.user("u1")
    assert state.sessions == tuple(await hx.tokens.sessions("u1"))
    assert state.revoked_before is None
    assert pair.access not in plain(state) and "203.0.113.9" not in plain(state)
    await hx.tokens.revoke_all("u1")
    state = await hx.tokens.inspector.user("u1")
    assert state.sessions == ()
    assert state.revoked_before is not None and state.revoked_before >= datetime.fromtimestamp(clock() / 1000, UTC)


async def test_a_session_tells_why_it_is_over_and_how_often_it_was_refreshed(hx: Any, clock: FixedClock) -> None:
    pair = await hx.tokens.login("u1", client_id="android")
    sid = (await hx.tokens.sessions("u1"))[0].session_id
    clock.advance(MINUTE)
    await hx.tokens.refresh(pair.refresh, client_id="android")
    state = await hx.tokens.inspector.session("u1", sid)
    assert (state.alive, state.why, state.generation, state.client_id, state.bound) == (True, "", 2, "android", False)
    await hx.tokens.revoke_session("u1", sid)
    state = await hx.tokens.inspector.session("u1", sid)
    assert (state.alive, state.generation) == (False, 2)
    assert state.why
    assert (await hx.tokens.inspector.session("u1", "x" * 22)).why == "gone"
    await hx.tokens.revoke_all("u1")
    assert (await hx.tokens.inspector.session("u1", sid)).why == "revoke_all"


async def test_ended_sessions_are_told_with_the_reason_of_each(hx: Any) -> None:
    assert await hx.tokens.inspector.ended("u1") == ()
    one, two, other = [await hx.tokens.login(user) for user in ("u1", "u1", "u2")]
    await hx.tokens.logout(one.access)
    for _ in range(2):
        await hx.tokens.revoke_session("u1", two.session_id)
    await hx.tokens.revoke_session("u2", other.session_id)
    ended = await hx.tokens.inspector.ended("u1")
    assert [(each.session_id, each.why) for each in ended] == [(two.session_id, "revoked"), (one.session_id, "logout")]
    await hx.tokens.revoke_all("u1")
    newest = (await hx.tokens.inspector.ended("u1"))[0]
    assert (newest.session_id, newest.why) == ("", "revoke_all")


async def test_signing_keys_and_their_stages(hx: Any) -> None:
    assert [key.stage for key in await hx.tokens.inspector.keys()] == ["active"]
    await hx.tokens.rotate_keys()
    assert sorted(key.stage for key in await hx.tokens.inspector.keys()) == ["active", "published"]


# -- limits


async def test_bans_strikes_and_own_limits_are_told_and_a_ban_is_lifted(hx: Any, clock: FixedClock) -> None:
    strict = Policy("strict", 1, MINUTE, penalty=Penalty(strikes=2, per=MINUTE, ban=timedelta(hours=1)))
    loose = Policy("loose", 100, MINUTE, overridable=True)
    pair, who = (strict, loose), {"identity": "u1", "endpoint": "/pay"}
    for _ in range(2):
        await hx.ratelimit.check(pair, **who)
    banned, own = await hx.ratelimit.inspector.caller(pair, **who)
    assert (banned.policy, banned.strikes, banned.level, banned.banned_for) == ("strict", 1, 0, ZERO)
    assert (own.policy, own.own_limit) == ("loose", None)
    await hx.ratelimit.check(pair, **who)
    banned = (await hx.ratelimit.inspector.caller(pair, **who))[0]
    assert (banned.level, banned.banned_for) == (1, timedelta(hours=1))
    assert (await hx.ratelimit.peek(pair, **who)).outcome == "banned"
    assert await hx.ratelimit.inspector.unban(pair, **who)
    assert not await hx.ratelimit.inspector.unban(pair, **who)
    peeked = await hx.ratelimit.peek(pair, **who)
    assert peeked.outcome == "denied" and peeked.remaining == 0, "what was used stays used"
    await hx.ratelimit.set_limit(loose, "u1", endpoint="/pay", limit=7)
    (alone,) = await hx.ratelimit.inspector.caller(loose, **who)
    assert (alone.own_limit, alone.own_limit_for > timedelta(hours=23)) == (7, True)


async def test_a_caller_is_banned_by_hand_for_a_time(hx: Any, clock: FixedClock) -> None:
    strict = Policy("strict", 5, MINUTE, penalty=Penalty(strikes=2, per=MINUTE, ban=timedelta(hours=1)))
    who = {"identity": "u1", "endpoint": "/pay"}
    assert (await hx.ratelimit.check(strict, **who)).allowed
    await hx.ratelimit.inspector.ban(strict, **who, length=timedelta(minutes=2))
    assert (await hx.ratelimit.check(strict, **who)).outcome == "banned"
    (state,) = await hx.ratelimit.inspector.caller(strict, **who)
    assert (state.banned_for, state.level, state.strikes) == (timedelta(minutes=2), 0, 0)
    await hx.ratelimit.inspector.ban(strict, **who, length=timedelta(seconds=30))
    clock.advance(timedelta(seconds=31))
    assert (await hx.ratelimit.peek(strict, **who)).allowed, "a longer ban became the shorter one"
    await hx.ratelimit.inspector.ban(strict, **who, length=timedelta(hours=24))
    assert await hx.ratelimit.inspector.unban(strict, **who)
    assert (await hx.ratelimit.peek(strict, **who)).allowed
    with pytest.raises(Misuse, match="has a penalty"):
        await hx.ratelimit.inspector.ban(Policy("p", 1, MINUTE), **who, length=MINUTE)


async def test_bans_are_found_and_one_is_lifted_by_its_record(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    strict = Policy("strict", 5, MINUTE, penalty=Penalty(strikes=1, per=MINUTE, ban=timedelta(hours=1)))
    pair = (strict, Policy("other", 5, MINUTE, penalty=Penalty()))
    look = hx.ratelimit.inspector
    assert (await look.bans()).bans == ()
    await look.ban(strict, "ip:203.0.113.7", endpoint="POST /pay", length=MINUTE)
    await hx.ratelimit.check(strict, "u1", endpoint="/pay", cost=5)
    await hx.ratelimit.check(strict, "u1", endpoint="/pay")
    await look.ban(pair, "u2", endpoint="/x", length=timedelta(seconds=5))
    raw.set("ratelimit:{x}:y:pen", "not ours")
    page = await look.bans()
    assert [(each.caller, each.endpoint, each.policy, each.level) for each in page.bans[:2]] == [
        ("u1", "/pay", "", 1),
        ("ip:203.0.113.7", "POST /pay", "", 0),
    ]
    assert sorted((each.caller, each.policy) for each in page.bans[2:]) == [("u2", "other"), ("u2", "strict")]
    assert (page.bans[1].banned_for, page.cursor) == (MINUTE, "")
    assert await look.lift(page.bans[0].record) and not await look.lift(page.bans[0].record)
    clock.advance(timedelta(seconds=6))
    assert [each.caller for each in (await look.bans()).bans] == ["ip:203.0.113.7"]
    for odd in ("asynq:{default}:pending", "ratelimit:{u1}:/pay:b"):
        with pytest.raises(Misuse):
            await look.lift(odd)


async def test_a_plain_policy_has_nothing_to_tell_and_asks_nobody(hx: Any, raw: redis.Redis) -> None:
    policy = Policy("p", 1, MINUTE)
    assert await hx.ratelimit.inspector.caller(policy, "u1", endpoint="/") == ()
    assert not await hx.ratelimit.inspector.unban(policy, "u1", endpoint="/")


# -- cache


async def test_an_entry_tells_why_it_is_as_it_is(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    users = hx.cache("user", str, ttl=MINUTE, timeout=PATIENCE, jitter=0)
    look = hx.cache.inspector.entry
    assert ((await look("user", 42)).kind, (await look("user", 42)).key) == ("absent", "cache:user:42")
    await users.set(42, "Ada Obi")
    clock.advance(timedelta(seconds=20))
    state = await look("user", 42)
    assert (state.kind, state.age, state.fresh_for) == ("value", timedelta(seconds=20), timedelta(seconds=40))
    assert state.leaves_in is not None and state.size > 0 and "Ada" not in plain(state)
    await users.set(43, None)
    assert (await look("user", 43)).kind == "none"
    raw.set("cache:user:44", b'"bare"')
    raw.set("cache:user:45", b"\x01")
    assert [(await look("user", key)).kind for key in (44, 45)] == ["plain", "unreadable"]
    with pytest.raises(Misuse):
        await look("no name", 1)


async def test_an_entry_tells_what_has_become_of_its_tags(hx: Any) -> None:
    users, key = hx.cache("user", str, ttl=MINUTE, timeout=PATIENCE, stale_ttl=MINUTE), hx.cache.inspector.key
    await users.set(42, "Ada", tags=["org:7", "city:lagos"])
    fine = await key("cache:user:42")
    for same in (await hx.cache.inspector.entry("user", 42), await key("user:42")):
        assert (same.key, same.tags, same.why) == (fine.key, fine.tags, fine.why)
    assert [str(tag) for tag in fine.tags] == ["*user (valid)", "org:7 (valid)", "city:lagos (valid)"]
    await hx.cache.invalidate_tags("city:lagos", soft=True)
    assert "its tag city:lagos was made stale since" in (await key("user:42")).why
    await hx.cache.invalidate_tags("org:7")
    gone = await key("user:42")
    assert gone.kind == "value" and "its tag org:7 was invalidated since, so reads miss" in gone.why
    assert {tag.tag: tag.state for tag in gone.tags} == {"*user": "valid", "org:7": "invalid", "city:lagos": "stale"}
    assert await users.get(42) is None
    await users.clear()
    assert "the whole cache user" in (await key("user:42")).why
    assert "Ada" not in plain(gone)
    assert (await key("user:43")).kind == "absent"
    for nonsense in ("", "user", "a b:c", "x" * 5000):
        with pytest.raises(Misuse):
            await key(nonsense)


async def test_a_cache_tells_how_much_it_holds(hx: Any, raw: redis.Redis) -> None:
    users, others = (hx.cache(name, str, ttl=MINUTE, timeout=PATIENCE) for name in ("user", "users"))
    assert (await hx.cache.inspector.size("user")).entries == 0
    await users.set_many(dict.fromkeys(range(2500), "x" * 100))
    await others.set(1, "one")
    size = await hx.cache.inspector.size("user")
    assert (size.entries, size.counted) == (2500, True)
    least, most = (raw.memory_usage(f"cache:user:{number}") for number in (1, 2499))  # a longer name takes more
    assert 2500 * least * 0.9 < size.bytes < 2500 * most * 1.1


async def test_fleet_is_what_all_processes_counted(
    hx: Any, url: str, clock: FixedClock, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "EVERY_S", 0.0)
    async with HustleX(url, clock=clock) as other:
        for front, reads in ((hx, 6), (other, 4)):
            users = front.cache("user", int, ttl=MINUTE, timeout=MINUTE)
            bare = front.cache("bare", int, ttl=MINUTE, timeout=MINUTE, clearable=False)
            await users.set(1, 7)
            for _ in range(reads - 2):
                assert await users.get(1) == 7
            assert await users.get(2) is None
            await bare.get_many([1])  # each report tells of what was read before it
            assert await users.get(1) == 7
        fleet = await hx.cache.inspector.fleet()
        assert fleet["user"].requests == {"fresh": 6, "miss": 2}
        assert fleet["user"].hit_ratio == 0.75
        assert fleet["bare"].requests == {"miss": 2}
        (part,) = [key for key in raw.scan_iter() if key.startswith(b"cs:")]
        assert 0 < raw.ttl(part) <= 70 * 60
        clock.advance(MINUTE * 10)
        for _ in range(2):
            await hx.cache("user", int, ttl=MINUTE, timeout=MINUTE).get(3)
        async with asyncio.timeout(60):  # nobody waits for a report, which may go to another node
            while (await other.cache.inspector.fleet())["user"].requests["miss"] < 3:
                pass
        assert len([key for key in raw.scan_iter() if key.startswith(b"cs:")]) == 2
        clock.advance(MINUTE * 55)
        assert (await other.cache.inspector.fleet())["user"].requests == {"fresh": 1, "miss": 1}
        clock.advance(MINUTE * 60)
        assert await other.cache.inspector.fleet() == {}


async def test_an_entry_that_is_being_computed_says_so(hx: Any) -> None:
    users, seen = hx.cache("user", str, ttl=MINUTE, timeout=PATIENCE), []

    async def compute() -> str:
        seen.append(await hx.cache.inspector.entry("user", 1))
        return "Ada"

    await users.get_or_compute("1", compute)
    assert (seen[0].kind, seen[0].lease) == ("absent", "computing")
    assert "computes it now" in seen[0].why and seen[0].lease_for > ZERO


# -- idempotency


async def test_claims_tell_how_far_they_came(hx: Any, clock: FixedClock) -> None:
    look = hx.idempotency.inspector
    assert (await look.claim("k", PAY)).state == "unknown"
    started = await hx.idempotency.begin("k", PAY)
    assert isinstance(started, Started)
    await hx.idempotency.renew(started, point="charging")
    clock.advance(timedelta(seconds=10))
    state = await look.claim("k", PAY)
    assert (state.state, state.point, state.fence, state.lease_left) == (
        "running",
        "charging",
        1,
        timedelta(seconds=20),
    )
    assert (state.age, state.status) == (timedelta(seconds=10), 0)
    clock.advance(timedelta(seconds=30))
    assert (await look.claim("k", PAY)).state == "lapsed"
    (stuck,) = (await look.unfinished()).claims
    assert (stuck.state, stuck.record) == ("lapsed", state.record)
    await hx.idempotency.complete(started, Response(201, b"a secret answer"))
    state = await look.claim("k", PAY)
    assert (state.state, state.status) == ("done", 201)
    assert "secret" not in plain(state)
    assert (await look.unfinished()).claims == ()


async def test_unfinished_claims_are_found_page_by_page(hx: Any, raw: redis.Redis) -> None:
    for number in range(3):
        await hx.idempotency.begin(f"k{number}", PAY)
    raw.set("idem:{x}:other", "not ours")
    with raw.pipeline(transaction=False) as pipe:
        for number in range(12_000):
            pipe.set(f"filler:{number}", 1)
        pipe.execute()
    cursor, found, pages = "", [], 0
    while True:
        page = await hx.idempotency.inspector.unfinished(cursor=cursor)
        found += page.claims
        cursor, pages = page.cursor, pages + 1
        if not cursor:
            break
    assert pages > 1
    assert len({claim.record for claim in found}) == 3
    for odd in ("-1", "x", "1" * 30):
        with pytest.raises(Misuse):
            await hx.idempotency.inspector.unfinished(cursor=odd)


async def test_claims_of_one_user_are_found_with_those_that_are_done(hx: Any, clock: FixedClock) -> None:
    started = await hx.idempotency.begin("k1", PAY)
    await hx.idempotency.complete(started, Response(201, b"a secret answer"))
    clock.advance(timedelta(seconds=10))
    await hx.idempotency.begin("k2", PAY)
    await hx.idempotency.begin("k3", Scope("u10", "POST", "/pay"))
    page = await hx.idempotency.inspector.of_principal("u1")
    assert [(claim.state, claim.status) for claim in page.claims] == [("done", 201), ("running", 0)]
    assert all("{u1}" in claim.record for claim in page.claims) and page.cursor == "" and "secret" not in plain(page)
    assert (await hx.idempotency.inspector.of_principal("u*")).claims == ()


async def test_a_claim_whose_owner_is_gone_is_given_back(hx: Any, clock: FixedClock) -> None:
    look, idempotency = hx.idempotency.inspector, hx.idempotency
    gone = await idempotency.begin("k", PAY)
    await idempotency.renew(gone, point="charging")
    claim = await look.claim("k", PAY)
    same = await look.of_record(claim.record)
    assert (same.state, same.point, same.fence) == ("running", "charging", 1)
    with pytest.raises(Conflict, match="its owner lives: the lease holds for 30 s"):
        await look.release(claim.record, fence=1)
    clock.advance(MINUTE)
    assert isinstance(await idempotency.begin("k", PAY), Orphaned)
    with pytest.raises(Conflict, match="another owner"):
        await look.release(claim.record, fence=2)
    for _ in range(2):
        await look.release(claim.record, fence=1)
    assert (await look.claim("k", PAY)).state == "released"
    assert (await look.unfinished()).claims[0].state == "released"
    assert isinstance(await idempotency.begin("k", PAY, body=b"another request"), Mismatch)
    after = await idempotency.begin("k", PAY)
    assert (after.fence, after.point) == (2, "charging")
    assert not await idempotency.renew(gone) and not await idempotency.complete(gone, Response(500))
    clock.advance(MINUTE)
    assert isinstance(await idempotency.begin("k", PAY), Orphaned)  # what was given back was the first owner's
    await idempotency.complete(after, Response(201, b"answer"))
    with pytest.raises(Conflict, match="it is done"):
        await look.release(claim.record, fence=2)
    assert (await idempotency.begin("k", PAY)).response.body == b"answer"
    with pytest.raises(NotFound):
        await look.release(claim.record[:-32] + "0" * 32, fence=1)


async def test_an_owner_that_comes_back_before_the_next_request_keeps_what_was_given_back(
    hx: Any, clock: FixedClock
) -> None:
    look, idempotency = hx.idempotency.inspector, hx.idempotency
    slow = await idempotency.begin("k", PAY)
    clock.advance(MINUTE)
    await look.release((await look.claim("k", PAY)).record, fence=1)
    await idempotency.renew(slow, point="charged")
    assert (await look.claim("k", PAY)).state == "running"
    clock.advance(MINUTE)
    assert isinstance(await idempotency.begin("k", PAY), Orphaned)
    await look.release((await look.claim("k", PAY)).record, fence=1)
    await idempotency.complete(slow, Response(201, b"answer"))
    assert (await idempotency.begin("k", PAY)).response.body == b"answer"


async def test_events_that_are_stuck_are_found_and_need_no_release(hx: Any, clock: FixedClock) -> None:
    look, provider = hx.idempotency.inspector, Provider(name="paystack", verify=lambda *_: True)
    await hx.idempotency.begin_event(provider, "e1")
    await hx.idempotency.begin("k", PAY)
    clock.advance(MINUTE * 2)
    (stuck,) = (await look.unfinished_events()).claims
    assert (stuck.state, stuck.record) == ("lapsed", (await look.event("paystack", "e1")).record)
    assert len((await look.unfinished()).claims) == 1
    with pytest.raises(Misuse, match="needs no release"):
        await look.release(stuck.record, fence=1)
    with pytest.raises(Misuse):
        await look.release("asynq:{default}:pending", fence=1)
    assert isinstance(await hx.idempotency.begin_event(provider, "e1"), Started)


async def test_a_page_of_claims_is_bounded_however_many_there_are(url: str, raw: redis.Redis) -> None:
    with raw.pipeline(transaction=False) as pipe:
        for number in range(3_000):
            pipe.hset(f"idem:{{u{number}}}:POST:k", mapping={"st": "run" if number % 3 else "done", "cre": 1})
        pipe.execute()
    calls, cursor, found = Calls(), "0-0", list[str]()
    async with HustleX(url, secret=SECRET, timeout=PATIENCE, hook=calls) as hx:
        while cursor:
            calls.clear()
            page = await hx.idempotency.inspector.unfinished(cursor=cursor)
            assert len(page.claims) < 1_000 and len(calls.sent) <= 45
            found += [claim.record for claim in page.claims]
            cursor = page.cursor
    assert sorted(set(found)) == sorted(f"idem:{{u{number}}}:POST:k" for number in range(3_000) if number % 3)


# -- PINs


async def test_a_locked_pin_is_told(hx: Any, clock: FixedClock) -> None:
    assert (await hx.pins.inspector.user("u1")).left == 5
    verifier = (await hx.pins.hash("u1", "4821")).verifier
    await hx.pins.verify("u1", "4822", verifier)
    state = await hx.pins.inspector.user("u1")
    assert (state.wrong, state.left, state.locked_for, state.locks) == (1, 4, ZERO, 0)
    for _ in range(4):
        await hx.pins.verify("u1", "4822", verifier)
    state = await hx.pins.inspector.user("u1")
    assert (state.left, state.locks) == (0, 1) and state.locked_for > ZERO
    await hx.pins.reset("u1")
    assert (await hx.pins.inspector.user("u1")).left == 5


# -- events


async def test_who_listens(url: str) -> None:
    async with HustleX(url, prefix="app:", timeout=PATIENCE) as hx:
        assert await hx.events.inspector.listeners("orders:42") == 0
        async with hx.events.channel("orders:{order_id}", int).subscribe(order_id=42):
            assert await hx.events.inspector.listeners("orders:42") == 1
        with pytest.raises(Misuse):
            await hx.events.inspector.listeners("orders")
