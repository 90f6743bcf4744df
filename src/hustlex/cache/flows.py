"""What the cache decides, step by step; the same generators serve tasks and threads.

Three rules keep a value from outliving an invalidation. A computation stores only while its lease stands, and an
invalidation deletes the lease. A result is shared only with callers that provably asked early enough (``flights``).
And a flight is sealed before the step that proves it, so that nobody boards between the proof and its arrival.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

from hustlex.cache import ops
from hustlex.cache.circles import Circle, Impatient
from hustlex.cache.codec import DecodedEntry
from hustlex.cache.flights import Compute, Flight, Landed, Seat
from hustlex.cache.frame import NEGATIVE_BODY, BadFrame
from hustlex.cache.ops import Busy, Found, Ours
from hustlex.cache.plan import CachePlan
from hustlex.cache.types import EntryKey, Hit, Miss
from hustlex.core.op import Batch, Call, Flow, Op, Sleep, Step, do
from hustlex.errors import BadReply, Error, Misuse, OutcomeUnknown, Refused, Unavailable

V = TypeVar("V")
D = TypeVar("D")
T = TypeVar("T")
K = TypeVar("K")

SERVER_FAILURES = (Unavailable, Refused, OutcomeUnknown, BadReply)
"""Passed over by reads, which compute instead. Misuse and ConfigurationError are not: they would never end."""

Judged = DecodedEntry[V] | BadFrame | Error | None
"""A usable entry, an unusable one, a failed call, or nothing there."""

_ROUNDS = 3
"""How often a caller is turned away by unproven flights before it computes for itself."""
_FIRST_POLL_S = 0.01
_POLL_GROWTH = 1.6
_LONGEST_POLL_S = 0.25
_LARGEST_BATCH = 1000


class Made(msgspec.Struct, frozen=True):
    """A computed value, its body, and how long it took."""

    value: Any
    body: bytes
    delta_ms: int


class Alone(msgspec.Struct, frozen=True):
    """No lease to be had: compute without storing. unsettled: the server may have given us one all the same."""

    unsettled: bool = False


# -- plain reads and writes


def get(plan: CachePlan[V], entry: str, default: D) -> Flow[V | D | None]:
    """The value, or the default."""
    found = _counted(plan, (yield from _read(plan, entry)))
    return found.value if isinstance(found, DecodedEntry) else default


def get_many(plan: CachePlan[V], entries: Mapping[K, str]) -> Flow[dict[K, V | None]]:
    """What is there, in the order asked; each entry fetched once."""
    raws: dict[str, Any] = {}
    wanted = list(dict.fromkeys(entries.values()))
    for start in range(0, len(wanted), _LARGEST_BATCH):
        part = wanted[start : start + _LARGEST_BATCH]
        answers = yield Batch(tuple(ops.get(entry, plan.policy.timeout_ms) for entry in part))
        raws.update(zip(part, answers, strict=True))
    found: dict[K, V | None] = {}
    for key, entry in entries.items():
        reading = _counted(plan, _judged(plan, raws[entry]))
        if isinstance(reading, DecodedEntry):
            found[key] = reading.value
    return found


def lookup(plan: CachePlan[V], entry: str) -> Flow[Hit[V] | Miss]:
    """The value with its age, in one round trip."""
    timeout_ms = plan.policy.timeout_ms
    raw, left_ms = yield Batch((ops.get(entry, timeout_ms), ops.life(entry, timeout_ms)))
    reading = _counted(plan, _judged(plan, raw))
    if isinstance(left_ms, Error) or not isinstance(reading, DecodedEntry):
        return Miss()
    now_ms = plan.clock()
    if reading.fresh_ms and now_ms:
        left_ms = reading.created_ms + reading.fresh_ms - now_ms
    age_ms = max(0, reading.fresh_ms - left_ms) if reading.fresh_ms else None
    age = None if age_ms is None else timedelta(milliseconds=age_ms)
    return Hit(reading.value, timedelta(milliseconds=max(0, left_ms)), age)


def put(plan: CachePlan[V], values: Mapping[EntryKey, V | None], ttl_ms: int) -> Flow[None]:
    """Store by entry. Encodes all before anything is sent."""
    writes = [_put_op(plan, entry, value, ttl_ms) for entry, value in values.items()]
    yield from _write(plan, list(values), writes)


def invalidate(plan: CachePlan[Any], entries: Sequence[str]) -> Flow[None]:
    """Remove entries and leases. A failure is raised after all were tried: a lost invalidation is stale data."""
    yield from _write(plan, entries, [ops.unlink(entry, plan.lease(entry)) for entry in entries])
    plan.counts.add("calls", "invalidated", len(entries))


def _put_op(plan: CachePlan[V], entry: str, value: V | None, ttl_ms: int) -> Op[bool]:
    _, body = plan.codec.write(value)
    life_ms = plan.life_ms(body, ttl_ms)
    stored = plan.codec.pack(body, life_ms, 1)
    if len(stored) > plan.policy.max_value:
        raise Misuse(
            f"the value has {len(stored)} bytes, over max_value {plan.policy.max_value}",
            hint="cache smaller values, or raise max_value",
        )
    return ops.put(entry, plan.lease(entry), plan.clock(), stored, life_ms)


def _write(plan: CachePlan[Any], entries: Sequence[str], writes: Sequence[Op[Any]]) -> Flow[None]:
    """Detach flights before sending, so that nobody boards a doomed one, and again once the write is done."""
    failure: Error | None = None
    _detach(plan, entries)
    try:
        for start in range(0, len(writes), _LARGEST_BATCH):
            answers = yield Batch(tuple(writes[start : start + _LARGEST_BATCH]))
            failure = failure or next((answer for answer in answers if isinstance(answer, Error)), None)
    finally:
        _detach(plan, entries)
    if failure is not None:
        raise failure


def _detach(plan: CachePlan[Any], entries: Sequence[str]) -> None:
    for entry in entries:
        plan.flights.detach(entry)


# -- get or compute


def obtain(plan: CachePlan[Any], entry: str, compute: Compute, ttl_ms: int) -> Flow[Any]:
    """The cached value, or the computed one; at most one computation for this caller.

    One that would wait for itself, by whatever way, is computed without storing.
    """
    try:
        return (yield from _obtain(plan, entry, compute, ttl_ms))
    except Circle:
        plan.counts.circled()
    made = yield from _make(plan, plan.flights.around(entry, compute))
    return made.value


def _obtain(plan: CachePlan[Any], entry: str, compute: Compute, ttl_ms: int) -> Flow[Any]:
    for _ in range(_ROUNDS):
        seat = plan.flights.find(entry)
        if seat is None:
            found = yield from _read(plan, entry)
            if isinstance(found, DecodedEntry):
                _counted(plan, found)
                return found.value
            if isinstance(found, Error):
                break
            seat = plan.flights.board(entry, lambda flight: lead(plan, entry, compute, ttl_ms, flight))
        try:
            landed = yield from _aboard(seat, plan.patience_s)
        except Impatient:
            plan.counts.add("wait", "timeout")
            break
        if landed is not None:
            plan.counts.add("requests", "miss")
            return landed.value if seat.leading else plan.codec.copy(landed.body)
    plan.counts.add("requests", "bypass")
    made = yield from _make(plan, plan.gate(compute))
    return made.value


def _aboard(seat: Seat, patience_s: float) -> Generator[Step, Any, Landed | None]:
    try:
        landed: Landed | None = yield Call(partial(seat.wait, patience_s))
    finally:
        seat.leave()
    return landed


def lead(plan: CachePlan[V], entry: str, compute: Compute, ttl_ms: int, flight: Flight) -> Flow[Landed]:
    """The flight itself: claim the lease, compute, store. Whatever ends it early gives the lease back."""
    lease, token = plan.lease(entry), f"{ops.COMPUTING}:{plan.dice.token()}"
    try:
        claim = yield from _claim(plan, entry, token, flight)
        if isinstance(claim, DecodedEntry):
            return Landed(claim.value, claim.body, proven=False)
        flight.advance()
        if isinstance(claim, Ours):
            return (yield from _leased(plan, entry, token, compute, ttl_ms, flight))
        flight.seal()
        made = yield from _make(plan, plan.gate(compute))
        if claim.unsettled:
            yield from _release(plan, lease, token)
        return Landed(made.value, made.body, proven=False)
    except GeneratorExit:
        raise
    except BaseException:
        yield from _release(plan, lease, token)
        raise


def _leased(plan: CachePlan[V], entry: str, token: str, compute: Compute, ttl_ms: int, flight: Flight) -> Flow[Landed]:
    lease, policy = plan.lease(entry), plan.policy
    renew = ops.renew(lease, token, policy.lease_ms, policy.timeout_ms)
    made = yield from _make(plan, plan.flights.kept(compute, renew, policy.lease_ms / 3000))
    life_ms = plan.life_ms(made.body, ttl_ms)
    stored = plan.codec.pack(made.body, life_ms, made.delta_ms)
    flight.seal()
    if len(stored) > policy.max_value:
        plan.counts.too_big(len(stored), policy.max_value)
        proven = yield from _release(plan, lease, token)
        return Landed(made.value, made.body, proven)
    filled = yield from _tried(plan, ops.fill(entry, lease, token, plan.clock(), stored, life_ms, policy.timeout_ms))
    if isinstance(filled, Error):
        plan.counts.add("fill", "failed")
        yield from _release(plan, lease, token)
        return Landed(made.value, made.body, proven=False)
    plan.counts.add("fill", "stored" if filled else "refused")
    return Landed(made.value, made.body, proven=filled)


def _make(plan: CachePlan[V], compute: Compute) -> Flow[Made]:
    """Compute, and hand out what a later hit would be, so that the first caller sees the same as all others."""
    started = plan.dice.monotonic()
    try:
        value = yield Call(compute)
    except Exception:
        plan.counts.add("origin", "error")
        raise
    plan.counts.add("origin", "ok")
    delta_ms = int((plan.dice.monotonic() - started) * 1000)
    return Made(*plan.codec.write(value), delta_ms)


# -- the lease


def _claim(plan: CachePlan[V], entry: str, token: str, flight: Flight) -> Flow[DecodedEntry[V] | Ours | Alone]:
    """Take the lease, or wait for whoever holds it: poll until a value appears, the lease is free, or ``wait`` ends."""
    until = plan.dice.monotonic() + plan.policy.wait_ms / 1000
    over_entry = False
    polls = 0
    while True:
        flight.advance()
        answer = yield from _take(plan, entry, token) if over_entry else _getl(plan, entry, token)
        if isinstance(answer, Found):  # unreadable for us: another version's, or past its time
            over_entry = True
            continue
        if not isinstance(answer, Busy):
            return answer
        if answer.kind != ops.COMPUTING:
            return Alone()
        plan.counts.add("wait", "polled")
        if plan.dice.monotonic() >= until:
            plan.counts.add("wait", "timeout")
            return Alone()
        yield Sleep(_poll_s(plan, polls, answer.left_ms))
        polls += 1


def _getl(plan: CachePlan[V], entry: str, token: str) -> Flow[DecodedEntry[V] | Found | Ours | Busy | Alone]:
    policy = plan.policy
    answer = yield from _tried(plan, ops.getl(entry, plan.lease(entry), token, policy.lease_ms, policy.timeout_ms))
    if isinstance(answer, Found):
        reading = _judged(plan, answer.raw)
        return reading if isinstance(reading, DecodedEntry) else answer
    return Alone(answer.maybe_executed) if isinstance(answer, Error) else answer


def _take(plan: CachePlan[V], entry: str, token: str) -> Flow[DecodedEntry[V] | Ours | Busy | Alone]:
    """As ``_getl``, over an unusable entry; gives the lease back if a usable one was stored meanwhile."""
    policy, lease = plan.policy, plan.lease(entry)
    holder, raw = yield Batch(ops.take(entry, lease, token, policy.lease_ms, policy.timeout_ms))
    for failure in (holder, raw):
        if isinstance(failure, Error):
            _passed_over(plan, failure)
            return Alone(unsettled=True)
    reading = _judged(plan, raw)
    if isinstance(reading, DecodedEntry):
        if isinstance(holder, Ours):
            yield from _release(plan, lease, token)
        return reading
    claimed: Ours | Busy = holder
    return claimed


def _release(plan: CachePlan[Any], lease: str, token: str) -> Flow[bool]:
    """Give the lease back. True: it still stood, so no invalidation ran since it was taken."""
    released = yield from _tried(plan, ops.release(lease, token, plan.policy.timeout_ms))
    return released is True


def _poll_s(plan: CachePlan[Any], polls: int, left_ms: int) -> float:
    spread = 0.8 + 0.4 * plan.dice.draw()
    seconds = min(_LONGEST_POLL_S, _FIRST_POLL_S * _POLL_GROWTH**polls) * spread
    return min(seconds, (left_ms + 1) / 1000) if left_ms else seconds


# -- reading


def _read(plan: CachePlan[V], entry: str) -> Flow[Judged[V]]:
    raw = yield from _tried(plan, ops.get(entry, plan.policy.timeout_ms), count=False)
    return _judged(plan, raw)


def _judged(plan: CachePlan[V], raw: bytes | Error | None) -> Judged[V]:
    """What an answer is worth."""
    if isinstance(raw, Error):
        _passed_over(plan, raw)
        return raw
    plan.counts.answered()
    reading = None if raw is None else plan.codec.read(raw, plan.clock())
    if isinstance(reading, BadFrame):
        plan.counts.add("reject", reading.reason)
    return reading


def _counted(plan: CachePlan[Any], found: Judged[V]) -> Judged[V]:
    """Each request ends in exactly one of these."""
    if isinstance(found, DecodedEntry):
        plan.counts.add("requests", "negative" if found.body == NEGATIVE_BODY else "fresh")
    else:
        plan.counts.add("requests", "bypass" if isinstance(found, Error) else "miss")
    return found


def _tried(plan: CachePlan[Any], op: Op[T], *, count: bool = True) -> Generator[Step, Any, T | Error]:
    """Run an operation whose failure must not reach the caller; the failure is the answer."""
    try:
        return (yield from do(op))
    except SERVER_FAILURES as failure:
        if count:
            _passed_over(plan, failure)
        return failure


def _passed_over(plan: CachePlan[Any], failure: Error) -> None:
    if not isinstance(failure, SERVER_FAILURES):
        raise failure
    plan.counts.failed(failure)
