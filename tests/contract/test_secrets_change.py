"""The root secret is changed while everything goes on: what was begun under the old one is finished under the new."""

from __future__ import annotations

import logging
from base64 import b32decode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import jwt
import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock
from hustlex.errors import BadReply, ConfigurationError
from hustlex.idempotency import (
    IdempotencyOptions,
    InFlight,
    Mismatch,
    Orphaned,
    Replay,
    Response,
    Scope,
    Started,
    webhooks,
)
from hustlex.otp import Cooldown, Gone, Granted, OtpOptions, Policy, Reason, SubjectLocked, Verified, Wrong
from hustlex.otp.totp import hotp
from hustlex.pins import PinOk, PinWrong
from hustlex.sync import HustleX as BlockingHustleX
from hustlex.tokens import Access, How, Refreshed, RefreshRefused, Refusal, Rejected, Rejection
from tests.conftest import PATIENCE, SECRET
from tests.support.blocking import Blocking
from tests.support.otp import PHONE, code_of, everything, sent, verified, wrong

A, B = SECRET, b"the next secret, also of thirty-two bytes"
BEFORE: dict[str, Any] = {"secret": A}
READY: dict[str, Any] = {"secret": A, "old_secrets": [B], "reference_secret": A}
CHANGED: dict[str, Any] = {"secret": B, "old_secrets": [A], "reference_secret": A}
AFTER: dict[str, Any] = {"secret": B, "reference_secret": A}

UNKNOWN = Gone(Reason.UNKNOWN)
PAY = Scope("ada@example.com", "POST", "/pay")
POLICIES = {"login": Policy(), "quick": Policy(binding="subject", sends=3)}
ROOMS: dict[str, Any] = {"otp": OtpOptions(policies=POLICIES, caps=None)}
Fronts = Callable[[dict[str, Any]], Any]


@pytest.fixture(params=["aio", "blocking"])
async def front(request: pytest.FixtureRequest, url: str, clock: FixedClock) -> AsyncIterator[Fronts]:
    """Makes fronts of processes that were told these secrets."""
    async with AsyncExitStack() as stack:

        def make(told: dict[str, Any]) -> Any:
            if request.param == "aio":
                made = HustleX(url, timeout=PATIENCE, clock=clock, **told, **ROOMS)
                stack.push_async_callback(made.close)
                return made
            blocking = BlockingHustleX(url, timeout=PATIENCE, clock=clock, **told, **ROOMS)
            stack.callback(blocking.close)
            return Blocking(blocking)

        yield make


# -- codes


@pytest.mark.parametrize(("one", "two"), [(BEFORE, CHANGED), (READY, CHANGED), (CHANGED, READY)])
async def test_a_code_is_finished_where_both_secrets_are_listed(
    front: Fronts, clock: FixedClock, one: Any, two: Any
) -> None:
    here, there = front(one), front(two)
    issued = await sent(here.otp)
    assert isinstance(await there.otp.issue(PHONE), Cooldown)  # one phone, whatever the secret
    code = await code_of(there.otp, issued.challenge)
    assert code == await code_of(here.otp, issued.challenge)
    assert isinstance(await there.otp.verify(issued.challenge, wrong(code)), Wrong)
    clock.advance(timedelta(seconds=60))
    resent = await there.otp.resend(issued.challenge)
    assert resent.challenge == issued.challenge
    right = await there.otp.verify(resent.challenge, code, nonce="n" * 22, remember=True)
    assert isinstance(right, Verified)
    again = await here.otp.verify(resent.challenge, code, nonce="n" * 22, remember=True)
    assert (again.replayed, again.grant, again.device) == (True, right.grant, right.device)
    assert isinstance(await there.otp.consume_grant(right.grant, "login"), Granted)
    clock.advance(timedelta(minutes=2))
    assert (await sent(there.otp, device=right.device)).challenge.endswith(".k")


async def test_a_new_generation_of_an_old_code_is_the_old_secrets(front: Fronts, clock: FixedClock) -> None:
    issued = await sent(front(BEFORE).otp)
    first = await code_of(front(BEFORE).otp, issued.challenge)
    clock.advance(timedelta(seconds=200))
    changed = front(CHANGED)
    assert (await changed.otp.resend(issued.challenge)).new_code
    assert await code_of(changed.otp, issued.challenge) != first
    await verified(changed.otp, issued)


