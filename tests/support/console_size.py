"""How much a page of the console may cost, however much stands in the queues: commands, bytes, time.

``make console-size`` fills 1,000,000 tasks into one queue beside 999 others and opens every page; a test does the same
with less.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import msgspec
import redis

from hustlex.app import HustleX
from hustlex.core.telemetry import CallStart
from hustlex.dashboard import Dashboard, Operator
from hustlex.dashboard.names import to_url
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.jobs import Job, gather
from hustlex.jobs.keys import QUEUES, QueueKeys, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind, QueueMeasure
from hustlex.jobs.wire import TaskMessage, encode_task

MOST_COMMANDS, MOST_BYTES, MOST_MS = 50, 256 * 1024, 200.0
ROUNDS = 11
MOST_STEPS = 200
BIG = "big"
_PLACE = "http://localhost:8100"
_WIDTH = 10
_CHUNK = 5_000
_SHARES = {"pending": 94, "scheduled": 2, "retry": 2, "archived": 1, "completed": 1}
"""Of a hundred tasks."""
_FILL = """
local prefix, state, head, tail, first, last = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
for n = first, last do
  local id = string.format('%010.0f', n)
  local task, since = prefix .. 't:' .. id, ARGV[7] .. '000000'
  redis.call('HSET', task, 'msg', head .. id .. tail, 'state', state, 'pending_since', since)
  if state == 'pending' then redis.call('LPUSH', prefix .. state, id)
  else redis.call('ZADD', prefix .. state, ARGV[8] + n % 1000, id) end
