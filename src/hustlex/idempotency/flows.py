"""The verbs as the caller sees them, and the story of an execution from its claim to its answer."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.durability.level import Committed, Durability
from hustlex.core.keyring import Keyring
from hustlex.core.logs import logger
from hustlex.core.op import Call, Durable, Flow, Op, do
from hustlex.core.reference import user_reference
from hustlex.core.time import Clock
from hustlex.errors import Error, Misuse
from hustlex.idempotency import ops
from hustlex.idempotency.names import Scope, event_record, read_key, record_of
from hustlex.idempotency.options import IdempotencyOptions
from hustlex.idempotency.seals import NONCE_BYTES, Seals, unlisted
from hustlex.idempotency.types import (
    BeginResult,
    EventResult,
    Executed,
    Finding,
    InvalidKey,
    Mismatch,
    Orphaned,
    Replay,
    Response,
    RunResult,
    Seen,
    Started,
)
from hustlex.idempotency.webhooks import Provider

_log = logger("hustlex.idempotency")


class IdempotencyServices(msgspec.Struct, frozen=True, eq=False):
    """What every verb needs to know of the room it belongs to."""

    keyring: Keyring
    seals: Seals
    prefix: str
    options: IdempotencyOptions
    clock: Clock

    def owner(self) -> str:
        """A new owner's name, 128 random bits."""
        return secrets.token_urlsafe(16)


class KeyedRequest(msgspec.Struct, frozen=True):
    """One use of a key. options: of the room, or of the route."""

    key: Id
    scope: Scope
    body: bytes
    content_type: str
    options: IdempotencyOptions

    def __post_init__(self) -> None:
        check.instance("scope", self.scope, Scope)
        check.instance("body", self.body, bytes, bytearray, memoryview)
        check.instance("content_type", self.content_type, str)
        check.instance("options", self.options, IdempotencyOptions)

    def __repr__(self) -> str:
        return "Request(...)"


def begin(room: IdempotencyServices, request: KeyedRequest, over: Orphaned | None) -> Flow[BeginResult]:
    """Claim a request's key."""
    key = read_key(request.key)
    if key is None:
        return InvalidKey()
    scope, options = request.scope, request.options
    claim = ops.Claim(
        record=record_of(room.prefix, user_reference(scope.principal, room.keyring), scope, key),
        fingerprint=_print(room.seals, request),
        owner=room.owner(),
        lease_ms=options.lease_ms,
        ttl_ms=options.ttl_ms,
        over=_over(over, options),
    )
    outcome = yield from _claimed(room, claim)
    if isinstance(outcome, ops.OtherSecret):
        outcome = yield from _claimed_under(room, request, claim, outcome.kid)
    if isinstance(outcome, Started) and (durability := options.waits) is not None:
        return (yield from _waited(outcome, durability))
    return outcome


def _print(seals: Seals, request: KeyedRequest) -> bytes:
    return seals.fingerprint(request.scope, request.body, request.content_type)


def _claimed_under(room: IdempotencyServices, request: KeyedRequest, claim: ops.Claim, kid: str) -> Flow[ops.Found]:
    """Ask again with the print as that secret makes it. To say Mismatch of what cannot be read would be wrong: the
    client would take a new key, and the effect might come twice.
    """
    seals = room.seals.under(kid)
    if seals is None:
        raise unlisted()
    outcome = yield from _claimed(room, msgspec.structs.replace(claim, fingerprint=_print(seals, request)))
    if isinstance(outcome, ops.OtherSecret):  # it ended between the two questions, and was begun anew
        raise unlisted()
    return outcome


def _claimed(room: IdempotencyServices, claim: ops.Claim) -> Flow[ops.Found | ops.OtherSecret]:
    """Claim. When the answer does not come in time, or its caller is cancelled, the claim may stand all the same, of an
    owner who will do nothing: take it back, best effort, or whoever repeats the request would find an orphan.
    """
    try:
        return (yield from do(ops.begin(room.seals, claim, room.clock())))
    except GeneratorExit:
        raise
    except BaseException as error:
        if not isinstance(error, Error) or error.maybe_executed:
            with contextlib.suppress(Error):
                yield from do(ops.withdraw(claim, room.clock()))
        raise


def _over(orphan: Orphaned | None, options: IdempotencyOptions) -> int:
    if orphan is not None:
        check.instance("over", orphan, Orphaned)
        return orphan.fence
    return ops.ANYBODY if options.orphans == "takeover" else ops.NOBODY


def _waited(started: Started, durability: Durability) -> Flow[Started]:
    answers: list[Any] = yield Durable((ops.keep(started),), durability)
    reached = isinstance(answers[0], Committed) and answers[0].reached and answers[0].value
    return msgspec.structs.replace(started, durable=reached)


