"""One id is one id, in whatever type a caller has it: what was said under one spelling is seen under every other."""

from __future__ import annotations

import uuid
from base64 import b32decode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.idempotency import Executed, InFlight, Replay, Response, Scope, Seen, Started
from hustlex.idempotency.webhooks import Provider
from hustlex.otp import Gone, Issued, Verified
from hustlex.otp.totp import hotp
from hustlex.pins import PinHashed, PinOk
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.tokens import Access, Rejected, TokenPair
from tests.conftest import PATIENCE
from tests.support.ids import spellings

MINUTE = timedelta(minutes=1)
IDS: list[Any] = [7, "gold", uuid.UUID(int=7), "a@b.example"]
PROVIDER = Provider(name="paystack", verify=lambda _body, _headers: True)


@pytest.fixture
def rooms() -> dict[str, Any]:
    return {"ratelimit": RateLimitOptions(timeout=timedelta(seconds=10), exempt=frozenset({7}))}


@pytest.mark.parametrize("identity", IDS, ids=str)
async def test_sessions_and_revocations(hx: Any, identity: Any) -> None:
    for written in spellings(identity):
        pair = await hx.tokens.login(written, client_id=written if identity == "gold" else "app")
        assert isinstance(pair, TokenPair)
        for read in spellings(identity):
            assert pair.session_id in [each.session_id for each in await hx.tokens.sessions(read)]
            for mode in ("stateless", "strict"):
                checked = await hx.tokens.check(pair.access, mode=mode)
                assert isinstance(checked, Access) and checked.user_id == str(identity)
                assert type(checked.user_id) is str
            assert await hx.tokens.set_data(read, pair.session_id, {"by": str(read)[:9]})
            assert await hx.tokens.data(written, pair.session_id)
        await hx.tokens.revoke_all(spellings(identity)[2])
        assert isinstance(await hx.tokens.check(pair.access, mode="strict"), Rejected)


@pytest.mark.parametrize("identity", [8, "gold", uuid.UUID(int=8)], ids=str)
async def test_limits_of_a_caller(hx: Any, identity: Any) -> None:
    policy = Policy("spelled", len(spellings(identity)) * len(spellings("pay")), MINUTE)
    for endpoint in spellings("pay"):
        for who in spellings(identity):
            assert (await hx.ratelimit.check(policy, who, endpoint=endpoint)).allowed
    assert not (await hx.ratelimit.check_all([(policy, spellings(identity)[1], spellings("pay")[1])])).allowed
    full = Policy("full", 1, MINUTE)
    assert (await hx.ratelimit.check(full, identity, endpoint="/full")).allowed
    for who in spellings(identity):
        assert not (await hx.ratelimit.peek(full, who, endpoint="/full")).allowed
        assert not (await hx.ratelimit.check(full, who, endpoint="/full")).allowed
        assert await hx.ratelimit.reset(full, who, endpoint="/full")
        assert (await hx.ratelimit.check(full, spellings(identity)[1], endpoint="/full")).allowed


async def test_exemptions(hx: Any) -> None:
    policy = Policy("never", 1, MINUTE)
    for who in spellings(7) * 2:
        assert (await hx.ratelimit.check(policy, who, endpoint="/pay")).allowed


@pytest.mark.parametrize("identity", IDS, ids=str)
async def test_idempotency_keys_scopes_and_events(hx: Any, identity: Any) -> None:
    runs = 0

    async def pay(_: Started) -> Response:
        nonlocal runs
        runs += 1
        return Response(200, b"paid")

    for who in spellings(identity):
        for key in spellings(42):
            done = await hx.idempotency.run(key, Scope(who, "POST", "/pay"), pay)
            assert isinstance(done, Executed | Replay)
    for route in spellings("gold"):
        await hx.idempotency.run("one", Scope("u1", "POST", route), pay)
    assert runs == 2
    first, *rest = [await hx.idempotency.begin_event(PROVIDER, each) for each in spellings(identity)]
    assert isinstance(first, Started)
    assert all(isinstance(again, InFlight | Seen) for again in rest)


@pytest.mark.parametrize("identity", IDS, ids=str)
async def test_cached_values_and_their_invalidation(hx: Any, identity: Any) -> None:
    users = hx.cache("user", int, ttl=MINUTE, timeout=timedelta(seconds=5))

    async def one() -> int:
        return 1

    for gone in spellings(identity):
        for written in spellings(identity)[:3]:
            await users.set(written, 3)
            assert [await users.get(read) for read in spellings(identity)] == [3] * len(spellings(identity))
            await users.set(("of", written), 4)
            assert await users.get(("of", gone)) == 4
            assert await users.get_or_compute(("of", gone), one) == 4
            await users.delete(gone, ("of", gone))
            assert await users.get(written) is None
            assert await users.get(("of", written)) is None


