"""Where a request goes, told by the application's own router: its routes are asked, nothing is parsed a second time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec
from fastapi.routing import APIRoute
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Host, Match, Mount

from hustlex.core import check
from hustlex.errors import Misuse

Scope = MutableMapping[str, Any]

OUTERMOST = "hustlex.app"
"""In a scope: the outermost application that ``install`` was called for."""

_CONTEXT = "effective_route_context"
_DEEPEST = 100
_PARAMETER = re.compile(r"\{[^{}]*\}")


_Mounts = tuple[tuple[str, str], ...]


class Place(msgspec.Struct, frozen=True):
    """What the router has found."""

    template: str
    """The route's path, parameters unfilled, with the prefixes of mounts."""
    path: str
    """The text that the route took for its path, with them too."""
    route: Any
    """What serves it (of included routers, their view of it); None: an application that cannot be looked into."""
    full: bool
    """Whether the method is served, too."""
    mounts: _Mounts = (("", ""),)
    """Template and text of each prefix, the longest last."""
    apps: tuple[Any, ...] = ()
    """The applications that are mounted there."""

    @property
    def methods(self) -> frozenset[str]:
        """Those that are served here; empty: all."""
        return frozenset(getattr(self.route, "methods", None) or ())


def inside(app: Any) -> Iterator[Any]:
    """An application and what it wraps, from outside to inside; its end has routes, or cannot be looked into."""
    for _ in range(_DEEPEST):
        if app is None:
            return
        yield app
        if isinstance(getattr(app, "routes", None), list):
            return
        app = getattr(app, "app", None) or getattr(app, "_app", None)


def router_of(app: Any) -> Any:
    """The application within that has routes, or None."""
    return next((each for each in inside(app) if isinstance(getattr(each, "routes", None), list)), None)


def place_of(app: Any, scope: Scope) -> Place | None:
    """Where this application sends a request, None where to nobody."""
    router = router_of(app)
    if router is None:
        return None
    scope = {**scope, **({"root_path": router.root_path} if getattr(router, "root_path", "") else {})}
    return _found(router.routes, scope, (("", ""),))


def _found(routes: Sequence[Any], scope: Scope, mounts: _Mounts) -> Place | None:
    """As Starlette's router goes about it: the first full match, else the first of another method."""
    partial: Place | None = None
    above, taken = mounts[-1]
    scope = {**scope, "fastapi": dict(scope.get("fastapi", {}))}
    for route in flat(routes):
        match, child = _asked(route, scope)
        if match is Match.NONE:
            continue
        found = _starlette(route)
        if match is Match.FULL and isinstance(found, Mount | Host):
            below = _below(found, {**scope, **child}, scope, mounts)
            return below and msgspec.structs.replace(below, apps=(found.app, *below.apps))
        path, full = taken + _text(found, scope), match is Match.FULL
        place = Place(above + getattr(found, "path", ""), path, found, full, mounts)
        if full:
            return place
        partial = partial or place
    return partial


def _asked(route: Any, scope: Scope) -> tuple[Match, Mapping[str, Any]]:
    """What a route says of a request. scope: a copy that may be written to."""
    original = getattr(route, "original_route", None)
    if original is None:
        scope["fastapi"].pop(_CONTEXT, None)
    else:  # from FastAPI 0.137 on a route of an included router learns its prefix from the scope
        scope["fastapi"][_CONTEXT] = route
    asked = original if isinstance(original, APIRoute) else route
    answer: tuple[Match, Mapping[str, Any]] = asked.matches(scope)
    return answer


def _starlette(route: Any) -> Any:
    """The route with its whole path."""
    return getattr(route, "starlette_route", None) or route


def _below(mount: Mount | Host, scope: Scope, outside: Scope, mounts: _Mounts) -> Place | None:
    above, taken = mounts[-1]
    if isinstance(mount, Mount):
        went = scope["root_path"].removeprefix(outside.get("root_path", ""))
        mounts = (*mounts, (above + mount.path, taken + went))
    router = router_of(mount.app)
    if router is None:
        above, taken = mounts[-1]
        rest = get_route_path(scope)
        return Place(above + rest, taken + rest, None, True, mounts)
    own = {"root_path": router.root_path} if getattr(router, "root_path", "") else {}
    return _found(router.routes, {**scope, **own}, mounts)


