"""What can be worked out once for a list of policies: key endings and script arguments.

A windowed count's keys carry the start of their window, so a process must guess the server's time to declare them. A
Window is everything that follows from such a guess; it serves all subjects until the next window begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from hustlex.core import check
from hustlex.core.keys import component, tag
from hustlex.core.op import Arg
from hustlex.core.time import to_ms
from hustlex.errors import Misuse
from hustlex.ratelimit.policy.algorithms import ARITHMETIC, Arithmetic
from hustlex.ratelimit.policy.policy import Policy

Policies = Policy | Sequence[Policy]

MOST_POLICIES = 8
NORMAL = "normal"
_SHADOW, _COUNT_DENIED, _OVERRIDE, _PENALTY = 1, 2, 4, 8
_ALWAYS = 1 << 62
_MOST_COMPILED = 1_000
_serials = itertools.count()


class Window(msgspec.Struct, frozen=True, eq=False):
    """For guesses from since_ms until before until_ms. starts: per policy, when the middle window begins (else 0).

    endings: what follows the prefix in each key of a check, in order. alone: the short script's arguments for cost 1.
    """

    since_ms: int
    until_ms: int
    starts: tuple[int, ...]
    endings: tuple[str, ...]
    alone: tuple[Arg, ...] = ()


class CompiledPolicies:
    """One list of policies, compiled.

    serial: unlike any other's.
    judges: each policy with its algorithm, and where in a reply its limit and its numbers stand.
    current: the last window, taken to be the right one until fresh_until, a moment of the monotonic clock.
    script: the short one that judges a plain policy alone, or "".
    shareable: usual checks of several callers may go in one call. step: what each of them adds to the count.
    windowed: keys depend on the time.
    ids: each call needs an id of its own.
    largest: cost of a call that can pass.
    lease_ending: of the key of the first policy of leases, whose places live for lease_ms; "" when there is none.
        Raises Misuse unless there are 1 to 8 policies of different names.
    """

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        if not 1 <= len(policies) <= MOST_POLICIES:
            raise Misuse(f"a call has 1 to {MOST_POLICIES} policies, not {len(policies)}")
        if len({each.name for each in policies}) < len(policies):
            raise Misuse("two policies of one call have the same name")
        self.serial = next(_serials)
        self.policies = policies
        self.algorithms = tuple(ARITHMETIC[policy.algorithm] for policy in policies)
        self.judges = tuple(_judges(policies, self.algorithms))
        self.flags = tuple(map(_flags, policies))
        self.windowed = any(not kind.letter for kind in self.algorithms)
        self.ids = any(policy.algorithm in ("log", "leases") for policy in policies)
        self.repeatable = all(policy.algorithm in ("log", "leases") for policy in policies)
        self.shadows = any(policy.shadow for policy in policies)
        self.remembers = all(_remembers(policy) for policy in policies)
        self.largest = min(policy.capacity // policy.cost for policy in policies)
        self.prefetch_s = _prefetch_s(policies)
        self.script = "" if len(policies) > 1 or self.flags[0] else self.algorithms[0].script
        self.shareable = bool(self.script) and not self.ids and not self.prefetch_s
        self.step = _step(policies[0], self.algorithms[0])
        leases = [at for at, policy in enumerate(policies) if policy.algorithm == "leases"]
        self.lease_ending = self.ending(leases[0]) if leases else ""
        self.lease_ms = policies[leases[0]].window_ms if leases else 0
        self.current = Window(0, 0, (), ())
        self.fresh_until = 0.0

    def window_at(self, guess_ms: int) -> Window:
        """The window of this guess."""
        if not self.current.since_ms <= guess_ms < self.current.until_ms:
            self.current = self._worked_out(guess_ms)
        return self.current

    def _worked_out(self, guess_ms: int) -> Window:
        windows = [p.window_ms for p, kind in zip(self.policies, self.algorithms, strict=True) if not kind.letter]
        starts = tuple(
            0 if kind.letter else guess_ms // policy.window_ms * policy.window_ms
            for policy, kind in zip(self.policies, self.algorithms, strict=True)
        )
        since = max((guess_ms // window * window for window in windows), default=0)
        until = min(((guess_ms // window + 1) * window for window in windows), default=_ALWAYS)
        alone = self.alone(starts, 1, NORMAL) if self.script else ()
        return Window(since, until, starts, tuple(self._endings(starts)), alone)

    def _endings(self, starts: Sequence[int], *, lasting: bool = True) -> Iterator[str]:
        for at, policy in enumerate(self.policies):
            if self.algorithms[at].letter:
                yield self.ending(at)
            else:
                for start in (starts[at] - policy.window_ms, starts[at], starts[at] + policy.window_ms):
                    yield self.ending(at, start)
                if lasting:
                    yield "w" + self._suffix(at, [not kind.letter for kind in self.algorithms])
            if self.flags[at] & _OVERRIDE and lasting:
                yield self.override_ending(at)
            if self.flags[at] & _PENALTY:
                yield self.penalty_ending(at)

    def ending(self, at: int, start_ms: int = 0) -> str:
        """The end of the key that policy number ``at`` counts in. Several of a kind carry their names."""
        letter = self.algorithms[at].letter
        name = letter or str(start_ms // 1000)
        return name + self._suffix(at, [kind.letter == letter for kind in self.algorithms])

    def override_ending(self, at: int) -> str:
        """The end of the key that holds a limit set by hand."""
        return "n" + self._suffix(at, [bool(flags & _OVERRIDE) for flags in self.flags])

    def penalty_ending(self, at: int) -> str:
        """The end of the key that holds strikes and bans."""
        return "pen" + self._suffix(at, [bool(flags & _PENALTY) for flags in self.flags])

    def marks(self) -> Iterator[tuple[int, str, str]]:
        """What is remembered besides counts: number of the policy, p for penalties or n for a limit, end of the key."""
        for at, flags in enumerate(self.flags):
            if flags & _PENALTY:
                yield at, "p", self.penalty_ending(at)
            if flags & _OVERRIDE:
                yield at, "n", self.override_ending(at)

    def _suffix(self, at: int, alike: Sequence[bool]) -> str:
        return f".{self.policies[at].name}" if sum(alike) > 1 else ""

    def reset_endings(self, window: Window) -> tuple[str, ...]:
        """What ``reset`` removes: all but overrides, and marks: without them, void counts were good again."""
        return tuple(self._endings(window.starts, lasting=False))

    def limits(self, tier: str) -> list[int]:
        """What calls of this class are judged against."""
        return [policy.limit_for(tier) for policy in self.policies]

    def rules(self, window: Window, cost: int, tier: str) -> Iterator[Arg]:
        """The general script's nine values per policy."""
        for policy, kind, start, flags in zip(self.policies, self.algorithms, window.starts, self.flags, strict=True):
            limit, penalty = policy.limit_for(tier), policy.penalty
            yield from (policy.algorithm, limit, kind.script_window(policy), policy.units(cost))
            yield from (kind.script_extra(policy, limit, start), flags)
            if penalty is None:
                yield from (0, 0, 0)
            else:
                yield from (penalty.strikes, to_ms(penalty.per), to_ms(penalty.ban))

    def alone(self, starts: Sequence[int], cost: int, tier: str) -> tuple[Arg, ...]:
        """The short scripts' arguments: limit, window, cost, extra, and for windowed counts whether the last counts."""
        policy, kind = self.policies[0], self.algorithms[0]
        limit = policy.limit_for(tier)
        shown = policy.limit if policy.algorithm == "gcra" else limit
        args = (shown, kind.script_window(policy), policy.units(cost), kind.script_extra(policy, limit, starts[0]))
        return args if kind.letter else (*args, int(policy.algorithm == "counter"))


