"""``GET /health``: whether a worker works, for a load balancer, an orchestrator or a person; ``GET /live``: whether its
event loop turns. HTTP/1.1, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import msgspec

from hustlex.core import check
from hustlex.core.doors import accept_no_more
from hustlex.core.health import degraded
from hustlex.core.op import AsyncDriver
from hustlex.errors import ConfigurationError, Error
from hustlex.jobs.lease.lag import lag
from hustlex.worker.worker import Worker

Answer = Callable[[], Awaitable[tuple[bool, bytes]]]
"""Whether all is well, and the report as JSON."""
Page = Callable[[str], Awaitable["PageReply"]]
"""Given the query, without its question mark."""

_JSON = "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE_S = 5.0
_LAG_PATIENCE_S = 1.0
_LONGEST_REQUEST = 8192
_MOST_CLIENTS = 32
_HEAD = (
    "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
)


class PageReply(msgspec.Struct, frozen=True):
    """What a path answers."""

    well: bool
    """Whether all is: 200, else 503."""
    body: bytes
    content_type: str = _JSON
    status: int = 0
    """Another one than these two."""


class QueueReport(msgspec.Struct, frozen=True):
    """A queue as of now; None where Redis did not answer in a second."""

    held: int
    """Its tasks in the worker's hands."""
    pending: int | None = None
    """Its tasks that wait to run."""
    wait_ms: int | None = None
    """How long the next of them has waited."""
    paused: bool | None = None
    """Whether nothing of it starts."""


class Report(msgspec.Struct, frozen=True):
    """What ``/health`` answers."""

    ok: bool
    """Whether it is active and every part works."""
    worker: str
    """Its id."""
    status: str
    """new, active or closed; anything but active is not ok."""
    trouble: dict[str, str]
    """As blocking, waiting, hung, ahead and unknown: see ``Health``."""
    queues: dict[str, QueueReport]
    running: int
    """Handlers that wait for something."""
    concurrency: int
    """How many may run."""
    blocking: dict[str, float]
    waiting: dict[str, int]
    hung: dict[str, int]
    ahead: int
    broken: int
    """Runners that had to be replaced since the start."""
    unknown: tuple[str, ...]
    degraded: dict[str, str] = {}
    """What works by second best in this process, as ``HustleX.degraded``; it does not count against ``ok``."""


async def report(worker: Worker, driver: AsyncDriver) -> Report:
    """Ask the worker's parts, and Redis for the queues; never raises."""
    lags = await _lags(worker, driver)
    health, status = worker.health, worker.parts.heartbeat.status
    queues = {
        queue.name: QueueReport(len(queue.held), *(found or (None, None, None)))
        for queue, found in zip(worker.parts.queues, lags, strict=True)
    }
    return Report(
        health.ok and status == "active",
        worker.id,
        status,
        health.trouble,
        queues,
        len(worker.parts.executor.waiting),
        worker.parts.executor.limit,
        health.blocking,
        health.waiting,
        health.hung,
        health.ahead,
        worker.parts.executor.broken,
        health.unknown,
        degraded(),
    )


async def _lags(worker: Worker, driver: AsyncDriver) -> list[tuple[int, int, bool] | None]:
    calls = [lag(queue.keys, worker.parts.clock.for_script()) for queue in worker.parts.queues]
    try:
        async with asyncio.timeout(_LAG_PATIENCE_S):
            answers = await driver.run_many(calls)
    except (TimeoutError, Error):
        return [None] * len(calls)
    return [
        None if isinstance(answer, Error) else (answer.pending, answer.wait_ms, answer.paused) for answer in answers
    ]


