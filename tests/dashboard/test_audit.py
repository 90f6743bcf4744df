"""The audit: how it stood before an act and after it, found by who, what and when, as a file, and for whom it is."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
import redis

from hustlex.dashboard.audit import Audit
from hustlex.dashboard.pages import audit
from hustlex.errors import Unavailable
from hustlex.jobs import Job
from tests.dashboard.conftest import Person

HOUR = timedelta(hours=1)
OLD_ID = "1700000000000-0"  # of 2023-11-14


def rows(html: str) -> list[list[str]]:
    """Who (and by web or cli), what, to what, outcome, before and after of each, newest first."""
    found = re.findall(r"<tr data-key.*?</tr>", html.partition("<main")[2], re.DOTALL)
    cells = (re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in found)
    return [[unescape(re.sub(r"<[^>]+>", "", cell)).strip(" ✓■?▲○\n") for cell in row][1:] for row in cells]


def noted(raw: redis.Redis, hx: Any, *entries: dict[str, str], at: str = "*") -> None:
    """As a console of another day wrote them down."""
    with raw.pipeline(transaction=False) as pipe:
        for entry in entries:
            whole = {"name": "bob", "phase": "done", "verb": "resume", "target": "", "queue": ""} | entry
            pipe.xadd(f"{hx.prefix}console:{{audit}}", whole, id=at)
        pipe.execute()


async def test_an_act_is_told_with_how_it_stood_before_and_after(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify", {"a": 1}, task_id="t1", process_in=HOUR)
    await hx.jobs.schedules.add("report", "@every 1h", Job("a:b"))
    await hx.tokens.login("u7", device="Tecno")
    new = {"entry": "nightly", "spec": "0 1 * * *", "type": "a:b", "queue": "default", "missed": "once"}
    new |= {"timezone": "Africa/Lagos", "payload": '{"pin": "4821"}'}
    ada = person("act")
    for verb, fields, before, after in (
        ("pause", {"queue": "default"}, "not paused, 1 scheduled", "paused, 1 scheduled"),
        ("limit_queue", {"queue": "default", "most": "900"}, "paused, 1 scheduled", "paused, limit 900, 1 scheduled"),
        ("lift_limit", {"queue": "default"}, "paused, limit 900, 1 scheduled", "paused, 1 scheduled"),
        ("merge", {"queue": "default", "task": "t1", "changes": '{"b": "xx"}'}, "payload of 7 ", "payload of 16 "),
        ("run", {"queue": "default", "task": "t1"}, "scheduled, 0 of 25 retries", "pending, 0 of 25 retries"),
        ("delete", {"queue": "default", "task": "t1"}, "pending", "not there"),
        ("pause_entry", {"entry": "report"}, "next at 20", "paused"),
        ("resume_entry", {"entry": "report"}, "paused", "next at 20"),
        (
            "edit_entry",
            {"entry": "report", "spec": "@every 2h"},
            "@every 1h, missed skip, n",
            "@every 2h, missed skip, n",
        ),
        ("add_entry", new, "not there", "CRON_TZ=Africa/Lagos 0 1 * * *, missed once, next at 20"),
        ("remove_entry", {"entry": "nightly", "typed": "nightly"}, "0 1 * * *, missed once, next", "not there"),
        ("revoke_all", {"user": "u7", "typed": "u7"}, "1 session", "0 sessions"),
        ("reset_pin", {"user": "u7"}, "0 wrong", "0 wrong"),
        ("unlock", {"phone": "+2348031234567", "lane": "anon"}, "not locked, 0 wrong", "not locked, 0 wrong"),
    ):
        await ada.open("/people")
        await ada.press(verb, back="/people", **fields)
        done = rows((await ada.open("/audit")).text)[0]
        assert (done[1], done[3].split()[0]) == (verb, "done"), verb
        assert before in done[4] and after in done[5], (verb, done)
    await ada.press("run", queue="default", task="gone", back="/people")
    await ada.open("/audit")
    assert rows(ada.shown)[0][3:] == ["failed NotFound", "not there", "-"]
    assert "intent" not in ada.shown and len(rows(ada.shown)) == 15 and "4821" not in ada.shown  # one line for each act


async def test_what_was_done_is_told_as_done_when_its_end_cannot_be_written_down(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or somebody does it again."""
    await hx.jobs.enqueue("gig:notify")
    ada, write = person("act"), Audit.note

    async def begun_alone(self: Audit, who: Any, phase: Any, *rest: Any, **more: Any) -> str:
        if phase != "intent":
            raise Unavailable("the server is away")
        return await write(self, who, phase, *rest, **more)

    monkeypatch.setattr(Audit, "note", begun_alone)
    await ada.open("/queues/default")
    assert (await ada.press("pause", queue="default", back="/queues/default")).status_code == 200
    assert "The queue is paused" in ada.shown
    assert (await ada.press("run", queue="default", task="gone", back="/queues/default")).status_code == 404
    assert [row[3] for row in rows((await ada.open("/audit")).text)] == ["intent", "intent"]


