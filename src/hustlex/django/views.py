"""Users, limits and idempotent views as decorators, and errors as problems."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache, wraps
from http.cookies import SimpleCookie
from typing import Any, TypeVar, overload

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from hustlex.core.check import Id
from hustlex.errors import ConfigurationError, Error
from hustlex.idempotency import IdempotencyOptions, Response
from hustlex.problems import MEDIA_TYPE, Description, Shown, fields, problem_of, refusal
from hustlex.ratelimit import Policy
from hustlex.sync import HustleX
from hustlex.tokens import Access, Mode
from hustlex.wsgi import UNAUTHORIZED, Limit, access_of, answer_once, caller, logged_in, plain_view

_ANSWERS: dict[type[Exception], int] = {Http404: 404, PermissionDenied: 403, BadRequest: 400, SuspiciousOperation: 400}
"""Exceptions that are answers too."""

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


@cache
def front() -> HustleX:
    """The process' front, made of HUSTLEX_URL and HUSTLEX_SECRET (``settings.py``) at its first use.

    HUSTLEX_OPTIONS: more arguments for ``hustlex.sync.HustleX``, by name. Raises ConfigurationError.
    """
    url, secret = getattr(settings, "HUSTLEX_URL", ""), getattr(settings, "HUSTLEX_SECRET", None)
    if not url:
        raise ConfigurationError("settings.HUSTLEX_URL is not set", hint='like "redis://localhost:6379/0"')
    return HustleX(url, secret=secret, **getattr(settings, "HUSTLEX_OPTIONS", {}))


class HustlexMiddleware:
    """Answers every error of this package with a problem, whatever the view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Django's own word for it; None leaves the error to others."""
        return _answer(problem_of(error)) if isinstance(error, Error) else None


def current_user(request: HttpRequest) -> Access:
    """Who is logged in. Raises ConfigurationError in a view without ``@login_required``."""
    return logged_in(getattr(request, "access", None))


@overload
def login_required(view: View) -> View: ...
@overload
def login_required(*, mode: Mode = "strict") -> Callable[[View], View]: ...
def login_required(view: Any = None, *, mode: Mode = "strict") -> Any:
    """Only for who shows a good access token; sets ``request.access``. Else 401.

    mode: see ``Tokens.check``; "strict" sees a logout at once. Tokens that are bound to a key (DPoP) are refused.
    """
    if view is None:
        return lambda view: login_required(plain_view(view), mode=mode)  # type: ignore[call-overload]

    @wraps(plain_view(view))
    def wrapped(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.access = access_of(front(), request.headers.get("Authorization", ""), mode)
        answer: HttpResponseBase = _answer(UNAUTHORIZED) if request.access is None else view(request, *args, **kwargs)
        return answer

    return wrapped


def rate_limit(
    policy: Policy | str | Sequence[Policy | str],
    *,
    key: Callable[[HttpRequest], Id] | None = None,
    endpoint: str = "",
    cost: int = 1,
) -> Callable[[View], View]:
    """``@rate_limit("5/minute per ip")``, below ``@login_required`` for a limit per user.

    policy: a Policy, a rule's line, or several that are judged together. key: who is limited, asked for each request;
    default what the line says. endpoint: what is counted together; default method and route. cost: units of one call.
    Over the limit: 429 with Retry-After. Answers carry the RateLimit fields. Raises Misuse.
    """
    limit = Limit(policy, key, endpoint, cost)

    def decorate(view: Any) -> Any:
        limits = limit.around(plain_view(view))

        @wraps(view)
        def wrapped(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
            access, address = getattr(request, "access", None), request.META.get("REMOTE_ADDR")
            identity = key(request) if key else caller(limit.who, access, address)
            with limit.entered(front(), identity, request.method, _route(request)) as decision:
                answer = view(request, *args, **kwargs) if decision.allowed else _answer(refusal(decision))
            for name, value in fields([Shown(decision, front().reference(str(identity))[:12])]):
                answer[name] = value
            kept: HttpResponseBase = answer
            return kept

        wrapped.__hustlex_limits__ = limits  # type: ignore[attr-defined]
        return wrapped

    return decorate


@overload
def idempotent(view: View) -> View: ...
@overload
def idempotent(*, options: IdempotencyOptions | None = None) -> Callable[[View], View]: ...
def idempotent(view: Any = None, *, options: IdempotencyOptions | None = None) -> Any:
    """Below ``@login_required``: a repeat of a request with the same ``Idempotency-Key`` gets the first one's answer.

    The answer must be kept after the commit: put ``transaction.atomic`` inside the view, not around it
    (ATOMIC_REQUESTS is around it). The problems are those of ``hustlex.idempotency.http_answer``; 503 when Redis cannot
    be asked: nothing is executed then.
    """
    if view is None:
        return lambda view: idempotent(plain_view(view), options=options)  # type: ignore[call-overload]

    @wraps(plain_view(view))
    def wrapped(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        cookies: SimpleCookie = SimpleCookie()

        def execute() -> Response:
            try:
                answer = _whole(view(request, *args, **kwargs))
            except tuple(_ANSWERS) as error:
                _log_suspicious(request, error)
                answer = _answer(Description(next(_ANSWERS[kind] for kind in _ANSWERS if isinstance(error, kind))))
            cookies.update(answer.cookies)
            return Response(answer.status_code, answer.content, tuple(answer.items()))

        given = request.headers.get("Idempotency-Key")
        kept = answer_once(
            front(),
            getattr(request, "access", None),
            [] if given is None else [given],
            (request.method, _route(request), request.get_full_path()),
            (request.body, request.headers.get("Content-Type", "")),
            execute,
            options,
        )
        repeated = HttpResponse(kept.body, status=kept.status, headers=dict(kept.headers))
        repeated.cookies = cookies  # of this call alone: a repeat sets none
        return repeated

    return wrapped


def _log_suspicious(request: HttpRequest, error: Exception) -> None:
    """Where Django itself would: whoever watches ``django.security`` hears of it though the answer is kept."""
    if isinstance(error, SuspiciousOperation):
        context = {"status_code": 400, "request": request}
        logging.getLogger(f"django.security.{type(error).__name__}").error("%s", error, extra=context)


def _whole(answer: Any) -> HttpResponse:
    """An answer whose content can be kept: also where Django would render or read it later."""
    answer = answer.render() if callable(getattr(answer, "render", None)) else answer
    if not answer.streaming:
        rendered: HttpResponse = answer
        return rendered
    whole = HttpResponse(b"".join(answer), status=answer.status_code, headers=dict(answer.items()))
    whole.cookies = answer.cookies
    return whole


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match and match.route) or request.path


def _answer(problem: Description) -> JsonResponse:
    return JsonResponse(problem.body(), status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)
