"""The inspector on a real server: tasks in all seven states, written key by key as the wire format says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.cursor import sealed
from hustlex.core.time import FixedClock
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.jobs import (
    BulkVerb,
    DayStats,
    Duplicate,
    Enqueued,
    EnqueueEvent,
    FoundEvents,
    FoundGroups,
    GroupInfo,
    PeriodicInfo,
    RunningTask,
    State,
    wire,
)
from hustlex.jobs.keys import parked, queue_keys
from hustlex.jobs.wire import NEVER_NS, TaskMessage
from tests.conftest import PATIENCE
from tests.support.calls import Calls

NOW_S = 1_795_425_653
NOW = datetime.fromtimestamp(NOW_S, UTC)
MINUTE = timedelta(minutes=1)
Q = queue_keys("low")
SECOND_NS = 1_000_000_000


@pytest.fixture(autouse=True)
def noon(clock: FixedClock) -> None:
    clock.now_ms = NOW_S * 1000


def put(raw: redis.Redis, task_id: str, state: State, *, score: int = NOW_S, lock: str = "", **fields: Any) -> None:
    """One task in a state, as Go leaves it."""
    message = TaskMessage("t", b"p", task_id, "low", 25, timeout=1800, unique_key=lock, **fields)
    raw.sadd("asynq:queues", "low")
    raw.hset(Q.task(task_id), mapping={"msg": wire.encode_task(message), "state": state.value})
    if lock:
        raw.hset(Q.task(task_id), "unique_key", lock)
        raw.set(lock, task_id, ex=60)
    if state is State.PENDING:
        raw.hset(Q.task(task_id), "pending_since", (NOW_S - 5) * SECOND_NS)
        raw.lpush(Q.pending, task_id)
    elif state is State.ACTIVE:
        raw.lpush(Q.active, task_id)
        raw.zadd(Q.lease, {task_id: score})
    elif state is State.AGGREGATING:
        raw.hset(Q.task(task_id), "group", "G")
        raw.zadd(Q.group("G"), {task_id: score})
        raw.sadd(Q.groups, "G")
    else:
        raw.zadd(getattr(Q, state.value), {task_id: score})


def where(raw: redis.Redis, task_id: str) -> list[str]:
    """Every structure that lists the id, and the state its hash says."""
    name = task_id.encode()
    places = [key for key in ("pending", "active") if name in raw.lrange(Q.prefix + key, 0, -1)]
    places += [key for key in ("scheduled", "retry", "archived", "completed", "g:G")
               if raw.zscore(Q.prefix + key, task_id) is not None]  # fmt: skip
    return [*places, (raw.hget(Q.task(task_id), "state") or b"gone").decode()]


def group_of(state: State) -> str:
    return "G" if state is State.AGGREGATING else ""


# -- looking


async def test_a_queue_is_counted_in_every_state(hx: Any, raw: redis.Redis) -> None:
    for number, state in enumerate(State, 1):
        for n in range(number):
            put(raw, f"{state.value}{n}", state)
    raw.mset({Q.processed: 9, Q.failed: 2, Q.processed_on("2026-11-23"): 4, Q.failed_on("2026-11-23"): 1})
    info = await hx.jobs.inspector.queue("low")
    assert {state.value: getattr(info, state.value) for state in State} == {
        state.value: number for number, state in enumerate(State, 1)
    }
    assert (info.size, info.groups, info.paused, info.latency) == (28, 1, False, timedelta(seconds=5))
    assert (info.processed, info.failed, info.processed_today, info.failed_today) == (9, 2, 4, 1)
    assert 28 * 50 < info.memory_bytes < 28 * 2_000


async def test_an_id_without_a_task_breaks_nothing(hx: Any, raw: redis.Redis) -> None:
    put(raw, "real", State.PENDING)
    raw.rpush(Q.pending, "ghost")
    info = await hx.jobs.inspector.queue("low")
    assert (info.pending, info.latency) == (2, timedelta(0))
    assert [task.id for task in await hx.jobs.inspector.tasks("low", State.PENDING)] == ["real"]


async def test_an_unknown_queue_is_not_found(hx: Any) -> None:
    inspector = hx.jobs.inspector
    looks: list[Callable[[], Awaitable[Any]]] = [
        lambda: inspector.queue("no"),
        lambda: inspector.history("no"),
        lambda: inspector.groups("no"),
        lambda: inspector.tasks("no", State.PENDING),
        lambda: inspector.task("no", "x"),
        lambda: inspector.run_all("no", State.RETRY),
    ]
    for look in looks:
        with pytest.raises(NotFound):
            await look()
    assert await inspector.queues() == []


async def test_a_name_that_no_queue_can_have_hides_no_other(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", queue="mail")
    raw.sadd("asynq:queues", "", " ", "\u3000")
    assert await hx.jobs.inspector.queues() == ["mail"]
    assert [each.name for each in await hx.jobs.inspector.summaries()] == ["mail"]


async def test_queues_are_listed_in_order(hx: Any) -> None:
    for name in ("low", "critical", "\u00e9"):
        await hx.jobs.enqueue("t", queue=name)
    assert await hx.jobs.inspector.queues() == ["critical", "low", "\u00e9"]


@pytest.mark.parametrize(
    ("now", "days"),
    [
        (datetime(2026, 1, 1, 0, 0, tzinfo=UTC), ["2026-01-01", "2025-12-31", "2025-12-30"]),
        (datetime(2028, 3, 1, 23, 59, 59, tzinfo=UTC), ["2028-03-01", "2028-02-29", "2028-02-28"]),
        (datetime(2100, 3, 1, 12, tzinfo=UTC), ["2100-03-01", "2100-02-28", "2100-02-27"]),
    ],
)
async def test_history_names_utc_days(
    hx: Any, raw: redis.Redis, clock: FixedClock, now: datetime, days: list[str]
) -> None:
    clock.now_ms = int(now.timestamp() * 1000)
    raw.sadd("asynq:queues", "low")
    raw.mset({Q.processed_on(days[0]): 3, Q.failed_on(days[1]): 2})
    found = await hx.jobs.inspector.history("low", 3)
    assert found == [DayStats(days[0], 3, 0), DayStats(days[1], 0, 2), DayStats(days[2], 0, 0)]
    for wrong in (0, 91):
        with pytest.raises(Misuse):
            await hx.jobs.inspector.history("low", wrong)


async def test_every_utc_day_of_a_century_is_right(driver: Any, raw: redis.Redis) -> None:
    from hustlex.jobs.inspect.ops import history

    for year in range(1970, 2071, 4):
        newest = datetime(year, 3, 10, tzinfo=UTC)
        found = await driver.run(history("low", 90, int(newest.timestamp() * 1000) or 1))
        assert [day.day for day in found] == [f"{newest - timedelta(days=back):%Y-%m-%d}" for back in range(90)]


async def test_a_list_starts_with_the_next_to_run(hx: Any, raw: redis.Redis) -> None:
    for n in range(25):
        put(raw, f"{n:02d}", State.PENDING)
    found = {size: await hx.jobs.inspector.tasks("low", State.PENDING, size=size) for size in (1, 10, 30)}
    assert {size: [task.id for task in tasks] for size, tasks in found.items()} == {
        size: [f"{n:02d}" for n in range(min(size, 25))] for size in found
    }


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING])
async def test_a_sorted_set_starts_with_the_earliest(hx: Any, raw: redis.Redis, state: State) -> None:
    for n in range(12):
        put(raw, f"{n:02d}", state, score=NOW_S + n)
    page = (await hx.jobs.inspector.tasks("low", state, size=10, group=group_of(state)))[5:]
    assert [task.id for task in page] == ["05", "06", "07", "08", "09"]
    waits = state in (State.SCHEDULED, State.RETRY)
    assert page[0].next_process_at == (NOW + timedelta(seconds=5) if waits else None)


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 1001}, {"group": "G"}])
async def test_an_impossible_look_is_refused(hx: Any, options: dict[str, Any]) -> None:
    with pytest.raises(Misuse):
        await hx.jobs.inspector.tasks("low", State.RETRY, **options)
    with pytest.raises(Misuse):
        await hx.jobs.inspector.tasks("low", State.AGGREGATING)


async def test_everything_a_task_says_is_shown(hx: Any, raw: redis.Redis) -> None:
    put(raw, "x", State.RETRY, score=NOW_S + 30, retried=2, error_msg="boom", last_failed_at=NOW_S - 1,
        deadline=NOW_S + 60, retention=3600, group_key="G", headers={"a": "b"})  # fmt: skip
    raw.hset(Q.task("x"), "result", b"\xff")
    shown = await hx.jobs.inspector.task("low", "x")
    assert shown == (await hx.jobs.inspector.tasks("low", State.RETRY))[0]
    assert (shown.type, shown.payload, shown.state, shown.max_retry, shown.retried) == ("t", b"p", State.RETRY, 25, 2)
    assert (shown.last_error, shown.last_failed_at) == ("boom", NOW - timedelta(seconds=1))
    assert (shown.timeout, shown.deadline, shown.retention) == (
        timedelta(seconds=1800),
        NOW + MINUTE,
        timedelta(hours=1),
    )
    assert (shown.result, shown.headers, shown.group, shown.completed_at) == (b"\xff", {"a": "b"}, "G", None)
    assert shown.next_process_at == NOW + timedelta(seconds=30) and "boom" not in repr(shown)


@pytest.mark.parametrize("state", list(State))
async def test_a_task_is_shown_in_every_state(hx: Any, raw: redis.Redis, state: State) -> None:
    put(raw, "x", state)
    shown = await hx.jobs.inspector.task("low", "x")
    listed = await hx.jobs.inspector.tasks("low", state, group=group_of(state))
    assert shown.state is state and listed == [shown]


async def test_an_active_task_whose_lease_is_over_is_orphaned(hx: Any, raw: redis.Redis) -> None:
    put(raw, "dead", State.ACTIVE, score=NOW_S)
    put(raw, "alive", State.ACTIVE, score=NOW_S + 1)
    found = await hx.jobs.inspector.tasks("low", State.ACTIVE)
    assert [(task.id, task.orphaned) for task in found] == [("dead", True), ("alive", False)]
    assert (await hx.jobs.inspector.task("low", "dead")).orphaned


async def test_what_nobody_can_read_is_left_out_of_the_list(hx: Any, raw: redis.Redis) -> None:
    put(raw, "good", State.PENDING)
    put(raw, "bad", State.PENDING)
    raw.hset(Q.task("bad"), "msg", b"\x0a\x02a\xff")
    assert [task.id for task in await hx.jobs.inspector.tasks("low", State.PENDING)] == ["good"]


async def test_times_beyond_the_calendar_are_left_out(hx: Any, raw: redis.Redis) -> None:
    put(raw, "x", State.RETRY, deadline=2**62, retention=2**62, last_failed_at=-(2**62))
    shown = await hx.jobs.inspector.task("low", "x")
    assert (shown.deadline, shown.retention, shown.last_failed_at) == (None, timedelta(0), None)


# -- acting on one task

LANDED = {
    "run": {state: ["pending", "pending"] for state in State if state not in (State.ACTIVE, State.PENDING)},
    "archive": {state: ["archived", "archived"] for state in State if state not in (State.ACTIVE, State.ARCHIVED)},
    "delete": {state: ["gone"] for state in State if state is not State.ACTIVE},
}


@pytest.mark.parametrize("action", list(LANDED))
@pytest.mark.parametrize("state", list(State))
async def test_an_action_moves_the_task_or_says_why_not(hx: Any, raw: redis.Redis, action: str, state: State) -> None:
    put(raw, "x", state)
    before = where(raw, "x")
    act = getattr(hx.jobs.inspector, action)
    if state in LANDED[action]:
        await act("low", "x")
        assert where(raw, "x") == LANDED[action][state]
        assert not raw.exists(Q.groups) and not raw.exists(Q.processed)
    else:
        with pytest.raises(Conflict):
            await act("low", "x")
        assert where(raw, "x") == before


@pytest.mark.parametrize("action", list(LANDED))
async def test_an_action_on_nothing_is_not_found(hx: Any, raw: redis.Redis, action: str) -> None:
    with pytest.raises(NotFound):
        await getattr(hx.jobs.inspector, action)("low", "x")
    assert raw.dbsize() == 0


@pytest.mark.parametrize("action", list(LANDED))
async def test_a_task_that_is_not_where_it_says_is_left_alone(hx: Any, raw: redis.Redis, action: str) -> None:
    for state in (State.PENDING, State.RETRY, State.AGGREGATING):
        if state not in LANDED[action]:
            continue
        raw.hset(Q.task("x"), mapping={"msg": b"m", "state": state.value, "group": "G"})
        with pytest.raises(Conflict):
            await getattr(hx.jobs.inspector, action)("low", "x")
        assert raw.keys() == [Q.task("x").encode()]


@pytest.mark.parametrize("action", list(LANDED))
async def test_one_of_twenty_concurrent_actions_wins(hx: Any, raw: redis.Redis, action: str) -> None:
    put(raw, "x", State.RETRY)
    act = getattr(hx.jobs.inspector, action)
    outcomes = await asyncio.gather(*(act("low", "x") for _ in range(20)), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, Conflict | NotFound) for outcome in outcomes if outcome is not None)


async def test_run_now_goes_behind_what_is_pending(hx: Any, raw: redis.Redis) -> None:
    put(raw, "first", State.PENDING)
    put(raw, "second", State.SCHEDULED)
    await hx.jobs.inspector.run("low", "second")
    assert raw.lrange(Q.pending, 0, -1) == [b"second", b"first"]
    assert int(raw.hget(Q.task("second"), "pending_since")) == NOW_S * SECOND_NS


async def test_scan_groups_leads_through_all_of_them(hx: Any, raw: redis.Redis) -> None:
    for name, score in (("a", NOW_S - 90), ("b", NOW_S - 5)):
        put(raw, name, State.AGGREGATING, score=score)
    found = await hx.jobs.inspector.scan_groups("low")
    first, last = (NOW - timedelta(seconds=ago) for ago in (90, 5))
    assert found == FoundGroups((GroupInfo("G", 2, first, last),), "", 1, 0)
    with raw.pipeline() as pipe:
        for n in range(600):
            pipe.sadd(Q.groups, f"g{n}")
            pipe.zadd(Q.group(f"g{n}"), {"a": NOW_S})
        pipe.execute()
    names, cursor, pages = set[str](), "", 0
    while pages == 0 or cursor:
        found = await hx.jobs.inspector.scan_groups("low", cursor=cursor, size=50)
        names |= {group.name for group in found.groups}
        cursor, pages = found.cursor, pages + 1
        assert found.number == 601 and len(found.groups) < 300
    assert names == {"G", *(f"g{n}" for n in range(600))} and pages > 3
    with pytest.raises(Misuse, match="cursor"):
        await hx.jobs.inspector.scan_groups("low", cursor="x")


async def test_what_is_quarantined_is_put_back_or_discarded(hx: Any, raw: redis.Redis) -> None:
    inspector = hx.jobs.inspector
    put(raw, "other", State.PENDING)
    readable = raw.hget(Q.task("other"), "msg")
    long = wire.encode_task(TaskMessage("t", b"x" * 9_000, "long", "low", 25))
    raw.hset(parked(Q), mapping={"good": readable, "other": readable, "bad": b"\x0a\xff", "long": long})
    found = await inspector.quarantined("low")
    assert (found.number, found.cursor) == (4, "") and "\\xff" not in repr(found)
    assert {each.id: each.readable for each in found.messages} == {
        "good": True,
        "other": True,
        "bad": False,
        "long": None,
    }
    for name in ("good", "long"):
        await inspector.put_back("low", name)
        assert (await inspector.task("low", name)).state is State.PENDING
    for name, reason in (("other", "by the same id"), ("bad", "still cannot be read")):
        with pytest.raises(Conflict, match=reason):
            await inspector.put_back("low", name)
        await inspector.discard("low", name)
    for act in (inspector.put_back, inspector.discard):
        with pytest.raises(NotFound):
            await act("low", "bad")
    assert not raw.exists(parked(Q)) and raw.lrange(Q.pending, 0, 1) == [b"long", b"good"]
    with pytest.raises(Misuse, match="cursor"):
        await inspector.quarantined("low", cursor="x")


async def test_the_last_task_of_a_group_takes_its_name_along(hx: Any, raw: redis.Redis) -> None:
    for name in ("a", "b"):
        put(raw, name, State.AGGREGATING)
    assert await hx.jobs.inspector.groups("low") == [GroupInfo("G", 2)]
    await hx.jobs.inspector.run("low", "a")
    assert await hx.jobs.inspector.groups("low") == [GroupInfo("G", 1)]
    await hx.jobs.inspector.archive("low", "b")
    assert await hx.jobs.inspector.groups("low") == [] and not raw.exists(Q.groups)


@pytest.mark.parametrize("state", [state for state in State if state is not State.ACTIVE])
async def test_delete_and_delete_all_give_the_lock_back(hx: Any, raw: redis.Redis, state: State) -> None:
    locks = {name: Q.unique_named("email", name) for name in ("one", "all", "lost")}
    for name, lock in locks.items():
        put(raw, name, state, lock=lock)
    raw.set(locks["lost"], "another task")
    await hx.jobs.inspector.delete("low", "one")
    assert (raw.exists(locks["one"]), raw.exists(locks["all"])) == (0, 1)
    assert await hx.jobs.inspector.delete_all("low", state, group=group_of(state)) == 2
    assert (raw.exists(locks["all"]), raw.get(locks["lost"])) == (0, b"another task")


async def _again(hx: Any, way: str, name: str) -> bool:
    """Run an archived task again; whether it is in the queue then."""
    inspector = hx.jobs.inspector
    if way == "run":
        with contextlib.suppress(Conflict):
            await inspector.run("low", name)
    elif way == "run_all":
        await inspector.run_all("low", State.ARCHIVED)
    else:
        bulk = await inspector.bulk.plan(BulkVerb.RETRY, f"queue:low id:{name}", by="ada")
        while bulk.moving:
            bulk = await inspector.bulk.step(bulk.id)
        bulk = await inspector.bulk.start(bulk.id)
        while bulk.moving:
            bulk = await inspector.bulk.step(bulk.id)
    return (await inspector.task("low", name)).state is State.PENDING


@pytest.mark.parametrize("way", ["run", "run_all", "bulk"])
async def test_a_unique_task_runs_again_only_while_no_other_holds_its_lock(hx: Any, raw: redis.Redis, way: str) -> None:
    lock = Q.unique_named("email", "k")

    async def place(name: str) -> Any:
        return await hx.jobs.enqueue("email", queue="low", task_id=name, unique_until="done", unique_key="k")

    first = await place("first")
    await hx.jobs.inspector.archive("low", "first")
    assert isinstance(await place("second"), Enqueued)
    assert not await _again(hx, way, "first")
    assert raw.get(lock) == b"second"
    await hx.jobs.inspector.archive("low", "second")
    assert await _again(hx, way, "first")
    assert raw.get(lock) == b"first" and raw.ttl(lock) > 2_500_000
    assert await place("third") == Duplicate(of="first", queue="low")
    assert (await hx.jobs.inspector.task("low", "second")).state is State.ARCHIVED
    assert first.id == "first"


async def test_of_many_that_are_one_run_all_takes_one(hx: Any, raw: redis.Redis) -> None:
    lock = Q.unique_named("email", "k")
    for number in range(600):
        put(raw, f"t{number}", State.ARCHIVED, lock=lock)
        raw.hset(Q.task(f"t{number}"), "unique_until", "done")
    put(raw, "other", State.ARCHIVED)
    raw.delete(lock)
    assert await hx.jobs.inspector.run_all("low", State.ARCHIVED) == 2
    assert (raw.llen(Q.pending), raw.zcard(Q.archived)) == (2, 599)


FILL = """
for n = 0, tonumber(ARGV[2]) - 1 do
  local id = ARGV[1] .. n
  redis.call('HSET', KEYS[2] .. id, 'msg', 'm', 'state', 'archived')
  redis.call('ZADD', KEYS[1], n < 20 and ARGV[3] or ARGV[4], id)
