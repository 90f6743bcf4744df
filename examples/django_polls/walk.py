"""Somebody who votes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx

from examples.visit import expect, until


def walk(site: httpx.Client) -> Iterator[str]:
    before = expect(site.get("/results"), 200).json()
    page = expect(site.get("/"), 200).text
    form = {"csrfmiddlewaretoken": re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]}
    expect(site.post("/votes", data={"choice": "lamp"}), 403)
    yield "a vote from another site's page, without the form's token: 403"

    expect(site.post("/votes", data=form | {"choice": "lamp"}), 202)
    assert "You voted for the lamp" in site.get("/").text
    yield "a vote: the session remembers it, a job saves it"
    until(lambda: site.get("/results").json()["lamp"] == before["lamp"] + 1)
    yield "the job has counted it; the results are cached for a second"

    expect(site.post("/votes", data=form | {"choice": "lamp"}), 202)
    expect(site.post("/votes", data=form | {"choice": "kettle"}), 409)
    again = form | {"choice": "kettle"}
    until(lambda: site.post("/votes", data=again).status_code == 429)
    assert site.get("/results").json()["lamp"] == before["lamp"] + 1
    yield "voting again changes nothing, and after ten requests in a minute: 429"
