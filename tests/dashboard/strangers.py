"""Hostile text where the programs of this package never put any, but whoever may write to the server can."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
import redis

from hustlex.cache import tally
from hustlex.jobs.keys import QUEUES, queue_keys, scheduler_history, step_record, stream
from hustlex.jobs.schedule.periodic import entry_id
from hustlex.jobs.wire import (
    SchedulerEnqueueEvent,
    SchedulerEntry,
    TaskMessage,
    encode_entry,
    encode_event,
    encode_task,
)

LOCKED = "locked"


def strange(raw: redis.Redis, text: str) -> None:
    """All of it; on sessions, claims and steps that are there."""
    _tasks(raw, text)
    _entries(raw, text)
    for key in raw.scan_iter("session:{*}:*", _type="hash"):
        raw.hset(key, mapping=dict.fromkeys(("dn", "pf", "cid", "ip0", "ip1"), text))
    for key in raw.scan_iter("idem:{*}:*", _type="hash"):
        raw.hset(key, mapping={"point": text})
    _claims(raw, text)
    now = int(time.time())
    raw.hset(f"ratelimit:{{{quote(text, safe='')}}}:{quote(text, safe='')}:pen", mapping={"until": (now + 3600) * 1000})
    raw.hset(tally._key("", tally._part(lambda: 0)), mapping={f"{text} requests.fresh": 7})


def _tasks(raw: redis.Redis, text: str) -> None:
    """A task that failed, has a result, shares a lock and told of itself; and a step that can never start."""
    for queue in (text, "low"):
        q, lock = queue_keys(queue), f"asynq:{{{queue}}}:unique:{text}"
        now = int(time.time())
        message = TaskMessage(
            text, text.encode(), LOCKED, queue, 25, retried=3, error_msg=text, last_failed_at=now, unique_key=lock,
            headers={text: text}, group_key=text,
        )  # fmt: skip
        raw.sadd(QUEUES, queue)
        raw.hset(q.task(LOCKED), mapping={
            "msg": encode_task(message), "state": "retry", "result": text, "unique_key": lock, "crashes": 2,
        })  # fmt: skip
        raw.zadd(q.retry, {LOCKED: now + 3600})
        raw.set(lock, text, ex=3600)
        raw.xadd(stream(queue, LOCKED), {"kind": "log", "text": text})
        for key in raw.scan_iter(f"{step_record(q, '*')}", _type="hash"):
            if raw.hget(key, "phase") == b"waits":
                raw.hset(key, mapping={"phase": "broken", "why": text})


def _entries(raw: redis.Redis, text: str) -> None:
    """Of a scheduler in another language, of one that cannot fire, and what it made."""
    now = int(time.time())
    key = f"asynq:schedulers:{{{text}:7:{text}}}"
    times = (now + 3600) * 10**9, (now - 3600) * 10**9
    raw.lpush(key, encode_entry(SchedulerEntry(text, text, text, text.encode(), (f'Queue("{text}")',), *times)))
    raw.zadd("asynq:schedulers", {key: now + 3600})
    broken = {"spec": text, "type": text, "options": {"queue": "low"}}
    raw.hset("asynq:x:{schedules}:entries", f"broken {text}", msgspec.json.encode(broken))
    for name in (text, "hourly"):
        event = encode_event(SchedulerEnqueueEvent(text, now * 10**9))
        raw.zadd(scheduler_history(entry_id(name)), {event: now})


def _claims(raw: redis.Redis, text: str) -> None:
    """A request and a provider's event in doubt, under names that no program of ours would make."""
    name = text.replace(":", "_").replace("{", "_").replace("}", "_")
    name = "".join("_" if letter.isspace() else letter for letter in name)
    lost: Mapping[str, str] = {"st": "run", "lease": "1", "fence": "1", "point": text, "cre": "1"}
    raw.hset(f"idem:{{{name}}}:{name}:{'7' * 32}", mapping=lost)
    raw.hset(f"webhook:{{{name}}}:{name}", mapping=lost)
