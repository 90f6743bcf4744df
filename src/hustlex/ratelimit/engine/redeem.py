"""What a decision's receipt is good for: refund, heartbeat, release."""

from __future__ import annotations

from hustlex.core import check
from hustlex.core.op import Op
from hustlex.errors import Misuse
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.limiter import Limiter
from hustlex.ratelimit.engine.receipts import ChargeReceipt, charged_parts
from hustlex.ratelimit.types import Decision, Source

_SLACK_MS = 2_000


def refund(limiter: Limiter, decision: Decision) -> list[Op[bool]]:
    """What to run to undo an allowed call; nothing for one that took nothing. The same decision has the same id."""
    check.instance("decision", decision, Decision)
    if decision.parts:
        return [op for part in decision.parts for op in refund(limiter, part)]
    receipt = decision.receipt
    if not decision or not isinstance(receipt, ChargeReceipt) or not receipt.charged or receipt.reply == ():
        return []
    first = receipt.refunded()
    limiter.ease(receipt.request)
    if isinstance(receipt.reply, tuple):
        if first:
            limiter.uncount(receipt.request, decision.cost)
        return []
    request = receipt.request
    parts = charged_parts(request, receipt.reply, decision.cost)
    mark_ms = 2 * max(policy.window_ms for policy in request.compiled.policies) + _SLACK_MS
    return [ops.refund(request.key_prefix, parts, receipt.refund_id, request.request_id, mark_ms, limiter.clock())]


def heartbeat(limiter: Limiter, decision: Decision) -> Op[bool] | None:
    """None when the server does not keep the place. Raises Misuse when there is no lease."""
    receipt = _leased(decision)
    life_ms = receipt.request.compiled.lease_ms
    return ops.heartbeat(receipt.lease_key, receipt.lease, life_ms, limiter.clock()) if _held(decision) else None


def release(limiter: Limiter, decision: Decision) -> Op[bool] | None:
    """None when the server does not keep the place. Raises Misuse when there is no lease."""
    receipt = _leased(decision)
    if _held(decision):
        return ops.release(receipt.lease_key, receipt.lease)
    if decision.degraded:
        limiter.uncount(receipt.request, decision.cost)
    return None


def life_ms(decision: Decision) -> int:
    """How long the decision's lease lives without a heartbeat."""
    return _leased(decision).request.compiled.lease_ms


def _held(decision: Decision) -> bool:
    """Whether the server keeps the place: it was there, the subject is not exempt, and no shadow looked away."""
    if decision.degraded or decision.source is Source.EXEMPTION:
        return False
    judged = zip(_leased(decision).request.compiled.policies, decision.per_policy, strict=True)
    return all(state.allowed for policy, state in judged if policy.algorithm == "leases")


def _leased(decision: Decision) -> ChargeReceipt:
    check.instance("decision", decision, Decision)
    if not decision.lease or decision.parts or not isinstance(decision.receipt, ChargeReceipt):
        raise Misuse("this decision holds no place", hint="it needs an allowed check with a policy of leases")
    return decision.receipt
