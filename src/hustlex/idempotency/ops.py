"""Operations of the idempotency room: what to send, and how each answer reads."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.check import instance, text
from hustlex.core.keyring import KID_LENGTH
from hustlex.core.lua import load
from hustlex.core.op import Effect, Op, Reply, command
from hustlex.core.parts import in_parts
from hustlex.errors import BadReply
from hustlex.idempotency.options import IdempotencyOptions
from hustlex.idempotency.seals import Seals
from hustlex.idempotency.types import InFlight, Mismatch, Orphaned, Replay, Response, Started

_BEGIN = load("hustlex.idempotency", "begin")
_COMPLETE = load("hustlex.idempotency", "complete")
_RENEW = load("hustlex.idempotency", "renew")
_ABANDON = load("hustlex.idempotency", "abandon")

ANYBODY = -1
NOBODY = 0
_LONGEST_POINT = 64
_WITHDRAWAL_MS = 100
_NO_ANSWER = Response(0)
_LONGEST_IN_PARTS = 2048


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants what. over: whom a lapsed claim is taken from: NOBODY, ANYBODY, or the owner with this fence."""

    record: str
    fingerprint: bytes
    owner: str
    lease_ms: int
    ttl_ms: int
    over: int = NOBODY

    def __repr__(self) -> str:
        return "Claim(...)"


class OtherSecret(msgspec.Struct, frozen=True):
    """The record's print was made with another secret, whose kid this is: it says nothing about the request."""

    kid: str


Found = Started | Replay | InFlight | Mismatch | Orphaned


def begin(seals: Seals, claim: Claim, now_ms: int) -> Op[Found | OtherSecret]:
    """Claim a record, or hear what became of it."""

    def decode(reply: Reply) -> Found | OtherSecret:
        match reply:
            case [0, fence, point]:
                return Started(claim.record, claim.owner, fence, _text(point), claim.lease_ms, claim.ttl_ms)
            case [1, status, big, sealed]:
                return Replay(seals.unseal(sealed, claim.record, status, whole=not big) if sealed else _NO_ANSWER)
            case [2, rest]:
                return InFlight(timedelta(milliseconds=rest) if rest >= 0 else None)
            case [3, held]:
                kid = bytes(held)[:KID_LENGTH]
                return Mismatch() if kid == claim.fingerprint[:KID_LENGTH] else OtherSecret(kid.decode("latin-1"))
            case [4, fence, point]:
                return Orphaned(fence, _text(point))
        raise BadReply(f"status {reply[0]!r} is not in the contract")

    return _BEGIN.op(
        (claim.record,),
        (now_ms, claim.fingerprint, claim.owner, claim.lease_ms, claim.ttl_ms, claim.over),
        decode,
    )


def complete(
    seals: Seals, started: Started, response: Response | None, options: IdempotencyOptions, nonce: bytes
) -> Op[bool]:
    """Keep an answer, or of an event: that it was handled. True when it was the caller's to give."""
    instance("started", started, Started)
    instance("options", options, IdempotencyOptions)
    if response is not None:
        instance("response", response, Response)
    status, big, sealed = 0, False, b""
    if response is not None:
        big = not response.whole or len(response.body) > options.max_answer
        kept = tuple((name.lower(), value) for name, value in response.headers if name.lower() in options.headers)
        answer = Response(response.status, b"" if big else response.body, kept)
        status, sealed = response.status, seals.seal(answer, started.record, nonce)
    kept_as = in_parts("body", sealed) if len(sealed) <= _LONGEST_IN_PARTS else ("body", sealed)
    return _COMPLETE.op((started.record,), (started.owner, status, int(big), started.ttl_ms, *kept_as), _yes)


def renew(started: Started, point: str, now_ms: int) -> Op[bool]:
    """Extend the lease and set a recovery point. False: the claim is lost. Raises Misuse for a bad point."""
    instance("started", started, Started)
    text("point", point, longest=_LONGEST_POINT, blank=True)
    return _RENEW.op((started.record,), (now_ms, started.owner, started.lease_ms, started.ttl_ms, point), _yes)


def abandon(started: Started, now_ms: int) -> Op[bool]:
    """Give the claim back. False: it is lost, or past a recovery point."""
    instance("started", started, Started)
    return _ABANDON.op((started.record,), (now_ms, started.owner), _yes)


def withdraw(claim: Claim, now_ms: int) -> Op[bool]:
    """Give a claim back whose begin was not answered in time; does not wait long for an answer of its own."""
    return _ABANDON.op((claim.record,), (now_ms, claim.owner), _yes, timeout_ms=_WITHDRAWAL_MS)


def keep(started: Started) -> Op[bool]:
    """A write that changes nothing: whoever waits for it waits for the claim, too, if it is there still."""
    key, ttl = started.record, started.ttl_ms
    return command("idempotency.keep", Effect.IDEMPOTENT, "PEXPIRE", key, ttl, keys=(key,), decode=bool)


def _yes(reply: Reply) -> bool:
    return bool(reply[0])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
