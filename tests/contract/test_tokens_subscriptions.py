"""Subscription tokens: for one channel, one user and one session, and for no longer."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.tokens import Access, ChannelAccess, Rejected, Rejection, SubscriptionToken, TokenOptions, TokenPair
from tests.conftest import SECRET

SECOND = timedelta(seconds=1)
ORDERS = "orders:42"


@pytest.fixture
def rooms() -> dict[str, Any]:
    return {"tokens": TokenOptions(jitter=0, leeway=timedelta(0))}


async def login(hx: Any, user: str = "u1") -> tuple[TokenPair, Access]:
    pair = (await hx.tokens.login(user)).or_raise()
    return pair, (await hx.tokens.check(pair.access, mode="strict")).or_raise()


async def reason(hx: Any, token: str, channel: str = ORDERS) -> Rejection | None:
    answer = await hx.tokens.check_subscription(token, channel, mode="strict")
    return answer.reason if isinstance(answer, Rejected) else None


def edited(token: str, at: int, **changes: Any) -> str:
    """The same signature under another header (0) or payload (1)."""
    parts = token.split(".")
    text = urlsafe_b64decode(parts[at] + "=" * (-len(parts[at]) % 4))
    parts[at] = urlsafe_b64encode(json.dumps(json.loads(text) | changes).encode()).rstrip(b"=").decode()
    return ".".join(parts)


async def test_issue_subscription_and_check_subscription(hx: Any, clock: FixedClock) -> None:
    _, access = await login(hx)
    made = await hx.tokens.issue_subscription(access, ORDERS, ttl=60 * SECOND, since="e1.7")
    assert isinstance(made, SubscriptionToken)
    assert (made.channel, made.token in repr(made)) == (ORDERS, False)
    assert 59 * SECOND <= made.expires_in <= 61 * SECOND
    for mode in ("stateless", "bounded", "strict"):
        seen = await hx.tokens.check_subscription(made.token, ORDERS, mode=mode)
        assert isinstance(seen, ChannelAccess)
        assert (seen.user_id, seen.session_id, seen.channel, seen.since) == ("u1", access.session_id, ORDERS, "e1.7")
    clock.advance(made.expires_in - SECOND)
    assert await reason(hx, made.token) is None
    clock.advance(2 * SECOND)
    assert await reason(hx, made.token) is Rejection.EXPIRED


async def test_it_never_outlives_the_access_token(hx: Any, clock: FixedClock) -> None:
    pair, access = await login(hx)
    clock.advance(pair.expires_in - 10 * SECOND)
    made = await hx.tokens.issue_subscription(access, ORDERS)
    assert made.expires_in <= 10 * SECOND
    clock.advance(11 * SECOND)
    assert await reason(hx, made.token) is Rejection.EXPIRED
    assert (await hx.tokens.issue_subscription(access, ORDERS)).expires_in == timedelta(0)


async def test_forged_ones_and_those_of_other_channels_are_rejected(hx: Any, url: str, clock: FixedClock) -> None:
    pair, access = await login(hx)
    token = (await hx.tokens.issue_subscription(access, ORDERS)).token
    async with HustleX(url, secret=b"another secret of thirty-two bytes, or more", clock=clock) as stranger:
        foreign = (await stranger.tokens.login("u1")).or_raise()
        seen = (await stranger.tokens.check(foreign.access)).or_raise()
        signed = (await stranger.tokens.issue_subscription(seen, ORDERS)).token
    for forged, why in (
        (edited(token, 1, channel="orders:43"), Rejection.BAD_SIGNATURE),
        (edited(token, 1, sub="u2"), Rejection.BAD_SIGNATURE),
        (edited(token, 1, exp=2_000_000_000), Rejection.BAD_SIGNATURE),
        (edited(token, 0, alg="none"), Rejection.BAD_SIGNATURE),
        (edited(token, 0, alg="HS256"), Rejection.BAD_SIGNATURE),
        (token[:-4] + "AAAA", Rejection.BAD_SIGNATURE),
        (signed, Rejection.UNKNOWN_KID),
        (pair.refresh, Rejection.MALFORMED),
        ("", Rejection.MALFORMED),
    ):
        assert await reason(hx, forged, "orders:43") is why, forged
        assert await reason(hx, forged) is why, forged
    for other in ("orders:43", "orders:42 ", "ORDERS:42", "orders", ""):
        assert await reason(hx, token, other) is Rejection.OTHER_CHANNEL
    assert await reason(hx, token) is None


async def test_one_kind_of_token_never_counts_as_the_other(hx: Any) -> None:
    """However often each was checked before: what was verified is remembered by kind."""
    pair, access = await login(hx)
    token = (await hx.tokens.issue_subscription(access, ORDERS)).token
    for _ in range(2):
        assert await reason(hx, token) is None
        assert (await hx.tokens.check(token, mode="strict")).reason is Rejection.BAD_TYPE
        assert (await hx.tokens.check(pair.access, mode="strict")).or_raise().user_id == "u1"
        assert await reason(hx, pair.access) is Rejection.BAD_TYPE
    assert (await hx.tokens.logout(token)).reason is Rejection.BAD_TYPE


@pytest.mark.parametrize("way", ["logout", "revoke_session", "revoke_all", "revoke_token"])
async def test_what_ends_the_access_token_ends_it_too(hx: Any, way: str) -> None:
    """A replay after logout, here by a check that asks no server."""
    pair, access = await login(hx)
    token = (await hx.tokens.issue_subscription(access, ORDERS)).token
    _, other = await login(hx, "u2")
    untouched = (await hx.tokens.issue_subscription(other, ORDERS)).token
    if way == "logout":
        await hx.tokens.logout(pair.access)
    elif way == "revoke_session":
        await hx.tokens.revoke_session("u1", access.session_id)
    elif way == "revoke_all":
        await hx.tokens.revoke_all("u1")
    else:
        await hx.tokens.revoke_token(pair.access)
    for mode in ("strict", "bounded", "stateless"):
        assert isinstance(await hx.tokens.check_subscription(token, ORDERS, mode=mode), Rejected)
        assert isinstance(await hx.tokens.check_subscription(untouched, ORDERS, mode=mode), ChannelAccess)


async def test_a_check_asks_no_server_once_the_revocations_are_known(url: str) -> None:
    asked: list[str] = []

    def hook(start: Any) -> None:
        if not start.memory and any(op.startswith("tokens.") for op in start.ops):
            asked.append(start.op)

    async with HustleX(url, secret=SECRET, hook=hook) as hx:
        _, access = await login(hx)
        assert await hx.tokens.start(timeout=timedelta(seconds=50))
        token = (await hx.tokens.issue_subscription(access, ORDERS)).token
        asked.clear()
        for _ in range(5):
            assert isinstance(await hx.tokens.check_subscription(token, ORDERS), ChannelAccess)
            await hx.tokens.issue_subscription(access, ORDERS)
        assert "tokens.check" not in asked


async def test_a_retired_key_takes_them_along(hx: Any) -> None:
    _, access = await login(hx)
    token = (await hx.tokens.issue_subscription(access, ORDERS)).token
    assert await reason(hx, token) is None
    await hx.tokens.rotate_keys()
    active = next(key for key in await hx.tokens.rotate_keys() if key.stage == "active")
    await hx.tokens.retire_key(active.kid)
    assert await reason(hx, token) is Rejection.UNKNOWN_KID


async def test_what_makes_no_token_is_misuse(hx: Any) -> None:
    _, access = await login(hx)
    made_up = Access("u1", access.session_id, "app", access.jti, access.issued_at, access.expires_at,
                     access.authenticated_at, ())  # fmt: skip
    for given in (
        {"access": "u1"},
        {"access": made_up},
        {"channel": ""},
        {"channel": "x" * 256},
        {"ttl": timedelta(0)},
        {"ttl": timedelta(hours=2)},
        {"ttl": 60},
        {"since": 7},
    ):
        with pytest.raises(Misuse):
            await hx.tokens.issue_subscription(**({"access": access, "channel": ORDERS} | given))
