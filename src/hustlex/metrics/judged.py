"""What is judged of the whole system, as gauges: the doctor's checks, and what needs attention.

Neither names a queue, a task or a node: a check and a rule are words of ours, so their series are bounded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hustlex.errors import Error
from hustlex.metrics import attention
from hustlex.metrics.board import Figures
from hustlex.metrics.history import rooms_today
from hustlex.metrics.rounds import Rounds

if TYPE_CHECKING:
    from hustlex.app import HustleX
    from hustlex.diagnostics import Checkup
    from hustlex.jobs import QueueSummary, Server

_LEVELS = {"ok": 0.0, "info": 0.0, "warn": 1.0, "fail": 2.0}
"""What is unknown is no number."""
_CHECKED_S = 60.0
_MOST_GROUPS = 100


class DoctorGauges:
    """The brief check of one front, made once a minute however many scrape."""

    def __init__(self, front: HustleX) -> None:
        self._front = front
        self._figures: Figures = {}
        self._until = float("-inf")

    async def tell(self, figures: Figures) -> None:
        """The worst of each check, of all nodes of a server. Raises nothing for a server that does not answer."""
        if time.monotonic() >= self._until:
            self._figures = await self._look()
            self._until = time.monotonic() + _CHECKED_S
        figures.update(self._figures)

    async def _look(self) -> Figures:
        try:
            return judged(await self._front.diagnostics.check(brief=True))
        except Error:
            return {("hustlex_scrape_errors", ("doctor",)): [1.0]}


def judged(checkup: Checkup) -> Figures:
    """Each check of each server."""
    figures: Figures = {}
    for each in checkup.findings:
        if each.level in _LEVELS:
            series = "hustlex_doctor", (each.role, each.check)
            figures[series] = [max(figures.get(series, [0.0])[0], _LEVELS[each.level])]
    return figures


class AttentionGauges:
    """Each rule of one front that could be judged."""

    def __init__(self, front: HustleX) -> None:
        self._front = front
        self._rounds = Rounds(front)

    async def tell(self, figures: Figures, queues: Sequence[QueueSummary], workers: Sequence[Server]) -> None:
        """In 23 commands, three more once a minute, and one for each scheduler. Raises nothing for a server's trouble.

        queues, workers: as they were read for the other gauges.
        """
        now = datetime.now(UTC)
        _raise(figures, attention.JOB_RULES, attention.of_jobs(queues, workers, [], now))
        try:
            await self._ask(figures, now)
        except Error:
            figures["hustlex_scrape_errors", ("attention",)] = [1.0]

    async def _ask(self, figures: Figures, now: datetime) -> None:
        entries = await self._front.jobs.inspector.scheduler_entries()
        late = attention.of_jobs([], [], entries, now)
        _raise(figures, ("cron",), late)
        figures["hustlex_schedule_overdue", ()] = [float(len(late))]
        groups = await self._front.jobs.inspector.error_groups(size=_MOST_GROUPS)
        _raise(figures, ("errors",), attention.of_errors(groups, now))
        found = await rooms_today(self._front, attention.ROOM_RULES)
        _raise(figures, attention.ROOM_RULES, attention.of_rooms(found))
        await self._rounds.tell(figures)


def _raise(figures: Figures, rules: Sequence[str], found: Sequence[attention.Trouble]) -> None:
    for rule in rules:
        figures["hustlex_attention", (rule,)] = [float(any(each.rule == rule for each in found))]
