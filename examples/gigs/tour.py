"""``make tour``: a real user's walk through the running API, each step with its time."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx

from examples.gigs.settings import GigsSettings

_URL = "http://127.0.0.1:8000"
_PATIENCE_SECONDS = 15.0


class TourFailed(Exception):
    """A step did not do what it should; the message says which and why."""


class Person:
    """One user with an HTTP client and, once signed in, tokens."""

    def __init__(self, url: str, outbox: Path) -> None:
        self.phone = f"+234803{random.randrange(10**7):07d}"
        self.client = httpx.Client(base_url=url, timeout=10)
        self._outbox = outbox
        self.refresh_token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def call(self, method: str, path: str, *, expect: int, **options: Any) -> httpx.Response:
        """One request. Raises TourFailed for any other status."""
        answer = self.client.request(method, path, **options)
        if answer.status_code != expect:
            raise TourFailed(f"{method} {path} answered {answer.status_code}, not {expect}: {answer.text[:200]}")
        return answer

    def request_code(self) -> str:
        """Ask for a code; the challenge."""
        challenge: str = self.call("POST", "/auth/otp/request", expect=202, json={"phone": self.phone}).json()[
            "challenge"
        ]
        return challenge

    def read_code(self) -> str:
        """The code that arrived by text message, as the console sender wrote it down."""
        for message in wait_for(lambda: [line for line in self._messages() if line.get("to") == self.phone]):
            digits = "".join(character for character in message["text"] if character.isdigit())
            return digits[:6]
        raise TourFailed("no text message arrived")

    def _messages(self) -> Iterator[dict[str, Any]]:
        if self._outbox.exists():
            for line in reversed(self._outbox.read_text("utf-8").splitlines()):
                yield json.loads(line)

    def sign_in(self, challenge: str, code: str) -> None:
        """Swap the code for tokens."""
        answer = self.call("POST", "/auth/otp/verify", expect=200, json={"challenge": challenge, "code": code}).json()
        self.client.headers["Authorization"] = f"Bearer {answer['access_token']}"
        self.refresh_token = answer["refresh_token"]

    def profile(self) -> dict[str, Any]:
        """The user's own profile."""
        found: dict[str, Any] = self.call("GET", "/users/me", expect=200).json()
        return found


class Listener(threading.Thread):
    """Reads a user's event stream on the side."""

    def __init__(self, person: Person) -> None:
        super().__init__(daemon=True)
        self._person = person
        self.connected = threading.Event()
        self.kinds: list[str] = []

    def run(self) -> None:
        with (
            suppress(httpx.TransportError),  # the backend may be stopped while this still listens
            httpx.Client(base_url=self._person.client.base_url, headers=self._person.client.headers) as client,
            client.stream("GET", "/events", timeout=_PATIENCE_SECONDS * 2) as stream,
        ):
            for line in stream.iter_lines():
                self.connected.set()
                if line.startswith("data: "):
                    self.kinds.append(json.loads(line[6:]).get("kind", ""))