end
"""


class PageFigures(msgspec.Struct):
    """What one page cost."""

    path: str
    status: int
    commands: int
    size: int
    ms: tuple[float, ...]
    """Each of several times; a busy machine adds to them."""
    cpu_ms: tuple[float, ...]
    """The same, of this process alone."""

    @property
    def over(self) -> str:
        """What it exceeds, "" = nothing."""
        found = []
        if self.commands > MOST_COMMANDS:
            found.append("commands")
        if self.size > MOST_BYTES:
            found.append("bytes")
        if median(self.ms) > MOST_MS:
            found.append("time")
        return " ".join(found)


def fill(raw: redis.Redis, tasks: int, queues: int) -> None:
    """tasks: in one queue, in every state. queues: in all, the others with a task each and a history."""
    now = int(time.time())
    script = raw.register_script(_FILL)
    big = queue_keys(BIG)
    first = 0
    for state, share in _SHARES.items():
        end = first + tasks * share // 100
        for start in range(first, end, _CHUNK):
            _put(script, big, state, start, min(start + _CHUNK, end) - 1, now)
        first = end
    for n in range(queues - 1):
        _put(script, queue_keys(f"queue-{n:04}"), "pending", 0, 0, now)
    raw.sadd(QUEUES, BIG, *(f"queue-{n:04}" for n in range(queues - 1)))


def _put(script: Any, queue: QueueKeys, state: str, first: int, last: int, now: int) -> None:
    placeholder = "?" * _WIDTH
    message = TaskMessage(
        type="gig:notify", payload=b'{"gig_id": 48213, "text": "%s"}' % (b"x" * 500), id=placeholder, queue=queue.name,
        retry=25, error_msg="ValueError: no such gig" if state in ("retry", "archived") else "",
    )  # fmt: skip
    head, tail = encode_task(message).split(placeholder.encode())
    later = now + 3600 if state != "archived" else now - 3600
    script(args=[queue.prefix, state, head, tail, first, last, str(now * 1000 - 60_000), later])


async def noted(hx: HustleX, queues: int) -> None:
    """A history and errors of each queue."""
    names = [BIG, *(f"queue-{n:04}" for n in range(queues - 1))]
    measure = QueueMeasure(1000, 10, 1, 5000)
    chunks = [names[n : n + record.MOST_AT_ONCE] for n in range(0, len(names), record.MOST_AT_ONCE)]
    for chunk in chunks:
        await hx.driver.run(record.history([(name, measure) for name in chunk], 0))
    kinds = [
        FailureKind("gig:notify", f"app.errors.Failure{n}", f"provider.post{n}", "no <n> " * 25) for n in range(100)
    ]
    counts = [FailureCount(f"{n:016x}", kind, 7, tuple(f"{n:010}" for n in range(10))) for n, kind in enumerate(kinds)]
    for name in [BIG, *(await hx.jobs.inspector.failing())[:20]]:
        await hx.driver.run(record.failures(queue_keys(name), counts, 0))


PAGES = (
    "/", "/queues", "/queues?sort=pending", f"/queues/{BIG}", "/tasks",
    *(f"/tasks?queue={BIG}&state={state}" for state in _SHARES),
    "/bulk", "/tasks?q=state:retry+error~such", f"/tasks?q=queue:{BIG}+type:gig:*+error~nowhere",
    f"/tasks/{BIG}/0000000001", "/tasks?id=0000000000", "/tasks?id=nowhere", "/errors", f"/errors?queue={BIG}",
    f"/errors/{BIG}/{5:016x}", "/workers", "/cron", "/workflows", "/groups", "/quarantine", "/people", "/codes",
    "/limits", "/cache", "/idempotency", "/events", "/redis", "/audit",
    f"/confirm?verb=delete_queue&queue={BIG}&back=/queues",
)  # fmt: skip


async def pages(hx: HustleX) -> tuple[str, ...]:
    """Those, and the pages of one thing whose name is not known before: they are made here."""
    await hx.jobs.schedules.add("hourly", "@every 1h", Job("gig:notify", b""))
    entry = await hx.jobs.schedules.get("hourly")
    parts = [Job("gig:notify", b"x" * 500, {"queue": BIG}) for _ in range(MOST_STEPS)]
    await hx.jobs.start(gather(*parts[1:], then=parts[0]), workflow_id="wide")
    bulk = await hx.jobs.inspector.bulk.plan("archive", f"queue:{BIG} state:retry", by="ada", label="many")
    while bulk.moving:
        bulk = await hx.jobs.inspector.bulk.step(bulk.id)
    return (*PAGES, f"/cron/{to_url(entry.id)}", f"/workflows/{BIG}/{to_url('wide:0')}", f"/bulk/{to_url(bulk.id)}")


class Counted:
    """A hook that counts commands."""

    def __init__(self) -> None:
        self.commands = 0

    def __call__(self, call: CallStart) -> None:
        """A call begins."""
        self.commands += call.size


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[HustleX, Counted, httpx.AsyncClient]]:
    """A console and who looks at it."""

    async def ada(_: Any) -> Operator:
        return Operator("act", "ada")

    counted = Counted()
    async with HustleX(url, secret=secrets.token_bytes(32), hook=counted, timeout=timedelta(seconds=5)) as hx:
        transport = httpx.ASGITransport(Dashboard(hx, access=ada))
        async with httpx.AsyncClient(transport=transport, base_url=_PLACE) as client:
            yield hx, counted, client


async def measure(counted: Counted, client: httpx.AsyncClient, paths: Sequence[str], rounds: int) -> list[PageFigures]:
    """Each page so often; all of the times, the last of the rest."""
    found = []
    for path in paths:
        times, cpu, answer = list[float](), list[float](), None
        for _ in range(rounds):
            before, began, worked = counted.commands, time.perf_counter(), time.process_time()
            answer = await client.get(path)
            times.append((time.perf_counter() - began) * 1000)
            cpu.append((time.process_time() - worked) * 1000)
            commands = counted.commands - before
        assert answer is not None
        sizes = answer.status_code, commands, len(answer.content)
        found.append(PageFigures(path, *sizes, tuple(times), tuple(cpu)))
    return found


async def main(tasks: int, queues: int) -> int:
    """Fill, open, tell; 1 when a page costs too much."""
    with tempfile.TemporaryDirectory() as data, EmbeddedServer(Path(data)) as server:
        began = time.perf_counter()
        with redis.Redis.from_url(server.url) as raw:
            fill(raw, tasks, queues)
        async with opened(server.url) as (hx, counted, client):
            await noted(hx, queues)
            print(f"{tasks:,} tasks in one queue, {queues:,} queues: filled in {time.perf_counter() - began:.1f} s")
            paths = await pages(hx)
            await measure(counted, client, paths, 1)
            found = await measure(counted, client, paths, ROUNDS)
    print(f"{'page':60} {'status':>6} {'commands':>8} {'KiB':>7} {'ms':>7} {'worst':>7} {'cpu ms':>7} {'worst':>7}")
    for each in found:
        times = " ".join(f"{median(some):7.1f} {max(some):7.1f}" for some in (each.ms, each.cpu_ms))
        line = f"{each.path:60} {each.status:6} {each.commands:8} {each.size / 1024:7.1f} {times}"
        print(line, f"OVER: {each.over}" if each.over else "")
    return int(any(each.over for each in found))


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]] or [1_000_000, 1_000]
    sys.exit(asyncio.run(main(*arguments)))
