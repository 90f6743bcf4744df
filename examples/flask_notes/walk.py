"""Somebody who writes notes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx

from examples.visit import expect, until


def walk(site: httpx.Client) -> Iterator[str]:
    token = expect(site.post("/session", json={"name": f"ada-{secrets.token_hex(4)}"}), 200).json()["access_token"]
    mine = {"Authorization": f"Bearer {token}"}
    first = mine | {"Idempotency-Key": "first"}
    written = [expect(site.post("/notes", json={"text": "buy a lamp"}, headers=first), 201).json() for _ in range(2)]
    assert written[0] == written[1]
    yield f"a note sent twice under one key: one note, {written[0]['note_id']}"

    address = f"/notes/{written[0]['note_id']}"
    until(lambda: site.get(address, headers=mine).json()["words"] == 3)
    yield "its job has counted the words: 3"

    assert [site.get("/notes", headers=mine).json()["notes"] for _ in range(2)] == [["buy a lamp"]] * 2
    expect(site.post("/notes", json={"text": "and oil"}, headers=mine | {"Idempotency-Key": "second"}), 201)
    assert site.get("/notes", headers=mine).json()["notes"] == ["buy a lamp", "and oil"]
    yield "the list came from the cache, and anew after the next note"

    answers = [site.post("/notes", json={"text": "x"}, headers=mine | {"Idempotency-Key": f"{n}"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    yield f"the sixth request of a minute: 429, Retry-After {answers[-1].headers['Retry-After']} s"
    expect(site.delete("/session", headers=mine), 204)
    expect(site.get("/notes", headers=mine), 401)
    yield "logged out: the token is refused at once"
