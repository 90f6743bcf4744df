"""A server whose memory is full: no script ends half-way, what frees or takes rights away still works.

Each call that the rooms make is made again on the keyspace before it, with ``maxmemory`` reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from hustlex.cache import ops as cache
from hustlex.core.lua import parse
from hustlex.core.op import Effect
from hustlex.core.time import FixedClock
from hustlex.drivers.blocking import Driver
from hustlex.drivers.embedded import EmbeddedServer
from hustlex.errors import Full
from hustlex.events import ops as events
from hustlex.events import presence_ops
from hustlex.events.names import ChannelTemplate
from hustlex.idempotency import Scope
from hustlex.pins import PinOptions
from hustlex.pins import ops as pins
from hustlex.ratelimit import Penalty, Policy
from hustlex.sync import HustleX
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.contract.test_wrong_types import FLOWS, ROOMS, SOURCE
from tests.support import servers
from tests.support.dpop import Holder
from tests.support.poison import Facts, Recorded, Recorder, read, restore, settled

pytestmark = pytest.mark.one_server
STILL = {
    *("tokens.logout", "tokens.revoke", "tokens.revoke_all", "tokens.forbid", "tokens.announce", "tokens.retire_key"),
    *("jobs.done", "jobs.complete", "jobs.answer", "jobs.retry", "jobs.archive", "jobs.requeue", "jobs.extend"),
    *("jobs.recover", "jobs.forward", "jobs.delete_task", "jobs.delete_queue", "jobs.remove_schedule"),
    *("idempotency.renew", "idempotency.complete", "idempotency.abandon"),
    *("otp.verify", "otp.consume_grant", "otp.cancel", "otp.unlock", "pins.attempt", "pins.reset"),
    *("ratelimit.release", "ratelimit.reset", "ratelimit.ban", "cache.turn", "cache.soften", "cache.expire"),
    "idempotency.release",
}
"""What takes rights away, acknowledges, frees, or ends what has begun."""
NOT = {
    "jobs.enqueue",
    "jobs.enqueue_plain",
    "tokens.login",
    "otp.issue",
    "idempotency.begin",
    "cache.put",
}
UNTRIED = {
    "django.increment": "of a cache backend, which is a cache",
    **dict.fromkeys(
        ("ratelimit.check_counters", "ratelimit.check_gcras", "ratelimit.check_stricts"),
        "of async callers at once; a full server refuses a script before its first step, as those of one caller",
    ),
    "metrics.record": "counts of what was done, told once or never; nothing waits for it",
    "metrics.serve": "how many connections a process serves, told every ten seconds; nothing waits for it",
    "events.append_several": "of async callers at once: tests/contract/test_events_shared.py",
}
"""Scripts that write and are not called here, each with its reason."""


@pytest.fixture(scope="module")
def full() -> Iterator[EmbeddedServer]:
    with EmbeddedServer(binary=servers.binary("valkey9")) as server:
        yield server


@pytest.fixture
def raw(full: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(full.url) as raw:
        raw.flushall()
        yield raw
        raw.config_set("maxmemory", 0)


def run_caches(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """Entries, tags, and events."""
    users = hx.cache(
        "user", str, ttl=timedelta(minutes=1), timeout=PATIENCE, tags=("all",), stale_ttl=timedelta(minutes=5)
    )
    users.get_or_compute("1", lambda: "Ada")
    users.set("2", "Bola")
    users.expire("1")
    users.get_or_compute("1", lambda: "Ada")
    users.delete("1")
    hx.cache.invalidate_tags("all", soft=True)
    hx.cache.invalidate_tags("all")
    driver.run(cache.epoch("cl:epoch", b"x" * 8, 0))
    for act in (cache.renew, cache.cool):
        driver.run(cache.getl("cache:a", f"cl:{act.__name__}", "me", 1_000, 0))
        driver.run(act(f"cl:{act.__name__}", "me", 2_000, 0))
    driver.run(cache.release("cl:renew", "me", 0))
    driver.run(cache.hold("cache:user:2", "cl:two", 1_000))
    orders = hx.events.channel("orders:{n}", int, kind="replay")
    orders.publish(1, n=1)
    orders.publish(1, n=1, idem="once")
    orders.publish_many([2, 3], n=1)
    driver.run(events.rewind(orders.declared.template, orders.declared.template.name({"n": 1}), "", "fresh"))
    orders.remove_history(n=1)
    hx.events.channel("live:{n}", int).publish(1, n=1)
    driver.run(events.publish(ChannelTemplate("live:{n}", sharded=True).keys({"n": 1}), b"1", 0))
    driver.run(cache.report("cs:1", 60_000, 10, {"user requests.fresh": 1}, 0))
    where = presence_ops.keys(orders.declared.template, orders.declared.template.name({"n": 1}))
    driver.run(presence_ops.enter(where, {"m1": "", "m2": ""}, 0))
    driver.run(presence_ops.members(where, 10, 0))
    driver.run(presence_ops.leave(where, ["m1"]))


def run_more(hx: HustleX, driver: Driver, clock: FixedClock, raw: redis.Redis) -> None:
    """What the other flows leave out."""
    pair = hx.tokens.login("u1")
    hx.tokens.revoke_token(pair.access)
    code = hx.otp.issue("+2348031234599")
    verified = hx.otp.verify(code.challenge, hx.otp.open(code.challenge).code)
    hx.otp.consume_grant(verified.grant, "login")
    late = hx.otp.issue("+2348031234598")
    hx.otp.delivery_report(late.challenge, "failed")
    tries = pins.tries("", "u1")
    driver.run(pins.withdraw(tries, driver.run(pins.attempt(tries, PinOptions(), clock.now_ms)).seq, PinOptions(), 0))
    hx.tokens.rotate_keys()
    clock.advance(timedelta(days=1))
    hx.tokens.rotate_keys()
    keys = hx.tokens.jwks()["keys"]
    hx.tokens.retire_key(keys[-1]["kid"])
    proof = Holder().proof("GET", "https://x.test/", clock.now_ms // 1000, pair.access)
    hx.tokens.prove(proof, "GET", "https://x.test/", access=pair.access)
    strict = Policy("strict", 1, timedelta(minutes=1), penalty=Penalty())
    hx.ratelimit.inspector.ban(strict, "u1", endpoint="/x", length=timedelta(minutes=1))
    hx.otp.close_breaker("cc:NG")
    hx.idempotency.begin("a-key", Scope("u1", "POST", "/pay"), body=b"{}")
    clock.advance(timedelta(minutes=5))
    for claim in hx.idempotency.inspector.unfinished().claims:
        hx.idempotency.inspector.release(claim.record, fence=claim.fence)


@pytest.mark.timeout(120)
def test_a_call_on_a_full_server_is_done_or_not_begun(
    full: EmbeddedServer, raw: redis.Redis, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, refused, done = [], set(), set()
    with Driver(full.url) as driver:
        for flow in (*FLOWS, *ROOMS, run_caches, run_more):
            raw.flushall()
            recorder = Recorder(raw)
            front = HustleX(full.url, secret=SECRET, clock=clock, ratelimit=unhurried())
            with front as hx, recorder.listening(monkeypatch):
                flow(hx, driver, clock, raw)
            for call in (call for calls in recorder.calls.values() for call in calls):
                answer, before, after, usual = tried(raw, driver, call)
                (refused if isinstance(answer, Full) else done).add(call.op.name)
                if after != (before if isinstance(answer, Full) else usual):
                    wrong.append((call.op.name, answer, after.items() ^ usual.items()))
    assert wrong == []
    assert (refused & STILL, STILL - done) == (set(), set())
    assert NOT - refused == set()
    assert sorted(writing() - refused - done) == sorted(UNTRIED)


def tried(raw: redis.Redis, driver: Driver, call: Recorded) -> tuple[Any, Facts, Facts, Facts]:
    """The answer on a full server, and the facts before it, after it, and after the same on one that has room."""
    restore(raw, call.before)
    settled(driver, call.op)
    usual = facts(raw)
    restore(raw, call.before)
    before = facts(raw)
    raw.config_set("maxmemory", 1)
    answer = settled(driver, call.op)
    after = facts(raw)
    raw.config_set("maxmemory", 0)
    return answer, before, after, usual


def facts(raw: redis.Redis) -> Facts:
    """But for an id that is a time."""
    return {place: value for place, value in read(raw).items() if place[1] != b"id"}


def writing() -> set[str]:
    """The names of all scripts that write."""
    sources = [(file.read_text("utf-8"), file.name) for file in SOURCE.rglob("*.lua")]
    contracts = [parse(text, name)[0] for text, name in sources if "\n-- EFFECT " in text]
    return {contract.name for contract in contracts if contract.effect is not Effect.READ}
