"""Tokens in hard times: ten thousand honest refreshes, eviction, restarts, and everything a spy could read."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import OutcomeUnknown, Unavailable
from hustlex.tokens import (
    Access,
    How,
    LoggedOut,
    Refreshed,
    RefreshRefused,
    Refusal,
    Rejected,
    TokenOptions,
    TokenPair,
    Tokens,
)
from tests.conftest import PATIENCE, SECRET
from tests.support import servers
from tests.support.dpop import Holder
from tests.support.proxy import Proxy

GRACE_MS = 10_000
SESSIONS, ROUNDS = 50, 200


async def login(tokens: Any, user: str = "u1", **options: Any) -> TokenPair:
    pair = await tokens.login(user, **options)
    assert isinstance(pair, TokenPair)
    return pair


class History:
    """One session's chain as its clients saw it. spent: when each token was superseded, by place."""

    def __init__(self, first: TokenPair) -> None:
        self.chain = [first.refresh]
        self.spent: list[int] = []

    def honest(self, now_ms: int, chance: random.Random) -> int:
        """A token that a client may still believe in: the current one, or one superseded at most a grace ago."""
        recent = [place for place, at in enumerate(self.spent) if now_ms - at <= GRACE_MS]
        return chance.choice([*recent, len(self.chain) - 1, len(self.chain) - 1])

    def learn(self, place: int, answer: Any, now_ms: int) -> None:
        assert isinstance(answer, Refreshed), f"a false alarm: {answer}"
        if answer.how is How.ROTATED:
            assert place == len(self.chain) - 1
            self.chain.append(answer.pair.refresh)
            self.spent.append(now_ms)
        assert answer.pair.refresh == self.chain[-1], "the chain forked"


@pytest.mark.timeout(450)
async def test_ten_thousand_random_refreshes_raise_no_false_alarm_and_every_replay_is_caught(driver: Any) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    clock = FixedClock()
    options = TokenOptions(sessions_per_user=SESSIONS)
    tokens = Tokens(driver, Keyring(SECRET), clock=clock, options=options)
    histories = [History(await login(tokens)) for _ in range(SESSIONS)]
    for _ in range(ROUNDS):
        clock.advance(timedelta(milliseconds=chance.choice([0, 1, 500, GRACE_MS - 1, GRACE_MS, GRACE_MS + 1, 45_000])))
        places = [history.honest(clock.now_ms, chance) for history in histories]
        answers = await asyncio.gather(
            *[tokens.refresh(history.chain[place]) for history, place in zip(histories, places, strict=True)]
        )
        for history, place, answer in zip(histories, places, answers, strict=True):
            history.learn(place, answer, clock.now_ms)
    clock.advance(timedelta(milliseconds=GRACE_MS + 1))
    for history in histories:
        assert len(history.chain) > ROUNDS // 10, f"seed {seed}: nothing was rotated"
        stolen = chance.choice(history.chain[:-1])
        assert await tokens.refresh(stolen) == RefreshRefused(Refusal.REUSE_DETECTED), f"seed {seed}"
        assert await tokens.refresh(history.chain[-1]) == RefreshRefused(Refusal.REVOKED, "reuse"), f"seed {seed}"


# -- a server that loses things


def squeeze(client: redis.Redis, gone: Callable[[], bool]) -> None:
    """Write like a cache beside us until the server has thrown out what we look at."""
    for number in range(200_000):
        if number % 500 == 0 and gone():
            return
        client.set(f"cache:{number}", b"x" * 500, px=3_600_000)
    raise AssertionError("nothing was evicted")


async def test_an_evicted_blacklist_entry_revives_no_token(request: pytest.FixtureRequest) -> None:
    """The wrong maxmemory-policy beside a cache: what decides is that a living session is there."""
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary) as server, redis.Redis.from_url(server.url) as client:
        async with HustleX(server.url, timeout=PATIENCE, secret=SECRET) as hx:
            out = await login(hx.tokens)
            assert await hx.tokens.start()
            await hx.tokens.logout(out.access)
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory-policy", "volatile-lru")
            client.config_set("maxmemory", used + 2_000_000)
            squeeze(client, lambda: not client.keys("jwt:blacklist:*"))
            for mode in ("strict", "bounded"):
                assert isinstance(await hx.tokens.check(out.access, mode=mode), Rejected)
            assert isinstance(await hx.tokens.refresh(out.refresh), RefreshRefused)