def _text(route: Any, scope: Scope) -> str:
    """What the route's own pattern took: not a line end behind it."""
    path = get_route_path(scope)
    pattern = getattr(route, "path_regex", None)
    found = pattern.match(path) if pattern is not None else None
    return found.group() if found else path


def flat(routes: Sequence[Any]) -> Iterator[Any]:
    """Routes in the router's order, those of included routers in their places."""
    for route in routes:
        # From FastAPI 0.137 on an included router is one entry that knows its routes.
        within = route.effective_candidates() if hasattr(route, "effective_candidates") else None
        yield from [route] if within is None else flat(within)


def every_route(app: Any, above: str = "", depth: int = 0) -> Iterator[tuple[str, BaseRoute]]:
    """All routes with their templates, those of mounted applications too."""
    router = router_of(app)
    if router is None or depth > _DEEPEST:
        return
    for route in map(_starlette, flat(router.routes)):
        prefix = above + getattr(route, "path", "")
        if isinstance(route, Mount | Host):
            yield from every_route(route.app, prefix, depth + 1)
        else:
            yield prefix, route


def mounted_apps(app: Any, depth: int = 0) -> Iterator[Any]:
    """The applications that are mounted in this one, and in those."""
    router = router_of(app)
    if router is None or depth > _DEEPEST:
        return
    for route in map(_starlette, flat(router.routes)):
        if isinstance(route, Mount | Host):
            yield from inside(route.app)
            yield from mounted_apps(route.app, depth + 1)


def serving(scope: Scope) -> Any:
    """The route that serves this request, with its whole path; asked inside of it."""
    # From FastAPI 0.137 on a route knows only its own part; the path with the routers' prefixes is in this context.
    context, route = scope.get("fastapi", {}).get(_CONTEXT), scope["route"]
    if context is None or route not in (context.original_route, _starlette(context)):
        return route
    return _starlette(context)


def template(scope: Scope) -> str:
    """The path of the route that serves a request, as ``/shop/gigs/{id}``: a small, fixed set of labels."""
    path: str = serving(scope).path
    return mounted_at(scope) + path


def mounted_at(scope: Scope) -> str:
    """The template of the mounts above the application that a request is in: ``/{tenant}/v1``; "" without any."""
    if "app_root_path" not in scope:
        return ""
    went = str(scope["root_path"]).removeprefix(scope["app_root_path"])
    outermost = scope.get(OUTERMOST)
    outside = {**scope, "root_path": scope["app_root_path"], "path_params": {}}
    place = None if outermost is None else place_of(outermost, outside)
    known = next((prefix for prefix, text in place.mounts if text == went), None) if place else None
    return _guessed(scope, went) if known is None else known


def _guessed(scope: Scope, went: str) -> str:
    """The same where the outermost application is not known to us: what the parameters say is taken out of the text."""
    route = serving(scope) if "route" in scope else None
    own = {} if isinstance(route, Mount) else getattr(route, "param_convertors", {})
    parts = went.split("/")
    for name, value in scope.get("path_params", {}).items():
        if name in own:
            continue
        if str(value) not in parts:  # written in another way than it is read: never as many labels as ways
            return "/{mounted}"
        at = len(parts) - 1 - parts[::-1].index(str(value))
        parts[at] = f"{{{name}}}"
    return "/".join(parts)


def preflight(scope: Scope) -> bool:
    """Whether a browser asks what it may ask (Fetch, section 4.8)."""
    if scope.get("method") != "OPTIONS":
        return False
    names = {name.lower() for name, _ in scope.get("headers", ())}
    return b"origin" in names and b"access-control-request-method" in names


def path_prefix(given: object) -> str:
    """The ``prefix`` of a router. Raises Misuse."""
    prefix = check.text("prefix", given, blank=True)
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise Misuse("prefix does not fit before a path", hint="begin it with a slash and end it without, as /auth")
    return prefix


def shape(template: str) -> str:
    """A template without the names and kinds of its parameters."""
    return _PARAMETER.sub("{}", template)
