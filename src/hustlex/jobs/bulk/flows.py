"""Bulk acts, step by step. Whoever makes a step reads the act, does some of it, and writes the next version down; what
two do at the same time has one effect, and one of them is told that the other was first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from hustlex.core.op import Batch, Flow, do
from hustlex.errors import Conflict, Error, NotFound
from hustlex.jobs import lookup
from hustlex.jobs.bulk import ops
from hustlex.jobs.bulk.ops import MOST_ITEMS, Stored
from hustlex.jobs.bulk.types import Bulk, BulkCount, BulkItem, BulkPhase, BulkReport, BulkVerb, ItemOutcome
from hustlex.jobs.inspect import act
from hustlex.jobs.inspect.types import Cancellation, NeverRuns, Stopping
from hustlex.jobs.search import flows as searching
from hustlex.jobs.search.match import View
from hustlex.jobs.search.query import parse
from hustlex.jobs.types import State

_AT_ONCE = 100
"""Tasks of one step."""
_PER_SEARCH = 500
_SEARCH_BYTES = 1024 * 1024
_MOST_COUNTS = 50
_SAMPLE = 10
_PAGE = 50
_TRIES = 20
_FAILED = (State.RETRY, State.ARCHIVED)
_WAITING = (State.SCHEDULED, State.RETRY, State.PENDING, State.AGGREGATING)
_FOR = {
    BulkVerb.RUN: (State.SCHEDULED, State.RETRY, State.ARCHIVED, State.COMPLETED, State.AGGREGATING),
    BulkVerb.RETRY: _FAILED,
    BulkVerb.ARCHIVE: _WAITING,
    BulkVerb.DELETE: (*_WAITING, State.ARCHIVED, State.COMPLETED),
    BulkVerb.CANCEL: (*_WAITING, State.ACTIVE),
    BulkVerb.RESCHEDULE: (State.SCHEDULED, State.RETRY),
}
"""States of tasks to which each can be done; others are not among what is planned."""

May = Callable[[str], bool]
"""Whether whoever acts may touch a queue."""


def plan(stored: Stored, made_ms: int) -> Flow[Bulk]:
    """Write a new act down."""
    written = yield from do(ops.advance(b"", stored))
    if not written and (yield from do(ops.load_one(stored.bulk.id)))[0] != stored:  # a reply may have been lost
        raise Conflict("there is such a bulk act already", hint="plan it again")
    yield Batch((ops.remember(stored.bulk.id, made_ms), ops.forget_oldest()))
    return stored.bulk


def get(bulk_id: str) -> Flow[Bulk]:
    """One act. Raises NotFound."""
    stored, _ = yield from do(ops.load_one(bulk_id))
    return stored.bulk


def every(count: int) -> Flow[list[Bulk]]:
    """Acts of the last day, newest first."""
    names = yield from do(ops.newest(count))
    answers: list[Any] = (yield Batch(tuple(ops.load_one(name) for name in names))) if names else []
    for answer in answers:
        if isinstance(answer, Error) and not isinstance(answer, NotFound):
            raise answer
    return [answer[0].bulk for answer in answers if not isinstance(answer, Error)]


def report(bulk_id: str, number: int) -> Flow[BulkReport]:
    """What became of 50 of its tasks."""
    stored, _ = yield from do(ops.load_one(bulk_id))
    first = _PAGE * (number - 1)
    found = yield from do(ops.items(bulk_id, first, _PAGE))
    letters = yield from do(ops.letters(bulk_id, first, _PAGE))
    outcomes = [ItemOutcome(letter) for letter in letters.ljust(len(found), ItemOutcome.WAITS.value)]
    last = max(1, -(-stored.bulk.planned // _PAGE))
    return BulkReport(tuple(zip(found, outcomes, strict=False)), number, last)


def turn(bulk_id: str, allowed: Sequence[BulkPhase], becomes: BulkPhase, *, back: bool = False) -> Flow[Bulk]:
    """Another phase. back: it is gone through from the start. Raises NotFound, Conflict when it is in none of these."""
    for _ in range(_TRIES):
        stored, was = yield from do(ops.load_one(bulk_id))
        bulk = stored.bulk
        if bulk.phase is becomes:
            return bulk
        if bulk.phase not in allowed or (back and not bulk.can_be_undone):
            raise Conflict(f"this bulk act is {bulk.phase.value}", hint="look at it again")
        changed = msgspec.structs.replace(bulk, phase=becomes, at=0 if back else bulk.at, trouble="", moved_at=_now())
        if (yield from do(ops.advance(was, msgspec.structs.replace(stored, bulk=changed)))):
            return changed
    raise Conflict("this bulk act is being changed by others all the time", hint="try again")


def halt(bulk_id: str, why: str) -> Flow[Bulk]:
    """Pause it by itself, and say why."""
    stored, was = yield from do(ops.load_one(bulk_id))
    phase = BulkPhase.PAUSED if stored.bulk.phase is BulkPhase.RUNNING else stored.bulk.phase
    changed = msgspec.structs.replace(stored.bulk, phase=phase, trouble=why, moved_at=_now())
    yield from do(ops.advance(was, msgspec.structs.replace(stored, bulk=changed)))
    return changed


def step(bulk_id: str, may: May | None, view: View | None, now_ms: int) -> Flow[Bulk]:
    """One step of whatever it is at; nothing, where it waits for somebody."""
    stored, was = yield from do(ops.load_one(bulk_id))
    match stored.bulk.phase:
        case BulkPhase.SEARCHING:
            return (yield from _look_further(stored, was, view, now_ms))
        case BulkPhase.RUNNING | BulkPhase.UNDOING:
            return (yield from _go_further(stored, was, may, now_ms))
    return stored.bulk


def _look_further(stored: Stored, was: bytes, view: View | None, now_ms: int) -> Flow[Bulk]:
    bulk, search = stored.bulk, stored.search
    if search is None:
        raise Conflict("this bulk act has nothing to look for", hint="plan it again")
    names = search.queues if search.queues is not None else (yield from do(lookup.queues()))
    budget = searching.Budget(bytes=_SEARCH_BYTES, size=min(_PER_SEARCH, MOST_ITEMS - bulk.planned))
    found = yield from searching.search(parse(search.query, search.now_s), names, search.cursor, view, budget, now_ms)
    items = [
        BulkItem(task.queue, task.id, task.state, task.type) for task in found.tasks if task.state in _FOR[bulk.verb]
    ]
    full = bulk.planned + len(items) >= MOST_ITEMS
    ended = full or not found.cursor
    changed = msgspec.structs.replace(
        bulk,
        planned=bulk.planned + len(items),
        looked_at=bulk.looked_at + found.looked_at,
        unread=bulk.unread + len(found.unread),
        complete=not (full and found.cursor),
        counts=_counted(bulk.counts, items),
        queues=tuple(sorted({*bulk.queues, *(item.queue for item in items)})),
        sample=(*bulk.sample, *items)[:_SAMPLE],
        phase=BulkPhase.READY if ended else BulkPhase.SEARCHING,
        moved_at=_now(),
    )
    further = None if ended else msgspec.structs.replace(search, cursor=found.cursor)
    return (yield from _written(was, Stored(changed, further), items=items))


def _go_further(stored: Stored, was: bytes, may: May | None, now_ms: int) -> Flow[Bulk]:
    bulk = stored.bulk
    found = yield from do(ops.items(bulk.id, bulk.at, _AT_ONCE))
    if bulk.phase is BulkPhase.UNDOING:
        before = yield from do(ops.letters(bulk.id, bulk.at, len(found) or 1))
        outcomes = yield from _undo(bulk, found, before, may, now_ms)
    else:
        outcomes = yield from _act(bulk, found, may, now_ms)
    letters = "".join(outcome.value for outcome in outcomes)
    for _ in range(_TRIES):
        changed = _progressed(stored.bulk, Counter(outcomes), len(found), undoing=bulk.phase is BulkPhase.UNDOING)
        becomes = msgspec.structs.replace(stored, bulk=changed)
        if (yield from do(ops.advance(was, becomes, at=bulk.at, letters=letters))):
            return changed
        stored, was = yield from do(ops.load_one(bulk.id))
        turned = stored.bulk.phase is not bulk.phase and stored.bulk.phase not in _HELD
        if stored.bulk.at != bulk.at or turned:
            return stored.bulk  # somebody else made this step
    return stored.bulk


_SKIPPED = (ItemOutcome.MOVED, ItemOutcome.GONE, ItemOutcome.REFUSED)
_HELD = (BulkPhase.PAUSED, BulkPhase.STOPPED)
"""Into which an act may be turned in the middle of a step, whose tasks count all the same."""


def _progressed(bulk: Bulk, told: Counter[ItemOutcome], count: int, *, undoing: bool) -> Bulk:
    at = bulk.at + count
    ended = (not count or at >= bulk.planned) and bulk.moving
    return msgspec.structs.replace(
        bulk,
        at=at,
        done=bulk.done + (0 if undoing else told[ItemOutcome.DONE]),
        skipped=bulk.skipped + (0 if undoing else sum(told[each] for each in _SKIPPED)),
        undone=bulk.undone + told[ItemOutcome.UNDONE],
        phase=(BulkPhase.UNDONE if undoing else BulkPhase.DONE) if ended else bulk.phase,
        trouble="" if bulk.moving else bulk.trouble,
        moved_at=_now(),
    )


def _act(bulk: Bulk, found: Sequence[BulkItem], may: May | None, now_ms: int) -> Flow[list[ItemOutcome]]:
    outcomes = [ItemOutcome.REFUSED if may and not may(item.queue) else ItemOutcome.WAITS for item in found]
    if bulk.verb is BulkVerb.CANCEL:
        return (yield from _cancel(found, outcomes, now_ms))
    return (yield from _each_queue(found, outcomes, lambda queue, part: ops.take(bulk, queue, part, now_ms)))


def _undo(bulk: Bulk, found: Sequence[BulkItem], before: str, may: May | None, now_ms: int) -> Flow[list[ItemOutcome]]:
    """What is kept of a task says whether anything was done to it; of all others the report says what it said."""
    outcomes = [ItemOutcome.KEPT if may and not may(item.queue) else ItemOutcome.WAITS for item in found]
    outcomes = yield from _each_queue(found, outcomes, lambda queue, part: ops.put_back(bulk, queue, part, now_ms))
    told = [ItemOutcome(letter) for letter in before.ljust(len(found), ItemOutcome.WAITS.value)]
    touched = (ItemOutcome.DONE, ItemOutcome.UNDONE)
    for n, (outcome, was) in enumerate(zip(outcomes, told, strict=True)):
        if outcome is ItemOutcome.WAITS or (outcome is ItemOutcome.KEPT and was not in touched):
            outcomes[n] = ItemOutcome.KEPT if was in touched else was
    return outcomes


def _each_queue(
    found: Sequence[BulkItem],
    outcomes: list[ItemOutcome],
    make: Callable[[str, Sequence[BulkItem]], Any],
) -> Flow[list[ItemOutcome]]:
    """One call for each queue, in one write; their answers in the order of the items."""
    places: dict[str, list[int]] = {}
    for n, item in enumerate(found):
        if outcomes[n] is ItemOutcome.WAITS:
            places.setdefault(item.queue, []).append(n)
    asked = tuple(make(queue, [found[n] for n in numbers]) for queue, numbers in places.items())
    answers: list[Any] = (yield Batch(asked)) if asked else []
    for numbers, answer in zip(places.values(), answers, strict=True):
        if isinstance(answer, Error):
            raise answer
        for n, outcome in zip(numbers, answer, strict=True):
            outcomes[n] = outcome
    return outcomes


def _cancel(found: Sequence[BulkItem], outcomes: list[ItemOutcome], now_ms: int) -> Flow[list[ItemOutcome]]:
    """Those that wait never start; whoever runs the others is told."""
    numbers = [n for n, outcome in enumerate(outcomes) if outcome is ItemOutcome.WAITS]
    asked = tuple(act.forbid(found[n].queue, found[n].id, now_ms) for n in numbers)
    answers: list[Any] = (yield Batch(asked)) if asked else []
    for n, answer in zip(numbers, answers, strict=True):
        if isinstance(answer, Error):
            raise answer
        if isinstance(answer, Stopping):
            yield from act.cancel(found[n].id)
        outcomes[n] = _told(answer)
    return outcomes


def _told(answer: Cancellation | None) -> ItemOutcome:
    if isinstance(answer, NeverRuns | Stopping):
        return ItemOutcome.DONE
    return ItemOutcome.GONE if answer is not None and answer.state is None else ItemOutcome.MOVED


def _written(
    was: bytes, becomes: Stored, *, items: Sequence[BulkItem] = (), at: int = 0, letters: str = ""
) -> Flow[Bulk]:
    """The next version, or the one that somebody else wrote meanwhile."""
    if (yield from do(ops.advance(was, becomes, items=items, at=at, letters=letters))):
        return becomes.bulk
    stored, _ = yield from do(ops.load_one(becomes.bulk.id))
    return stored.bulk


def _counted(known: Sequence[BulkCount], items: Sequence[BulkItem]) -> tuple[BulkCount, ...]:
    counts = Counter({(each.queue, each.state, each.type): each.count for each in known})
    counts.update((item.queue, item.state, item.type) for item in items)
    return tuple(BulkCount(*name, count) for name, count in counts.most_common(_MOST_COUNTS))


def _now() -> datetime:
    return datetime.now(UTC)
