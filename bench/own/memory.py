"""What this package keeps on the server, made through the front as an application makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec

from bench.own.auth import SECRET
from bench.peers.memory import Make
from hustlex import HustleX, Tasks
from hustlex.idempotency import Response, Scope, Started
from hustlex.otp import Issued, OtpOptions
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.testing import drain
from hustlex.tokens import TokenPair

PENDING, SCHEDULED = "hustlex pending job", "hustlex scheduled job"
CODE, ANSWER = "hustlex open code", "hustlex idempotency record"
_CALLERS = 64
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)

Act = Callable[[HustleX, int], Awaitable[object]]


def _answer() -> bytes:
    """A receipt as an API sends it."""
    receipt = {
        "id": "9b0c1f7e-54a1-4a49-8c07-2f8e3a3f6d10",
        "status": "completed",
        "amount": {"currency": "NGN", "minor": 1_250_000},
        "from": {"wallet": "0f7c2a9c11", "name": "Adaeze Okafor"},
        "to": {"wallet": "77b1c0de42", "name": "Chinedu Balogun", "bank": "Zenith Bank"},
        "created_at": "2026-11-29T14:03:22.481Z",
        "reference": "HX-2026-11-29-000481223",
        "fees": [{"kind": "stamp", "minor": 5_000}, {"kind": "transfer", "minor": 1_075}],
        "memo": "November rent, second half; thanks for your patience...",
        "balance": {"currency": "NGN", "minor": 48_210_055},
    }
    return msgspec.json.encode(receipt)


_BODY = _answer()
BODY_BYTES = len(_BODY)
_tasks = Tasks()


@_tasks.task("bench:mark", queue="default")
async def mark(job: int, sent_ns: int) -> None:
    """As the Go program's."""


async def _each(act: Act, url: str, first: int, count: int) -> None:
    """One call per thing, by 64 callers."""
    otp = OtpOptions(caps=None)  # strangers of one prefix by the thousand are what caps refuse
    limits = RateLimitOptions(timeout=timedelta(seconds=10))
    async with HustleX(url, secret=SECRET, otp=otp, ratelimit=limits) as hx:
        jobs = iter(range(first, first + count))

        async def caller() -> None:
            for job in jobs:
                await act(hx, job)

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))


def _thing(act: Act) -> Make:
    async def make(url: str, first: int, count: int) -> None:
        await _each(act, url, first, count)

    return make


async def _batches(url: str, first: int, count: int) -> None:
    async with HustleX(url) as hx:
        for start in range(first, first + count, 100):
            await hx.jobs.enqueue_many(mark.job(job=job, sent_ns=0) for job in range(start, start + 100))


def _ended(**options: Any) -> Make:
    """Jobs that are done. options: of each."""

    async def make(url: str, first: int, count: int) -> None:
        await _each(lambda hx, n: hx.jobs.enqueue(mark.job(job=n, sent_ns=0), **options), url, first, count)
        async with HustleX(url) as hx:
            await drain(hx, _tasks, concurrency=100, timeout=_MINUTE)

    return make


async def _code(hx: HustleX, number: int) -> None:
    if not isinstance(await hx.otp.issue(f"+234803{number:07}"), Issued):
        raise SystemExit("a code was refused")


async def _receipt(hx: HustleX, number: int) -> None:
    scope = Scope(f"user{number}", "POST", "/transfers")
    started = await hx.idempotency.begin(f"{number:08}-4a49-8c07-2f8e3a3f6d10", scope, body=_BODY[:200])
    if not isinstance(started, Started):
        raise SystemExit("a key was refused")
    await hx.idempotency.complete(started, Response(201, _BODY, (("content-type", "application/json"),)))


async def _session(hx: HustleX, number: int) -> TokenPair:
    pair = await hx.tokens.login(f"user{number}")
    if not isinstance(pair, TokenPair):
        raise SystemExit("a login was refused")
    return pair


async def _revoked(hx: HustleX, number: int) -> None:
    pair = await _session(hx, number)
    await hx.tokens.logout(pair.access)


async def _cached(hx: HustleX, number: int) -> None:
    cache: Any = hx.cache("user", str, ttl=_HOUR, timeout=timedelta(seconds=5))
    await cache.set(number, "x" * 500)


def _limit(kind: Any) -> Make:
    policy = Policy(kind, 10, _MINUTE, kind, burst=5 if kind == "gcra" else None)
    return _thing(lambda hx, number: hx.ratelimit.check(policy, f"user{number}", endpoint="/transfers"))


THINGS: dict[str, Make] = {
    PENDING: _thing(lambda hx, n: hx.jobs.enqueue(mark.job(job=n, sent_ns=0))),
    "hustlex pending job, batches of 100": _batches,
    SCHEDULED: _thing(lambda hx, n: hx.jobs.enqueue(mark.job(job=n, sent_ns=0), process_in=_HOUR)),
    "hustlex unique job": _thing(lambda hx, n: hx.jobs.enqueue(mark.job(job=n, sent_ns=0), unique_for=_HOUR)),
    "hustlex kept job": _ended(retention=_HOUR),
    "hustlex job that ended just now": _ended(),
    CODE: _thing(_code),
    ANSWER: _thing(_receipt),
    "hustlex session": _thing(_session),
    "hustlex session logged out": _thing(_revoked),
    "hustlex cached 500 bytes": _thing(_cached),
    **{f"hustlex limit {kind}": _limit(kind) for kind in ("counter", "strict", "fixed", "gcra", "log")},
}
