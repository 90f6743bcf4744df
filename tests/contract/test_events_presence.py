"""Who is there: members come, are kept by signs of life, leave, or are forgotten."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex import HustleX
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.events import Member, PresenceCount
from tests.conftest import PATIENCE

HALF = timedelta(seconds=30)


async def test_members_come_and_go_and_users_are_counted_once(hx: Any, clock: FixedClock, raw: redis.Redis) -> None:
    rooms = hx.events.presence("rooms:{room}")
    assert await rooms.count(room=7) == PresenceCount(0, 0)
    assert await rooms.enter("phone", user="ada", room=7)
    assert await rooms.enter("laptop", user="ada", room=7)
    assert await rooms.enter("stranger", room=7)
    assert not await rooms.enter("phone", user="ada", room=7)
    assert await rooms.enter("phone", user="bob", room=8)
    assert await rooms.count(room=7) == PresenceCount(3, 1)
    here = {(member.id, member.user) for member in await rooms.members(room=7)}
    assert here == {("phone", "ada"), ("laptop", "ada"), ("stranger", "")}
    assert {member.since for member in await rooms.members(room=7)} == {clock()}
    await rooms.leave("phone", room=7)
    await rooms.leave("phone", room=7)
    assert await rooms.count(room=7) == PresenceCount(2, 1)
    await rooms.leave("laptop", room=7)
    assert await rooms.count(room=7) == PresenceCount(1, 0)
    assert await rooms.members(room=8, limit=1) == [Member("phone", "bob", clock())]
    assert all(raw.pttl(key) > 0 for key in raw.scan_iter("ev:*"))


async def test_whoever_gives_no_sign_is_forgotten(hx: Any, clock: FixedClock) -> None:
    rooms = hx.events.presence("rooms:all")
    came = clock()
    await rooms.enter("silent", user="ada")
    await rooms.enter("alive", user="ada")
    clock.advance(HALF)
    await rooms.enter("alive", user="ada")
    clock.advance(HALF)
    assert await rooms.members() == [Member("alive", "ada", came)]
    assert await rooms.count() == PresenceCount(1, 1)
    clock.advance(HALF)
    assert await rooms.count() == PresenceCount(0, 0)
    assert await rooms.enter("alive", user="ada")


async def test_a_thousand_that_are_gone_are_forgotten_at_once(hx: Any, clock: FixedClock) -> None:
    rooms = hx.events.presence("rooms:all")
    for number in range(1200):
        await rooms.enter(number, user=f"u{number % 10}")
    assert (await rooms.count()) == PresenceCount(1200, 10)
    assert len(await rooms.members(limit=1000)) == 1000
    clock.advance(2 * HALF)
    assert await rooms.count() == PresenceCount(0, 0)


async def test_a_user_whose_name_has_blanks_is_one(hx: Any) -> None:
    rooms = hx.events.presence("rooms:all")
    await rooms.enter("m 1", user="Ada Obi %s \\ {x}")
    [member] = await rooms.members()
    assert (member.id, member.user) == ("m 1", "Ada Obi %s \\ {x}")
    await rooms.leave("m 1")
    assert await rooms.count() == PresenceCount(0, 0)


@pytest.mark.parametrize("name", ["rooms:{member}", "rooms:{user}", "rooms:{limit}", "rooms", ""])
async def test_a_name_that_cannot_be_is_refused(hx: Any, name: str) -> None:
    with pytest.raises(Misuse):
        hx.events.presence(name)


async def test_joining_keeps_alive_and_heals_what_the_server_lost(
    url: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.events.presence_keeper._BEAT_S", 0.01)
    async with HustleX(url, timeout=PATIENCE) as hx:
        rooms = hx.events.presence("rooms:{room}")
        async with rooms.join("phone", user="ada", room=1), rooms.join("laptop", user="bob", room=1):
            raw.flushall()
            async with asyncio.timeout(30):
                while await rooms.count(room=1) != PresenceCount(2, 2):
                    pass
        assert await rooms.count(room=1) == PresenceCount(0, 0)
        assert hx.events._keeper._task is None
        with pytest.raises(RuntimeError):
            async with rooms.join("phone", user="ada", room=1):
                raise RuntimeError
        assert await rooms.members(room=1) == []


async def test_who_was_there_by_a_process_that_died_is_forgotten(url: str, clock: FixedClock) -> None:
    """T-E18."""
    dying = HustleX(url, timeout=PATIENCE, clock=clock)
    async with HustleX(url, timeout=PATIENCE, clock=clock) as other:
        rooms = other.events.presence("rooms:all")
        async with dying.events.presence("rooms:all").join("phone", user="ada"):
            await dying.close()
        assert await rooms.count() == PresenceCount(1, 1), "nobody said goodbye"
        clock.advance(2 * HALF)
        assert await rooms.count() == PresenceCount(0, 0)
