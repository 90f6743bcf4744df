"""Event streams of one process to 10,000 browsers over real sockets: what a delivery costs, and how late it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable

import msgspec
import psutil

from bench.harness import percentile
from hustlex.drivers.aio import Driver
from hustlex.events import Events

_BROWSERS = int(os.environ.get("BENCH_BROWSERS", "10000"))
_AT_ONCE = 100
_CONNECT_S = 35.0
_LEAVE_S = 10.0
_SPARE_FILES = 200
_SERVER = "bench.own.event_server"


class Sent(msgspec.Struct, frozen=True):
    """at: nanoseconds of the machine's steady clock."""

    at: int


class _Browser(asyncio.Protocol):
    """Opens the stream, and notes how old each event is."""

    def __init__(self, lateness: list[float], on_open: Callable[[], None]) -> None:
        self._lateness = lateness
        self._on_open = on_open
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"GET /events HTTP/1.1\r\nHost: bench\r\n\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self._open and b"retry:" in data:
            self._open = True
            self._on_open()
        found = data.find(b'"at":')
        if found >= 0:
            at = int(data[found + 5 : data.index(b"}", found)])
            self._lateness.append((time.monotonic_ns() - at) / 1e6)


async def measure(url: str, messages: float) -> dict[str, float]:
    """Browsers served, CPU per delivery in microseconds, lateness in milliseconds."""
    server = await asyncio.create_subprocess_exec(*(sys.executable, "-m", _SERVER, url), stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    try:
        return await _measure(url, port, server.pid, int(messages))
    finally:
        server.kill()
        await server.wait()


async def _measure(url: str, port: int, pid: int, messages: int) -> dict[str, float]:
    lateness: list[float] = []
    process = psutil.Process(pid)
    (first,) = await _connect(port, lateness, 1)  # what is loaded at the first request belongs to no stream
    files = process.num_fds() - 1
    first.abort()
    await _until(lambda: process.num_fds() <= files)
    empty, begun = process.memory_info().rss, time.monotonic()
    transports = await _connect(port, lateness, min(_BROWSERS, open_files() - _SPARE_FILES))
    browsers, took = len(transports), time.monotonic() - begun
    driver = Driver(url)
    news = Events(driver).channel("news:all", Sent, kind="replay")
    await news.publish(Sent(time.monotonic_ns()))
    await _until(lambda: len(lateness) >= browsers)
    lateness.clear()
    before = process.cpu_times()
    for number in range(1, messages + 1):
        await news.publish(Sent(time.monotonic_ns()))
        await _until(lambda: len(lateness) >= number * browsers)  # noqa: B023
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    memory = process.memory_info().rss
    lateness.sort()
    for transport in transports:
        transport.abort()
    with contextlib.suppress(TimeoutError):
        await _until(lambda: process.num_fds() <= files, _LEAVE_S)
    await driver.close()
    return {
        "sse_subscribers": browsers,
        "sse_messages": messages,
        "sse_lost": messages * browsers - len(lateness),
        "sse_connects_per_s": browsers / took,
        "sse_delivery_us": cpu / len(lateness) * 1e6,
        "sse_p50_ms": percentile(lateness, 0.5),
        "sse_p99_ms": percentile(lateness, 0.99),
        "sse_memory_kb": (memory - empty) / 1024 / browsers,
        "sse_files_left": process.num_fds() - files,
    }


def open_files() -> int:
    """Raise this process's limit of open files as far as it may; the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


async def _connect(port: int, lateness: list[float], most: int) -> list[asyncio.Transport]:
    """As many as come in within the time."""
    room, opened = asyncio.Semaphore(_AT_ONCE), 0
    loop = asyncio.get_running_loop()
    transports: list[asyncio.Transport] = []
    until = loop.time() + _CONNECT_S

    def on_open() -> None:
        nonlocal opened
        opened += 1
        room.release()

    while len(transports) < most and loop.time() < until:
        await room.acquire()
        transport, _ = await loop.create_connection(lambda: _Browser(lateness, on_open), "127.0.0.1", port)
        transports.append(transport)
    await _until(lambda: opened == len(transports))
    return transports


async def _until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
