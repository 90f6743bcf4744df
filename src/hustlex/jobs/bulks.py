"""The door for acting on many tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Misuse
from hustlex.jobs.bulk import flows
from hustlex.jobs.bulk.flows import May
from hustlex.jobs.bulk.ops import MOST_KEPT, SearchState, Stored
from hustlex.jobs.bulk.types import Bulk, BulkPhase, BulkReport, BulkVerb
from hustlex.jobs.ids import new_id
from hustlex.jobs.keys import addressed, named
from hustlex.jobs.search import flows as searching
from hustlex.jobs.search.match import View

_LAST_PAGE = 10**6
_LONGEST_LABEL = 1_000


@answering
class BulkActs:
    """Runs, archives, deletes, cancels or puts off what a search finds: found and shown first, then done in steps.

    ``plan`` writes an act down; ``step`` does a little of it, and is called until ``bulk.moving`` is false: by a
    console, by the command line, by whoever comes after them. What a step did is never done twice. Raises NotFound for
    an act that does not exist, Conflict for one that is not where it would have to be.
    """

    def __init__(self, driver: AsyncDriver, *, clock: Clock = server_clock) -> None:
        self._driver = check.driver(driver)
        self._clock = clock

    async def plan(
        self,
        verb: BulkVerb,
        query: str,
        *,
        queues: Sequence[str] | None = None,
        by: str = "someone",
        label: str = "",
        start_at: datetime | None = None,
    ) -> Bulk:
        """A new act. Its tasks are found by the steps that follow, at most 20,000, and then stay what they are.

        query: as of ``Inspector.search``; a task in whose state the verb can do nothing is left out. queues: the only
        ones in which to look. by, label: who asked for it and for what, as it may be shown. start_at: with
        "reschedule", and only then: when they are to start. Raises Misuse.
        """
        wanted = BulkVerb(check.one_of("verb", verb, tuple(BulkVerb)))
        asked = searching.asked(check.typed("query", query), self._clock())
        names = None if queues is None else tuple(addressed("queue", name) for name in check.several("queues", queues))
        shown = check.text("label", label, longest=_LONGEST_LABEL, blank=True)
        start = None if start_at is None else check.moment("start_at", start_at)
        if (start is None) == (wanted is BulkVerb.RESCHEDULE):
            raise Misuse("start_at goes with reschedule, and only with it", hint="pass when the tasks are to start")
        now, who = datetime.now(UTC), check.text("by", by)
        bulk = Bulk(new_id()[:8], wanted, shown, who, BulkPhase.SEARCHING, now, now, start_at=start)
        stored = Stored(bulk, SearchState(asked.text, asked.now_s, names))
        return await self._driver.follow(flows.plan(stored, int(now.timestamp() * 1000)))

    async def step(self, bulk_id: str, *, may: May | None = None, view: View | None = None) -> Bulk:
        """Find some more of its tasks, or do it to the next 100, or undo it for them; answers how far it is then.

        may: says of a queue's name whether whoever acts may touch it; None = any. view: as of ``Inspector.search``.
        """
        allowed = None if may is None else check.function("may", may)
        shown = None if view is None else check.function("view", view)
        return await self._driver.follow(flows.step(named("bulk_id", bulk_id), allowed, shown, self._clock()))

    async def start(self, bulk_id: str) -> Bulk:
        """Let it be done, or go on after a pause."""
        return await self._turn(bulk_id, (BulkPhase.READY, BulkPhase.PAUSED), BulkPhase.RUNNING)

    async def pause(self, bulk_id: str) -> Bulk:
        """Let nothing more be done until it is started again."""
        return await self._turn(bulk_id, (BulkPhase.RUNNING,), BulkPhase.PAUSED)

    async def stop(self, bulk_id: str) -> Bulk:
        """End it where it is; also one that was never started."""
        before = (BulkPhase.SEARCHING, BulkPhase.READY, BulkPhase.RUNNING, BulkPhase.PAUSED)
        return await self._turn(bulk_id, before, BulkPhase.STOPPED)

    async def undo(self, bulk_id: str) -> Bulk:
        """Put back what was archived, deleted or put off, within an hour: where it was, if nobody moved it since."""
        before = (BulkPhase.DONE, BulkPhase.STOPPED, BulkPhase.PAUSED)
        flow = flows.turn(named("bulk_id", bulk_id), before, BulkPhase.UNDOING, back=True)
        return await self._driver.follow(flow)

    async def halt(self, bulk_id: str, why: str) -> Bulk:
        """Pause one that runs, and note why, in words that may be shown."""
        reason = check.text("why", why, longest=_LONGEST_LABEL)
        return await self._driver.follow(flows.halt(named("bulk_id", bulk_id), reason))

    async def get(self, bulk_id: str) -> Bulk:
        """One act."""
        return await self._driver.follow(flows.get(named("bulk_id", bulk_id)))

    async def newest(self, count: int = 50) -> list[Bulk]:
        """Acts of the last day, the newest first. count: 1 to 100."""
        return await self._driver.follow(flows.every(check.whole("count", count, 1, MOST_KEPT)))

    async def report(self, bulk_id: str, *, page: int = 1) -> BulkReport:
        """What became of each of its tasks, 50 a page."""
        number = check.whole("page", page, 1, _LAST_PAGE)
        return await self._driver.follow(flows.report(named("bulk_id", bulk_id), number))

    async def _turn(self, bulk_id: str, before: Sequence[BulkPhase], phase: BulkPhase) -> Bulk:
        return await self._driver.follow(flows.turn(named("bulk_id", bulk_id), before, phase))
