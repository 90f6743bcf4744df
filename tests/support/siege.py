"""A day of codes under attack, on a clock of its own: what the attacker gets sent, and who of the honest still logs in.

``python -m tests.support.siege [HOURS]`` plays every attack for that long on a server of its own, ``... phone [DAYS]``
those on a single phone; the guide quotes both.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hustlex.core.time import FixedClock
from hustlex.otp import ChallengeRequired, Issued, Verified

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
NETWORKS = [f"{net}{n}" for net in (803, 806, 703, 813, 805, 807, 802, 808, 701, 708) for n in range(10)]
"""A hundred Nigerian prefixes of seven digits, without the country's."""
CARRIERS = [f"102.89.{n}.1" for n in range(4)]
"""Addresses of mobile networks, each shared by hundreds of honest phones."""
PATIENCE = 15 * MINUTE


@dataclass
class Attack:
    """rate: requests an hour. number, address: where the next message is to go, and from where it is asked for."""

    name: str
    rate: int
    number: Callable[[random.Random], str]
    address: Callable[[random.Random], str]


def anywhere(chance: random.Random) -> str:
    return f"+234{chance.choice(NETWORKS)}{chance.randrange(10**6):06}"


def one_prefix(chance: random.Random) -> str:
    return f"+2348031{chance.randrange(10**6):06}"


def from_many(count: int) -> Callable[[random.Random], str]:
    return lambda chance: f"198.{18 + chance.randrange(count) // 250}.{chance.randrange(250)}.9"


ATTACKS = {
    "nobody attacks": Attack("nobody attacks", 0, anywhere, lambda _: ""),
    "one address, any number": Attack("one address, any number", 1200, anywhere, lambda _: "198.51.100.1"),
    "one address of a mobile network": Attack("one address of a mobile network", 1200, anywhere, lambda _: CARRIERS[0]),
    "500 addresses, one prefix": Attack("500 addresses, one prefix", 2400, one_prefix, from_many(2)),
    "50,000 addresses, any number": Attack("50,000 addresses, any number", 6000, anywhere, from_many(200)),
}


@dataclass
class Person:
    """kind: known (a device that logged in before), carrier (a new device on a mobile network) or home."""

    kind: str
    number: str
    address: str
    since: int
    device: str = ""


@dataclass
class Tally:
    """hours: messages that the attacker got sent, by hour. honest: people by kind; in: those who logged in."""

    hours: Counter[int] = field(default_factory=Counter)
    honest: Counter[str] = field(default_factory=Counter)
    logged_in: Counter[str] = field(default_factory=Counter)

    def share(self, kind: str) -> float:
        return self.logged_in[kind] / max(1, self.honest[kind])


