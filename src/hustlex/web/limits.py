"""Rate limits as FastAPI dependencies, and the header fields that tell of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.types import Scope

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.problems import Shown, refusal
from hustlex.ratelimit import Decision, Outcome, Policy, Rule, Source, parse_rule
from hustlex.ratelimit import RateLimit as Room
from hustlex.web.callers import ANSWERED, KEYS, Key, for_caller
from hustlex.web.charges import KEY as CHARGES
from hustlex.web.charges import OnlyCharge, Policies, RouteLimit, calls_at, charges_of, labels_of, limits_at
from hustlex.web.depends import front_for, front_of
from hustlex.web.doorman import SHOWN
from hustlex.web.problem import Problem
from hustlex.web.routing import every_route, preflight, serving, template

_Dependency = Callable[..., Awaitable[Decision] | AsyncIterator[Decision]]


def RateLimit(  # noqa: N802 - what it makes is used like a class of dependencies
    policy: Policy | str | Sequence[Policy | str],
    *,
    key: Key | None = None,
    endpoint: str = "",
    cost: int = 1,
    tier: str = "normal",
    show: bool = True,
) -> _Dependency:
    """``dependencies=[Depends(RateLimit("5/minute per user using log"))]``; its value is the Decision.

    policy: a Policy, a rule's line (``hustlex.ratelimit.parse_rule``), or several that are judged together. key: who
    is limited, see Key; default what the line says, else the user. endpoint: what is counted together; default the
    line's place, else the route's template with the prefixes of its routers and mounts, whatever the method. cost:
    units of one call. tier: its class, see Policy.reserve. show: put the state in the RateLimit header fields; not for
    keys that the client can choose, as they would show it another's traffic.

    Limits of an app, a router and a route add up: those of the same callers are judged in one step when the first of
    them is asked, and what was charged for others is given back when one refuses. Different limits of one place (one
    for GET, one for POST) count apart, the same limit together. A place ("3 at once") is kept until the answer was
    sent, or the socket closed.

    Over the limit: 429 with Retry-After. When the server cannot be asked, the policies' on_error decides; closed: 503.
    Raises Misuse when a call costs more than a whole limit, or lines limit different callers.
    """
    rules = [_rule(each) for each in ([policy] if isinstance(policy, Policy | str) else _several(policy))]
    policies, key, place = _unanimous(rules, key)
    if not callable(key):
        raise Misuse("key cannot be called", hint="pass a dependency that answers who it is, as by_ip")
    limit = RouteLimit(
        policies,
        key,
        check.text("endpoint", endpoint, blank=True) or place,
        check.whole("cost", cost, 1),
        check.text("tier", tier),
        check.flag("show", show),
    )
    for each in policies:
        if each.units(cost) > each.limit_for(tier):
            raise Misuse(f"policy {each.name}: one call costs more than the whole limit")

    async def ask(connection: HTTPConnection, identity: str) -> Decision:
        scope = connection.scope
        label = _alone(scope, limit)
        if not label:
            return await _judged(connection, await front_for(connection), limit, identity)
        room = (front := front_of(scope)).ratelimit
        decision = await room.check(policies, identity, endpoint=label, cost=cost, tier=tier)
        if decision.allowed:
            scope[CHARGES] = OnlyCharge(room, limit, identity, label, decision)
        return _said(scope, front, limit, identity, decision)

    async def hold(connection: HTTPConnection, identity: Any = Depends(key)) -> AsyncIterator[Decision]:
        identity, front = check.identity(ANSWERED, identity), await front_for(connection)
        label = labels_of(connection.scope).of(limit, template(connection.scope))
        async with front.ratelimit.hold(policies, identity, endpoint=label, cost=cost, tier=tier) as place:
            if not place.decision:
                await charges_of(connection.scope).give_back()
            yield _said(connection.scope, front, limit, identity, place.decision)

    leases = any(each.algorithm == "leases" for each in policies)
    dependency: _Dependency = hold if leases else for_caller(key, ask)
    dependency.hustlex_policies = policies  # type: ignore[attr-defined]
    dependency.hustlex_limit = limit  # type: ignore[attr-defined]
    return dependency


def _alone(scope: Scope, limit: RouteLimit) -> str:
    """The endpoint of a limit that is asked about by itself, before any other of this request; "" else. The usual case:
    all that is done around a decision costs as much as the decision."""
    if CHARGES in scope or "app_root_path" in scope or getattr(scope["app"], "dependency_overrides", None):
        return ""
    return labels_of(scope).alone(limit, serving(scope))


async def _judged(connection: HTTPConnection, front: HustleX, limit: RouteLimit, identity: str) -> Decision:
    """What was decided of this limit for this request; the first of several asks for all of them."""
    answers = charges_of(connection.scope).judged
    if id(limit) not in answers and not _is_preflight(connection.scope):
        group = [limit, *(each for each in _others(connection.scope, limit) if id(each) not in answers)]
        answers |= await _charged(connection, front, group, identity)
    decision = answers.get(id(limit)) or Decision(True, Outcome.EXEMPT, limit.cost, Source.EXEMPTION)
    return _said(connection.scope, front, limit, identity, decision)


async def _charged(
    connection: HTTPConnection, front: HustleX, group: Sequence[RouteLimit], identity: str
) -> dict[int, Decision]:
    """Charge limits of one caller in one step, each once for a request. Raises the refusal."""
    scope, room = connection.scope, front.ratelimit
    charges, labels, where = charges_of(scope), labels_of(scope), template(scope)
    labelled = [(each, charges.place(identity, labels.of(each, where), each.policies)) for each in group]
    due: list[tuple[str, Policies]] = []  # no set: to hash policies costs more than to compare a few
    for each, label in labelled:
        if charges.known(identity, label, each.policies) is None and (label, each.policies) not in due:
            due.append((label, each.policies))
    if due:
        decision = await _asked(room, due, identity, group[0])
        if not decision:
            await charges.give_back()
            _said(scope, front, group[0], identity, decision)
        charges.paid.append((room, decision))
        for (label, policies), part in zip(due, decision.parts or (decision,), strict=True):
            charges.note(identity, label, policies, part)
    return {id(each): charges.seen[identity, label][1] for each, label in labelled}


async def _asked(room: Room, due: Sequence[tuple[str, Policies]], identity: str, limit: RouteLimit) -> Decision:
    if len(due) == 1:
        label, policies = due[0]
        return await room.check(policies, identity, endpoint=label, cost=limit.cost, tier=limit.tier)
    asked = [(policies, identity, label) for label, policies in due]
    return await room.check_all(asked, cost=limit.cost, tier=limit.tier)


def _others(scope: Scope, limit: RouteLimit) -> Iterator[RouteLimit]:
    """The route's limits that may be asked about together with this one: of the same caller, none overridden."""
    overridden = getattr(scope["app"], "dependency_overrides", {})
    seen = {id(limit)}
    for call, other in limits_at(serving(scope)):
        rates = all(each.algorithm != "leases" for each in other.policies)
        if id(other) not in seen and rates and call not in overridden and limit.joins(other):
            seen.add(id(other))
            yield other


