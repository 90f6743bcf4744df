"""What the pages show, and what the buttons do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from hustlex.dashboard.audit import Audit
from hustlex.jobs import Job, State
from hustlex.jobs.lease.heartbeat import ServerName, beat, encode_served
from hustlex.jobs.lease.vitals import Vitals, with_vitals
from hustlex.jobs.wire import ServerInfo, encode_server
from tests.dashboard.conftest import Person

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "'); DROP TABLE--",
    "\u202egnp.exe",
    "a\u200bb",
)


async def test_an_empty_server_says_what_to_do(person: Callable[..., Person]) -> None:
    ada = person("read")
    for path, words in {
        "/": "No queue yet",
        "/queues": "No queue yet",
        "/tasks": "No queue yet",
        "/workers": "No worker",
        "/cron": "No periodic entry",
        "/workflows": "No open step",
        "/groups": "Nothing waits",
        "/quarantine": "Nothing was set aside",
        "/audit": "Nothing was done",
    }.items():
        answer = await ada.open(path)
        assert answer.status_code == 200 and words in answer.text, path


async def test_an_unserved_queue_needs_attention(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("sms:send", queue="sms")
    ada = person("read")
    await ada.open("/")
    assert "queue sms: nobody serves it, 1 task waits" in ada.shown
    await ada.open("/queues/sms")
    assert "unserved" in ada.shown and "No living worker takes this queue" in ada.shown


async def test_a_worker_that_does_not_answer_needs_attention(hx: Any, person: Callable[..., Person]) -> None:
    """What it tells of a queue or a task type is not for those who see others."""
    vitals = Vitals(
        "1", 3.0, 50 << 20, 2, 1, {"wallets:pay": 3.0, "short": 0.2}, {"queue wallets": "its keys are wrong"}
    )
    info = ServerInfo("app-7", 4711, "w1", 5, {"gigs": 1, "wallets": 1}, False, "active", time.time_ns(), 1)
    telling = with_vitals(encode_served([], []), vitals)
    for op in beat(ServerName("app-7", 4711, "w1"), 60, int(time.time()), encode_server(info), [], telling):
        await hx.driver.run(op)
    ada, bola = person("read"), person("read", queues=("gigs",))
    await ada.open("/")
    assert "worker app-7:4711: queue wallets: its keys are wrong" in ada.shown
    assert "wallets:pay keeps the event loop of a worker for 3.0 s" in ada.shown
    await ada.open("/workers")
    assert "50.0 MiB" in ada.shown and "queue wallets: its keys are wrong; wallets:pay kept" in ada.shown
    for page in ("/", "/workers"):
        await bola.open(page)
        assert "wallets" not in bola.shown, page
    assert "50.0 MiB" in bola.shown and "app-7" in bola.shown


async def test_a_task_says_why_it_is_where_it_is(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify", {"gig_id": 7}, task_id="t1", process_in=timedelta(hours=1))
    ada = person("read")
    await ada.open("/tasks?queue=default&state=scheduled")
    assert "t1" in ada.shown and "gig:notify" in ada.shown
    await ada.open("/tasks/default/t1")
    assert "scheduled" in ada.shown and "&#34;gig_id&#34;: 7" in ada.shown
    assert (await ada.open("/tasks/default/nothing")).status_code == 404


async def test_a_task_is_found_by_its_id(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify", task_id="a b/c", queue="low")
    ada = person("read")
    answer = await ada.open("/tasks?id=a+b/c")
    assert answer.headers["location"] == "/tasks/low/a~20b~2fc"
    assert "gig:notify" in (await ada.open(answer.headers["location"])).text
    assert (await ada.open("/tasks?id=nothing")).status_code == 404
    narrow = person("read", queues=("gig*",))
    assert (await narrow.open("/tasks?id=a+b/c")).status_code == 404


async def test_a_queue_an_entry_a_workflow_and_a_search_are_jumped_to(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify", queue="gigs")
    await hx.jobs.schedules.add("report", "@every 1h", Job("a:b", b"", {"queue": "low"}))
    workflow = "0d3f6c1e-5a41-4a53-9a57-2f6f1a0d7c11"
    await hx.jobs.start(Job("a", b"", {"queue": "low"}).then(Job("b", b"", {"queue": "low"})), workflow_id=workflow)
    entry, ada, narrow = await hx.jobs.schedules.get("report"), person("read"), person("read", queues=("gig*",))
    for typed, place in (
        ("gigs", "/queues/gigs"),
        ("report", f"/cron/{entry.id}"),
        (workflow, f"/workflows/low/{workflow}~3a0"),
        ("state:pending type:gig:*", "/tasks?q=state%3Apending+type%3Agig%3A%2A"),
    ):
        assert (await ada.client.get("/tasks", params={"id": typed})).headers["location"] == place, typed
        seen = await narrow.client.get("/tasks", params={"id": typed})
        assert seen.status_code == (303 if "gig" in typed else 404), typed
    for typed in ("nonsense", "stat:pending", "state:"):
        answer = await ada.client.get("/tasks", params={"id": typed})
        assert answer.status_code == 404 and "is called" in answer.text, typed


async def test_buttons_do_what_they_say_and_are_written_down(hx: Any, person: Callable[..., Person]) -> None:
    inspector = hx.jobs.inspector
    for name in ("a", "b", "c"):
        await hx.jobs.enqueue("gig:notify", task_id=name, process_in=timedelta(hours=1))
    ada = person("act")
    await ada.open("/queues/default")
    await ada.press("pause", queue="default", back="/queues/default")
    assert "paused" in ada.shown and "workers take no more" in ada.shown
    await ada.press("resume", queue="default", back="/queues/default")
    await ada.press("run", queue="default", task="a", back="/tasks/default/a")
    assert (await inspector.task("default", "a")).state is State.PENDING
    await ada.press("archive", queue="default", task="b", back="/queues")
    assert (await inspector.task("default", "b")).state is State.ARCHIVED
    await ada.press("delete", queue="default", task="c", back="/queues")
    assert (await inspector.summaries(["default"]))[0].scheduled == 0
    await ada.open("/audit")
    assert [ada.shown.count(f">{verb}<") for verb in ("pause", "resume", "run", "archive", "delete")] == [1] * 5
    phases = [each.fields["phase"] for each in await Audit(hx.driver, hx.prefix).newest()]
    assert phases == ["done", "intent"] * 5


async def test_a_heavy_act_wants_the_name_typed(hx: Any, person: Callable[..., Person]) -> None:
    for name in ("a", "b"):
        await hx.jobs.enqueue("gig:notify", task_id=name, process_in=timedelta(hours=1))
    ada = person("act")
    await ada.open("/confirm?verb=run_all&queue=default&state=scheduled&back=/queues")
    assert "Type <code>default</code>" in ada.shown
    wanted = {"queue": "default", "state": "scheduled", "back": "/queues"}
    assert (await ada.press("run_all", **wanted)).status_code == 400
    await ada.open("/queues/default")
    answer = await ada.press("run_all", typed="default", **wanted)
    assert "2 are pending now" in answer.text
    assert (await hx.jobs.inspector.summaries(["default"]))[0].pending == 2


async def test_what_cannot_be_done_says_so(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify", task_id="a")
    ada = person("act")
    for verb, fields, status in (
        ("run", {"queue": "default", "task": "a"}, 409),
        ("run", {"queue": "default", "task": "nothing"}, 404),
        ("run", {"queue": "default"}, 400),
        ("limit_queue", {"queue": "default", "most": "-1"}, 400),
        ("limit_queue", {"queue": "default", "most": "many"}, 400),
        ("edit_entry", {"entry": "gone", "spec": "@daily"}, 404),
        ("add_entry", {"entry": "e", "spec": "0 0 30 2 *", "type": "a:b", "queue": "default"}, 400),
        ("add_entry", {"entry": "e", "spec": "@daily", "type": "a:b", "queue": "default", "payload": "{"}, 400),
        ("explode", {}, 400),
        ("run_all", {"queue": "default", "state": "nonsense", "typed": "default"}, 400),
    ):
        await ada.open("/queues/default")
        answer = await ada.press(verb, back="/", **fields)
        assert answer.status_code == status, (verb, fields)
        assert "Traceback" not in answer.text


async def test_the_next_firings_are_told_before_an_entry_is_changed(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.schedules.add("report", "@every 1h", Job("a:b"))
    ada = person("act")
    wanted = {"verb": "edit_entry", "entry": "report", "back": "/cron"}
    answer = await ada.post("/confirm", spec="0 7 * * 1", timezone="Africa/Lagos", missed="once", **wanted)
    assert re.findall(r"fires (Mon) [0-9-]+ (06:00:00) UTC", answer.text) == [("Mon", "06:00:00")] * 3
    for spec, zone, said in (("0 0 30 2 *", "UTC", "never"), ("@daily", "Africa/Nowhere", "unknown time zone")):
        answer = await ada.post("/confirm", spec=spec, timezone=zone, **wanted)
        assert answer.status_code == 400 and said in answer.text
    assert (await hx.jobs.schedules.get("report")).spec == "@every 1h"


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_others_write_is_shown_as_text(hx: Any, person: Callable[..., Person], text: str) -> None:
    typed = text if "{" not in text else "a:b"  # a type with a brace is refused at the door
    await hx.jobs.enqueue(typed, {"note": text}, task_id="t1", headers={"x": text}, process_in=timedelta(hours=1))
    ada = person("act")
    pages = ("/", "/queues", "/tasks?queue=default&state=scheduled", "/tasks/default/t1", f"/tasks?queue={text}")
    for path in (*pages, f"/queues/{text}", f"/audit?before={text}", f"/confirm?verb=run&queue={text}&task={text}"):
        answer = await ada.open(path)
        assert answer.status_code in (200, 400, 404)
        for raw in ("<script>alert", "<img src=x", ">49<", "\u202e", "\u200b"):
            assert raw not in re.sub(r'value="[^"]*"', "", answer.text), path


async def test_secrets_in_payloads_are_hidden(hx: Any, person: Callable[..., Person]) -> None:
    payload = {
        "phone": "+2348031234567",
        "local": "call 08031234567 now",
        "email": "ada@example.ng",
        "password": "hunter2",
        "nested": '{"otp": "123456"}',
        "card": "4111 1111 1111 1111",
        "account": 1234567890,
        "auth": "Bearer abcdef123456",
        "jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "url": "redis://user:sesame@host/0",
        "amount": 125000,
        "gig_id": 48213,
    }
    await hx.jobs.enqueue("wallet:pay", payload, task_id="t1")
    ada = person("act", reveal=True)
    for path in ("/tasks?queue=default&state=pending", "/tasks/default/t1"):
        await ada.open(path)
        for secret in ("8031234567", "ada@example", "hunter2", "123456", "4111 1111", "abcdef", "eyJhbG", "sesame"):
            assert secret not in ada.shown, (path, secret)
    assert "125000" in ada.shown and "48213" in ada.shown and "•••••67" in ada.shown


async def test_what_is_hidden_is_shown_once_to_whom_may_see_it_and_written_down(
    hx: Any, person: Callable[..., Person]
) -> None:
    await hx.jobs.enqueue("gig:pay", {"pin": "4821"}, task_id="t1")
    here = "/tasks/default/t1"
    bob, ada = person("act"), person("read", reveal=True)
    await bob.open(here)
    assert "Show what is hidden" not in bob.shown
    assert (await bob.post(here, reveal="1")).status_code == 403 and "4821" not in bob.shown
    await ada.open(here)
    assert "4821" not in ada.shown and "Show what is hidden" in ada.shown
    foreign = await ada.client.post(here, data={"reveal": "1", "form_token": "x"})
    assert foreign.status_code == 403 and "4821" not in foreign.text
    await ada.post(here, reveal="1")
    assert "4821" in ada.shown and "data-live" not in ada.shown
    await ada.open(f"{here}?reveal=1")
    assert "4821" not in ada.shown
    entries = [
        tuple(map(each.fields.get, ("phase", "verb", "target"))) for each in await Audit(hx.driver, hx.prefix).newest()
    ]
    assert entries == [("done", "reveal", "default/t1"), ("refused", "reveal", "default/t1")]


async def test_a_page_is_loaded_anew_without_a_script_where_somebody_asks_for_it(person: Callable[..., Person]) -> None:
    ada = person("act")
    await ada.open("/queues?sort=name")
    assert '<meta http-equiv="refresh"' not in ada.shown
    [link] = re.findall(r'<span class="again">, <a href="([^"]+)">load it every 15 s', ada.shown)
    await ada.open(unescape(link))
    assert '<noscript><meta http-equiv="refresh" content="15"></noscript>' in ada.shown
    [back] = re.findall(r'<span class="again">, <a href="([^"]+)">load it no more', ada.shown)
    assert unescape(back) == "/queues?sort=name"
    for other in ("1", "0", "15;url=//evil", "60&refresh=1"):
        await ada.open(f"/queues?refresh={other}")
        assert '<meta http-equiv="refresh"' not in ada.shown, other
    await ada.open("/people")
    assert "load it every" not in ada.shown


async def test_redis_away_is_a_sentence(hx: Any, person: Callable[..., Person], server: Any) -> None:
    ada = person("act")
    await ada.open("/")
    await hx.driver.close()
    answer = await ada.open("/queues")
    assert answer.status_code == 503 and "Traceback" not in answer.text and "<h1>" in answer.text


async def test_names_in_addresses_come_back() -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    from hustlex.dashboard.names import from_url, to_url

    @given(st.text())
    def check(name: str) -> None:
        try:
            name.encode()
        except UnicodeEncodeError:
            return
        coded = to_url(name)
        assert from_url(coded) == name and all(letter.isalnum() or letter in "~-_" for letter in coded)

    check()
    for wrong in ("", "a/b", "..", "a%2f", "~zz", "~4", "~41", "é"):
        assert from_url(wrong) is None, wrong
