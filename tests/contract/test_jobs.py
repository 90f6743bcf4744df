"""Enqueueing on a real server: the exact keys that Go writes, unique locks, conflicts, lost replies."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from hustlex.core.time import FixedClock
from hustlex.errors import Error, Misuse
from hustlex.jobs import Duplicate, Enqueued, IdTaken, Job, State, Tasks, ids
from hustlex.jobs.enqueue import known
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.enqueue.ops import enqueue
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.wire import TaskMessage, decode_task, encode_task
from tests.conftest import SECRET
from tests.support.blocking import Blocking
from tests.support.proxy import Proxy

NOW_S = 1_795_425_653
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
P = "asynq:{default}:"


@pytest.fixture(autouse=True)
def recorded_time(clock: FixedClock) -> None:
    """The second in which Go's keys were recorded."""
    clock.now_ms = NOW_S * 1000 + 433


def dump(raw: redis.Redis) -> dict[str, Any]:
    """Every key and its value, without our own receipts."""
    found: dict[str, Any] = {}
    for name in sorted(raw.keys()):
        kind = raw.type(name).decode()
        read = {
            "string": lambda key: raw.get(key),
            "hash": lambda key: raw.hgetall(key),
            "list": lambda key: raw.lrange(key, 0, -1),
            "set": lambda key: raw.smembers(key),
            "zset": lambda key: dict(raw.zrange(key, 0, -1, withscores=True)),
        }[kind]
        if b":x:" not in name:
            found[name.decode()] = read(name)
    return found


# -- the keys Go writes (recorded from the real library)


async def test_a_plain_task_has_the_keys_of_go(hx: Any, raw: redis.Redis) -> None:
    assert await hx.jobs.enqueue("a:1", b"x", task_id="t1") == Enqueued("t1", "default", State.PENDING)
    assert dump(raw) == {
        P + "t:t1": {
            b"msg": bytes.fromhex("0a03613a311201781a027431220764656661756c74281940880e"),
            b"state": b"pending",
            b"pending_since": b"1795425653433000000",
        },
        P + "pending": [b"t1"],
        "asynq:queues": {b"default"},
    }
    assert [raw.ttl(name) for name in dump(raw)] == [-1, -1, -1]