async def test_a_restart_in_the_middle_of_everything(request: pytest.FixtureRequest) -> None:
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary, append_only=True, appendfsync="always") as server:
        async with HustleX(server.url, timeout=PATIENCE, secret=SECRET) as hx:
            going, out = await login(hx.tokens), await login(hx.tokens)
            first = await hx.tokens.refresh(going.refresh)
            await hx.tokens.logout(out.access)
            server.kill()
            server.restart()
            again = await hx.tokens.refresh(going.refresh)  # its reply may have been lost
            assert isinstance(first, Refreshed) and isinstance(again, Refreshed)
            assert again.pair.refresh == first.pair.refresh and again.how is How.REPLAYED
            assert isinstance(await hx.tokens.check(again.pair.access, mode="strict"), Access)
            assert isinstance(await hx.tokens.check(out.access, mode="strict"), Rejected)
            assert isinstance(await hx.tokens.refresh(out.refresh), RefreshRefused)


async def test_lost_replies_change_no_outcome(faulty: Proxy) -> None:
    """A call is carried out, its reply lost and the link cut; the driver repeats it, and the story is the same."""
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET) as hx:
        faulty.lose_reply(containing=b"uid")
        pair = await login(hx.tokens)
        assert [info.session_id for info in await hx.tokens.sessions("u1")] == [pair.session_id]
        await hx.tokens.refresh((await login(hx.tokens, "warm")).refresh)  # its script is known to the server now
        faulty.lose_reply(containing=pair.session_id.encode())
        seen = await hx.tokens.refresh(pair.refresh)
        assert isinstance(seen, Refreshed) and seen.how is How.REPLAYED
        faulty.lose_reply(containing=pair.session_id.encode())
        assert isinstance(await hx.tokens.check(seen.pair.access, mode="strict"), Access)
        faulty.lose_reply(containing=pair.session_id.encode())
        assert await hx.tokens.logout(seen.pair.access) in (
            LoggedOut(pair.session_id, True),
            LoggedOut(pair.session_id, False),
        )
        assert isinstance(await hx.tokens.check(seen.pair.access, mode="strict"), Rejected)


async def test_a_proof_whose_reply_was_lost_does_not_count_twice(faulty: Proxy) -> None:
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET) as hx:
        assert await hx.tokens.start()
        holder = Holder()
        url = "https://api.example.com/"
        now_s = int(hx.tokens.now().timestamp())
        await hx.tokens.prove(holder.proof("GET", url, now_s), "GET", url)
        faulty.lose_reply(containing=holder.jkt.encode())
        with pytest.raises((OutcomeUnknown, Unavailable)):
            await hx.tokens.prove(holder.proof("GET", url, now_s), "GET", url)


# -- what a spy sees


@pytest.fixture
def heard(server: EmbeddedServer, raw: redis.Redis) -> Iterator[Callable[[], str]]:
    """Every command that the server got until ``heard()``, as MONITOR shows it."""
    with redis.Redis.from_url(server.url) as client, client.monitor() as monitor:

        def listen() -> str:
            raw.echo("the spy goes")
            lines = [""]
            while "the spy goes" not in lines[-1]:
                lines.append(monitor.next_command()["command"])
            return "\n".join(lines)

        yield listen


async def test_no_token_no_secret_and_no_proof_is_on_the_wire_in_the_slow_log_or_in_a_log(
    hx: Any, raw: redis.Redis, clock: FixedClock, heard: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    raw.slowlog_reset()
    raw.config_set("slowlog-log-slower-than", 0)
    holder = Holder()
    pairs = [await login(hx.tokens), await login(hx.tokens, "ada@example.com"), await login(hx.tokens, jkt=holder.jkt)]
    for pair in pairs[:2]:
        seen = await hx.tokens.refresh(pair.refresh)
        assert isinstance(seen, Refreshed)
        pairs.append(seen.pair)
    clock.advance(timedelta(minutes=1))
    assert await hx.tokens.refresh(pairs[0].refresh) == RefreshRefused(Refusal.REUSE_DETECTED)
    proof = holder.proof("GET", "https://x/", clock.now_ms // 1000, pairs[2].access)
    await hx.tokens.prove(proof, "GET", "https://x/", access=pairs[2].access)
    for pair in pairs:
        for mode in ("strict", "bounded", "stateless"):
            await hx.tokens.check(pair.access, mode=mode)
        await hx.tokens.sessions("ada@example.com")
    await hx.tokens.rotate_keys()
    await hx.tokens.revoke_token(pairs[1].access)
    await hx.tokens.logout(pairs[2].access, pairs[2].refresh)
    await hx.tokens.revoke_all("ada@example.com")
    slow = repr(raw.slowlog_get(1000))
    raw.config_set("slowlog-log-slower-than", 10_000)
    places = {"wire": heard(), "slow log": slow, "logs": caplog.text}
    assert all("jwt:blacklist" in places[place] for place in ("wire", "slow log"))
    secrets = [proof.split(".")[2]]
    for pair in pairs:
        secrets += [*pair.refresh.split(".")[5:], *pair.access.split(".")[1:]]
    keyring = Keyring(SECRET)
    secrets += [keyring.key(label).hex() for label in ("rt-tag", "rt-next", "jwt-es256", "jwt-es256-2")]
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, place
