"""Operations of the rate limit room.

A counter's keys carry the start of their window, so the caller must guess the server's time to declare them:
``guess_ms``. A script whose clock is in none of the declared windows does nothing and answers Elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import msgspec

from hustlex.core.keys import component, tag
from hustlex.core.lua import load
from hustlex.core.op import Arg, Effect, Op, Reply
from hustlex.errors import Misuse
from hustlex.ratelimit.types import Decision, Elsewhere, Outcome, Policy, PolicyState

_CHECK = load("hustlex.ratelimit", "check")
_PEEK = load("hustlex.ratelimit", "peek")
_RESET = load("hustlex.ratelimit", "reset")

_MOST_POLICIES = 8
_NEVER = -1


class Target(msgspec.Struct, frozen=True):
    """Who is limited, where, and by what. stem: the keys up to what tells policies and windows apart."""

    stem: str
    policies: tuple[Policy, ...]


def target(prefix: str, policy: Policy | Sequence[Policy], identity: str, endpoint: str) -> Target:
    """Raises Misuse for an empty identity or endpoint, and unless there are 1 to 8 policies of different names."""
    policies = (policy,) if isinstance(policy, Policy) else tuple(policy)
    if not 1 <= len(policies) <= _MOST_POLICIES:
        raise Misuse(f"a call has 1 to {_MOST_POLICIES} policies, not {len(policies)}")
    if len({each.name for each in policies}) < len(policies):
        raise Misuse("two policies of one call have the same name")
    return Target(f"{prefix}ratelimit:{tag(identity)}:{component(endpoint)}:", policies)


def check(at: Target, cost: int, request: str, now_ms: int, guess_ms: int) -> Op[Decision | Elsewhere]:
    """Charge every policy or none. request: id of this call; a repeat with only log policies charges nothing more."""
    rules = _rules(at, _positive(cost), guess_ms)
    op = _CHECK.op(keys(at, guess_ms), (now_ms, request, *rules), partial(_decision, at.policies, cost))
    if all(policy.algorithm == "log" for policy in at.policies):
        return msgspec.structs.replace(op, effect=Effect.IDEMPOTENT)
    return op


def peek(at: Target, cost: int, now_ms: int, guess_ms: int) -> Op[Decision | Elsewhere]:
    """What ``check`` would answer, with nothing charged."""
    rules = _rules(at, _positive(cost), guess_ms)
    return _PEEK.op(keys(at, guess_ms), (now_ms, *rules), partial(_decision, at.policies, cost))


def reset(at: Target, now_ms: int, guess_ms: int) -> Op[bool | Elsewhere]:
    """Forget what was used. True when there was something to forget."""
    return _RESET.op(keys(at, guess_ms), (now_ms, *_rules(at, 1, guess_ms)), _removed)


def keys(at: Target, guess_ms: int) -> tuple[str, ...]:
    """A counter's windows before, at and after the guess; a log's set. Several of a kind carry the policy's name."""
    names: list[str] = []
    for policy in at.policies:
        alone = [each.algorithm for each in at.policies].count(policy.algorithm) == 1
        suffix = "" if alone else f".{policy.name}"
        if policy.algorithm == "log":
            names.append(f"{at.stem}z{suffix}")
        else:
            base = guess_ms // policy.window_ms
            starts = [number * policy.window_ms // 1000 for number in (base - 1, base, base + 1)]
            names += [f"{at.stem}{start}{suffix}" for start in starts]
    return tuple(names)


def _rules(at: Target, cost: int, guess_ms: int) -> list[Arg]:
    rules: list[Arg] = []
    for policy in at.policies:
        window = policy.window_ms if policy.algorithm == "counter" else policy.window_ms * 1000
        rules += [policy.algorithm, policy.limit, window, policy.cost * cost, guess_ms // policy.window_ms]
    return rules


def _positive(cost: int) -> int:
    if cost < 1:
        raise Misuse(f"cost must be at least 1, not {cost}")
    return cost


def _decision(policies: tuple[Policy, ...], cost: int, reply: Reply) -> Decision | Elsewhere:
    if reply[0] == 0:
        return Elsewhere(int(reply[1]))
    states = tuple(_state(policy, *reply[at : at + 4]) for policy, at in zip(policies, range(1, 99, 4), strict=False))
    violated = [state for state in states if not state.allowed]
    hopeless = [state for state in violated if state.retry_after < timedelta(0)]
    if hopeless:
        outcome, decisive = Outcome.COST_TOO_LARGE, hopeless[0]
    elif violated:
        outcome, decisive = Outcome.DENIED, max(violated, key=lambda state: state.retry_after)
    else:
        outcome, decisive = Outcome.ALLOWED, min(states, key=lambda state: state.remaining)
    return Decision(
        reply[0] == 1,
        outcome,
        decisive.limit,
        decisive.remaining,
        decisive.retry_after,
        decisive.reset_after,
        decisive.policy,
        cost,
        states,
    )


def _state(policy: Policy, used: int, retry_us: int, more_us: int, reset_us: int) -> PolicyState:
    retry = timedelta(milliseconds=-1) if retry_us == _NEVER else timedelta(microseconds=retry_us)
    return PolicyState(
        policy.name,
        policy.limit,
        policy.window,
        retry_us == 0,
        max(0, policy.limit - used),
        retry,
        timedelta(microseconds=more_us),
        timedelta(microseconds=reset_us),
    )


def _removed(reply: Reply) -> bool | Elsewhere:
    return Elsewhere(int(reply[1])) if reply[0] == 0 else reply[1] > 0
