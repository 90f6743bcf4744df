"""Small ledgers, one per room: each makes load, notes what it was told, and says what is not as it must be.

An answer that did not come is no complaint; a wrong one is, and so is any exception but the package's own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from hustlex import HustleX
from hustlex.errors import Error
from tests.chaos.stage import Stage

T = TypeVar("T")


class Ledger:
    """fronts: two, as two processes would have. wrong: complaints. counts: for the account in words."""

    name = ""

    def __init__(self, stage: Stage, fronts: Sequence[HustleX], seed: int) -> None:
        self.stage = stage
        self.fronts = fronts
        self.dice = Random(f"{seed} {self.name}")
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Before anything goes wrong."""

    def actors(self) -> list[Coroutine[Any, Any, None]]:
        """Each plays until ``stage.over``."""
        raise NotImplementedError

    async def settle(self) -> None:
        """When all is well again: what must come true now."""

    def complaints(self) -> list[str]:
        """Asked in the end."""
        return self.wrong

    def told(self) -> str:
        """The account in words."""
        return ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))

    # -- for the actors

    @property
    def front(self) -> HustleX:
        """Either one."""
        return self.dice.choice(self.fronts)

    async def pause(self, most_s: float) -> None:
        """Let others play."""
        await asyncio.sleep(self.dice.uniform(0, most_s))

    async def tried(self, call: Awaitable[T]) -> T | Error:
        """The answer, or the package's error."""
        try:
            return await call
        except Error as error:
            self.counts[f"unanswered ({type(error).__name__})"] += 1
            return error

    async def answered(self, call: Callable[[], Awaitable[T]], seconds: float = 60) -> T:
        """Repeated until there is an answer: only for what may be repeated."""
        end = time.monotonic() + seconds
        while isinstance(answer := await self.tried(call()), Error):
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: no answer for {seconds:g} s, and the last one was {answer!r}")
            await self.pause(0.1)
        return answer

    def hold(self, true: object, otherwise: str) -> None:
        """Note a complaint."""
        if not true:
            self.wrong.append(f"{self.name}: {otherwise}")


def every_ledger() -> list[type[Ledger]]:
    """In the order in which their accounts are told."""
    from tests.chaos.ledgers.cache import CacheLedger
    from tests.chaos.ledgers.codes import CodesLedger
    from tests.chaos.ledgers.events import EventsLedger
    from tests.chaos.ledgers.idempotency import IdempotencyLedger
    from tests.chaos.ledgers.jobs import JobsLedger
    from tests.chaos.ledgers.limits import LimitsLedger
    from tests.chaos.ledgers.money import MoneyLedger
    from tests.chaos.ledgers.tokens import TokensLedger

    return [
        JobsLedger,
        MoneyLedger,
        CodesLedger,
        TokensLedger,
        IdempotencyLedger,
        LimitsLedger,
        CacheLedger,
        EventsLedger,
    ]
