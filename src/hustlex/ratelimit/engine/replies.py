"""A check's reply: one line of numbers, read when somebody asks (see lua/verdict.lua for what they are)."""

from __future__ import annotations

from collections.abc import Sequence

from hustlex.ratelimit.engine.ops import CheckRequest
from hustlex.ratelimit.policy.algorithms import Reading, state_of
from hustlex.ratelimit.types import NEVER, PolicyState

_BANNED = 3


def read(request: CheckRequest, line: bytes, age_us: int = 0) -> tuple[PolicyState, ...]:
    """Each policy's state, ``age_us`` after the reply. Of a ban: only the policy that bans."""
    words = [int(word) for word in line.split()]
    status, now_ms, bits = words[0], server_ms(words), words[3]
    if status == _BANNED:
        return (_ban(request, words[4], bits * 1000 - age_us),)
    states, at, compiled = [], 4, request.compiled
    for place, (policy, algorithm) in enumerate(zip(compiled.policies, compiled.algorithms, strict=True)):
        numbers = words[at + 1 : at + 1 + algorithm.width]
        cost = policy.units(request.cost)
        over = bool(bits >> place & 1)
        states.append(state_of(Reading(policy, words[at], numbers, now_ms, over, cost), age_us))
        at += 1 + algorithm.width
    return tuple(states)


def server_ms(words: Sequence[int | bytes]) -> int:
    """The server's clock in a reply's words."""
    return int(words[1]) * 1000 + int(words[2]) // 1000


def _ban(request: CheckRequest, place: int, rest_us: int) -> PolicyState:
    policy = request.compiled.policies[place - 1]
    rest = max(0, rest_us) * NEVER.resolution
    return PolicyState(policy.name, policy.limit, policy.window, False, 0, rest, rest, rest)
