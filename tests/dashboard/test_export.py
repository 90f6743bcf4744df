"""A search as a file: what the page shows and no more, and nothing that a spreadsheet would calculate."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hustlex.dashboard.export import cell
from hustlex.jobs import Job
from tests.dashboard.conftest import Person

HOUR = timedelta(hours=1)


async def exported(ada: Person, query: str) -> httpx.Response:
    await ada.open("/people")
    return await ada.client.post("/export", data={"query": query, "form_token": ada.token})


def rows(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="tasks.csv"'
    return list(csv.reader(io.StringIO(answer.text)))


async def test_what_is_found_is_a_file_as_the_page_shows_it(hx: Any, person: Callable[..., Person]) -> None:
    payloads = (json.dumps({"gig_id": n, "pin": "7391"}).encode() for n in range(600))
    jobs = [Job("gig:notify", payload, {"process_in": HOUR}) for payload in payloads]
    await hx.jobs.enqueue_many(jobs)
    await hx.jobs.enqueue("=cmd|'/c calc'!A1", {"a": 1}, task_id="+1", queue="wallets")
    ada, narrow = person("read"), person("read", queues=("default",))
    heads, *found = rows(await exported(ada, "type:gig:*"))
    assert len(found) == 600 and heads[:4] == ["queue", "id", "type", "state"]
    assert (
        {row[3] for row in found} == {"scheduled"}
        and not any("7391" in row[-1] for row in found)
        and "gig_id" in found[0][-1]
    )
    [odd] = rows(await exported(ada, "queue:wallets"))[1:]
    assert odd[:3] == ["wallets", "'+1", "'=cmd|'/c calc'!A1"]
    assert "wallets" not in (await exported(narrow, "type:*")).text
    await ada.open("/audit")
    assert ada.shown.count(">export<") == 3


async def test_a_file_is_bounded_and_says_so(
    hx: Any, person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hustlex.dashboard.export.MOST_ROWS", 7)
    await hx.jobs.enqueue_many([Job("gig:notify", None, {"process_in": HOUR}) for n in range(9)])
    found = rows(await exported(person("read"), "type:gig:*"))
    assert len(found) == 1 + 7 + 1 and found[-1] == ["there are more"]


async def test_who_may_not_look_gets_no_file(hx: Any, person: Callable[..., Person]) -> None:
    ada = person("act", rooms=("people",))
    assert (await exported(ada, "type:a")).status_code == 404
    whole = person("act")
    assert (await exported(whole, "stat:a")).status_code == 400
    assert (await whole.client.post("/export", data={"query": "type:a", "form_token": ""})).status_code == 403
    assert (await whole.client.get("/export?query=type:a")).status_code in (404, 405)


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "  =1", "\r\n=1", "\uff1d1", "\uff0b1", "\n+1"])
def test_what_would_be_calculated_begins_with_an_apostrophe(text: str) -> None:
    assert cell(text).startswith("'") and cell(f"a{text}") == f"a{cell(text).removeprefix(chr(39))}"
