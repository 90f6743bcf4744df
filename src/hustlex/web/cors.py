"""Answers of middlewares that stand outside of Starlette's CORSMiddleware: without its fields no page may read them."""

from __future__ import annotations

import copy
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hustlex.web.routing import inside, place_of


def cors_within(app: Any) -> CORSMiddleware | None:
    """The CORSMiddleware that this application wraps, or would be wrapped in when it is built."""
    for each in inside(app):
        if isinstance(each, CORSMiddleware):
            return each
        for added in getattr(each, "user_middleware", ()):
            if isinstance(added.cls, type) and issubclass(added.cls, CORSMiddleware):
                return added.cls(Response(), *added.args, **added.kwargs)
    return None


def _cors_on_the_way(app: Any, scope: Scope) -> CORSMiddleware | None:
    """That of the application, or of the one mounted in it that the request goes to."""
    found = cors_within(app)
    place = None if found else place_of(app, scope)
    return found or next(filter(None, map(cors_within, place.apps)), None) if place else found


async def answer(app: Any, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in the place of an application, as that would have been answered by it."""
    cors = _cors_on_the_way(app, scope) if scope["type"] == "http" else None
    if cors is None:
        await response(scope, receive, send)
        return
    around = copy.copy(cors)
    around.app = response
    await around(scope, receive, send)
