"""A check's reply: one line of numbers, read when somebody asks (see lua/verdict.lua for what they are)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from hustlex.ratelimit.engine.ops import CheckRequest
from hustlex.ratelimit.policy.algorithms import ARITHMETIC, Reading, shown_limit, state_of
from hustlex.ratelimit.types import NEVER, Brief, PolicyState, brief_of

_BANNED = 3
_read: Callable[[bytes], list[int]] = msgspec.json.Decoder(list[int]).decode
_NUMBERS = 5
"""The first of a policy's numbers, in a reply of one policy."""


def numbers_of(line: bytes) -> list[int]:
    """A reply's words. As JSON they are read in half the time."""
    return _read(b"[%b]" % line.replace(b" ", b","))


def read(request: CheckRequest, line: bytes, age_us: int = 0) -> tuple[PolicyState, ...]:
    """Each policy's state, ``age_us`` after the reply. Of a ban: only the policy that bans."""
    words = numbers_of(line)
    if words[0] == _BANNED:
        return (_ban(request, words[4], words[3] * 1000 - age_us),)
    return tuple([state_of(reading, age_us) for reading in _readings(request, words)])


def briefs(request: CheckRequest, line: bytes, age_us: int = 0, before: int = 0) -> list[Brief]:
    """What clients are told of each policy, ``age_us`` after the reply, and after ``before`` more of them passed."""
    words = numbers_of(line)
    if words[0] == _BANNED:
        return [brief_of(_ban(request, words[4], words[3] * 1000 - age_us))]
    if before:
        words[_NUMBERS + request.compiled.algorithms[0].counted] += before * request.compiled.step
    now_ms, found = server_ms(words), []
    for policy, algorithm, at, numbers in request.compiled.judges:
        limit = words[at]
        remaining, more = algorithm.left(policy, limit, words[numbers], now_ms)
        more = more - age_us if more > age_us else 0
        found.append((policy.name, shown_limit(policy, limit), policy.window, remaining, more))
    return found


def later(request: CheckRequest, line: bytes, passed: int) -> bytes:
    """The reply to a usual check after so many more of them passed in the same moment."""
    if not passed:
        return line
    words, place = line.split(), _NUMBERS + request.compiled.algorithms[0].counted
    words[place] = b"%d" % (int(words[place]) + passed * request.compiled.step)
    return b" ".join(words)


def refusing(request: CheckRequest, line: bytes) -> list[Reading]:
    """What the policies that refuse read, shadow ones included, in a reply that is no ban."""
    return [reading for reading in _readings(request, numbers_of(line)) if reading.over]


def remaining(request: CheckRequest, line: bytes) -> int:
    """Units left of the only policy, in a reply that is no ban."""
    reading = next(_readings(request, numbers_of(line)))
    return ARITHMETIC[reading.policy.algorithm].waits(reading).remaining


def _readings(request: CheckRequest, words: Sequence[int]) -> Iterator[Reading]:
    now_ms, bits = server_ms(words), words[3]
    for place, (policy, _, at, numbers) in enumerate(request.compiled.judges):
        over, units = bool(bits >> place & 1), policy.units(request.cost)
        yield Reading(policy, words[at], words[numbers], now_ms, over, units)


def server_ms(words: Sequence[int]) -> int:
    """The server's clock in a reply's words."""
    return words[1] * 1000 + words[2] // 1000


def _ban(request: CheckRequest, place: int, rest_us: int) -> PolicyState:
    policy = request.compiled.policies[place - 1]
    rest = max(0, rest_us) * NEVER.resolution
    return PolicyState(policy.name, policy.limit, policy.window, False, 0, rest, rest, rest)
