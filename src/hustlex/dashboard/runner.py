"""Makes the steps of bulk acts, beside the requests, for whoever started them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hustlex.dashboard.audit import Audit
from hustlex.errors import Conflict, Error
from hustlex.jobs import Bulk

if TYPE_CHECKING:
    from hustlex.dashboard.request import PageRequest

_STEPS_AT_ONCE = 5
"""Made before the page is answered: small acts are over then."""
_MOST_AT_ONCE = 4
"""Bulk acts of one process."""
_PAUSE_S = 0.05
"""Between two steps of 100 tasks: at most 2,000 a second, so that workers get the server, too."""
_RECHECK_S = 60.0
_PATIENCE = 30
"""Failures in a row, a second apart, after which somebody must say "go on"."""
STILL_S = 15
"""After so long without a step nobody is at it."""
_CHANGED = "Who started it may not act any longer, or is signed out: somebody else can go on."


class BulkRunner:
    """All bulk acts that this process is at."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def make_room(self) -> None:
        """Raises Conflict when this process is at as many as it may be."""
        if len(self._tasks) >= _MOST_AT_ONCE:
            raise Conflict(f"{_MOST_AT_ONCE} bulk acts are being done already", hint="wait for one of them, or stop it")

    async def drive(self, request: PageRequest, bulk_id: str) -> None:
        """Make some steps now and the others later."""
        for _ in range(_STEPS_AT_ONCE):
            bulk = await self._step(request, bulk_id)
            if not bulk.moving:
                with suppress(Error):  # what is done is done: its end is written down as soon as it can be
                    await self._tell(request, bulk)
                    return
                break
        if bulk_id not in self._tasks:
            task = self._tasks[bulk_id] = asyncio.get_running_loop().create_task(self._go(request, bulk_id))
            task.add_done_callback(lambda _: self._tasks.pop(bulk_id, None))

    async def _step(self, request: PageRequest, bulk_id: str) -> Bulk:
        return await request.hx.jobs.inspector.bulk.step(bulk_id, may=request.operator.sees_queue, view=request.view())

    async def _go(self, request: PageRequest, bulk_id: str) -> None:
        checked, failures = time.monotonic(), 0
        while failures < _PATIENCE:
            try:
                if time.monotonic() - checked > _RECHECK_S:
                    checked = time.monotonic()
                    if not await request.still():
                        await request.hx.jobs.inspector.bulk.halt(bulk_id, _CHANGED)
                        return
                bulk = await self._step(request, bulk_id)
                if not bulk.moving:
                    await self._tell(request, bulk)
                    return
                failures = 0
            except Error:
                failures += 1
            await asyncio.sleep(1 if failures else _PAUSE_S)

    async def _tell(self, request: PageRequest, bulk: Bulk) -> None:
        """Write down how it ended."""
        if bulk.ended and bulk.done:
            counts = {"count": str(bulk.done), "skipped": str(bulk.skipped), "undone": str(bulk.undone)}
            queue = bulk.queues[0] if len(bulk.queues) == 1 else ""
            await self._audit.note(
                request.operator, "done", f"bulk_{bulk.verb}", f"bulk={bulk.id}", queue=queue, **counts
            )
