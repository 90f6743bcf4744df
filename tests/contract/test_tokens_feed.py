"""The feed of revocations tells only what was decided, and a feed that lost something is never taken for silence."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Unavailable
from hustlex.tokens import Access, LoggedOut, NotOurs, Refreshed, Rejection, RevokedSession
from tests.contract.test_tokens_bounded import FEED, Open, by_view, login, process, refused, until
from tests.support import servers

__all__ = ["process"]


def told(raw: redis.Redis) -> list[tuple[bytes, bytes, bytes]]:
    return [(said[b"kind"], said[b"name"], said[b"user"]) for _, said in raw.xrange(FEED)]


async def mode_of(hx: Any, access: str) -> str:
    answer = await hx.tokens.check(access)
    return answer.mode if isinstance(answer, Access) else answer.reason


async def asked_for(hx: Any, access: str, wanted: str = "strict") -> None:
    """Until a bounded check of this token is answered so."""

    async def answered() -> bool:
        try:
            return await mode_of(hx, access) == wanted
        except Unavailable:
            return False

    await until(answered)


# -- what is told


async def test_who_names_anothers_session_or_none_does_nothing_to_anybody(process: Open, raw: redis.Redis) -> None:
    here, there = await process(), await process()
    assert await here.tokens.start()
    victim, attacker = await login(there, "victim"), await login(there, "attacker")
    for sid in (victim.session_id, "s" * 22, "", "x\0y"):
        assert await there.tokens.revoke_session("attacker", sid) == RevokedSession(False)
        assert not await there.tokens.set_data("attacker", sid, {"a": "b"})
        assert await there.tokens.data("attacker", sid) is None
    assert await there.tokens.revoke_token(victim.refresh, client_id="other") == NotOurs(other_client=True)
    assert await there.tokens.revoke_token(victim.access, client_id="other") == NotOurs(other_client=True)
    assert not isinstance(await there.tokens.logout(attacker.access, victim.refresh), LoggedOut)
    assert told(raw) == []
    assert by_view(await here.tokens.check(victim.access))
    assert by_view(await there.tokens.check(victim.access)) or await there.tokens.start()
    assert isinstance(await there.tokens.check(victim.access), Access)


async def test_a_notice_names_its_user_and_is_told_once(process: Open, raw: redis.Redis) -> None:
    hx = await process()
    pair, other = await login(hx), await login(hx)
    for _ in range(30):
        await hx.tokens.logout(pair.access)
        await hx.tokens.revoke_session("u1", pair.session_id)
        await hx.tokens.revoke_token(other.access)
    assert told(raw)[0] == (b"sid", pair.session_id.encode(), b"u1")
    assert [(kind, user) for kind, _, user in told(raw)] == [(b"sid", b"u1"), (b"jti", b"u1")]


async def test_what_died_long_ago_is_not_told(process: Open, raw: redis.Redis) -> None:
    clock = FixedClock()
    hx = await process(clock=clock)
    pair = await login(hx)
    raw.delete(f"session:{{u1}}:{pair.session_id}")
    clock.now_ms += 3_600_000
    for _ in range(3):
        assert isinstance(await hx.tokens.logout(pair.access), LoggedOut)
        await hx.tokens.revoke_token(pair.access)
        await hx.tokens.revoke_session("u1", pair.session_id)
    assert told(raw) == []


async def test_a_notice_of_another_user_denies_nobody(process: Open, raw: redis.Redis) -> None:
    hx = await process()
    assert await hx.tokens.start()
    pair = await login(hx, "victim")
    entry = {"kind": "sid", "name": pair.session_id, "user": "attacker", "kept": "", "line": 0, "until": 10**15}
    raw.xadd(FEED, entry)
    raw.xadd(FEED, entry | {"name": "seen", "user": ""})
    raw.pexpire(FEED, 60_000)

    async def read() -> bool:
        return bool(hx.tokens.stats().read >= 2)

    await until(read)
    assert by_view(await hx.tokens.check(pair.access))


# -- what was lost


async def test_a_flushed_server_makes_older_tokens_strict(process: Open, raw: redis.Redis) -> None:
    here, there = await process(), await process()
    assert await here.tokens.start()
    out, kept = await login(there), await login(there)
    assert by_view(await here.tokens.check(kept.access))
    await there.tokens.logout(out.access)
    raw.flushall()
    await asked_for(here, kept.access, Rejection.SESSION_GONE)
    fresh = await process()  # it never knew what was told before
    assert await fresh.tokens.start()
    for pair, hx in ((out, fresh), (kept, fresh), (kept, there)):
        assert await refused(hx, pair.access)
    after = await login(there)
    await asked_for(here, after.access, "bounded")
    assert by_view(await fresh.tokens.check(after.access))


@pytest.mark.parametrize("loss", ["trimmed", "deleted", "renewed"])
async def test_a_truncated_feed_makes_older_tokens_strict(process: Open, raw: redis.Redis, loss: str) -> None:
    there = await process()
    out, kept, gone = await login(there), await login(there), await login(there)
    await there.tokens.logout(out.access)
    if loss == "trimmed":
        await there.tokens.logout(gone.access)
        raw.xtrim(FEED, maxlen=1, approximate=False)
    elif loss == "deleted":
        raw.delete(FEED)
    else:
        raw.delete(FEED, f"jwt:epoch:{{{FEED}}}")
    fresh = await process()
    assert await fresh.tokens.start()
    assert await refused(fresh, out.access)
    assert await mode_of(fresh, kept.access) == "strict"
    after = await login(there)
    await asked_for(fresh, after.access, "bounded")
    await there.tokens.logout(after.access)
    await until(lambda: refused(fresh, after.access))


async def test_a_feed_that_loses_what_a_reader_did_not_see_yet_is_noticed(process: Open, raw: redis.Redis) -> None:
    here, there = await process(), await process()
    assert await here.tokens.start()
    out, kept = await login(there), await login(there)
    assert by_view(await here.tokens.check(kept.access))
    with raw.pipeline(transaction=True) as both:  # told, and gone before anybody could read it
        both.hincrby(f"jwt:epoch:{{{FEED}}}", "n", 1)
        both.hset(f"jwt:epoch:{{{FEED}}}", "at", 10**14)
        both.execute()
    await asked_for(here, kept.access)
    assert isinstance(await here.tokens.check(out.access), Access)


async def test_an_older_state_that_was_put_back_makes_older_tokens_strict(process: Open, raw: redis.Redis) -> None:
    here, there = await process(), await process()
    assert await here.tokens.start()
    first, out, kept = [await login(there) for _ in range(3)]
    await there.tokens.logout(first.access)
    older = {key: raw.dump(key) for key in raw.scan_iter()}
    await there.tokens.logout(out.access)
    await until(lambda: refused(here, out.access))
    assert by_view(await here.tokens.check(kept.access))
    for key, value in older.items():
        raw.restore(key, 600_000, value, replace=True)
    await asked_for(here, kept.access)
    assert await refused(here, out.access)  # what it knew, it knows


async def test_a_server_that_was_started_anew_makes_older_tokens_strict(
    process: Open, request: pytest.FixtureRequest
) -> None:
    """Nobody can tell whether it came back with its last writes; its run id is another one."""
    binary = servers.binary(request.config.getoption("--server"))
    with EmbeddedServer(binary=binary, append_only=True, appendfsync="always") as server:
        here = await process(server.url)
        assert await here.tokens.start()
        kept = await login(here)
        assert by_view(await here.tokens.check(kept.access))
        server.kill()
        server.restart()
        await asked_for(here, kept.access)
        late = await process(server.url)
        assert await late.tokens.start()
        assert await mode_of(late, kept.access) == "strict"
        renewed = await late.tokens.refresh(kept.refresh)
        assert isinstance(renewed, Refreshed)
        await asked_for(here, renewed.pair.access, "bounded")
        await asked_for(late, renewed.pair.access, "bounded")
