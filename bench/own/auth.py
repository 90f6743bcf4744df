"""Checks, refreshes, logins and code verifications through the front, as an application makes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle, islice
from typing import Any, TypeVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from bench.harness import CALLERS, one_core, per_second, percentile, server_cpu, two_cores
from hustlex import HustleX
from hustlex.otp import Delivery, Issued, OtpOptions, Verified, Wrong
from hustlex.tokens import Access, KeySet, Refreshed, TokenOptions, TokenPair

SECRET = b"a benchmark secret of thirty-two bytes, or more"
T = TypeVar("T")

_USERS = 500
_ROUND = 100


async def measure(url: str, seconds: float) -> dict[str, float]:
    """Every figure of this package's arm. seconds: about how long each is measured."""
    # Thousands of codes for numbers in a row, none typed yet: what caps and breakers are there to refuse.
    async with HustleX(url, secret=SECRET, otp=OtpOptions(caps=None)) as hx:
        pairs = [await _login(hx, number) for number in range(_USERS)]
        if not await hx.tokens.start():
            raise SystemExit("the feed of revocations cannot be followed")
        found: dict[str, float] = {}
        for mode, guess in (("strict", 60_000), ("bounded", 300_000), ("stateless", 300_000)):
            found |= await _checks(hx, pairs, mode, int(guess * seconds))
        found |= await _verifying(hx, "first_check", int(5_000 * seconds))
        async with HustleX(url, secret=SECRET, tokens=TokenOptions(keys=_ed25519())) as other:
            found |= await _verifying(other, "first_check_eddsa", int(5_000 * seconds))
        found |= await _issuing(hx, int(5_000 * seconds))
        return found | await _codes(hx, int(12_000 * seconds))


async def _login(hx: HustleX, number: int) -> TokenPair:
    pair = await hx.tokens.login(f"user{number}")
    if not isinstance(pair, TokenPair):
        raise SystemExit("a login was refused")
    return pair


async def _made(count: int, make: Callable[[int], Awaitable[T]]) -> list[T]:
    """Prepare what the clock shall not see, by 64 callers."""
    made: list[T] = []

    async def call(number: int) -> None:
        made.append(await make(number))

    await per_second(CALLERS, range(count), call)
    return made


class Costs:
    """Microseconds of CPU per call, ours and the server's."""

    def __init__(self) -> None:
        self._client, self._server = time.process_time(), server_cpu()

    def per_call(self, name: str, calls: int) -> dict[str, float]:
        """Since this was made."""
        client, server = time.process_time() - self._client, server_cpu() - self._server
        return {f"{name}_cpu": client / calls * 1e6, f"{name}_server_cpu": server / calls * 1e6}


async def timed(name: str, jobs: Sequence[int], call: Callable[[int], Awaitable[Any]]) -> dict[str, float]:
    """Calls per second and CPU per call, from 64 callers."""
    costs = Costs()
    rate = await per_second(CALLERS, jobs, call)
    return {f"{name}64": rate} | costs.per_call(name, len(jobs))


async def latency(name: str, calls: int, call: Callable[[int], Awaitable[Any]]) -> dict[str, float]:
    """The median and the 99th percentile of one caller's waits, milliseconds."""
    waits = []
    with one_core():
        for number in range(calls):
            begun = time.perf_counter()
            await call(number)
            waits.append(time.perf_counter() - begun)
    waits.sort()
    return {f"{name}_p50_ms": percentile(waits, 0.5) * 1e3, f"{name}_p99_ms": percentile(waits, 0.99) * 1e3}


async def _checks(hx: HustleX, pairs: Sequence[TokenPair], mode: Any, calls: int) -> dict[str, float]:
    """Each call has a text of its own, as from a request's header: Python keeps the hash of a text it saw before.

    The loop is written out: a bounded check takes less than the harness would add to it. As it waits for nothing, the
    callers let the event loop go round now and then, as a server's sockets make it do; else the feed is not read.
    """
    raw = [pair.access.encode() for pair in pairs]
    check = hx.tokens.check

    async def caller(texts: Sequence[str]) -> None:
        for number, text in enumerate(texts):
            if not number % _ROUND:
                await asyncio.sleep(0)
            answer = await check(text, mode=mode)
            if type(answer) is not Access or answer.mode != mode:
                raise SystemExit(f"a {mode} check was refused, or was not {mode}")

    async def all_callers(count: int) -> dict[str, float]:
        texts = [text.decode() for text in islice(cycle(raw), count)]
        costs, begun = Costs(), time.perf_counter()
        with two_cores():
            await asyncio.gather(*(caller(texts[number::CALLERS]) for number in range(CALLERS)))
        taken = time.perf_counter() - begun
        return {f"{mode}_check64": count / taken} | costs.per_call(f"{mode}_check", count)

    await all_callers(min(calls, 5_000))
    found = await all_callers(calls)
    return found | await latency(f"{mode}_check", 2_000, lambda number: check(raw[number % _USERS].decode(), mode=mode))


def _ed25519() -> KeySet:
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeySet.from_pem(pem)


async def _verifying(hx: HustleX, name: str, calls: int) -> dict[str, float]:
    """Checks of tokens that this process sees for the first time: the signature is verified."""
    texts = [pair.access for pair in await _made(calls, lambda number: _login(hx, _USERS + number))]

    async def call(number: int) -> None:
        if type(await hx.tokens.check(texts[number], mode="strict")) is not Access:
            raise SystemExit("a check was refused")

    return await timed(name, range(calls), call)


async def _issuing(hx: HustleX, calls: int) -> dict[str, float]:
    """Refreshes that rotate, each of a session of its own; and logins."""
    fresh = await _made(calls, lambda number: _login(hx, 100_000 + number))

    async def refresh(number: int) -> None:
        if type(await hx.tokens.refresh(fresh[number].refresh)) is not Refreshed:
            raise SystemExit("a refresh was refused")

    async def login(number: int) -> None:
        await _login(hx, number % (_USERS * 10))

    return await timed("refresh", range(calls), refresh) | await timed("login", range(calls), login)


async def _codes(hx: HustleX, calls: int) -> dict[str, float]:
    """Wrong, then right codes; the challenges were issued, and the codes worked out, before the clock runs."""
    challenges = await _made(calls, lambda number: _challenge(hx, number))

    async def wrong(number: int) -> None:
        challenge, code = challenges[number]
        if type(await hx.otp.verify(challenge, f"{(int(code) + 1) % 1_000_000:06}")) is not Wrong:
            raise SystemExit("a wrong code was not counted")

    async def right(number: int) -> None:
        if type(await hx.otp.verify(*challenges[number])) is not Verified:
            raise SystemExit("a right code was refused")

    return await timed("otp_wrong", range(calls), wrong) | await timed("otp_verify", range(calls), right)


async def _challenge(hx: HustleX, number: int) -> tuple[str, str]:
    issued = await hx.otp.issue(f"+234803{number:07}")
    if not isinstance(issued, Issued):
        raise SystemExit(f"no challenge was issued: {type(issued).__name__}")
    delivery = await hx.otp.open(issued.challenge)
    if not isinstance(delivery, Delivery):
        raise SystemExit("a challenge could not be opened")
    return issued.challenge, delivery.code