@pytest.mark.parametrize("identity", IDS, ids=str)
async def test_events_reach_who_listens(front: Any, identity: Any) -> None:
    orders = front.events.channel("orders:{order_id}", int)
    for heard in spellings(identity):
        async with orders.subscribe(order_id=heard) as messages:
            for at, said in enumerate(spellings(identity)):
                await orders.publish(at, order_id=said)
                assert (await anext(messages)).data == at


@pytest.fixture
async def front(url: str) -> Any:
    from hustlex import HustleX

    async with HustleX(url, timeout=PATIENCE) as opened:
        yield opened


@pytest.mark.parametrize("identity", [7, "gold"], ids=str)
async def test_pins(hx: Any, identity: Any) -> None:
    hashed = await hx.pins.hash(spellings(identity)[1], "482915")
    assert isinstance(hashed, PinHashed)
    for who in spellings(identity)[::2]:
        assert isinstance(await hx.pins.verify(who, "482915", hashed.verifier), PinOk)


DOORS: dict[str, Callable[[Any, Any], Any]] = {
    "tokens.login": lambda hx, odd: hx.tokens.login(odd),
    "tokens.login client_id": lambda hx, odd: hx.tokens.login("u1", client_id=odd),
    "tokens.sessions": lambda hx, odd: hx.tokens.sessions(odd),
    "tokens.revoke_session": lambda hx, odd: hx.tokens.revoke_session(odd, "x" * 22),
    "tokens.revoke_all": lambda hx, odd: hx.tokens.revoke_all(odd),
    "tokens.data": lambda hx, odd: hx.tokens.data(odd, "x" * 22),
    "tokens.set_data": lambda hx, odd: hx.tokens.set_data(odd, "x" * 22, {}),
    "ratelimit.check": lambda hx, odd: hx.ratelimit.check(Policy("p", 1, MINUTE), odd, endpoint="/pay"),
    "ratelimit.check endpoint": lambda hx, odd: hx.ratelimit.check(Policy("p", 1, MINUTE), "u1", endpoint=odd),
    "ratelimit.peek": lambda hx, odd: hx.ratelimit.peek(Policy("p", 1, MINUTE), odd, endpoint="/pay"),
    "ratelimit.reset": lambda hx, odd: hx.ratelimit.reset(Policy("p", 1, MINUTE), odd, endpoint="/pay"),
    "ratelimit.check_all": lambda hx, odd: hx.ratelimit.check_all([(Policy("p", 1, MINUTE), odd, "/pay")]),
    "idempotency.begin": lambda hx, odd: hx.idempotency.begin("k", Scope(odd, "POST", "/pay")),
    "cache.get": lambda hx, odd: hx.cache("user", int, ttl=MINUTE).get(odd if odd != () else ((),)),
    "cache.set": lambda hx, odd: hx.cache("user", int, ttl=MINUTE).set(odd, 1),
    "cache.delete": lambda hx, odd: hx.cache("user", int, ttl=MINUTE).delete(("of", odd)),
    "events.publish": lambda hx, odd: hx.events.channel("orders:{it}", int).publish(1, it=odd),
    "pins.hash": lambda hx, odd: hx.pins.hash(odd, "482915"),
    "pins.reset": lambda hx, odd: hx.pins.reset(odd),
}
ODD: list[Any] = [None, True, b"u1", 1.5, [], {}, {1}, "", " ", "a\0b", "a\nb", "\x9f", "\ud800"]


@pytest.mark.parametrize("door", DOORS)
async def test_what_is_no_id_is_refused_at_every_door(hx: Any, door: str) -> None:
    for odd in ODD:
        with pytest.raises(Misuse) as refused:
            await DOORS[door](hx, odd)
        assert refused.value.hint and "\0" not in str(refused.value)


@pytest.mark.parametrize("identity", IDS, ids=str)
async def test_authenticators(hx: Any, clock: FixedClock, identity: Any) -> None:
    first, *others = spellings(identity)
    enrolment = hx.otp.totp_enrol(first, issuer="HustleX", account="ada@example.com")
    secret, seen = b32decode(enrolment.secret), set()
    for written in others:
        sealed = hx.otp.totp_reseal(written, enrolment.sealed)
        codes = [hotp(secret, clock() // 30_000 + off) for off in (0, 1)]
        answer = await hx.otp.totp_verify(written, sealed, codes[len(seen) % 2])
        assert isinstance(answer, Verified | Gone)
        seen.add(type(answer))
    assert seen == {Verified, Gone}, "each step once, whoever asks"


@pytest.mark.parametrize("identity", IDS, ids=str)
async def test_users_of_codes(hx: Any, identity: Any) -> None:
    for number, written in enumerate(spellings(identity)):
        issued = await hx.otp.issue(f"+234803900{IDS.index(identity)}0{number:02}", user_id=written)
        assert isinstance(issued, Issued)
        verified = await hx.otp.verify(issued.challenge, (await hx.otp.open(issued.challenge)).code)
        granted = await hx.otp.consume_grant(verified.grant, "login")
        assert (granted.user_id, type(granted.user_id)) == (str(identity), str)
