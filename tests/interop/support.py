"""What the interoperability tests share: the Go client as a pipe, peers as processes, the whole keyspace as values."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from hustlex.jobs import Inspector, Job
from hustlex.jobs.enqueue.options import Options
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.wire import TaskMessage, decode_task
from tests.support import forked
from tests.worker.support import READ

RUNS = "peer:runs"
_MILLISECOND = timedelta(milliseconds=1)
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Launch = Callable[..., "Peer"]
"""``launch("go", concurrency=3)``: a worker process of that language, killed at the end of the test."""


class GoError(Exception):
    """An error of the library. kind: "duplicate", "id taken", "no queue", "no task", "queue not empty", or ""."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class GoClient:
    """The library's client and inspector, and its codec: one request, one answer. Blocks for some milliseconds."""

    def __init__(self, binary: Path, url: str) -> None:
        command = [str(binary), "client", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, op: str, **arguments: Any) -> Any:
        """``go("pause", queue="default")``. Raises GoError."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        if "error" in answer:
            raise GoError(answer["error"], answer.get("kind", ""))
        return answer["ok"]

    def enqueue(self, task_type: str, payload: bytes | None = None, **options: Any) -> Any:
        """Enqueue with the options of ``Jobs.enqueue``; answers the library's TaskInfo. Raises GoError."""
        return self("enqueue", task=spec(Job(task_type, payload, Options(**options))))

    def enqueue_many(self, jobs: Sequence[Job]) -> None:
        """One after another."""
        self("enqueue many", tasks=[spec(job) for job in jobs])

    def close(self) -> None:
        """End the process."""
        with self._process:
            self._process.kill()


class Peer:
    """A worker process, Go or Python."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        start = forked.Popen if command[0] == sys.executable else subprocess.Popen
        self.process = start(command, stdin=subprocess.DEVNULL, **options)

    @property
    def pid(self) -> int:
        """As its executions and its registry entry name it."""
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def term(self) -> None:
        """Ask it to end in order."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = 15) -> None:
        """Ask it to end in order, wait for the end, and see that it went well."""
        self.term()
        assert self.process.wait(seconds) == 0


def spec(job: Job) -> dict[str, Any]:
    """A job as the Go programs read it: durations and times in milliseconds, the payload as base64."""
    told: dict[str, Any] = {"type": job.type, "payload": None if job.payload is None else encoded(job.payload)}
    for name, value in job.options.items():
        if isinstance(value, timedelta):
            told[name + "_ms"] = value // _MILLISECOND
        elif isinstance(value, datetime):
            told[name + "_ms"] = (value - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND
        else:
            told[name] = dict(value) if isinstance(value, Mapping) else value
    return told


def encoded(data: bytes) -> str:
    """Bytes as Go's JSON has them."""
    return base64.b64encode(data).decode()


def decoded(text: str | None) -> bytes | None:
    """The other way; null and "" are the same on the wire."""
    return base64.b64decode(text) if text else None


def runs(raw: redis.Redis) -> list[dict[str, Any]]:
    """All executions so far, of every peer, in order."""
    found = [json.loads(text) for text in raw.lrange(RUNS, 0, -1)]
    return [run | {"payload": decoded(run["payload"]), "headers": run["headers"] or {}} for run in found]


def counted(raw: redis.Redis) -> Counter[str]:
    """How often each task ran, by id."""
    return Counter(run["id"] for run in runs(raw))


def stored(raw: redis.Redis, task_id: str, queue: str = "default") -> TaskMessage:
    """The message of a task, whatever its state."""
    data = raw.hget(queue_keys(queue).task(task_id), "msg")
    assert data is not None
    return decode_task(data)


def state(raw: redis.Redis, task_id: str, queue: str = "default") -> str:
    """The state of a task as written, "" when there is none."""
    return (raw.hget(queue_keys(queue).task(task_id), "state") or b"").decode()


def is_uuid4(text: str) -> bool:
    """Whether an id is one as Go makes them."""
    return _UUID4.fullmatch(text) is not None


async def enlist(inspector: Inspector, peers: list[Peer]) -> None:
    """Wait until all these workers are up."""
    pids = {peer.pid for peer in peers}
    async with asyncio.timeout(60):
        while not pids <= {server.pid for server in await inspector.servers()}:
            await asyncio.sleep(0.02)


def snapshot(raw: redis.Redis) -> dict[str, Any]:
    """Every key of Asynq's: type, value and time to live; our private ones (``:x:``) and the peers' notes left out."""
    names = [name for name in raw.scan_iter("asynq:*", count=1000) if b":x:" not in name]
    now = raw.time()[0]
    with raw.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(name).ttl(name)
        facts = pipe.execute()
        kinds, lives = facts[::2], facts[1::2]
        for name, kind in zip(names, kinds, strict=True):
            READ.get(kind, READ[b"string"])(pipe, name)  # one may just have run out
        values = [_value(value, kind, now) for value, kind in zip(pipe.execute(), kinds, strict=True)]
    told = [(kind.decode(), value, life) for kind, value, life in zip(kinds, values, lives, strict=True)]
    return dict(zip([name.decode() for name in names], told, strict=True))


def _value(value: Any, kind: bytes, now: int) -> Any:
    if kind == b"hash":
        return _hash(value, now)
    return {member: Near(score, now) for member, score in value} if kind == b"zset" else value


def _hash(fields: dict[bytes, bytes], now: int) -> dict[bytes, Any]:
    """The message by its fields (maps have no order on the wire), times as such."""
    found: dict[bytes, Any] = dict(fields)
    if b"pending_since" in found:
        found[b"pending_since"] = Near(int(fields[b"pending_since"]) / 1_000_000_000, now)
    if b"msg" in found:
        message = decode_task(fields[b"msg"])
        times = {name: Near(getattr(message, name), now) for name in ("last_failed_at", "completed_at")}
        found[b"msg"] = {name: getattr(message, name) for name in TaskMessage.__struct_fields__} | times
    return found


class Near:
    """A Unix time, as its distance from the look at it: two runs of one thing come at different times, and on a busy
    machine at different speeds. May differ by 3 seconds; 0 (never) equals only 0.
    """

    def __init__(self, seconds: float, now: int) -> None:
        self.never = not seconds
        self.distance = seconds - now if seconds else 0.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Near):
            return NotImplemented
        return self.never == other.never and abs(self.distance - other.distance) <= 3

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "never" if self.never else f"about {self.distance:+.0f} s"


def assert_alike(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Two snapshots of the same history: key by key, field by field; times to live to within 3 seconds."""
    assert ours.keys() == theirs.keys()
    for name, (kind, value, ttl) in ours.items():
        assert (kind, value) == theirs[name][:2], name
        assert abs(ttl - theirs[name][2]) <= 3, name
