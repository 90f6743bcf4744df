"""Signing keys move from stage to stage, and every process follows; a leaked one is shut out at once."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import jwt
import pytest
import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock
from hustlex.errors import ConfigurationError, Unavailable
from hustlex.tokens import Access, KeyInfo, KeySet, Rejected, Rejection, TokenOptions, TokenPair, Tokens
from tests.conftest import SECRET

MINUTE = timedelta(minutes=1)
WAIT, KEEP = 10 * MINUTE, 15 * MINUTE + timedelta(seconds=30) + 5 * MINUTE
UNKNOWN = Rejected(Rejection.UNKNOWN_KID)


async def login(tokens: Any) -> str:
    pair = await tokens.login("u1")
    assert isinstance(pair, TokenPair)
    return pair.access


def kid_of(access: str) -> str:
    kid: str = json.loads(urlsafe_b64decode(access.split(".", maxsplit=1)[0] + "=="))["kid"]
    return kid


def stages(infos: list[KeyInfo]) -> list[str]:
    return [info.stage for info in infos]


def kids(infos: list[KeyInfo], stage: str) -> list[str]:
    return [info.kid for info in infos if info.stage == stage]


async def published(tokens: Any) -> set[str]:
    return {key["kid"] for key in (await tokens.jwks())["keys"]}


def forgotten(tokens: Any) -> None:
    """As if a minute had passed since this process asked which keys are trusted."""
    tokens._signing.due_at = tokens._signing._asked_at = -float("inf")


async def test_a_key_is_published_then_signs_then_only_verifies_then_is_gone(hx: Any, clock: FixedClock) -> None:
    old = await login(hx.tokens)
    infos = await hx.tokens.rotate_keys()
    assert stages(infos) == ["active", "published"] and kids(infos, "active") == [kid_of(old)]
    (upcoming,) = kids(infos, "published")
    assert await published(hx.tokens) == {kid_of(old), upcoming}
    clock.advance(WAIT - timedelta(milliseconds=1))
    assert await hx.tokens.rotate_keys() == infos
    assert kid_of(await login(hx.tokens)) == kid_of(old)

    clock.advance(timedelta(milliseconds=1))
    infos = await hx.tokens.rotate_keys()
    assert stages(infos) == ["retired", "active", "published"] and kids(infos, "active") == [upcoming]
    new = await login(hx.tokens)
    assert kid_of(new) == upcoming
    assert isinstance(await hx.tokens.check(old, mode="strict"), Access)
    assert isinstance(await hx.tokens.check(new, mode="strict"), Access)

    clock.advance(KEEP)
    last = await login(hx.tokens)
    assert kid_of(last) == upcoming
    infos = await hx.tokens.rotate_keys()
    assert stages(infos) == ["retired", "active", "published"]
    assert kid_of(old) not in await published(hx.tokens)
    assert await hx.tokens.check(old, mode="strict") == UNKNOWN
    assert isinstance(await hx.tokens.check(last, mode="strict"), Access)


async def test_rotate_keys_a_hundred_times_at_once_moves_once(hx: Any, clock: FixedClock) -> None:
    await hx.tokens.rotate_keys()
    clock.advance(WAIT)
    answers = await asyncio.gather(*[hx.tokens.rotate_keys() for _ in range(100)])
    assert {tuple(stages(answer)) for answer in answers} == {("retired", "active", "published")}


async def test_another_process_follows(driver: Any, clock: FixedClock) -> None:
    here, there = [Tokens(driver, Keyring(SECRET), clock=clock) for _ in range(2)]
    old = await login(here)
    assert isinstance(await there.check(old, mode="strict"), Access)
    await here.rotate_keys()
    clock.advance(WAIT)
    await here.rotate_keys()
    new = await login(here)
    assert kid_of(new) != kid_of(old)
    for mode in ("stateless", "strict"):
        assert await there.check(new, mode=mode) == UNKNOWN  # it asked less than a minute ago
        forgotten(there)
        assert isinstance(await there.check(new, mode=mode), Access)
        there._signing._state = {}
        there._signing._trust({})
    forgotten(there)
    assert kid_of(await login(there)) == kid_of(new)


async def test_an_unknown_kid_makes_a_process_ask_once_a_minute(driver: Any, clock: FixedClock) -> None:
    told: list[str] = []
    run = driver.run

    async def counted(op: Any) -> Any:
        told.append(op.name)
        return await run(op)

    tokens = Tokens(driver, Keyring(SECRET), clock=clock)
    stranger = KeySet.derived(Keyring(b"another secret of thirty-two bytes, or more")).signing
    forged = jwt.encode({"sub": "u1"}, stranger.private, "ES256", {"kid": stranger.kid, "typ": "at+jwt"})
    await login(tokens)
    driver.run = counted
    assert {await tokens.check(forged, mode="strict") for _ in range(50)} == {UNKNOWN}
    assert told == []
    tokens._signing._asked_at -= 61
    for _ in range(50):
        assert await tokens.check(forged, mode="strict") == UNKNOWN
    assert told == ["tokens.keys"]


async def test_retire_key_shuts_a_leaked_key_out_and_the_next_one_signs(hx: Any) -> None:
    old = await login(hx.tokens)
    assert isinstance(await hx.tokens.check(old, mode="strict"), Access)
    await hx.tokens.rotate_keys()
    (upcoming,) = kids(await hx.tokens.rotate_keys(), "published")
    infos = await hx.tokens.retire_key(kid_of(old))
    assert kids(infos, "active") == [upcoming] and kid_of(old) not in {info.kid for info in infos}
    for mode in ("strict", "bounded", "stateless"):
        assert await hx.tokens.check(old, mode=mode) == UNKNOWN
    new = await login(hx.tokens)
    assert kid_of(new) == upcoming
    assert kid_of(old) not in await published(hx.tokens)
    assert await hx.tokens.retire_key(kid_of(old)) == infos  # again, or one that never was: nothing moves
    assert await hx.tokens.retire_key("never-was") == infos


async def test_a_leaked_key_is_shut_out_before_anything_was_ever_rotated(hx: Any) -> None:
    old = await login(hx.tokens)
    infos = await hx.tokens.retire_key(kid_of(old))
    assert stages(infos) == ["active", "published"]
    assert await hx.tokens.check(old, mode="strict") == UNKNOWN
    assert isinstance(await hx.tokens.check(await login(hx.tokens), mode="strict"), Access)


async def test_processes_that_follow_the_feed_learn_of_a_leak_within_the_second(driver: Any) -> None:
    here, there = [Tokens(driver, Keyring(SECRET)) for _ in range(2)]
    access = await login(here)
    assert await here.start()
    assert isinstance(await here.check(access), Access)
    await there.retire_key(kid_of(access))
    begun = time.monotonic()
    while await here.check(access) != UNKNOWN:
        assert time.monotonic() - begun < 5
        await asyncio.sleep(0.005)
    await here.close()


@pytest.mark.parametrize("mode", ["strict", "stateless"])
async def test_a_process_that_asks_again_learns_of_a_leak(driver: Any, mode: Any) -> None:
    here, there = [Tokens(driver, Keyring(SECRET)) for _ in range(2)]
    access = await login(here)
    assert isinstance(await here.check(access, mode="strict"), Access)
    await there.retire_key(kid_of(access))
    forgotten(here)
    assert await here.check(access, mode=mode) == UNKNOWN


async def test_without_a_server_stateless_checks_go_on(driver: Any) -> None:
    from hustlex.drivers.aio import Driver

    access = await login(Tokens(driver, Keyring(SECRET)))
    away = Driver("redis://127.0.0.1:1")
    here = Tokens(away, Keyring(SECRET))
    seen = [await here.check(access, mode="stateless") for _ in range(10)]
    assert all(isinstance(answer, Access) for answer in seen)
    with pytest.raises(Unavailable):
        await here.check(access, mode="strict")
    await away.close()


async def test_a_lost_state_is_put_back_and_brings_no_retired_key_back(driver: Any, raw: redis.Redis) -> None:
    tokens = Tokens(driver, Keyring(SECRET))
    old = await login(tokens)
    await tokens.retire_key(kid_of(old))
    before = raw.hgetall("jwt:keys")
    raw.delete("jwt:keys")
    started_now = Tokens(driver, Keyring(SECRET), options=TokenOptions(first_key=2))  # as the guide says
    assert await started_now.check(old, mode="strict") == UNKNOWN
    forgotten(tokens)
    assert await tokens.check(old, mode="strict") == UNKNOWN
    assert raw.hgetall("jwt:keys") == before and raw.pttl("jwt:keys") > 0
    fresh = Tokens(driver, Keyring(SECRET))
    assert await fresh.check(old, mode="strict") == UNKNOWN
    assert kid_of(await login(fresh)) == kid_of(await login(tokens)) == kid_of(await login(started_now))


async def test_configured_keys_are_staged_by_their_configuration(driver: Any) -> None:
    pems = [
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for _ in range(2)
    ]
    before = Tokens(driver, Keyring(SECRET), options=TokenOptions(keys=KeySet.from_pem(pems[0], [pems[1]])))
    after = Tokens(driver, Keyring(SECRET), options=TokenOptions(keys=KeySet.from_pem(pems[1], [pems[0]])))
    old, new = await login(before), await login(after)
    for tokens in (before, after):
        assert isinstance(await tokens.check(old, mode="strict"), Access)
        assert isinstance(await tokens.check(new, mode="strict"), Access)
        assert await published(tokens) == {kid_of(old), kid_of(new)}
    with pytest.raises(ConfigurationError, match="configured"):
        await before.rotate_keys()
    infos = await after.retire_key(kid_of(old))
    assert kids(infos, "active") == [kid_of(new)] and len(infos) == 1
    assert await after.check(old, mode="strict") == UNKNOWN
    forgotten(before)
    assert await before.check(old, mode="strict") == UNKNOWN
    assert isinstance(await before.check(new, mode="strict"), Access)
    with pytest.raises(ConfigurationError, match="retired"):
        await before.login("u1")


async def test_redis_holds_no_key(hx: Any, raw: redis.Redis) -> None:
    await hx.tokens.rotate_keys()
    state = raw.hgetall("jwt:keys")
    assert {name: value.split()[0] for name, value in state.items()} == {b"1": b"active", b"2": b"published"}
    assert 399 < raw.pttl("jwt:keys") / 86_400_000 <= 400
