"""What an operator sees of a user's PIN: counts and locks, never a PIN or a verifier."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hustlex.core.lua import load
from hustlex.core.op import Op, Reply
from hustlex.core.time import to_ms
from hustlex.errors import BadReply
from hustlex.pins.options import PinOptions

_LOOK = load("hustlex.pins", "look")


class PinState(msgspec.Struct, frozen=True):
    """How a user's PIN stands now."""

    wrong: int
    """Wrong attempts since the last right one, reset or lock."""
    left: int
    """Attempts until the next lock, by these options; 0 while it is locked."""
    locked_for: timedelta
    """Rest of the lock; 0 when there is none."""
    locks: int
    """Locks in a row; each is longer than the one before."""


def look(key: str, options: PinOptions, now_ms: int) -> Op[PinState]:
    """The state of a user's attempts."""

    def decode(reply: Reply) -> PinState:
        match reply:
            case [0]:
                return PinState(0, options.attempts, timedelta(0), 0)
            case [1, wrong, rest, locks]:
                left = 0 if rest else max(0, options.attempts - wrong)
                return PinState(wrong, left, timedelta(milliseconds=rest), locks)
        raise BadReply(f"status {reply[0]!r} is not in the contract")

    return _LOOK.op((key,), (now_ms, to_ms(options.quiet)), decode)
