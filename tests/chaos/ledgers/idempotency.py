"""Idempotency: one owner at a time, a higher fence for each later one, and after an answer nothing but the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hustlex.idempotency import IdempotencyOptions, InFlight, Replay, Response, Scope, Started
from tests.chaos.ledgers import Ledger

LEASE_S = 2.0
OPTIONS = IdempotencyOptions(lease=timedelta(seconds=LEASE_S), orphans="takeover")
_SCOPE = Scope("chaos", "POST", "/pay")
_RACERS = 3


@dataclass
class Claim:
    """One owner's claim. asked: when it asked. given_back: it said, or tried to say, that it did nothing."""

    asked: float
    fence: int
    given_back: bool = False

    @property
    def forgotten(self) -> bool:
        """Its first owner gave it back before any effect: the key is forgotten, and fences begin anew."""
        return self.given_back and self.fence == 1


@dataclass
class Request:
    """One key. done: the answer that was kept."""

    key: str
    claims: list[Claim] = field(default_factory=list)
    done: bytes = b""


class IdempotencyLedger(Ledger):
    name = "idempotency"
    _keys = 0

    async def prepare(self) -> None:
        self._done: list[Request] = []

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [self._play() for _ in range(2)]

    async def _play(self) -> None:
        while not self.stage.over:
            self._keys += 1
            request = Request(f"key-{self._keys}")
            await asyncio.gather(*(self._caller(request) for _ in range(_RACERS)))
            if request.done:
                self._done.append(request)
            if self._done:
                await self._again(self.dice.choice(self._done[-500:]))
            await self.pause(0.05)

    async def _caller(self, request: Request) -> None:
        asked = time.monotonic()
        found = await self.tried(self.front.idempotency.begin(request.key, _SCOPE, options=OPTIONS))
        if isinstance(found, Started):
            await self._own(request, found, asked)
        elif isinstance(found, Replay):
            self.hold(found.response.body, "an answer was repeated that nobody gave")
        elif isinstance(found, InFlight):
            self.counts["in flight"] += 1

    async def _own(self, request: Request, started: Started, asked: float) -> None:
        now = time.monotonic()
        self.hold(not request.done, "a key was claimed after its answer was kept")
        for other in request.claims:
            later = now - other.asked
            self.hold(
                other.given_back or later >= LEASE_S, f"two owned a key: the second one {later:.2f} s after the first"
            )
            risen = started.fence > other.fence or asked < other.asked or other.forgotten
            self.hold(risen, f"fence {started.fence} came after {other.fence}")
        claim = Claim(asked, started.fence)
        request.claims.append(claim)
        self.counts["claims"] += 1
        await self.pause(0.02)
        front = self.front.idempotency
        if self.dice.random() < 0.1:
            claim.given_back = True
            await self.tried(front.abandon(started))
            return
        body = f"answer of fence {started.fence}".encode()
        kept = await self.tried(front.complete(started, Response(200, body), options=OPTIONS))
        if kept is True:
            self.hold(request.done in (b"", body), "two answers were kept")
            request.done = body

    async def _again(self, request: Request) -> None:
        found = await self.tried(self.front.idempotency.begin(request.key, _SCOPE, options=OPTIONS))
        if isinstance(found, Replay):
            self.counts["replays"] += 1
            self.hold(found.response.body == request.done, f"{found.response.body!r} was not the answer")
        else:
            self.hold(not isinstance(found, Started | InFlight), f"a kept answer was lost: {found}")

    async def settle(self) -> None:
        """Every answer that was kept, once more."""
        for request in self._done[-500:]:
            await self._again(request)