@asynccontextmanager
async def serve_health(
    worker: Worker,
    driver: AsyncDriver,
    port: int,
    host: str = "127.0.0.1",
    *,
    metrics: Callable[[], bytes] | None = None,
) -> AsyncIterator[int]:
    """Answer ``GET /health`` while the block runs: 200 when the worker works, else 503, both with a ``Report``; and
    ``GET /live``: 200 as long as the event loop turns, whatever the worker's trouble.

    port: 0 = any free one; gives the one it is. metrics: answers ``GET /metrics`` in Prometheus' text format, as
    ``process_metrics().text``. There is no access control: bind it to an address that only your own
    probes can reach. Raises ConfigurationError when the port is taken.
    """
    check.instance("worker", worker, Worker)
    check.driver(driver)
    check.whole("port", port, 0, 65_535)
    check.text("host", host)
    if metrics is not None:
        check.function("metrics", metrics)
    async with listening(pages_of(answer_of(worker, driver), metrics), port, host) as taken:
        yield taken


def answer_of(worker: Worker, driver: AsyncDriver) -> Answer:
    """What a worker says of itself."""

    async def answer() -> tuple[bool, bytes]:
        found = await report(worker, driver)
        return found.ok, msgspec.json.encode(found)

    return answer


def pages_of(answer: Answer, metrics: Callable[[], bytes] | None = None) -> dict[bytes, Page]:
    """A process' health, and its metrics where there are some."""

    async def health(_: str) -> PageReply:
        return PageReply(*await answer())

    async def live(_: str) -> PageReply:
        return PageReply(True, b'{"live":true}')

    async def numbers(_: str) -> PageReply:
        assert metrics is not None
        return PageReply(True, metrics(), _PROMETHEUS)

    pages: dict[bytes, Page] = {b"/health": health, b"/live": live}
    return pages if metrics is None else {**pages, b"/metrics": numbers}


@asynccontextmanager
async def listening(pages: Mapping[bytes, Page], port: int, host: str) -> AsyncIterator[int]:
    """Answer at an address, as ``serve_health`` says."""
    door = _Door(pages)
    try:
        server = await asyncio.start_server(door.serve, host, port, limit=_LONGEST_REQUEST)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except UnicodeError:  # of the resolver's own encoding of names
        raise ConfigurationError("cannot listen: host is no name and no address") from None
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        await door.close(server)


@asynccontextmanager
async def listening_at(pages: Mapping[bytes, Page], path: str) -> AsyncIterator[None]:
    """Answer at a socket in the file system, for a program of this machine."""
    door = _Door(pages)
    server = await asyncio.start_unix_server(door.serve, path, limit=_LONGEST_REQUEST)
    try:
        yield
    finally:
        await door.close(server)


class _Door:
    def __init__(self, pages: Mapping[bytes, Page]) -> None:
        self._pages = pages
        self._clients: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        writer.transport.set_write_buffer_limits(0)  # drain waits for the last byte
        try:
            if len(self._clients) <= _MOST_CLIENTS:
                with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    async with asyncio.timeout(_PATIENCE_S):
                        request = await reader.readuntil(b"\r\n\r\n")
                        writer.write(await self._reply(request))
                        await writer.drain()
        except asyncio.CancelledError:
            pass  # asyncio asks what a connection's task raised, and logs a failure over a cancelled one
        finally:
            self._clients.discard(task)
            writer.transport.abort()  # close would wait for who does not read

    async def _reply(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path, _, query = rest.partition(b" ")[0].partition(b"?")
        page = self._pages.get(path)
        if page is None:
            known = b" or ".join(self._pages)
            return _response(HTTPStatus.NOT_FOUND, b'{"error":"try %b"}' % known)
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b'{"error":"use GET"}')
        reply = await page(query.decode("ascii", "replace"))
        status = HTTPStatus.OK if reply.well else HTTPStatus.SERVICE_UNAVAILABLE
        status = HTTPStatus(reply.status or status)
        return _response(status, reply.body, reply.content_type, head=method == b"HEAD")

    async def close(self, server: asyncio.Server) -> None:
        """Cut off who is still here."""
        await accept_no_more(server)
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)


def _response(status: HTTPStatus, body: bytes, content_type: str = _JSON, *, head: bool = False) -> bytes:
    start = _HEAD.format(status.value, status.phrase, content_type, len(body)).encode()
    return start if head else start + body
