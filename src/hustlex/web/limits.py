"""Rate limits as FastAPI dependencies, and the header fields that tell of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from fastapi import Depends, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.app import HustleX
from hustlex.core.addresses import network
from hustlex.errors import ConfigurationError, Misuse
from hustlex.problems import Legacy, Shown, fields, refusal
from hustlex.ratelimit import Decision, Policy, Rule, parse_rule
from hustlex.web.depends import CurrentUser, Front, StrictUser
from hustlex.web.problem import Problem

_SCOPE_KEY = "hustlex.ratelimit"
_Dependency = Callable[..., Awaitable[Decision] | AsyncIterator[Decision]]

Key = Callable[..., str | Awaitable[str]]
"""A dependency that answers who is limited: a reference that may stand in key names, not personal data."""


def by_user(user: CurrentUser) -> str:
    """The logged-in user; the route is for logged-in users only."""
    return user.user_id


def by_strict_user(user: StrictUser) -> str:
    """The logged-in user, asked for each time: what was revoked a moment ago does not count."""
    return user.user_id


def by_ip(connection: HTTPConnection) -> str:
    """The peer's address, an IPv6 one as its /64. Behind a proxy, let the ASGI server read the forwarded address
    (uvicorn: ``--proxy-headers --forwarded-allow-ips``); nothing here believes a header."""
    return address_of(connection.client.host if connection.client else "local")


def globally() -> str:
    """Everybody together."""
    return "global"


def address_of(host: str) -> str:
    """Who an address is: ``ip:203.0.113.7``, or ``ip:2001:db8:1:2::/64``."""
    try:
        return f"ip:{network(host)}".removesuffix("/32")
    except ValueError:
        return f"ip:{host}"


_KEYS: dict[str, Key] = {"user": by_user, "ip": by_ip, "global": globally}


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
    line's place, else the route's template with its routers' prefixes, but without that of a mounted app, and whatever
    the method. cost: units of one call. tier: its class, see Policy.reserve. show: put the state in the RateLimit
    header fields; not for keys that the client can choose, as they would show it another's traffic.

    A place ("3 at once") is kept until the answer was sent, or the socket closed.

    Over the limit: 429 with Retry-After. When the server cannot be asked, the policies' on_error decides; closed: 503.
    Raises Misuse when a call costs more than a whole limit, or lines limit different callers; ConfigurationError (in a
    request) when another policy already counts the same key at the same endpoint: pass both in one RateLimit, or name
    an endpoint.
    """
    rules = [_rule(each) for each in ([policy] if isinstance(policy, Policy | str) else policy)]
    policies, key, place = _unanimous(rules, key)
    for each in policies:
        if each.units(cost) > each.limit_for(tier):
            raise Misuse(f"policy {each.name}: one call costs more than the whole limit")

    def labelled(connection: HTTPConnection) -> str:
        label = endpoint or place or template(connection)
        _claim(connection, label, key, policies)
        return label

    def told(connection: HTTPConnection, front: HustleX, identity: str, decision: Decision) -> Decision:
        if show:
            connection.scope.setdefault(_SCOPE_KEY, []).append(Shown(decision, front.reference(identity)[:12]))
        if not decision.allowed:
            raise Problem.of(refusal(decision))
        return decision

    async def check(connection: HTTPConnection, front: Front, identity: str = Depends(key)) -> Decision:
        label = labelled(connection)
        decision = await front.ratelimit.check(policies, identity, endpoint=label, cost=cost, tier=tier)
        return told(connection, front, identity, decision)

    async def hold(connection: HTTPConnection, front: Front, identity: str = Depends(key)) -> AsyncIterator[Decision]:
        label = labelled(connection)
        async with front.ratelimit.hold(policies, identity, endpoint=label, cost=cost, tier=tier) as place:
            yield told(connection, front, identity, place.decision)

    dependency: _Dependency = hold if any(each.algorithm == "leases" for each in policies) else check
    dependency.hustlex_policies = policies  # type: ignore[attr-defined]
    return dependency


def _rule(given: Policy | str) -> Rule:
    return Rule(given) if isinstance(given, Policy) else parse_rule(given)


def _unanimous(rules: Sequence[Rule], key: Key | None) -> tuple[tuple[Policy, ...], Key, str]:
    """The policies, whom they limit and where. Raises Misuse."""
    if len({(rule.who, rule.endpoint) for rule in rules}) > 1:
        raise Misuse("these lines limit different callers or places", hint="use one RateLimit for each")
    rule = rules[0] if rules else Rule(_at_least_one())
    if key is None and rule.who == "key":
        raise Misuse("a limit per key needs key=...", hint="a dependency that answers the API key's reference")
    return tuple(each.policy for each in rules), key or _KEYS[rule.who], rule.endpoint if rule.path else ""


def _at_least_one() -> Policy:
    raise Misuse("a RateLimit needs at least one policy")


def template(connection: HTTPConnection) -> str:
    """The route's path with its parameters unfilled, as ``/gigs/{id}``: a small, fixed set of labels."""
    # From FastAPI 0.137 on a route knows only its own part; the path with the routers' prefixes is in this context.
    context = connection.scope.get("fastapi", {}).get("effective_route_context")
    path: str = (context or connection.scope["route"]).path
    return path


def _claim(connection: HTTPConnection, label: str, key: Key, policies: tuple[Policy, ...]) -> None:
    """Two policies that count in one key would charge each other's calls; the second one to show up is refused."""
    if connection.app.state.hustlex_limits.setdefault((label, key), policies) != policies:
        names = ", ".join(each.name for each in policies)
        raise ConfigurationError(
            f"policy {names}: another policy counts the same callers at {label}",
            hint="pass all policies in one RateLimit([...]), or name an endpoint",
        )


class RateLimitHeaders:
    """Middleware: adds what ``RateLimit`` found to every answer, except redirects. legacy: older fields too."""

    def __init__(self, app: ASGIApp, legacy: Legacy | None = None) -> None:
        self._app = app
        self._legacy = legacy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SCOPE_KEY in scope:
            await self._app(scope, receive, send)
            return
        shown: list[Shown] = []
        scope[_SCOPE_KEY] = shown

        async def send_with_headers(message: Message) -> None:
            if shown and message["type"] == "http.response.start" and message["status"] // 100 != 3:
                headers = MutableHeaders(scope=message)
                for name, value in fields(shown, self._legacy):
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, send_with_headers)


# -- which route has which limits


def unlimited() -> None:
    """``dependencies=[Depends(unlimited)]``: this route is meant to have no limit."""


def route_policies(app: FastAPI) -> dict[str, tuple[Policy, ...]]:
    """Every API route, as ``POST /gigs/{id}``, and its policies. Routes marked ``unlimited`` are left out."""
    found = {}
    for route in _flat(app.routes):
        dependant = getattr(route, "dependant", None) or getattr(
            getattr(route, "starlette_route", None), "dependant", None
        )
        if dependant is None:
            continue
        calls = list(_calls(dependant))
        if unlimited not in calls:
            path = getattr(route, "path", "") or route.starlette_route.path
            name = f"{','.join(sorted(getattr(route, 'methods', None) or ['WS']))} {path}"
            found[name] = tuple(policy for call in calls for policy in getattr(call, "hustlex_policies", ()))
    return found


def _flat(routes: Sequence[Any]) -> Iterator[Any]:
    for route in routes:
        # From FastAPI 0.137 on an included router is one entry that knows its routes.
        inside = route.effective_candidates() if hasattr(route, "effective_candidates") else None
        yield from [route] if inside is None else _flat(inside)


def _calls(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
