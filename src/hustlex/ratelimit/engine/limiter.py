"""What a process keeps beside the server: callers, the breaker, and what to answer when the server is away.

Lesson of the profile (64 callers, 200 identities): building and packing a call costs more than sending it, so a
caller's usual call is kept, packed; a reply is one line of text that is read when somebody asks; no clock, no id and
no randomness on the usual path.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from hustlex.core import check
from hustlex.core.breaker import Breaker
from hustlex.core.check import Id
from hustlex.core.op import Op
from hustlex.core.time import Clock, server_clock, to_ms
from hustlex.errors import BadReply, ConfigurationError, Error, Misuse
from hustlex.ratelimit.engine import ops
from hustlex.ratelimit.engine.compiler import NORMAL, CompiledPolicies, key_prefix
from hustlex.ratelimit.engine.fallback import LocalCounts
from hustlex.ratelimit.engine.memory import Remembered, SubjectState
from hustlex.ratelimit.engine.pending import Call, Sent, new_id
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import Decision, Outcome, Source, WrongWindow

Policies = Policy | Sequence[Policy]

_LOCAL_DENY = Source.LOCAL_DENY
_MOST_COMPILED = 1_000
_LONGEST_ID = 65_536
"""Whoever limits by a header's value may have long ones; their end is a digest in the key."""
_ONE = 1
_SENSITIVE = re.compile(
    r"(?<![a-z])(otp|log-?in|sign-?in|auth|pin|passwords?|pay|payments?|transfers?|withdraw|withdrawals?)(?![a-z])",
    re.IGNORECASE,
)
_log = logging.getLogger("hustlex.ratelimit")


def system_clock() -> int:
    """This machine's clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def refuse_open(policies: Sequence[Policy], endpoint: str) -> None:
    """Raises ConfigurationError when a limit of a login or a payment would let calls through without the server."""
    if any(policy.on_error == "open" for policy in policies) and _SENSITIVE.search(endpoint):
        raise ConfigurationError(
            f"a limit of {endpoint} may not let calls through when the server is away",
            hint="use on_error='local' or 'closed'",
        )


def triples(asked: Iterable[tuple[Policies, Id, Id]]) -> list[tuple[Policies, Id, Id]]:
    """What ``check_all`` is asked. Raises Misuse."""
    hint = 'pass a list of policies, identity and endpoint, as [(policy, "u7", "/pay")]'
    check.instance("asked", asked, Iterable, hint=hint)
    found = list(asked)
    for each in found:
        check.instance("what is asked", each, tuple, list, hint=hint)
        if len(each) != 3:
            raise Misuse(f"what is asked has {len(each)} parts", hint=hint)
    return found


class ServerTime:
    """What this process believes the server's clock says. Only used to name keys; the server decides by its own."""

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._ahead_ms = 0

    def guess(self) -> int:
        """Milliseconds since 1970."""
        return self._local() + self._ahead_ms

    def learn(self, now_ms: int) -> None:
        """Take over the server's time."""
        self._ahead_ms = now_ms - self._local()


