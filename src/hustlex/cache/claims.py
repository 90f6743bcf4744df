"""Claims on a computation: the lease, the stamps that are read before it begins, and waiting for whoever holds it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import msgspec

from hustlex.cache import ops, reading
from hustlex.cache.computations import Computation, Compute
from hustlex.cache.frame import Tags
from hustlex.cache.ops import Busy, Found, Ours
from hustlex.cache.plan import CachePlan
from hustlex.cache.reading import SERVER_FAILURES, Usable, passed_over
from hustlex.core.op import Batch, Flow, Op, Sleep, Step, do
from hustlex.errors import Error

V = TypeVar("V")
T = TypeVar("T")

_FIRST_POLL_S = 0.01
_POLL_GROWTH = 1.6
_LONGEST_POLL_S = 0.25
SHORT_REST_MS = 100


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants. tags: known before it is computed."""

    entry: str
    compute: Compute
    ttl_ms: int
    tags: tuple[str, ...] = ()


class Leased(msgspec.Struct, frozen=True):
    """The lease is ours. stamps: of the tags, read before the computation. epoch: where more tags may come."""

    token: str
    stamps: Mapping[str, bytes]
    epoch: Mapping[bytes, bytes]


class Alone(msgspec.Struct, frozen=True):
    """No lease to be had: compute without storing. unsettled: the server may have given us one all the same."""

    unsettled: bool = False


Claim = Usable[V] | Leased | Alone


def claim(
    plan: CachePlan[V], ask: Wanted, token: str, computation: Computation, spare: Usable[V] | None
) -> Flow[Claim[V]]:
    """Take the lease, or wait for whoever holds it: poll until a value appears, the lease is free, or ``wait`` ends."""
    until = plan.entropy.monotonic() + plan.policy.wait_ms / 1000
    over_entry = spare is not None
    polls = 0
    while True:
        computation.advance()
        answer = yield from take(plan, ask, token, spare) if over_entry else _getl(plan, ask, token)
        if isinstance(answer, Found):  # unreadable for us: another version's, or past its time
            over_entry = True
            continue
        if not isinstance(answer, Busy):
            return answer
        if answer.kind == ops.COOLING and spare is not None:
            plan.rest(ask.entry, answer.left_ms or SHORT_REST_MS)
            return spare
        if answer.kind != ops.COMPUTING:
            return Alone()
        plan.counts.add("wait", "polled")
        if plan.entropy.monotonic() >= until:
            plan.counts.add("wait", "timeout")
            return Alone()
        yield Sleep(poll_s(plan, polls, answer.left_ms))
        polls += 1


def _getl(plan: CachePlan[V], ask: Wanted, token: str) -> Flow[Claim[V] | Found | Busy]:
    policy = plan.policy
    getl = ops.getl(ask.entry, plan.lease(ask.entry), token, policy.lease_ms, policy.timeout_ms)
    asked = before(plan, ask.tags, ask.ttl_ms)
    if not asked:
        answer = yield from tried(plan, getl)
        stamps: list[Any] = []
    else:
        answer, *stamps = yield Batch((getl, *asked))
        if isinstance(answer, Error):
            passed_over(plan, answer)
    if isinstance(answer, Found):
        found = yield from reading.judge(plan, answer.raw, answer.left_ms, dict(zip(ask.tags, stamps, strict=False)))
        return found if isinstance(found, Usable) and found.serves else answer
    if isinstance(answer, Error):
        return Alone(answer.maybe_executed)
    return _owned(plan, ask, token, stamps) if isinstance(answer, Ours) else answer


