"""Nonsense at every door of the console: a sentence and a status, never an interpreter's error."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
import redis

from hustlex.core.cursor import sealed
from hustlex.dashboard.acts import ACTS
from hustlex.jobs import State
from hustlex.people.notes import FIELDS
from tests.dashboard.conftest import Person

ODD = ("~ff", "~c3~28", "~00", "~", "a" * 5000, "~f0~9f~92~b8", "%ff", "..%2f..", "~ed~a0~80")
NESTED = urlsafe_b64encode(b"\x91" * 2_900 + b"\x90").decode()
CURSORS = (
    "x",
    "-1",
    "99999999999999999999",
    NESTED,
    *(sealed(odd) for odd in (0, None, {}, (), (1, "a"), ("a",), ([], {}))),
)
PATHS = (
    *(f"/queues/{odd}" for odd in ODD),
    *(f"/tasks/{odd}/{odd}" for odd in ODD),
    *(f"/cron/{odd}" for odd in ODD),
    *(f"/workflows/{odd}/{odd}~3a0" for odd in ODD),
    *(f"/groups?queue={odd}&cursor={odd}" for odd in ODD),
    *(f"/tasks?queue={odd}&state={odd}&cursor={odd}" for odd in ODD),
    *(f"/tasks?id={odd}" for odd in ODD),
    *(f"/queues?sort={odd}&cursor={odd}" for odd in ODD),
    *(f"/confirm?verb=run_all&queue={odd}&state={odd}&back={odd}" for odd in ODD),
    *(f"/audit?before={odd}" for odd in ODD),
    *(f"/idempotency?cursor={odd}" for odd in ODD),
    *(f"/tasks?q={odd}&cursor={odd}" for odd in ODD),
    *(f"/tasks?queue=default&state=pending&cursor={odd}" for odd in ODD),
    *(f"/tasks?q=id:{odd} payload.{odd}:{odd} -type~{odd}" for odd in ODD),
    *(f"/bulk/{odd}" for odd in ODD),
    *(f"/confirm?verb=start_bulk&bulk={odd}&typed={odd}" for odd in ODD),
    "/bulk/nothing?page=-1",
    "/confirm?verb=pause&queue=default&back=http://[",
    "/confirm?verb=pause&queue=default&back=//[::1",
    "/?said=pause&n=99999999999999999999",
    "/?said=nothing&n=-1",
    "/bulk/nothing?page=9999999999999999999",
    "/bulk/nothing?page=٣",
    "/audit?before=٣-٣",
    *(f"/{page}?cursor={odd}" for page in ("workers", "workflows", "cron/x", "queues") for odd in CURSORS),
)
LIVE = ("http://[", "", "queues", "//", "/queues/~ff", "/nothing", "/\x00", "/?" + "a=1&" * 2000)


@pytest.mark.parametrize("part", range(8))
async def test_an_odd_address_is_a_page(hx: Any, person: Callable[..., Person], part: int) -> None:
    await hx.jobs.enqueue("gig:notify")
    ada = person("act")
    for path in PATHS[part::8]:
        answer = await ada.open(path)
        assert answer.status_code in (200, 303, 400, 404), (path, answer.text)
        assert answer.headers["content-security-policy"], path


@pytest.mark.parametrize("path", LIVE, ids=range(len(LIVE)))
async def test_an_odd_live_page_is_refused_or_shown(person: Callable[..., Person], path: str) -> None:
    ada = person("read")
    try:
        async with asyncio.timeout(0.5):
            answer = await ada.client.get("/live", params={"path": path})
    except TimeoutError:  # it is a page, and streams
        assert path.startswith("/?")
    else:
        assert answer.status_code in (400, 404), answer.text


WHOLE = {
    "queue": "default", "task": "t1", "state": "pending", "entry": "nightly", "user": "u1", "session": "s1",
    "phone": "+2348031234567", "lane": "anon", "limit": "logins", "do": "archive", "query": "queue:default",
    "kind": "live", "channel": "gigs", "cache": "user", "most": "5", "length": "60",
    "signature": "5" * 16,
}  # fmt: skip
"""What would do, so that each field by itself meets its odd value."""
WORDS = ("\udcff", "\x00", "a" * 1500, "", "-1", "nan", "9" * 30)


@pytest.mark.parametrize("verb", [*ACTS, "", "__class__"])
async def test_an_odd_act_is_refused(hx: Any, person: Callable[..., Person], verb: str) -> None:
    await hx.jobs.enqueue("gig:notify", task_id="t1")
    ada = person("act")
    await ada.open("/queues/default")
    named = (*ACTS[verb].needs, *ACTS[verb].takes) if verb in ACTS else FIELDS
    for odd in WORDS:
        odd = odd.encode("utf-8", "surrogatepass").decode("latin-1")
        for fields in (dict.fromkeys(FIELDS, odd), *(WHOLE | {name: odd} for name in named)):
            shown = await ada.client.get("/confirm", params={"verb": verb, "back": "http://[", **fields})
            assert shown.status_code in (200, 303, 400, 404, 409), (fields, shown.text[-600:])
            answer = await ada.press(verb, **{"back": "http://[", "typed": odd, **fields})
            assert answer.status_code in (200, 303, 400, 404, 409), (fields, answer.text[-600:])


async def test_bytes_that_are_no_form_are_refused(person: Callable[..., Person]) -> None:
    ada = person("act")
    form = "application/x-www-form-urlencoded"
    bodies = [(form, body) for body in (b"\xff\xfe", b"a=%ff", b"&" * 100_000, b"a" * 300_000)]
    for kind, body in (*bodies, ("multipart/form-data; boundary=x", b"--x"), ("application/json", b"{}"), ("", b"")):
        for path in ("/act", "/people", "/enter", "/confirm", "/limits"):
            answer = await ada.client.post(path, content=body, headers={"Content-Type": kind})
            assert answer.status_code in (303, 400, 403, 404), (path, kind, answer.status_code)


async def test_sixty_four_at_once_are_served(hx: Any, person: Callable[..., Person]) -> None:
    for n in range(30):
        await hx.jobs.enqueue("gig:notify", task_id=f"t{n}")
    ada = person("act")
    pages = ("/", "/queues", "/tasks", "/workers", "/redis", "/tasks/default/t1", "/nothing", "/queues/nothing")
    answers = await asyncio.gather(*(ada.client.get(pages[n % len(pages)]) for n in range(64)))
    assert {answer.status_code for answer in answers} == {200, 404}
    await ada.open("/queues/default")
    answers = await asyncio.gather(
        *(
            ada.client.post(
                "/act",
                data={"verb": "archive", "queue": "default", "task": "t1", "back": "/", "form_token": ada.token},
            )
            for _ in range(64)
        )
    )
    assert sorted({answer.status_code for answer in answers}) == [303, 409]
    assert sum(answer.status_code == 303 for answer in answers) == 1


async def test_what_cannot_be_written_down_is_not_done(
    hx: Any, person: Callable[..., Person], raw: redis.Redis
) -> None:
    await hx.jobs.enqueue("gig:notify", task_id="t1")
    ada = person("act")
    await ada.open("/queues/default")
    raw.config_set("maxmemory", 1)
    try:
        answer = await ada.press("archive", queue="default", task="t1", back="/")
        assert answer.status_code == 503 and "memory" in answer.text
        assert (await ada.open("/queues/default")).status_code == 200
    finally:
        raw.config_set("maxmemory", 0)
    assert (await hx.jobs.inspector.task("default", "t1")).state is State.PENDING
