"""Random operations, batched in our scripts, against Asynq's single-task transitions in plain Python: same state."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hustlex.drivers.blocking import Driver
from hustlex.jobs.lease import finish, maintain
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.wire import encode_task
from tests.support.depth import examples
from tests.worker.support import DAY, DEFAULT, NOW_MS, dump, message, put

IDS = [f"t{n}" for n in range(6)]


class Model:
    """One queue as section 3 of Asynq's wire has it, one task at a time. Holders are ours."""

    def __init__(self) -> None:
        self.pending: list[str] = []
        self.active: list[str] = []
        self.lease: dict[str, int] = {}
        self.retry: dict[str, int] = {}
        self.archived: dict[str, int] = {}
        self.completed: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self.holders: dict[str, str] = {}
        self.processed = self.failed = 0

    def enqueue(self, task_id: str) -> None:
        self.states[task_id] = "pending"
        self.pending.insert(0, task_id)

    def dequeue(self, holder: str, now_s: int) -> str | None:
        if not self.pending:
            return None
        task_id = self.pending.pop()
        self.active.insert(0, task_id)
        self.states[task_id], self.holders[task_id] = "active", holder
        self.lease[task_id] = now_s + 30
        return task_id

    def release(self, task_id: str, holder: str) -> bool:
        if self.holders.get(task_id) != holder:
            return False
        del self.holders[task_id], self.lease[task_id]
        self.active.remove(task_id)
        return True

    def finish(self, kind: str, task_id: str, holder: str, now_s: int) -> bool:
        if not self.release(task_id, holder):
            return False
        if kind == "requeue":
            self.states[task_id] = "pending"
            self.pending.append(task_id)
            return True
        self.processed += kind != "excused"
        self.failed += kind in ("retry", "archive")
        if kind == "done":
            del self.states[task_id]
        else:
            where, score, state = {
                "complete": (self.completed, now_s + 60, "completed"),
                "retry": (self.retry, now_s + 20, "retry"),
                "excused": (self.retry, now_s + 20, "retry"),
                "archive": (self.archived, now_s, "archived"),
            }[kind]
            where[task_id], self.states[task_id] = score, state
        return True

    def forward(self, now_s: int) -> None:
        for task_id in sorted(self.retry, key=lambda i: (self.retry[i], i)):
            if self.retry[task_id] <= now_s:
                del self.retry[task_id]
                self.enqueue(task_id)

    def expire(self, now_s: int) -> None:
        for task_id in [i for i, score in self.completed.items() if score <= now_s]:
            del self.completed[task_id], self.states[task_id]

    def seen(self) -> dict[str, Any]:
        """As ``observed`` shows Redis."""
        sets = {"lease": self.lease, "retry": self.retry, "archived": self.archived, "completed": self.completed}
        return {
            "pending": self.pending,
            "active": self.active,
            **sets,
            "states": self.states,
            "holders": self.holders,
            "counters": (self.processed, self.failed, self.processed, self.failed),
        }


def observed(raw: redis.Redis) -> dict[str, Any]:
    state = dump(raw)
    tasks = {name[2:]: fields for name, fields in state.items() if name.startswith("t:")}
    names = ("processed", "failed", f"processed:{DAY}", f"failed:{DAY}")
    return {
        **{name: [i.decode() for i in state.get(name, [])] for name in ("pending", "active")},
        **{
            name: {i.decode(): score for i, score in state.get(name, {}).items()}
            for name in ("lease", "retry", "archived", "completed")
        },
        "states": {i: fields[b"state"].decode() for i, fields in tasks.items()},
        "holders": {i: fields[b"owner"].decode() for i, fields in tasks.items() if b"owner" in fields},
        "counters": tuple(int(state.get(name, 0)) for name in names),
    }


ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
steps = st.one_of(
    st.tuples(st.just("enqueue"), ids),
    st.tuples(st.just("cycle"), st.integers(0, 5), st.lists(st.sampled_from(IDS), max_size=4, unique=True)),
    st.tuples(st.sampled_from(["done", "complete", "retry", "excused", "archive", "requeue"]), ids, st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 20, 60])),
)


class Both:
    """The model and the real thing, moved together."""

    def __init__(self, driver: Driver, raw: redis.Redis) -> None:
        self.driver, self.raw, self.model = driver, raw, Model()
        self.now_ms = NOW_MS
        self.calls = 0

    def holder(self, task_id: str, stale: bool = False) -> str:
        return "gone:1" if stale else self.model.holders.get(task_id, "nobody:1")

    def enqueue(self, task_ids: list[str]) -> None:
        for task_id in task_ids:
            if task_id not in self.model.states:
                put(self.raw, message(task_id))
                self.model.enqueue(task_id)

    def cycle(self, want: int, acked: list[str]) -> None:
        self.calls += 1
        holder, now_s = f"me:{self.calls}", self.now_ms // 1000
        rows = [field for task_id in acked for field in (task_id, self.holder(task_id), "")]
        answer = self.driver.run(lease.cycle(DEFAULT, DAY, holder, want, rows, self.now_ms))
        expected = [self.model.finish("done", task_id, self.holder(task_id), now_s) for task_id in acked]
        assert answer.codes == b"".join(b"%d" % ok for ok in expected)
        leased = [self.model.dequeue(holder, now_s) for _ in range(want)]
        assert [i.decode() for i in answer.leased[::2]] == [i for i in leased if i]
        assert answer.leased[1::2] == [encode_task(message(i)) for i in leased if i]

    def finish(self, kind: str, task_ids: list[str], stale: bool) -> None:
        rows: list[Any] = []
        for task_id in task_ids:
            body = encode_task(message(task_id))
            rows += {
                "done": (task_id, self.holder(task_id, stale), ""),
                "complete": (task_id, self.holder(task_id, stale), 60, body, ""),
                "retry": (task_id, self.holder(task_id, stale), 20_000 - self.now_ms % 1000, body, 1),
                "excused": (task_id, self.holder(task_id, stale), 20_000 - self.now_ms % 1000, body, 0),
                "archive": (task_id, self.holder(task_id, stale), body),
                "requeue": (task_id, self.holder(task_id, stale)),
            }[kind]
        if kind == "requeue":
            codes = self.driver.run(finish.requeue(DEFAULT, rows))
        else:
            build = getattr(finish, {"excused": "retry"}.get(kind, kind))
            codes = self.driver.run(build(DEFAULT, DAY, rows, self.now_ms))
        now_s = self.now_ms // 1000
        expected = [self.model.finish(kind, i, self.holder(i, stale), now_s) for i in task_ids]
        assert codes == b"".join(b"%d" % ok for ok in expected)

    def wait(self, seconds: int) -> None:
        self.now_ms += seconds * 1000
        self.driver.run(maintain.forward(DEFAULT, self.now_ms))
        self.driver.run(maintain.sweep(DEFAULT, self.now_ms))
        self.model.forward(self.now_ms // 1000)
        self.model.expire(self.now_ms // 1000)


@pytest.mark.timeout(450)
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25))
def test_our_batches_leave_what_asynqs_single_steps_leave(
    blocking_driver: Driver, raw: redis.Redis, story: list[tuple[Any, ...]]
) -> None:
    raw.flushall()
    both = Both(blocking_driver, raw)
    for name, *arguments in story:
        if name in ("enqueue", "cycle", "wait"):
            getattr(both, name)(*arguments)
        else:
            both.finish(name, *arguments)
        assert observed(raw) == both.model.seen()