def _said(scope: Scope, front: HustleX, limit: RouteLimit, identity: str, decision: Decision) -> Decision:
    """Show a decision to the client. Raises the refusal."""
    if limit.show:
        shown = Shown(decision, front.reference(identity)[:12])
        scope.setdefault(SHOWN, []).append(shown)
    if not decision.allowed:
        raise Problem.of(refusal(decision))
    return decision


def _is_preflight(scope: Scope) -> bool:
    """Whether the route is there to answer a browser's preflights, and this is one."""
    return preflight(scope) and getattr(serving(scope), "methods", None) == {"OPTIONS"}


def _several(given: Any) -> Sequence[Policy | str]:
    check.instance("policy", given, list, tuple, hint="pass a Policy, a line as 5/minute, or a list of them")
    found: Sequence[Policy | str] = given
    return found


def _rule(given: Policy | str) -> Rule:
    check.instance("policy", given, Policy, str, hint="pass a Policy, a line as 5/minute, or a list of them")
    return Rule(given) if isinstance(given, Policy) else parse_rule(given)


def _unanimous(rules: Sequence[Rule], key: Key | None) -> tuple[tuple[Policy, ...], Key, str]:
    """The policies, whom they limit and where. Raises Misuse."""
    if len({(rule.who, rule.endpoint) for rule in rules}) > 1:
        raise Misuse("these lines limit different callers or places", hint="use one RateLimit for each")
    rule = rules[0] if rules else Rule(_at_least_one())
    if key is None and rule.who == "key":
        raise Misuse("a limit per key needs key=...", hint="a dependency that answers the API key's reference")
    return tuple(each.policy for each in rules), key or KEYS[rule.who], rule.endpoint if rule.path else ""


def _at_least_one() -> Policy:
    raise Misuse("a RateLimit needs at least one policy")


# -- which route has which limits


async def unlimited() -> None:
    """``dependencies=[Depends(unlimited)]``: this route is meant to have no limit."""


def route_policies(app: FastAPI) -> dict[str, tuple[Policy, ...]]:
    """Every API route, as ``POST /gigs/{id}``, and its policies, those of mounted applications too. Routes marked
    ``unlimited`` are left out."""
    check.instance("app", app, Starlette)
    found = {}
    for path, route in every_route(app):
        if getattr(route, "dependant", None) is None:
            continue
        calls = list(calls_at(route))
        if unlimited not in calls:
            name = f"{','.join(sorted(getattr(route, 'methods', None) or ['WS']))} {path}"
            found[name] = tuple(policy for call in calls for policy in getattr(call, "hustlex_policies", ()))
    return found
