"""The account of a chaos run: what the diaries of the workers say against what Redis says and what was done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis

from hustlex.jobs.keys import queue_keys
from tests.chaos.victim import QUEUES

_COUNTERS = ("processed", "failed")
_PREFIXES = tuple(queue_keys(queue).prefix for queue in QUEUES)


@dataclass
class Deeds:
    """What was done. doubtful: how often a job was enqueued again because the outcome of a call stayed unknown.

    held: how many killed workers had the job in their hands when they died.
    """

    jobs: int
    done: Counter[str] = field(default_factory=Counter)
    doubtful: Counter[int] = field(default_factory=Counter)
    held: Counter[int] = field(default_factory=Counter)


@dataclass
class Diaries:
    """All attempts, by job. used: retries that its last attempt had behind it."""

    began: Counter[int]
    ended: Counter[int]
    failed: Counter[int]
    used: dict[int, int]


def read(paths: Iterable[Path]) -> Diaries:
    """Everything that all workers noted."""
    counts: dict[str, Counter[int]] = {"began": Counter(), "ended": Counter(), "failed": Counter()}
    used: dict[int, int] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            what, job, *retried = line.split()
            if what != "worker":
                counts[what][int(job)] += 1
                used[int(job)] = max(used.get(int(job), 0), int(retried[0]))
    return Diaries(counts["began"], counts["ended"], counts["failed"], used)


def complaints(deeds: Deeds, diaries: Diaries, raw: redis.Redis, *, alone: bool = True) -> list[str]:
    """Everything that is not as it must be; empty when all is well. alone: the server held nothing but these jobs."""
    wrong = [*_lost(deeds, diaries), *_repeated(deeds, diaries), *_miscounted(deeds, diaries, raw)]
    return wrong + list(_left_behind(raw, ("",) if alone else _PREFIXES))


def _lost(deeds: Deeds, diaries: Diaries) -> Iterator[str]:
    lost = [job for job in range(deeds.jobs) if not diaries.ended[job]]
    if lost:
        yield f"{len(lost)} jobs lost: {lost[:20]}"


def _repeated(deeds: Deeds, diaries: Diaries) -> Iterator[str]:
    """More attempts than retries need a worker that died with the job in its hands; retries need failures."""
    for job, began in diaries.began.items():
        spare = began - 1 - diaries.used[job] - deeds.held[job] - deeds.doubtful[job]
        if spare > 0:
            yield f"job {job} began {began} times: {spare} more than retries and crashes explain"
        if diaries.used[job] > diaries.failed[job]:
            yield f"job {job} used {diaries.used[job]} retries and failed {diaries.failed[job]} times"


def _miscounted(deeds: Deeds, diaries: Diaries, raw: redis.Redis) -> Iterator[str]:
    """Every job succeeded once as far as Redis knows, and every failure that it knows of is a retry used."""
    counted = {name: sum(_number(raw, queue, name) for queue in QUEUES) for name in _COUNTERS}
    succeeded, retries = counted["processed"] - counted["failed"], sum(diaries.used.values())
    if not deeds.jobs <= succeeded <= deeds.jobs + deeds.doubtful.total():
        yield f"{succeeded} successes counted for {deeds.jobs} jobs ({len(deeds.doubtful)} of them doubtful)"
    if counted["failed"] != retries:
        yield f"{counted['failed']} failures counted, {retries} retries used"
    for queue in QUEUES:
        for name in _COUNTERS:
            # Once each: a node that just gave its place away answers for what its heir answers for as well.
            days = set(raw.keys(queue_keys(queue).prefix.replace("{", r"\{") + f"{name}:*"))
            if (total := _number(raw, queue, name)) != (sum_of_days := sum(int(raw.get(day)) for day in days)):
                yield f"queue {queue}: {name} is {total} in all and {sum_of_days} by day"


def _number(raw: redis.Redis, queue: str, name: str) -> int:
    return int(raw.get(queue_keys(queue).prefix + name) or 0)


def _left_behind(raw: redis.Redis, prefixes: tuple[str, ...]) -> Iterator[str]:
    """Nothing may stay but Asynq's registries and the queues' counters; what else there is must end by itself."""
    kept = {"asynq:queues", "asynq:servers", "asynq:workers"} | {
        queue_keys(queue).prefix + name for queue in QUEUES for name in _COUNTERS
    }
    for key in raw.scan_iter(count=10_000):
        name = key.decode()
        if name.startswith(prefixes) and name not in kept and (raw.ttl(key) < 0 or ":t:" in name):
            yield f"left behind: {name}"
