"""How a queue stands, in one word. Judges what was read; asks nobody."""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.jobs.inspect.types import QueueSummary, Server

_SERVING = ("new", "active")


def serving(queue: str, servers: Sequence[Server]) -> list[Server]:
    """Living workers that take tasks of a queue."""
    return [server for server in servers if queue in server.queues and server.status in _SERVING]


def state_of(queue: QueueSummary, servers: Sequence[Server]) -> str:
    """The word for a queue: paused, unserved, full, running or idle."""
    if queue.paused:
        return "paused"
    if queue.unfinished and not serving(queue.name, servers):
        return "unserved"
    if queue.limit is not None and queue.unfinished >= queue.limit:
        return "full"
    return "running" if queue.active or queue.pending else "idle"