@pytest.mark.parametrize(("one", "two"), [(BEFORE, CHANGED), (CHANGED, READY)])
async def test_a_code_known_by_its_phone_is_finished(front: Fronts, one: Any, two: Any) -> None:
    here, there = front(one), front(two)
    code = await code_of(here.otp, (await sent(here.otp, purpose="quick")).challenge)
    assert isinstance(await there.otp.verify_phone(PHONE, code, "quick"), Verified)
    assert await there.otp.verify_phone(PHONE, code, "quick") == Gone(Reason.USED)


async def test_a_code_of_a_secret_that_is_not_listed_is_unknown(front: Fronts, raw: redis.Redis) -> None:
    before, after = front(BEFORE), front(AFTER)
    issued = await sent(before.otp)
    code = await code_of(before.otp, issued.challenge)
    held = everything(raw)
    assert await after.otp.verify(issued.challenge, code) == UNKNOWN
    assert await after.otp.open(issued.challenge) == UNKNOWN
    assert await after.otp.resend(issued.challenge) == UNKNOWN
    assert not await after.otp.cancel(issued.challenge)
    assert everything(raw) == held
    right = await before.otp.verify(issued.challenge, code)
    with pytest.raises(BadReply, match="not listed"):
        await after.otp.consume_grant(right.grant, "login")


async def test_a_client_that_names_another_secret_gains_nothing(front: Fronts) -> None:
    changed = front(CHANGED)
    issued = await sent(changed.otp)
    code = await code_of(changed.otp, issued.challenge)
    edited = issued.challenge.replace(Keyring(B).kid, Keyring(A).kid)
    assert edited != issued.challenge
    assert isinstance(await changed.otp.verify(edited, code), Wrong)
    assert await code_of(changed.otp, edited) == code  # the job opens what the record says, whatever the client


async def test_locks_are_kept(front: Fronts, clock: FixedClock) -> None:
    before = front(BEFORE)
    for _ in range(3):
        clock.advance(timedelta(minutes=6))
        issued = await sent(before.otp)
        code = await code_of(before.otp, issued.challenge)
        for step in range(1, 6):
            await before.otp.verify(issued.challenge, wrong(code, step))
    clock.advance(timedelta(seconds=61))
    assert isinstance(await front(CHANGED).otp.issue(PHONE), SubjectLocked)
    assert isinstance(await front(AFTER).otp.issue(PHONE), SubjectLocked)


