"""The verbs as the caller sees them: count, compare, forgive."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from hustlex.core.check import Id, identity
from hustlex.core.context import Context, context_digest
from hustlex.core.keyring import Keyring
from hustlex.core.op import Call, Flow, do
from hustlex.core.reference import user_reference
from hustlex.core.time import Clock
from hustlex.errors import Error, Overloaded
from hustlex.pins import ops
from hustlex.pins.hashing import SALT_BYTES, Hasher, read_verifier
from hustlex.pins.options import PinOptions
from hustlex.pins.rules import read_pin, weakness
from hustlex.pins.types import HashResult, PinHashed, PinLocked, PinMalformed, PinOk, PinWeak, PinWrong, VerifyResult


class PinServices(msgspec.Struct, frozen=True, eq=False):
    """What every verb needs to know of the room it belongs to. work: runs a slow function; awaitable for tasks."""

    keyring: Keyring
    hasher: Hasher
    prefix: str
    options: PinOptions
    clock: Clock
    work: Callable[[Callable[[], Any]], Any]

    def tries(self, user_id: Id) -> str:
        """The key of a user's attempts. Raises Misuse."""
        return ops.tries(self.prefix, user_reference(user_id, self.keyring))


def hash_pin(room: PinServices, user_id: Id, pin: str) -> Flow[HashResult]:
    """Make a verifier for a PIN that is not easily guessed."""
    user = identity("user_id", user_id)
    digits = read_pin(pin, room.options)
    if digits is None:
        return PinMalformed()
    why = weakness(digits, room.options)
    if why is not None:
        return PinWeak(why)
    salt = secrets.token_bytes(SALT_BYTES)
    verifier = yield Call(lambda: room.work(lambda: room.hasher.write(user, digits, room.options, salt)))
    return PinHashed(verifier)


def verify(room: PinServices, user_id: Id, pin: str, stored: str, ctx: Context | None) -> Flow[VerifyResult]:
    """Count the attempt, compare, and forgive it when it was right."""
    user = identity("user_id", user_id)
    verifier, key, context = read_verifier(stored), room.tries(user), context_digest(ctx)
    hasher = room.hasher.under(verifier.kid)
    digits = read_pin(pin, room.options)
    if digits is None:
        return PinMalformed()
    counted = yield from do(ops.attempt(key, room.options, room.clock()))
    if isinstance(counted, PinLocked):
        return counted
    try:
        right = yield Call(lambda: room.work(lambda: hasher.matches(user, digits, verifier)))
    except Overloaded:  # what is never compared, for want of a thread, must not lock anybody
        with contextlib.suppress(Error):
            yield from do(ops.withdraw(key, counted.seq, room.options, room.clock()))
        raise
    if not right:
        return PinWrong(counted.left) if counted.left else PinLocked(counted.rest)
    locked = yield from do(ops.heal(key, counted.seq, room.options, room.clock()))
    outdated = hasher is not room.hasher or verifier.weaker_than(room.options)
    return PinOk(outdated, context) if locked is None else locked
