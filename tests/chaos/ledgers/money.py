"""Money: the gigs example over HTTP, and every kobo of it accounted for.

What was answered with 200 has moved once; what was refused has not; of what was never answered, both halves of the
ledger line have moved, or neither. A gig whose work was accepted is paid once. Nothing else has moved.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

import httpx

from hustlex.drivers.ports import free_port
from tests.chaos.ledgers import Ledger
from tests.chaos.programs import Program
from tests.conftest import SECRET

WELCOME_KOBO = 5_000_000
_USERS = 6
_PATIENCE_S = 90
_PAID_S = 120
_GRACE_S = 10


class Person:
    """A signed-in user."""

    def __init__(self, number: int, url: str) -> None:
        self.phone = f"+234813{number:07d}"
        self.user_id = 0
        self.refresh_token = ""
        self.client = httpx.AsyncClient(base_url=url, timeout=10)


class MoneyLedger(Ledger):
    name = "money"

    async def prepare(self) -> None:
        self._port = free_port()
        self._data = self.stage.folder / "gigs"
        self._data.mkdir(mode=0o700)
        self._transfers: dict[str, tuple[int, int, int, str]] = {}
        self._completed: dict[int, int] = {}
        self._posted: dict[int, int] = {}
        self._start_programs()
        self._people = [Person(number, f"http://127.0.0.1:{self._port}") for number in range(_USERS)]
        await self._until_up()
        for person in self._people:
            assert await self._sign_in(person), "nobody could sign in while all was well"

    def _start_programs(self) -> None:
        environment = {
            "HUSTLEX_URL": self.stage.url,
            "HUSTLEX_SECRET": SECRET.decode(),
            "HUSTLEX_DATA": str(self._data),
            "HUSTLEX_SHUTDOWN_TIMEOUT_S": "2",
        }
        hustlex = [sys.executable, "-m", "hustlex"]
        api = Program("api", [*hustlex, "api", "examples.gigs", "--port", str(self._port)], environment)
        worker = Program("gigs worker", [*hustlex, "worker", "examples.gigs", "--concurrency", "10"], environment)
        for program in (api, worker):
            program.log = self.stage.folder / f"{program.name}.log"
            program.start()
            self.stage.programs.append(program)

    async def _until_up(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while (await self._send(self._people[0], "GET", "/gigs", params={"category": "any"}))[0] != 200:
                await asyncio.sleep(0.2)

    async def _send(self, person: Person, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Status and answer; 0 for none. A token that ran out is renewed by the next call."""
        try:
            answer = await person.client.request(method, path, **more)
        except httpx.TransportError:
            self.counts["unanswered"] += 1
            return 0, None
        if answer.status_code >= 500:
            self.counts[f"answered {answer.status_code}"] += 1
        self.hold(answer.status_code < 500 or answer.status_code == 503, f"{method} {path}: {answer.text[:200]}")
        return answer.status_code, answer.json() if answer.content else None

    # -- signing in

    async def _sign_in(self, person: Person) -> bool:
        """By a new code; False when it did not come about."""
        before = len(self._messages(person))
        status, asked = await self._send(person, "POST", "/auth/otp/request", json={"phone": person.phone})
        if status != 202:
            return False
        body = {"challenge": asked["challenge"], "code": await self._code(person, before)}
        status, pair = await self._send(person, "POST", "/auth/otp/verify", json=body)
        if status != 200:
            return False
        self._hand_over(person, pair)
        person.user_id = person.user_id or (await self._send(person, "GET", "/users/me"))[1]["id"]
        return True

    def _hand_over(self, person: Person, pair: dict[str, str]) -> None:
        person.client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        person.refresh_token = pair["refresh_token"]

    async def _code(self, person: Person, before: int) -> str:
        """Of the next message; "" when none comes."""
        end = time.monotonic() + _PATIENCE_S
        while len(messages := self._messages(person)) <= before:
            if time.monotonic() > end:
                return ""
            await asyncio.sleep(0.05)
        return "".join(character for character in messages[-1] if character.isdigit())[:6]

    def _messages(self, person: Person) -> list[str]:
        outbox = self._data / "outbox.jsonl"
        lines = map(json.loads, outbox.read_text("utf-8").splitlines()) if outbox.exists() else ()
        return [line["text"] for line in lines if line.get("to") == person.phone]

    async def _renew(self, person: Person) -> None:
        """A new access token; the same refresh token again until there is an answer.

        Answered too late for the grace, a repeat is the second owner of a spent token, and its session ends.
        """
        begun = time.monotonic()
        while not self.stage.over:
            body = {"refresh_token": person.refresh_token}
            status, pair = await self._send(person, "POST", "/auth/refresh", json=body)
            if status == 200:
                self._hand_over(person, pair)
                return
            if status == 401:
                self.hold(time.monotonic() - begun > _GRACE_S, f"a refresh was refused within the grace: {pair}")
                while not (self.stage.over or await self._sign_in(person)):
                    await self.pause(5)
                return
            self.hold(status in (0, 429, 503), f"a refresh was answered {status}: {pair}")
            await self.pause(0.3)

    # -- the play

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [self._play(person) for person in self._people]

    async def _play(self, person: Person) -> None:
        renewed = time.monotonic()
        while not self.stage.over:
            await (self._transfer(person) if self.dice.random() < 0.5 else self._gig(person))
            if time.monotonic() - renewed > 300:
                await self._renew(person)
                renewed = time.monotonic()
            await self.pause(0.8)

    def _other(self, person: Person) -> Person:
        return self.dice.choice([each for each in self._people if each is not person])

    async def _transfer(self, sender: Person) -> None:
        """The same request until it is answered, as a phone in a tunnel does."""
        receiver, amount = self._other(sender), self.dice.randint(1, 100_000)
        key = f"key-{len(self._transfers)}"
        self._transfers[key] = (sender.user_id, receiver.user_id, amount, "unknown")
        body = {"to_phone": receiver.phone, "amount_kobo": amount}
        while not self.stage.over:
            request = {"json": body, "headers": {"Idempotency-Key": key}}
            status, answer = await self._send(sender, "POST", "/wallet/transfers", **request)
            if status == 200:
                self._transfers[key] = (sender.user_id, receiver.user_id, amount, "moved")
                self.counts["transfers"] += 1
                return
            if status not in (0, 401, 409, 429, 503):
                self.hold(False, f"a transfer was answered {status}: {answer}")
                return
            if status == 401:
                await self._renew(sender)
            await self.pause(5.0 if status == 429 else 0.5)

    async def _gig(self, owner: Person) -> None:
        """Posted, taken, done. Whoever gets no answer leaves it there; accepted work is repeated until answered."""
        price, worker = self.dice.randint(1, 50_000), self._other(owner)
        new = {"title": "Fix my generator", "category": "repairs", "price_kobo": price}
        status, gig = await self._send(owner, "POST", "/gigs", json=new)
        if status != 201:
            return
        self._posted[gig["id"]] = price
        status, _ = await self._send(worker, "POST", f"/gigs/{gig['id']}/take")
        if status != 200:
            return
        while not self.stage.over:
            status, answer = await self._send(owner, "POST", f"/gigs/{gig['id']}/complete")
            if status == 202:
                self._completed[gig["id"]] = worker.user_id
                self.counts["gigs completed"] += 1
                return
            self.hold(status in (0, 401, 503), f"accepting work was answered {status}: {answer}")
            if status == 401:
                await self._renew(owner)
            await self.pause(0.5)

    # -- the account

    async def settle(self) -> None:
        """Every gig that was completed is paid; then each line of the ledger is explained."""
        end = time.monotonic() + _PAID_S
        while (unpaid := self._unpaid()) and time.monotonic() < end:
            await asyncio.sleep(0.2)
        self.hold(not unpaid, f"gigs {unpaid[:10]} are completed and not paid")
        with closing(sqlite3.connect(self._data / "gigs.db")) as database:
            lines = {key: (user, amount) for key, user, amount in database.execute(_LINES)}
            balances = dict(database.execute("select id, balance_kobo from users"))
            gigs = {row[0]: row[1:] for row in database.execute("select id, owner_id, worker_id, price_kobo from gigs")}
        self._judge_transfers(lines)
        self._judge_gigs(lines, gigs)
        self._judge_balances(lines, balances)
        for person in self._people:
            await person.client.aclose()

    def _unpaid(self) -> list[int]:
        with closing(sqlite3.connect(self._data / "gigs.db")) as database:
            keys = {key for key, _, _ in database.execute(_LINES)}
            completed = [row[0] for row in database.execute("select id from gigs where status = 'completed'")]
        return [gig for gig in completed if f"escrow:{gig}:release" not in keys]

    def _judge_transfers(self, lines: dict[str, tuple[int, int]]) -> None:
        halves = {key: line for key, line in lines.items() if key.startswith("transfer:")}
        out = sorted((user, -amount) for key, (user, amount) in halves.items() if key.endswith(":out"))
        into = sorted((user, amount) for key, (user, amount) in halves.items() if key.endswith(":in"))
        self.hold(len(out) == len(into), f"{len(out)} halves went out and {len(into)} came in")
        moved = [each for each in self._transfers.values() if each[3] == "moved"]
        doubtful = [each for each in self._transfers.values() if each[3] == "unknown"]
        self.counts["transfers in doubt"] = len(doubtful)
        for sender, _, amount, _ in moved:
            self.hold((sender, amount) in out, f"user {sender} was told that {amount} moved, and it did not")
            if (sender, amount) in out:
                out.remove((sender, amount))
        for sender, _, amount, _ in doubtful:
            if (sender, amount) in out:
                out.remove((sender, amount))
        self.hold(not out, f"moved more than once, or for nobody: {out[:5]}")

    def _judge_gigs(self, lines: dict[str, tuple[int, int]], gigs: dict[int, Any]) -> None:
        for gig, worker in self._completed.items():
            line = lines.get(f"escrow:{gig}:release")
            self.hold(line == (worker, self._posted[gig]), f"gig {gig} was completed, and its payment is {line}")
        for gig, price in self._posted.items():
            self.hold(gig in gigs and gigs[gig][2] == price, f"gig {gig} was posted, and is {gigs.get(gig)}")

    def _judge_balances(self, lines: dict[str, tuple[int, int]], balances: dict[int, int]) -> None:
        sums = dict.fromkeys(balances, 0)
        for user, amount in lines.values():
            sums[user] += amount
        self.hold(sums == balances, f"wallets hold {balances}, their lines say {sums}")
        held = -sum(amount for key, (_, amount) in lines.items() if key.startswith("escrow:"))
        total = sum(balances.values()) + held
        self.hold(total == WELCOME_KOBO * len(balances), f"{total} kobo are there, not {WELCOME_KOBO} for each")
        self.counts["kobo accounted for"] = total


_LINES = "select key, user_id, amount_kobo from ledger"