def wait_for(look: Any) -> Any:
    """What ``look`` finds, asked every 20 ms; raises TourFailed after 15 s of nothing."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise TourFailed(f"nothing happened within {_PATIENCE_SECONDS:g} s; is `make up` running?")


@contextmanager
def step(text: str) -> Iterator[list[str]]:
    """Print one step, its time, and what the block notes."""
    notes: list[str] = []
    start = time.perf_counter()
    yield notes
    milliseconds = (time.perf_counter() - start) * 1000
    print(f"{milliseconds:8.1f} ms  {text}{': ' if notes else ''}{', '.join(notes)}", flush=True)


def walk(url: str, outbox: Path) -> None:
    """The whole tour. Raises TourFailed."""
    with Person(url, outbox) as owner, Person(url, outbox) as worker:
        sign_in(owner, "owner")
        sign_in(worker, "worker")
        read_from_cache(owner)
        listener = Listener(worker)
        listener.start()
        if not listener.connected.wait(_PATIENCE_SECONDS):
            raise TourFailed("the event stream did not open")
        pay_through_escrow(owner, worker, listener)
        hit_the_limit(owner, worker)
        refresh_and_leave(owner)


def sign_in(person: Person, role: str) -> None:
    with step(f"{role}: OTP requested") as notes:
        challenge = person.request_code()
        notes.append("a critical job sends it")
    with step(f"{role}: code taken from the console sender's outbox"):
        code = person.read_code()
    with step(f"{role}: wrong code refused"):
        wrong = f"{(int(code) + 1) % 1_000_000:06d}"
        body = {"challenge": challenge, "code": wrong}
        left = person.call("POST", "/auth/otp/verify", expect=400, json=body).json()["left"]
    with step(f"{role}: signed in, access and refresh token") as notes:
        person.sign_in(challenge, code)
        notes.append(f"{left} attempts were left")


def read_from_cache(person: Person) -> None:
    for expected in ("miss", "hit"):
        with step("profile read through the cache") as notes:
            answer = person.call("GET", "/users/me", expect=200)
            if answer.headers["X-Cache"] != expected:
                raise TourFailed(f"the cache answered {answer.headers['X-Cache']}, not {expected}")
            notes.append(expected)


def pay_through_escrow(owner: Person, worker: Person, listener: Listener) -> None:
    before = worker.profile()["balance_kobo"]
    with step("gig posted, its price held in escrow"):
        new = {"title": "Fix my generator", "category": "repairs", "price_kobo": 1_500_000}
        gig = owner.call("POST", "/gigs", expect=201, json=new).json()
    with step("gig found in its category") as notes:
        answer = owner.call("GET", "/gigs", expect=200, params={"category": "repairs"})
        if gig["id"] not in [found["id"] for found in answer.json()]:
            raise TourFailed("the new gig is not in its category's list: the cache is stale")
        notes.append(answer.headers["X-Cache"])
    with step("gig taken, work accepted: escrow job enqueued"):
        worker.call("POST", f"/gigs/{gig['id']}/take", expect=200)
        owner.call("POST", f"/gigs/{gig['id']}/complete", expect=202)
    with step("event received by the worker's browser") as notes:
        wait_for(lambda: "escrow_released" in listener.kinds)
        notes.append("escrow_released")
    with step("escrow job done, money moved once") as notes:
        owner.call("POST", f"/gigs/{gig['id']}/complete", expect=202)
        after = wait_for(lambda: balance(worker, before + 1_500_000))
        notes.append(f"NGN {before / 100:,.2f} -> {after / 100:,.2f}")


def balance(person: Person, expected: int) -> int | None:
    """The balance, once it is the expected one. Raises TourFailed when it is larger: money moved twice."""
    found: int = person.profile()["balance_kobo"]
    if found > expected:
        raise TourFailed("money moved twice")
    return found if found == expected else None


def hit_the_limit(owner: Person, worker: Person) -> None:
    body = {"to_phone": worker.phone, "amount_kobo": 100}
    with step("five transfers, one of them sent twice under one key"):
        for number in (1, 2, 3, 4, 4):
            key = {"Idempotency-Key": f"tour-key-{number}"}
            owner.call("POST", "/wallet/transfers", expect=200, json=body, headers=key)
    with step("sixth transfer in a minute refused") as notes:
        key = {"Idempotency-Key": "tour-key-6"}
        refused = owner.call("POST", "/wallet/transfers", expect=429, json=body, headers=key)
        notes.append(f"429, Retry-After {refused.headers['Retry-After']} s")


def refresh_and_leave(person: Person) -> None:
    with step("refresh token rotated"):
        answer = person.call("POST", "/auth/refresh", expect=200, json={"refresh_token": person.refresh_token}).json()
        person.client.headers["Authorization"] = f"Bearer {answer['access_token']}"
    with step("logged out"):
        person.call("POST", "/auth/logout", expect=204)
    with step("blacklisted token refused") as notes:
        person.call("GET", "/users/me", expect=401)
        notes.append("401")


def look_at_pages(url: str, outbox: Path) -> None:
    """The pages in a browser, where one is installed. Raises TourFailed."""
    from examples.gigs.browse import browse
    from examples.gigs.browser import installed

    binary = installed()
    if binary is None:
        print("             no Chromium here, so nobody looked at the pages: open them yourself")
        return
    try:
        asyncio.run(browse(url, outbox, binary))
    except (TimeoutError, AssertionError) as error:
        raise TourFailed(f"a page did not do what it should: {str(error).partition(chr(10))[0]}") from error


def main() -> int:
    """Exit code 0 when every step held, else 1 with one sentence."""
    url = sys.argv[1] if len(sys.argv) > 1 else _URL
    start = time.perf_counter()
    try:
        walk(url, GigsSettings().outbox)
        look_at_pages(url, GigsSettings().outbox)
    except httpx.TransportError:
        print(f"tour: no API answers at {url}; start it with `make up`", file=sys.stderr)
        return 1
    except TourFailed as failure:
        print(f"tour: {failure}", file=sys.stderr)
        return 1
    print(f"the tour held, {time.perf_counter() - start:.1f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
