"""Giving back what a call took."""

from __future__ import annotations

import msgspec

from hustlex.core import check
from hustlex.core.op import Op
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.limiter import Desk
from hustlex.ratelimit.engine.pending import new_id
from hustlex.ratelimit.types import Decision

_SLACK_MS = 2_000


def refund(desk: Desk, decision: Decision) -> list[Op[bool]]:
    """What to run to undo an allowed call; nothing for one that took nothing. The same decision has the same id."""
    check.instance("decision", decision, Decision)
    if decision.parts:
        return [op for part in decision.parts for op in refund(desk, part)]
    if not decision or decision.reply == () or decision.refund_id == _DONE_HERE:
        return []
    caller, asked = decision.call.caller, decision.call.asked
    caller.eased()
    if isinstance(decision.reply, tuple):
        msgspec.structs.force_setattr(decision, "refund_id", _DONE_HERE)
        if caller.local is not None:
            caller.local.give_back(decision.cost)
        return []
    if not decision.refund_id:
        msgspec.structs.force_setattr(decision, "refund_id", new_id())
    parts = decision.call.parts(decision.reply, decision.cost)
    mark_ms = 2 * max(policy.window_ms for policy in asked.plan.policies) + _SLACK_MS
    return [ops.refund(asked.stem, parts, decision.refund_id, asked.request, mark_ms, desk.clock())]


_DONE_HERE = "-"