async def test_a_unique_task_has_the_keys_of_go(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("u:1", b"x", task_id="u1", unique_for=timedelta(seconds=90.5), retention=HOUR)
    lock = P + "unique:u:1:9dd4e461268c8034f5c8564e155c67a6"
    stored = dump(raw)
    assert (stored[lock], raw.ttl(lock)) == (b"u1", 90)
    assert stored[P + "t:u1"][b"unique_key"] == lock.encode()
    assert stored[P + "t:u1"][b"msg"].endswith(b"\x52\x3b" + lock.encode() + b"\x60\x90\x1c")


async def test_a_scheduled_unique_task_has_the_keys_of_go(hx: Any, raw: redis.Redis, clock: FixedClock) -> None:
    clock.now_ms = NOW_S * 1000
    outcome = await hx.jobs.enqueue("s:1", task_id="s1", process_in=timedelta(seconds=90), unique_for=MINUTE)
    assert outcome == Enqueued("s1", "default", State.SCHEDULED)
    lock = P + "unique:s:1:"
    stored = dump(raw)
    assert stored[P + "scheduled"] == {b"s1": 1_795_425_743}
    assert (stored[lock], raw.ttl(lock)) == (b"s1", 150)
    assert set(stored[P + "t:s1"]) == {b"msg", b"state", b"unique_key"} and P + "pending" not in stored


async def test_grouped_unique_tasks_have_the_keys_of_go(hx: Any, raw: redis.Redis) -> None:
    for n in range(3):
        outcome = await hx.jobs.enqueue("g:1", b"%d" % n, task_id=f"g{n}", group="G", unique_for=MINUTE)
        assert outcome == Enqueued(f"g{n}", "default", State.AGGREGATING)
    stored = dump(raw)
    assert stored[P + "g:G"] == {b"g0": NOW_S, b"g1": NOW_S, b"g2": NOW_S}
    assert stored[P + "groups"] == {b"G"} and P + "pending" not in stored
    # unique_key is more than Go stores here: with it, deleting the task gives the lock back.
    assert set(stored[P + "t:g0"]) == {b"msg", b"state", b"group", b"unique_key"}
    assert stored[P + "t:g0"][b"group"] == b"G" and stored[P + "t:g0"][b"state"] == b"aggregating"


async def test_new_tasks_go_to_the_left(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", task_id="first")
    await hx.jobs.enqueue("t", task_id="second")
    assert raw.lrange(P + "pending", 0, -1) == [b"second", b"first"]


async def test_a_queue_of_any_name_keeps_its_keys_in_one_tag(hx: Any, raw: redis.Redis) -> None:
    name = "a [b] \u00e9"
    await hx.jobs.enqueue("t", task_id="x", queue=name)
    assert raw.lrange(f"asynq:{{{name}}}:pending", 0, -1) == [b"x"]
    assert decode_task(raw.hget(f"asynq:{{{name}}}:t:x", "msg")).queue == name


async def test_no_name_writes_where_other_queues_have_their_keys(hx: Any, raw: redis.Redis) -> None:
    for options in ({"queue": "victim}:t:{x"}, {"task_id": "{victim}"}, {"group": "a}b"}, {"queue": "a\n"}):
        with pytest.raises(Misuse):
            await hx.jobs.enqueue("t", **options)
    with pytest.raises(Misuse):
        await hx.jobs.enqueue("t{x}")
    with pytest.raises(Misuse):
        await hx.jobs.limit_queue("victim}:x:{y", max_size=0)
    assert raw.keys() == []


async def test_what_peers_named_otherwise_is_read_and_acted_on(hx: Any, raw: redis.Redis) -> None:
    name, task_id = "a {b}", "{order}:7"
    names = queue_keys(name)
    message = encode_task(TaskMessage("t{x}", b"{}", task_id, name))
    raw.sadd("asynq:queues", name)
    raw.hset(names.task(task_id), mapping={"msg": message, "state": "pending", "pending_since": 1})
    raw.lpush(names.pending, task_id)
    assert (await hx.jobs.inspector.task(name, task_id)).type == "t{x}"
    assert [task.id for task in await hx.jobs.inspector.tasks(name, State.PENDING)] == [task_id]
    await hx.jobs.inspector.archive(name, task_id)
    await hx.jobs.inspector.delete(name, task_id)


@pytest.mark.parametrize(
    ("wait", "score"),
    [(timedelta(milliseconds=1), NOW_S + 1), (timedelta(milliseconds=567), NOW_S + 1), (SECOND, NOW_S + 2)],
)
async def test_a_task_never_starts_early(hx: Any, raw: redis.Redis, wait: timedelta, score: int) -> None:
    await hx.jobs.enqueue("t", task_id="x", process_in=wait)
    assert raw.zscore(P + "scheduled", "x") == score
    at = datetime.fromtimestamp(NOW_S, UTC) + timedelta(milliseconds=433) + wait
    await hx.jobs.enqueue("t", task_id="y", process_at=at)
    assert raw.zscore(P + "scheduled", "y") == score


async def test_a_start_in_the_past_means_now(hx: Any) -> None:
    past = datetime.fromtimestamp(NOW_S, UTC)
    for options in ({"process_at": past}, {"process_in": timedelta(0)}):
        assert (await hx.jobs.enqueue("t", **options)).state is State.PENDING


async def test_the_servers_clock_is_used_when_none_is_given(
    url: str, raw: redis.Redis, hx: Any, clock: FixedClock
) -> None:
    clock.now_ms = 0
    await hx.jobs.enqueue("t", task_id="x")
    await hx.jobs.enqueue("t", task_id="y", process_in=HOUR)
    seconds, micros = raw.time()
    since_ns = int(raw.hget(P + "t:x", "pending_since"))
    assert 0 <= (seconds * 10**6 + micros) * 1000 - since_ns < 20 * 10**9
    assert 0 <= seconds + 3601 - raw.zscore(P + "scheduled", "y") <= 20


async def test_the_servers_time_is_asked_for_once_and_then_known(
    raw: redis.Redis, hx: Any, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_SOON_S", 60.0)  # a busy machine
    monkeypatch.setattr(known, "_REFRESH_S", 3_600.0)
    clock.now_ms = 0
    await hx.jobs.enqueue("t", task_id="first")
    for name in ("x", "y"):
        before = raw.time()
        told = raw.info("commandstats")["cmdstat_time"]["calls"]
        await hx.jobs.enqueue("t", task_id=name)
        assert raw.info("commandstats")["cmdstat_time"]["calls"] == told
        after = raw.time()
        since_us = int(raw.hget(P + f"t:{name}", "pending_since")) // 1_000
        lag_us = 30 * 10**6  # by how much what it told may have been old when it arrived
        assert before[0] * 10**6 + before[1] - lag_us <= since_us <= after[0] * 10**6 + after[1]


# -- uniqueness


async def test_a_duplicate_names_the_winner(hx: Any) -> None:
    first = await hx.jobs.enqueue("t", b"x", unique_for=MINUTE)
    assert await hx.jobs.enqueue("t", b"x", unique_for=MINUTE) == Duplicate(first.id, "default")
    others = [("t", b"y", {}), ("u", b"x", {}), ("t", b"x", {"queue": "low"}), ("t", None, {}), ("t", b"", {})]
    for name, payload, options in others:
        assert isinstance(await hx.jobs.enqueue(name, payload, unique_for=MINUTE, **options), Enqueued)
    assert isinstance(await hx.jobs.enqueue("t", b"x"), Enqueued)  # only unique tasks look at the lock


async def test_one_of_fifty_concurrent_duplicates_wins(hx: Any, raw: redis.Redis) -> None:
    calls = (hx.jobs.enqueue("t", b"x", unique_for=MINUTE) for _ in range(50))
    outcomes = await asyncio.gather(*calls)
    winners = [outcome for outcome in outcomes if isinstance(outcome, Enqueued)]
    assert len(winners) == 1 and raw.llen(P + "pending") == 1
    assert [outcome for outcome in outcomes if outcome not in winners] == [Duplicate(winners[0].id, "default")] * 49


async def test_fifty_concurrent_tasks_of_one_id_give_one_task(hx: Any, raw: redis.Redis) -> None:
    outcomes = await asyncio.gather(*(hx.jobs.enqueue("t", b"%d" % n, task_id="one") for n in range(50)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Enqueued"] + ["IdTaken"] * 49
    assert raw.lrange(P + "pending", 0, -1) == [b"one"]


async def test_an_expired_lock_lets_the_next_in(hx: Any, raw: redis.Redis) -> None:
    first = await hx.jobs.enqueue("t", b"x", unique_for=MINUTE)
    raw.delete(P + "unique:t:" + hashlib.md5(b"x").hexdigest())
    second = await hx.jobs.enqueue("t", b"x", unique_for=MINUTE)
    assert isinstance(second, Enqueued) and second.id != first.id


@pytest.mark.parametrize("options", [{}, {"process_in": HOUR}, {"group": "g"}])
async def test_a_taken_id_leaves_no_lock_behind(hx: Any, raw: redis.Redis, options: dict[str, Any]) -> None:
    await hx.jobs.enqueue("t", task_id="x")
    before = dump(raw)
    outcome = await hx.jobs.enqueue("other", b"y", task_id="x", unique_for=MINUTE, **options)
    assert outcome == IdTaken("x", "default", State.PENDING) and dump(raw) == before


@pytest.mark.parametrize("state", list(State))
async def test_an_id_is_taken_in_every_state(hx: Any, raw: redis.Redis, state: State) -> None:
    raw.hset(P + "t:x", mapping={"msg": b"other", "state": state.value})
    before = dump(raw)
    for options in ({}, {"process_in": HOUR}, {"group": "g"}, {"unique_for": MINUTE}):
        assert await hx.jobs.enqueue("t", task_id="x", **options) == IdTaken("x", "default", state)
    assert dump(raw) == {**before, "asynq:queues": {b"default"}}


async def test_the_same_id_is_free_in_another_queue(hx: Any) -> None:
    await hx.jobs.enqueue("t", task_id="x")
    assert isinstance(await hx.jobs.enqueue("t", task_id="x", queue="low"), Enqueued)


# -- typed tasks, payloads


async def test_a_typed_job_carries_its_arguments_and_options(hx: Any, raw: redis.Redis) -> None:
    tasks = Tasks(queue="low")

    @tasks.task("gig:escrow_release", queue="critical", max_retry=5, timeout=timedelta(seconds=30))
    async def release(gig_id: int, note: str = "") -> None: ...

    outcome = await hx.jobs.enqueue(release.job(7), headers={"trace": "abc"}, max_retry=2)
    stored = decode_task(raw.hget(f"asynq:{{critical}}:t:{outcome.id}", "msg"))
    assert stored == TaskMessage(
        "gig:escrow_release", b'{"gig_id":7}', outcome.id, "critical", 2, timeout=30, headers={"trace": "abc"}
    )
    assert release.arguments(stored.payload) == {"gig_id": 7}


async def test_a_megabyte_and_arbitrary_bytes_arrive_unchanged(hx: Any, raw: redis.Redis) -> None:
    payload = bytes(range(256)) * 4096
    outcome = await hx.jobs.enqueue("t", payload)
    assert decode_task(raw.hget(P + f"t:{outcome.id}", "msg")).payload == payload


async def test_a_refused_call_sends_nothing(hx: Any, raw: redis.Redis) -> None:
    for options in ({"queue": " "}, {"unique_for": timedelta(0)}, {"group": "g", "process_in": SECOND}):
        with pytest.raises(Misuse):
            await hx.jobs.enqueue("t", **options)
    assert raw.dbsize() == 0


# -- many at once


async def test_many_answer_each_in_order(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", task_id="taken")
    outcomes = await hx.jobs.enqueue_many(
        [
            Job("t", b"1", {"task_id": "a", "unique_for": MINUTE}),
            Job("t", b"1", {"task_id": "b", "unique_for": MINUTE}),
            Job("t", b"2", {"task_id": "taken"}),
            Job("t", b"3", {"task_id": "c", "process_in": HOUR}),
            Job("t", b"4", {"task_id": "d", "group": "g"}),
            Job("t", b"5", {"task_id": "a", "queue": "low"}),
            Job("t", b"6", {"task_id": "a"}),
        ]
    )
    assert outcomes == [
        Enqueued("a", "default", State.PENDING),
        Duplicate("a", "default"),
        IdTaken("taken", "default", State.PENDING),
        Enqueued("c", "default", State.SCHEDULED),
        Enqueued("d", "default", State.AGGREGATING),
        Enqueued("a", "low", State.PENDING),
        IdTaken("a", "default", State.PENDING),
    ]
    assert raw.smembers("asynq:queues") == {b"default", b"low"}
    assert raw.lrange(P + "pending", 0, -1) == [b"a", b"taken"]


async def test_enqueue_many_of_thousands_arrives_once_and_in_order(hx: Any, raw: redis.Redis) -> None:
    outcomes = await hx.jobs.enqueue_many([Job("t", b"%d" % n) for n in range(2_100)])
    assert raw.lrange(P + "pending", 0, -1) == [outcome.id.encode() for outcome in reversed(outcomes)]
    assert len({outcome.id for outcome in outcomes}) == 2_100


async def test_both_scripts_leave_the_same_keys_and_answers(hx: Any, raw: redis.Redis) -> None:
    """Plain tasks have a script of their own; one that is none among them, and the general one takes all."""
    plain = [Job("t", b"%d" % n, {"task_id": f"t{n % 3}", "retention": HOUR}) for n in range(5)]
    other = Job("u", b"x", {"task_id": "u", "unique_for": MINUTE})
    answers = await hx.jobs.enqueue_many(plain)
    one = await hx.jobs.enqueue("t", b"x", task_id="one")
    alone = dump(raw)
    for key in (*alone, *raw.keys(P + "x:*")):
        raw.delete(key)
    beside = await hx.jobs.enqueue_many([*plain, Job("t", b"x", {"task_id": "one"}), other])
    assert beside[:-1] == [*answers, one]
    together = dump(raw)
    alone.pop("asynq:queues")
    del together[P + "t:u"], together[P + "unique:u:9dd4e461268c8034f5c8564e155c67a6"]
    assert together.pop(P + "pending") == [b"u", *alone.pop(P + "pending")]
    assert together == alone


@pytest.mark.parametrize("options", [{}, {"unique_for": MINUTE}])
async def test_a_key_of_another_type_leaves_nothing_half_done(
    driver: Any, raw: redis.Redis, options: dict[str, Any]
) -> None:
    raw.set(P + "pending", "not a list")
    drafts = [draft(Job("t", b"x", options), {}, f"id{n}") for n in range(3)]
    for _ in range(2):  # a repeat of the call must not be told that it was done
        with pytest.raises(Error, match="WRONGTYPE"):
            await driver.run(enqueue(drafts, "token", NOW_S * 1000))
    assert dump(raw) == {P + "pending": b"not a list"}


async def test_enqueue_many_of_no_tasks_is_no_call(hx: Any, raw: redis.Redis) -> None:
    assert await hx.jobs.enqueue_many([]) == []
    assert raw.dbsize() == 0


# -- lost replies


async def test_a_repeated_call_has_one_effect_even_when_the_task_is_done(driver: Any, raw: redis.Redis) -> None:
    jobs = [Job("t", b"x", {"unique_for": MINUTE}), Job("t", b"x", {"unique_for": MINUTE}), Job("u", b"y")]
    plain = [draft(Job("t", b"x"), {}, "p1"), draft(Job("t", b"x"), {}, "p2"), draft(Job("t", b"x"), {}, "p1")]
    once = await driver.run(enqueue(plain, "plain", NOW_S * 1000))
    raw.delete(P + "pending", P + "t:p1", P + "t:p2")
    assert await driver.run(enqueue(plain, "plain", NOW_S * 1000 + 5_000)) == once
    assert [type(outcome) for outcome in once] == [Enqueued, Enqueued, IdTaken]
    assert dump(raw) == {} and raw.delete(P + "x:sent:plain", P + "x:sent:plain:")
    drafts = [draft(job, {}, f"id{n}") for n, job in enumerate(jobs)]
    first = await driver.run(enqueue(drafts, "token", NOW_S * 1000))
    raw.delete(P + "pending", P + "t:id0", P + "t:id2", drafts[0].lock)
    assert await driver.run(enqueue(drafts, "token", NOW_S * 1000 + 5_000)) == first
    assert dump(raw) == {}
    lives = {key.decode().removeprefix(P): raw.ttl(key) for key in raw.keys(P + "x:*")}
    assert lives.keys() == {"x:sent:token", "x:sent:token:"} and all(8 <= life <= 20 for life in lives.values())
    fresh = await driver.run(enqueue(drafts, "other token", NOW_S * 1000))
    assert [type(outcome) for outcome in fresh] == [Enqueued, Duplicate, Enqueued]


async def test_a_repeat_of_what_waits_is_told_the_same(driver: Any, raw: redis.Redis) -> None:
    """Though it is due by then: no receipt of its own says what the first call answered."""
    soon, past = datetime.fromtimestamp(NOW_S + 2, UTC), datetime.fromtimestamp(NOW_S - 60, UTC)
    options: list[Any] = [{"process_in": HOUR}, {"process_at": soon}, {"process_at": past}, {"group": "g"}, {}]
    for token, chosen in (("waiting-1", [options[0]]), ("waiting-2", options[:2]), ("waiting-3", options)):
        drafts = [draft(Job("t", b"x"), each, f"{token}{n}") for n, each in enumerate(chosen)]
        first = await driver.run(enqueue(drafts, token, NOW_S * 1000))
        raw.delete(*(P + "t:" + each.id for each in drafts), P + "scheduled", P + "pending", P + "g:g")
        assert await driver.run(enqueue(drafts, token, NOW_S * 1000 + 5_000)) == first
        assert not raw.exists(P + "scheduled", P + "pending", P + "g:g")


def test_calls_are_noted_together_and_never_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key per call would be 110 bytes for each; a name that came twice would lose a job."""
    now = 0.0
    monkeypatch.setattr(ids, "monotonic", lambda: now)
    tokens = ids._Tokens()
    drawn = [tokens.draw() for _ in range(1_200)]
    assert len(set(drawn)) == 1_200
    assert {len(token) for token in drawn} == {26}
    assert [len({token[:8] for token in drawn[at : at + 500]}) for at in (0, 500, 1_000)] == [1, 1, 1]
    assert len({token[:8] for token in drawn}) == 3
    now = 8.0
    assert tokens.draw()[:8] != drawn[-1][:8]
    tokens.forget()
    assert not tokens._stock
    assert tokens.draw() not in drawn
    assert ids.nth("12345678" + "9" * 18, 2) == "12345678" + str(10**18 + 1)
    assert ids.nth("a name", 2) == "a name2"


async def test_a_receipt_outlasts_every_repeat_of_its_call(driver: Any, raw: redis.Redis) -> None:
    """Each is named within 8 s of the first of its set, and repeated for 9 s: only the first need say how long."""
    kept = P + "x:sent:12345678"

    async def life_after(call: int, tasks: int) -> int:
        drafts = [draft(Job("t", b"x"), {}, f"{call}.{n}") for n in range(tasks)]
        await driver.run(enqueue(drafts, f"12345678{call}", NOW_S * 1000))
        return int(raw.ttl(kept))

    assert 0 < await life_after(1, 1) <= 20
    raw.expire(kept, 5_000)
    assert await life_after(2, 1) > 20
    assert await life_after(3, 2) > 20


async def test_a_receipt_takes_eight_bytes(hx: Any, raw: redis.Redis) -> None:
    for number in range(20):
        await hx.jobs.enqueue("t", b"x", process_in=timedelta(minutes=number))
    await hx.jobs.enqueue_many([Job("t", b"x")] * 1_200)
    sets = raw.keys(P + "x:sent:*")
    assert {raw.object("encoding", key) for key in sets} == {b"intset"}
    assert sum(raw.scard(key) - 1 for key in sets) == 23, "and a zero, by which the first of a set is known"


@pytest.fixture(params=["aio", "blocking"])
async def distant(request: pytest.FixtureRequest, faulty: Proxy) -> AsyncIterator[Any]:
    """The front behind the faulty proxy, already connected and its scripts loaded."""
    if request.param == "aio":
        from hustlex.app import HustleX

        async with HustleX(faulty.url, secret=SECRET) as front:
            await front.jobs.enqueue("warm-up", queue="other")
            yield front
    else:
        from hustlex.sync import HustleX as BlockingHustleX

        with BlockingHustleX(faulty.url, secret=SECRET) as blocking_front:
            await Blocking(blocking_front).jobs.enqueue("warm-up", queue="other")
            yield Blocking(blocking_front)


async def test_a_lost_reply_neither_raises_nor_doubles(distant: Any, faulty: Proxy, raw: redis.Redis) -> None:
    faulty.lose_reply(containing=b"precious", times=2)
    outcome = await distant.jobs.enqueue("precious", b"x", unique_for=MINUTE)
    assert raw.lrange(P + "pending", 0, -1) == [outcome.id.encode()] and isinstance(outcome, Enqueued)


async def test_a_task_that_was_done_before_the_repeat_is_not_run_again(
    distant: Any, faulty: Proxy, raw: redis.Redis
) -> None:
    faulty.refuse = True
    faulty.lose_reply(containing=b"precious")
    call = asyncio.ensure_future(distant.jobs.enqueue("precious", b"x", task_id="x"))
    while not raw.llen(P + "pending"):
        await asyncio.sleep(0.005)
    raw.delete(P + "pending", P + "t:x")
    faulty.refuse = False
    assert await call == Enqueued("x", "default", State.PENDING)
    assert not raw.llen(P + "pending") and not raw.exists(P + "t:x")


async def test_lost_replies_of_enqueue_many_neither_raise_nor_double(
    distant: Any, faulty: Proxy, raw: redis.Redis
) -> None:
    faulty.lose_reply(containing=b"precious", times=2)
    outcomes = await distant.jobs.enqueue_many([Job("precious", b"%d" % n) for n in range(1_200)])
    assert all(isinstance(outcome, Enqueued) for outcome in outcomes)
    assert sorted(raw.lrange(P + "pending", 0, -1)) == sorted(outcome.id.encode() for outcome in outcomes)


async def test_a_lost_request_is_sent_again(distant: Any, faulty: Proxy, raw: redis.Redis) -> None:
    faulty.lose_request(containing=b"precious")
    assert isinstance(await distant.jobs.enqueue("precious"), Enqueued)
    assert raw.llen(P + "pending") == 1


async def test_a_full_server_refuses_and_keeps_nothing(hx: Any, raw: redis.Redis) -> None:
    await hx.jobs.enqueue("t", queue="other")
    before = dump(raw)
    raw.config_set("maxmemory", 1)
    try:
        with pytest.raises(Error):
            await hx.jobs.enqueue("t", b"x", unique_for=MINUTE)
    finally:
        raw.config_set("maxmemory", 0)
    assert dump(raw) == before
