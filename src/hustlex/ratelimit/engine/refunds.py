"""Giving back what a call took."""

from __future__ import annotations

import msgspec

from hustlex.core import check
from hustlex.core.op import Op
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.pending import new_id
from hustlex.ratelimit.types import Decision

_SLACK_MS = 2_000


def refund(limiter: Limiter, decision: Decision) -> list[Op[bool]]:
    """What to run to undo an allowed call; nothing for one that took nothing. The same decision has the same id."""
    check.instance("decision", decision, Decision)
    if decision.parts:
        return [op for part in decision.parts for op in refund(limiter, part)]
    if not decision or decision.reply == () or decision.refund_id == _DONE_HERE:
        return []
    subject, asked = decision.call.subject, decision.call.asked
    subject.eased()
    if isinstance(decision.reply, tuple):
        msgspec.structs.force_setattr(decision, "refund_id", _DONE_HERE)
        if subject.local is not None:
            subject.local.give_back(decision.cost)
        return []
    if not decision.refund_id:
        msgspec.structs.force_setattr(decision, "refund_id", new_id())
    parts = decision.call.parts(decision.reply, decision.cost)
    mark_ms = 2 * max(policy.window_ms for policy in asked.compiled.policies) + _SLACK_MS
    return [ops.refund(asked.key_prefix, parts, decision.refund_id, asked.request, mark_ms, limiter.clock())]


_DONE_HERE = "-"
