"""Nothing of ours makes FastAPI take a thread for it: dependencies and keys are async."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any, get_type_hints

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
    limits = [RateLimit("5/minute per ip"), RateLimit("5/minute global"), RateLimit("5 at once per user")]
    provider = Provider(name="p", verify=lambda body, headers: True)
    made = [*limits, Idempotent(), verify_webhook(provider, event_id=lambda body: "1")]
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


def test_keys_are_async() -> None:
    keys = [getattr(hustlex.web, name) for name in hustlex.web.__all__ if name.startswith("by_") or name == "globally"]
    keys += [hustlex.web.unlimited, hustlex.web.get_hustlex, hustlex.web.current_user, hustlex.web.strict_user]
    assert len(keys) == 8
    assert all(map(inspect.iscoroutinefunction, keys))
    assert all(get_dependant(path="/", call=key) and get_type_hints(key) for key in keys)
