"""What get-or-compute decides, step by step; the same generators serve tasks and threads.

Three rules keep a value from outliving an invalidation. A computation stores only while its lease stands, and an
invalidation deletes the lease. Its tags' stamps are read before it begins, and an invalidation of a tag deletes the
stamp. A result is shared only with callers that provably asked early enough (``computations``): those who
joined before it began, and others when the fill was answered with yes and every stamp is unchanged. A computation is
closed before the step that proves it, so that nobody joins between the proof and its arrival.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any, NoReturn, TypeVar

import msgspec

from hustlex.cache import claims, ops, reading
from hustlex.cache.circles import Circle, Impatient
from hustlex.cache.claims import SHORT_REST_MS, Leased, Wanted, release, tagged, tried
from hustlex.cache.computations import Computation, Compute, GaveUp, Participant, SharedResult, Unshared
from hustlex.cache.flows import counted
from hustlex.cache.frame import Tags
from hustlex.cache.ops import Busy
from hustlex.cache.plan import CachePlan
from hustlex.cache.reading import Looked, Usable, passed_over
from hustlex.core.logs import logger
from hustlex.core.op import Batch, Call, Flow, Op, Step
from hustlex.errors import Error, LoadTimeout, Misuse

V = TypeVar("V")
T = TypeVar("T")

_ROUNDS = 3
"""How often a caller is turned away by unproven computations before it computes for itself."""
_log = logger("hustlex.cache")


class Made(msgspec.Struct, frozen=True):
    """A computed value, its body, and how long it took."""

    value: Any
    body: bytes
    delta_ms: int


def obtain(plan: CachePlan[Any], ask: Wanted, looked: Looked | None = None) -> Flow[Any]:
    """The cached value, or the computed one; at most one computation for this caller.

    One that would wait for itself, by whatever way, is computed without storing. looked: see ``reading.read``.
    """
    try:
        return (yield from _obtain(plan, ask, looked))
    except Circle:
        plan.counts.circled()
    made = yield from _make(plan, plan.computations.around(ask.entry, ask.compute))
    return made.value


def _obtain(plan: CachePlan[Any], ask: Wanted, looked: Looked | None) -> Flow[Any]:
    spare: Usable[Any] | None = None
    for _ in range(_ROUNDS):
        participant = None if plan.timed or looked is not None else plan.computations.join(ask.entry)
        if participant is None:
            found = yield from reading.read(plan, ask.entry, ask.tags, looked=looked)
            looked = None
            if isinstance(found, Usable) and (found.serves or plan.resting(ask.entry)):
                return _served(plan, ask, found)
            if isinstance(found, Error):
                break
            spare = found if isinstance(found, Usable) else None
            participant = _join_or_start(plan, ask, spare)
        try:
            result = yield from _awaited(participant, _patience_s(plan, spare))
        except Impatient:
            if spare is not None and plan.policy.soft_ms:
                return _stale(plan, spare)
            if plan.policy.hard_ms:
                _late(plan)
            plan.counts.add("wait", "timeout")
            break
        except (Circle, Misuse, Unshared):
            raise
        except Exception as failure:
            if spare is None:
                raise
            _log.warning("cache %s: a computation failed, a stale value is served: %r", plan.name, type(failure))
            return _stale(plan, spare)
        if result is not None:
            plan.counts.add("requests", "miss")
            return result.value if participant.leading else plan.codec.copy(result.body)
    plan.counts.add("requests", "bypass")
    made = yield from _make(plan, plan.bulkhead(ask.compute))
    return made.value


def _served(plan: CachePlan[Any], ask: Wanted, found: Usable[Any]) -> Any:
    """Hand out what is there, and see to it that it is computed anew where it is time."""
    if not found.serves:
        return _stale(plan, found)
    counted(plan, found)
    if found.state != "fresh" and not plan.resting(ask.entry):
        plan.computations.start_in_background(ask.entry, partial(refresh, plan, ask, found), ask.tags)
    return found.entry.value


def _stale(plan: CachePlan[Any], spare: Usable[Any]) -> Any:
    plan.counts.add("requests", "stale")
    return spare.entry.value


def _late(plan: CachePlan[Any]) -> NoReturn:
    raise LoadTimeout(
        f"computing takes longer than {plan.policy.hard_ms} ms", op="cache.get_or_compute", hint="see hard_timeout"
    )


def _join_or_start(plan: CachePlan[Any], ask: Wanted, spare: Usable[Any] | None) -> Participant:
    policy = plan.policy
    background = bool(policy.hard_ms or (policy.soft_ms and spare is not None))
    begin = partial(lead, plan, ask, spare)
    return plan.computations.join_or_start(ask.entry, begin, ask.tags, background=background)


def _patience_s(plan: CachePlan[Any], spare: Usable[Any] | None) -> float:
    policy = plan.policy
    limits = [policy.hard_ms, policy.soft_ms if spare is not None else 0]
    return min([plan.patience_s, *(ms / 1000 for ms in limits if ms)])


def _awaited(participant: Participant, patience_s: float) -> Generator[Step, Any, SharedResult | None]:
    try:
        result: SharedResult | None = yield Call(partial(participant.wait, patience_s))
    finally:
        participant.leave()
    return result


# -- the computation itself


def lead(plan: CachePlan[V], ask: Wanted, spare: Usable[V] | None, computation: Computation) -> Flow[SharedResult]:
    """Claim the lease, compute, store. Whatever ends it early gives the lease back.

    spare: an entry that may be served should the computation fail; then nobody tries again for a while.
    """
    token = f"{ops.COMPUTING}:{plan.entropy.token()}"
    try:
        claim = yield from claims.claim(plan, ask, token, computation, spare)
        if isinstance(claim, Usable):
            return SharedResult(claim.entry.value, claim.entry.body, proven=False)
        computation.advance()
        if isinstance(claim, Leased):
            return (yield from _leased(plan, ask, claim, computation))
        computation.close()
        made = yield from _make(plan, plan.bulkhead(ask.compute))
        if claim.unsettled:
            yield from release(plan, plan.lease(ask.entry), token)
        return SharedResult(made.value, made.body, proven=False)
    except GeneratorExit:
        raise
    except BaseException as failure:
        yield from _ended(plan, ask.entry, token, failure, spare)
        raise


def refresh(plan: CachePlan[V], ask: Wanted, judged: Usable[V], computation: Computation) -> Flow[SharedResult]:
    """Compute anew what is still served; only one in all processes does, and the others give up at once."""
    token = f"{ops.COMPUTING}:{plan.entropy.token()}"
    try:
        claim = yield from claims.take(plan, ask, token, judged)
        if isinstance(claim, Busy):
            plan.rest(ask.entry, claim.left_ms or SHORT_REST_MS)
        if not isinstance(claim, Leased):
            raise GaveUp
        computation.advance()
        return (yield from _leased(plan, ask, claim, computation))
    except (GeneratorExit, GaveUp):
        raise
    except BaseException as failure:
        yield from _ended(plan, ask.entry, token, failure, judged)
        raise


def _ended(
    plan: CachePlan[Any], entry: str, token: str, failure: BaseException, spare: Usable[Any] | None
) -> Flow[None]:
    policy, lease = plan.policy, plan.lease(entry)
    if spare is None or isinstance(failure, Unshared) or not isinstance(failure, Exception):
        yield from release(plan, lease, token)
        return
    plan.rest(entry, policy.cooldown_ms)
    yield from tried(plan, ops.cool(lease, token, policy.cooldown_ms, policy.timeout_ms))


def _leased(plan: CachePlan[V], ask: Wanted, leased: Leased, computation: Computation) -> Flow[SharedResult]:
    lease, token, policy = plan.lease(ask.entry), leased.token, plan.policy
    renew = ops.renew(lease, token, policy.lease_ms, policy.timeout_ms)
    yield from plan.pressure.look()
    made = yield from _make(plan, plan.computations.renewing(ask.compute, (renew,), policy.lease_ms / 3000))
    tags = yield from tagged(plan, ask.tags, leased, made.value, ask.ttl_ms)
    computation.close()
    if tags is None or plan.pressure.stops:
        plan.counts.add("fill", "refused")
        yield from release(plan, lease, token)
        return SharedResult(made.value, made.body, proven=False)
    life_ms = plan.life_ms(made.body, ask.ttl_ms)
    stored = plan.codec.pack(made.body, life_ms, made.delta_ms, tags)
    if len(stored) > policy.max_value:
        plan.counts.too_big(len(stored), policy.max_value)
        return (yield from _unstored(plan, ask.entry, token, made, tags))
    stay_ms = plan.stay_ms(made.body, life_ms)
    fill = ops.fill(ask.entry, lease, token, plan.clock(), stored, stay_ms, policy.timeout_ms)
    filled, unchanged = yield from _proved(plan, fill, tags)
    if isinstance(filled, Error):
        plan.counts.add("fill", "failed")
        yield from release(plan, lease, token)
        return SharedResult(made.value, made.body, proven=False)
    plan.counts.add("fill", "stored" if filled else "refused")
    return SharedResult(made.value, made.body, proven=filled and unchanged)


def _unstored(plan: CachePlan[Any], entry: str, token: str, made: Made, tags: Tags) -> Flow[SharedResult]:
    """A result that goes to who waits for it, and nowhere else."""
    released, unchanged = yield from _proved(plan, ops.release(plan.lease(entry), token, plan.policy.timeout_ms), tags)
    return SharedResult(made.value, made.body, proven=released is True and unchanged)


def _proved(plan: CachePlan[Any], end: Op[bool], tags: Tags) -> Flow[tuple[bool | Error, bool]]:
    """End the lease, and read the stamps again: whether it still stood, and whether every stamp is unchanged."""
    if not tags:
        return (yield from tried(plan, end)), True
    again = tuple(ops.stamped(plan.stamp(tag), plan.policy.timeout_ms) for tag, _ in tags)
    ended, *stamps = yield Batch((end, *again))
    if isinstance(ended, Error):
        passed_over(plan, ended)
    return ended, stamps == [stamp for _, stamp in tags]


def _make(plan: CachePlan[V], compute: Compute) -> Flow[Made]:
    """Compute, and hand out what a later hit would be, so that the first caller sees the same as all others."""
    started = plan.entropy.monotonic()
    try:
        value = yield Call(compute)
    except Exception:
        plan.counts.add("origin", "error")
        raise
    delta_ms = int((plan.entropy.monotonic() - started) * 1000)
    plan.counts.computed(delta_ms)
    return Made(*plan.codec.write(value), delta_ms)