class Siege:
    """Honest people come at random, ``crowd`` an hour, and try again for 15 minutes; a twentieth never types a code."""

    def __init__(
        self, otp: Any, clock: FixedClock, attack: Attack, *, crowd: int = 240, human_check: bool = False
    ) -> None:
        self._otp, self._clock, self._attack, self._crowd = otp, clock, attack, crowd
        self._human_check = human_check
        self._chance = random.Random(7)
        self._queue: list[tuple[int, int, str, Any]] = []
        self._serial = 0
        self.tally = Tally()

    async def run(self, hours: float) -> Tally:
        """Play. The first half hour is peaceful, as an attacker finds it."""
        begun = self._clock.now_ms
        peace, end = begun + HOUR // 2, begun + HOUR // 2 + int(hours * HOUR)
        for at, kind in self._arrivals(begun, end):
            self._plan(at, "person", Person(kind, *self._home(kind), at))
        if self._attack.rate:
            for number in range(int(self._attack.rate * hours)):
                self._plan(peace + number * HOUR // self._attack.rate, "attack", None)
        while self._queue:
            at, _, what, who = heapq.heappop(self._queue)
            self._clock.now_ms = max(self._clock.now_ms, at)
            await {"person": self._ask, "type": self._type, "attack": self._strike}[what](who, peace)
        return self.tally

    def _arrivals(self, begun: int, end: int) -> Iterator[tuple[int, str]]:
        at = float(begun)
        while (at := at + self._chance.expovariate(self._crowd / HOUR)) < end:
            yield int(at), self._chance.choices(["known", "carrier", "home"], [25, 60, 15])[0]

    def _home(self, kind: str) -> tuple[str, str]:
        """A number, and an address."""
        own = f"41.{self._chance.randrange(64, 128)}.{self._chance.randrange(256)}.{self._chance.randrange(1, 255)}"
        number = one_prefix(self._chance) if self._chance.random() < 0.2 else anywhere(self._chance)
        return number, self._chance.choice(CARRIERS) if kind == "carrier" else own

    def _plan(self, at: int, what: str, who: Any) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (at, self._serial, what, who))

    async def _ask(self, person: Person, peace: int) -> None:
        now, counts = self._clock.now_ms, person.since >= peace
        if now == person.since and counts:
            self.tally.honest[person.kind] += 1
        lane = "known" if person.kind == "known" else "anon"
        asking = {"ip": person.address, "lane": lane}
        answer = await self._otp.issue(person.number, **asking)
        if isinstance(answer, ChallengeRequired) and self._human_check:
            answer = await self._otp.issue(person.number, **asking, human=True)
        if isinstance(answer, Issued):
            if self._chance.random() < 0.95:
                self._plan(now + int(self._chance.uniform(10, 50) * SECOND), "type", (person, answer.challenge))
            elif counts:
                self.tally.logged_in[person.kind] += 1  # was served, and lost interest
            return
        again = now + max(20 * SECOND, min(answer.retry_after // timedelta(milliseconds=1), 2 * MINUTE))
        if again < person.since + PATIENCE:
            self._plan(again, "person", person)

    async def _type(self, typed: tuple[Person, str], peace: int) -> None:
        person, challenge = typed
        code = (await self._otp.open(challenge)).code
        assert isinstance(await self._otp.verify(challenge, code, ip=person.address), Verified)
        if person.since >= peace:
            self.tally.logged_in[person.kind] += 1

    async def _strike(self, _: None, peace: int) -> None:
        number, address = self._attack.number(self._chance), self._attack.address(self._chance)
        if isinstance(await self._otp.issue(number, ip=address), Issued):
            self.tally.hours[(self._clock.now_ms - peace) // HOUR] += 1


VICTIM = "+2348031234567"


class PhoneSiege:
    """One phone, days on end: from so many networks in turn an attacker asks for its codes, and with ``guesses`` types
    five wrong ones for each. Once a day, at any time, its owner comes with a new device, from a network of his own, and
    tries for 15 minutes.
    """

    def __init__(
        self, otp: Any, clock: FixedClock, networks: int, guesses: bool, human_check: bool, *, every: int = 3 * MINUTE
    ) -> None:
        self._otp, self._clock, self._networks, self._every = otp, clock, networks, every
        self._guesses, self._human_check = guesses, human_check
        self._chance, self._turn = random.Random(7), 0
        self.logged_in = 0
        self.messages: Counter[int] = Counter()
        """What the attacker got sent, by day."""

    async def run(self, days: int) -> None:
        """Play. The first day, in which the attacker uses up all there is, has no visit."""
        begun = self._clock.now_ms
        visits = [begun + day * DAY + self._chance.randrange(DAY - PATIENCE) for day in range(1, days)]
        for at in range(begun, begun + days * DAY, self._every):
            while visits and visits[0] < at:
                await self._visit(visits.pop(0), begun)
            await self._strike(at, begun)

    async def _strike(self, at: int, begun: int) -> None:
        self._clock.now_ms = max(self._clock.now_ms, at)
        self._turn = (self._turn + 1) % self._networks
        answer = await self._otp.issue(VICTIM, ip=f"198.{18 + self._turn // 250}.{self._turn % 250}.9")
        if isinstance(answer, Issued):
            self.messages[(self._clock.now_ms - begun) // DAY] += 1
            digits = 8 if answer.challenge.endswith("s") else 6
            for guess in range(5 if self._guesses else 0):
                await self._otp.verify(answer.challenge, f"{guess:0{digits}}")

    async def _visit(self, come: int, begun: int) -> None:
        """The attacker goes on between two tries."""
        address, now = f"41.{self._chance.randrange(64, 128)}.{self._chance.randrange(256)}.7", come
        while now < come + PATIENCE:
            self._clock.now_ms = max(self._clock.now_ms, now)
            answer = await self._otp.issue(VICTIM, ip=address)
            if isinstance(answer, ChallengeRequired) and self._human_check:
                answer = await self._otp.issue(VICTIM, ip=address, human=True)
            await self._strike(now + 15 * SECOND, begun)
            if isinstance(answer, Issued):
                self._clock.now_ms = max(self._clock.now_ms, now + 30 * SECOND)
                code = (await self._otp.open(answer.challenge)).code
                self.logged_in += isinstance(await self._otp.verify(answer.challenge, code, ip=address), Verified)
                return
            now += max(20 * SECOND, min(answer.retry_after // timedelta(milliseconds=1), 2 * MINUTE))


async def report_phone(days: int) -> None:
    """One phone, by number of networks."""
    logging.disable(logging.WARNING)
    print(f"{'networks':>8} {'guesses':7} {'check':5} {'logged in':>9} {'messages a day, mean and most':>30}")
    for networks, guesses, human_check in itertools.product((5, 50), (False, True), (False, True)):
        async with fresh_front() as (hx, clock):
            siege = PhoneSiege(hx.otp, clock, networks, guesses, human_check)
            await siege.run(days)
        mean, most = sum(siege.messages.values()) / days, max(siege.messages.values())
        words, share = [("no", "yes")[flag] for flag in (guesses, human_check)], siege.logged_in / (days - 1)
        print(f"{networks:>8} {words[0]:7} {words[1]:5} {share:>9.0%} {mean:>24.1f} {most:>5}", flush=True)


@asynccontextmanager
async def fresh_front() -> AsyncIterator[tuple[Any, FixedClock]]:
    """On an emptied server."""
    import tempfile
    from pathlib import Path

    from hustlex.app import HustleX
    from hustlex.drivers.embedded import EmbeddedServer

    clock = FixedClock()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
        async with HustleX(server.url, secret="the secret of a siege, long enough", clock=clock) as hx:
            yield hx, clock


async def report(hours: float) -> None:
    """Every attack."""
    print(f"{'attack':34} {'check':5} {'requests':>8} {'known':>7} {'carrier':>7} {'home':>7}  sent in each hour")
    for attack in ATTACKS.values():
        for human_check in (False, True):
            async with fresh_front() as (hx, clock):
                tally = await Siege(hx.otp, clock, attack, human_check=human_check).run(hours)
            sent = " ".join(str(tally.hours[hour]) for hour in range(int(hours)))
            shares = " ".join(f"{tally.share(kind):>7.1%}" for kind in ("known", "carrier", "home"))
            check = "yes" if human_check else "no"
            print(f"{attack.name:34} {check:5} {int(attack.rate * hours):>8} {shares}  {sent}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["phone"]:
        asyncio.run(report_phone(int(sys.argv[2]) if len(sys.argv) > 2 else 21))
    else:
        asyncio.run(report(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
