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
from hustlex.ratelimit.engine.compiler import NORMAL, Plan, stem
from hustlex.ratelimit.engine.fallback import Local
from hustlex.ratelimit.engine.memory import Caller, Remembered
from hustlex.ratelimit.engine.pending import Call, Sent, new_id
from hustlex.ratelimit.options import RateLimitOptions
from hustlex.ratelimit.policy.policy import Policy
from hustlex.ratelimit.types import Decision, Elsewhere, Outcome, Source

Policies = Policy | Sequence[Policy]

_LOCAL_DENY = Source.LOCAL_DENY
_MOST_PLANS = 1_000
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


def guard(policies: Sequence[Policy], endpoint: str) -> None:
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


class Desk:
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
        self._known: dict[int, tuple[object, Plan]] = {}
        self._plans: dict[tuple[Policy, ...], Plan] = {}
        self._callers: Remembered[Caller] = Remembered(options.remembered)
        self._always_alert = options.on_decision is not None or bool(options.exempt)
        self.alert = self._always_alert
        self._lock = threading.Lock()

    # -- before: the call to send, or its answer

    def call(self, policy: Policies, identity: Id, endpoint: Id, cost: int, tier: str) -> Sent | Decision:
        """The next check of a caller, unless it can be answered without the server."""
        known = self._known.get(id(policy))
        plan = known[1] if known is not None else self._plan(policy)
        try:
            caller = self._callers.young.get((plan.serial, identity, endpoint))
        except TypeError:  # what has no hash is no id
            caller = None
        if caller is None:
            caller = self._caller(plan, identity, endpoint)
        if cost is not _ONE:  # neither is True, nor 1.0
            ops.positive(cost)
        if caller.denied_until and (denied := self._denied(caller, cost, tier)) is not None:
            return denied
        if (self.alert or plan.prefetch_s) and (answer := self._unusual(caller, cost, tier)) is not None:
            return answer
        if cost is not _ONE or tier != NORMAL or plan.ids or not self._live:
            return self._made(caller, cost, tier)
        if plan.windowed and self.now() >= plan.fresh_until:
            self._refresh(plan)
        if caller.frame is not plan.current or caller.sent is None:
            caller.sent = self._made(caller, 1, NORMAL, keep=True)
            caller.frame = plan.current
        return caller.sent

    def _refresh(self, plan: Plan) -> None:
        """The frame of now, and how long it will be."""
        guess_ms = self.server_time.guess()
        plan.fresh_until = self.now() + (plan.frame(guess_ms).until_ms - guess_ms) / 1000

    def _denied(self, caller: Caller, cost: int, tier: str) -> Decision | None:
        """A refusal that still holds."""
        now, denial = self.now(), caller.denial
        if not caller.denied_at <= now < caller.denied_until or denial is None:
            caller.denied_until = 0.0
            return None
        if cost < caller.denied_cost or cost > caller.plan.largest or tier != caller.denied_tier:
            return None
        age_s = now - caller.denied_at
        denied = Decision(False, denial.outcome, cost, _LOCAL_DENY, denial.call, denial.reply, age_s)
        return self.tell(denied) if self.alert else denied

    def _unusual(self, caller: Caller, cost: int, tier: str) -> Decision | Sent | None:
        """Exemptions, an open breaker, units in stock; None: go on as usual."""
        if caller.exempt:
            call = Call(caller, self._asked(caller, cost, tier))
            return self.tell(Decision(True, Outcome.EXEMPT, cost, Source.EXEMPTION, call, ()))
        if not self._breaker.allows(self.now()):
            return self.tell(self._away(Call(caller, self._asked(caller, cost, tier))))
        if not caller.plan.prefetch_s or tier != NORMAL:
            return None
        caller.rate_calls += 1
        if caller.call is not None and caller.spend(ops.positive(cost)):
            return self.tell(Decision(True, Outcome.ALLOWED, cost, Source.PREFETCH, caller.call, caller.stocked))
        extra = caller.worth_taking(self.options.expected_replicas)
        return self._made(caller, cost, tier, extra=extra) if extra else None

    def tell(self, decision: Decision) -> Decision:
        """Tell the hook."""
        if self.options.on_decision is not None:
            self.options.on_decision(decision)
        return decision

    def _asked(self, caller: Caller, cost: int, tier: str) -> ops.Asked:
        plan = caller.plan
        frame = plan.frame(self.server_time.guess() if plan.windowed else 0)
        tier = check.text("tier", tier)
        return ops.Asked(plan, frame, caller.stem, ops.positive(cost), tier, new_id() if plan.ids else "", self.clock())

    def _made(self, caller: Caller, cost: int, tier: str, *, extra: int = 0, keep: bool = False) -> Sent:
        """A call as of now. extra: units taken in advance."""
        call = Call(caller, self._asked(caller, cost, tier), extra)
        if caller.call is None or keep:
            caller.call = call
        charged = self._asked(caller, cost + extra, tier) if extra else call.asked
        return Sent(call, ops.check(charged, call.decode, self._timeout_ms, kept=[] if keep else None))

    def again(self, call: Call) -> Op[Decision | Elsewhere]:
        """The same call once more, by the script that copes with everything; nothing is taken in advance."""
        caller = call.caller
        caller.plan.fresh_until = 0.0
        anew = Call(caller, self._asked(caller, call.asked.cost, call.asked.tier))
        return ops.check(anew.asked, anew.decode, self._timeout_ms, general=True)

    def peek(self, caller: Caller, cost: int, tier: str) -> Op[Decision | Elsewhere]:
        """A call that charges nothing."""
        call = Call(caller, self._asked(caller, cost, tier))
        return ops.peek(call.asked, call.decode_peek, self._timeout_ms)

    def reset(self, caller: Caller) -> Op[bool | Elsewhere]:
        """Forget what a caller used, here and there."""
        caller.forget()
        return ops.reset(self._asked(caller, 1, NORMAL))

    # -- callers

    def caller(self, policy: Policies, identity: Id, endpoint: Id) -> Caller:
        """What is remembered of a caller."""
        return self._caller(self._plan(policy), identity, endpoint)

    def _caller(self, plan: Plan, given: Id, place: Id) -> Caller:
        """By plain text: equal ids of other types lead to the same caller, each time on this longer way."""
        identity = check.identity("identity", given, longest=_LONGEST_ID)
        endpoint = check.identity("endpoint", place, longest=_LONGEST_ID)
        key = (plan.serial, identity, endpoint)
        with self._lock:
            caller = self._callers.find(key)
            if caller is None:
                guard(plan.policies, endpoint)
                caller = Caller(plan, stem(self._prefix, identity, endpoint), self.now)
                caller.remembering, caller.exempt = self.options.local_deny, identity in self.options.exempt
                self._callers.keep(key, caller)
        return caller

    def _plan(self, policy: Policies) -> Plan:
        """The compiled list. By identity for what cannot change, else by value."""
        check.instance("policy", policy, Policy, list, tuple, hint="pass a Policy, or a list of them")
        policies = (policy,) if isinstance(policy, Policy) else tuple(policy)
        for each in policies:
            check.instance("policy", each, Policy)
        plan = self._plans.get(policies)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans.setdefault(policies, Plan(policies))  # another thread may have been first
        if isinstance(policy, Policy | tuple):
            if len(self._known) >= _MOST_PLANS:
                self._known.clear()
            self._known[id(policy)] = (policy, plan)
        return plan

    # -- after

    def answered(self, decision: Decision) -> Decision:
        """A call's answer, while ``alert``."""
        if not decision.degraded:
            self._breaker.succeeded(self.now())
            self.alert = self._always_alert or not self._breaker.quiet
        return self.tell(decision)

    def failed(self, call: Call, error: Error) -> Decision:
        """The answer of a call that the server did not answer. Raises the error when it is not the server's."""
        if isinstance(error, Misuse | ConfigurationError | BadReply):
            raise error
        was_open = self._breaker.open
        self._breaker.failed(self.now())
        self.alert = True
        if self._breaker.open and not was_open:
            _log.error("rate limits are judged without the server: %s", error)
        return self._away(call)

    def _away(self, call: Call) -> Decision:
        caller, now = call.caller, self.now()
        policies = caller.plan.policies
        allowed, states = self._local(caller, now).judge(call.asked.cost, now)
        rules = {policy.on_error for policy in policies}
        source = Source.LOCAL_FALLBACK if "local" in rules else Source.FAIL_OPEN
        if "closed" in rules:
            source = Source.FAIL_CLOSED
        outcome = Outcome.ALLOWED_DEGRADED if allowed else Outcome.DENIED_DEGRADED
        return Decision(allowed, outcome, call.asked.cost, source, call, states)

    def _local(self, caller: Caller, now: float) -> Local:
        """What counts for a caller here, one for all threads; from where the server was when it answered last."""
        with self._lock:
            if caller.local is None:
                caller.local = Local(caller.plan.policies, caller.plan.limits(NORMAL), self.options.expected_replicas)
            if caller.last and caller.last is not caller.seeded and caller.call is not None:
                caller.seeded = caller.last
                caller.local.seed(caller.call.read(caller.last, 0), now)
            return caller.local
