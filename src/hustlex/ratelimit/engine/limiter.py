"""What a check asks first: is it answered here, and if not, what is to be sent.

Lesson of the profile (64 callers, 200 identities): building and packing an operation costs more than sending it, so a
subject's usual check is kept, packed; a reply is one line of text that is read when somebody asks; no clock, no id and
no randomness on the usual path. A function that stands in an attribute is fetched first and then called: as a method it
is looked up in the class each time (200 to 300 instructions; three of them were 7 % of a check). For the same reason
a door asks ``type(...) is``, which costs the same for either answer: ``isinstance`` takes 700 more where it is false.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.core.op import Op
from hustlex.core.time import Clock, server_clock, to_ms
from hustlex.errors import Error, Misuse
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.compiler import NORMAL, CompiledPolicies, Compiler, Policies
from hustlex.ratelimit.engine.decoder import ReplyDecoder
from hustlex.ratelimit.engine.fallback import Fallback
from hustlex.ratelimit.engine.memory import Subjects, SubjectState
from hustlex.ratelimit.engine.ops import CheckRequest, PendingCheck
from hustlex.ratelimit.engine.receipts import ChargeReceipt
from hustlex.ratelimit.engine.server_time import ServerTime
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import Decision, Outcome, Source, WrongWindow

_PLAINLY, _LOCAL_DENY, _PREFETCH = Outcome.ALLOWED, Source.LOCAL_DENY, Source.PREFETCH
_ONE = 1


class Limiter:
    """Shared by all tasks, or threads, of a process. A test's clock is this process' clock too.

    alert: there is more to do for each check than to send it: a hook, exemptions, or a server that failed lately.
    """

    def __init__(self, prefix: str, clock: Clock, local_clock: Clock, options: RateLimitOptions) -> None:
        self.options = options
        self.clock = clock
        self.server_time = ServerTime(local_clock)
        self._live = clock is server_clock
        self.now: Callable[[], float] = time.monotonic if self._live else lambda: clock() / 1000
        self.compiler = Compiler()
        self.prefix = prefix
        self.subjects = Subjects(prefix, options, self.now)
        self.fallback = Fallback(options, self.now)
        self._by_identity = self.compiler.by_identity
        self._breaker = self.fallback.breaker
        self._timeout_ms = to_ms(options.timeout)
        self._always_alert = options.on_decision is not None or bool(options.exempt)
        self.alert = self._always_alert

    # -- before: what to send, or the answer

    def check(self, policy: Policies, identity: Id, endpoint: Id, cost: int, tier: str) -> PendingCheck | Decision:
        """The next check of a subject, unless it can be answered without the server."""
        known, clock = self._by_identity.get(id(policy)), self.now  # apart from the call, see the lesson
        compiled = known[1] if known is not None else self.compiler.compiled(policy)
        try:
            subject = self.subjects.young.get((compiled.serial, identity, endpoint))
        except TypeError:  # what has no hash is no id
            subject = None
        if subject is None:
            subject = self.subjects.of(compiled, identity, endpoint)
        if (
            cost is _ONE
            and (pending := subject.pending) is not None
            and subject.window is compiled.current
            and tier == NORMAL
            and not (subject.denied_until or self.alert or compiled.prefetch_s)
            and (not compiled.windowed or clock() < compiled.fresh_until)
        ):
            return pending
        return self._unusual(subject, cost, tier)

    def _unusual(self, subject: SubjectState, cost: int, tier: str) -> PendingCheck | Decision:
        """Whatever is not simply sent again as it was."""
        compiled = subject.compiled
        if cost is not _ONE:  # neither is True, nor 1.0
            ops.positive(cost)
        if subject.denied_until and (denied := self._denied(subject, cost, tier)) is not None:
            return denied
        if self.alert and (answer := self._alerted(subject, cost, tier)) is not None:
            return answer
        if compiled.prefetch_s and tier == NORMAL and (ahead := self._ahead(subject, cost)) is not None:
            return ahead
        if cost is not _ONE or tier != NORMAL or compiled.ids or not self._live:
            return self._pending(subject, cost, tier)
        if compiled.windowed and self.now() >= compiled.fresh_until:
            self._refresh(compiled)
        if subject.window is not compiled.current or subject.pending is None:
            subject.pending = self._pending(subject, 1, NORMAL, keep=True)
            subject.window = compiled.current
        return subject.pending

    def _refresh(self, compiled: CompiledPolicies) -> None:
        """The window of now, and how long it will be."""
        guess_ms = self.server_time.guess()
        compiled.fresh_until = self.now() + (compiled.window_at(guess_ms).until_ms - guess_ms) / 1000

    def _denied(self, subject: SubjectState, cost: int, tier: str) -> Decision | None:
        """A refusal that still holds."""
        clock = self.now
        now, denial = clock(), subject.denial
        if not subject.denied_at <= now < subject.denied_until or denial is None:
            subject.denied_until = 0.0
            return None
        if cost < subject.denied_cost or cost > subject.compiled.largest or tier != subject.denied_tier:
            return None
        denied = Decision(False, denial.outcome, cost, _LOCAL_DENY, denial.receipt, now - subject.denied_at)
        return self._reported(denied) if self.alert else denied

    def _alerted(self, subject: SubjectState, cost: int, tier: str) -> Decision | None:
        """Exemptions, an open breaker; None: go on as usual."""
        if subject.exempt:
            receipt = ChargeReceipt(self._request(subject, cost, tier), ())
            return self._reported(Decision(True, Outcome.EXEMPT, cost, Source.EXEMPTION, receipt))
        if not self._breaker.allows(self.now()):
            return self._reported(self.fallback.judge(subject, self._request(subject, cost, tier)))
        return None

    def _ahead(self, subject: SubjectState, cost: int) -> Decision | PendingCheck | None:
        """Units in stock, or a check that takes some; None: go on as usual."""
        subject.rate_calls += 1
        usual = subject.usual
        if usual is not None and subject.spend(cost):
            bought = Decision(True, _PLAINLY, cost, _PREFETCH, ChargeReceipt(usual, subject.stocked))
            return self._reported(bought) if self.alert else bought
        extra = subject.worth_taking(self.options.expected_replicas)
        return self._pending(subject, cost, NORMAL, extra=extra) if extra else None

    def _request(self, subject: SubjectState, cost: int, tier: str) -> CheckRequest:
        compiled = subject.compiled
        window = compiled.window_at(self.server_time.guess() if compiled.windowed else 0)
        tier = check.text("tier", tier)
        request_id = ops.new_id() if compiled.ids else ""
        clock = self.clock
        return CheckRequest(
            compiled, window, subject.key_prefix, ops.positive(cost), tier, request_id, clock(), subject.key
        )

    def _pending(
        self, subject: SubjectState, cost: int, tier: str, *, extra: int = 0, keep: bool = False
    ) -> PendingCheck:
        """A check as of now. extra: units taken in advance. keep: it will be sent again as it is."""
        request = self._request(subject, cost, tier)
        if subject.usual is None or keep:
            subject.usual = request
        charged = self._request(subject, cost + extra, tier) if extra else request
        decoder = ReplyDecoder(subject, request, extra)
        op = ops.check(charged, decoder.decode, self._timeout_ms, kept=[] if keep else None)
        return PendingCheck(request, op, decoder.decode_each if keep and request.compiled.shareable else None)

    def again(self, request: CheckRequest) -> Op[Decision | WrongWindow]:
        """The same check once more, by the script that copes with everything; nothing is taken in advance."""
        subject = self._subject_of(request)
        subject.compiled.fresh_until = 0.0
        anew = self._request(subject, request.cost, request.tier)
        return ops.check(anew, ReplyDecoder(subject, anew).decode, self._timeout_ms, general=True)

    # -- after

    def answered(self, decision: Decision) -> Decision:
        """A check's answer, while ``alert``."""
        if not decision.degraded:
            self.fallback.succeeded()
            self.alert = self._always_alert or not self._breaker.quiet
        return self._reported(decision)

    def failed(self, request: CheckRequest, error: Error) -> Decision:
        """The answer of a check that the server did not answer. Raises the error when it is not the server's."""
        self.fallback.failed(error)
        self.alert = True
        return self.fallback.judge(self._subject_of(request), request)

    def _reported(self, decision: Decision) -> Decision:
        """The decision, once the hook was told of it."""
        if self.options.on_decision is not None:
            self.options.on_decision(decision)
        return decision

    # -- what else is asked of a subject

    def subject(self, policy: Policies, identity: Id, endpoint: Id) -> SubjectState:
        """What is remembered of a subject."""
        return self.subjects.of(self.compiler.compiled(policy), identity, endpoint)

    def peek(self, subject: SubjectState, cost: int, tier: str) -> Op[Decision | WrongWindow]:
        """A check that charges nothing."""
        request = self._request(subject, cost, tier)
        return ops.peek(request, ReplyDecoder(subject, request).decode_peek, self._timeout_ms)

    def reset(self, subject: SubjectState) -> Op[bool | WrongWindow]:
        """Forget what a subject used, here and there."""
        subject.forget()
        return ops.reset(self._request(subject, 1, NORMAL))

    def override_key(self, policy: Policy, identity: Id, endpoint: Id, limit: int | None) -> str:
        """Where a subject's own limit stands; what was remembered by the old one is forgotten. Raises Misuse."""
        subject = self.subject(policy, identity, endpoint)
        check.instance("policy", policy, Policy)
        if not policy.overridable:
            raise Misuse(f"policy {policy.name} is not overridable", hint="Policy(..., overridable=True)")
        if limit is not None:
            check.whole("limit", limit, 1)
        subject.forget()
        return subject.key_prefix + subject.compiled.override_ending(0)

    def ease(self, request: CheckRequest) -> None:
        """Units were given back: what was remembered of the subject's refusals may no longer hold."""
        self._subject_of(request).eased()

    def uncount(self, request: CheckRequest, cost: int) -> None:
        """Give back what was counted here, without the server."""
        local = self._subject_of(request).local
        if local is not None:
            local.give_back(cost)

    def _subject_of(self, request: CheckRequest) -> SubjectState:
        """Who a request is about; a stand-in when that one was forgotten meanwhile."""
        found = self.subjects.find(request.subject)
        return found or SubjectState(request.compiled, request.key_prefix, self.now)
