"""Transaction PINs on a real server, through the public door, async and blocking."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.keyring import Keyring
from hustlex.core.time import FixedClock
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Misuse, OutcomeUnknown, Overloaded, Unavailable
from hustlex.pins import PinHashed, PinLocked, PinMalformed, PinOk, PinOptions, PinWeak, PinWrong, Weakness, ops
from hustlex.pins.hashing import Hasher
from hustlex.sync import HustleX as BlockingHustleX
from tests.conftest import PATIENCE, SECRET
from tests.support.proxy import Proxy

QUARTER, HOUR, DAY = timedelta(minutes=15), timedelta(hours=1), timedelta(hours=24)
RIGHT, WRONG = "4821", "4822"
CHEAP = PinOptions(memory_kib=8192, passes=1)
"""As weak as may be: these tests count attempts, and some hash dozens of times."""


@pytest.fixture
def rooms() -> dict[str, Any]:
    return {"pins": CHEAP}


@pytest.fixture
async def stored(hx: Any) -> str:
    """The verifier of u1."""
    hashed = await hx.pins.hash("u1", RIGHT)
    assert isinstance(hashed, PinHashed)
    return hashed.verifier


async def wrong(hx: Any, stored: str, times: int) -> list[Any]:
    return [await hx.pins.verify("u1", WRONG, stored) for _ in range(times)]


async def test_a_right_pin_is_right_and_a_wrong_one_says_what_is_left(hx: Any, stored: str) -> None:
    assert await hx.pins.verify("u1", RIGHT, stored) == PinOk(rehash=False)
    assert await wrong(hx, stored, 4) == [PinWrong(4), PinWrong(3), PinWrong(2), PinWrong(1)]
    assert await hx.pins.verify("u1", RIGHT, stored) == PinOk(rehash=False)
    assert await wrong(hx, stored, 1) == [PinWrong(4)], "a right one forgives those before it"


async def test_locks_grow_and_end_on_the_millisecond(hx: Any, stored: str, clock: FixedClock) -> None:
    for lock in (QUARTER, HOUR, DAY, DAY):
        assert (await wrong(hx, stored, 5))[-1] == PinLocked(lock)
        assert await hx.pins.verify("u1", RIGHT, stored) == PinLocked(lock), "right or wrong is not told"
        clock.advance(lock - timedelta(milliseconds=1))
        assert await hx.pins.verify("u1", RIGHT, stored) == PinLocked(timedelta(milliseconds=1))
        clock.advance(timedelta(milliseconds=1))
    assert await hx.pins.verify("u1", RIGHT, stored) == PinOk(rehash=False)
    assert (await wrong(hx, stored, 5))[-1] == PinLocked(DAY), "a right one does not make the next lock shorter"
    clock.advance(2 * DAY)
    assert (await wrong(hx, stored, 5))[-1] == PinLocked(QUARTER), "a quiet day after a lock does"


async def test_the_last_attempt_may_be_right(hx: Any, stored: str) -> None:
    await wrong(hx, stored, 4)
    assert await hx.pins.verify("u1", RIGHT, stored) == PinOk(rehash=False)
    assert (await wrong(hx, stored, 5))[-1] == PinLocked(QUARTER), "the lock that it lifted does not count"


async def test_a_reset_forgives_everything(hx: Any, stored: str) -> None:
    assert not await hx.pins.reset("u1")
    await wrong(hx, stored, 6)
    assert await hx.pins.reset("u1")
    assert await wrong(hx, stored, 1) == [PinWrong(4)]
    assert (await wrong(hx, stored, 4))[-1] == PinLocked(QUARTER)


async def test_of_1000_concurrent_wrong_ones_five_are_compared(
    hx: Any, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = spy(monkeypatch)
    await hx.pins.reset("u1")  # connects, so that all calls go out together
    calls = 1_000 if getattr(hx, "style", "aio") == "aio" else 200
    answers = await asyncio.gather(*(hx.pins.verify("u1", WRONG, stored) for _ in range(calls)))
    assert len(compared) == 5
    assert Counter(map(type, answers)) == {PinWrong: 4, PinLocked: calls - 4}


async def test_a_right_one_cannot_slip_past_a_lock(hx: Any, stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hash is still running when another attempt locks."""
    started: list[str] = []
    gate = threading.Event()
    original = Hasher.matches

    def slow(self: Hasher, user_id: str, pin: str, verifier: Any) -> bool:
        started.append(pin)
        assert pin != RIGHT or gate.wait(60)
        return original(self, user_id, pin, verifier)

    monkeypatch.setattr(Hasher, "matches", slow)
    right = asyncio.ensure_future(hx.pins.verify("u1", RIGHT, stored))
    while RIGHT not in started:
        await asyncio.sleep(0.001)
    assert (await wrong(hx, stored, 4))[-1] == PinLocked(QUARTER)
    gate.set()
    assert await right == PinLocked(QUARTER)
    assert await hx.pins.verify("u1", RIGHT, stored) == PinLocked(QUARTER)


