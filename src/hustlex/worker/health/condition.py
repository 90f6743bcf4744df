"""How a worker is: what keeps it, or a part of it, from taking work, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hustlex.worker.execute.executor import Runners
from hustlex.worker.journal import line_of
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import Service


def troubles(parts: Sequence[Service], sources: Sequence[QueueState], runners: Runners) -> dict[str, str]:
    """What keeps each part or queue that does not work from working, by its name."""
    found = {f"queue {source.name}": reason for source in sources if (reason := _of_queue(source, runners))}
    if reason := _of_slots(runners):
        found["slots"] = reason
    if reason := runners.trouble():
        found["runners"] = reason
    return found | {part.name: reason for part in parts if (reason := part.ill())}


def _of_queue(source: QueueState, runners: Runners) -> str:
    hung = sum(job.source is source for job in runners.hung) if source.most else 0
    if source.trouble or not source.most or hung < source.most:
        return source.trouble
    return f"all {source.most} tasks that may run at once were told to stop and do not end"


def _of_slots(runners: Runners) -> str:
    if len(runners.hung) < runners.limit:
        return ""
    types = ", ".join(map(line_of, sorted(hung_types(runners))))
    return f"all {runners.limit} slots are held by handlers that were told to stop and do not end: {types}"


def hung_types(runners: Runners) -> dict[str, int]:
    """How many handlers were told to stop and run on, by task type."""
    return dict(Counter(job.message.type for job in runners.hung))