def begin_event(room: IdempotencyServices, provider: Provider, event_id: Id) -> Flow[EventResult]:
    """Claim a provider's event. Who finds it orphaned takes it over: the provider repeats until it is handled."""
    check.instance("provider", provider, Provider)
    record = event_record(room.prefix, provider.name, event_id)
    if record is None:
        return InvalidKey()
    claim = ops.Claim(
        record=record,
        fingerprint=b"",
        owner=room.owner(),
        lease_ms=provider.lease_ms,
        ttl_ms=provider.ttl_ms,
        over=ops.ANYBODY,
    )
    outcome = yield from _claimed(room, claim)
    if isinstance(outcome, Replay | Mismatch | ops.OtherSecret):
        return Seen()
    return outcome


def complete(
    room: IdempotencyServices, started: Started, response: Response | None, options: IdempotencyOptions | None
) -> Flow[bool]:
    """Keep an answer."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return (yield from do(ops.complete(room.seals, started, response, options or room.options, nonce)))


Kept = Callable[[Started], Any]
"""Runs the caller's function under a lease that is renewed; awaitable for tasks."""


def run(
    room: IdempotencyServices, request: KeyedRequest, execute: Kept, reconcile: Callable[[Orphaned], Any] | None
) -> Flow[RunResult]:
    """Execute once, or repeat the answer of the execution there was."""
    outcome = yield from begin(room, request, None)
    if isinstance(outcome, Orphaned) and reconcile is not None and request.options.orphans == "reconcile":
        outcome = yield from reconciled(room, request, outcome, reconcile)
    if isinstance(outcome, Orphaned):
        _log.error("an idempotency key is orphaned, point %s: look at what became of it", outcome.point)
    if not isinstance(outcome, Started):
        return outcome
    started = outcome
    response = yield Call(lambda: execute(started))
    if not isinstance(response, Response):
        raise Misuse("execute must return an idempotency.Response", hint="Response(status, body)")
    return Executed(response, (yield from settle(room, started, response, request.options)))


def reconciled(
    room: IdempotencyServices, request: KeyedRequest, orphan: Orphaned, reconcile: Callable[[Orphaned], Any]
) -> Flow[BeginResult]:
    """Ask what became of an orphan, then take exactly that one over, so that of several who ask one goes on.

    Started: it was not done, execute. Replay: it was done. Orphaned: nobody can tell.
    """
    check.instance("orphan", orphan, Orphaned)
    check.function("find_out", reconcile)
    finding: Response | Finding = yield Call(lambda: reconcile(orphan))
    if not isinstance(finding, Response | Finding):
        raise Misuse("reconcile must return a Response or a Finding", hint="Finding.UNKNOWN is always safe")
    if finding is Finding.UNKNOWN:
        return orphan
    outcome = yield from begin(room, request, orphan)
    if finding is Finding.NOT_DONE or not isinstance(outcome, Started):
        return outcome
    assert isinstance(finding, Response)
    yield from complete(room, outcome, finding, request.options)
    return Replay(finding)


def settle(room: IdempotencyServices, started: Started, response: Response, options: IdempotencyOptions) -> Flow[bool]:
    """Keep an answer, give the key back, or leave it to lapse, as the status says. False: it was to be kept and is not.

    Does not raise when the server is away: the effect took place, and the caller must be told its answer.
    """
    check.instance("response", response, Response)
    check.instance("options", options, IdempotencyOptions)
    check.instance("started", started, Started)
    if response.status in options.left_open:
        return True
    nonce = secrets.token_bytes(NONCE_BYTES)
    keep = ops.complete(room.seals, started, response, options, nonce)
    give_back = ops.abandon(started, room.clock()) if response.status in options.given_back else None
    return (yield from _settled(started, give_back, keep))


def settle_event(room: IdempotencyServices, started: Started, handled: bool) -> Flow[bool]:
    """Remember that an event was handled, or leave it to the provider's next try."""
    if check.flag("handled", handled):
        return (yield from _settled(started, None, ops.complete(room.seals, started, None, room.options, b"")))
    return (yield from _settled(started, ops.abandon(started, room.clock()), None))


def _settled(started: Started, give_back: Op[bool] | None, keep: Op[bool] | None) -> Flow[bool]:
    """Give back; what is past a recovery point cannot be, and its answer is kept whatever it says."""
    try:
        if give_back is not None and (yield from do(give_back)):
            return True
        kept = keep is not None and (yield from do(keep))
    except Error as error:
        _log.error("a claim could not be settled: %s", error)
        return False
    if not kept and keep is not None:
        _log.error("an execution ended after its claim was lost, fence %d: it may have run twice", started.fence)
    return kept
