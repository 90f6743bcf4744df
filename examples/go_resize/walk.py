"""Somebody who sends a photo."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx

from examples.visit import expect, until


def walk(photos: httpx.Client) -> Iterator[str]:
    number = secrets.randbelow(1_000_000) + 1
    job = expect(photos.post("/photos", json={"number": number, "width": 400}), 202).json()["job"]
    yield f"Python enqueued the job {job}"
    file = f"{number}-400.jpg"
    assert until(lambda: resized(photos, job)) == {"number": number, "file": file}
    yield f"Go resized it, and Python has its result: {file}"
    until(lambda: file in expect(photos.get("/album"), 200).json())
    yield "Go enqueued a job, and Python published it"


def resized(photos: httpx.Client, job: str) -> dict[str, object] | None:
    """None: not yet, as while Go compiles."""
    answer = photos.get(f"/photos/{job}", timeout=30)
    found: dict[str, object] | None = answer.json() if answer.status_code == 200 else None
    return found
