"""Whoever opens the page and presses the button."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx

from examples.crawl.app import PAGES
from examples.visit import expect

PATIENCE_S = 60.0


def walk(script: httpx.Client, pages: int = PAGES) -> Iterator[str]:
    assert "EventSource" in expect(script.get("/"), 200).text
    expect(script.post("/crawls", params={"pages": pages}), 202)
    yield f"{pages} crawls enqueued"
    told, latest, end = 0, {"done": 0, "all": pages, "links": 0, "again": 0}, time.monotonic() + PATIENCE_S
    with script.stream("GET", "/progress") as stream:
        for line in stream.iter_lines():  # a comment now and then, at least
            if line.startswith("data:"):
                told, latest = told + 1, json.loads(line[5:])
            if latest["done"] == latest["all"] or time.monotonic() > end:
                break
    assert latest["done"] == latest["all"], latest
    yield f"{latest['done']} pages read, {latest['links']} links, {latest['again']} tried again; told {told} times"
