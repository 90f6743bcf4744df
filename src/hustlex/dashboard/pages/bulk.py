"""``/bulk`` and ``/bulk/{id}``: what is being changed at once, what would be, and what became of each task?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from hustlex.dashboard.request import PageContent, PageRequest
from hustlex.dashboard.runner import STILL_S
from hustlex.errors import NotFound
from hustlex.jobs import Bulk, BulkPhase, BulkReport, BulkVerb, ItemOutcome, QueueSummary

TYPED_OVER = 100
"""Tasks over which their number must be typed."""
_MOST_ARCHIVED = 9_999
_MOST_SUMMARIES = 6
_MOST_LISTED = 30
WORDS = {
    BulkVerb.RUN: "They run as soon as there are slots, behind what is pending. This cannot be undone.",
    BulkVerb.RETRY: "They are tried again as soon as there are slots. This cannot be undone.",
    BulkVerb.ARCHIVE: "They will not run by themselves. For an hour this can be undone.",
    BulkVerb.DELETE: "Their uniqueness locks are given back. For an hour this can be undone, up to 32 MiB of tasks.",
    BulkVerb.CANCEL: "What waits is archived, what runs is cut off, and none is tried again. This cannot be undone.",
    BulkVerb.RESCHEDULE: "Only when they start changes. For an hour this can be undone.",
}

TOLD = {
    ItemOutcome.WAITS: "-",
    ItemOutcome.DONE: "done",
    ItemOutcome.MOVED: "left alone: it is elsewhere now, or another task holds its lock",
    ItemOutcome.GONE: "left alone: it is there no more",
    ItemOutcome.REFUSED: "left alone: its queue is not yours",
    ItemOutcome.UNDONE: "put back",
    ItemOutcome.KEPT: "done, and not put back: it moved on, its id is taken, or nothing of it is kept",
}


async def bulks(request: PageRequest) -> PageContent:
    """Acts of the last day."""
    found = await request.hx.jobs.inspector.bulk.newest(_MOST_LISTED)
    return PageContent("bulks", "Bulk", {"bulks": [bulk for bulk in found if may_see(request, bulk)]})


async def bulk(request: PageRequest) -> PageContent:
    """One act: what it would do, how far it is, and what became of each task."""
    found = await seen(request, request.params["id"])
    report, summaries = BulkReport((), 1, 1), list[QueueSummary]()
    if found.phase is BulkPhase.READY:
        summaries = await request.hx.jobs.inspector.summaries(found.queues[:_MOST_SUMMARIES])
    if found.at:
        report = await request.hx.jobs.inspector.bulk.report(found.id, page=request.page_number())
    values = {
        "bulk": found,
        "report": report,
        "rows": report.items if found.at else [(item, ItemOutcome.WAITS) for item in found.sample],
        "told": TOLD,
        "words": list(_words(found, summaries)),
        "typed": found.planned > TYPED_OVER,
        "left": found.planned - found.at,
        "abandoned": found.moving and (datetime.now(UTC) - found.moved_at).total_seconds() > STILL_S,
    }
    return PageContent("bulk", f"{found.verb.value} {found.planned:,} tasks", values)


async def seen(request: PageRequest, bulk_id: str) -> Bulk:
    """An act that exists for this person. Raises NotFound."""
    found = await request.hx.jobs.inspector.bulk.get(bulk_id)
    if not may_see(request, found):
        raise NotFound(f"there is no bulk act {bulk_id!r}", hint="they are kept for a day")
    return found


def may_see(request: PageRequest, bulk: Bulk) -> bool:
    """All of them, or one's own: what was looked for may name any queue."""
    operator = request.operator
    return operator.sees_all_queues or (bulk.by == operator.name and all(map(operator.sees_queue, bulk.queues)))


def _words(bulk: Bulk, summaries: Sequence[QueueSummary]) -> Iterator[str]:
    """What the person must know, a sentence each."""
    if bulk.phase is BulkPhase.READY and bulk.planned:
        yield WORDS[bulk.verb]
    if bulk.start_at is not None:
        yield f"They are to start at {bulk.start_at:%Y-%m-%d %H:%M:%S} UTC."
    if not bulk.complete:
        yield f"More than {bulk.planned:,} match: these are the first; do the same again for the others."
    if bulk.unread:
        yield f"{bulk.unread:,} tasks may match and are left out: they are too large to look into, or cannot be read."
    for each in summaries:
        if each.paused and bulk.verb in (BulkVerb.RUN, BulkVerb.RETRY):
            yield f"Queue {each.name} is paused: what is pending there waits."
        new = sum(count.count for count in bulk.counts if count.queue == each.name)
        over = each.archived + new - _MOST_ARCHIVED
        if bulk.verb in (BulkVerb.ARCHIVE, BulkVerb.CANCEL) and over > 0:
            yield f"The archive of {each.name} keeps the newest {_MOST_ARCHIVED:,}: {over:,} of its oldest are dropped."
