"""The Flask door (``pip install 'hustlex[flask]'``): users, limits and idempotent views as decorators.

::

    app = Flask(__name__)
    init_app(app, HustleX(url, secret=secret))


    @app.post("/transfers")
    @login_required
    @rate_limit("5/minute per user")
    @idempotent
    def transfer(): ...

``current_user()`` (also ``g.access``) is the logged-in user's ``hustlex.tokens.Access``.
Errors of this package become problems (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, overload
from urllib.parse import quote

from hustlex.core.extras import require

require("hustlex.flask", "flask", "flask")

from flask import Flask, Response, current_app, g, json, make_response, request
from werkzeug.exceptions import HTTPException

from hustlex.core import check
from hustlex.core.check import Id
from hustlex.errors import ConfigurationError, Error
from hustlex.idempotency import IdempotencyOptions
from hustlex.idempotency import Response as Kept
from hustlex.problems import MEDIA_TYPE, Description, Shown, fields, problem_of, refusal
from hustlex.ratelimit import Policy
from hustlex.sync import HustleX
from hustlex.tokens import Access, Mode
from hustlex.wsgi import UNAUTHORIZED, Limit, access_of, answer_once, caller, logged_in, plain_view

__all__ = ["current_user", "front", "idempotent", "init_app", "login_required", "rate_limit"]

View = TypeVar("View", bound=Callable[..., Any])


def init_app(app: Flask, hx: HustleX) -> None:
    """Give the app its front, and answer every error of this package with a problem.

    hx: made after the server forked, or before: connections are opened at the first call.
    """
    check.instance("app", app, Flask)
    check.instance("hx", hx, HustleX, hint="pass a hustlex.sync.HustleX")
    app.extensions["hustlex"] = hx
    app.register_error_handler(Error, lambda error: _answer(problem_of(error)))


def front() -> HustleX:
    """The app's front. Raises ConfigurationError when ``init_app`` was forgotten."""
    hx = current_app.extensions.get("hustlex")
    if not isinstance(hx, HustleX):
        raise ConfigurationError("this app has no HustleX", hint="call hustlex.flask.init_app(app, hx)")
    return hx


def current_user() -> Access:
    """Who is logged in. Raises ConfigurationError in a view without ``@login_required``."""
    return logged_in(g.get("access"))


@overload
def login_required(view: View) -> View: ...
@overload
def login_required(*, mode: Mode = "strict") -> Callable[[View], View]: ...
def login_required(view: Any = None, *, mode: Mode = "strict") -> Any:
    """Only for who shows a good access token; sets ``g.access``. Else 401.

    mode: see ``Tokens.check``; "strict" sees a logout at once. Tokens that are bound to a key (DPoP) are refused.
    """
    if view is None:
        return lambda view: login_required(plain_view(view), mode=mode)  # type: ignore[call-overload]

    @wraps(plain_view(view))
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        g.access = access_of(front(), request.headers.get("Authorization", ""), mode)
        return _answer(UNAUTHORIZED) if g.access is None else view(*args, **kwargs)

    return wrapped


def rate_limit(
    policy: Policy | str | Sequence[Policy | str],
    *,
    key: Callable[[], Id] | None = None,
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
        def wrapped(*args: Any, **kwargs: Any) -> Response:
            identity = key() if key else caller(limit.who, g.get("access"), request.remote_addr)
            with limit.entered(front(), identity, request.method, _route()) as decision:
                answer = make_response(view(*args, **kwargs)) if decision.allowed else _answer(refusal(decision))
            answer.headers.update(fields([Shown(decision, front().reference(str(identity))[:12])]))
            return answer

        wrapped.__hustlex_limits__ = limits  # type: ignore[attr-defined]
        return wrapped

    return decorate


@overload
def idempotent(view: View) -> View: ...
@overload
def idempotent(*, options: IdempotencyOptions | None = None) -> Callable[[View], View]: ...
def idempotent(view: Any = None, *, options: IdempotencyOptions | None = None) -> Any:
    """Below ``@login_required``: a repeat of a request with the same ``Idempotency-Key`` gets the first one's answer.

    Put the database's transaction inside the view, so that it is committed when the answer is kept. The problems are
    those of ``hustlex.idempotency.http_answer``; 503 when Redis cannot be asked: nothing is executed then.
    """
    if view is None:
        return lambda view: idempotent(plain_view(view), options=options)  # type: ignore[call-overload]

    @wraps(plain_view(view))
    def wrapped(*args: Any, **kwargs: Any) -> Response:
        def execute() -> Kept:
            try:
                answer = make_response(view(*args, **kwargs))
            except HTTPException as error:  # abort(409) is an answer too
                answer = make_response(error.get_response())
            answer.direct_passthrough = False  # a file is read here: what was done must have an answer
            return Kept(answer.status_code, answer.get_data(), tuple(answer.headers.items()))

        kept = answer_once(
            front(),
            g.get("access"),
            request.headers.getlist("Idempotency-Key"),
            (request.method, _route(), _target()),
            (request.get_data(), request.content_type or ""),
            execute,
            options,
        )
        return Response(kept.body, kept.status, list(kept.headers))

    return wrapped


def _target() -> str:
    """Escaped anew, so that a question mark within the path does not begin the query."""
    path, query = quote(request.script_root + request.path), request.query_string.decode("latin-1")
    return f"{path}?{query}" if query else path


def _route() -> str:
    """With what the application is mounted at: two of them may have one route each of the same text."""
    return request.script_root + (request.url_rule.rule if request.url_rule else request.path)


def _answer(problem: Description) -> Response:
    return Response(json.dumps(problem.body()), problem.status, problem.headers, content_type=MEDIA_TYPE)
