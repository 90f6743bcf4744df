"""Acts on what a limit remembers of one caller: the rules are the application's, and declared to the console."""

from __future__ import annotations

from hustlex.core import check
from hustlex.dashboard.request import PageRequest
from hustlex.dashboard.targets import Target, whole_of
from hustlex.errors import Conflict, Misuse, NotFound
from hustlex.people.person import bendable, declared_limits, limited
from hustlex.ratelimit import Policy, Rule
from hustlex.ratelimit.policy.rule_parser import duration


async def reset(request: PageRequest, target: Target) -> None:
    """Forget what was used, and bans."""
    policies, identity, endpoint = _subject(request, target)
    await request.hx.ratelimit.reset(policies, identity, endpoint=endpoint)


async def ban(request: PageRequest, target: Target) -> None:
    """Refuse every call for a time."""
    policies, identity, endpoint = _subject(request, target)
    length = duration(target.length)
    await request.hx.ratelimit.inspector.ban(policies, identity, endpoint=endpoint, length=length)


async def unban(request: PageRequest, target: Target) -> None:
    """Forget strikes and bans."""
    policies, identity, endpoint = _subject(request, target)
    if not await request.hx.ratelimit.inspector.unban(policies, identity, endpoint=endpoint):
        raise Conflict("this caller is not banned there", hint="nothing was changed")


async def lift(request: PageRequest, target: Target) -> None:
    """Forget a ban that was found."""
    if not await request.hx.ratelimit.inspector.lift(target.ban):
        raise Conflict("this caller is not banned any more", hint="nothing was changed")


async def bend(request: PageRequest, target: Target) -> None:
    """Give the caller a limit of its own, for a time."""
    await _set(request, target, whole_of(target.most))


async def unbend(request: PageRequest, target: Target) -> None:
    """Let everybody's limit count again."""
    await _set(request, target, None)


async def _set(request: PageRequest, target: Target, most: int | None) -> None:
    rules = _rules(request, target)
    policy = bendable(rules)
    if policy is None:
        raise Misuse("of this limit no caller may have one of its own", hint="Policy(..., overridable=True)")
    room, identity, endpoint = request.hx.ratelimit, limited(rules[0], target.caller), rules[0].endpoint
    if most is None:
        await room.set_limit(policy, identity, endpoint=endpoint, limit=None)
    else:
        await room.set_limit(policy, identity, endpoint=endpoint, limit=most, ttl=duration(target.length))


def _rules(request: PageRequest, target: Target) -> tuple[Rule, ...]:
    rules = declared_limits(request.rules).get(target.limit)
    if rules is None:
        raise NotFound(f"there is no limit {target.limit!r}", hint="the rules may have changed: load the page anew")
    return rules


def _subject(request: PageRequest, target: Target) -> tuple[tuple[Policy, ...], str, str]:
    rules, who = _rules(request, target), check.text("the caller", target.caller or target.user)
    return tuple(rule.policy for rule in rules), limited(rules[0], who), rules[0].endpoint
