"""Nothing of ours makes FastAPI take a thread for it: dependencies and keys are async."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.utils import get_dependant
from fastapi.params import Depends

import examples.gigs
import hustlex.web
from examples.gigs.app import create_app
from hustlex.idempotency import Provider
from hustlex.web import Idempotent, RateLimit, auth_router, oauth_router, sessions_router, verify_webhook
from hustlex.web.routing import every_route


async def send(challenge: str) -> None:
    return None


async def identify(phone: str) -> int:
    return 7


def served() -> FastAPI:
    """Every route and dependency that we make, in one app."""
    app = create_app()
    made = [each for several in MADE.values() for each in several]
    app.include_router(auth_router(send=send, identify=identify, prefix="/more"))
    app.include_router(sessions_router(prefix="/more/sessions"))
    app.include_router(oauth_router(clients={"svc": "a secret of a service"}))
    for number, dependency in enumerate(made):
        app.add_api_route(f"/made/{number}", send, dependencies=[Depends(dependency)])
    return app


def dependencies(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from dependencies(each)


def runs_in_the_loop(call: Any) -> bool:
    called = call if inspect.isroutine(call) else type(call).__call__
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)


def test_no_dependency_of_a_route_of_ours_takes_a_thread() -> None:
    routes = [route for _, route in every_route(served()) if hasattr(route, "dependant")]
    found = {call for route in routes for call in dependencies(route.dependant)}
    assert len(found) > 15
    assert [call for call in found if not runs_in_the_loop(call)] == []


def modules() -> Iterator[Any]:
    for package in (hustlex.web, examples.gigs):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name != "examples.gigs.tour":
                yield importlib.import_module(module.name)


@pytest.mark.parametrize("module", list(modules()), ids=lambda module: module.__name__)
def test_nothing_that_is_annotated_as_a_dependency_takes_a_thread(module: Any) -> None:
    for name, value in vars(module).items():
        marks = [mark for mark in getattr(value, "__metadata__", ()) if isinstance(mark, Depends)]
        assert all(runs_in_the_loop(mark.dependency) for mark in marks), name


_LIMITS = [RateLimit("5/minute per ip"), RateLimit("5/minute global"), RateLimit("5 at once per user")]
MADE: dict[str, list[Any]] = {
    "RateLimit": [*_LIMITS, RateLimit("5/minute per user"), RateLimit("5/minute", key=hustlex.web.by_strict_user)],
    "Idempotent": [Idempotent(), Idempotent(key=hustlex.web.by_ip)],
    "ResponseCache": [hustlex.web.ResponseCache(ttl=timedelta(seconds=5))],
    "body_limit": [hustlex.web.body_limit(7)],
    "checked": [hustlex.web.checked("stateless"), hustlex.web.checked("bounded"), hustlex.web.checked("strict")],
    "recently": [hustlex.web.recently(timedelta(minutes=5))],
    "verify_webhook": [verify_webhook(Provider(name="p", verify=lambda body, headers: True), event_id=lambda _: "1")],
}
"""What each export that makes dependencies makes."""

ITSELF = {
    *("by_ip", "by_strict_user", "by_user", "current_user", "get_hustlex", "globally", "strict_user", "unlimited"),
    *("CurrentUser", "Front", "StrictUser"),
}
"""Exports that are dependencies."""

NOT_ASKED_BY_FASTAPI = {
    *("CacheMiddleware", "IdempotencyMiddleware", "RateLimitMiddleware", "SECURITY_HEADERS", "SocketLimits"),
    *("Allow", "CodeIn", "Deny", "OtpCodes", "PageOptions", "Problem", "Proof"),
    *("attach", "client_ip", "end_streams", "install", "install_problems", "jwks", "lifespan", "pin_ok", "problem_of"),
    *("progress_response", "route_policies", "sse_response", "tag_response", "while_allowed"),
    *("auth_router", "events_router", "health_router", "metrics_router", "oauth_router", "sessions_router"),
}
"""The rest; what routers ask for is looked at above."""


def tree(dependency: Any) -> Iterator[Any]:
    yield dependency
    yield from dependencies(get_dependant(path="/", call=dependency))


def test_each_export_is_known_as_a_dependency_or_as_none() -> None:
    assert {*MADE, *ITSELF, *NOT_ASKED_BY_FASTAPI} == set(hustlex.web.__all__)


@pytest.mark.parametrize("name", sorted({*MADE, *ITSELF}))
def test_no_exported_dependency_takes_a_thread(name: str) -> None:
    value = getattr(hustlex.web, name)
    marks = [mark.dependency for mark in getattr(value, "__metadata__", ()) if isinstance(mark, Depends)]
    for dependency in MADE.get(name) or marks or [value]:
        assert all(map(runs_in_the_loop, tree(dependency)))


def test_a_limit_and_a_user_are_one_dependency_each() -> None:
    """Each one more costs FastAPI tens of microseconds for each request."""
    alone = [*MADE["checked"], *_LIMITS[:2], *MADE["RateLimit"][3:], hustlex.web.current_user, hustlex.web.strict_user]
    assert [len(list(tree(each))) for each in alone] == [1] * len(alone)
