"""A right code that moves money can wait until a replica knows that it is spent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from hustlex.app import HustleX
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import ConfigurationError
from hustlex.otp import Gone, Granted, OtpOptions, Policy, Reason, Verified
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import SECRET
from tests.support.blocking import Blocking
from tests.support.otp import code_of, phone, sent, verified

CTX = {"amount_minor": 500_000}
POLICIES = {"login": Policy(), "transaction": Policy(needs_context=True, durability="replica")}


@pytest.fixture
def rooms() -> dict[str, Any]:
    return {"otp": OtpOptions(policies=POLICIES, caps=None)}


@pytest.fixture(scope="module")
def primary() -> Iterator[EmbeddedServer]:
    """A server with a replica that follows it."""
    with (
        EmbeddedServer() as first,
        EmbeddedServer() as second,
        redis.Redis.from_url(first.url) as leads,
        redis.Redis.from_url(second.url) as follows,
    ):
        leads.config_set("repl-diskless-sync-delay", 0)
        at = urlsplit(first.url)
        follows.config_set("masterauth", at.password)
        follows.replicaof(at.hostname, at.port)
        yield first


@pytest.mark.one_server
async def test_without_a_replica_a_code_is_good_and_says_so(hx: Any) -> None:
    right = await verified(hx.otp, await sent(hx.otp, purpose="transaction", ctx=CTX), ctx=CTX)
    assert right.durable is False
    granted = await hx.otp.consume_grant(right.grant, "transaction", CTX)
    assert isinstance(granted, Granted) and granted.durable is False
    assert await hx.otp.consume_grant(right.grant, "transaction", CTX) == Gone(Reason.USED)


async def test_other_purposes_wait_for_nothing(hx: Any) -> None:
    right = await verified(hx.otp, await sent(hx.otp))
    assert right.durable is None
    assert (await hx.otp.consume_grant(right.grant, "login")).durable is None


@pytest.mark.parametrize("style", ["aio", "blocking"])
async def test_a_replica_knows_of_a_spent_code(primary: EmbeddedServer, style: str, rooms: dict[str, Any]) -> None:
    kind = HustleX if style == "aio" else BlockingHustleX
    made: Any = kind(primary.url, secret=SECRET, **rooms)
    hx = made if style == "aio" else Blocking(made)
    try:
        async with asyncio.timeout(60):
            for block in range(1000):  # a busy machine may take more than the 50 ms that are waited
                issued = await sent(hx.otp, phone(block, style == "aio"), "transaction", ctx=CTX)
                code = await code_of(hx.otp, issued.challenge)
                right = await hx.otp.verify(issued.challenge, code, ctx=CTX, nonce="n" * 22)
                assert isinstance(right, Verified) and isinstance(right.durable, bool)
                again = await hx.otp.verify(issued.challenge, code, ctx=CTX, nonce="n" * 22)
                assert again.replayed and again.grant == right.grant
                granted = await hx.otp.consume_grant(right.grant, "transaction", CTX)
                if right.durable and again.durable and granted.durable:
                    return
    finally:
        await hx.close()


def test_durability_is_one_of_four() -> None:
    with pytest.raises(ConfigurationError, match="durability"):
        Policy(durability="disk", ttl=timedelta(minutes=1))  # type: ignore[arg-type]
