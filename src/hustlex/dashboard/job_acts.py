"""Acts on how many tasks a queue may hold."""

from __future__ import annotations

from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.targets import Target, whole_of


async def limit_queue(request: PageRequest, target: Target) -> None:
    """Refuse what would make it more than so many unfinished tasks."""
    await request.hx.jobs.limit_queue(target.queue, max_size=whole_of(target.most))


async def lift_limit(request: PageRequest, target: Target) -> None:
    """Take any number again."""
    await request.hx.jobs.limit_queue(target.queue, max_size=None)
