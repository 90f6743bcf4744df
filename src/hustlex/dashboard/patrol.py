"""What is asked of the whole server once a minute, for all who have the home page open: what the doctor finds,
entries of cron that were refused, codes that are slowed down, and payments in doubt.

There is no list of the last two, so the server's keys are gone through, some of them at each look.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator

from hustlex.app import HustleX
from hustlex.dashboard.operators import Operator
from hustlex.diagnostics import DoctorFinding
from hustlex.errors import Error
from hustlex.jobs.schedule.ops import Refusals, refused
from hustlex.metrics.attention import Trouble

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


class Patrol:
    """Asks one thing at each look at the page, when the last answer is a minute old: a page stays within its budget."""

    def __init__(self, hx: HustleX) -> None:
        self._hx = hx
        self._failed: tuple[DoctorFinding, ...] = ()
        self._refused: dict[str, Refusals] = {}
        self._breakers, self._claims = Lap(), Lap()
        asks = (self._ask_doctor, self._ask_cron, self._ask_codes, self._ask_payments)
        self._due = dict.fromkeys(asks, float("-inf"))

    async def troubles(self, operator: Operator) -> list[Trouble]:
        """What this person may know of."""
        ask, due = min(self._due.items(), key=lambda pair: pair[1])
        if time.monotonic() >= due:
            self._due[ask] = time.monotonic() + _EVERY_S
            with contextlib.suppress(Error):  # refused or away: what was known stays
                await ask()
        return list(self._known_to(operator))

    async def _ask_doctor(self) -> None:
        checkup = await self._hx.diagnostics.check(brief=True, jobs=False)
        self._failed = tuple(each for each in checkup.findings if each.level == "fail")

    async def _ask_cron(self) -> None:
        self._refused = await self._hx.driver.run(refused())

    async def _ask_codes(self) -> None:
        page = await self._hx.otp.inspector.breakers(cursor=self._breakers.cursor)
        self._breakers.take((each.name for each in page.breakers), page.cursor)

    async def _ask_payments(self) -> None:
        page = await self._hx.idempotency.inspector.unfinished(cursor=self._claims.cursor)
        self._claims.take((each.record for each in page.claims if each.state == "lapsed"), page.cursor)

    def _known_to(self, operator: Operator) -> Iterator[Trouble]:
        for each in self._failed if operator.sees_room("redis") else ():
            words = f"{each.role} server{f' {each.node}' * bool(each.node)}: {each.check}: {each.detail}"
            yield Trouble("doctor", "fail", words, ("redis",))
        if self._refused and operator.sees_all_queues and operator.sees_room("jobs"):
            name, latest = max(self._refused.items(), key=lambda pair: pair[1].last_at)
            more = f", and of {len(self._refused) - 1:,} more entries" if len(self._refused) > 1 else ""
            yield Trouble("refused", "warn", f"cron {name}: its task was not enqueued{more}: {latest.why}", ("cron",))
        if (claims := len(self._claims.names)) and operator.sees_room("idempotency"):
            count = "1 payment" if claims == 1 else f"{claims:,} payments"
            yield Trouble("claims", "fail", f"{count} in doubt: begun, and never ended", ("idempotency",))
        if (slowed := sorted(self._breakers.names)) and operator.sees_room("people"):
            more = f" and {len(slowed) - 1:,} more" if len(slowed) > 1 else ""
            yield Trouble(
                "breakers", "fail", f"codes of {slowed[0]}{more} are slowed down: too few were typed", ("codes",)
            )
