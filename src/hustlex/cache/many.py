"""Get-or-compute for many keys at once, and warming: one call of the function for all that nobody else computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from hustlex.cache import claims, flows, ops, reading
from hustlex.cache.frame import Tags
from hustlex.cache.ops import Busy
from hustlex.cache.plan import CachePlan
from hustlex.cache.reading import Judged, Usable, passed_over
from hustlex.cache.types import EntryKey, Key, Warmed
from hustlex.core import check
from hustlex.core.op import Batch, Call, Flow, Op, Sleep
from hustlex.errors import Error, Misuse

V = TypeVar("V")
K = TypeVar("K", bound=Key)

ComputeMany = Callable[[list[Any]], Any]

_LARGEST_CLAIM = 250


class WantedMany(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants. tags: of every entry. jitter: None for the cache's own."""

    compute: ComputeMany
    ttl_ms: int
    tags: tuple[str, ...]
    jitter: float | None = None


class _Claimed(msgspec.Struct):
    """mine: entries whose lease is ours. theirs: being computed elsewhere. alone: to be computed, not stored."""

    mine: list[str]
    theirs: list[str]
    alone: list[str]
    stamps: Tags = ()
    epoch: dict[bytes, bytes] = {}


class Round(msgspec.Struct):
    """One caller's account. found: values by entry. spare: stale ones. left: entries still wanted, with their keys.

    leases: entries whose lease is ours, or may be: who gets no answer does not know.
    """

    token: str
    found: dict[str, Any]
    spare: dict[str, Any]
    left: dict[str, Any]
    leases: set[str]
    stored: int = 0


def obtain_many(plan: CachePlan[V], entries: Mapping[K, EntryKey], ask: WantedMany) -> Flow[dict[K, V | None]]:
    """All values, in the order asked. Keys that the function leaves out are cached as None."""
    done = yield from _round(plan, entries, ask)
    return {key: done.found[entry] for key, entry in entries.items()}


def warm(
    plan: CachePlan[V], entries: Mapping[K, EntryKey], ask: WantedMany, batch: int, pause_s: float
) -> Flow[Warmed]:
    """Compute what is not there, ``batch`` keys at a time. Ends when the server fails."""
    pairs, stored, present = list(entries.items()), 0, 0
    for start in range(0, len(pairs), batch):
        if start and pause_s:
            yield Sleep(pause_s)
        part = dict(pairs[start : start + batch])
        failures = plan.counts.snapshot().failures
        done = yield from _round(plan, part, ask)
        stored += done.stored
        present += len(part) - done.stored
        if plan.counts.snapshot().failures > failures:
            return Warmed(stored, present - (len(part) - done.stored), len(pairs) - start - done.stored)
    return Warmed(stored, present, 0)


def _round(plan: CachePlan[V], entries: Mapping[K, EntryKey], ask: WantedMany) -> Flow[Round]:
    left: dict[str, K] = {entry: key for key, entry in entries.items()}
    done = Round(f"{ops.COMPUTING}:{plan.entropy.token()}", {}, {}, left, set())
    there = yield from flows.readings(plan, [*left], ask.tags)
    for entry, found in there.items():
        _noted(done, entry, flows.counted(plan, found))
    try:
        yield from _filled(plan, done, ask)
    except GeneratorExit:
        raise
    except BaseException:
        yield from _given_back(plan, done)
        raise
    return done


def _filled(plan: CachePlan[V], done: Round, ask: WantedMany) -> Flow[None]:
    """Claim and compute until nothing is left."""
    until, polls = plan.entropy.monotonic() + plan.policy.wait_ms / 1000, 0
    while done.left:
        claimed = yield from _claim(plan, done, ask)
        over = plan.entropy.monotonic() >= until
        if over:
            plan.counts.add("wait", "timeout")
            claimed.alone += claimed.theirs
        yield from _computed(plan, done, ask, claimed)
        yield from _given_back(plan, done)
        if done.left:
            plan.counts.add("wait", "polled")
            yield Sleep(claims.poll_s(plan, polls, 0))
            polls += 1


def _given_back(plan: CachePlan[V], done: Round) -> Flow[None]:
    """Leases that were not used: others would wait for them until they end."""
    leases = sorted(done.leases)
    done.leases.clear()
    if leases:
        yield Batch(tuple(ops.release(plan.lease(entry), done.token, plan.policy.timeout_ms) for entry in leases))


def _noted(done: Round, entry: str, found: Judged[Any]) -> bool:
    if isinstance(found, Usable) and found.serves:
        done.found[entry] = found.entry.value
        done.left.pop(entry, None)
        return True
    if isinstance(found, Usable):
        done.spare[entry] = found.entry.value
    return False


