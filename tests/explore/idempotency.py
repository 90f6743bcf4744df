"""Idempotency: begin, renew, execute, complete or abandon, and take over from one who is gone.

Two callers send one request; one more comes when the others' leases may be over. An owner sets a recovery point right
before its effect, and has its effect only while the lease it knows of lasts, as the guide says. Who finds an orphan
asks the bank, which knows the truth.

Invariants:

- The effect takes place once at most, and in the end once; not at all where a refusal had to be kept, because an
  earlier owner had set a recovery point.
- Nobody owns the key beside one whose lease lasts; each owner after an orphan has a higher fence.
- Every answer that a caller was given, first hand or repeated, is the answer of that effect.
- What is kept as done was done, and what is kept as refused was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hustlex.core.keyring import Keyring
from hustlex.core.op import Call, Op, do
from hustlex.core.time import server_clock
from hustlex.errors import Error
from hustlex.idempotency import flows, ops
from hustlex.idempotency.flows import IdempotencyServices, KeyedRequest
from hustlex.idempotency.names import Scope
from hustlex.idempotency.options import IdempotencyOptions
from hustlex.idempotency.seals import Seals
from hustlex.idempotency.types import Executed, Finding, Orphaned, Replay, Response, Started
from tests.explore.engine import Mutation, Protocol
from tests.explore.server import Look
from tests.explore.world import Bounds, Broken, Story, World

KEYRING = Keyring(b"a test secret of thirty-two bytes or more")
LEASE_MS = 30_000
OPTIONS = IdempotencyOptions(lease=timedelta(milliseconds=LEASE_MS))
ROOM = IdempotencyServices(KEYRING, Seals(KEYRING), "", OPTIONS, server_clock)
REQUEST = KeyedRequest("key-1", Scope("user", "POST", "/transfers"), b'{"kobo":5}', "application/json", OPTIONS)


@dataclass
class Bank:
    effects: list[str] = field(default_factory=list)
    """Who had it."""
    until: dict[str, int] = field(default_factory=dict)
    """Owner -> end of the lease that the server gave it."""
    fences: list[tuple[str, int]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """Bodies that callers were given."""


class Idempotency(Protocol):
    name = "idempotency"
    ticks = (LEASE_MS + 1_000,)
    short = (Bounds(1, 1),)
    long = (Bounds(2, 2),)

    def mutations(self) -> Sequence[Mutation]:
        return (
            Mutation("leases-do-not-count", ops._BEGIN, (("tonumber(lease) > now", "false"),)),
            Mutation("anybody-renews", ops._RENEW, ((" or own ~= owner", ""),)),
            Mutation("anybody-completes", ops._COMPLETE, (("if own ~= owner then return {0} end", ""),)),
            Mutation(
                "takes-over-the-wrong-orphan",
                ops._BEGIN,
                (
                    (
                        "if tonumber(over) ~= -1 and tonumber(over) ~= fence and free ~= lease then "
                        "return {4, fence, point} end",
                        "",
                    ),
                ),
            ),
            Mutation("anybody-gives-back", ops._ABANDON, ((" or own ~= owner", ""),)),
        )

    def ledger(self) -> Bank:
        return Bank()

    def setup(self, world: World) -> Story:
        yield from ()

    def actors(self, world: World) -> None:
        world.add("caller A", _ask(world, "A"))
        world.add("caller B", _ask(world, "B"))

    def saw(self, world: World, actor: str, op: Op[Any], reply: Any) -> None:
        bank: Bank = world.ledger
        if op.name == "idempotency.begin" and reply[0] == 0:
            owner, fence = str(op.args[2]), int(reply[1])
            for other, until in bank.until.items():
                if other != owner and until > world.now_ms:
                    raise Broken(f"{actor} owns the key while another's lease lasts")
            if (owner, fence) not in bank.fences:
                if bank.fences and fence != 1 and fence <= bank.fences[-1][1]:
                    raise Broken(f"fence {fence} after {bank.fences[-1][1]}")
                bank.fences.append((owner, fence))
                bank.until[owner] = world.now_ms + LEASE_MS
        elif op.name == "idempotency.renew" and reply[0] == 1:
            bank.until[str(op.args[1])] = world.now_ms + LEASE_MS
        elif op.name == "idempotency.abandon" and reply[0] == 1:
            bank.until.pop(str(op.args[1]), None)
        elif op.name == "idempotency.complete" and reply[0] == 1:
            bank.until.pop(str(op.args[0]), None)

    def check(self, world: World, look: Look) -> None:
        bank: Bank = world.ledger
        if len(bank.effects) > 1:
            raise Broken(f"the effect took place {len(bank.effects)} times: {bank.effects}")
        for body in bank.answers:
            if body not in (bank.effects or ["refused"]):
                raise Broken(f"a caller was given {body!r}; the effects were {bank.effects}")
        for key in look:
            code = look.pairs(key).get("code")
            if code is not None and (int(code) == 200) != bool(bank.effects):
                raise Broken(f"{int(code)} is kept, and the effects were {bank.effects}")

    def closing(self, world: World) -> Story:
        """The client tries again, much later."""
        yield LEASE_MS + 1_000  # type: ignore[misc]
        yield from _ask(world, "closing")

    def final(self, world: World, look: Look) -> None:
        self.check(world, look)
        bank: Bank = world.ledger
        if not bank.answers:
            raise Broken("somebody came back and was given no answer")


def _ask(world: World, name: str) -> Story:
    """One request, through the door's own flow. B's first try finds its account locked and has no effect."""
    refused = name == "B"
    result = yield from flows.run(ROOM, REQUEST, lambda started: _execute(world, name, started, refused), _look(world))
    if isinstance(result, Replay) or (isinstance(result, Executed) and result.response.status == 200):
        body = result.response.body.decode()
        yield Call(lambda: world.ledger.answers.append(body) if body not in world.ledger.answers else None)


def _execute(world: World, name: str, started: Started, refused: bool) -> Story:
    """The handler. A claim that cannot be renewed is no longer its own: it stops, and nothing was done."""
    if refused:
        return Response(422, b"refused")
    begun = world.now_ms
    if not (yield from do(ops.renew(started, "charging", 0))):
        raise Error("the claim is lost")

    def effect() -> bool:
        # The owner's own clock: from before the renewal that it was told of.
        if world.now_ms - begun >= LEASE_MS:
            return False
        world.ledger.effects.append(name)
        return True

    if not (yield Call(effect)):
        raise Error("too slow")
    return Response(200, name.encode())


def _look(world: World) -> Any:
    """Ask the bank what became of an orphan."""

    def look(orphan: Orphaned) -> Response | Finding:
        effects = world.ledger.effects
        return Response(200, effects[-1].encode()) if effects else Finding.NOT_DONE

    return look
