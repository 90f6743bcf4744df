"""Answers of middlewares that stand outside of Starlette's CORSMiddleware: without its fields no page may read them."""

from __future__ import annotations

import copy
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hustlex.web.routing import inside


def cors_within(app: Any) -> CORSMiddleware | None:
    """The CORSMiddleware that this application wraps, or would be wrapped in when it is built."""
    for each in inside(app):
        if isinstance(each, CORSMiddleware):
            return each
        for added in getattr(each, "user_middleware", ()):
            if isinstance(added.cls, type) and issubclass(added.cls, CORSMiddleware):
                return added.cls(Response(), *added.args, **added.kwargs)
    return None


async def answer(app: Any, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in the place of an application, as that would have been answered by it."""
    cors = cors_within(app) if scope["type"] == "http" else None
    if cors is None:
        await response(scope, receive, send)
        return
    around = copy.copy(cors)
    around.app = response
    await around(scope, receive, send)
