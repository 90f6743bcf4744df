"""A queue with tasks in all seven states, made by one language's client and worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import redis

from hustlex.jobs import Job, Jobs
from tests.interop.support import GoClient, Launch, state
from tests.worker.support import until

HOUR = timedelta(hours=1)
Dump = dict[bytes, tuple[bytes, int]]

WORKED: list[Job] = [
    Job("result:c", b"x", {"task_id": "completed", "retention": HOUR, "headers": {"k": "v"}}),
    Job("ok:c", b"x", {"task_id": "completed-2", "retention": 2 * HOUR, "unique_for": HOUR}),
    Job("fail:r", b"\xff", {"task_id": "retry", "max_retry": 3, "unique_for": HOUR}),
    Job("fail:r", None, {"task_id": "retry-2", "timeout": timedelta(seconds=90)}),
    Job("skip:a", b"x", {"task_id": "archived", "unique_for": HOUR}),
    Job("fail:a", b"x", {"task_id": "archived-2", "max_retry": 0}),
    Job("slow:x", b"60000", {"task_id": "active", "unique_for": HOUR}),
    Job("slow:x", b"60001", {"task_id": "active-2", "deadline": datetime(2100, 1, 1, tzinfo=UTC)}),
]
WAITING: list[Job] = [
    Job("ok:p", b"x", {"task_id": "pending"}),
    Job("ok:p", b"y", {"task_id": "pending-2", "unique_for": HOUR, "headers": {"a": "1", "b": ""}}),
    Job("ok:p", None, {"task_id": "pending-3", "max_retry": 0}),
    Job("ok:s", b"x", {"task_id": "scheduled", "process_in": HOUR}),
    Job("ok:s", b"y", {"task_id": "scheduled-2", "process_in": 2 * HOUR, "unique_for": HOUR}),
    Job("ok:g", b"x", {"task_id": "aggregating", "group": "G"}),
    Job("ok:g", b"y", {"task_id": "aggregating-2", "group": "G"}),
    Job("ok:g", b"z", {"task_id": "aggregating-3", "group": "H"}),
]
IDS = [job.options["task_id"] for job in (*WORKED, *WAITING)]


async def fill(language: str, go: GoClient, jobs: Jobs, launch: Launch, raw: redis.Redis) -> None:
    """A queue with tasks in all states, made by one language's client and worker; its worker is dead."""

    async def enqueue(many: list[Job]) -> None:
        if language == "go":
            go.enqueue_many(many)
        else:
            await jobs.enqueue_many(many)

    await enqueue(WORKED)
    worker = launch(language)
    await until(
        lambda: all(state(raw, job.options["task_id"]) == job.options["task_id"].split("-")[0] for job in WORKED)
    )
    worker.kill()
    await enqueue(WAITING)


def restore(raw: redis.Redis, dump: Dump) -> None:
    """Exactly these keys; leases begin anew, for a test may come long after they were filled."""
    raw.flushall()
    for key, (data, ttl_ms) in dump.items():
        raw.restore(key, ttl_ms, data)
        if key.endswith(b":lease"):
            raw.zadd(key, dict.fromkeys(raw.zrange(key, 0, -1), raw.time()[0] + 30), xx=True)
