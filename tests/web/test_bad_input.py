"""Whatever is passed to what ``hustlex.web`` offers: a value, or one sentence."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request

import hustlex.web
from hustlex.errors import Conflict
from hustlex.idempotency import IdempotencyOptions, Provider, hmac_signature
from hustlex.metrics import Metrics
from hustlex.pins import PinOk
from hustlex.ratelimit import Policy
from hustlex.web import (
    Allow,
    CacheMiddleware,
    Deny,
    IdempotencyMiddleware,
    Idempotent,
    OtpCodes,
    Problem,
    RateLimit,
    RateLimitMiddleware,
    ResponseCache,
    SocketLimits,
    auth_router,
    body_limit,
    by_ip,
    checked,
    end_streams,
    events_router,
    health_router,
    install,
    install_problems,
    lifespan,
    metrics_router,
    oauth_router,
    pin_ok,
    problem_of,
    recently,
    route_policies,
    sessions_router,
    sse_response,
    tag_response,
    verify_webhook,
    while_allowed,
)
from tests.support.sweep import Sample, complaints, unswept
from tests.web.test_limit_asgi import bare
from tests.web.test_sse import Source


async def send(challenge: str) -> None:
    return None


async def identify(phone: str) -> int:
    return 7


async def human(request: Request) -> bool:
    return True


def caller(scope: Any, who: str) -> str:
    return "7"


def request() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": []})


async def entered(_: Any, **given: Any) -> None:
    async with while_allowed(**given):
        pass


ROUTER = {"prefix": "/auth"}
SAMPLES = [
    Sample(
        auth_router,
        {"send": send, "identify": identify, "identify_email": identify, "purpose": "login",
         "client_id": "app", "human_check": human,
         "refresh_cookie": "__Host-refresh", **ROUTER},
    ),
    Sample(OtpCodes, {"send": send, "purpose": "login", "human_check": human}),
    Sample(
        RateLimit,
        {"policy": Policy("p", 5, timedelta(minutes=1)), "key": by_ip, "endpoint": "/x", "cost": 1, "tier": "normal",
         "show": True},
    ),
    Sample(
        RateLimitMiddleware,
        {"app": bare, "limits": None, "rules": ["5/minute per user"], "identify": caller, "sockets": SocketLimits(),
         "legacy": "x-ratelimit"},
    ),
    Sample(
        SocketLimits,
        {"connect": "5/s per ip", "held": "5 at once per ip", "messages": "5/s per ip", "strikes": 5},
        call=lambda _, **given: RateLimitMiddleware(bare, sockets=SocketLimits(**given)),
    ),
    Sample(
        Idempotent,
        {"key": by_ip, "endpoint": "/x", "required": True, "reconcile": human, "options": IdempotencyOptions(),
         "max_body": 5},
    ),
    Sample(
        verify_webhook,
        {"provider": Provider(name="p", verify=lambda body, headers: True), "event_id": lambda body: "1"}
        | {"max_body": 5},
    ),
    Sample(IdempotencyMiddleware, {"app": bare, "max_body": 5}),
    Sample(checked, {"mode": "strict"}),
    Sample(recently, {"within": timedelta(minutes=5)}),
    Sample(
        install,
        {"app": FastAPI(), "legacy": "x-ratelimit", "origins": ["https://example.org"], "hosts": ["*"], "max_body": 5,
         "headers": {"X-Frame-Options": "DENY"}},
        call=lambda _, **given: install(**(given | ({"app": FastAPI()} if isinstance(given["app"], FastAPI) else {}))),
    ),
    Sample(install_problems, {"app": FastAPI()}),
    Sample(lifespan, {"open_front": lambda: None, "require_policy": False}),
    Sample(oauth_router, {"clients": {"svc": "a secret of a service"}, "prefix": "/oauth"}),
    Sample(sessions_router, {"fresh_within": timedelta(minutes=5), "prefix": "/auth/sessions"}),
    Sample(pin_ok, {"answer": PinOk(False)}),
    Sample(
        Problem,
        {"status": 400, "kind": "about:blank", "title": "t", "detail": "d", "headers": {"A": "b"}, "members": {"a": 1}},
    ),
    Sample(problem_of, {"error": Conflict("no")}),
    Sample(route_policies, {"app": FastAPI()}),
    Sample(end_streams, {"app": FastAPI()}),
    Sample(
        events_router,
        {"channels": human, "authorize": human, "prefix": "/events", "per_user": 5, "per_connection": 5}
        | {"heartbeat": timedelta(seconds=5), "pong": timedelta(seconds=5)}
        | {"presence": human, "jobs": "jobs:{task_id}", "results": True, "subscription_ttl": timedelta(minutes=5)},
    ),
    Sample(Deny),
    Sample(Allow, {"until": None}),
    Sample(
        sse_response,
        {"request": request(), "subscription": Source().subscribe(), "authorize": human,
         "heartbeat": timedelta(seconds=5), "lifetime": timedelta(seconds=5), "write_timeout": timedelta(seconds=5),
         "per_user": 5, "until": None},
        spare={"authorize": {"function"}},  # asked at once, and this one is not async
    ),
    Sample(
        while_allowed,
        {"connection": request(), "heartbeat": timedelta(seconds=5), "per_user": 5},
        call=entered,
    ),
    Sample(body_limit, {"max_body": 5}),
    Sample(health_router, {"path": "/health"}),
    Sample(metrics_router, {"path": "/metrics", "metrics": Metrics()}),
    Sample(
        ResponseCache,
        {"name": "page", "ttl": timedelta(minutes=1), "tags": ["a"], "vary": ["accept"], "query": ["q"]}
        | {"private": False, "public": False, "user": human, "client_ttl": timedelta(0), "honor_client": False},
    ),
    Sample(CacheMiddleware, {"app": bare, "rules": {"/": ResponseCache(ttl=timedelta(minutes=1))}}),
    Sample(
        tag_response,
        {"connection": request(), "tag": "a"},
        call=lambda _, connection, tag: tag_response(connection, tag),
    ),
    Sample(
        hmac_signature,
        {"header": "x", "digest": "sha512", "prefix": "sha512=", "secrets": "a secret"},
        call=lambda _, secrets, **given: hmac_signature(given.pop("header"), secrets, **given),
    ),
    Sample(
        Provider,
        {"name": "p", "verify": hmac_signature("x", "secret"), "lease": timedelta(seconds=5), "ttl": timedelta(days=5)},
    ),
]  # fmt: skip
BY_THE_FRAMEWORK = {
    "PageOptions",
    *("by_ip", "by_user", "by_strict_user", "globally", "unlimited", "get_hustlex", "current_user", "strict_user"),
    *("jwks", "client_ip", "attach", "CodeIn", "Proof", "progress_response"),
}
"""Called with what FastAPI made; ``attach`` with a claim; ``progress_response`` is swept in test_progress."""


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
async def test_bad_input_gets_one_sentence(sample: Sample) -> None:
    assert await complaints(sample) == []


def test_the_sweep_is_complete() -> None:
    found = [getattr(hustlex.web, name) for name in set(hustlex.web.__all__) - BY_THE_FRAMEWORK]
    functions = [each for each in found if inspect.isroutine(each)]
    assert len(functions) > 15
    assert unswept(functions, SAMPLES) == set()
    classes = {each for each in found if issubclass(type(each), type)}
    assert {each.__name__ for each in classes - {sample.target for sample in SAMPLES}} == set()