def _claim(plan: CachePlan[V], done: Round, ask: WantedMany) -> Flow[_Claimed]:
    """The leases of what is left, and the stamps before anything is computed."""
    claimed, policy = _Claimed([], [], []), plan.policy
    wanted, stamps = list(done.left), dict[str, Any]()
    for start in range(0, len(wanted), _LARGEST_CLAIM):
        part = wanted[start : start + _LARGEST_CLAIM]
        takes = [ops.take(e, plan.lease(e), done.token, policy.lease_ms, policy.timeout_ms) for e in part]
        before = () if stamps else claims.before(plan, ask.tags, ask.ttl_ms)
        done.leases.update(part)
        answers = yield Batch((*before, *(op for take in takes for op in take)))
        if before:
            stamps = dict(zip((*ask.tags, ""), answers, strict=False))
            claimed.epoch = stamps.pop("", {})
        for number, entry in enumerate(part):
            at = len(before) + 3 * number
            yield from _one(plan, done, claimed, entry, answers[at : at + 3], stamps)
    failed = next((each for each in (*stamps.values(), claimed.epoch) if isinstance(each, Error)), None)
    if failed is not None:
        passed_over(plan, failed)
        return _Claimed([], [], wanted)
    claimed.stamps = tuple(stamps.items())
    return claimed


def _one(
    plan: CachePlan[V], done: Round, claimed: _Claimed, entry: str, answers: Sequence[Any], stamps: Mapping[str, Any]
) -> Flow[None]:
    holder, raw, left_ms = answers
    failure = next((each for each in answers if isinstance(each, Error)), None)
    if isinstance(holder, Busy) or (isinstance(holder, Error) and not holder.maybe_executed):
        done.leases.discard(entry)
    if failure is not None:
        passed_over(plan, failure)
        claimed.alone.append(entry)
        return
    found = yield from reading.judge(plan, raw, left_ms, stamps)
    if _noted(done, entry, found):
        return
    if isinstance(holder, Busy):
        (claimed.theirs if holder.kind == ops.COMPUTING else claimed.alone).append(entry)
    else:
        claimed.mine.append(entry)


def _computed(plan: CachePlan[V], done: Round, ask: WantedMany, claimed: _Claimed) -> Flow[None]:
    wanted = [*claimed.mine, *claimed.alone]
    if not wanted:
        return
    policy = plan.policy
    compute = partial(ask.compute, [done.left[entry] for entry in wanted])
    renews = [ops.renew(plan.lease(e), done.token, policy.lease_ms, policy.timeout_ms) for e in claimed.mine]
    started = plan.entropy.monotonic()
    try:
        values = yield Call(plan.computations.renewing(compute, renews, policy.lease_ms / 3000))
        check.instance("what compute returned", values, Mapping, hint="return a dict of keys and values")
        bodies = {entry: plan.codec.write(values.get(done.left[entry])) for entry in wanted}
    except GeneratorExit:
        raise
    except BaseException as failure:  # noqa: BLE001 - what is not spared is raised there
        plan.counts.add("origin", "error")
        yield from _failed(plan, done, claimed, failure)
        return
    took_ms = int((plan.entropy.monotonic() - started) * 1000)
    plan.counts.computed(took_ms)
    yield from _stored(plan, done, ask, claimed, bodies, took_ms)
    for entry, (value, _) in bodies.items():
        done.found[entry] = value
        done.left.pop(entry)


def _failed(plan: CachePlan[V], done: Round, claimed: _Claimed, failure: BaseException) -> Flow[None]:
    """Serve what is stale, if there is something for each key; else raise."""
    wanted, policy = [*claimed.mine, *claimed.alone], plan.policy
    spared = isinstance(failure, Exception) and not isinstance(failure, Misuse) and all(e in done.spare for e in wanted)
    if not spared:
        raise failure
    if claimed.mine:
        rest = [ops.cool(plan.lease(e), done.token, policy.cooldown_ms, policy.timeout_ms) for e in claimed.mine]
        yield Batch(tuple(rest))
        done.leases.difference_update(claimed.mine)
    for entry in wanted:
        plan.counts.add("requests", "stale")
        done.found[entry] = done.spare[entry]
        done.left.pop(entry)


def _stored(
    plan: CachePlan[V], done: Round, ask: WantedMany, claimed: _Claimed, bodies: Mapping[str, Any], delta_ms: int
) -> Flow[None]:
    policy = plan.policy
    leased = claims.Leased(done.token, dict(claimed.stamps), claimed.epoch)
    writes: dict[str, Op[bool]] = {}
    yield from plan.pressure.look()
    for entry in claimed.mine:
        value, body = bodies[entry]
        tags = yield from claims.tagged(plan, ask.tags, leased, value, ask.ttl_ms)
        life_ms = plan.life_ms(body, ask.ttl_ms, ask.jitter)
        stored = plan.codec.pack(body, life_ms, max(1, delta_ms), tags or ())
        lease = plan.lease(entry)
        if tags is None or plan.pressure.stops or len(stored) > policy.max_value:
            plan.counts.add("fill", "refused")
            continue
        stay_ms = plan.stay_ms(body, life_ms)
        writes[entry] = ops.fill(entry, lease, done.token, plan.clock(), stored, stay_ms, policy.timeout_ms)
    if not writes:
        return
    answers = yield Batch(tuple(writes.values()))
    for entry, answer in zip(writes, answers, strict=True):
        if isinstance(answer, Error):
            passed_over(plan, answer)
        else:
            done.leases.discard(entry)
        done.stored += answer is True
        plan.counts.add("fill", "stored" if answer is True else "refused")
