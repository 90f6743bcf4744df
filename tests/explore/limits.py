"""Strict buckets with refund: three callers of a limit of two, each gives back what it took when its work failed.

Invariants:

- In no window are more than two units taken that were not given back.
- A call's units are given back once, however often the refund is sent.
- The server counts every unit that was taken in the window, and no more than those of one bucket beyond it; its sum
  is the sum of its buckets.
- When the window is over, a new caller gets the whole limit.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest import mock

from hustlex.core.op import Call, Op, do
from hustlex.core.time import server_clock
from hustlex.errors import Error, OutcomeUnknown
from hustlex.ratelimit import Policy, RateLimitOptions
from hustlex.ratelimit.engine import ops, receipts, redeem
from hustlex.ratelimit.engine.compiler import NORMAL
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.server_time import system_clock
from hustlex.ratelimit.types import Decision
from tests.explore.engine import Mutation, Protocol
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

LIMIT, WINDOW_MS, BUCKETS = 2, 10_000, 2
WIDTH_MS = WINDOW_MS // BUCKETS
POLICY = Policy("p", LIMIT, timedelta(milliseconds=WINDOW_MS), "strict", buckets=BUCKETS)
PLAIN = RateLimitOptions(local_deny=False)


@dataclass
class Charges:
    """taken: when each unit was, that was not given back. refunded: who gave one back."""

    taken: list[int] = field(default_factory=list)
    refunded: list[str] = field(default_factory=list)


class Limits(Protocol):
    name = "limits"
    ticks = (WIDTH_MS, WINDOW_MS)
    short = (Bounds(0, 1), Bounds(1, 0))
    long = (Bounds(2, 1),)

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation("one-too-many", ops._STRICT, (("total > limit + 0", "total > limit + 1"),)),
            Mutation(
                "forgets-the-oldest-bucket", ops._STRICT, (("index >= bucket - span and", "index > bucket - span and"),)
            ),
            Mutation("gives-back-twice", ops._REFUND, (("then return {2} end", "then end"),)),
            Mutation("keeps-the-sum", ops._REFUND, (("redis.call('HINCRBY', key, 's', -part)", ""),)),
            Mutation("a-new-id-each-time", patch=_forgetful),
        )

    def patched(self) -> AbstractContextManager[Any]:
        """Ids of refunds come from the world."""
        return mock.patch.object(receipts, "new_id", _new_id)

    def ledger(self) -> Charges:
        return Charges()

    def setup(self, world: World) -> Story:
        """Nothing: nobody called yet."""
        yield from ()

    def actors(self, world: World) -> None:
        world.add("caller A", _call(fails=True))
        world.add("caller B", _call(fails=True))
        world.add("caller C", _call(fails=False))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        charges: Charges = world.ledger
        if op.name == "ratelimit.check_strict" and reply.startswith(b"1"):
            charges.taken.append(world.now_ms)
        elif op.name == "ratelimit.refund" and reply[0] == 1:
            self._given_back(charges, actor, op)

    def _given_back(self, charges: Charges, actor: str, op: Op[Any]) -> None:
        """Each calls once, so each gives back once; one unit of the bucket it names, if that is still counted."""
        if actor in charges.refunded:
            raise Broken(f"{actor} gave back twice what it took once")
        charges.refunded.append(actor)
        bucket = int(op.args[-1])
        same = [at for at in charges.taken if at // WIDTH_MS == bucket]
        if same:
            charges.taken.remove(same[0])

    def check(self, world: World, look: Look) -> None:
        charges: Charges = world.ledger
        within = [at for at in charges.taken if world.now_ms - at < WINDOW_MS]
        if len(within) > LIMIT:
            raise Broken(f"{len(within)} units are taken in one window, and the limit is {LIMIT}")
        for key in look:
            fields = look.pairs(key) if key.endswith(":b") else {}
            self._counted(world, charges, fields)

    def _counted(self, world: World, charges: Charges, fields: dict[str, str]) -> None:
        if not fields:
            return
        now, seen = world.now_ms // WIDTH_MS, int(fields["k"])
        counts = {int(name): int(count) for name, count in fields.items() if name.isdigit()}
        total = sum(count for bucket, count in counts.items() if bucket >= seen - BUCKETS)
        if int(fields["s"]) != total:
            raise Broken(f"the sum is {fields['s']}, its buckets are {counts}")
        for bucket in range(now - BUCKETS, now + 1):
            taken = sum(at // WIDTH_MS == bucket for at in charges.taken)
            if counts.get(bucket, 0) != taken:
                raise Broken(f"{taken} units were taken in a bucket that counts {counts.get(bucket, 0)}")

    def closing(self, world: World) -> Story:
        """Somebody calls when all that was taken has left the window."""
        yield WINDOW_MS + WIDTH_MS  # type: ignore[misc]
        for _ in range(LIMIT + 1):
            limiter = _limiter()
            yield from do(limiter.check(POLICY, "u", "/pay", 1, NORMAL).op)

    def final(self, world: World, look: Look) -> None:
        charges: Charges = world.ledger
        late = [at for at in charges.taken if at == world.now_ms]
        if len(late) != LIMIT:
            raise Broken(f"{len(late)} calls passed when the window was over, and the limit is {LIMIT}")
        self.check(world, look)


def _new_id() -> str:
    return secrets.token_urlsafe(8)


def _limiter() -> Limiter:
    return Limiter("", server_clock, system_clock, PLAIN)


def _call(*, fails: bool) -> Story:
    """Ask; work; when the work failed, give back, and once more when nobody answered."""
    limiter = _limiter()
    pending = limiter.check(POLICY, "u", "/pay", 1, NORMAL)
    try:
        decision = yield from do(pending.op)
    except OutcomeUnknown:
        return
    if not isinstance(decision, Decision) or not decision.allowed or not fails:
        return
    yield Call(lambda: None)
    for _ in range(2):
        with suppress(Error):
            for op in redeem.refund(limiter, decision):
                yield from do(op)
            return


def _forgetful() -> AbstractContextManager[Any]:
    """A receipt that takes a new id for each refund."""

    def refunded(self: receipts.ChargeReceipt) -> bool:
        self.refund_id = secrets.token_urlsafe(8)
        return True

    return mock.patch.object(receipts.ChargeReceipt, "refunded", refunded)
