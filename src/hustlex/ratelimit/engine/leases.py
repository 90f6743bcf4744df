"""Places and overrides: which operation a decision or a subject leads to."""

from __future__ import annotations

from hustlex.core import check
from hustlex.core.op import Op
from hustlex.errors import Misuse
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.memory import SubjectState
from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import Decision, Source


def life_ms(decision: Decision) -> int:
    """How long the decision's lease lives without a heartbeat; 0: there is none."""
    return next((p.window_ms for p in decision.call.asked.compiled.policies if p.algorithm == "leases"), 0)


def heartbeat(decision: Decision, now_ms: int) -> Op[bool] | None:
    """None when the server does not keep the place. Raises Misuse when there is no lease."""
    key = _leased(decision)
    return ops.heartbeat(key, decision.lease, life_ms(decision), now_ms) if _held(decision) else None


def release(decision: Decision) -> Op[bool] | None:
    """None when the server does not keep the place. Raises Misuse when there is no lease."""
    key = _leased(decision)
    if _held(decision):
        return ops.release(key, decision.lease)
    if decision.degraded and decision.call.subject.local is not None:
        decision.call.subject.local.give_back(decision.cost)
    return None


def _held(decision: Decision) -> bool:
    """Whether the server keeps the place: it was there, the subject is not exempt, and no shadow looked away."""
    if decision.degraded or decision.source is Source.EXEMPTION:
        return False
    judged = zip(decision.call.asked.compiled.policies, decision.per_policy, strict=True)
    return all(state.allowed for policy, state in judged if policy.algorithm == "leases")


def _leased(decision: Decision) -> str:
    check.instance("decision", decision, Decision)
    if not decision.lease or decision.parts:
        raise Misuse("this decision holds no place", hint="it needs an allowed check with a policy of leases")
    return decision.call.lease_key


def override_key(subject: SubjectState, policy: Policy, limit: int | None) -> str:
    """Where a caller's own limit stands. Raises Misuse."""
    check.instance("policy", policy, Policy)
    if not policy.overridable:
        raise Misuse(f"policy {policy.name} is not overridable", hint="Policy(..., overridable=True)")
    if limit is not None:
        check.whole("limit", limit, 1)
    return subject.key_prefix + subject.compiled.override_ending(0)
