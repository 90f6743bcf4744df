"""``Inspector.search`` on a real server: finds what is there, once, at a bounded cost, while the queues go on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import redis

from hustlex.core.cursor import sealed
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse
from hustlex.jobs import FoundTasks, Jobs, State, TaskInfo, wire
from hustlex.jobs.keys import QueueKeys, queue_keys
from hustlex.jobs.lease import record
from hustlex.jobs.lease.record import FailureCount, FailureKind
from hustlex.jobs.schedule.periodic import entry_id
from hustlex.jobs.search.marks import Mark, Stop, about, opened
from hustlex.jobs.wire import TaskMessage

NOW_S = 1_795_425_653
WALKED = (State.SCHEDULED, State.RETRY, State.PENDING, State.ACTIVE, State.COMPLETED, State.ARCHIVED)


@pytest.fixture(autouse=True)
def noon(clock: FixedClock) -> None:
    clock.now_ms = NOW_S * 1000


def put(
    raw: Any, task_id: str | bytes, state: State, *, queue: str = "low", kind: str = "t", score: float = NOW_S,
    payload: bytes = b"{}", since: int = NOW_S, **fields: Any,
) -> None:  # fmt: skip
    """One task in a state, as Go leaves it. raw: a pipeline will do."""
    q = queue_keys(queue)
    name = task_id if isinstance(task_id, str) else task_id.decode("utf-8", "replace")
    key = q.task_prefix.encode() + (task_id if isinstance(task_id, bytes) else task_id.encode())
    message = TaskMessage(kind, payload, name, queue, 25, **fields)
    raw.sadd("asynq:queues", queue)
    raw.hset(key, mapping={"msg": wire.encode_task(message), "state": state.value})
    if state is State.PENDING:
        raw.hset(key, "pending_since", since * 10**9)
        raw.lpush(q.pending, task_id)
    elif state is State.ACTIVE:
        raw.lpush(q.active, task_id)
        raw.zadd(q.lease, {task_id: score})
    elif state is State.AGGREGATING:
        raw.hset(key, "group", "G")
        raw.zadd(q.group("G"), {task_id: score})
        raw.sadd(q.groups, "G")
    else:
        raw.zadd(getattr(q, state.value), {task_id: score})


async def pages(hx: Any, query: str, cursor: str = "", **options: Any) -> list[FoundTasks]:
    """Every page of a search, from one on."""
    found = [await hx.jobs.inspector.search(query, cursor=cursor, **options)]
    while found[-1].cursor:
        found.append(await hx.jobs.inspector.search(query, cursor=found[-1].cursor, **options))
        assert len(found) < 200, "it does not come to an end"
    return found


def ids(found: Iterable[FoundTasks]) -> list[str]:
    return [task.id for page in found for task in page.tasks]


async def test_search_finds_by_every_field(hx: Any, raw: redis.Redis) -> None:
    put(raw, "p", State.PENDING, kind="gig:notify", payload=b'{"gig_id":48213,"tags":["a","b"]}', since=NOW_S - 60)
    put(raw, "s", State.SCHEDULED, score=NOW_S + 3600, headers={"x": "Trace-1"}, kind="gig:pay")
    put(
        raw,
        "r",
        State.RETRY,
        score=NOW_S + 9,
        error_msg="TimeoutError: no answer",
        retried=24,
        last_failed_at=NOW_S - 5,
    )
    put(raw, "a", State.ACTIVE, score=NOW_S - 1, queue="sms")
    put(raw, "c", State.COMPLETED, completed_at=NOW_S - 7200, score=NOW_S + 99)
    put(raw, "x", State.ARCHIVED, score=NOW_S - 86_400, error_msg="ValueError: timeout of 5", queue="sms", retried=25)
    put(raw, "flow:2", State.AGGREGATING, payload=b"plain", group_key="G")
    raw.hset(queue_keys("low").task("c"), "result", b'{"kobo": 125000}')
    raw.hset(queue_keys("low").task("p"), "unique_key", "k")
    raw.hset(queue_keys("low").task("r"), mapping={"crashes": 2, "parked_at": NOW_S})
    wanted = {
        "state:retry,archived": "rx",
        "queue:sms": "ax",
        "-queue:sms state:pending,retry": "pr",
        "type:gig:*": "ps",
        "type:GIG:*": "",
        "gig:pay": "",  # a field that nobody knows
        '"gig:pay"': "s",
        "timeout": "rx",
        "Timeout": "r",
        "error~timeout -error~value": "r",
        "id:s": "s",
        "id:s,x,nothing": "sx",
        "id:s state:retry": "",
        "id:flow:2": "f",
        "workflow:flow": "",  # it waits in a group, and none is named
        "workflow:flow group:G": "f",
        "group:G": "f",
        "next<1m": "r",
        "next>30m": "s",
        "age>1h": "cx",
        "age>30s age<2h1m": "",
        "age>30s age<3h": "pc",
        "ended<3h": "x",
        "ended>3h": "c",
        "retried>=24": "rx",
        "left:0": "x",
        "left=1": "r",
        "crashes>1": "r",
        "is:orphan": "a",
        "is:unique": "p",
        "is:parked": "r",
        "is:big": "",
        "size>1": "psraxc",
        "payload.gig_id=48213": "p",
        "payload.gig_id>48212 payload.gig_id<48214": "p",
        "payload.tags:b": "p",
        "payload.tags.0:b": "",
        "payload~gig_id": "p",
        'payload~"\\"gig_id\\":48213"': "p",
        "result.kobo>=125000": "c",
        "header.x:trace-*": "s",
        "header.y:*": "",
        "payload.a.b.c:1": "",
    }
    for query, names in wanted.items():
        try:
            found = ids(await pages(hx, query))
        except Misuse:
            assert names == "", query
            continue
        assert sorted(found) == sorted({"f": "flow:2"}.get(name, name) for name in names), query


async def test_what_a_message_says_of_its_place_is_not_believed(hx: Any, raw: redis.Redis) -> None:
    liar = TaskMessage("t", b"{}", "other", "wallets", 25)
    raw.sadd("asynq:queues", "low")
    raw.hset(queue_keys("low").task("me"), mapping={"msg": wire.encode_task(liar), "state": "scheduled"})
    raw.zadd(queue_keys("low").scheduled, {"me": NOW_S})
    [page] = await pages(hx, "type:t")
    assert [(task.id, task.queue) for task in page.tasks] == [("me", "low")]


async def test_queues_that_are_not_named_do_not_exist(hx: Any, raw: redis.Redis) -> None:
    for queue in ("gigs", "wallets"):
        put(raw, "a", State.PENDING, queue=queue)
    for query in ("id:a", "type:t", "queue:wallets", "state:pending"):
        found = await pages(hx, query, queues=["gigs"])
        assert {task.queue for page in found for task in page.tasks} <= {"gigs"}, query
    first = await hx.jobs.inspector.search("type:t", size=1)
    assert ids([await hx.jobs.inspector.search("type:t", cursor=first.cursor, queues=["gigs"])]) == []


async def test_large_and_unreadable_messages_are_named_not_read(hx: Any, raw: redis.Redis) -> None:
    put(raw, "large", State.SCHEDULED, payload=b"x" * 70_000)
    put(raw, "fine", State.SCHEDULED)
    put(raw, b"\xff\xfe", State.SCHEDULED)
    raw.zadd(queue_keys("low").scheduled, {"broken": NOW_S, "gone": NOW_S, "string": NOW_S})
    raw.hset(queue_keys("low").task("broken"), mapping={"msg": b"\xff\xff\xff", "state": "scheduled"})
    raw.set(queue_keys("low").task("string"), "x")
    [page] = await pages(hx, "state:scheduled -payload~odd")
    assert sorted(ids([page])) == ["fine", "\ufffd\ufffd"]
    assert sorted((each.id, each.size > 65_536) for each in page.unread) == [("broken", False), ("large", True)]
    [page] = await pages(hx, "id:large,broken")
    assert {each.id for each in page.unread} == {"large", "broken"}


@pytest.mark.one_server
async def test_a_page_has_a_bounded_cost(hx: Any, raw: redis.Redis) -> None:
    pipeline = raw.pipeline(transaction=False)
    for n in range(3_000):
        put(pipeline, f"t{n:04}", State.ARCHIVED, payload=b"x" * 300, score=NOW_S - n)
    pipeline.execute()
    before = raw.info("commandstats"), raw.info("stats")["total_net_output_bytes"]
    page = await hx.jobs.inspector.search("payload~nothing")
    assert (page.tasks, page.looked_at) == ((), 2_000) and page.cursor
    page = await hx.jobs.inspector.search("type:t", size=500)
    assert 100 < len(page.tasks) < 400 and page.cursor
    after = raw.info("commandstats"), raw.info("stats")["total_net_output_bytes"]
    calls = sum(after[0].get(name, {"calls": 0})["calls"] - before[0].get(name, {"calls": 0})["calls"]
                for name in ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_smembers"))  # fmt: skip
    assert calls <= 60 and after[1] - before[1] < 300_000
    assert ids(await pages(hx, "type:t", size=500)) == [f"t{n:04}" for n in range(3_000)]


async def test_many_queues_are_walked_page_by_page(hx: Any, raw: redis.Redis) -> None:
    for n in range(90):
        put(raw, f"t{n}", State.PENDING, queue=f"q{n:02}")
    found = await pages(hx, "type:t")
    assert ids(found) == [f"t{n}" for n in range(90)] and len(found) > 2
    assert found[0].queues_left > 0 and found[-1].queues_left == 0
    assert ids(await pages(hx, "id:t7,t88")) == ["t7", "t88"]


@pytest.mark.parametrize("state", WALKED)
@pytest.mark.parametrize("tied", [False, True], ids=["spread", "one second"])
async def test_pages_neither_skip_nor_repeat_what_stays(
    driver: Any, raw: redis.Redis, state: State, tied: bool
) -> None:
    inspector = Jobs(driver).inspector
    dice = random.Random(f"{state}{tied}")
    q, names = queue_keys("low"), [f"{dice.getrandbits(64):016x}" for _ in range(120)]
    for n, name in enumerate(names):
        put(raw, name, state, score=NOW_S if tied else NOW_S + n // 7, since=NOW_S if tied else NOW_S + n // 7)
    stays, seen, cursor = set(names), list[str](), ""
    for turn in range(100):
        page = await inspector.search(f"state:{state}", cursor=cursor, size=dice.randint(5, 25))
        seen += ids([page])
        cursor = page.cursor
        if not cursor:
            break
        gone = [seen[-1], *dice.sample(sorted(stays), 5)]
        for name in gone:
            leave(raw, q, name, state)
        stays -= set(gone)
        for _ in range(dice.randint(0, 9)):
            put(raw, f"new-{turn}-{dice.getrandbits(32)}", state, score=NOW_S + dice.randint(-9, 30), since=NOW_S + 99)
    assert cursor == "" and [name for name in seen if seen.count(name) > 1] == []
    assert stays <= set(seen)


async def test_a_list_goes_on_when_all_it_showed_has_run(hx: Any, raw: redis.Redis) -> None:
    q = queue_keys("low")
    for n in range(80):
        put(raw, f"t{n:02}", State.PENDING, since=NOW_S + n // 40)
    page = await hx.jobs.inspector.search("state:pending", size=30)
    for name in ids([page]):
        leave(raw, q, name, State.PENDING)
    rest = await hx.jobs.inspector.search("state:pending", size=60, cursor=page.cursor)
    assert ids([rest]) == [f"t{n:02}" for n in range(30, 80)]


def leave(raw: Any, q: QueueKeys, name: str, state: State) -> None:
    raw.delete(q.task(name))
    if state in (State.PENDING, State.ACTIVE):
        raw.lrem(getattr(q, state.value), 1, name)
        raw.zrem(q.lease, name)
    else:
        raw.zrem(getattr(q, state.value), name)


async def test_a_cursor_that_was_not_given_out_is_refused(hx: Any, raw: redis.Redis) -> None:
    put(raw, "a", State.PENDING)
    put(raw, "b", State.PENDING)
    page = await hx.jobs.inspector.search("type:t", size=1)
    for cursor in ("odd", page.cursor[:-3], page.cursor + "AAAA", "x" * 5_000):
        with pytest.raises(Misuse, match="cursor"):
            await hx.jobs.inspector.search("type:t", cursor=cursor)
    with pytest.raises(Misuse, match="another search"):
        await hx.jobs.inspector.search("type:*", cursor=page.cursor)
    marks = [Mark(2**30, word, (b"x",)) for word in (b"", b"0" * 40, b"1e999", b"-inf", b"(1", b"5")]
    for state in WALKED:  # whatever a forged one says, it is refused or looks somewhere
        put(raw, "a", state, queue="forged")
        for stop in [Stop(about(f"state:{state}"), "forged", place, mark) for mark in marks for place in (0, 1)]:
            with suppress(Misuse):
                await hx.jobs.inspector.search(f"state:{state}", cursor=sealed(stop))


async def test_what_may_not_be_seen_is_not_found(hx: Any, raw: redis.Redis) -> None:
    put(raw, "a", State.PENDING, payload=b'{"pin":"7391","amount":5}', error_msg="pin 7391")

    def view(kind: str, value: Any, task_type: str) -> Any:
        assert task_type == "t"
        return json.loads(json.dumps(value).replace("7391", "hidden"))

    for query in ("payload.pin=7391", "payload~73", "error~7391", "7391"):
        assert ids(await pages(hx, query)) == ["a"] and ids(await pages(hx, query, view=view)) == [], query
    assert ids(await pages(hx, "payload.amount=5 -payload~7391", view=view)) == ["a"]
    put(raw, "g", State.AGGREGATING, group_key="G")
    assert ids(await pages(hx, "group:G")) == ["g"]
    assert ids(await pages(hx, "group:G", view=lambda kind, value, _: "x" if kind == "group" else value)) == []


async def test_a_page_of_many_kinds_is_what_was_asked_for(hx: Any, raw: redis.Redis) -> None:
    """Against a list that is gone through here."""
    dice, made = random.Random(7), list[tuple[str, State, str, int]]()
    pipeline = raw.pipeline(transaction=False)
    for n in range(300):
        state, kind, retried = dice.choice(WALKED), dice.choice(("gig:pay", "Gig:Pay", "sms:send")), dice.randint(0, 3)
        made.append((f"t{n}", state, kind, retried))
        put(pipeline, f"t{n}", state, kind=kind, retried=retried, queue=dice.choice(("low", "high")), score=NOW_S + n)
    pipeline.execute()
    for states, kind, least in (
        ("retry,pending", "gig:*", 1),
        ("archived,active", "sms:send", 2),
        ("completed", "*", 0),
    ):
        found = ids(await pages(hx, f"state:{states} type:{kind} retried>={least}", size=7))
        wanted = [
            name
            for name, state, type_, retried in made
            if state.value in states.split(",")
            and retried >= least
            and (kind == "*" or type_.lower().startswith(kind.rstrip("*")))
        ]
        assert sorted(found) == sorted(wanted)


async def test_merge_payload_changes_what_is_named(hx: Any, raw: redis.Redis) -> None:
    put(raw, "a", State.SCHEDULED, payload=b'{"pin":"7391","gig":{"id":1,"note":"x"}}')
    await hx.jobs.inspector.merge_payload("low", "a", {"gig": {"id": 2, "note": None}, "new": [1]})
    task: TaskInfo = await hx.jobs.inspector.task("low", "a")
    assert json.loads(task.payload or b"") == {"pin": "7391", "gig": {"id": 2}, "new": [1]}
    put(raw, "b", State.SCHEDULED, payload=b"plain")
    with pytest.raises(Exception, match="no JSON object"):
        await hx.jobs.inspector.merge_payload("low", "b", {"a": 1})


async def test_clone_enqueues_the_same_once_more(hx: Any, raw: redis.Redis) -> None:
    put(raw, "a", State.ARCHIVED, payload=b'{"gig":1}', kind="gig:pay", headers={"x": "1"}, timeout=30, retention=60)
    made = await hx.jobs.inspector.clone("low", "a", to="high", changes={"gig": 2})
    task = await hx.jobs.inspector.task("high", made.id)
    assert (task.type, task.payload, task.state) == ("gig:pay", b'{"gig":2}', State.PENDING)
    assert (task.timeout, task.retention, task.max_retry) == (timedelta(seconds=30), timedelta(seconds=60), 25)
    assert task.headers == {"x": "1", "cloned-from": "a"} and "high" in await hx.jobs.inspector.queues()
    assert (await hx.jobs.inspector.task("low", "a")).state is State.ARCHIVED


@pytest.mark.one_server
async def test_a_deep_page_goes_on_where_it_was_after_thousands_ran(hx: Any, raw: redis.Redis) -> None:
    q, pipeline = queue_keys("low"), raw.pipeline(transaction=False)
    put(pipeline, "first", State.PENDING, since=NOW_S)
    pipeline.lpush(q.pending, *(f"t{n}" for n in range(24_000)))
    for n in range(23_990, 24_000):
        leave(pipeline, q, f"t{n}", State.PENDING)
        put(pipeline, f"t{n}", State.PENDING, since=NOW_S + 5)
    pipeline.execute()
    page = await hx.jobs.inspector.search("state:pending type:t", size=1)
    stop = opened(page.cursor, "state:pending type:t", ["list"])
    assert stop is not None and ids([page]) == ["first"]
    deep = msgspec.structs.replace(stop, mark=Mark(23_995, str((NOW_S + 5) * 10**9).encode(), (b"t23994",)))
    assert ids(await pages(hx, "state:pending type:t", cursor=sealed(deep))) == [f"t{n}" for n in range(23_995, 24_000)]
    raw.ltrim(q.pending, 0, 11)
    assert ids(await pages(hx, "state:pending type:t", cursor=sealed(deep))) == [f"t{n}" for n in range(23_995, 24_000)]


async def test_needles_spare_reading_and_change_nothing(
    driver: Any, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    hx = SimpleNamespace(jobs=Jobs(driver))
    notes = ["plain text", "CAPITALS, café", "a/b 12345", 'quote "12345"', "line\nbreak", "1.50", "", "null", "12345"]
    for n, note in enumerate(notes):
        payload = json.dumps({"note": note, "n": n * 12345, "deep": [{"x": note}]}, ensure_ascii=n % 2 == 0).encode()
        put(raw, f"t{n}", State.PENDING, payload=payload, error_msg=note, headers={"h": note}, kind=note or "none")
    words = ("plain", "Plain", "CAPITALS", "café", "a/b", "12345", "1.5", "*ine*break*", "null")
    typed = [f'"{each}"' for each in words]
    fields = ("payload.note", "payload.deep.x", "payload", "payload.n", "error", "header.h", "type")
    queries = [f"{field}{op}{each}" for field in fields for op in (":", "=", "~") for each in typed]
    found = {query: ids(await pages(hx, query, size=500)) for query in [*queries, *typed]}
    monkeypatch.setattr("hustlex.jobs.search.plan.MOST_NEEDLES", 0)
    assert {query: ids(await pages(hx, query, size=500)) for query in found} == found
    assert found['payload.n="12345"'] == ["t1"] and found['payload.note:"*ine*break*"'] == ["t4"]
    assert sum(map(bool, found.values())) > 50


# -- what stands elsewhere


def told_worker(raw: redis.Redis, host: str, *running: tuple[str, str]) -> None:
    """A worker that says it runs these tasks, each (queue, id)."""
    info = wire.ServerInfo(host, 7, host, 10, {"low": 1}, False, "active", NOW_S * 10**9, len(running))
    raw.set(f"asynq:servers:{{{host}:7:{host}}}", wire.encode_server(info))
    for queue, name in running:
        work = wire.WorkerInfo(host, 7, host, name, "t", b"", queue, NOW_S * 10**9, NOW_S * 10**9)
        raw.hset(f"asynq:workers:{{{host}:7:{host}}}", name, wire.encode_worker(work))
    for kind in ("servers", "workers"):
        raw.zadd(f"asynq:{kind}", {f"asynq:{kind}:{{{host}:7:{host}}}": NOW_S + 60})


async def test_what_a_worker_runs_is_found(hx: Any, raw: redis.Redis) -> None:
    for name in ("a", "b", "c"):
        put(raw, name, State.ACTIVE)
    put(raw, "a", State.PENDING, queue="other")  # another task of the same id
    put(raw, "over", State.COMPLETED)
    told_worker(raw, "one", ("low", "a"), ("low", "over"))
    told_worker(raw, "two", ("low", "b"))
    for query, names in {
        "worker:one": ["a"], "worker:one:7": ["a"], "worker:t*": ["b"], "worker:one,two": ["a", "b"],
        "worker:nobody": [], "state:active -worker:one": ["b", "c"], "worker:one type:other": [],
    }.items():  # fmt: skip
        found = [task for page in await pages(hx, query) for task in page.tasks]
        assert sorted(task.id for task in found) == names, query
        assert {task.queue for task in found} <= {"low"}, query
    assert not (await hx.jobs.inspector.search("worker:one", queues=["other"])).tasks


async def test_what_an_entry_made_is_found(hx: Any, raw: redis.Redis) -> None:
    for n, state in enumerate((State.PENDING, State.ARCHIVED, State.RETRY)):
        put(raw, f"c{n}", state, queue=("low", "other")[n % 2])
        event = wire.SchedulerEnqueueEvent(f"c{n}", (NOW_S + n) * 10**9)
        name = entry_id("remind") if n else "of-go"
        raw.zadd(f"asynq:scheduler_history:{name}", {wire.encode_event(event): NOW_S + n})
    put(raw, "by-hand", State.PENDING)
    for query, names in {
        "cron:remind": ["c1", "c2"], "cron:of-go": ["c0"], "cron:remind state:retry": ["c2"],
        "cron:nothing": [], 'cron:"remind",of-go queue:low': ["c0", "c2"],
    }.items():  # fmt: skip
        assert sorted(task.id for page in await pages(hx, query) for task in page.tasks) == names, query


async def test_what_failed_with_a_signature_is_found(hx: Any, raw: redis.Redis) -> None:
    kind = FailureKind("sms:send", "app.ProviderDown", "provider.post", "no answer after <n> s from the provider")
    signature = "0123456789abcdef"
    await hx.driver.run(record.failures(queue_keys("low"), [FailureCount(signature, kind, 3, ("a",))], 0))
    same, other = "ProviderDown: no answer after 7 s from the provider", "ProviderDown: quota"
    for name, text, task_type in (("a", same, "sms:send"), ("b", same, "sms:send"), ("c", other, "sms:send"),
                                  ("d", same, "mail:send")):  # fmt: skip
        put(raw, name, State.RETRY if name == "a" else State.ARCHIVED, kind=task_type, error_msg=text)
    put(raw, "e", State.ARCHIVED, queue="other", kind="sms:send", error_msg=same)
    for query, names in {
        f"sig:{signature}": ["a", "b"], f"sig:{signature.upper()} state:retry": ["a"], "sig:ffffffffffffffff": [],
        f"queue:low state:retry,archived -sig:{signature}": ["c", "d"],
    }.items():  # fmt: skip
        assert sorted(task.id for page in await pages(hx, query) for task in page.tasks) == names, query
    assert not (await hx.jobs.inspector.search(f"sig:{signature}", queues=["other"])).tasks


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sig:7", "16 digits"),
        ("cron:a*", "whole name"),
        ("worker~a", "worker goes with"),
        ("worker:a cron:b", "only one"),
        ("cron:" + ",".join("abcdefghijk"), "at most 10"),
    ],
)
async def test_what_is_looked_up_is_bounded(hx: Any, query: str, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        await hx.jobs.inspector.search(query)