async def test_totp_reseal_after_a_change_of_secret(front: Fronts, clock: FixedClock) -> None:
    enrolled = front(BEFORE).otp.totp_enrol("ada@example.com", issuer="Hustle", account="ada")
    changed, after = front(CHANGED), front(AFTER)

    async def accepted(otp: Any, sealed: str) -> bool:
        clock.advance(timedelta(seconds=90))
        code = hotp(b32decode(enrolled.secret), clock() // 30_000)
        return isinstance(await otp.totp_verify("ada@example.com", sealed, code), Verified)

    assert await accepted(changed.otp, enrolled.sealed)
    renewed = changed.otp.totp_reseal("ada@example.com", enrolled.sealed)
    assert await accepted(after.otp, renewed)
    assert await accepted(front({"secret": B}).otp, renewed)  # whatever the names come from
    with pytest.raises(BadReply, match="not listed"):
        await accepted(after.otp, enrolled.sealed)
    with pytest.raises(BadReply):
        changed.otp.totp_reseal("bob@example.com", enrolled.sealed)


# -- tokens


async def login(hx: Any) -> Any:
    return await hx.tokens.login("ada@example.com", client_id="app")


async def turned(hx: Any, token: str, how: How = How.ROTATED) -> Any:
    answer = await hx.tokens.refresh(token, client_id="app")
    assert isinstance(answer, Refreshed) and answer.how is how, answer
    return answer.pair


@pytest.mark.parametrize(("one", "two"), [(BEFORE, CHANGED), (READY, CHANGED), (CHANGED, READY)])
async def test_a_session_goes_on(front: Fronts, clock: FixedClock, one: Any, two: Any) -> None:
    here, there = front(one), front(two)
    pair = await login(here)
    for mode in ("strict", "bounded", "stateless"):
        assert isinstance(await there.tokens.check(pair.access, mode=mode), Access)
    clock.advance(timedelta(minutes=2))
    second = await turned(there, pair.refresh)
    assert second.refresh.split(".")[1] == Keyring(two["secret"]).kid
    assert len(await there.tokens.sessions("ada@example.com")) == 1
    assert (await there.tokens.revoke_all("ada@example.com")).ended == 1
    assert isinstance(await there.tokens.check(pair.access, mode="strict"), Rejected)


@pytest.mark.parametrize(("rotates", "replays"), [(READY, CHANGED), (CHANGED, READY)])
async def test_a_replay_on_the_other_side_gives_the_same_successor(
    front: Fronts, clock: FixedClock, rotates: Any, replays: Any
) -> None:
    for first in (READY, CHANGED):
        pair = await login(front(first))
        clock.advance(timedelta(minutes=2))
        second = await turned(front(rotates), pair.refresh)
        again = await turned(front(replays), pair.refresh, How.REPLAYED)
        assert again.refresh == second.refresh
        clock.advance(timedelta(minutes=2))
        await turned(front(replays), second.refresh)


async def test_two_sides_side_by_side_never_lose_a_session(front: Fronts, clock: FixedClock) -> None:
    sides = [front(READY), front(CHANGED)]
    pair = await login(sides[0])
    for turn in range(24):
        side = sides[turn * turn % 5 % 2]
        assert isinstance(await side.tokens.check(pair.access, mode="strict"), Access)
        clock.advance(timedelta(minutes=2))
        pair = await turned(side, pair.refresh)


async def test_tokens_of_a_secret_that_is_not_listed_are_refused(front: Fronts, clock: FixedClock) -> None:
    before, changed, after = front(BEFORE), front(CHANGED), front(AFTER)
    pair = await login(before)
    assert await after.tokens.check(pair.access) == Rejected(Rejection.UNKNOWN_KID)
    assert await after.tokens.refresh(pair.refresh, client_id="app") == RefreshRefused(Refusal.MALFORMED)
    clock.advance(timedelta(minutes=2))
    second = await turned(changed, pair.refresh)
    # A process that was never told of the new secret: nothing is given, and nobody is logged out for it.
    assert await before.tokens.refresh(second.refresh, client_id="app") == RefreshRefused(Refusal.MALFORMED)
    with pytest.raises(BadReply, match="not listed"):
        await before.tokens.refresh(pair.refresh, client_id="app")
    clock.advance(timedelta(minutes=2))
    await turned(after, second.refresh)


async def test_the_next_key_is_published_before_it_signs(front: Fronts) -> None:
    published = {key["kid"] for key in (await front(READY).tokens.jwks())["keys"]}
    signing = [key for key in await front(CHANGED).tokens.rotate_keys() if key.stage == "active"]
    assert {key.kid for key in signing} <= published


async def test_a_leaked_secret_signs_nothing_more_but_logs_nobody_out(front: Fronts, clock: FixedClock) -> None:
    changed, other = front(CHANGED), front(CHANGED)
    pair = await login(front(BEFORE))
    await changed.tokens.retire_key(jwt.get_unverified_header(pair.access)["kid"])
    for _ in range(3):  # nor do its keys to come
        clock.advance(timedelta(hours=1))
        await changed.tokens.rotate_keys()
    with pytest.raises(ConfigurationError, match="retired"):
        await login(front(READY))  # nor where it is still in use
    fresh = await turned(changed, pair.refresh)
    trusted = {key["kid"] for key in (await other.tokens.jwks())["keys"]}
    assert jwt.get_unverified_header(pair.access)["kid"] not in trusted
    assert jwt.get_unverified_header(fresh.access)["kid"] in trusted
    assert isinstance(await other.tokens.check(fresh.access, mode="strict"), Access)


# -- idempotency, events


async def begun(hx: Any, body: bytes = b'{"amount":1}') -> Any:
    return await hx.idempotency.begin("k" * 8, PAY, body=body)


@pytest.mark.parametrize(("one", "two"), [(BEFORE, CHANGED), (READY, CHANGED), (CHANGED, READY)])
async def test_a_payment_is_never_made_twice(front: Fronts, clock: FixedClock, one: Any, two: Any) -> None:
    here, there = front(one), front(two)
    started = await begun(here)
    assert isinstance(await begun(there), InFlight)
    assert isinstance(await begun(there, b'{"amount":2}'), Mismatch)
    clock.advance(IdempotencyOptions().lease + timedelta(seconds=1))
    orphan = await begun(there)
    assert isinstance(orphan, Orphaned)
    taken = await there.idempotency.begin("k" * 8, PAY, body=b'{"amount":1}', over=orphan)
    assert isinstance(taken, Started) and taken.fence == started.fence + 1
    assert await there.idempotency.complete(taken, Response(201, b"paid"))
    for hx in (here, there) if one is not BEFORE else (there,):
        kept = await begun(hx)
        assert isinstance(kept, Replay) and (kept.response.status, kept.response.body) == (201, b"paid")
        assert isinstance(await begun(hx, b'{"amount":2}'), Mismatch)


async def test_a_payment_of_a_secret_that_is_not_listed_is_an_error_and_not_a_mismatch(front: Fronts) -> None:
    before, after = front(BEFORE), front(AFTER)
    for here, there in ((before, after), (after, before)):
        key = Keyring(B).kid if here is after else "first"
        started = await here.idempotency.begin(key, PAY, body=b"{}")
        for _ in range(2):
            with pytest.raises(BadReply, match="not listed"):
                await there.idempotency.begin(key, PAY, body=b"{}")
            await here.idempotency.complete(started, Response(200, b"yes"))


async def test_an_event_is_handled_once(front: Fronts) -> None:
    provider = webhooks.Provider(name="paystack", verify=lambda *_: True)
    started = await front(BEFORE).idempotency.begin_event(provider, "evt_1")
    assert isinstance(started, Started)
    assert isinstance(await front(CHANGED).idempotency.begin_event(provider, "evt_1"), InFlight)


# -- PINs


async def test_a_pin_is_right_and_wants_to_be_hashed_again(front: Fronts) -> None:
    before, changed, ready, after = (front(told) for told in (BEFORE, CHANGED, READY, AFTER))
    stored = (await before.pins.hash("ada@example.com", "482193")).verifier
    assert await before.pins.verify("ada@example.com", "482193", stored) == PinOk(rehash=False)
    assert await changed.pins.verify("ada@example.com", "482193", stored) == PinOk(rehash=True)
    assert isinstance(await changed.pins.verify("ada@example.com", "482194", stored), PinWrong)
    renewed = (await changed.pins.hash("ada@example.com", "482193")).verifier
    assert await after.pins.verify("ada@example.com", "482193", renewed) == PinOk(rehash=False)
    assert await ready.pins.verify("ada@example.com", "482193", renewed) == PinOk(rehash=True)


async def test_a_pin_of_a_secret_that_is_not_listed_locks_nobody(front: Fronts, raw: redis.Redis) -> None:
    stored = (await front(BEFORE).pins.hash("u1", "482193")).verifier
    after = front(AFTER)
    for _ in range(10):
        with pytest.raises(ConfigurationError, match="not listed"):
            await after.pins.verify("u1", "482193", stored)
    assert raw.dbsize() == 0


# -- nothing is shown


async def test_no_secret_and_no_key_is_ever_shown(
    front: Fronts, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    changed, after = front(CHANGED), front(AFTER)
    pair = await login(changed)
    issued = await sent(changed.otp)
    stored = (await front(BEFORE).pins.hash("u1", "482193")).verifier
    seen: list[Any] = [changed, changed.reference("x"), pair, issued, stored, everything(raw)]
    for act in (after.pins.verify("u1", "482193", stored), begun(after)):
        try:
            seen.append(await act)
        except ConfigurationError as error:
            seen += [error, error.args, error.__cause__, error.__context__]
    text = "".join(f"{each!r}{each!s}" for each in seen) + caplog.text
    labels = ("otp-derive", "otp-mac", "pii-seal", "ref", "rt-tag", "rt-next", "idem-print", "idem-seal", "pin-pepper")
    for secret in (A, B):
        keys = [secret, *(Keyring(secret).key(label) for label in labels)]
        for key in keys:
            assert key.hex() not in text and repr(key)[2:-1] not in text
