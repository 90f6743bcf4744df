"""Plain reads and writes, step by step; the same generators serve tasks and threads. ``obtain`` computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from hustlex.cache import ops, reading
from hustlex.cache.frame import NEGATIVE_BODY, EntryFrame, Tags
from hustlex.cache.plan import CachePlan, TagSpace
from hustlex.cache.reading import Judged, Looked, Usable
from hustlex.cache.types import EntryKey, Hit, Miss
from hustlex.core.op import Batch, Flow, Op
from hustlex.errors import Error, Misuse

V = TypeVar("V")
D = TypeVar("D")
K = TypeVar("K")

_LARGEST_BATCH = 1000


def get(plan: CachePlan[V], entry: str, default: D, looked: Looked | None = None) -> Flow[V | D | None]:
    """The value, or the default. looked: see ``reading.read``."""
    found = counted(plan, (yield from reading.read(plan, entry, plan.fixed_tags, looked=looked)))
    return found.entry.value if isinstance(found, Usable) and found.serves else default


def get_many(plan: CachePlan[V], entries: Mapping[K, str]) -> Flow[dict[K, V | None]]:
    """What is there, in the order asked; each entry fetched once."""
    there = yield from readings(plan, list(dict.fromkeys(entries.values())), plan.fixed_tags)
    found: dict[K, V | None] = {}
    for key, entry in entries.items():
        each = counted(plan, there[entry])
        if isinstance(each, Usable) and each.serves:
            found[key] = each.entry.value
    return found


def readings(plan: CachePlan[V], wanted: Sequence[str], tags: tuple[str, ...]) -> Flow[dict[str, Judged[V]]]:
    """Of many entries, up to 1,000 in one write; the stamps of all their tags each once."""
    timeout_ms, found = plan.policy.timeout_ms, dict[str, Judged[V]]()
    for start in range(0, len(wanted), _LARGEST_BATCH):
        part = wanted[start : start + _LARGEST_BATCH]
        batch: list[Op[Any]] = [plan.get(entry) for entry in part]
        batch += [ops.life(entry, timeout_ms) for entry in part] if plan.timed else []
        marks = [ops.stamped(plan.stamp(tag), timeout_ms) for tag in tags]
        answers = yield Batch((*batch, *marks, *plan.space.tally.riding(timeout_ms)))
        lives = answers[len(part) : len(batch)] or [0] * len(part)
        stamps = dict(zip(tags, answers[len(batch) :], strict=False))
        opened = [reading.opened(plan, raw) for raw in answers[: len(part)]]
        unknown = {
            tag: None for each in opened if isinstance(each, EntryFrame) for tag in reading.missing(each, stamps)
        }
        if unknown:
            more = yield Batch(tuple(ops.stamped(plan.stamp(tag), timeout_ms) for tag in unknown))
            stamps |= dict(zip(unknown, more, strict=True))
        for entry, each, left_ms in zip(part, opened, lives, strict=True):
            lost = isinstance(left_ms, Error)
            found[entry] = reading.settle(plan, each, 0 if lost else left_ms, stamps)
    return found


def lookup(plan: CachePlan[V], entry: str) -> Flow[Hit[V] | Miss]:
    """The value with its age, in one round trip."""
    found = counted(plan, (yield from reading.read(plan, entry, plan.fixed_tags, timed=True)))
    if not isinstance(found, Usable) or not found.serves:
        return Miss()
    return hit(found)


def hit(found: Usable[V]) -> Hit[V]:
    """As callers are shown it."""
    age = None if found.age_ms is None else timedelta(milliseconds=found.age_ms)
    fresh_for = timedelta(milliseconds=max(0, found.left_ms or 0))
    tags = tuple(tag for tag, _ in found.entry.frame.tags if not tag.startswith("*"))
    return Hit(found.entry.value, fresh_for, age, found.state, tags)


def put(
    plan: CachePlan[V], values: Mapping[EntryKey, V | None], ttl_ms: int, tags: tuple[str, ...], version: int = 0
) -> Flow[bool]:
    """Store by entry. Encodes all before anything is sent. False: a newer version was there, or memory is short: then
    what was there is dropped, since it is old."""
    bodies = {entry: plan.codec.write(value) for entry, value in values.items()}
    yield from plan.pressure.look()
    if plan.pressure.stops:
        yield from invalidate(plan, list(values))
        return False
    own = {entry: tags + plan.tags_of(value, tags) for entry, (value, _) in bodies.items()}
    wanted = list(dict.fromkeys(tag for each in own.values() for tag in each))
    stamps = yield from _stamps(plan, wanted, ttl_ms)
    writes = []
    for entry, (_, body) in bodies.items():
        stamped = tuple((tag, stamps[tag]) for tag in own[entry])
        writes.append(_put_op(plan, entry, body, ttl_ms, stamped, version))
    answers = yield from _write(plan, list(values), writes)
    return all(answers)


def _stamps(plan: CachePlan[Any], tags: Sequence[str], ttl_ms: int) -> Flow[dict[str, bytes]]:
    if not tags:
        return {}
    needed = plan.needed_ms(ttl_ms)
    answers = yield Batch(tuple(ops.stamp(plan.stamp(tag), plan.entropy.stamp(16), needed, 0) for tag in tags))
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
    return dict(zip(tags, answers, strict=True))


def _put_op(plan: CachePlan[V], entry: str, body: bytes, ttl_ms: int, tags: Tags, version: int) -> Op[bool]:
    life_ms = plan.life_ms(body, ttl_ms)
    stored = plan.codec.pack(body, life_ms, 1, tags, version)
    if len(stored) > plan.policy.max_value:
        raise Misuse(
            f"the value has {len(stored)} bytes, over max_value {plan.policy.max_value}",
            hint="cache smaller values, or raise max_value",
        )
    return ops.put(entry, plan.lease(entry), plan.clock(), stored, plan.stay_ms(body, life_ms), version)


def invalidate(plan: CachePlan[Any], entries: Sequence[str], *, soft: bool = False, hold_ms: int = 0) -> Flow[None]:
    """Remove entries and leases. A failure is raised after all were tried: a lost invalidation is stale data."""
    pairs = [(entry, plan.lease(entry)) for entry in entries]
    if hold_ms:
        writes = [ops.hold(*pair, hold_ms) for pair in pairs]
    else:
        writes = [(ops.expire if soft else ops.unlink)(*pair) for pair in pairs]
    yield from _write(plan, entries, writes)
    plan.counts.add("calls", "invalidated", len(entries))


def invalidate_tags(space: TagSpace, tags: Sequence[str], *, soft: bool) -> Flow[None]:
    """All entries under a tag, by its stamp alone. Computations that do not know their tags yet are told first."""
    stamps = [(tag, space.stamp(tag)) for tag in tags]
    _detach_tagged(space, tags)
    try:
        if soft:
            yield from _sent([ops.soften(key, space.entropy.stamp(4)) for _, key in stamps])
        else:
            groups = sorted({ops.group(tag) for tag, _ in stamps if not tag.startswith("*")})
            if groups:
                yield from _sent([ops.turn(space.epoch, space.entropy.stamp(8), groups)])
            yield from _sent([ops.drop(key) for _, key in stamps])
    finally:
        _detach_tagged(space, tags)


def _detach_tagged(space: TagSpace, tags: Sequence[str]) -> None:
    space.computations.detach_tagged(tags)
    if space.watch is not None:
        for tag in tags:
            space.watch.drop(space.stamp(tag))


def _write(plan: CachePlan[Any], entries: Sequence[str], writes: Sequence[Op[Any]]) -> Flow[list[Any]]:
    """Detach computations before sending, so that nobody joins a doomed one, and again once the write is done."""
    _detach(plan, entries)
    try:
        return (yield from _sent(writes))
    finally:
        _detach(plan, entries)


def _sent(writes: Sequence[Op[Any]]) -> Flow[list[Any]]:
    """All in batches; the first failure is raised after all were tried."""
    answers: list[Any] = []
    for start in range(0, len(writes), _LARGEST_BATCH):
        answers += yield Batch(tuple(writes[start : start + _LARGEST_BATCH]))
    failure = next((answer for answer in answers if isinstance(answer, Error)), None)
    if failure is not None:
        raise failure
    return answers


def _detach(plan: CachePlan[Any], entries: Iterable[str]) -> None:
    watch = plan.space.watch
    for entry in entries:
        plan.computations.detach(entry)
        if watch is not None:
            watch.drop(entry)


def counted(plan: CachePlan[Any], found: Judged[V]) -> Judged[V]:
    """Each request ends in exactly one of these."""
    if isinstance(found, Usable) and found.serves:
        plan.counts.add("requests", "negative" if found.entry.body == NEGATIVE_BODY else found.state)
    else:
        plan.counts.add("requests", "bypass" if isinstance(found, Error) else "miss")
    return found
