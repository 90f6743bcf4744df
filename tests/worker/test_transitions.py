"""Every script of the worker against the state that Asynq leaves (recorded key dumps), repeats and races included."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.core.op import Op
from hustlex.drivers.aio import Driver
from hustlex.jobs import Job, keys
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, heartbeat, maintain
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.schedule import firing
from hustlex.jobs.schedule.firing import Fired
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.jobs.workflow.ops import OPEN
from tests.worker.support import DAY, DEFAULT, NOW_MS, NOW_S, dump, message, put

DAYS_90 = 90 * 86400
GOLDEN_T1 = bytes.fromhex("0a03613a311201781a027431220764656661756c74281940880e")


async def take(driver: Driver, n: int = 1, holder: str = "me:1", rows: tuple[Any, ...] = ()) -> lease.Cycle:
    return await driver.run(lease.cycle(DEFAULT, DAY, holder, n, rows, NOW_MS))


def counters(c: int, failed: int = 0) -> dict[str, bytes]:
    found = {"processed": c, f"processed:{DAY}": c}
    if failed:
        found |= {"failed": failed, f"failed:{DAY}": failed}
    return {name: str(value).encode() for name, value in found.items()}


async def test_lease_leaves_what_go_leaves(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"))
    cycle = await take(driver)
    assert cycle.leased == [b"t1", GOLDEN_T1]
    assert dump(raw) == {
        "active": [b"t1"],
        "lease": {b"t1": NOW_S + 30},
        "t:t1": {b"msg": GOLDEN_T1, b"state": b"active", b"owner": b"me:1"},
        "x:owners": {b"me": NOW_S + 10},
    }
    assert 0 < raw.ttl("asynq:{default}:x:owners") <= 86400


async def test_a_batch_is_leased_oldest_first_and_acknowledged_in_the_next_call(
    driver: Driver, raw: redis.Redis
) -> None:
    put(raw, *(message(f"t{n}") for n in range(5)))
    cycle = await take(driver, 3)
    assert cycle.leased[::2] == [b"t0", b"t1", b"t2"]
    assert dump(raw)["active"] == [b"t2", b"t1", b"t0"]
    cycle = await take(driver, 2, "me:2", (b"t0", "me:1", "", b"t2", "me:1", "", b"t9", "me:1", ""))
    assert cycle.codes == b"110"
    assert cycle.leased[::2] == [b"t3", b"t4"]
    state = dump(raw)
    assert state["active"] == [b"t4", b"t3", b"t1"]
    assert set(state["lease"]) == {b"t4", b"t3", b"t1"}
    assert {name: state[name] for name in counters(2)} == counters(2)
    assert "t:t0" not in state
    assert raw.expiretime(DEFAULT.processed_on(DAY)) == NOW_S + DAYS_90
    assert raw.ttl(DEFAULT.processed) == -1


async def test_the_day_counter_gets_its_expiry_only_when_it_is_new(driver: Driver, raw: redis.Redis) -> None:
    raw.set(DEFAULT.processed_on(DAY), 5)
    put(raw, message("t1"))
    await take(driver)
    await driver.run(finish.done(DEFAULT, DAY, (b"t1", "me:1", ""), NOW_MS))
    assert raw.get(DEFAULT.processed_on(DAY)) == b"6"
    assert raw.ttl(DEFAULT.processed_on(DAY)) == -1


async def test_totals_start_anew_at_the_largest_integer(driver: Driver, raw: redis.Redis) -> None:
    raw.set(DEFAULT.processed, 2**63 - 1)
    raw.set(DEFAULT.failed, 7)
    put(raw, message("t1"), message("t2"))
    await take(driver, 2)
    await driver.run(finish.done(DEFAULT, DAY, (b"t1", "me:1", ""), NOW_MS))
    assert raw.get(DEFAULT.processed) == b"1"
    raw.set(DEFAULT.processed, 2**63 - 1)
    await driver.run(finish.archive(DEFAULT, DAY, (b"t2", "me:1", encode_task(message("t2"))), NOW_MS))
    assert (raw.get(DEFAULT.processed), raw.get(DEFAULT.failed)) == (b"1", b"1")


async def test_done_frees_the_lock_only_of_its_own_task(driver: Driver, raw: redis.Redis) -> None:
    lock = DEFAULT.unique("u:1", b"x")
    put(raw, message("u1", unique_key=lock), message("u2", unique_key=lock))  # u2's lock now
    await take(driver, 2)
    assert await driver.run(finish.done(DEFAULT, DAY, (b"u1", "me:1", lock), NOW_MS)) == b"1"
    assert raw.get(lock) == b"u2"
    assert await driver.run(finish.done(DEFAULT, DAY, (b"u2", "me:1", lock), NOW_MS)) == b"1"
    assert dump(raw) == counters(2) | {"x:owners": {b"me": NOW_S + 10}, "x:ended": [b"u2", b"u1"]}


async def test_a_repeated_or_foreign_acknowledgement_touches_nothing(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"))
    await take(driver)
    before = dump(raw)
    message_bytes = encode_task(message("t1"))
    for op in (
        finish.done(DEFAULT, DAY, (b"t1", "other:1", ""), NOW_MS),
        finish.done(DEFAULT, DAY, (b"t1", "me:2", ""), NOW_MS),
        finish.complete(DEFAULT, DAY, (b"t1", "me:2", 60, message_bytes, ""), NOW_MS),
        finish.retry(DEFAULT, DAY, (b"t1", "me:2", 60_000, message_bytes, 1), NOW_MS),
        finish.archive(DEFAULT, DAY, (b"t1", "me:2", message_bytes), NOW_MS),
        finish.requeue(DEFAULT, (b"t1", "me:2")),
    ):
        assert await driver.run(op) == b"0"
    assert dump(raw) == before
    assert await driver.run(finish.done(DEFAULT, DAY, (b"t1", "me:1", ""), NOW_MS)) == b"1"
    assert await driver.run(finish.done(DEFAULT, DAY, (b"t1", "me:1", ""), NOW_MS)) == b"0"
    assert raw.get(DEFAULT.processed) == b"1"


async def test_complete_keeps_task_and_result_until_retention_ends(driver: Driver, raw: redis.Redis) -> None:
    lock = DEFAULT.unique("u:1", b"x")
    put(raw, message("u1", type="u:1", unique_key=lock, retention=3600))
    await take(driver)
    raw.hset(DEFAULT.task("u1"), "result", b"RES")
    finished = encode_task(message("u1", type="u:1", unique_key=lock, retention=3600, completed_at=NOW_S))
    assert await driver.run(finish.complete(DEFAULT, DAY, (b"u1", "me:1", 3600, finished, lock), NOW_MS)) == b"1"
    assert dump(raw) == counters(1) | {
        "completed": {b"u1": NOW_S + 3600},
        "t:u1": {b"msg": finished, b"state": b"completed", b"result": b"RES", b"unique_key": lock.encode()},
        "x:owners": {b"me": NOW_S + 10},
    }
    assert await driver.run(maintain.sweep(DEFAULT, NOW_MS + 3_599_000)) == 0
    assert await driver.run(maintain.sweep(DEFAULT, NOW_MS + 3_600_000)) == 1
    assert dump(raw) == counters(1) | {"x:owners": {b"me": NOW_S + 10}}


@pytest.mark.parametrize("failure", [1, 0])
async def test_retry_counts_failures_only(driver: Driver, raw: redis.Redis, failure: int) -> None:
    put(raw, message("r1"))
    await take(driver)
    failed = encode_task(message("r1", retried=failure, error_msg="err1", last_failed_at=NOW_S))
    assert await driver.run(finish.retry(DEFAULT, DAY, (b"r1", "me:1", 30_000, failed, failure), NOW_MS)) == b"1"
    assert dump(raw) == (counters(1, 1) if failure else {}) | {
        "retry": {b"r1": NOW_S + 31},
        "x:due": {b"r1": NOW_MS + 30_000},
        "t:r1": {b"msg": failed, b"state": b"retry"},
        "x:owners": {b"me": NOW_S + 10},
    }
    if failure:
        assert raw.expiretime(DEFAULT.failed_on(DAY)) == NOW_S + DAYS_90


async def test_archive_keeps_the_lock_and_trims(driver: Driver, raw: redis.Redis) -> None:
    lock = DEFAULT.unique("a:1", b"x")
    put(raw, message("r1", unique_key=lock))
    await take(driver)
    old = {f"old{n}": NOW_S - DAYS_90 - n for n in range(3)}
    many = {f"m{n:05}": NOW_S - 10_100 + n for n in range(10_005)}
    raw.zadd(DEFAULT.archived, old | many)
    with raw.pipeline(transaction=False) as pipe:
        for name in old | many:
            pipe.hset(DEFAULT.task(name), "state", "archived")
        pipe.execute()
    failed = encode_task(message("r1", unique_key=lock, error_msg="err2", last_failed_at=NOW_S))
    assert await driver.run(finish.archive(DEFAULT, DAY, (b"r1", "me:1", failed), NOW_MS)) == b"1"
    state = dump(raw)
    assert len(state["archived"]) == 9_999
    assert state["archived"][b"r1"] == NOW_S
    assert {name for name in state if name.startswith("t:")} == {f"t:{name.decode()}" for name in state["archived"]}
    assert min(state["archived"]) == b"m00007"
    assert {name: state[name] for name in counters(1, 1)} == counters(1, 1)
    assert raw.get(lock) == b"r1"


async def test_requeue_restores_the_order(driver: Driver, raw: redis.Redis) -> None:
    put(raw, *(message(f"t{n}") for n in range(4)))
    before = dump(raw)
    ids = (await take(driver, 3)).leased[::2]
    rows = [value for task_id in reversed(ids) for value in (task_id, "me:1")]
    assert await driver.run(finish.requeue(DEFAULT, rows)) == b"111"
    after = dump(raw)
    assert after["pending"] == before["pending"]
    assert after["t:t0"] == {b"msg": before["t:t0"][b"msg"], b"state": b"pending"}
    assert "active" not in after and "lease" not in after


async def test_a_paused_queue_is_acknowledged_and_not_leased(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"), message("t2"))
    await take(driver)
    raw.set(DEFAULT.paused, NOW_S)
    cycle = await take(driver, 5, "me:2", (b"t1", "me:1", ""))
    assert (cycle.paused, cycle.codes, cycle.leased) == (True, b"1", [])
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"t2"]


async def test_ghosts_and_doubles_in_pending_are_dropped(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"), message("t2"))
    raw.rpush(DEFAULT.pending, "ghost", "bogus", "t1")
    raw.hset(DEFAULT.task("bogus"), "state", "active")
    cycle = await take(driver, 10)
    assert cycle.leased[::2] == [b"t1", b"t2"]
    state = dump(raw)
    assert state["active"] == [b"t2", b"t1"]
    assert set(state["lease"]) == {b"t1", b"t2"}
    assert not {"pending", "t:ghost", "t:bogus"} & state.keys()


async def test_adopt_finds_what_a_lost_reply_leased(driver: Driver, raw: redis.Redis) -> None:
    put(raw, *(message(f"t{n}") for n in range(4)))
    await take(driver, 2, "me:7")
    await take(driver, 2, "other:1")
    held = await driver.run(lease.adopt(DEFAULT, "me", NOW_MS + 5000))
    assert {(task.id, task.holder) for task in held} == {(b"t0", b"me:7"), (b"t1", b"me:7")}
    assert decode_task(held[0].message).type == "a:1"
    assert dump(raw)["lease"] == {b"t0": NOW_S + 35, b"t1": NOW_S + 35, b"t2": NOW_S + 30, b"t3": NOW_S + 30}


async def test_extend_never_touches_what_somebody_else_has(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"), message("t2"))
    await take(driver, 1)
    await take(driver, 1, "other:1")
    rows = (b"t1", "me:1", b"t2", "me:1", b"gone", "me:1")
    assert await driver.run(lease.extend(DEFAULT, "me", rows, NOW_MS + 5000)) == b"100"
    assert dump(raw)["lease"] == {b"t1": NOW_S + 35, b"t2": NOW_S + 30}
    assert raw.zscore(keys.owners(DEFAULT), "me") == NOW_S + 15


async def test_an_undecodable_message_is_set_aside(driver: Driver, raw: redis.Redis) -> None:
    raw.hset(DEFAULT.task("p1"), mapping={"msg": b"\xff\xff", "state": "pending"})
    raw.lpush(DEFAULT.pending, "p1")
    await take(driver)
    assert await driver.run(lease.park(DEFAULT, b"p1", "me:1"))
    assert dump(raw) == {"x:parked": {b"p1": b"\xff\xff"}, "x:owners": {b"me": NOW_S + 10}}
    assert 0 < raw.ttl(keys.parked(DEFAULT)) <= 30 * 86400
    assert not await driver.run(lease.park(DEFAULT, b"p1", "me:1"))


async def test_forward_moves_what_is_due_and_says_what_comes_next(driver: Driver, raw: redis.Redis) -> None:
    for number, (where, task_id) in enumerate([("scheduled", "s1"), ("retry", "r1"), ("scheduled", "s2")]):
        raw.hset(DEFAULT.task(task_id), mapping={"msg": encode_task(message(task_id)), "state": where})
        raw.zadd(DEFAULT.prefix + where, {task_id: NOW_S + number})
    raw.hset(DEFAULT.task("g1"), mapping={"msg": b"m", "state": "scheduled", "group": "G"})
    raw.zadd(DEFAULT.scheduled, {"g1": NOW_S, "ghost": NOW_S - 1})
    sooner = maintain.Forwarded(0, NOW_S * 1000, NOW_MS - 434)
    assert await driver.run(maintain.forward(DEFAULT, NOW_MS - 434)) == sooner
    later = maintain.Forwarded(3, (NOW_S + 2) * 1000, NOW_MS + 1000)
    assert await driver.run(maintain.forward(DEFAULT, NOW_MS + 1000)) == later
    state = dump(raw)
    assert state["pending"] == [b"r1", b"s1"]
    assert state["t:s1"][b"state"] == b"pending"
    assert state["t:s1"][b"pending_since"] == b"%d000000" % (NOW_MS + 1000)
    assert state["g:G"] == {b"g1": NOW_S + 1}
    assert state["groups"] == {b"G"}
    assert state["t:g1"][b"state"] == b"aggregating"
    assert state["scheduled"] == {b"s2": NOW_S + 2}
    assert "retry" not in state and "t:ghost" not in state


async def test_forward_takes_a_hundred_of_each_at_a_time(driver: Driver, raw: redis.Redis) -> None:
    for n in range(250):
        raw.hset(DEFAULT.task(f"s{n:03}"), mapping={"msg": b"m", "state": "scheduled"})
        raw.zadd(DEFAULT.scheduled, {f"s{n:03}": NOW_S - 250 + n})
    moved = [(await driver.run(maintain.forward(DEFAULT, NOW_MS))).moved for _ in range(4)]
    assert moved == [100, 100, 50, 0]
    assert raw.lrange(DEFAULT.pending, -3, -1) == [b"s002", b"s001", b"s000"]


async def test_recover_gives_back_the_tasks_of_dead_servers_only(driver: Driver, raw: redis.Redis) -> None:
    put(raw, *(message(f"t{n}") for n in range(4)))
    await take(driver, 2, "dead:1")
    await driver.run(lease.cycle(DEFAULT, DAY, "alive:1", 1, (), NOW_MS + 5000))
    raw.rpoplpush(DEFAULT.pending, DEFAULT.active)  # Go took t3 and knows nothing of owners
    raw.zadd(DEFAULT.lease, {"t3": NOW_S + 5})
    assert await driver.run(maintain.recover(DEFAULT, NOW_MS + 10_000)) == []
    assert sorted(await driver.run(maintain.recover(DEFAULT, NOW_MS + 11_000))) == [b"t0", b"t1"]
    state = dump(raw)
    assert state["active"] == [b"t3", b"t2"]
    assert set(state["lease"]) == {b"t2", b"t3"}
    assert state["pending"] == [b"t0", b"t1"]
    assert state["t:t0"] == {b"msg": encode_task(message("t0")), b"state": b"pending", b"crashes": b"1"}
    assert state["x:owners"] == {b"alive": NOW_S + 15}
    assert not counters(1).keys() & state.keys()


async def test_recover_leaves_a_task_that_go_took_after_our_server_died(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"))
    await take(driver, 1, "dead:1")
    raw.zadd(DEFAULT.lease, {"t1": NOW_S + 90 + 30})  # recovered and leased by Go: the owner field stays behind
    assert await driver.run(maintain.recover(DEFAULT, NOW_MS + 91_000)) == []
    assert raw.lrange(DEFAULT.active, 0, -1) == [b"t1"]


async def test_claim_takes_over_expired_leases_once(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"), message("t2"))
    await take(driver, 2, "go:1")
    raw.zadd(DEFAULT.lease, {"ghost": NOW_S})
    raw.lpush(DEFAULT.active, "ghost")
    assert await driver.run(maintain.claim(DEFAULT, "me:1", NOW_MS + 59_000)) == []
    calls = [driver.run(maintain.claim(DEFAULT, f"r{n}:1", NOW_MS + 60_000)) for n in range(5)]
    found = [pair for answer in await asyncio.gather(*calls) for pair in answer]
    assert sorted(task_id for task_id, _ in found) == [b"t1", b"t2"]
    state = dump(raw)
    assert state["active"] == [b"t2", b"t1"]
    assert state["lease"] == {b"t1": NOW_S + 90, b"t2": NOW_S + 90}
    assert await driver.run(finish.done(DEFAULT, DAY, (b"t1", "go:1", ""), NOW_MS)) == b"0"


async def test_mend_gives_active_tasks_without_a_lease_one(driver: Driver, raw: redis.Redis) -> None:
    put(raw, message("t1"), message("t2"))
    await take(driver, 2)
    raw.zrem(DEFAULT.lease, "t1")
    raw.rpush(DEFAULT.active, "ghost")
    assert (await driver.run(maintain.peek([DEFAULT], NOW_MS)))[0].unleased == 2
    assert await driver.run(maintain.mend(DEFAULT, NOW_MS)) == 2
    state = dump(raw)
    assert state["active"] == [b"t2", b"t1"]
    assert state["lease"] == {b"t1": NOW_S, b"t2": NOW_S + 30}
    assert (await driver.run(maintain.peek([DEFAULT], NOW_MS)))[0].unleased == 0


async def test_reclaim_puts_stale_sets_back_where_aggregators_see_them(driver: Driver, raw: redis.Redis) -> None:
    name = DEFAULT.aggregation_set("a:b", "5e1f")
    raw.zadd(name, {"g1": NOW_S - 200, "g2": NOW_S - 199})
    raw.zadd(DEFAULT.aggregation_sets, {name: NOW_S})
    assert await driver.run(maintain.reclaim(DEFAULT, NOW_MS - 1000)) == 0
    assert await driver.run(maintain.reclaim(DEFAULT, NOW_MS)) == 1
    assert dump(raw) == {"g:a:b": {b"g1": NOW_S - 200, b"g2": NOW_S - 199}, "groups": {b"a:b"}}


@pytest.mark.one_server
async def test_peek_sees_the_first_of_everything(driver: Driver, raw: redis.Redis) -> None:
    (empty,) = await driver.run(maintain.peek([DEFAULT], NOW_MS))
    assert empty == maintain.Outlook(NOW_MS, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0)
    assert empty.due_ms == -1
    names = ("scheduled", "retry", "x:due", "completed", "x:owners", "lease", "aggregation_sets")
    for score, name in enumerate(names, 10):
        raw.zadd(DEFAULT.prefix + name, {"first": score, "second": score + 50})
    raw.rpush(DEFAULT.pending, "a", "b")
    raw.sadd(DEFAULT.groups, "g")
    empty, seen = await driver.run(maintain.peek([queue_keys("low"), DEFAULT], NOW_MS))
    assert empty.due_ms == -1
    assert seen == maintain.Outlook(NOW_MS, 10, 11, 12, 13, 14, 15, 16, 2, 0, 1)
    assert seen.due_ms == 12


@pytest.mark.one_server
async def test_peek_sees_open_steps_beside_the_queues(driver: Driver, raw: redis.Redis) -> None:
    async def look(*, measure: bool) -> list[bool]:
        op = maintain.peek([queue_keys("low"), DEFAULT], NOW_MS, measure=measure, steps=OPEN)
        return [seen.open_steps for seen in await driver.run(op)]

    assert [await look(measure=measure) for measure in (False, True)] == [[False, False]] * 2
    raw.zadd(OPEN, {"default:s1": NOW_S})
    assert [await look(measure=measure) for measure in (False, True)] == [[True, True]] * 2
    assert not (await driver.run(maintain.peek([DEFAULT], NOW_MS)))[0].open_steps


async def test_waiting_for_a_task_changes_nothing(driver: Driver, raw: redis.Redis) -> None:
    waiting = asyncio.create_task(driver.block(lease.wait_pending(DEFAULT, 5), 5))
    while not raw.client_list(_type="normal") or raw.info("clients")["blocked_clients"] == 0:
        await asyncio.sleep(0.001)
    raw.lpush(DEFAULT.pending, "t1")
    assert await waiting
    assert raw.lrange(DEFAULT.pending, 0, -1) == [b"t1"]


@pytest.mark.parametrize("together", [False, pytest.param(True, marks=pytest.mark.one_server)])
async def test_registry_entries_live_as_long_as_they_say(driver: Driver, raw: redis.Redis, together: bool) -> None:
    server = heartbeat.ServerName("host", 7, "sid")
    now_s = raw.time()[0]
    for running in ((), (b"t1", b"worker")):
        calls = heartbeat.beat(server, 10, now_s, b"info", running, b"types", crosses_slots=together)
        assert len(calls) == (1 if together else 2 + bool(running))
        answers = [await driver.run(op) for op in calls]
        assert answers[0] >= now_s * 1000
    listed = (raw.zscore("asynq:servers", "asynq:servers:{host:7:sid}") or 0) - 10
    assert now_s <= listed <= raw.time()[0]
    types = "asynq:x:types:{host:7:sid}"
    info, workers = "asynq:servers:{host:7:sid}", "asynq:workers:{host:7:sid}"
    assert dump(raw, "asynq:*") == {
        "servers": {info.encode(): listed + 10},
        "workers": {workers.encode(): listed + 10},
        info[6:]: b"info",
        workers[6:]: {b"t1": b"worker"},
        types[6:]: b"types",
    }
    assert raw.ttl(info) == raw.ttl(workers) == raw.ttl(types) == 10
    for op in heartbeat.leave(server):
        await driver.run(op)
    assert dump(raw, "asynq:*") == {}


async def test_scheduler_entries_and_history(driver: Driver, raw: redis.Redis) -> None:
    for op in firing.write_entries("h:1:u", (b"first", b"second"), NOW_S + 20):
        await driver.run(op)
    assert raw.lrange("asynq:schedulers:{h:1:u}", 0, -1) == [b"second", b"first"]
    assert raw.ttl("asynq:schedulers:{h:1:u}") == 20
    for n in range(1002):
        await driver.run(firing.record("e", NOW_S + n, b"event%d" % n))
    assert raw.zcard("asynq:scheduler_history:e") == 1000
    assert 0 < raw.ttl("asynq:scheduler_history:e") <= 30 * 86400
    for op in firing.clear_entries("h:1:u"):
        await driver.run(op)
    assert raw.keys("asynq:schedulers*") == []


async def test_an_instant_is_fired_once(driver: Driver, raw: redis.Redis) -> None:
    low = queue_keys("low")

    def fire(number: int, minute: int = 0, unique: bool = False) -> Op[Fired]:
        options: Any = {"queue": "low", "task_id": f"weekly:{number}"} | (
            {"unique_for": timedelta(minutes=5)} if unique else {}
        )
        made = draft(Job("w", b"x"), options, "")
        return firing.fire("weekly", NOW_MS + minute * 60_000, 86_400, made, NOW_MS)

    calls = [driver.run(fire(1)) for _ in range(20)]
    assert Counter(await asyncio.gather(*calls)) == {Fired.BEFORE: 19, Fired.NOW: 1}
    assert await driver.run(fire(0, -1)) is Fired.BEFORE
    assert await driver.run(fire(2, 1, unique=True)) is Fired.NOW
    assert await driver.run(fire(1, 2)) is Fired.NOT  # the id is known
    assert await driver.run(fire(3, 3, unique=True)) is Fired.NOT  # the lock is held
    assert raw.lrange(low.pending, 0, -1) == [b"weekly:2", b"weekly:1"]
    assert raw.hget(low.task("weekly:1"), "pending_since") == b"%d000000" % NOW_MS
    lock = low.unique("w", b"x")
    assert (raw.get(lock), raw.hget(low.task("weekly:2"), "unique_key")) == (b"weekly:2", lock.encode())
    assert 0 < raw.ttl(lock) <= 300
    assert not raw.exists(low.task("weekly:3"))
