"""Finding tasks in the console, and acting on all that were found; without a script."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from hustlex.dashboard import Dashboard, Operator
from hustlex.dashboard.routes import match
from hustlex.jobs import Job, State
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.wire import TaskMessage, encode_task
from tests.dashboard.conftest import Person
from tests.support.calls import Calls

HOUR = timedelta(hours=1)


async def fill(hx: Any, count: int = 60) -> None:
    for n in range(count):
        await hx.jobs.enqueue("gig:notify", {"gig_id": n, "pin": "7391"}, task_id=f"t{n:03}", process_in=HOUR)
    await hx.jobs.enqueue("sms:send", task_id="other", queue="sms")


async def planned(ada: Person, do: str, query: str) -> str:
    """The address of an act that was planned."""
    await ada.open("/people")  # any page with a form
    answer = await ada.client.post(
        "/act", data={"verb": "plan_bulk", "do": do, "query": query, "back": "/tasks", "form_token": ada.token}
    )
    assert answer.status_code == 303, answer.text
    await ada.open(answer.headers["location"])
    return str(answer.headers["location"].partition("?")[0])


async def test_tasks_are_found_and_paged(hx: Any, person: Callable[..., Person]) -> None:
    await fill(hx)
    ada = person("read")
    await ada.open("/tasks?q=type:gig:*")
    assert ada.shown.count('<tr data-key="default/') == 50 and "Looked at" in ada.shown and "sms:send" not in ada.shown
    [onward] = re.findall(r'rel="next" href="([^"]+)"', ada.shown)
    await ada.open(onward.replace("&amp;", "&"))
    assert ada.shown.count('<tr data-key="default/') == 10 and "first page" in ada.shown
    await ada.open("/tasks?q=type:nothing")
    assert "Nothing was found" in ada.shown
    await ada.open("/tasks?queue=default&state=scheduled")
    assert "go on" in ada.shown and 'value="state:scheduled queue=&#34;default&#34;"' in ada.shown


async def test_what_cannot_be_read_is_said_beside_the_rest(hx: Any, person: Callable[..., Person]) -> None:
    await fill(hx, 2)
    ada = person("act")
    await ada.open("/tasks?q=stat:retry type:sms:*")
    assert "Column 1: there is no field stat; did you mean state?" in ada.shown
    assert "sms:send" in ada.shown and "gig:notify" not in ada.shown.partition("<tbody>")[2]
    assert "plan_bulk" not in ada.shown
    await ada.open("/tasks?q=stat:retry")
    assert "plan_bulk" not in ada.shown and "<tbody>" not in ada.shown
    for odd in ("a" * 3000, "a\x00b", '"', "\u202e", "id:" + "x," * 60):
        answer = await ada.client.get("/tasks", params={"q": odd})
        assert answer.status_code in (200, 400) and "\u202e" not in re.sub(r'value="[^"]*"', "", answer.text)
    for cursor in ("odd", "AAAA", "x" * 9000, "é"):
        answer = await ada.client.get("/tasks", params={"q": "type:a", "cursor": cursor})
        assert answer.status_code == 400 and "cursor" in answer.text


async def test_what_is_hidden_cannot_be_found(hx: Any, person: Callable[..., Person]) -> None:
    await fill(hx, 1)
    ada, whole = person("read"), person("read", reveal=True)
    for query in ("payload.pin=7391", "payload~7391", 'payload~"pin\\":\\"7"'):
        assert "t000" in (await whole.client.get("/tasks", params={"q": query})).text, query
        assert "t000" not in (await ada.client.get("/tasks", params={"q": query})).text, query
    assert "t000" in (await ada.open("/tasks?q=payload.gig_id=0")).text


async def test_all_that_match_are_shown_done_and_put_back(
    hx: Any, person: Callable[..., Person], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hustlex.audit")
    await fill(hx)
    ada = person("act")
    place = await planned(ada, "delete", "type:gig:* -payload.email=ada@example.ng")
    name = place.rpartition("/")[2]
    assert "Delete 60 tasks" in ada.shown and "For an hour this can be undone" in ada.shown and "t000" in ada.shown
    assert (await hx.jobs.inspector.summaries(["default"]))[0].scheduled == 60
    await ada.press("start_bulk", bulk=name, typed="60", back=place)
    assert "done" in ada.shown and ada.shown.count(">done<") == 50
    assert (await hx.jobs.inspector.summaries(["default"]))[0].scheduled == 0
    await ada.press("undo_bulk", bulk=name, back=place)
    assert ada.shown.count(">put back<") == 50
    assert (await hx.jobs.inspector.summaries(["default"]))[0].scheduled == 60
    await ada.open("/bulk")
    assert place in ada.shown and "ada@example.ng" not in ada.shown
    await ada.open("/audit")
    for verb in ("plan_bulk", "start_bulk", "bulk_delete", "undo_bulk"):
        assert f">{verb}<" in ada.shown, verb
    assert "ada@example.ng" not in caplog.text and "done</span> (60)" in ada.shown


async def test_many_tasks_want_their_number_typed(hx: Any, person: Callable[..., Person]) -> None:
    await fill(hx, 101)
    ada = person("act")
    place = await planned(ada, "run", "type:gig:*")
    name = place.rpartition("/")[2]
    assert "Type <code>101</code>" in ada.shown
    for typed in ("", "100", "101 "):
        assert (await ada.press("start_bulk", bulk=name, typed=typed, back=place)).status_code == 400
        await ada.open(place)
    await ada.press("start_bulk", bulk=name, typed="101", back=place)
    assert (await hx.jobs.inspector.bulk.get(name)).done == 101
    assert (await hx.jobs.inspector.summaries(["default"]))[0].pending == 101


async def test_an_act_is_left_paused_and_gone_on_with(hx: Any, person: Callable[..., Person]) -> None:
    await fill(hx, 3)
    ada = person("act")
    place = await planned(ada, "archive", "type:gig:*")
    name = place.rpartition("/")[2]
    await hx.jobs.inspector.bulk.start(name)
    await ada.press("pause_bulk", bulk=name, back=place)
    assert "Go on" in ada.shown and "Nothing more is done" in ada.shown
    await ada.press("start_bulk", bulk=name, typed="3", back=place)
    assert (await hx.jobs.inspector.bulk.get(name)).done == 3
    place = await planned(ada, "run", "state:archived")
    await ada.press("stop_bulk", bulk=place.rpartition("/")[2], back=place)
    assert "stopped" in ada.shown and (await hx.jobs.inspector.task("default", "t000")).state is State.ARCHIVED


async def test_a_large_act_goes_on_beside_the_requests(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue_many([Job("gig:notify", None, {"process_in": HOUR}) for _ in range(700)])
    ada = person("act")
    place = await planned(ada, "run", "type:gig:*")
    await ada.press("start_bulk", bulk=place.rpartition("/")[2], typed="700", back=place)
    assert "Look again" in ada.shown and "Pause" in ada.shown
    while "Look again" in (await ada.open(place)).text:
        pass
    assert "700" in ada.shown and (await hx.jobs.inspector.summaries(["default"]))[0].pending == 700


async def test_other_queues_are_neither_found_nor_touched(hx: Any, person: Callable[..., Person]) -> None:
    for queue in ("gigs", "wallets"):
        await hx.jobs.enqueue("a:b", task_id="known", queue=queue)
    whole, narrow = person("act"), person("act", queues=("gig*",))
    for query in ("type:a:b", "id:known", "queue:wallets", "queue:*", "-queue:gigs"):
        answer = await narrow.client.get("/tasks", params={"q": query})
        assert "wallets/" not in answer.text, query
    place = await planned(narrow, "delete", "type:a:b")
    assert "Delete 1 tasks" in narrow.shown and "wallets" not in narrow.shown
    await narrow.press("start_bulk", bulk=place.rpartition("/")[2], typed="1", back=place)
    assert (await hx.jobs.inspector.summaries(["wallets"]))[0].pending == 1
    theirs = await planned(whole, "delete", "queue:wallets")
    assert (await narrow.open(theirs)).status_code == 404
    await narrow.open("/bulk")
    assert theirs not in narrow.shown and "wallets" not in narrow.shown and place in narrow.shown
    for verb in ("start_bulk", "pause_bulk", "stop_bulk", "undo_bulk", "continue_bulk"):
        answer = await narrow.press(verb, bulk=theirs.rpartition("/")[2], typed="1", back="/")
        assert answer.status_code == 404, verb
    assert (await hx.jobs.inspector.summaries(["wallets"]))[0].pending == 1
    assert (await narrow.press("clone", queue="gigs", task="known", to="wallets", back="/")).status_code == 404
    assert (await narrow.press("clone", queue="wallets", task="known", to="gigs", back="/")).status_code == 404


async def test_who_may_read_may_plan_nothing(hx: Any, person: Callable[..., Person]) -> None:
    await fill(hx, 1)
    reader, other = person("read"), person("act")
    await other.open("/people")
    await reader.open("/tasks?q=type:gig:*")
    assert "disabled" in reader.shown
    reader.token = other.token
    for verb, fields in (
        ("plan_bulk", {"do": "delete", "query": "type:a"}),
        ("start_bulk", {"bulk": "x", "typed": "1"}),
        ("merge", {"queue": "default", "task": "t000", "changes": "{"}),
        ("clone", {"queue": "default", "task": "t000"}),
    ):
        assert (await reader.press(verb, back="/", **fields)).status_code == 403, verb
    assert await hx.jobs.inspector.bulk.newest() == []


async def test_a_task_is_cloned_and_its_payload_changed(
    hx: Any, person: Callable[..., Person], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="hustlex.audit")
    await fill(hx, 1)
    ada = person("act")
    await ada.open("/tasks/default/t000")
    assert "Change payload" in ada.shown and "7391" not in ada.shown
    await ada.press("merge", queue="default", task="t000", changes='{"gig_id": 8}', back="/tasks/default/t000")
    assert "The payload is changed." in ada.shown
    assert (await hx.jobs.inspector.task("default", "t000")).payload == b'{"gig_id":8,"pin":"7391"}'
    await ada.press("clone", queue="default", task="t000", to="low", changes='{"note":"9152"}', back="/")
    assert "This is the new task." in ada.shown and "cloned-from" in ada.shown
    [clone] = await hx.jobs.inspector.tasks("low", State.PENDING)
    assert clone.payload == b'{"gig_id":8,"pin":"7391","note":"9152"}'
    assert "changes=note" in caplog.text and "9152" not in caplog.text
    for wrong in ("[]", "{", "1", "[" * 5000, '{"a": NaN}'):
        await ada.open("/tasks/default/t000")
        answer = await ada.press("merge", queue="default", task="t000", changes=wrong, back="/")
        assert answer.status_code == 400, wrong
    assert (await ada.press("merge", queue="low", task=clone.id, changes="{}", back="/")).status_code == 409


async def test_a_bulk_act_ends_when_its_person_may_no_more(hx: Any) -> None:
    level = ["act"]

    async def who(_: Any) -> Operator:
        return Operator(level[0], "ada")  # type: ignore[arg-type]

    await fill(hx, 2)
    ada = Person(Dashboard(hx, access=who))
    place = await planned(ada, "run", "type:gig:*")
    level[0] = "read"
    assert (await ada.press("start_bulk", bulk=place.rpartition("/")[2], typed="2", back=place)).status_code == 403


async def test_an_act_that_nobody_is_at_can_be_gone_on_with(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(hx, 3)
    ada = person("act")
    place = await planned(ada, "run", "type:gig:*")
    name = place.rpartition("/")[2]
    await hx.jobs.inspector.bulk.start(name)  # and its process ends
    await ada.open(place)
    assert "Nobody is at it" not in ada.shown
    monkeypatch.setattr("hustlex.dashboard.pages.bulk.STILL_S", -1)
    await ada.open(place)
    assert "Nobody is at it" in ada.shown and "continue_bulk" in ada.shown
    await ada.press("continue_bulk", bulk=name, back=place)
    assert (await hx.jobs.inspector.bulk.get(name)).done == 3 and "Nobody is at it" not in ada.shown


async def test_what_runs_is_paused_when_who_started_it_may_no_more(hx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hustlex.dashboard.runner._RECHECK_S", -1)
    asked = 0

    async def who(_: Any) -> Operator:
        nonlocal asked
        asked += 1
        return Operator("act" if asked <= 4 else "none", "ada")

    await hx.jobs.enqueue_many([Job("gig:notify", None, {"process_in": HOUR}) for _ in range(700)])
    console = Dashboard(hx, access=who)
    ada = Person(console)
    place = await planned(ada, "run", "type:gig:*")
    name = place.rpartition("/")[2]
    assert asked == 3
    await ada.client.post(
        "/act", data={"verb": "start_bulk", "bulk": name, "typed": "700", "back": "/", "form_token": ada.token}
    )
    bulk = await hx.jobs.inspector.bulk.get(name)
    while bulk.moving:
        bulk = await hx.jobs.inspector.bulk.get(name)
    assert (bulk.phase.value, bulk.done) == ("paused", 500) and "may not act any longer" in bulk.trouble


async def test_each_page_has_a_bounded_cost(hx: Any, person: Callable[..., Person]) -> None:
    """Also on a server of many queues; live ones ask at most five times a second."""
    await hx.jobs.enqueue_many([Job("gig:notify", None, {"queue": f"q{n:02}"}) for n in range(90)])
    ada = person("act")
    places = [await planned(ada, verb, "type:gig:*") for verb in ("run", "archive", "delete")]
    await ada.press("start_bulk", bulk=places[1].rpartition("/")[2], typed="90", back="/")
    hx.driver.hook = calls = Calls()
    searched = ("/tasks?q=type:gig:*", "/tasks?q=payload~nothing", "/tasks?q=id:nothing")
    for path in ("/tasks", "/tasks?queue=q07&state=pending", *searched, "/bulk", *places):
        calls.clear()
        assert (await ada.open(path)).status_code == 200
        found = match(path.partition("?")[0])
        live = found[0].tick_s if found and path not in searched else 0
        assert 0 < len(calls.sent) <= (min(50, 5 * live) if live else 50), (path, calls.sent)


async def test_others_that_failed_alike_are_one_link_away(hx: Any, person: Callable[..., Person], raw: Any) -> None:
    errors = (
        'Bearer abcdef123456 was "refused" by 08031234567',
        'Bearer zzzzzz123456 was "refused" by 08031234567',
        "other",
    )
    for n, error in enumerate(errors):
        q, message = queue_keys("low"), TaskMessage("gig:a b", b"{}", f"t{n}", "low", 25, error_msg=error)
        raw.sadd("asynq:queues", "low")
        raw.hset(q.task(f"t{n}"), mapping={"msg": encode_task(message), "state": "archived"})
        raw.zadd(q.archived, {f"t{n}": 1_795_425_653})
    ada = person("read")
    await ada.open("/tasks/low/t0")
    [link] = re.findall(r'href="([^"]+)">Others that failed', ada.shown)
    await ada.open(link.replace("&amp;", "&"))
    assert re.findall(r'<tr data-key="low/(\w+)"', ada.shown) == ["t1", "t0"] and "abcdef" not in ada.shown


async def test_only_some_acts_are_done_at_a_time(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.dashboard.runner._MOST_AT_ONCE", 0)
    await hx.jobs.enqueue("gig:notify")
    ada = person("act")
    await ada.open("/people")
    for verb in ("plan_bulk", "start_bulk", "undo_bulk", "continue_bulk"):
        answer = await ada.press(verb, do="run", query="type:a", bulk="x", typed="1", back="/")
        assert (answer.status_code, "are being done already" in answer.text) == (409, True), verb
    assert await hx.jobs.inspector.bulk.newest() == []
