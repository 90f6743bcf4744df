"""Operations of the pins room: what to send, and how each answer reads."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import to_ms
from hustlex.errors import BadReply
from hustlex.pins.options import PinOptions
from hustlex.pins.types import PinLocked

_ATTEMPT = load("hustlex.pins", "attempt")
_HEAL = load("hustlex.pins", "heal")
_RESET = load("hustlex.pins", "reset")
_WITHDRAW = load("hustlex.pins", "withdraw")


class CountedAttempt(msgspec.Struct, frozen=True):
    """A counted attempt. left: attempts after it. rest: length of the lock that it raised, when none are left."""

    seq: int
    left: int
    rest: timedelta


def tries(prefix: str, uref: str) -> str:
    """The key of a user's attempts."""
    return f"{prefix}pin:{{{uref}}}:tries"


def attempt(key: str, options: PinOptions, now_ms: int) -> Op[CountedAttempt | PinLocked]:
    """Count an attempt, before its PIN is compared."""

    def decode(reply: Reply) -> CountedAttempt | PinLocked:
        match reply:
            case [1, seq, left, rest]:
                return CountedAttempt(seq, left, timedelta(milliseconds=rest))
            case [2, rest]:
                return PinLocked(timedelta(milliseconds=rest))
        raise BadReply(f"status {reply[0]!r} is not in the contract")

    locks = tuple(to_ms(lock) for lock in options.locks)
    return _ATTEMPT.op((key,), (now_ms, options.attempts, to_ms(options.quiet), *locks), decode)


def heal(key: str, seq: int, options: PinOptions, now_ms: int) -> Op[PinLocked | None]:
    """The attempt was right. PinLocked: another one has locked meanwhile."""

    def decode(reply: Reply) -> PinLocked | None:
        return None if reply[0] == 1 else PinLocked(timedelta(milliseconds=reply[1]))

    return _HEAL.op((key,), (now_ms, seq, to_ms(options.quiet)), decode)


def withdraw(key: str, seq: int, options: PinOptions, now_ms: int) -> Op[bool]:
    """The attempt was never compared, so it shall not count."""
    return _WITHDRAW.op((key,), (now_ms, seq, options.attempts, to_ms(options.quiet)), bool)


def reset(key: str, options: PinOptions) -> Op[bool]:
    """Forgive everything. True when there was something."""
    return _RESET.op((key,), (to_ms(options.quiet),), lambda reply: bool(reply[0]))
