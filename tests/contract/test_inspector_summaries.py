"""``Inspector.summaries``: the same numbers as ``Inspector.queue``, whatever a queue holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hustlex.jobs import QueueInfo, QueueSummary, State


async def test_summaries_count_as_queue_does(hx: Any) -> None:
    inspector = hx.jobs.inspector
    await hx.jobs.limit_queue("critical", max_size=500)
    for n in range(7):
        await hx.jobs.enqueue("gig:notify", task_id=f"p{n}", queue="critical")
        await hx.jobs.enqueue("gig:notify", task_id=f"s{n}", queue="critical", process_in=timedelta(hours=1))
        await hx.jobs.enqueue("gig:notify", task_id=f"g{n}", queue="critical", group=f"of {n % 2}")
    await inspector.archive("critical", "p0")
    await inspector.pause("critical")
    await hx.jobs.enqueue("a:b", queue="other")
    both = await inspector.summaries()
    assert [each.name for each in both] == ["critical", "other"] == await inspector.queues()
    [summary], info = await inspector.summaries(["critical"]), await inspector.queue("critical")
    shared = set(QueueSummary.__struct_fields__) & set(QueueInfo.__struct_fields__)
    assert shared == set(QueueSummary.__struct_fields__) - {"orphans", "quarantined", "waits_since"}
    assert {name: getattr(summary, name) for name in shared} == {name: getattr(info, name) for name in shared}
    assert (summary.pending, summary.scheduled, summary.archived, summary.groups, summary.limit) == (6, 7, 1, 2, 500)
    assert summary.waits_since is not None and summary.unfinished == 13 and summary.orphans == 0 and summary.paused


async def test_summaries_of_a_queue_that_nobody_knows_is_empty(hx: Any) -> None:
    [summary] = await hx.jobs.inspector.summaries(["nothing"])
    assert not any(getattr(summary, state.value, 0) for state in State) and summary.limit is None
