"""A key that holds another type loses nothing but itself: no script ends between taking and writing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from hustlex.core.lua import parse
from hustlex.core.op import Effect
from hustlex.core.time import FixedClock
from hustlex.drivers.blocking import Driver
from hustlex.errors import Error
from hustlex.events import ops as events
from hustlex.idempotency import Response, Scope
from hustlex.jobs import RESULT, Job, Limits, Rate, State, StepName, Tasks
from hustlex.jobs.enqueue.draft import draft
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.group import ops as aggregation
from hustlex.jobs.group.aggregate import Aggregate
from hustlex.jobs.inspect import fleet
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.lease import finish, heartbeat, maintain, record
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.lease.lag import lag
from hustlex.jobs.schedule import firing
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.ops import changes
from hustlex.jobs.stream import ops as result
from hustlex.jobs.wire import decode_task, encode_task
from hustlex.jobs.workflow import ops as step_ops
from hustlex.jobs.workflow.flows import advance, start
from hustlex.ratelimit import Penalty, Policy
from hustlex.sync import HustleX
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.support.poison import Facts, Recorder, outcomes

Q = queue_keys("default")
DAY = "2026-11-23"
SOURCE = Path(__file__).parents[2] / "src" / "hustlex"
COUNTS = re.compile(rb"processed|failed|x:owners|x:sent|x:due|x:starts|x:gate|:x:stream|:x:bulk")
"""What is no task: counters, signs of life, receipts, hints and windows may be behind, by a call that failed."""


def lease_some(driver: Driver, clock: FixedClock, n: int, holder: str = "me:1") -> list[tuple[bytes, Any]]:
    flat = driver.run(lease.cycle(Q, DAY, holder, n, (), clock.now_ms)).leased
    return [(task_id, decode_task(data)) for task_id, data in zip(flat[::2], flat[1::2], strict=True)]


def enqueue_all(hx: HustleX, names: Iterable[str], **options: Any) -> None:
    hx.jobs.enqueue_many([Job("a", b"{}").with_options(task_id=name, **options) for name in names])


def run_jobs(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Leasing, all ends of an attempt, and recovery."""
    hour = timedelta(hours=1)
    for name in "abcdefgh":
        hx.jobs.enqueue(Job("a", name.encode()), task_id=name, unique_for=hour, unique_until="started")
    for name in "ijklmnop":
        hx.jobs.enqueue(Job("b", name.encode()), task_id=name, unique_for=hour, retention=hour)
    enqueue_all(hx, "qrstuv")
    hx.jobs.enqueue_many([Job("c", b"1", {"process_in": hour, "task_id": f"s{n}"}) for n in range(3)])
    hx.jobs.enqueue_many([Job("g", b"1", {"group": "some", "task_id": f"g{n}"}) for n in range(4)])
    held = dict(lease_some(driver, clock, 4))
    rows = [field for task_id in held for field in (task_id, "me:1", "")]
    driver.run(lease.cycle(Q, DAY, "me:2", 3, rows[:6], clock.now_ms))
    driver.run(finish.done(Q, DAY, rows[6:], clock.now_ms))
    limits = Limits(max_concurrency=9, rate=Rate(100, timedelta(seconds=1)))
    driver.run(limit.cycle(Q, DAY, "me:3", 3, (), clock.now_ms, limits))
    asks = [limit.PermitRequest(gate, limits, [(b"h", "me:3"), (b"i", "me:3")], [], 60) for gate in ("one", "two")]
    driver.run(limit.permit(Q, asks, clock.now_ms))
    kept = lease_some(driver, clock, 6, "me:4")
    ends = [field for task_id, m in kept for field in (task_id, "me:4", 60, encode_task(m), m.unique_key)]
    driver.run(finish.complete(Q, DAY, ends[:15], clock.now_ms))
    fails = [field for task_id, m in kept[3:] for field in (task_id, "me:4", 5000, encode_task(m), 1)]
    driver.run(finish.retry(Q, DAY, fails, clock.now_ms))
    more = lease_some(driver, clock, 4, "me:5")
    dead = [field for task_id, m in more[:2] for field in (task_id, "me:5", encode_task(m))]
    driver.run(finish.archive(Q, DAY, dead, clock.now_ms, most=9_999, age_s=99_999))
    driver.run(limit.defer(Q, "", [more[2][0], "me:5", 5000], clock.now_ms))
    driver.run(lease.extend(Q, "me", [more[3][0], "me:5"], clock.now_ms))
    driver.run(lease.put_on_trial(Q, more[3][0], "me:5"))
    driver.run(result.write_result("default", more[3][0].decode(), b"{}"))
    driver.run(result.append("default", more[3][0].decode(), ["kind", "log", "text", "x"]))
    driver.run(result.write_result("default", more[3][0].decode(), b"[]"))
    driver.run(result.end_attempt("default", more[3][0].decode(), State.COMPLETED))
    driver.run(result.glance("default", more[3][0].decode(), "-"))
    driver.run(lease.adopt(Q, "me", clock.now_ms))
    driver.run(lag(Q, clock.now_ms))
    enqueue_all(hx, ["y1", "y2", "y3", "y4", "y5", "y6"])
    for name in ("y1", "y2"):
        driver.run(result.await_end("default", name))
    told = lease_some(driver, clock, 3, "me:7")
    ends = [field for task_id, m in told for field in (task_id, "me:7", 60, encode_task(m), m.unique_key, b"{}")]
    driver.run(finish.answer(Q, DAY, ends, clock.now_ms))
    enqueue_all(hx, ["z1", "z2", "z3"])
    last = lease_some(driver, clock, 3, "me:6")
    driver.run(finish.requeue(Q, [field for task_id, _ in last[:2] for field in (task_id, "me:6")]))
    driver.run(lease.park(Q, last[2][0], "me:6"))
    for keys in (Q, queue_keys("low")):  # in a cluster each look is at one queue
        driver.run(maintain.peek([keys], clock.now_ms))
        driver.run(maintain.peek([keys], clock.now_ms, measure=True))
    measure, kind = record.QueueMeasure(5, 1, 3, 20), record.FailureKind("a", "ValueError", "", "x")
    for _ in range(2):
        driver.run(record.history([("default", measure)], clock.now_ms))
        driver.run(record.failures(Q, [record.FailureCount("s", kind, 1, ("a",))], clock.now_ms))
    hx.jobs.inspector.mute_errors("default", "s")
    driver.run(maintain.mend(Q, clock.now_ms))
    clock.advance(timedelta(seconds=12))
    driver.run(maintain.forward(Q, clock.now_ms))
    driver.run(maintain.recover(Q, clock.now_ms))
    lease_some(driver, clock, 4, "other:1")
    raw.lpush(Q.active, *raw.zrange(Q.lease, 0, 1))
    for task_id in raw.zrange(Q.lease, 0, 1):
        raw.zrem(Q.lease, task_id)
    driver.run(maintain.mend(Q, clock.now_ms))
    clock.advance(timedelta(minutes=3))
    driver.run(maintain.claim(Q, "recoverer:1", clock.now_ms))
    driver.run(maintain.sweep(Q, clock.now_ms))
    clock.advance(timedelta(hours=2))
    driver.run(maintain.forward(Q, clock.now_ms))
    hx.jobs.inspector.put_back("default", last[2][0].decode())


