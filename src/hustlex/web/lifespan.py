"""The front lives as long as the app: opened in its event loop, closed after its last request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.environment import in_production
from hustlex.errors import ConfigurationError, Misuse
from hustlex.metrics.history import recording
from hustlex.problems import Legacy
from hustlex.ratelimit.policy.sensitive import refuse_open
from hustlex.web.charges import Labels
from hustlex.web.doorman import MEBIBYTE, SECURITY_HEADERS, Doorman
from hustlex.web.limits import route_policies
from hustlex.web.origins import read_origins
from hustlex.web.problem import adopt, install_problems
from hustlex.web.routing import mounted_apps

_log = logger("hustlex.web")


def install(
    app: FastAPI,
    *,
    legacy: Legacy | None = None,
    origins: Sequence[str] = (),
    hosts: Sequence[str] | None = None,
    max_body: int = MEBIBYTE,
    headers: Mapping[str, str] = SECURITY_HEADERS,
) -> None:
    """Errors become problems, answers carry RateLimit header fields, idempotent ones are kept; requests that are too
    large, or meant for other hosts, are refused.

    Call it once, right after creating the app. legacy: older fields of limits too, see Legacy. origins: where the
    application and its pages are reached, as ``["https://api.example.org"]``; proofs of keys (DPoP) count for these
    only, and cookies are taken from pages of these only (default: of the request's own host). hosts: other ones that
    are answered; default those of ``origins``, without any each. max_body: bytes of a request's body, 413 over it; a
    route may have another (``body_limit``). headers: for each answer that does not have them. Raises Misuse.
    """
    check.instance("app", app, FastAPI)
    if legacy is not None:
        check.one_of("legacy", legacy, ("x-ratelimit",))
    check.instance("headers", headers, Mapping)
    known = app.state.hustlex_origins = read_origins(origins, hosts)
    fields = {check.text("headers", name): check.text("headers", value) for name, value in headers.items()}
    install_problems(app)
    largest = check.whole("max_body", max_body)
    app.add_middleware(Doorman, max_body=largest, origins=known, headers=fields, legacy=legacy)
    app.state.hustlex_limits = Labels(app)


def lifespan(
    open_front: Callable[[], HustleX], *, require_policy: bool = False
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """``FastAPI(lifespan=lifespan(lambda: HustleX(url, secret=secret)))``; also usable inside a lifespan of your own.

    The app starts although the server cannot be reached; requests that need it are answered 503 until it can.
    The start lists each route with its limits in the log. require_policy: a route without one ends it, unless marked
    ``Depends(unlimited)``. Raises ConfigurationError at start-up for that, and when ``install(app)`` was forgotten.
    """

    if not callable(open_front):
        raise Misuse("open_front cannot be called", hint="pass a function, as lambda: HustleX(url, secret=secret)")
    check.flag("require_policy", require_policy)

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        if not hasattr(app.state, "hustlex_limits"):
            raise ConfigurationError("this app's errors are not installed", hint="call hustlex.web.install(app)")
        for mounted in mounted_apps(app):
            if isinstance(mounted, FastAPI):
                adopt(mounted)
        _list_limits(app, require_policy)
        if not app.state.hustlex_origins.hosts and in_production():
            _log.warning("every Host header is answered: pass origins=[...] to hustlex.web.install")
        async with open_front() as front, recording(front):
            app.state.hustlex = front
            yield

    return opened


def _list_limits(app: FastAPI, require: bool) -> None:
    found = route_policies(app)
    for route, policies in found.items():
        refuse_open(policies, route)
        _log.info("%s: %s", route, ", ".join(policy.name for policy in policies) or "no limit")
    bare = [route for route, policies in found.items() if not policies]
    if require and bare:
        raise ConfigurationError(
            f"routes without a limit: {', '.join(bare)}", hint="add Depends(RateLimit(...)), or Depends(unlimited)"
        )