def take(plan: CachePlan[V], ask: Wanted, token: str, judged: Usable[V] | None) -> Flow[Claim[V] | Busy]:
    """As ``_getl``, over an entry; gives the lease back if another one, a fresh one, was stored since ``judged``."""
    policy, lease = plan.policy, plan.lease(ask.entry)
    taken = ops.take(ask.entry, lease, token, policy.lease_ms, policy.timeout_ms)
    holder, raw, left_ms, *stamps = yield Batch((*taken, *before(plan, ask.tags, ask.ttl_ms)))
    for failure in (holder, raw, left_ms):
        if isinstance(failure, Error):
            passed_over(plan, failure)
            return Alone(unsettled=True)
    found = yield from reading.judge(plan, raw, left_ms, dict(zip(ask.tags, stamps, strict=False)))
    newer = judged is None or not isinstance(found, Usable) or found.entry.frame != judged.entry.frame
    if isinstance(found, Usable) and found.state == "fresh" and newer:
        if isinstance(holder, Ours):
            yield from release(plan, lease, token)
        return found
    if isinstance(holder, Ours):
        return _owned(plan, ask, token, stamps)
    busy: Busy = holder
    return busy


def before(plan: CachePlan[Any], tags: tuple[str, ...], ttl_ms: int) -> tuple[Op[Any], ...]:
    """What must be known before a computation begins: the stamps of its tags, and what tells of more of them."""
    timeout_ms, needed, draw = plan.policy.timeout_ms, plan.needed_ms(ttl_ms), plan.entropy.stamp
    stamps = tuple(ops.stamp(plan.stamp(tag), draw(16), needed, timeout_ms) for tag in tags)
    return stamps if plan.policy.value_tags is None else (*stamps, ops.epoch(plan.epoch, draw(8), timeout_ms))


def _owned(plan: CachePlan[Any], ask: Wanted, token: str, answers: list[Any]) -> Leased | Alone:
    for answer in answers:
        if isinstance(answer, Error):
            passed_over(plan, answer)
            return Alone(unsettled=True)
    epoch = answers[len(ask.tags)] if len(answers) > len(ask.tags) else {}
    return Leased(token, dict(zip(ask.tags, answers, strict=False)), epoch)


def release(plan: CachePlan[Any], lease: str, token: str) -> Flow[bool]:
    """Give the lease back. True: it still stood, so no invalidation of the key ran since it was taken."""
    released = yield from tried(plan, ops.release(lease, token, plan.policy.timeout_ms))
    return released is True


def poll_s(plan: CachePlan[Any], polls: int, left_ms: int) -> float:
    spread = 0.8 + 0.4 * plan.entropy.draw()
    seconds = min(_LONGEST_POLL_S, _FIRST_POLL_S * _POLL_GROWTH**polls) * spread
    return min(seconds, (left_ms + 1) / 1000) if left_ms else seconds


def tried(plan: CachePlan[Any], op: Op[T]) -> Generator[Step, Any, T | Error]:
    """Run an operation whose failure must not reach the caller; the failure is the answer."""
    try:
        return (yield from do(op))
    except SERVER_FAILURES as failure:
        passed_over(plan, failure)
        return failure


def tagged(
    plan: CachePlan[V], known: tuple[str, ...], leased: Leased, value: V | None, ttl_ms: int
) -> Flow[Tags | None]:
    """The tags with their stamps. None: one that only the value knows may have been invalidated meanwhile."""
    before = tuple(leased.stamps.items())
    more = plan.tags_of(value, known)
    if not more:
        return before
    policy, needed = plan.policy, plan.needed_ms(ttl_ms)
    stamps = tuple(ops.stamp(plan.stamp(tag), plan.entropy.stamp(16), needed, policy.timeout_ms) for tag in more)
    answers = yield Batch(stamps)
    epoch = yield from tried(plan, ops.epoch(plan.epoch, plan.entropy.stamp(8), policy.timeout_ms))
    if isinstance(epoch, Error):
        return None
    failed = next((each for each in answers if isinstance(each, Error)), None)
    if failed is not None:
        passed_over(plan, failed)
        return None
    fields = (b"i", *(b"%d" % ops.group(tag) for tag in more))
    if any(epoch.get(field) != leased.epoch.get(field) for field in fields):
        return None
    return before + tuple(zip(more, answers, strict=True))
