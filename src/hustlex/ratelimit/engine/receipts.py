"""What a decision carries for later: its request, and the reply that decided it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from hustlex.core.keys import tagged
from hustlex.ratelimit.engine import replies
from hustlex.ratelimit.engine.ops import ChargedPart, CheckRequest, new_id
from hustlex.ratelimit.types import Brief, PolicyState, brief_of

_naming = threading.Lock()


class ChargeReceipt(msgspec.Struct, eq=False, gc=False):
    """Of one decision. reply: the server's line, or the states that were worked out here.

    charged: False of a peek, which took nothing. refund_id: "" until the first refund; only that ever changes, so that
    a refund may be repeated and counts once. before: callers that passed between the one of the reply and this one.
    """

    request: CheckRequest
    reply: bytes | tuple[PolicyState, ...]
    charged: bool = True
    refund_id: str = ""
    before: int = 0

    @property
    def lease(self) -> str:
        """The id under which a place was taken; "" when no policy gives places."""
        return self.request.request_id if self.charged and self.request.compiled.lease_ending else ""

    @property
    def caller(self) -> str:
        """Who is limited: what stands in the braces of the keys."""
        return tagged(self.request.key_prefix)

    @property
    def lease_key(self) -> str:
        """Where the places are kept."""
        return self.request.key_prefix + self.request.compiled.lease_ending

    def states(self, age_us: int = 0) -> tuple[PolicyState, ...]:
        """Each policy's state, ``age_us`` after the reply."""
        if isinstance(self.reply, tuple):
            return self.reply
        return replies.read(self.request, replies.later(self.request, self.reply, self.before), age_us)

    def briefs(self, age_us: int = 0) -> Sequence[Brief]:
        """What clients are told of each policy, ``age_us`` after the reply."""
        if isinstance(self.reply, tuple):
            return [brief_of(state) for state in self.reply]
        return replies.briefs(self.request, self.reply, age_us, self.before)

    def refunded(self) -> bool:
        """Give the refund its id. True the first time, False ever after."""
        with _naming:
            first = not self.refund_id
            if first:
                self.refund_id = new_id()
        return first


def charged_parts(request: CheckRequest, line: bytes, cost: int) -> list[ChargedPart]:
    """What a call of this cost was charged, by the reply that allowed it."""
    words = replies.numbers_of(line)
    found, now_ms, bits, compiled = [], replies.server_ms(words), words[3], request.compiled
    for place, (policy, algorithm, *_) in enumerate(compiled.judges):
        if bits >> place & 1:
            continue
        amount = policy.units(cost)
        start = 0 if algorithm.letter else now_ms // policy.window_ms * policy.window_ms
        if policy.algorithm == "gcra":
            amount *= algorithm.script_window(policy)
        bucket = now_ms // algorithm.script_window(policy) if policy.algorithm == "strict" else 0
        found.append(ChargedPart(compiled.ending(place, start), policy.algorithm, amount, bucket))
    return found