async def test_a_bulk_act_that_is_over_is_told_as_over_and_its_end_written_down_later(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    await hx.jobs.enqueue("gig:notify", process_in=HOUR)
    ada, write, refused, told = person("act"), Audit.note, [True], asyncio.Event()

    async def late(self: Audit, who: Any, phase: Any, verb: str, *rest: Any, **more: Any) -> str:
        if verb == "bulk_run" and refused:
            refused.pop()
            raise Unavailable("the server is away")
        answer = await write(self, who, phase, verb, *rest, **more)
        if verb == "bulk_run":
            told.set()
        return answer

    monkeypatch.setattr(Audit, "note", late)
    await ada.open("/queues/default")
    await ada.press("plan_bulk", do="run", query="state:scheduled", back="/bulk")
    [bulk] = await hx.jobs.inspector.bulk.newest()
    assert (await ada.press("start_bulk", bulk=bulk.id, typed="1", back="/bulk")).status_code == 200
    async with asyncio.timeout(60):
        await told.wait()
    assert {"bulk_run", "start_bulk"} <= {row[1] for row in rows((await ada.open("/audit")).text)}


async def test_entries_are_found_by_who_what_and_when(hx: Any, raw: redis.Redis, person: Callable[..., Person]) -> None:
    noted(raw, hx, {"name": "eve", "target": "queue=old"}, at=OLD_ID)
    noted(raw, hx, {"queue": "wallets", "target": "queue=wallets"}, {"name": "ada@example.ng", "phase": "failed"})
    ada = person("read")
    for query, told in {
        "": ["a•••@e•••.ng", "bob", "eve"],
        "?who=BO": ["bob"],
        "?who=example": [],  # what is hidden cannot be found
        "?what=wallets": ["bob"],
        "?what=failed": ["a•••@e•••.ng"],
        "?what=resume&who=eve": ["eve"],
        "?since=2023-11-14&until=2023-11-14": ["eve"],
        "?since=2023-11-15": ["a•••@e•••.ng", "bob"],
        "?until=2023-11-13": [],
        "?until=9999-12-31&since=1969-01-01": ["a•••@e•••.ng", "bob", "eve"],
    }.items():
        assert [row[0].split()[0] for row in rows((await ada.open(f"/audit{query}")).text)] == told, query
    for odd in ("x", "2026-13-01", "-1", "1e9"):
        assert "is no day" in (await ada.open(f"/audit?since={odd}")).text, odd
    assert "was found" in (await ada.open("/audit?who=nobody")).text
    noted(raw, hx, {"name": "ada@ops-1", "via": "cli"}, {"verb": "publish", "via": "cli"})
    assert [row[0] for row in rows((await ada.open("/audit?who=cli")).text)] == ["bob cli", "ada@ops-1 cli"]
    assert "bob web" in [row[0] for row in rows((await ada.open("/audit?who=web")).text)]
    for rooms, told in ((("audit", "events"), ["publish"]), (("audit", "jobs"), ["resume"])):
        verbs = [row[1] for row in rows((await person("read", rooms=rooms).open("/audit?who=cli")).text)]
        assert verbs == told  # what was published is of the room of events


async def test_pages_neither_skip_nor_repeat_and_a_search_is_bounded(
    hx: Any, raw: redis.Redis, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["rare", *(f"q{n}" for n in range(149))]
    noted(raw, hx, *({"queue": name, "target": f"queue={name}"} for name in names))
    ada, narrow = person("read"), person("read", queues=("rare",))

    async def walked(who: Person, path: str) -> list[list[str]]:
        pages = []
        while path:
            shown = (await who.open(path)).text
            pages.append([row[2].removeprefix("queue=") for row in rows(shown)])
            link = re.search(r'rel="next" href="([^"]+)"', shown)
            path = unescape(link[1]) if link else ""
        return pages

    pages = await walked(ada, "/audit")
    assert [len(page) for page in pages] == [50, 50, 50] and [name for page in pages for name in page] == names[::-1]
    assert await walked(narrow, "/audit") == [["rare"]]  # no link tells that others did something
    monkeypatch.setattr(audit, "_MOST_LOOKED", 60)
    assert await walked(ada, "/audit?what=rare") == [[], [], ["rare"]]
    assert "Go on" in (await ada.open("/audit?what=rare")).text


async def test_what_was_begun_is_told_where_its_end_is_not(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    """An act is one line, on whatever page its end stands."""
    names = [f"q{n}" for n in range(60)]
    key = f"{hx.prefix}console:{{audit}}"
    for name in names:
        given = {"name": "bob", "verb": "pause", "target": f"queue={name}", "queue": name}
        of = raw.xadd(key, given | {"phase": "intent"})
        if name != "q30":
            raw.xadd(key, given | {"phase": "done", "of": of})
    ada = person("read")
    first = rows((await ada.open("/audit")).text)
    link = re.search(r'rel="next" href="([^"]+)"', ada.shown)
    assert link is not None
    found = first + rows((await ada.open(unescape(link[1]))).text)
    assert [(row[2].removeprefix("queue="), row[3]) for row in found] == [
        (name, "intent" if name == "q30" else "done") for name in reversed(names)
    ]
    assert [row[2] for row in rows((await ada.open("/audit?what=intent")).text)] == ["queue=q30"]


async def exported(ada: Person, **fields: str) -> httpx.Response:
    await ada.open("/people")
    return await ada.client.post("/export", data={"of": "audit", "form_token": ada.token, **fields})


async def test_the_audit_is_a_file_as_it_is_shown(
    hx: Any, raw: redis.Redis, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = {"name": "=cmd|'/c calc'!A1", "target": "@SUM(1)", "before": "+1", "after": "-1", "queue": "wallets"}
    noted(raw, hx, odd, {"name": "ada@example.ng"})
    ada = person("read")
    answer = await exported(ada, who="=cmd")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    heads, found = csv.reader(io.StringIO(answer.text))
    assert heads == ["when", "who", "via", "outcome", "what", "target", "queue", "before", "after", "id"]
    assert found[1:-1] == ["'=cmd|'/c calc'!A1", "web", "done", "resume", "'@SUM(1)", "wallets", "'+1", "'-1"]
    assert "example" not in (await exported(ada)).text
    assert (await exported(ada, since="x")).status_code == 400
    assert (await exported(ada, of="nothing")).status_code == 404
    await ada.open("/audit?what=export")
    assert [row[2] for row in rows(ada.shown)] == ["audit", "audit who==cmd"]
    assert "wallets" not in (await exported(person("read", queues=("gig*",)))).text
    assert (await exported(person("read", rooms=("jobs", "people")))).status_code == 404
    monkeypatch.setattr("hustlex.dashboard.export.MOST_ROWS", 2)
    whole = list(csv.reader(io.StringIO((await exported(ada)).text)))
    assert len(whole) == 1 + 2 + 1 and whole[-1] == ["there are more"]


async def test_who_is_narrow_sees_what_was_done_to_theirs(
    hx: Any, raw: redis.Redis, person: Callable[..., Person]
) -> None:
    for queue in ("gigs", "wallets"):
        await hx.jobs.enqueue("a:b", task_id="t1", queue=queue)
        await hx.jobs.schedules.add(f"of-{queue}", "@every 1h", Job("a:b", b"", {"queue": queue}))
    ada = person("act")
    await ada.open("/people")
    for fields in ({"to": "wallets"}, {}):
        await ada.press("clone", queue="gigs", task="t1", back="/people", **fields)
    for queue in ("gigs", "wallets"):
        await ada.press("pause_entry", entry=f"of-{queue}", back="/people")
    await ada.press("reset_pin", user="u7", back="/people")
    noted(raw, hx, {"verb": "clone", "queue": "gigs", "target": "queue=gigs task=t1 to=wallets"})  # of an older version
    narrow = person("read", queues=("gig*",))
    told = [(row[1], row[2].partition(" ")[0]) for row in rows((await narrow.open("/audit")).text)]
    assert [*dict.fromkeys(told)] == [
        ("reset_pin", f"user={hx.reference('u7')}"),
        ("pause_entry", "entry=of-gigs"),
        ("clone", "queue=gigs"),
    ]
    assert "wallets" not in narrow.shown and len(told) == 3
    apart = person("read", queues=("gig*",), rooms=("jobs", "audit"))
    assert "reset_pin" not in (await apart.open("/audit")).text