class Limiter:
    """Shared by all tasks, or threads, of a process. A test's clock is this process' clock too.

    alert: there is more to do for each call than to send it: a hook, exemptions, or a server that failed lately.
    """

    def __init__(self, prefix: str, clock: Clock, local_clock: Clock, options: RateLimitOptions) -> None:
        self.options = options
        self.server_time = ServerTime(local_clock)
        self._live = clock is server_clock
        self.now: Callable[[], float] = time.monotonic if self._live else lambda: clock() / 1000
        self.clock = clock
        self._prefix = prefix
        self._breaker = Breaker(options.breaker)
        self._timeout_ms = to_ms(options.check_budget)
        self._by_identity: dict[int, tuple[object, CompiledPolicies]] = {}
        self._by_value: dict[tuple[Policy, ...], CompiledPolicies] = {}
        self._subjects: Remembered[SubjectState] = Remembered(options.remembered)
        self._always_alert = options.on_decision is not None or bool(options.exempt)
        self.alert = self._always_alert
        self._lock = threading.Lock()

    # -- before: the call to send, or its answer

    def call(self, policy: Policies, identity: Id, endpoint: Id, cost: int, tier: str) -> Sent | Decision:
        """The next check of a subject, unless it can be answered without the server."""
        known = self._by_identity.get(id(policy))
        compiled = known[1] if known is not None else self._compiled(policy)
        try:
            subject = self._subjects.young.get((compiled.serial, identity, endpoint))
        except TypeError:  # what has no hash is no id
            subject = None
        if subject is None:
            subject = self._subject(compiled, identity, endpoint)
        if cost is not _ONE:  # neither is True, nor 1.0
            ops.positive(cost)
        if subject.denied_until and (denied := self._denied(subject, cost, tier)) is not None:
            return denied
        if (self.alert or compiled.prefetch_s) and (answer := self._unusual(subject, cost, tier)) is not None:
            return answer
        if cost is not _ONE or tier != NORMAL or compiled.ids or not self._live:
            return self._made(subject, cost, tier)
        if compiled.windowed and self.now() >= compiled.fresh_until:
            self._refresh(compiled)
        if subject.window is not compiled.current or subject.sent is None:
            subject.sent = self._made(subject, 1, NORMAL, keep=True)
            subject.window = compiled.current
        return subject.sent

    def _refresh(self, compiled: CompiledPolicies) -> None:
        """The window of now, and how long it will be."""
        guess_ms = self.server_time.guess()
        compiled.fresh_until = self.now() + (compiled.window_at(guess_ms).until_ms - guess_ms) / 1000

    def _denied(self, subject: SubjectState, cost: int, tier: str) -> Decision | None:
        """A refusal that still holds."""
        now, denial = self.now(), subject.denial
        if not subject.denied_at <= now < subject.denied_until or denial is None:
            subject.denied_until = 0.0
            return None
        if cost < subject.denied_cost or cost > subject.compiled.largest or tier != subject.denied_tier:
            return None
        age_s = now - subject.denied_at
        denied = Decision(False, denial.outcome, cost, _LOCAL_DENY, denial.call, denial.reply, age_s)
        return self.report(denied) if self.alert else denied

    def _unusual(self, subject: SubjectState, cost: int, tier: str) -> Decision | Sent | None:
        """Exemptions, an open breaker, units in stock; None: go on as usual."""
        if subject.exempt:
            call = Call(subject, self._asked(subject, cost, tier))
            return self.report(Decision(True, Outcome.EXEMPT, cost, Source.EXEMPTION, call, ()))
        if not self._breaker.allows(self.now()):
            return self.report(self._without_server(Call(subject, self._asked(subject, cost, tier))))
        if not subject.compiled.prefetch_s or tier != NORMAL:
            return None
        subject.rate_calls += 1
        if subject.call is not None and subject.spend(ops.positive(cost)):
            return self.report(Decision(True, Outcome.ALLOWED, cost, Source.PREFETCH, subject.call, subject.stocked))
        extra = subject.worth_taking(self.options.expected_replicas)
        return self._made(subject, cost, tier, extra=extra) if extra else None

    def report(self, decision: Decision) -> Decision:
        """Tell the hook."""
        if self.options.on_decision is not None:
            self.options.on_decision(decision)
        return decision

    def _asked(self, subject: SubjectState, cost: int, tier: str) -> ops.CheckRequest:
        compiled = subject.compiled
        window = compiled.window_at(self.server_time.guess() if compiled.windowed else 0)
        tier = check.text("tier", tier)
        return ops.CheckRequest(
            compiled,
            window,
            subject.key_prefix,
            ops.positive(cost),
            tier,
            new_id() if compiled.ids else "",
            self.clock(),
        )

    def _made(self, subject: SubjectState, cost: int, tier: str, *, extra: int = 0, keep: bool = False) -> Sent:
        """A call as of now. extra: units taken in advance."""
        call = Call(subject, self._asked(subject, cost, tier), extra)
        if subject.call is None or keep:
            subject.call = call
        charged = self._asked(subject, cost + extra, tier) if extra else call.asked
        return Sent(call, ops.check(charged, call.decode, self._timeout_ms, kept=[] if keep else None))

    def again(self, call: Call) -> Op[Decision | WrongWindow]:
        """The same call once more, by the script that copes with everything; nothing is taken in advance."""
        subject = call.subject
        subject.compiled.fresh_until = 0.0
        anew = Call(subject, self._asked(subject, call.asked.cost, call.asked.tier))
        return ops.check(anew.asked, anew.decode, self._timeout_ms, general=True)

    def peek(self, subject: SubjectState, cost: int, tier: str) -> Op[Decision | WrongWindow]:
        """A call that charges nothing."""
        call = Call(subject, self._asked(subject, cost, tier))
        return ops.peek(call.asked, call.decode_peek, self._timeout_ms)

    def reset(self, subject: SubjectState) -> Op[bool | WrongWindow]:
        """Forget what a subject used, here and there."""
        subject.forget()
        return ops.reset(self._asked(subject, 1, NORMAL))

    # -- callers

    def subject(self, policy: Policies, identity: Id, endpoint: Id) -> SubjectState:
        """What is remembered of a subject."""
        return self._subject(self._compiled(policy), identity, endpoint)

    def _subject(self, compiled: CompiledPolicies, given: Id, place: Id) -> SubjectState:
        """By plain text: equal ids of other types lead to the same subject, each time on this longer way."""
        identity = check.identity("identity", given, longest=_LONGEST_ID)
        endpoint = check.identity("endpoint", place, longest=_LONGEST_ID)
        key = (compiled.serial, identity, endpoint)
        with self._lock:
            subject = self._subjects.find(key)
            if subject is None:
                refuse_open(compiled.policies, endpoint)
                subject = SubjectState(compiled, key_prefix(self._prefix, identity, endpoint), self.now)
                subject.remembering, subject.exempt = self.options.local_deny, identity in self.options.exempt
                self._subjects.keep(key, subject)
        return subject

    def _compiled(self, policy: Policies) -> CompiledPolicies:
        """The compiled list. By identity for what cannot change, else by value."""
        check.instance("policy", policy, Policy, list, tuple, hint="pass a Policy, or a list of them")
        policies = (policy,) if isinstance(policy, Policy) else tuple(policy)
        for each in policies:
            check.instance("policy", each, Policy)
        compiled = self._by_value.get(policies)
        if compiled is None:
            if len(self._by_value) >= _MOST_COMPILED:
                self._by_value.clear()
            compiled = self._by_value.setdefault(policies, CompiledPolicies(policies))
        if isinstance(policy, Policy | tuple):
            if len(self._by_identity) >= _MOST_COMPILED:
                self._by_identity.clear()
            self._by_identity[id(policy)] = (policy, compiled)
        return compiled

    # -- after

    def answered(self, decision: Decision) -> Decision:
        """A call's answer, while ``alert``."""
        if not decision.degraded:
            self._breaker.succeeded(self.now())
            self.alert = self._always_alert or not self._breaker.quiet
        return self.report(decision)

    def failed(self, call: Call, error: Error) -> Decision:
        """The answer of a call that the server did not answer. Raises the error when it is not the server's."""
        if isinstance(error, Misuse | ConfigurationError | BadReply):
            raise error
        was_open = self._breaker.open
        self._breaker.failed(self.now())
        self.alert = True
        if self._breaker.open and not was_open:
            _log.error("rate limits are judged without the server: %s", error)
        return self._without_server(call)

    def _without_server(self, call: Call) -> Decision:
        subject, now = call.subject, self.now()
        policies = subject.compiled.policies
        allowed, states = self._local(subject, now).judge(call.asked.cost, now)
        rules = {policy.on_error for policy in policies}
        source = Source.LOCAL_FALLBACK if "local" in rules else Source.FAIL_OPEN
        if "closed" in rules:
            source = Source.FAIL_CLOSED
        outcome = Outcome.ALLOWED_DEGRADED if allowed else Outcome.DENIED_DEGRADED
        return Decision(allowed, outcome, call.asked.cost, source, call, states)

    def _local(self, subject: SubjectState, now: float) -> LocalCounts:
        """What counts for a subject here, one for all threads; from where the server was when it answered last."""
        with self._lock:
            if subject.local is None:
                subject.local = LocalCounts(
                    subject.compiled.policies, subject.compiled.limits(NORMAL), self.options.expected_replicas
                )
            if subject.last and subject.last is not subject.seeded and subject.call is not None:
                subject.seeded = subject.last
                subject.local.seed(subject.call.read(subject.last, 0), now)
            return subject.local
