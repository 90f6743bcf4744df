"""The jobs room's stories of several steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from hustlex.core.op import Batch, Flow, Op, do
from hustlex.errors import Error
from hustlex.jobs.enqueue import ops
from hustlex.jobs.enqueue.draft import Draft
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.ids import new_token, nth
from hustlex.jobs.types import Outcome, PartlyEnqueued

_MOST_CALLS = 16
"""Script calls in flight of one enqueue_many: 8,000 tasks."""
_MOST_BYTES = 8 * 1024 * 1024
"""Of the messages of one call."""


def enqueue(draft: Draft, token: str, now_ms: int, known: KnownQueues) -> Flow[Outcome]:
    """One task; the queue is registered in the same write when this client has not done so lately."""
    op = ops.enqueue((draft,), token, now_ms)
    if known.missing(draft.queue):
        answer = (yield from _registered(known, {draft.queue}, [op], timed=draft.plain))[0]
        if isinstance(answer, Error):
            raise answer
        outcome: Outcome = answer[0]
        return outcome
    return (yield from do(op))[0]


def enqueue_many(drafts: Sequence[Draft], now_ms: int, known: KnownQueues) -> Flow[list[Outcome]]:
    """Many tasks of any queues; up to 500 of one queue (8 MiB) are one atomic step. Outcomes in the order given.

    Raises PartlyEnqueued when some script calls failed and others did not.
    """
    results: list[Any] = [None] * len(drafts)
    calls = list(_calls(drafts))
    for start in range(0, len(calls), _MOST_CALLS):
        window = calls[start : start + _MOST_CALLS]
        token = new_token()  # named when it is sent: the server knows it for a while from the first of its set
        batch = [ops.enqueue([drafts[n] for n in call], nth(token, at), now_ms) for at, call in enumerate(window)]
        fresh = {drafts[call[0]].queue for call in window if known.missing(drafts[call[0]].queue)}
        answers = yield from _registered(known, fresh, batch, timed=drafts[0].plain)
        for call, answer in zip(window, answers, strict=True):
            for at, n in enumerate(call):
                results[n] = answer if isinstance(answer, Error) else answer[at]
    return _settled(results)


def _calls(drafts: Sequence[Draft]) -> Iterator[list[int]]:
    """Positions of the drafts, split by queue and into chunks."""
    by_queue: dict[str, list[int]] = {}
    for position, draft in enumerate(drafts):
        by_queue.setdefault(draft.queue, []).append(position)
    for positions in by_queue.values():
        yield from _chunks(drafts, positions)


def _chunks(drafts: Sequence[Draft], positions: Sequence[int]) -> Iterator[list[int]]:
    """Of 500 drafts at most, and of no more bytes than go well together."""
    chunk: list[int] = []
    size = 0
    for position in positions:
        size += len(drafts[position].message)
        if len(chunk) == ops.MOST_AT_ONCE or (chunk and size > _MOST_BYTES):
            yield chunk
            chunk, size = [], len(drafts[position].message)
        chunk.append(position)
    yield chunk


def _registered(
    known: KnownQueues, queues: set[str], batch: list[Op[list[Outcome]]], *, timed: bool
) -> Flow[list[Any]]:
    """Send the batch behind the registration of its queues. timed: ask their servers for the time as well.

    A failed registration is made up for by the next call.
    """
    asked, questions = known.monotonic(), [ops.register(queue) for queue in queues]
    times = [ops.server_time(queue) for queue in queues] if timed else []
    answers: list[Any] = yield Batch((*questions, *times, *batch))
    behind = len(questions) + len(times)
    for queue, registered, time_s in zip_longest(queues, answers[: len(queues)], answers[len(queues) : behind]):
        if not isinstance(registered, Error):
            known.note(queue, asked, time_s if isinstance(time_s, float) else 0.0)
    return answers[behind:]


def _settled(results: list[Any]) -> list[Outcome]:
    failed = [result for result in results if isinstance(result, Error)]
    if not failed:
        return results
    if len(failed) == len(results):
        raise failed[0]
    raise PartlyEnqueued(results, op="jobs.enqueue")