def run_groups(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Aggregation."""
    rules = Aggregate("", lambda *_: None, max_size=3)
    for group in "xy":
        hx.jobs.enqueue_many([Job("g", b"1", {"group": group, "task_id": f"{group}{n}"}) for n in range(8)])
    driver.run(aggregation.groups(Q))
    for n, group in enumerate("xyxyx"):
        assert driver.run(aggregation.check(Q, group, f"set{n}", rules, clock.now_ms)) == (n < 4)
    key = Q.aggregation_set("x", "set0")
    driver.run(aggregation.read(Q, key))
    driver.run(aggregation.park(Q, key, b"x0"))
    made = draft(Job("made", b"1"), {}, "set0")
    driver.run(aggregation.settle(Q, key, made, clock.now_ms))
    clock.advance(timedelta(minutes=3))
    driver.run(maintain.reclaim(Q, clock.now_ms))


def run_inspector(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """What operators do."""
    inspector, hour = hx.jobs.inspector, timedelta(hours=1)
    hx.jobs.limit_queue("default", max_size=100)
    hx.jobs.enqueue(Job("a", b"1"), task_id="one", unique_for=hour)
    hx.jobs.enqueue(Job("a", b"2"), task_id="two", debounce=hour)
    hx.jobs.enqueue(Job("a", b"2"), task_id="three", debounce=hour)
    enqueue_all(hx, [f"p{n}" for n in range(5)])
    enqueue_all(hx, [f"s{n}" for n in range(5)], process_in=hour)
    enqueue_all(hx, [f"g{n}" for n in range(5)], group="g")
    enqueue_all(hx, [f"mixed{n}" for n in range(3)], unique_for=hour, unique_key="m")
    inspector.queue("default")
    inspector.history("default")
    inspector.groups("default")
    inspector.pause("default")
    for state in (State.PENDING, State.SCHEDULED):
        inspector.tasks("default", state)
    for name in ("p0", "s0", "g0"):
        inspector.archive("default", name)
        inspector.run("default", name)
        inspector.delete("default", name)
        hx.jobs.explain("p1")
    inspector.task("default", "s1")
    inspector.reschedule("default", "s1", process_in=3 * hour)
    inspector.update_payload("default", "s1", {"n": 1})
    for name in ("p1", "s2", "g1"):
        hx.jobs.cancel(name, queue="default")
    for act in (inspector.archive_all, inspector.run_all, inspector.archive_all):
        for state, group in ((State.SCHEDULED, ""), (State.RETRY, ""), (State.PENDING, ""), (State.AGGREGATING, "g")):
            if act == inspector.run_all and state is State.PENDING:
                act("default", State.ARCHIVED)
            else:
                act("default", state, group=group)
    inspector.delete_all("default", State.ARCHIVED)
    enqueue_all(hx, [f"q{n}" for n in range(3)])
    enqueue_all(hx, [f"h{n}" for n in range(3)], group="h")
    inspector.delete_all("default", State.AGGREGATING, group="h")
    inspector.delete_queue("default", force=True)


def run_bulk(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Several at once, and back."""
    acts, hour = hx.jobs.inspector.bulk, timedelta(hours=1)
    enqueue_all(hx, ["p0", "p1"])
    enqueue_all(hx, ["s0", "s1"], process_in=hour)
    enqueue_all(hx, ["g0", "g1"], group="g")
    hx.jobs.enqueue(Job("a", b"1"), task_id="one", unique_for=hour)
    later = datetime(2031, 5, 1, tzinfo=UTC)
    for verb, query, start_at in (
        ("reschedule", "type:a", later),
        ("archive", "type:a", None),
        ("retry", "state:archived", None),
        ("delete", "type:a", None),
        ("delete", "group:g", None),
    ):
        name = acts.plan(verb, query, start_at=start_at).id
        acts.step(name)
        acts.start(name)
        acts.step(name)
        if verb != "retry":
            acts.undo(name)
            acts.step(name)


def run_workflows(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Steps that wait for each other."""
    one, two, three = (Job(name, b"{}") for name in "abc")
    for name in ("w1", "w2"):
        driver.follow(start(one.then(two).then(three), name, clock.now_ms, KnownQueues()))
    flat = driver.run(lease.cycle(Q, DAY, "me:1", 2, (), clock.now_ms)).leased
    rows = []
    for task_id, data in zip(flat[::2], flat[1::2], strict=True):
        message = decode_task(data)
        driver.run(result.write_result("default", message.id, b"1"))
        rows += [task_id, "me:1", message.retention, data, ""]
    driver.run(finish.complete(Q, DAY, rows, clock.now_ms))
    names = [StepName("default", task_id.decode()) for task_id in flat[::2]]
    driver.follow(advance(names, set(), clock.now_ms))
    clock.advance(timedelta(seconds=30))
    driver.run(step_ops.take(2, clock.now_ms))
    driver.run(step_ops.break_step(names[0], "why"))
    driver.run(step_ops.close(names, clock.now_ms))
    assert RESULT is not None


def run_schedules(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Periodic entries, and the registry."""
    tasks = Tasks()
    entry = tasks.cron("code", "@every 1m", Job("a", b"1"))
    hx.jobs.schedules.add("stored", "@every 1h", Job("a", b"1"))
    hx.jobs.schedules.pause("stored")
    hx.jobs.schedules.resume("stored")
    hx.jobs.schedules.get("stored")
    hx.jobs.schedules.all()
    driver.run(schedules.publish({"code": entry}, clock.now_ms))
    driver.run(schedules.note_refused({"code": "its queue is full"}, clock.now_ms))
    driver.run(changes("0", clock.now_ms))
    driver.run(firing.anchor("code", "default", 0, 60, clock.now_ms, spec="@daily"))
    made = draft(Job("a", b"1", {"unique_for": timedelta(hours=1)}), {}, "fired")
    driver.run(firing.fire("code", clock.now_ms, 60, made, clock.now_ms))
    driver.run(firing.record("code", clock.now_ms // 1000, b"event"))
    server = heartbeat.ServerName("host", 1, "me")
    for call in heartbeat.beat(server, 20, clock.now_ms // 1000, b"info", ["one", b"1"]):
        driver.run(call)
    for call in firing.write_entries("me", [b"entry", b"other"], clock.now_ms // 1000 + 20):
        driver.run(call)
    driver.run(fleet.server_keys(clock.now_ms))
    hx.jobs.schedules.remove("stored")


FLOWS = [run_jobs, run_groups, run_inspector, run_bulk, run_workflows, run_schedules]


def belongs(facts: Facts, ids: set[bytes]) -> dict[bytes, Facts]:
    """The facts of each task: those whose key or member is its id."""
    found: dict[bytes, Facts] = {task_id: {} for task_id in ids}
    for (key, member), value in facts.items():
        if COUNTS.search(key):
            continue
        owner = member if member in ids else key.rpartition(b":")[2]
        if owner in ids:
            found[owner][key, member] = value
    return found


def known_ids(*all_facts: Facts) -> set[bytes]:
    keys = {key for facts in all_facts for key, _ in facts}
    return {key.rpartition(b":")[2] for key in keys if re.search(rb":(t|x:step):[^:]*$", key)}


def lost(victim: bytes, before: Facts, after: Facts, usual: Facts) -> list[bytes]:
    """The tasks, but for the one whose own key is the victim, that are neither as before nor as after a usual call."""

    def told(facts: Facts) -> dict[bytes, Facts]:
        ids = known_ids(before, usual) - {victim.rpartition(b":")[2]}
        return belongs({place: value for place, value in facts.items() if place[0] != victim}, ids)

    was, found, should = told(before), told(after), told(usual)
    return [task_id for task_id in found if found[task_id] not in (was[task_id], should[task_id])]


@pytest.mark.timeout(450)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_no_task_is_lost_beside_a_key_of_another_type(
    flow: Any, url: str, raw: redis.Redis, clock: FixedClock, blocking_driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(raw)
    with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx, recorder.listening(monkeypatch):
        flow(hx, blocking_driver, clock, raw)
    wrong = []
    for name, calls in recorder.calls.items():
        for call in calls:
            for victim, answer, before, after, usual in outcomes(raw, blocking_driver, call):
                if gone := lost(victim, before, after, usual):
                    wrong.append((name, victim, gone, answer))
    assert wrong == []


# -- the other rooms: a call that fails has changed nothing


def run_codes(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """One-time codes, with everything that counts them."""
    one, other = (hx.otp.issue(phone, "login", ip="203.0.113.7") for phone in ("+2348031234567", "+2348031234568"))
    opened = hx.otp.open(one.challenge)
    hx.otp.verify(one.challenge, "000000", ip="203.0.113.7")
    clock.advance(timedelta(minutes=2))
    hx.otp.resend(other.challenge, ip="203.0.113.7")
    hx.otp.delivery_report(other.challenge, "delivered")
    hx.otp.cancel(other.challenge, unsent=True)
    third = hx.otp.issue("+2348031234569", "login", ip="203.0.113.7")
    hx.otp.verify(one.challenge, opened.code, ip="203.0.113.7", remember=True)
    hx.otp.cancel(third.challenge)
    hx.otp.unlock("+2348031234567", "anon")
    enrolment = hx.otp.totp_enrol("user-1", issuer="HustleX", account="ada")
    hx.otp.totp_verify("user-1", enrolment.sealed, "000000")


def run_sessions(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Tokens."""
    pairs = [hx.tokens.login("u1") for _ in range(3)]
    hx.tokens.check(pairs[0].access, mode="strict")
    hx.tokens.sessions("u1")
    fresh = hx.tokens.refresh(pairs[0].refresh).pair
    hx.tokens.logout(fresh.access, fresh.refresh)
    found = hx.tokens.sessions("u1")
    hx.tokens.set_data("u1", found[0].session_id, {"theme": "dark"})
    hx.tokens.data("u1", found[0].session_id)
    hx.tokens.revoke_session("u1", found[0].session_id)
    hx.tokens.rotate_keys()
    hx.tokens.revoke_all("u1")


def run_limits(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Rate limits of all algorithms, alone and together."""
    minute = timedelta(minutes=1)
    kinds = ("strict", "gcra", "counter", "log", "leases")
    policies = [Policy(f"p-{kind}", 2, minute, kind, burst=1 if kind == "gcra" else None) for kind in kinds]  # type: ignore[arg-type]
    policies.append(Policy("banned", 1, minute, penalty=Penalty(strikes=1)))
    for policy in policies:
        decision, *_ = (hx.ratelimit.check(policy, "u1", endpoint="/x") for _ in range(3))
        hx.ratelimit.peek(policy, "u1", endpoint="/x")
        hx.ratelimit.refund(decision)
        hx.ratelimit.heartbeat(decision) if policy.algorithm == "leases" else None
        hx.ratelimit.release(decision) if policy.algorithm == "leases" else None
    hx.ratelimit.check(policies, "u2", endpoint="/x")
    for policy in policies:
        hx.ratelimit.reset(policy, "u1", endpoint="/x")


def run_rest(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Idempotency, PINs, and the cache."""
    scope = Scope("u1", "POST", "/pay")
    started = hx.idempotency.begin("k1", scope, body=b"{}")
    hx.idempotency.renew(started)
    hx.idempotency.complete(started, Response(201, b"{}"))
    hx.idempotency.abandon(hx.idempotency.begin("k2", scope, body=b"{}"))
    stored = hx.pins.hash("u1", "4829")
    for pin in ("1111", "4829", "1111"):
        hx.pins.verify("u1", pin, stored.verifier)
    hx.pins.reset("u1")


def run_events(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Channels with history, and who is at them."""
    orders = hx.events.channel("orders:{n}", int, kind="replay", size=5)
    template = orders.declared.template
    orders.publish_many(range(8), n=1)
    orders.publish(1, n=1)
    orders.publish(1, n=2, idem="once", version=2)
    epoch = orders.position(n=1).epoch
    driver.run(events.rewind(template, template.name({"n": 1}), epoch, "another"))
    orders.remove_history(n=2)
    rooms = hx.events.presence("rooms:{n}")
    for member in ("phone", "laptop"):
        rooms.enter(member, user="ada", n=1)
    rooms.leave("phone", n=1)
    clock.advance(timedelta(minutes=2))
    rooms.members(n=1)


ROOMS = [run_codes, run_sessions, run_limits, run_rest, run_events]


@pytest.mark.timeout(450)
@pytest.mark.parametrize("flow", ROOMS, ids=lambda flow: flow.__name__)
def test_a_call_that_fails_beside_a_key_of_another_type_has_changed_nothing(
    flow: Any, url: str, raw: redis.Redis, clock: FixedClock, blocking_driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(raw)
    with (
        HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock, ratelimit=unhurried()) as hx,
        recorder.listening(monkeypatch),
    ):
        flow(hx, blocking_driver, clock, raw)
    assert len(recorder.calls) >= 4
    wrong = []
    for name, calls in recorder.calls.items():
        for call in calls:
            for victim, answer, before, after, _ in outcomes(raw, blocking_driver, call):
                kept = {place: value for place, value in after.items() if place[0] != victim}
                if isinstance(answer, Error) and kept != before:
                    wrong.append((name, victim, before.items() ^ kept.items(), answer))
    assert wrong == []


def test_every_script_of_jobs_that_writes_is_tried(
    url: str, raw: redis.Redis, clock: FixedClock, blocking_driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: set[str] = set()
    for flow in FLOWS:
        raw.flushall()
        recorder = Recorder(raw)
        with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock) as hx, recorder.listening(monkeypatch):
            flow(hx, blocking_driver, clock, raw)
        tried |= recorder.calls.keys()
    writes = set()
    for file in (SOURCE / "jobs" / "lua").rglob("*.lua"):
        text = file.read_text("utf-8")
        if text.startswith("-- jobs."):
            contract, _ = parse(text, file.name)
            if contract.effect is not Effect.READ:
                writes.add(contract.name)
    assert writes - tried == set()