async def test_a_right_one_beside_wrong_ones_never_yields_more_guesses(
    hx: Any, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = spy(monkeypatch)
    pins = ([WRONG] * 3 + [RIGHT]) * 10
    answers = await asyncio.gather(*(hx.pins.verify("u1", pin, stored) for pin in pins))
    successes = sum(isinstance(answer, PinOk) for answer in answers)
    assert compared.count(WRONG) <= 5 + 4 * (successes + 1)
    for pin, answer in zip(pins, answers, strict=True):
        assert not isinstance(answer, PinOk) or pin == RIGHT


def spy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The PINs that are compared from now on."""
    compared: list[str] = []
    original = Hasher.matches

    def matches(self: Hasher, user_id: str, pin: str, verifier: Any) -> bool:
        compared.append(pin)
        return original(self, user_id, pin, verifier)

    monkeypatch.setattr(Hasher, "matches", matches)
    return compared


async def test_a_record_lost_in_the_middle_of_an_attempt_frees_no_guesses(
    hx: Any, url: str, stored: str, raw: redis.Redis
) -> None:
    await wrong(hx, stored, 3)
    raw.delete("pin:{u1}:tries")
    late = ops.heal("pin:{u1}:tries", 3, PinOptions(), 0)
    with BlockingHustleX(url, timeout=PATIENCE) as blocking:
        assert blocking.driver.run(late) is None
        assert raw.dbsize() == 0
        await wrong(hx, stored, 1)
        assert blocking.driver.run(late) is None
    assert (await wrong(hx, stored, 5))[-1] == PinLocked(QUARTER)


# -- what a PIN is


@pytest.mark.parametrize(
    "pin", ["", "482", "482193746", "48 21", "48a1", "-4821", "4.821", "\uff14\uff18\uff12", "x" * 10_000]
)
async def test_what_cannot_be_a_pin_counts_no_attempt(hx: Any, stored: str, raw: redis.Redis, pin: str) -> None:
    assert await hx.pins.verify("u1", pin, stored) == PinMalformed()
    assert await hx.pins.hash("u1", pin) == PinMalformed()
    assert raw.dbsize() == 0


async def test_digits_of_any_script_are_read(hx: Any, stored: str) -> None:
    for typed in (" 4821\n", "\uff14\uff18\uff12\uff11", "\u0664\u0668\u0662\u0661"):
        assert isinstance(await hx.pins.verify("u1", typed, stored), PinOk)


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("7777", Weakness.REPEAT),
        ("1212", Weakness.REPEAT),
        ("12121", Weakness.REPEAT),
        ("482482", Weakness.REPEAT),
        ("1234", Weakness.SEQUENCE),
        ("98765432", Weakness.SEQUENCE),
        ("7890", Weakness.SEQUENCE),
        ("2468", Weakness.SEQUENCE),
        ("2580", Weakness.COMMON),
    ],
)
async def test_a_weak_pin_cannot_be_chosen(hx: Any, pin: str, why: Weakness) -> None:
    assert await hx.pins.hash("u1", pin) == PinWeak(why)


async def test_lengths_are_the_options(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, pins=PinOptions(shortest=6, longest=6)) as hx:
        assert await hx.pins.hash("u1", "48213") == PinMalformed()
        assert isinstance(await hx.pins.hash("u1", "482193"), PinHashed)


# -- what is stored


async def test_a_verifier_is_salted_bound_to_its_user_and_to_the_secret(hx: Any, url: str, stored: str) -> None:
    again = await hx.pins.hash("u1", RIGHT)
    assert again.verifier != stored
    assert stored.startswith(f"$argon2id$v=19$m=8192,t=1,p=1,keyid={Keyring(SECRET).kid}$")
    assert isinstance(await hx.pins.verify("u2", RIGHT, stored), PinWrong)
    other = Keyring(b"another secret of thirty-two bytes or so")
    claimed = stored.replace(Keyring(SECRET).kid, other.kid)
    async with HustleX(url, timeout=PATIENCE, secret=b"another secret of thirty-two bytes or so") as front:
        assert isinstance(await front.pins.verify("u1", RIGHT, claimed), PinWrong)


async def test_a_verifier_is_strong_by_default(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET) as front:
        made = await front.pins.hash("u1", RIGHT)
    assert made.verifier.startswith(f"$argon2id$v=19$m=19456,t=2,p=1,keyid={Keyring(SECRET).kid}$")


async def test_a_weaker_verifier_asks_to_be_hashed_again(hx: Any, url: str, stored: str) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, pins=PinOptions(memory_kib=32_768)) as stronger:
        assert await stronger.pins.verify("u1", RIGHT, stored) == PinOk(rehash=True)
        renewed = await stronger.pins.hash("u1", RIGHT)
        assert await stronger.pins.verify("u1", RIGHT, renewed.verifier) == PinOk(rehash=False)
    assert await hx.pins.verify("u1", RIGHT, renewed.verifier) == PinOk(rehash=False)


@pytest.mark.parametrize(
    "verifier",
    [
        "",
        "4821",
        "$argon2id$v=19$m=19456,t=2,p=1,keyid=abcdef$AAAA$BBBB",
        "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + "B" * 43,
        "$argon2id$v=19$m=9999999,t=2,p=1,keyid=abcdef$" + "A" * 22 + "$" + "B" * 43,
        "$argon2id$v=19$m=19456,t=99,p=1,keyid=abcdef$" + "A" * 22 + "$" + "B" * 43,
        "$argon2i$v=19$m=19456,t=2,p=1,keyid=abcdef$" + "A" * 22 + "$" + "B" * 43,
    ],
)
async def test_what_is_no_verifier_is_misuse_before_anything_is_counted(
    hx: Any, raw: redis.Redis, verifier: str
) -> None:
    with pytest.raises(Misuse):
        await hx.pins.verify("u1", RIGHT, verifier)
    assert raw.dbsize() == 0


async def test_the_digest_of_what_was_approved_comes_back(hx: Any, stored: str) -> None:
    ctx = {"amount_minor": 500_000, "to": "u2"}
    first = await hx.pins.verify("u1", RIGHT, stored, ctx)
    assert first.ctx == (await hx.pins.verify("u1", RIGHT, stored, dict(reversed(ctx.items())))).ctx
    assert first.ctx != (await hx.pins.verify("u1", RIGHT, stored, ctx | {"to": "u3"})).ctx
    for bad in ({}, {"amount": 1.5}, {"to": "\ud800"}):
        with pytest.raises(Misuse):
            await hx.pins.verify("u1", RIGHT, stored, bad)


async def test_redis_holds_counts_only_and_they_end(hx: Any, stored: str, raw: redis.Redis) -> None:
    for step in ([WRONG], [RIGHT], [WRONG] * 5):
        for pin in step:
            await hx.pins.verify("u1", pin, stored)
        assert raw.keys() == [b"pin:{u1}:tries"]
        assert set(raw.hgetall("pin:{u1}:tries")) <= {b"seq", b"base", b"until", b"level", b"by"}
        assert 0 < raw.pttl("pin:{u1}:tries") <= 86_400_000 + 900_000
    await hx.pins.reset("u1")
    assert 0 < raw.pttl("pin:{u1}:tries") <= 86_400_000


async def test_nothing_shows_in_a_repr_or_a_log(hx: Any, stored: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(await hx.pins.hash("u1", RIGHT)), repr(await hx.pins.verify("u1", RIGHT, stored)), repr(hx.pins)]
    assert not [text for text in (*shown, caplog.text) if RIGHT in text or "argon2" in text]


# -- the slow hash


async def test_the_event_loop_goes_on_while_pins_are_hashed(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, pins=PinOptions(memory_kib=65_536)) as hx:
        stored = (await hx.pins.hash("u1", RIGHT)).verifier
        checks = asyncio.gather(*(hx.pins.verify(f"u{n}", RIGHT, stored) for n in range(8)))
        turns = 0
        while not checks.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        await checks


async def test_too_many_at_once_are_refused_and_places_come_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, digest = threading.Event(), Hasher._digest
    # Else the first may be done, and its place free, before the last one asks.
    monkeypatch.setattr(Hasher, "_digest", lambda *given: digest(*given) if asked.wait(60) else b"")
    options = PinOptions(threads=1, waiting=2)
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, pins=options) as small:
        calls = [asyncio.ensure_future(small.pins.hash("u1", RIGHT)) for _ in range(10)]
        while sum(call.done() for call in calls) < 7:
            await asyncio.wait([call for call in calls if not call.done()], return_when=asyncio.FIRST_COMPLETED)
        asked.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert Counter(map(type, answers)) == {PinHashed: 3, Overloaded: 7}
        cancelled = asyncio.ensure_future(small.pins.hash("u1", RIGHT))
        await asyncio.sleep(0)
        cancelled.cancel()
        async with asyncio.timeout(60):
            await small.pins.hash("u1", RIGHT)
            again = await asyncio.gather(*(small.pins.hash("u1", RIGHT) for _ in range(2)))
        assert all(isinstance(answer, PinHashed) for answer in again)


async def test_what_too_many_others_crowd_out_is_not_counted(url: str) -> None:
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, pins=PinOptions(threads=1, waiting=0)) as small:
        made = await small.pins.hash("u1", RIGHT)
        assert isinstance(made, PinHashed)
        assert await small.pins.verify("u1", WRONG, made.verifier) == PinWrong(4)
        line = small.pins._room.work.__self__._line  # type: ignore[attr-defined]
        line.enter()  # one who takes his time
        for _ in range(2 * PinOptions().attempts):
            with pytest.raises(Overloaded):
                await small.pins.verify("u1", WRONG, made.verifier)
        line.leave()
        assert await small.pins.verify("u1", WRONG, made.verifier) == PinWrong(3)
        line.enter()
        crowd = [small.pins.verify("u1", WRONG, made.verifier) for _ in range(50)]
        answers = await asyncio.gather(*crowd, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {Overloaded, PinLocked}
        line.leave()
        assert isinstance(await small.pins.verify("u1", RIGHT, made.verifier), PinOk)


def test_blocking_callers_wait_their_turn_and_too_many_are_refused(url: str) -> None:
    answers: list[Any] = []
    with BlockingHustleX(
        url, timeout=PATIENCE, secret=SECRET, pins=PinOptions(threads=1, waiting=1, memory_kib=65_536)
    ) as hx:

        def call() -> None:
            try:
                answers.append(hx.pins.hash("u1", RIGHT))
            except Overloaded as error:
                answers.append(error)

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert isinstance(hx.pins.hash("u1", RIGHT), PinHashed)
    counted = Counter(map(type, answers))
    assert counted[PinHashed] >= 2
    assert counted[Overloaded] >= 1


# -- a server in trouble


async def test_without_a_server_nobody_is_let_through(faulty: Proxy) -> None:
    async with HustleX(faulty.url, secret=SECRET) as hx:
        stored = (await hx.pins.hash("u1", RIGHT)).verifier
        faulty.refuse = True
        with pytest.raises(Unavailable):
            await hx.pins.verify("u1", RIGHT, stored)


async def test_an_attempt_whose_reply_was_lost_is_counted_and_not_compared(
    faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HustleX(faulty.url, timeout=PATIENCE, secret=SECRET) as hx:
        stored = (await hx.pins.hash("u1", RIGHT)).verifier
        await hx.pins.verify("u1", WRONG, stored)
        compared = spy(monkeypatch)
        faulty.lose_reply(containing=b"EVALSHA")
        with pytest.raises(OutcomeUnknown):
            await hx.pins.verify("u1", RIGHT, stored)
        assert compared == []
        assert await hx.pins.verify("u1", WRONG, stored) == PinWrong(2)


async def test_on_a_full_server_guesses_are_counted_and_right_ones_pass(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server, redis.Redis.from_url(server.url) as raw:
        raw.config_set("maxmemory", "1")
        async with HustleX(server.url, timeout=PATIENCE, secret=SECRET) as hx:
            stored = (await hx.pins.hash("u1", RIGHT)).verifier
            assert isinstance(await hx.pins.verify("u1", RIGHT, stored), PinOk)
            assert isinstance((await wrong(hx, stored, 5))[-1], PinLocked)
            assert isinstance(await hx.pins.verify("u1", RIGHT, stored), PinLocked)
            assert await hx.pins.reset("u1")


async def test_scripts_may_be_flushed_between_any_two_steps(hx: Any, stored: str, raw: redis.Redis) -> None:
    for pin, answer in ((WRONG, PinWrong(4)), (RIGHT, PinOk(rehash=False)), (WRONG, PinWrong(4))):
        raw.script_flush()
        assert await hx.pins.verify("u1", pin, stored) == answer
    raw.script_flush()
    assert await hx.pins.reset("u1")


def test_options_are_checked() -> None:
    from hustlex.errors import ConfigurationError

    for wrong_option in (
        {"shortest": 3},
        {"longest": 9},
        {"attempts": 0},
        {"memory_kib": 1},
        {"passes": 0},
        {"threads": 0},
        {"locks": ()},
    ):
        with pytest.raises(ConfigurationError):
            PinOptions(**wrong_option)  # type: ignore[arg-type]
    with pytest.raises(Misuse):
        PinOptions(quiet=timedelta(0))
