"""One call on its way: what was asked, and how its reply becomes a Decision."""

from __future__ import annotations

import binascii
import weakref
from collections.abc import Sequence
from random import getrandbits
from time import monotonic

import msgspec

from hustlex.core.op import Op, Reply
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.memory import SubjectState
from hustlex.ratelimit.policy.algorithms import Reading, state_of
from hustlex.ratelimit.types import NEVER, Decision, Outcome, PolicyState, Source, WrongWindow

_PLAINLY, _REDIS = Outcome.ALLOWED, Source.REDIS
_ALLOWED, _BANNED, _ELSEWHERE = b"1"[0], b"3"[0], b"0"[0]


class Call:
    """Of one subject. The one of cost 1 and class normal is kept and serves many checks (see SubjectState).

    extra: units taken in advance (prefetch). request: id of this call, when its policies keep one.
    known: the subject, weakly: it keeps its call, and strangers decide how many there are, so each must be freed
    without waiting for a collector of cycles.
    """

    __slots__ = ("asked", "extra", "known")

    def __init__(self, subject: SubjectState, asked: ops.CheckRequest, extra: int = 0) -> None:
        self.known = weakref.ref(subject)
        self.asked = asked
        self.extra = extra

    @property
    def subject(self) -> SubjectState:
        """Whose call it is; a stand-in when that one was forgotten meanwhile."""
        return self.known() or SubjectState(self.asked.compiled, self.asked.key_prefix, monotonic)

    # -- reading replies: the usual one in three steps, the others as they come

    def decode(self, reply: Reply) -> Decision | WrongWindow:
        """A check's reply; tells the caller's memory."""
        subject = self.known()
        if reply[0] == _ALLOWED and subject is not None and not subject.watching:
            subject.last = reply
            return Decision(True, _PLAINLY, self.asked.cost, _REDIS, self, reply)
        return self.decode_rest(reply)

    def decode_rest(self, reply: Reply) -> Decision | WrongWindow:
        """Whatever is not simply allowed."""
        decision = self.decode_peek(reply)
        if isinstance(decision, WrongWindow):
            return decision
        if self.extra:
            if not decision:
                return WrongWindow(_now_ms(reply.split()))
            self.subject.stock_up(self.extra, reply)
        if decision.outcome is not Outcome.BANNED:
            self.subject.last = reply
        self.subject.remember(decision)
        return decision

    def decode_peek(self, reply: Reply) -> Decision | WrongWindow:
        """The same, remembering nothing."""
        status = reply[0]
        if status == _ELSEWHERE:
            return WrongWindow(_now_ms(reply.split()))
        cost = self.asked.cost
        if status == _BANNED:
            return Decision(False, Outcome.BANNED, cost, Source.REDIS, self, reply)
        if status == _ALLOWED:
            watched = self.asked.compiled.shadows and any(not state.allowed for state in self.read(reply, 0))
            outcome = Outcome.SHADOW_DENIED if watched else Outcome.ALLOWED
            return Decision(True, outcome, cost, Source.REDIS, self, reply)
        never = any(state.retry_after == NEVER for state in self.binding(self.read(reply, 0)))
        outcome = Outcome.COST_TOO_LARGE if never else Outcome.DENIED
        return Decision(False, outcome, cost, Source.REDIS, self, reply)

    def binding(self, states: tuple[PolicyState, ...]) -> list[PolicyState]:
        """Those that can refuse."""
        return [s for s, policy in zip(states, self.asked.compiled.policies, strict=True) if not policy.shadow]

    def read(self, reply: bytes, age_us: int) -> tuple[PolicyState, ...]:
        """Each policy's state, ``age_us`` after the reply. Of a ban: only the policy that bans."""
        words = [int(word) for word in reply.split()]
        status, now_ms, bits = words[0], _now_ms(words), words[3]
        if status == 3:
            return (self._ban(words[4], bits * 1000 - age_us),)
        states, at, compiled = [], 4, self.asked.compiled
        for place, (policy, kind) in enumerate(zip(compiled.policies, compiled.algorithms, strict=True)):
            numbers = words[at + 1 : at + 1 + kind.width]
            cost = policy.units(self.asked.cost)
            over = bool(bits >> place & 1)
            states.append(state_of(Reading(policy, words[at], numbers, now_ms, over, cost), age_us))
            at += 1 + kind.width
        return tuple(states)

    def _ban(self, place: int, rest_us: int) -> PolicyState:
        policy = self.asked.compiled.policies[place - 1]
        rest = max(0, rest_us) * NEVER.resolution
        return PolicyState(policy.name, policy.limit, policy.window, False, 0, rest, rest, rest)

    # -- afterwards

    def parts(self, reply: bytes, cost: int) -> list[ops.ChargedPart]:
        """What a call of this cost was charged, by the reply that allowed it."""
        words = [int(word) for word in reply.split()]
        found, now_ms, bits, compiled = [], _now_ms(words), words[3], self.asked.compiled
        for place, (policy, kind) in enumerate(zip(compiled.policies, compiled.algorithms, strict=True)):
            if bits >> place & 1:
                continue
            amount = policy.units(cost)
            start = 0 if kind.letter else now_ms // policy.window_ms * policy.window_ms
            if policy.algorithm == "gcra":
                amount *= kind.script_window(policy)
            bucket = now_ms // kind.script_window(policy) if policy.algorithm == "strict" else 0
            found.append(ops.ChargedPart(compiled.ending(place, start), policy.algorithm, amount, bucket))
        return found

    @property
    def lease_key(self) -> str:
        """The key of its leases, or ""."""
        for place, policy in enumerate(self.asked.compiled.policies):
            if policy.algorithm == "leases":
                return self.asked.key_prefix + self.asked.compiled.ending(place)
        return ""


class Sent(msgspec.Struct, frozen=True):
    """A call and what is to be sent for it. Apart from the call, which the operation's decoder leads to."""

    call: Call
    op: Op[Decision | WrongWindow]


def _now_ms(words: Sequence[int | bytes]) -> int:
    """The server's clock in a reply's words."""
    return int(words[1]) * 1000 + int(words[2]) // 1000


def new_id() -> str:
    """11 characters of 64 random bits: unique, not secret."""
    return binascii.b2a_base64(getrandbits(64).to_bytes(8, "big"), newline=False)[:11].decode()
