"""Proofs of possession on a real server: each counts once, and a bound session is good with its key only."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import jwt
import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.tokens import (
    Access,
    BadProof,
    Flaw,
    Proven,
    Refreshed,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
    TokenPair,
)
from tests.support.dpop import Holder, b64

URL = "https://api.example.com/transfers"
NO_PROOF = Rejected(Rejection.BINDING_MISMATCH)


async def bound(hx: Any, holder: Holder) -> TokenPair:
    pair = await hx.tokens.login("u1", jkt=holder.jkt)
    assert isinstance(pair, TokenPair)
    return pair


def seconds(clock: FixedClock) -> int:
    return clock.now_ms // 1000


async def test_a_proof_names_its_key_and_counts_once(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    holder = Holder()
    proof = holder.proof("POST", URL, seconds(clock))
    assert await hx.tokens.prove(proof, "POST", f"{URL}?amount=1#top") == Proven(holder.jkt)
    assert await hx.tokens.prove(proof, "POST", URL) == BadProof(Flaw.REPLAYED)
    (key,) = raw.keys("dpop:*")
    assert key.startswith(f"dpop:{{{holder.jkt}}}:".encode())
    assert 59_000 < raw.pttl(key) <= 60_001
    assert jwt.decode(proof, options={"verify_signature": False})["jti"].encode() not in key


async def test_of_a_hundred_equal_proofs_at_once_one_counts(hx: Any, clock: FixedClock) -> None:
    proof = Holder().proof("POST", URL, seconds(clock))
    answers = await asyncio.gather(*[hx.tokens.prove(proof, "POST", URL) for _ in range(100)])
    assert Counter(type(answer) for answer in answers) == {Proven: 1, BadProof: 99}


@pytest.mark.parametrize(("age", "good"), [(60, True), (61, False), (-5, True), (-6, False)])
async def test_a_proof_is_fresh_for_a_minute(hx: Any, clock: FixedClock, age: int, good: bool) -> None:
    holder = Holder()
    seen = await hx.tokens.prove(holder.proof("GET", URL, seconds(clock) - age), "GET", URL)
    assert seen == (Proven(holder.jkt) if good else BadProof(Flaw.STALE))


async def test_the_replay_guard_outlasts_the_proof(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    proof = Holder().proof("GET", URL, seconds(clock) + 5)
    assert isinstance(await hx.tokens.prove(proof, "GET", URL), Proven)
    assert 64_000 < raw.pttl(raw.keys("dpop:*")[0]) <= 65_001
    clock.advance(timedelta(seconds=65))
    assert await hx.tokens.prove(proof, "GET", URL) == BadProof(Flaw.REPLAYED)
    clock.advance(timedelta(milliseconds=1))
    assert await hx.tokens.prove(proof, "GET", URL) == BadProof(Flaw.STALE)


async def test_what_is_wrong_with_a_proof(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    holder, other, now = Holder(), Holder(), seconds(clock)
    private = dict(holder.jwk, d="AAAA")
    small = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
    good = holder.proof("GET", URL, now)
    unsigned = b64(json.dumps({"typ": "dpop+jwt", "alg": "none", "jwk": holder.jwk}).encode())
    cases: list[tuple[str, Flaw]] = [
        ("", Flaw.MALFORMED), ("a.b.c", Flaw.MALFORMED), ("x" * 9000, Flaw.MALFORMED),
        (f"{good}, {good}", Flaw.MALFORMED),
        (holder.proof("GET", URL, now, header={"typ": "JWT"}), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, header={"jwk": None}), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, header={"jwk": "x"}), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, header={"kid": "k"}), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, header={"jwk": private}), Flaw.BAD_KEY),
        (holder.proof("GET", URL, now, header={"jwk": {"kty": "oct", "k": "AAAA"}}), Flaw.BAD_KEY),
        (holder.proof("GET", URL, now, header={"jwk": {"kty": "EC"}}), Flaw.BAD_KEY),
        (holder.proof("GET", URL, now, header={"jwk": small}), Flaw.BAD_KEY),
        (holder.proof("GET", URL, now, header={"jwk": other.jwk}), Flaw.BAD_SIGNATURE),
        (good[:-4] + "AAAA", Flaw.BAD_SIGNATURE),
        (jwt.encode({"jti": "1"}, "k" * 32, "HS256", {"typ": "dpop+jwt", "jwk": holder.jwk}), Flaw.BAD_KEY),
        (f"{unsigned}.{good.partition('.')[2]}", Flaw.BAD_KEY),
        (holder.proof("GET", URL, now, jti=None), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, jti=""), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, jti="x" * 257), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, iat=None), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, iat=now + 0.5), Flaw.MALFORMED),
        (holder.proof("GET", URL, now, htm="POST"), Flaw.WRONG_REQUEST),
        (holder.proof("GET", URL, now, htm="get"), Flaw.WRONG_REQUEST),
        (holder.proof("GET", "https://api.example.com/transfers/", now), Flaw.WRONG_REQUEST),
        (holder.proof("GET", "http://api.example.com/transfers", now), Flaw.WRONG_REQUEST),
        (holder.proof("GET", "https://evil.example.com/transfers", now), Flaw.WRONG_REQUEST),
        (holder.proof("GET", "https://api.example.com/%2Ftransfers", now), Flaw.WRONG_REQUEST),
        (holder.proof("GET", "https://api.example.com:99999999/transfers", now), Flaw.WRONG_REQUEST),
    ]  # fmt: skip
    for proof, flaw in cases:
        assert await hx.tokens.prove(proof, "GET", URL) == BadProof(flaw), proof
    assert not raw.keys("dpop:*")
    same = holder.proof("GET", "HTTPS://API.example.com:443/%74ransfers?x=1", now)
    assert await hx.tokens.prove(same, "GET", URL) == Proven(holder.jkt)
    escaped = holder.proof("GET", f"{URL}/a%2fb%20c", now)
    assert await hx.tokens.prove(escaped, "GET", f"{URL}/%61%2Fb%20c") == Proven(holder.jkt)


async def test_a_proof_belongs_to_one_access_token(hx: Any, clock: FixedClock) -> None:
    holder, now = Holder(), seconds(clock)
    proofs = [holder.proof("GET", URL, now, **said) for said in ({}, {"access": "another"}, {"ath": "\ud800"})]
    for proof in proofs:
        assert await hx.tokens.prove(proof, "GET", URL, access="the token") == BadProof(Flaw.WRONG_TOKEN)
    proof = holder.proof("GET", URL, now, access="the token")
    assert await hx.tokens.prove(proof, "GET", URL, access="the token") == Proven(holder.jkt)


async def test_introspect_and_check_a_bound_token_with_its_key_only(hx: Any) -> None:
    holder, other = Holder(), Holder()
    pair = await bound(hx, holder)
    for mode in ("strict", "bounded", "stateless"):
        seen = await hx.tokens.check(pair.access, mode=mode, jkt=holder.jkt)
        assert isinstance(seen, Access) and seen.jkt == holder.jkt
        assert await hx.tokens.check(pair.access, mode=mode) == NO_PROOF
        assert await hx.tokens.check(pair.access, mode=mode, jkt=other.jkt) == NO_PROOF
    plain = await hx.tokens.login("u1")
    assert isinstance(plain, TokenPair)
    assert await hx.tokens.check(plain.access, jkt=holder.jkt) == NO_PROOF
    told = await hx.tokens.introspect(pair.access)
    assert isinstance(told, Access) and told.jkt == holder.jkt


@pytest.mark.parametrize("key", ["", "other"])
async def test_a_bound_refresh_token_without_its_key_ends_the_session(hx: Any, key: str) -> None:
    holder = Holder()
    pair = await bound(hx, holder)
    seen = await hx.tokens.refresh(pair.refresh, jkt=holder.jkt)
    assert isinstance(seen, Refreshed)
    access = await hx.tokens.check(seen.pair.access, mode="strict", jkt=holder.jkt)
    assert isinstance(access, Access) and access.jkt == holder.jkt
    assert await hx.tokens.refresh(seen.pair.refresh, jkt=key) == RefreshRefused(Refusal.BINDING_MISMATCH)
    assert await hx.tokens.refresh(seen.pair.refresh, jkt=holder.jkt) == RefreshRefused(Refusal.REVOKED, "binding")
    ended = await hx.tokens.check(seen.pair.access, mode="strict", jkt=holder.jkt)
    assert ended == Rejected(Rejection.SESSION_REVOKED, "binding")


async def test_a_session_without_a_key_is_not_bound_later(hx: Any) -> None:
    pair = await hx.tokens.login("u1")
    assert isinstance(pair, TokenPair)
    seen = await hx.tokens.refresh(pair.refresh, jkt=Holder().jkt)
    assert isinstance(seen, Refreshed)
    assert isinstance(await hx.tokens.check(seen.pair.access, mode="strict"), Access)
