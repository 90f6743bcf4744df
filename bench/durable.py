"""Enqueues that wait until they are safe, by level: one at a time, and from 64 callers, whose waits are one."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
import uvloop

from bench.harness import CALLERS, QUICK, Budget, Figures, new_server, per_second, print_summary, print_table, serving
from hustlex import HustleX
from hustlex.app import DurableRooms
from hustlex.core.durability.level import Durability
from hustlex.drivers.embedded import EmbeddedServer

_SECONDS = 0.3 if QUICK else 2.0
_LEVELS = {
    "memory": ("memory", "everysec"),
    "fsync, appendfsync always": ("fsync", "always"),
    "memory, appendfsync always": ("memory", "always"),
    "replica": ("replica", "everysec"),
    "replica_fsync, appendfsync always": ("replica_fsync", "always"),
}
_DURABLE = "fsync, appendfsync always"


def main() -> None:
    """Print the table, what the disk itself takes, and the summary."""
    print_summary(measured())


def measured() -> dict[str, float]:
    """The table, and its figures."""
    figures = Figures()
    disk_ms = _disk_ms()
    for number in Budget(10 if QUICK else 90, 5).rounds():
        for level in list(_LEVELS) if number % 2 == 0 else reversed(_LEVELS):
            figures.add(level, _one(level))
    print_table(
        f"Durable enqueues (fdatasync of this disk takes {disk_ms:.2f} ms): median (min-max)",
        ["", "1 caller /s", "ms each", f"{CALLERS} callers /s"],
        [[level, *(figures.cell(level, name, 2 if name == "ms" else 0) for name in ("one", "ms", "many"))]
         for level in _LEVELS],
    )  # fmt: skip
    return {
        "durable_enqueue64_per_s": figures.median(_DURABLE, "many"),
        "durable_enqueue1_per_s": figures.median(_DURABLE, "one"),
        "durable_enqueue64_replica_per_s": figures.median("replica", "many"),
        "disk_sync_ms": disk_ms,
        "durable_enqueue64_per_disk_sync": figures.median(_DURABLE, "many") * disk_ms / 1000,
    }


def _one(name: str) -> dict[str, float]:
    level, policy = _LEVELS[name]
    with _servers(policy, replica=level.startswith("replica")) as url:
        found: dict[str, float] = uvloop.run(_enqueues(url, level))
        return found


async def _enqueues(url: str, level: str) -> dict[str, float]:
    async with HustleX(url) as hx:
        jobs: Any = DurableRooms(hx, Durability(level, wait_ms=5_000)).jobs

        async def call(_: int) -> None:
            await jobs.enqueue("bench:mark", b"x" * 100)

        many, one = await _rate(CALLERS, call), await _rate(1, call)
    return {"one": one, "ms": 1000 / one, "many": many}


async def _rate(callers: int, call: Any) -> float:
    warm = await per_second(callers, range(callers * 10), call)
    return await per_second(callers, range(max(callers * 2, int(warm * _SECONDS))), call)


@contextmanager
def _servers(policy: Any, *, replica: bool) -> Iterator[str]:
    with ExitStack() as running:
        first = running.enter_context(serving(append_only=True, appendfsync=policy))
        if replica:
            second = running.enter_context(new_server(append_only=True, appendfsync=policy))
            _follow(first, second)
        yield first.url


def _follow(first: EmbeddedServer, second: EmbeddedServer) -> None:
    with redis.Redis.from_url(first.url) as leads, redis.Redis.from_url(second.url) as follows:
        leads.config_set("repl-diskless-sync-delay", 0)
        follows.config_set("masterauth", urlsplit(first.url).password or "")
        follows.replicaof("127.0.0.1", first.port)
        leads.set("bench:followed", 1)
        while leads.execute_command("WAITAOF", 0, 1, 100)[1] < 1:  # after its first sync it writes its whole file anew
            pass


def _disk_ms() -> float:
    """What one forced write takes, where the servers keep their files."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(100):
            file.write(b"x" * 8_192)
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