end"""


async def test_the_archive_is_trimmed_with_its_tasks(hx: Any, raw: redis.Redis) -> None:
    raw.eval(FILL, 2, Q.archived, Q.task(""), "old", 10_050, NOW_S - 91 * 86_400, NOW_S - 1)
    put(raw, "new", State.RETRY)
    await hx.jobs.inspector.archive("low", "new")
    assert raw.zcard(Q.archived) == 9_999 and raw.zscore(Q.archived, "new") == NOW_S
    assert len(raw.keys(Q.task("*"))) == 9_999


# -- acting on all

ALL = {
    "run_all": [State.SCHEDULED, State.RETRY, State.ARCHIVED, State.AGGREGATING],
    "archive_all": [State.PENDING, State.SCHEDULED, State.RETRY, State.AGGREGATING],
    "delete_all": [state for state in State if state is not State.ACTIVE],
}


@pytest.mark.parametrize(("action", "state"), [(action, state) for action, states in ALL.items() for state in states])
async def test_run_all_archive_all_and_delete_all_act_in_steps(
    hx: Any, raw: redis.Redis, action: str, state: State
) -> None:
    for n in range(20):
        put(raw, f"x{n}", state)
    put(raw, "other", State.COMPLETED if state is not State.COMPLETED else State.RETRY)
    assert await getattr(hx.jobs.inspector, action)("low", state, group=group_of(state)) == 20
    landed = {"run_all": ["pending", "pending"], "archive_all": ["archived", "archived"], "delete_all": ["gone"]}[
        action
    ]
    assert {tuple(where(raw, f"x{n}")) for n in range(20)} == {tuple(landed)}
    assert where(raw, "other")[-1] != "gone" and not raw.exists(Q.groups)
    assert await getattr(hx.jobs.inspector, action)("low", state, group=group_of(state)) == 0


async def test_run_all_takes_more_than_one_step_for_more_than_500(hx: Any, raw: redis.Redis) -> None:
    for n in range(1_203):
        raw.zadd(Q.retry, {f"{n:04d}": n})
        raw.hset(Q.task(f"{n:04d}"), mapping={"msg": b"m", "state": "retry"})
    raw.sadd("asynq:queues", "low")
    assert await hx.jobs.inspector.run_all("low", State.RETRY) == 1_203
    assert raw.lrange(Q.pending, 0, -1) == [b"%04d" % n for n in reversed(range(1_203))]


@pytest.mark.parametrize("action", list(ALL))
async def test_a_state_that_the_action_is_not_for_is_refused(hx: Any, raw: redis.Redis, action: str) -> None:
    put(raw, "x", State.ACTIVE)
    for state in set(State) - set(ALL[action]):
        with pytest.raises(Misuse):
            await getattr(hx.jobs.inspector, action)("low", state)
    assert where(raw, "x") == ["active", "active"]


async def test_run_all_sweeps_ids_without_a_task_away(hx: Any, raw: redis.Redis) -> None:
    put(raw, "real", State.RETRY)
    raw.zadd(Q.retry, {"ghost": 1})
    assert await hx.jobs.inspector.run_all("low", State.RETRY) == 2
    assert raw.lrange(Q.pending, 0, -1) == [b"real"] and not raw.exists(Q.task("ghost"))


# -- pausing, cancelling


async def test_pause_and_unpause_say_whether_they_changed_something(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", queue="low")
    assert [await hx.jobs.inspector.pause("low"), await hx.jobs.inspector.pause("low")] == [True, False]
    assert (raw.get(Q.paused), raw.ttl(Q.paused)) == (str(NOW_S).encode(), -1)
    assert (await hx.jobs.inspector.queue("low")).paused
    assert [await hx.jobs.inspector.unpause("low"), await hx.jobs.inspector.unpause("low")] == [True, False]
    assert not (await hx.jobs.inspector.queue("low")).paused


async def test_cancel_publishes_the_bare_id(hx: Any, raw: redis.Redis) -> None:
    assert await hx.jobs.inspector.cancel("x") == 0
    with raw.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("asynq:cancel")
        listener.get_message(ignore_subscribe_messages=False, timeout=60)
        assert await hx.jobs.inspector.cancel("task-7") == 1
        assert await hx.jobs.inspector.cancel("task-8") == 1
        heard = [listener.get_message(timeout=60)["data"] for _ in range(2)]
    assert heard == [b"task-7", b"task-8"]


async def test_many_queues_take_few_calls_on_every_server(url: str, raw: redis.Redis) -> None:
    names = [f"q{n:03}" for n in range(300)]
    for n, name in enumerate(names):
        raw.lpush(f"asynq:{{{name}}}:pending", *(str(each) for each in range(n % 5 + 1)))
    calls = Calls()
    async with HustleX(url, timeout=PATIENCE, hook=calls) as hx:
        found = await hx.jobs.inspector.summaries([*names, "nowhere", names[0]])
    assert [each.name for each in found] == [*names, "nowhere", names[0]]
    assert [each.pending for each in found] == [*(n % 5 + 1 for n in range(300)), 0, 1]
    assert len(calls.sent) <= 16


# -- processes


async def test_living_servers_are_shown_with_what_they_run(hx: Any, raw: redis.Redis) -> None:
    started = NOW_S * SECOND_NS
    for name, expiry in (("one", 10), ("two", 0), ("dead", -1)):
        info = wire.ServerInfo("h", 7, name, 10, {"low": 3}, False, "active", started, 1)
        running = wire.WorkerInfo("h", 7, name, f"task-{name}", "t", b"p", "low", started, started + 60 * SECOND_NS)
        raw.set(f"asynq:servers:{{h:7:{name}}}", wire.encode_server(info))
        raw.hset(f"asynq:workers:{{h:7:{name}}}", f"task-{name}", wire.encode_worker(running))
        raw.zadd("asynq:servers", {f"asynq:servers:{{h:7:{name}}}": NOW_S + expiry})
        raw.zadd("asynq:workers", {f"asynq:workers:{{h:7:{name}}}": NOW_S + expiry})
    raw.zadd("asynq:servers", {"asynq:servers:{gone}": NOW_S + 10, "asynq:servers:{broken}": NOW_S + 10})
    raw.set("asynq:servers:{broken}", b"\x0a\x02a\xff")
    found = {server.id: server for server in await hx.jobs.inspector.servers()}
    assert set(found) == {"one", "two"} and raw.zscore("asynq:servers", "asynq:servers:{h:7:dead}") is None
    one = found["one"]
    assert (one.host, one.pid, one.concurrency, one.queues, one.status) == ("h", 7, 10, {"low": 3}, "active")
    assert (one.started_at, one.strict_priority, one.active_worker_count) == (NOW, False, 1)
    assert one.running == (RunningTask("task-one", "t", "low", b"p", NOW, NOW + MINUTE),)


async def test_periodic_entries_and_their_firings_are_shown(hx: Any, raw: redis.Redis) -> None:
    key, next_ns = "asynq:schedulers:{h:7:u}", (NOW_S + 60) * SECOND_NS
    entries = [
        wire.SchedulerEntry("b", "@hourly", "t", None, ('Queue("low")',), next_ns, NOW_S * SECOND_NS),
        wire.SchedulerEntry("a", "@daily", "t", b"p", (), next_ns, NEVER_NS),
    ]
    raw.lpush(key, *(wire.encode_entry(entry) for entry in entries))
    raw.zadd("asynq:schedulers", {key: NOW_S + 20})
    for n in range(3):
        event = wire.SchedulerEnqueueEvent(f"task-{n}", (NOW_S + n) * SECOND_NS)
        raw.zadd("asynq:scheduler_history:a", {wire.encode_event(event): NOW_S + n})
    assert await hx.jobs.inspector.scheduler_entries() == [
        PeriodicInfo("a", "@daily", "t", b"p", (), NOW + MINUTE, None),
        PeriodicInfo("b", "@hourly", "t", None, ('Queue("low")',), NOW + MINUTE, NOW),
    ]
    first = await hx.jobs.inspector.enqueue_events("a", size=2)
    seconds = [NOW + timedelta(seconds=n) for n in range(3)]
    assert first.events == (EnqueueEvent("task-2", seconds[2]), EnqueueEvent("task-1", seconds[1]))
    rest = await hx.jobs.inspector.enqueue_events("a", size=2, cursor=first.cursor)
    assert rest == FoundEvents((EnqueueEvent("task-0", NOW),), "")
    nan = sealed((float("nan"), b"a"))
    for cursor in ("x", sealed((1.0,)), sealed("1"), nan):
        with pytest.raises(Misuse, match="no cursor"):
            await hx.jobs.inspector.enqueue_events("a", cursor=cursor)


async def test_enqueue_events_of_nobody_are_no_error(hx: Any) -> None:
    assert (await hx.jobs.inspector.servers(), await hx.jobs.inspector.scheduler_entries()) == ([], [])
    assert await hx.jobs.inspector.enqueue_events("none") == FoundEvents((), "")
