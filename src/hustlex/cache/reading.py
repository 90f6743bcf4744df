"""What a stored entry is worth now: fresh, to be refreshed, stale, or nothing.

An entry counts while each of its tags has the stamp that it was computed under. A stamp that is absent, for whatever
reason, never does, so losing one only costs a computation. The first 12 bytes differ: gone. The last 4: stale.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import msgspec

from hustlex.cache import ops
from hustlex.cache.codec import DecodedEntry
from hustlex.cache.frame import HARD, NEGATIVE_BODY, BadFrame, EntryFrame
from hustlex.cache.near import NearGuard, NearShelf
from hustlex.cache.plan import CachePlan
from hustlex.cache.shared_reads import answered
from hustlex.core.op import Batch, Call, Flow, Op, Step
from hustlex.errors import BadReply, Closed, Error, OutcomeUnknown, Refused, Unavailable

V = TypeVar("V")

SERVER_FAILURES = (Unavailable, Refused, OutcomeUnknown, BadReply)
"""Passed over by reads, which compute instead. Misuse and ConfigurationError are not: they would never end."""

Stamps = Mapping[str, bytes | Error | None]
State = Literal["fresh", "early", "stale"]

_QUARTER = 4


class Usable(msgspec.Struct, Generic[V], frozen=True):
    """A usable entry. serves: it may be handed out at once; a stale one that may not is kept for a computation that
    fails. left_ms: of its fresh time, negative when that is over; None when nobody asked."""

    entry: DecodedEntry[V]
    state: State = "fresh"
    serves: bool = True
    left_ms: int | None = None

    @property
    def age_ms(self) -> int | None:
        """Since it was computed."""
        frame = self.entry.frame
        return None if self.left_ms is None or not frame.fresh_ms else max(0, frame.fresh_ms - self.left_ms)


class Looked(msgspec.Struct, frozen=True):
    """What the server has answered already. stamps: of the known tags, in their order, where there is an entry."""

    raw: bytes | Error | None
    stamps: tuple[bytes | Error | None, ...] = ()


Judged = Usable[V] | BadFrame | Error | None
"""A usable entry, an unusable one, a failed call, or nothing there."""


def read(
    plan: CachePlan[V], entry: str, tags: tuple[str, ...], *, timed: bool = False, looked: Looked | None = None
) -> Flow[Judged[V]]:
    """One round trip, unless the entry has tags that were not known before. timed: also how old it is. looked: what
    was read a moment ago, instead of reading it again."""
    if looked is not None:
        return (yield from judge(plan, looked.raw, 0, dict(zip(tags, looked.stamps, strict=False))))
    near = plan.near
    if near is None:
        return (yield from _read(plan, entry, tags, timed, None))
    before, guard = near.held(entry), near.watch.begin((entry, *map(plan.stamp, tags)))
    clean = False
    try:
        found = yield from _read(plan, entry, tags, timed, guard)
    finally:
        clean = guard is not None and near.watch.end(guard)
    if before is not None and before.kept and clean:
        same = isinstance(found, Usable) and found.entry.body == before.body
        plan.counts.add("near", "same" if same else "differed")
    if clean and isinstance(found, Usable) and found.state == "fresh" and found.left_ms:
        _keep(plan, near, entry, found, found.left_ms)
    return found


def _keep(plan: CachePlan[V], near: NearShelf[V | None], entry: str, found: Usable[V], left_ms: int) -> None:
    frame, shared = found.entry.frame, plan.codec.immutable
    stamps = (plan.stamp(tag) for tag, _ in frame.tags)
    near.keep(entry, found.entry.value if shared else None, frame.body, shared, left_ms / 1000, stamps)


def _read(
    plan: CachePlan[V], entry: str, tags: tuple[str, ...], timed: bool, guard: NearGuard | None
) -> Flow[Judged[V]]:
    timed, timeout_ms, reads = timed or plan.timed, plan.policy.timeout_ms, plan.space.reads
    if tags and reads is None:
        raw, left_ms, stamps = yield from _all(plan, entry, tags, timed)
        return (yield from judge(plan, raw, left_ms, stamps, guard))
    asked = [reads.ask(plan.stamp(tag), timeout_ms) for tag in tags] if reads is not None else []
    raw, left_ms = yield from _entry(plan, entry, timed)
    stamps = {}
    if asked and isinstance(raw, bytes):
        stamps = dict(zip(tags, (yield Call(partial(answered, asked))), strict=True))
    return (yield from judge(plan, raw, left_ms, stamps, guard))


def _entry(plan: CachePlan[V], entry: str, timed: bool) -> Flow[tuple[bytes | Error | None, int]]:
    """The entry, and with timed how long it stays."""
    timeout_ms = plan.policy.timeout_ms
    riding = () if plan.fixed_tags else plan.space.tally.riding(timeout_ms)  # else it goes with the stamps
    if not timed and not riding:
        try:
            return (yield plan.get(entry)), 0
        except SERVER_FAILURES as failure:
            return failure, 0
    raw, left_ms, *_ = yield Batch((plan.get(entry), ops.life(entry, timeout_ms), *riding))
    return (left_ms, 0) if isinstance(left_ms, Error) else (raw, left_ms)


def _all(
    plan: CachePlan[V], entry: str, tags: tuple[str, ...], timed: bool
) -> Flow[tuple[bytes | Error | None, int, Stamps]]:
    """The entry and the stamps of its tags, in one write."""
    timeout_ms = plan.policy.timeout_ms
    batch: tuple[Op[Any], ...] = (plan.get(entry),)
    batch += (ops.life(entry, timeout_ms),) if timed else ()
    marks = tuple(ops.stamped(plan.stamp(tag), timeout_ms) for tag in tags)
    answers = yield Batch(batch + marks + plan.space.tally.riding(timeout_ms))
    left_ms = answers[1] if timed else 0
    if isinstance(left_ms, Error):
        return left_ms, 0, {}
    return answers[0], left_ms, dict(zip(tags, answers[len(batch) :], strict=False))


def judge(
    plan: CachePlan[V], raw: bytes | Error | None, left_ms: int, stamps: Stamps, guard: NearGuard | None = None
) -> Generator[Step, Any, Judged[V]]:
    """What an answer is worth. left_ms: until the entry leaves the server, 0 when not known."""
    found = opened(plan, raw)
    if isinstance(found, EntryFrame):
        unknown = missing(found, stamps)
        if unknown:
            if guard is not None:
                guard.watch(map(plan.stamp, unknown))
            asked = tuple(ops.stamped(plan.stamp(tag), plan.policy.timeout_ms) for tag in unknown)
            answers = yield Batch(asked)
            stamps = {**stamps, **dict(zip(unknown, answers, strict=True))}
    return settle(plan, found, left_ms, stamps)


def opened(plan: CachePlan[Any], raw: bytes | Error | None) -> EntryFrame | BadFrame | Error | None:
    """The frame around it. Counts whether the server answered."""
    if isinstance(raw, Closed):
        raise raw
    if isinstance(raw, Error):
        passed_over(plan, raw)
        return raw
    plan.counts.answered()
    if raw is None:
        return None
    plan.weigh(raw)
    return plan.codec.open(raw)


def missing(found: EntryFrame, stamps: Stamps) -> list[str]:
    """Its tags whose stamps are not known."""
    return [tag for tag, _ in found.tags if tag not in stamps]


def settle(plan: CachePlan[V], found: EntryFrame | BadFrame | Error | None, left_ms: int, stamps: Stamps) -> Judged[V]:
    """The judgement, once all stamps are there."""
    reading = _settled(plan, found, left_ms, stamps) if isinstance(found, EntryFrame) else found
    if isinstance(reading, BadFrame):
        plan.counts.add("reject", reading.reason)
    return reading


def _settled(plan: CachePlan[V], found: EntryFrame, left_ms: int, stamps: Stamps) -> Judged[V]:
    failed = next((stamp for stamp in stamps.values() if isinstance(stamp, Error)), None)
    if failed is not None:
        passed_over(plan, failed)
        return failed
    soft = False
    for tag, stamp in found.tags:
        now = stamps[tag]
        if not isinstance(now, bytes) or now[:HARD] != stamp[:HARD]:
            return BadFrame("invalid")
        soft = soft or now != stamp
    if plan.fixed_tags and not {tag for tag, _ in found.tags}.issuperset(plan.fixed_tags):
        return BadFrame("invalid")  # stored before the cache had them: they could not invalidate it
    state, serves, left = _freshness(plan, found, left_ms, soft)
    if not serves and state == "fresh":
        return BadFrame("expired")
    entry = plan.codec.read(found)
    return entry if isinstance(entry, BadFrame) else Usable(entry, state, serves, left)


def _freshness(plan: CachePlan[Any], found: EntryFrame, left_ms: int, soft: bool) -> tuple[State, bool, int | None]:
    """State, whether it may be served, what is left of its fresh time. ("fresh", False): no use at all."""
    policy, negative = plan.policy, found.body == NEGATIVE_BODY
    left = _left_ms(plan, found, left_ms, negative)
    expired = policy.form == "frame" and found.fresh_ms == 0  # by hand, and its age is not known any more
    soft = soft or expired
    if not soft and (left is None or left > 0):
        return ("early" if _due(plan, found, left, negative) else "fresh"), True, left
    over = 0 if left is None or expired else max(0, -left)
    if negative or (soft and not policy.extra_ms) or over >= policy.extra_ms:
        return "fresh", False, left
    return "stale", over < policy.stale_ms, min(0, left or 0)


def _left_ms(plan: CachePlan[Any], found: EntryFrame, left_ms: int, negative: bool) -> int | None:
    now_ms = plan.clock()
    if now_ms and plan.policy.form == "frame":
        return found.created_ms + found.fresh_ms - now_ms
    return left_ms - (0 if negative else plan.policy.extra_ms) if left_ms else None


def _due(plan: CachePlan[Any], found: EntryFrame, left: int | None, negative: bool) -> bool:
    """XFetch: with probability exp(-left / (early * delta))."""
    early = plan.policy.early
    if not early or left is None or negative:
        return False
    span = min(early * found.delta_ms, found.fresh_ms / _QUARTER)
    return -span * math.log(1 - plan.entropy.draw()) >= left


def passed_over(plan: CachePlan[Any], failure: Error) -> None:
    """Count a failure of the server; raise any other."""
    if not isinstance(failure, SERVER_FAILURES):
        raise failure
    plan.counts.failed(failure)
