"""Where a request goes, as it came, looked up once for all who stand before its route."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Scope

from hustlex.web.charges import calls_at
from hustlex.web.routing import Place, place_of

_PLACE, _ROOT = "hustlex.place", "hustlex.root"
_NOT_ASKED = object()


def arrives(scope: Scope) -> None:
    """Keep what routing will change: a mount lengthens the root path of the one scope there is."""
    if _ROOT not in scope:
        scope[_ROOT] = scope.get("root_path", "")


def as_it_came(scope: Scope) -> Scope:
    """The scope before it was routed, where ``arrives`` saw it."""
    return {**scope, "root_path": scope.get(_ROOT, scope.get("root_path", ""))}


def place_in(scope: Scope, app: ASGIApp) -> Place | None:
    """Where the request goes, looked up once for it; also while it is there already."""
    found: Any = scope.get(_PLACE, _NOT_ASKED)
    if found is _NOT_ASKED:
        found = scope[_PLACE] = place_of(app, as_it_came(scope))
    place: Place | None = found
    return place


def marked(place: Place | None, name: str) -> list[int]:
    """What dependencies of the route say under this name."""
    calls = calls_at(place.route) if place else ()
    return [getattr(call, name) for call in calls if hasattr(call, name)]
