"""Codes: of all who ever show a right one, one is Verified; of all who show its grant, one is Granted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from hustlex.errors import Error
from hustlex.otp import Delivery, Granted, Issued, Verified
from tests.chaos.ledgers import Ledger

_RACERS = 3
_REMEMBERED = 500


class CodesLedger(Ledger):
    name = "codes"
    _numbers = 0

    async def prepare(self) -> None:
        self._verified: Counter[str] = Counter()
        self._granted: Counter[str] = Counter()
        self._shown: list[tuple[str, str]] = []

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        return [self._play() for _ in range(2)]

    async def _play(self) -> None:
        while not self.stage.over:
            await self._one_code()
            if self._shown:  # long ago, perhaps on a server that is no more
                await self._show(*self.dice.choice(self._shown[-_REMEMBERED:]))
            await self.pause(0.1)

    async def _one_code(self) -> None:
        self._numbers += 1
        issued = await self.tried(self.front.otp.issue(f"+234803{self._numbers:07d}"))
        if not isinstance(issued, Issued):
            return
        self.counts["issued"] += 1
        delivery = await self.tried(self.front.otp.open(issued.challenge))
        if not isinstance(delivery, Delivery):
            return
        answers = await asyncio.gather(*(self._show(issued.challenge, delivery.code) for _ in range(_RACERS)))
        self._shown.append((issued.challenge, delivery.code))
        won = [each for each in answers if isinstance(each, Verified)]
        silent = any(isinstance(each, Error) for each in answers)
        self.hold(won or silent, f"all {_RACERS} who showed a right code were refused: {answers}")
        for verified in won:
            await asyncio.gather(*(self._consume(verified.grant) for _ in range(2)))

    async def _show(self, challenge: str, code: str) -> Any:
        answer = await self.tried(self.front.otp.verify(challenge, code))
        if isinstance(answer, Verified):
            self.counts["verified"] += 1
            self._verified[challenge] += 1
            self.hold(self._verified[challenge] == 1, "a code was used twice")
        return answer

    async def _consume(self, grant: str) -> None:
        answer = await self.tried(self.front.otp.consume_grant(grant, "login"))
        if isinstance(answer, Granted):
            self._granted[grant] += 1
            self.hold(self._granted[grant] == 1, "a grant was spent twice")

    async def settle(self) -> None:
        """Every code once more."""
        for challenge, code in self._shown[-_REMEMBERED:]:
            await self._show(challenge, code)
