"""Every error as an RFC 9457 problem: ``application/problem+json``, no secrets, nothing echoed back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hustlex import problems
from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.errors import BadReply, ConfigurationError, Conflict, Error, Misuse, NotFound
from hustlex.problems import BUSY, MEDIA_TYPE, QUOTA_EXCEEDED, RETRY_SECONDS, Description, whole_seconds

_FIELDS = {"type": "string", "title": "string", "status": "integer", "detail": "string"}
_SCHEMA = {"type": "object", "properties": {name: {"type": kind} for name, kind in _FIELDS.items()}}
_CONTENT = {MEDIA_TYPE: {"schema": _SCHEMA}}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    422: {"description": "The request is not valid.", "content": _CONTENT},
    "default": {"description": "A problem (RFC 9457).", "content": _CONTENT},
}
_log = logger("hustlex.web")

__all__ = ["MEDIA_TYPE", "Problem", "install_problems", "no_store", "problem_of", "too_soon", "unavailable"]


class Problem(HTTPException):
    """Raise it anywhere in a request: ``raise Problem(409, detail="This gig is taken.")``.

    kind: the body's ``type``, a URI; "about:blank" means no more than the status.
    title: default the status's own phrase.
    detail: for the person who reads it.
    members: further fields of the body, JSON values.
    """

    def __init__(
        self,
        status: int,
        *,
        kind: str = "about:blank",
        title: str = "",
        detail: str = "",
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        check.whole("status", status, 100, 999)
        for name, text in (("kind", kind), ("title", title), ("detail", detail)):
            check.instance(name, text, str)
        for name, given in (("headers", headers), ("members", members)):
            check.instance(name, given or {}, Mapping)
        super().__init__(status, detail, headers)
        self._description = Description(status, kind, title, detail, members=dict(members or {}))

    @classmethod
    def of(cls, described: Description) -> Problem:
        """A problem of this package as an exception."""
        return cls(
            described.status,
            kind=described.kind,
            detail=described.detail,
            headers=described.headers,
            members=described.members,
        )

    def body(self) -> dict[str, Any]:
        """The problem as JSON values."""
        return self._description.body()

    def response(self) -> Response:
        """The answer. Statuses without a body have none."""
        if self.status_code in (204, 304):
            return Response(status_code=self.status_code, headers=self.headers)
        return JSONResponse(self.body(), self.status_code, self.headers, MEDIA_TYPE)


def unavailable(detail: str = BUSY, seconds: int = RETRY_SECONDS) -> Problem:
    """503 with Retry-After."""
    return Problem.of(problems.unavailable(detail, seconds))


def too_soon(detail: str, retry_after: timedelta) -> Problem:
    """429 with Retry-After."""
    return Problem(429, kind=QUOTA_EXCEEDED, detail=detail, headers={"Retry-After": str(whole_seconds(retry_after))})


async def no_store(response: Response) -> None:
    """``dependencies=[Depends(no_store)]``: answers that no cache may keep."""
    response.headers["Cache-Control"] = "no-store"


def problem_of(error: Error) -> Problem:
    """What a client is told about one of this package's errors. Faults of the server say nothing about it."""
    return Problem.of(problems.problem_of(error))


def install_problems(app: FastAPI) -> None:
    """Answer every exception of this app with a problem, and say so in its OpenAPI document."""
    check.instance("app", app, FastAPI)
    app.router.responses |= _DOCUMENTED
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


def adopt(app: FastAPI) -> None:
    """The same for a mounted app, which may have handlers of its own."""
    for kind, handler in _HANDLERS.items():
        if app.exception_handlers.get(kind) in (None, http_exception_handler, request_validation_exception_handler):
            app.add_exception_handler(kind, handler)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Problem):
        return error.response()
    # FastAPI lets the detail be any JSON value.
    detail: Any = error.detail
    members = detail if isinstance(detail, dict) else {}
    text = detail if isinstance(detail, str) else ""
    return Problem(error.status_code, detail=text, headers=error.headers, members=members).response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Where and why, never the value: it may be a code, a token or a phone.
    faults = [
        {"in": str(fault["loc"][0]), "name": ".".join(map(str, fault["loc"][1:])), "detail": fault["msg"]}
        for fault in error.errors()
    ]
    return Problem(422, detail="The request is not valid.", members={"errors": faults}).response()


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, Error)
    if isinstance(error, BadReply | ConfigurationError):
        _log.error("%s", error, exc_info=error)
    elif not isinstance(error, Misuse | NotFound | Conflict):
        _log.warning("answered 503: %s: %s", type(error).__name__, error)
    return problem_of(error).response()


async def _unexpected(_: Request, __: Exception) -> Response:
    return Problem(500).response()


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    HTTPException: _http,
    RequestValidationError: _invalid,
    Error: _ours,
    Exception: _unexpected,
}