class Compiler:
    """Compiled lists, each once. by_identity: of what cannot change, kept with it: so its id stays its own."""

    def __init__(self) -> None:
        self.by_identity: dict[int, tuple[object, CompiledPolicies]] = {}
        self._by_value: dict[tuple[Policy, ...], CompiledPolicies] = {}

    def compiled(self, policy: Policies) -> CompiledPolicies:
        """By identity for what cannot change, else by value. Raises Misuse."""
        check.instance("policy", policy, Policy, list, tuple, hint="pass a Policy, or a list of them")
        policies = (policy,) if isinstance(policy, Policy) else tuple(policy)
        for each in policies:
            check.instance("policy", each, Policy)
        found = self._by_value.get(policies)
        if found is None:
            if len(self._by_value) >= _MOST_COMPILED:
                self._by_value.clear()
            fresh = CompiledPolicies(policies)
            found = self._by_value.setdefault(policies, fresh)  # another thread may have been first
        if isinstance(policy, Policy | tuple):
            if len(self.by_identity) >= _MOST_COMPILED:
                self.by_identity.clear()
            self.by_identity[id(policy)] = (policy, found)
        return found


def key_prefix(prefix: str, identity: str, endpoint: str) -> str:
    """The keys' beginning. Raises Misuse for an empty identity or endpoint."""
    return f"{prefix}ratelimit:{tag(identity)}:{component(endpoint)}:"


def _judges(
    policies: Sequence[Policy], algorithms: Sequence[Arithmetic]
) -> Iterator[tuple[Policy, Arithmetic, int, slice]]:
    at = 4
    for policy, algorithm in zip(policies, algorithms, strict=True):
        end = at + 1 + algorithm.width
        yield policy, algorithm, at, slice(at + 1, end)
        at = end


def _step(policy: Policy, kind: Arithmetic) -> int:
    """gcra counts in microseconds."""
    return policy.units(1) * (kind.script_window(policy) if policy.algorithm == "gcra" else 1)


def _flags(policy: Policy) -> int:
    return (
        _SHADOW * policy.shadow
        + _COUNT_DENIED * policy.count_denied
        + _OVERRIDE * policy.overridable
        + _PENALTY * (policy.penalty is not None)
    )


def _remembers(policy: Policy) -> bool:
    """Whether a refusal may be repeated from memory: not when refusals count, or a place may fall free any time."""
    return policy.local_deny and not policy.count_denied and policy.penalty is None and policy.algorithm != "leases"


def _prefetch_s(policies: tuple[Policy, ...]) -> float:
    holds = [policy.prefetch for policy in policies if policy.prefetch is not None]
    if holds and len(policies) > 1:
        raise Misuse("a policy with prefetch is judged alone", hint="make two calls, or leave prefetch out")
    return holds[0].total_seconds() if holds else 0.0
