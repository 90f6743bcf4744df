"""Of what there is no list: payments in doubt, and codes that are slowed down. The server's keys are gone through for
them, some at each look. That takes no secret, which an exporter should not have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hustlex.core.time import server_clock
from hustlex.errors import Error
from hustlex.idempotency.look import unfinished
from hustlex.jobs.schedule.ops import refused
from hustlex.metrics.board import Figures
from hustlex.otp.breakers import opened

if TYPE_CHECKING:
    from hustlex.app import HustleX

_EVERY_S = 60.0


class Lap:
    """What was found on the way through the keys: of the last whole way, and of the present one so far."""

    def __init__(self) -> None:
        self.cursor = ""
        self._known = frozenset[str]()
        self._found = frozenset[str]()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self._known | self._found

    def take(self, names: Iterable[str], cursor: str) -> None:
        """What stood on this piece of the way. cursor: where it goes on, "" = it was the last."""
        self._found, self.cursor = self._found.union(names), cursor
        if not cursor:
            self._known, self._found = self._found, frozenset()

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Those somebody has changed: where they still stand, they are found again."""
        self._known, self._found = (
            frozenset(name for name in names if not gone(name)) for names in (self._known, self._found)
        )


class Rounds:
    """What the exporter tells of it: three calls once a minute, and 10,000 keys at most in each."""

    def __init__(self, front: HustleX) -> None:
        self._front = front
        self._claims, self._breakers = Lap(), Lap()
        self._figures: Figures = {}
        self._until = float("-inf")

    async def tell(self, figures: Figures) -> None:
        """As far as was looked. Raises nothing for a server's trouble."""
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + _EVERY_S
            try:
                self._figures = await self._look()
            except Error:
                self._figures = {("hustlex_scrape_errors", ("rounds",)): [1.0]}
        figures.update(self._figures)

    async def _look(self) -> Figures:
        driver, prefix = self._front.driver, self._front.prefix
        claims = await driver.follow(unfinished(prefix, "idem", self._claims.cursor, server_clock()))
        self._claims.take((each.record for each in claims.claims if each.state == "lapsed"), claims.cursor)
        slowed = await driver.follow(opened(prefix, self._breakers.cursor, server_clock()))
        self._breakers.take((each.name for each in slowed.breakers), slowed.cursor)
        found = {"claims": len(self._claims.names), "breakers": len(self._breakers.names)}
        refusals = await driver.run(refused())
        rules = found | {"refused": len(refusals)}
        return {
            **{("hustlex_attention", (rule,)): [float(count > 0)] for rule, count in rules.items()},
            ("hustlex_idempotency_in_doubt", ()): [float(found["claims"])],
            ("hustlex_otp_slowed", ()): [float(found["breakers"])],
        }
