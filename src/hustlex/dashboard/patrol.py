"""What is asked of the whole server once a minute, for all who have the home page open: what the doctor finds, entries
of cron that were refused, codes that are slowed down, payments in doubt, and what fills the servers.

There is no list of codes and payments, so the server's keys are gone through, some of them at each look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import takewhile
from time import monotonic

from hustlex.app import HustleX
from hustlex.dashboard.fills import ServerFill, fill
from hustlex.dashboard.operators import Operator
from hustlex.diagnostics import DoctorFinding, ServerGlance
from hustlex.errors import Error
from hustlex.jobs.schedule.ops import Refusals, refused
from hustlex.metrics.attention import Trouble
from hustlex.metrics.rounds import Lap
from hustlex.people.notes import AuditEntry, notes, stand_in

_EVERY_S = 60.0
_SAMPLED = 200
_MOST_ACTS = 20
_ON_ENTRIES = ("fire", "pause_entry", "resume_entry", "edit_entry", "add_entry", "remove_entry")


class Patrol:
    """Asks one thing at each look at the page, when the last answer is a minute old: a page stays within its budget.

    What somebody has acted on meanwhile, in whichever process, by a button or a command, is not believed any more: the
    audit names it.
    """

    def __init__(self, hx: HustleX) -> None:
        self._hx = hx
        self._alone = asyncio.Lock()
        self._failed: tuple[DoctorFinding, ...] = ()
        self._refused: dict[str, Refusals] = {}
        self._breakers, self._claims = Lap(), Lap()
        self._fills: dict[str, tuple[float, ServerGlance]] = {}
        self._silent: dict[str, bool] = {}
        self._last = "0-0"
        """The newest entry of the audit that was looked at."""
        roles = ("state",) if hx.cache_driver is hx.driver else ("state", "cache")
        self._asks: tuple[Callable[[], Awaitable[None]], ...] = (
            *(partial(self._ask_fill, role) for role in roles),
            *(self._ask_doctor, self._ask_cron, self._ask_codes, self._ask_payments),
        )
        self._due = [float("-inf")] * len(self._asks)

    async def look(self) -> None:
        """Ask what is due; one look at a time, so that nothing is taken for new that was read before an act."""
        async with self._alone:
            due = min(self._due)
            if monotonic() >= due:
                place = self._due.index(due)
                self._due[place] = monotonic() + _EVERY_S
                if not self._believes:
                    await self._quietly(self._see_last_act)
                await self._quietly(self._asks[place])
            if self._believes:
                await self._quietly(self._heed_acts)

    @property
    def _believes(self) -> bool:
        """Whether anything is known that an act could have changed."""
        return bool(self._refused or self._breakers.names or self._claims.names)

    async def _quietly(self, ask: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(Error):  # refused or away: what was known stays
            await ask()

    async def _ask_fill(self, role: str) -> None:
        self._silent[role] = True
        self._fills[role] = monotonic(), await self._hx.diagnostics.glance(_SAMPLED, role=role, brief=True)
        self._silent[role] = False

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

    async def _see_last_act(self) -> None:
        newest = await self._hx.driver.run(notes(self._hx.prefix, "", 1))
        self._last = newest[0].id if newest else "0-0"

    async def _heed_acts(self) -> None:
        since = int(self._last.partition("-")[0])
        entries = await self._hx.driver.run(notes(self._hx.prefix, "", _MOST_ACTS, since))
        new = list(takewhile(lambda entry: entry.id != self._last, entries))
        self._last = entries[0].id if entries else self._last
        if len(new) == _MOST_ACTS:
            self._forget_all()
        for entry in new:
            if entry.fields.get("phase") in ("done", "failed"):
                self._forget(entry)

    def _forget(self, entry: AuditEntry) -> None:
        verb, target = entry.fields.get("verb", ""), f"{entry.fields.get('target', '')} "
        if verb == "close_breaker":
            self._breakers.forget(lambda name: f"breaker={name} " in target)
        elif verb == "release":
            self._claims.forget(lambda name: f"{stand_in(name, self._hx.reference)} " in target)
        elif verb in _ON_ENTRIES:
            self._refused = {}
            self._due[self._asks.index(self._ask_cron)] = float("-inf")

    def _forget_all(self) -> None:
        self._refused, self._breakers, self._claims = {}, Lap(), Lap()
        for ask in (self._ask_cron, self._ask_codes, self._ask_payments):
            self._due[self._asks.index(ask)] = float("-inf")

    def fill(self, operator: Operator) -> ServerFill | None:
        """What fills the servers, for whom their page and all queues exist; None for others, and before it is known."""
        if not (operator.sees_room("redis") and operator.sees_all_queues):
            return None
        age = monotonic() - min((at for at, _ in self._fills.values()), default=0.0)
        looks = {role: look for role, (_, look) in self._fills.items()}
        silent = tuple(role for role, still in self._silent.items() if still)
        return fill(operator, looks, timedelta(seconds=age), silent)

    def troubles(self, operator: Operator) -> Iterator[Trouble]:
        """What this person may know of."""
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
