"""A day of codes under attack, on a clock of its own: what the attacker gets sent, and who of the honest still logs in.

``python -m tests.support.siege [HOURS]`` plays every attack for that long on a server of its own; the guide quotes it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hustlex.core.time import FixedClock
from hustlex.otp import ChallengeRequired, Issued, Verified

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
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


async def report(hours: float) -> None:
    """Every attack, on an emptied server each."""
    import tempfile
    from pathlib import Path

    from hustlex.app import HustleX
    from hustlex.drivers.embedded import EmbeddedServer

    print(f"{'attack':34} {'check':5} {'requests':>8} {'known':>7} {'carrier':>7} {'home':>7}  sent in each hour")
    for attack in ATTACKS.values():
        for human_check in (False, True):
            clock = FixedClock()
            with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder)) as server:
                async with HustleX(server.url, secret="the secret of a siege, long enough", clock=clock) as hx:
                    tally = await Siege(hx.otp, clock, attack, human_check=human_check).run(hours)
            sent = " ".join(str(tally.hours[hour]) for hour in range(int(hours)))
            shares = " ".join(f"{tally.share(kind):>7.1%}" for kind in ("known", "carrier", "home"))
            check = "yes" if human_check else "no"
            print(f"{attack.name:34} {check:5} {int(attack.rate * hours):>8} {shares}  {sent}", flush=True)


if __name__ == "__main__":
    asyncio.run(report(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
