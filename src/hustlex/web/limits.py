"""Rate limits as dependencies, and the RateLimit headers (draft-ietf-httpapi-ratelimit-headers, after -09)."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from fastapi import Depends
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.core.addresses import network
from hustlex.errors import ConfigurationError, Misuse
from hustlex.ratelimit import Decision, Policy, PolicyState
from hustlex.web.depends import CurrentUser, Front
from hustlex.web.problem import QUOTA_EXCEEDED, Problem

TOO_MANY = "Too many requests. Try again later."
_SCOPE_KEY = "hustlex.ratelimit"
_JITTER = 0.1
_SECOND = timedelta(seconds=1)

Key = Callable[..., str | Awaitable[str]]
"""A dependency that answers who is limited: a reference that may stand in key names, not personal data."""


def by_user(user: CurrentUser) -> str:
    """The logged-in user; the route is for logged-in users only."""
    return user.user_id


def by_ip(request: Request) -> str:
    """The peer's address, an IPv6 one as its /64. Behind a proxy, let the ASGI server read the forwarded address
    (uvicorn: ``--proxy-headers --forwarded-allow-ips``); nothing here believes a header."""
    host = request.client.host if request.client else "local"
    try:
        return f"ip:{network(host)}".removesuffix("/32")
    except ValueError:
        return f"ip:{host}"


def limit(
    policy: Policy | Sequence[Policy], *, key: Key = by_user, endpoint: str = "", cost: int = 1, show: bool = True
) -> Callable[..., Awaitable[Decision]]:
    """``dependencies=[Depends(limit(Policy("transfers", 5, timedelta(minutes=1))))]``; its value is the Decision.

    policy: one, or several that are judged together. key: see Key. endpoint: what is counted together; default the
    route's template with its routers' prefixes, but without that of a mounted app, and whatever the method. cost:
    units of one call. show: put the state in the RateLimit headers; not for keys that the client can choose, as
    they would show it another's traffic.

    Over the limit: 429 with Retry-After. When the server cannot be asked: 503; nothing is let through.
    Raises Misuse when a call costs more than a whole limit, ConfigurationError (in a request) when another policy
    already counts the same key at the same endpoint: pass both in one ``limit``, or name an endpoint.
    """
    policies = (policy,) if isinstance(policy, Policy) else tuple(policy)
    for each in policies:
        if each.cost * cost > each.limit:
            raise Misuse(f"policy {each.name}: one call costs more than the whole limit")

    async def check(request: Request, front: Front, identity: str = Depends(key)) -> Decision:
        label = endpoint or template(request)
        _claim(request, label, key, policies)
        decision = await front.ratelimit.check(policies, identity, endpoint=label, cost=cost)
        if show:
            request.scope[_SCOPE_KEY].append(decision)
        if not decision.allowed:
            raise quota_exceeded(decision)
        return decision

    return check


def template(request: Request) -> str:
    """The route's path with its parameters unfilled, as ``/gigs/{id}``: a small, fixed set of labels."""
    # From FastAPI 0.137 on a route knows only its own part; the path with the routers' prefixes is in this context.
    context = request.scope.get("fastapi", {}).get("effective_route_context")
    path: str = (context or request.scope["route"]).path
    return path


def quota_exceeded(decision: Decision) -> Problem:
    """429. Retry-After is rounded up, plus up to 10 %, so that those refused together do not return together."""
    seconds = math.ceil(decision.retry_after / _SECOND * (1 + random.random() * _JITTER))
    return Problem(
        429,
        kind=QUOTA_EXCEEDED,
        detail=TOO_MANY,
        headers={"Retry-After": str(seconds)},
        members={"violated-policies": list(decision.violated)},
    )


def _claim(request: Request, label: str, key: Key, policies: tuple[Policy, ...]) -> None:
    """Two policies that count in one key would charge each other's calls; the second one to show up is refused."""
    if request.app.state.hustlex_limits.setdefault((label, key), policies) != policies:
        names = ", ".join(each.name for each in policies)
        raise ConfigurationError(
            f"policy {names}: another policy counts the same callers at {label}",
            hint="pass all policies in one limit([...]), or name an endpoint",
        )


class RateLimitHeaders:
    """Middleware: adds what ``limit`` found to every answer, except redirects."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SCOPE_KEY in scope:
            await self._app(scope, receive, send)
            return
        decisions: list[Decision] = []
        scope[_SCOPE_KEY] = decisions

        async def send_with_headers(message: Message) -> None:
            if decisions and message["type"] == "http.response.start" and message["status"] // 100 != 3:
                states = [state for decision in decisions for state in decision.per_policy]
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = ", ".join(map(_policy_item, states))
                headers["RateLimit"] = ", ".join(map(_state_item, states))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _policy_item(state: PolicyState) -> str:
    window = "" if state.window % _SECOND else f";w={state.window // _SECOND}"
    return f'"{state.policy}";q={state.limit}{window}'


def _state_item(state: PolicyState) -> str:
    return f'"{state.policy}";r={state.remaining};t={math.ceil(state.more_after / _SECOND)}'
