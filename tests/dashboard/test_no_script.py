"""The console in a real Chromium whose scripts are off: forms do every act of the table."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.dashboard.acts import ACTS
from hustlex.dashboard.names import to_url
from hustlex.errors import NotFound
from hustlex.jobs import BulkPhase, State
from hustlex.jobs.keys import parked, queue_keys, stop_channel
from hustlex.jobs.lease.heartbeat import ServerName, beat
from hustlex.jobs.schedule.periodic import entry_id
from hustlex.jobs.wire import ServerInfo, TaskMessage, encode_server, encode_task
from hustlex.ratelimit import parse_rule
from tests.conftest import SECRET
from tests.dashboard.browsing import BENT, RULE, SIGNATURE, enter, fill, go
from tests.support.browser import Chromium, Tab

QUEUE, FOUND, LOCKED = "/queues/acts", "/tasks?q=type:gig:move", "+2348031234568"

BENDS = {"limit": "POST /bend", "who": "u2"}
STUCK = f"idem:{{u1}}:POST%20/pay:{'5' * 32}"


class Step(msgspec.Struct, frozen=True):
    """An act, by the form that does it."""

    verb: str
    page: str = ""
    """Where the form is; "" = on the page that is open."""
    asked: dict[str, str] = {}
    """What is looked up there first."""
    holds: dict[str, str] = {}
    """What the form holds beside the verb."""
    typed: dict[str, str] = {}
    """What is written into it."""


JOBS = (
    Step("pause", QUEUE),
    Step("resume"),
    Step("limit_queue", typed={"most": "900"}),
    Step("lift_limit"),
    Step("run", "/tasks/acts/run"),
    Step("archive", "/tasks/acts/archive"),
    Step("delete", "/tasks/acts/delete"),
    Step("cancel", "/tasks/acts/cancel"),
    Step("merge", "/tasks/acts/merge", typed={"changes": '{"gig_id": 8}'}),
    Step("clone", typed={"to": "other"}),
    Step("run_all", QUEUE, holds={"state": "archived"}),
    Step("archive_all", QUEUE, holds={"state": "retry"}),
    Step("delete_all", QUEUE, holds={"state": "archived"}),
    Step("run_all", "/groups?queue=acts", holds={"group": "g"}),
    Step("put_back", "/quarantine?queue=acts", holds={"task": "back"}),
    Step("discard", holds={"task": "bad"}),
    Step("delete_queue", "/queues/other"),
)
BULK = (
    Step("plan_bulk", FOUND, holds={"do": "archive"}),
    Step("start_bulk"),
    Step("undo_bulk"),
    Step("plan_bulk", FOUND, holds={"do": "run"}),
    Step("stop_bulk"),
    Step("pause_bulk", "/bulk/{one}"),
    Step("start_bulk"),
    Step("continue_bulk", "/bulk/{other}"),
)
REST = (
    Step("unlock", "/people", {"phone": LOCKED}),
    Step("resend", "/people", {"phone": LOCKED}),
    Step("revoke", "/people", {"user": "u2"}),
    Step("revoke_all", "/people", {"user": "u2"}),
    Step("reset_pin", "/people", {"user": "u2"}),
    Step("reset_limit", "/people", {"user": "u2"}),
    Step("delete_entry", "/cache", {"name": "user", "key": "42"}),
    Step("invalidate_tag", typed={"tag": "org:7"}),
    Step("ban", "/limits", BENDS, typed={"length": "2h"}),
    Step("unban", "/limits", BENDS),
    Step("own_limit", "/limits", BENDS, typed={"most": "5", "length": "1d"}),
    Step("common_limit", "/limits", BENDS),
    Step("lift_ban"),
    Step("release", "/idempotency"),
    Step("close_breaker", "/codes"),
    Step("tail", "/events", {"channel": "orders:42"}),
    Step("stop_worker", "/workers"),
    Step("mute", f"/errors/default/{SIGNATURE}", holds={"length": "4h"}),
    Step("unmute"),
    Step("mute", f"/errors/default/{SIGNATURE}", holds={"length": ""}),
    Step("plan_bulk", f"/errors/default/{SIGNATURE}", holds={"do": "run"}),
    Step("fire", "/cron"),
    Step("pause_entry"),
    Step("resume_entry"),
    Step("add_entry", typed={"entry": "weekly", "spec": "0 7 * * 1", "type": "a:b", "payload": '{"week": 1}'}),
    Step("edit_entry", "/cron/{weekly}", typed={"spec": "0 8 * * 1", "timezone": "Africa/Lagos"}),
    Step("remove_entry", "/cron/{hourly}"),
)
BUTTON = """((verb, holds, typed) => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  const found = [...document.querySelectorAll("main button")].find((button) => {
    const data = new FormData(button.form, button);
    return data.get("verb") === verb && Object.entries(holds).every(([name, text]) => data.get(name) === text);
  });
  for (const [name, text] of Object.entries(typed)) found.form.elements[name].value = text;
  return found;
})"""
CONFIRM = """(() => {
  const wanted = document.querySelector("label[for=typed] code");
  if (wanted) document.getElementById("typed").value = wanted.textContent;
  return document.querySelector("main form button");
})()"""
SAID = "(document.querySelector('.said') ?? document.querySelector('main')).textContent"


async def plain(browser: Chromium, place: str) -> Tab:
    """Signed in without a script: the token is typed."""
    address, _, token = place.partition("#")
    tab = await browser.open(address)
    await tab.until(
        "location.pathname === '/enter' && document.readyState === 'complete'"
    )  # else it comes after ``go``
    await tab.call("Emulation.setScriptExecutionDisabled", value=True)
    await tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
    await go(tab, place, "/enter")
    await fill(tab, {"token": token})
    assert await tab.run("location.pathname") == "/"
    return tab


async def do(tab: Tab, place: str, steps: tuple[Step, ...], **named: str) -> None:
    """By Enter alone; each page that comes says what was done."""
    for step in steps:
        if step.page:
            await go(tab, place, step.page.format(**named))
        if step.asked:
            await fill(tab, step.asked)
        given = ", ".join(map(json.dumps, (step.verb, step.holds, step.typed)))
        await enter(tab, f"{BUTTON}({given})")
        if await tab.run("location.pathname") == "/confirm":
            await enter(tab, CONFIRM)
        said = await tab.run(SAID)
        assert ACTS[step.verb].said in said, (step, said)


def put(raw: redis.Redis, task_id: str, state: State) -> None:
    """One task in a state, as Go leaves it; its lease is good for a while."""
    q, message = queue_keys("acts"), TaskMessage("gig:put", b"{}", task_id, "acts", 25, timeout=1800)
    raw.hset(q.task(task_id), mapping={"msg": encode_task(message), "state": state.value})
    if state is State.ACTIVE:
        raw.lpush(q.active, task_id)
    place = q.lease if state is State.ACTIVE else getattr(q, state.value)
    raw.zadd(place, {task_id: int(time.time()) + 600})


async def listening(hx: Any, raw: redis.Redis) -> Any:
    """A worker in Python, as it tells of itself and hears what it is told."""
    now_s = int(time.time())
    info = encode_server(ServerInfo("app", 7, "w1", 10, {"acts": 1}, False, "active", now_s * 10**9))
    for op in beat(ServerName("app", 7, "w1"), 600, now_s, info, (), b"{}"):
        await hx.driver.run(op)
    heard = raw.pubsub()
    heard.subscribe(stop_channel("w1"))
    assert heard.get_message(timeout=50)["type"] == "subscribe"
    return heard


def test_each_act_has_a_step() -> None:
    assert {step.verb for step in (*JOBS, *BULK, *REST)} == ACTS.keys()


async def test_tasks_and_queues_are_acted_on(browser: Chromium, place: str, hx: Any, raw: redis.Redis) -> None:
    for name in ("run", "archive", "delete", "merge"):
        later = timedelta(hours=1)
        await hx.jobs.enqueue("gig:put", {"gig_id": 7}, task_id=name, queue="acts", process_in=later)
    await hx.jobs.enqueue("gig:put", task_id="grouped", queue="acts", group="g")
    readable = encode_task(TaskMessage("gig:put", b"{}", "back", "acts", 25))
    raw.hset(parked(queue_keys("acts")), mapping={"back": readable, "bad": b"no task"})
    put(raw, "cancel", State.ACTIVE)
    put(raw, "again", State.RETRY)
    tab = await plain(browser, place)
    await do(tab, place, JOBS)
    [summary] = await hx.jobs.inspector.summaries(["acts"])
    assert (summary.pending, summary.scheduled, summary.retry, summary.archived, summary.paused) == (4, 1, 0, 0, False)
    assert (await hx.jobs.inspector.task("acts", "merge")).payload == b'{"gig_id":8}'
    assert "other" not in await hx.jobs.inspector.queues()
    for gone in ("delete", "again"):
        with pytest.raises(NotFound):
            await hx.jobs.inspector.task("acts", gone)


async def test_all_that_match_are_acted_on(
    browser: Chromium, place: str, hx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.dashboard.pages.bulk.STILL_S", -1)  # as if whoever began were gone at once
    await hx.jobs.enqueue("gig:move", task_id="move", queue="acts", process_in=timedelta(hours=1))
    acts, named = hx.jobs.inspector.bulk, dict[str, str]()
    for name in ("one", "other"):
        bulk = await acts.plan("archive", "id:move", by="ada")
        while bulk.moving:
            bulk = await acts.step(bulk.id)
        named[name] = (await acts.start(bulk.id)).id
    tab = await plain(browser, place)
    await do(tab, place, BULK, **named)
    assert (await hx.jobs.inspector.task("acts", "move")).state is State.ARCHIVED
    assert {(await acts.get(each)).phase for each in named.values()} == {BulkPhase.DONE}


async def test_people_and_entries_are_acted_on(
    browser: Chromium, place: str, hx: Any, url: str, raw: redis.Redis
) -> None:
    clock = FixedClock(int(time.time() * 1000) - 540_000)
    async with HustleX(url, secret=SECRET, timeout=timedelta(seconds=5), clock=clock) as early:
        for _ in range(3):
            issued = (await early.otp.issue(LOCKED)).or_raise()
            for _ in range(5):
                await early.otp.verify(issued.challenge, "000000")
            clock.advance(timedelta(minutes=3))
    for _ in range(2):
        await hx.tokens.login("u2")
    hour = int(time.time() // 180)
    raw.hset("otp:{pfx:2348031}:cap", mapping={"next": 1, f"s{hour}": 20})
    raw.hset(STUCK, mapping={"st": "run", "lease": 1, "fence": 1, "point": "charging", "cre": 1})
    heard = await listening(hx, raw)
    limit = parse_rule(RULE).policy
    await hx.ratelimit.check(limit, "u2", endpoint="POST /pay")
    tab = await plain(browser, place)
    await do(tab, place, REST, weekly=to_url(entry_id("weekly")), hourly=to_url(entry_id("hourly")))
    assert heard.get_message(timeout=50)["data"] == b"stop"
    assert (await hx.ratelimit.inspector.bans()).bans == ()
    assert (await hx.ratelimit.inspector.caller(BENT.policy, "u2", endpoint="POST /bend"))[0].own_limit is None
    assert (await hx.otp.inspector.breakers()).breakers == ()
    assert (await hx.idempotency.inspector.of_record(STUCK)).state == "released"
    assert (await hx.otp.inspector.phone(LOCKED)).lanes[0].locked_for == timedelta(0)
    assert (await hx.tokens.inspector.user("u2")).sessions == ()
    assert (await hx.ratelimit.peek(limit, "u2", endpoint="POST /pay")).remaining == 3
    assert (await hx.jobs.inspector.summaries(["default"]))[0].pending == 1
    [weekly] = await hx.jobs.schedules.all()
    assert (weekly.name, weekly.spec, weekly.job.payload) == ("weekly", "CRON_TZ=Africa/Lagos 0 8 * * 1", b'{"week":1}')
