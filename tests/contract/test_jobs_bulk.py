"""``Inspector.bulk``: found first, then done in steps, once each, stopped at will, put back where that is possible."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from hustlex.core.op import Batch, Op
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.jobs import Bulk, BulkPhase, BulkVerb, ItemOutcome, Jobs, State
from hustlex.jobs.bulk import flows, keys
from hustlex.jobs.keys import queue_keys

HOUR = timedelta(hours=1)


async def planned(hx: Any, verb: BulkVerb, query: str, **options: Any) -> Bulk:
    """An act whose tasks are known."""
    return await moved(hx, (await hx.jobs.inspector.bulk.plan(verb, query, **options)).id)


async def moved(hx: Any, bulk_id: str, **options: Any) -> Bulk:
    """The act when it waits for somebody."""
    bulk = await hx.jobs.inspector.bulk.get(bulk_id)
    while bulk.moving:
        bulk = await hx.jobs.inspector.bulk.step(bulk_id, **options)
    return bulk


async def done(hx: Any, verb: BulkVerb, query: str) -> Bulk:
    """An act that has ended."""
    bulk = await planned(hx, verb, query)
    await hx.jobs.inspector.bulk.start(bulk.id)
    return await moved(hx, bulk.id)


async def fill(hx: Any, count: int, **options: Any) -> None:
    for n in range(count):
        await hx.jobs.enqueue("gig:notify", {"n": n}, task_id=f"t{n:03}", **options)


async def states(hx: Any, queue: str = "default") -> dict[str, int]:
    [summary] = await hx.jobs.inspector.summaries([queue])
    counts = {state.value: getattr(summary, state.value, 0) for state in State}
    return {state: count for state, count in counts.items() if count}


async def test_plan_changes_nothing_and_says_what_would_be_done(hx: Any) -> None:
    await fill(hx, 12, process_in=HOUR)
    await hx.jobs.enqueue("sms:send", queue="sms", process_in=HOUR)
    bulk = await planned(hx, BulkVerb.RUN, "state:scheduled", by="ada", label="shown")
    assert (bulk.phase, bulk.planned, bulk.by, bulk.label) == (BulkPhase.READY, 13, "ada", "shown")
    assert [(each.queue, each.type, each.count) for each in bulk.counts] == [
        ("default", "gig:notify", 12), ("sms", "sms:send", 1),
    ]  # fmt: skip
    assert bulk.queues == ("default", "sms") and len(bulk.sample) == 10
    assert await states(hx) == {"scheduled": 12}


async def test_start_runs_what_was_found_and_no_more(hx: Any) -> None:
    await fill(hx, 130, process_in=HOUR)
    bulk = await planned(hx, BulkVerb.RUN, "type:gig:*")
    await hx.jobs.enqueue("gig:notify", task_id="late", process_in=HOUR)
    await hx.jobs.inspector.delete("default", "t001")
    await hx.jobs.inspector.archive("default", "t002")
    await hx.jobs.inspector.bulk.start(bulk.id)
    bulk = await moved(hx, bulk.id)
    assert (bulk.phase, bulk.done, bulk.skipped) == (BulkPhase.DONE, 128, 2)
    assert await states(hx) == {"pending": 128, "scheduled": 1, "archived": 1}
    outcomes = {item.id: outcome for item, outcome in (await hx.jobs.inspector.bulk.report(bulk.id)).items}
    assert (outcomes["t000"], outcomes["t001"], outcomes["t002"]) == (
        ItemOutcome.DONE, ItemOutcome.GONE, ItemOutcome.MOVED,
    )  # fmt: skip
    report = await hx.jobs.inspector.bulk.report(bulk.id, page=3)
    assert (len(report.items), report.last) == (30, 3)


async def test_retry_takes_only_what_failed(hx: Any) -> None:
    await fill(hx, 3)
    await hx.jobs.inspector.archive("default", "t001")
    assert (await planned(hx, BulkVerb.RETRY, "type:gig:*")).planned == 1
    assert (await planned(hx, BulkVerb.ARCHIVE, "type:gig:*")).planned == 2
    assert (await planned(hx, BulkVerb.DELETE, "type:gig:*")).planned == 3


@pytest.mark.parametrize("verb", [BulkVerb.ARCHIVE, BulkVerb.DELETE])
async def test_undo_puts_back_what_nobody_moved(hx: Any, raw: redis.Redis, verb: BulkVerb) -> None:
    await hx.jobs.enqueue("gig:a", {"n": 1}, task_id="waits", process_in=HOUR, unique_for=HOUR)
    await hx.jobs.enqueue("gig:a", {"n": 2}, task_id="next")
    await hx.jobs.enqueue("gig:a", {"n": 3}, task_id="grouped", group="g")
    await hx.jobs.enqueue("gig:a", {"n": 4}, task_id="moved")
    before = await snapshot(hx, raw)
    bulk = await done(hx, verb, "type:gig:a")
    grouped = await done(hx, verb, "group:g")
    assert (bulk.done, grouped.done) == (3, 1) and bulk.can_be_undone
    if verb is BulkVerb.ARCHIVE:
        await hx.jobs.inspector.run("default", "moved")
    else:
        await hx.jobs.enqueue("gig:other", task_id="moved")
    for each, put_back in ((bulk, 2), (grouped, 1)):
        await hx.jobs.inspector.bulk.undo(each.id)
        after = await moved(hx, each.id)
        assert (after.phase, after.undone) == (BulkPhase.UNDONE, put_back)
    await hx.jobs.inspector.delete("default", "moved")
    report = await hx.jobs.inspector.bulk.report(bulk.id)
    assert {item.id: outcome for item, outcome in report.items} == {
        "waits": ItemOutcome.UNDONE, "next": ItemOutcome.UNDONE, "moved": ItemOutcome.KEPT,
    }  # fmt: skip
    assert await snapshot(hx, raw) == {name: kept for name, kept in before.items() if b"moved" not in name}
    with pytest.raises(Conflict):
        await hx.jobs.inspector.bulk.undo(bulk.id)


async def snapshot(hx: Any, raw: redis.Redis) -> dict[bytes, Any]:
    """Every key of the queue but private ones, as it stands."""
    found: dict[bytes, Any] = {}
    for key in raw.scan_iter("asynq:{default}:*"):
        match raw.type(key):
            case b"hash":
                found[key] = raw.hgetall(key)
            case b"zset":
                found[key] = raw.zrange(key, 0, -1, withscores=True)
            case b"list":
                found[key] = [name for name in raw.lrange(key, 0, -1) if name != b"moved"]
            case b"set":
                found[key] = raw.smembers(key)
            case _:
                found[key] = raw.get(key)
    return {key: value for key, value in found.items() if b":x:" not in key and value}


async def test_cancel_forbids_what_waits(hx: Any) -> None:
    await fill(hx, 4)
    bulk = await planned(hx, BulkVerb.CANCEL, "type:gig:*")
    await hx.jobs.inspector.delete("default", "t003")
    await hx.jobs.inspector.bulk.start(bulk.id)
    bulk = await moved(hx, bulk.id)
    assert (bulk.done, bulk.skipped, bulk.can_be_undone) == (3, 1, False)
    assert (await hx.jobs.inspector.task("default", "t000")).last_error == "canceled"


async def test_pause_and_stop_leave_an_exact_account(hx: Any) -> None:
    await fill(hx, 250, process_in=HOUR)
    acts = hx.jobs.inspector.bulk
    bulk = await planned(hx, BulkVerb.RUN, "state:scheduled")
    await acts.start(bulk.id)
    assert (await acts.step(bulk.id)).done == 100
    assert (await acts.pause(bulk.id)).phase is BulkPhase.PAUSED
    assert (await acts.step(bulk.id)).done == 100
    await acts.start(bulk.id)
    assert (await acts.step(bulk.id)).done == 200
    assert (await acts.stop(bulk.id)).phase is BulkPhase.STOPPED
    assert await states(hx) == {"pending": 200, "scheduled": 50}
    assert [outcome for _, outcome in (await acts.report(bulk.id, page=5)).items] == [ItemOutcome.WAITS] * 50
    with pytest.raises(Conflict):
        await acts.start(bulk.id)
    assert [each.id for each in await acts.newest()] == [bulk.id]


async def test_halt_says_why_nothing_goes_on(hx: Any) -> None:
    await fill(hx, 3, process_in=HOUR)
    bulk = await planned(hx, BulkVerb.RUN, "state:scheduled")
    await hx.jobs.inspector.bulk.start(bulk.id)
    halted = await hx.jobs.inspector.bulk.halt(bulk.id, "signed out")
    assert (halted.phase, halted.trouble) == (BulkPhase.PAUSED, "signed out")


async def test_two_who_step_at_once_do_it_once(hx: Any, url: str) -> None:
    await fill(hx, 300, process_in=HOUR)
    bulk = await planned(hx, BulkVerb.RUN, "state:scheduled")
    await hx.jobs.inspector.bulk.start(bulk.id)
    while (await hx.jobs.inspector.bulk.get(bulk.id)).moving:
        await asyncio.gather(*(hx.jobs.inspector.bulk.step(bulk.id) for _ in range(4)))
    bulk = await hx.jobs.inspector.bulk.get(bulk.id)
    assert (bulk.done, bulk.skipped) == (300, 0)
    assert await states(hx) == {"pending": 300}


async def test_a_step_that_was_lost_is_made_again(hx: Any, raw: redis.Redis) -> None:
    """The tasks are done, and the act does not know it."""
    await fill(hx, 3, process_in=HOUR)
    bulk = await planned(hx, BulkVerb.DELETE, "state:scheduled")
    await hx.jobs.inspector.bulk.start(bulk.id)
    record = raw.get(keys.record(bulk.id))
    await hx.jobs.inspector.bulk.step(bulk.id)
    raw.set(keys.record(bulk.id), record)
    bulk = await moved(hx, bulk.id)
    assert (bulk.done, bulk.skipped) == (3, 0)


async def test_each_task_is_judged_by_rights(hx: Any) -> None:
    await hx.jobs.enqueue("a:b", task_id="mine", queue="gigs")
    await hx.jobs.enqueue("a:b", task_id="theirs", queue="wallets")
    bulk = await planned(hx, BulkVerb.DELETE, "type:a:b")
    await hx.jobs.inspector.bulk.start(bulk.id)
    bulk = await moved(hx, bulk.id, may=lambda queue: queue == "gigs")
    assert (bulk.done, bulk.skipped) == (1, 1)
    assert await states(hx, "wallets") == {"pending": 1} and await states(hx, "gigs") == {}
    assert (await planned(hx, BulkVerb.DELETE, "type:a:b", queues=["gigs"])).planned == 0


async def test_what_it_keeps_has_an_end(hx: Any, raw: redis.Redis) -> None:
    await fill(hx, 3, process_in=HOUR)
    bulk = await done(hx, BulkVerb.DELETE, "state:scheduled")
    for key in (
        keys.record(bulk.id),
        keys.items(bulk.id),
        keys.report(bulk.id),
        keys.taken(queue_keys("default"), bulk.id),
    ):
        assert 0 < raw.ttl(key) <= 86_400, key


async def test_odd_acts_are_refused(hx: Any) -> None:
    acts = hx.jobs.inspector.bulk
    for verb, query in (("explode", "type:a"), ("run", "nonsense:1"), ("run", "a" * 2_000)):
        with pytest.raises(Misuse):
            await acts.plan(verb, query)
    with pytest.raises(NotFound):
        await acts.get("nothing")
    with pytest.raises(Misuse):
        await acts.get("a}:t:{b")
    bulk = await planned(hx, BulkVerb.RUN, "type:a")
    for act in (acts.pause, acts.undo):
        with pytest.raises(Conflict):
            await act(bulk.id)


async def cut(driver: Any, bulk_id: str, meanwhile: Any) -> Bulk:
    """One step, in which something happens between the tasks and the note of what was done to them."""
    flow, answer = flows.step(bulk_id, None, None, 0), None
    try:
        while True:
            asked: Any = flow.send(answer)
            if isinstance(asked, Op) and asked.name == "jobs.advance" and meanwhile is not None:
                await meanwhile()
                meanwhile = None
            answer = await driver.run_many(asked.ops) if isinstance(asked, Batch) else await driver.run(asked)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


@pytest.mark.parametrize("turned", ["pause", "stop"])
async def test_what_a_step_did_counts_when_it_is_stopped_meanwhile(driver: Any, turned: str) -> None:
    hx = SimpleNamespace(jobs=Jobs(driver))
    await fill(hx, 150, process_in=HOUR)
    acts = hx.jobs.inspector.bulk
    bulk = await planned(hx, BulkVerb.DELETE, "state:scheduled")
    await acts.start(bulk.id)
    bulk = await cut(driver, bulk.id, lambda: getattr(acts, turned)(bulk.id))
    assert (bulk.phase.value, bulk.done, bulk.at) == ({"pause": "paused", "stop": "stopped"}[turned], 100, 100)
    await acts.undo(bulk.id)
    bulk = await moved(hx, bulk.id)
    assert (bulk.undone, await states(hx)) == (100, {"scheduled": 150})
    letters = [outcome for page in (1, 3) for _, outcome in (await acts.report(bulk.id, page=page)).items]
    assert letters == [ItemOutcome.UNDONE] * 50 + [ItemOutcome.WAITS] * 50


async def test_what_is_undone_at_once_leaves_nothing_behind(driver: Any) -> None:
    """Before the step that was cut has told what it did."""
    hx = SimpleNamespace(jobs=Jobs(driver))
    await fill(hx, 30, process_in=HOUR)
    acts = hx.jobs.inspector.bulk
    bulk = await planned(hx, BulkVerb.ARCHIVE, "state:scheduled")
    await acts.start(bulk.id)

    async def twice() -> None:
        await acts.step(bulk.id)
        await acts.undo(bulk.id)

    after = await cut(driver, bulk.id, twice)
    assert after.phase is BulkPhase.UNDOING
    assert (await moved(hx, bulk.id)).undone == 30 and await states(hx) == {"scheduled": 30}


async def test_many_get_another_start_and_their_old_one_back(hx: Any, raw: redis.Redis) -> None:
    await fill(hx, 130, process_in=HOUR)
    await hx.jobs.enqueue("gig:notify", task_id="waits")
    key = queue_keys("default").scheduled
    before = dict(raw.zrange(key, 0, -1, withscores=True))
    start = datetime(2031, 5, 1, 8, tzinfo=UTC)
    bulk = await planned(hx, BulkVerb.RESCHEDULE, "type:gig:*", start_at=start)
    assert (bulk.planned, bulk.start_at) == (130, start)
    await hx.jobs.inspector.run("default", "t000")
    await hx.jobs.inspector.delete("default", "t001")
    await hx.jobs.inspector.bulk.start(bulk.id)
    bulk = await moved(hx, bulk.id)
    assert (bulk.done, bulk.skipped) == (128, 2)
    assert {score for _, score in raw.zrange(key, 0, -1, withscores=True)} == {start.timestamp()}
    await hx.jobs.inspector.reschedule("default", "t002", process_in=HOUR)
    await hx.jobs.inspector.bulk.undo(bulk.id)
    bulk = await moved(hx, bulk.id)
    assert (bulk.phase, bulk.undone) == (BulkPhase.UNDONE, 127)
    after = dict(raw.zrange(key, 0, -1, withscores=True))
    assert {name: after[name] for name in after if name != b"t002"} == {
        name: score for name, score in before.items() if name not in (b"t000", b"t001", b"t002")
    }


async def test_a_start_goes_with_reschedule_alone(hx: Any) -> None:
    for verb, start in ((BulkVerb.RESCHEDULE, None), (BulkVerb.RUN, datetime.now(UTC))):
        with pytest.raises(Misuse, match="start_at"):
            await hx.jobs.inspector.bulk.plan(verb, "type:a", start_at=start)
