"""What ``install`` puts before an application: its hosts, a limit for bodies, fields that keep browsers careful."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.core import check
from hustlex.web.charges import calls_at
from hustlex.web.cors import answer
from hustlex.web.origins import Origins, host_of
from hustlex.web.problem import Problem
from hustlex.web.routing import Place, place_of

MEBIBYTE = 1024 * 1024
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Set where an answer does not set them itself; Strict-Transport-Security over HTTPS only."""

RawFields = tuple[tuple[bytes, bytes], ...]

_KEY, _PLACE, _ROOT = "hustlex.doorman", "hustlex.place", "hustlex.root"
_NOT_ASKED = object()


def body_limit(max_body: int) -> Callable[[], Awaitable[None]]:
    """``dependencies=[Depends(body_limit(10 * MEBIBYTE))]``: another limit for the bodies of one route, in bytes; 413
    over it. Raises Misuse."""
    largest = check.whole("max_body", max_body)

    async def limited() -> None:
        return None

    limited.hustlex_body_limit = largest  # type: ignore[attr-defined]
    return limited


def arrives(scope: Scope) -> None:
    """Keep what routing will change: a mount lengthens the root path of the one scope there is."""
    scope.setdefault(_ROOT, scope.get("root_path", ""))


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


class Doorman:
    """``install`` adds it. max_body: bytes; headers: for each answer."""

    def __init__(self, app: ASGIApp, *, max_body: int, origins: Origins, headers: Mapping[str, str]) -> None:
        self._app = app
        self._max_body = max_body
        self._origins = origins
        fields = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}
        self._secure = tuple(fields.items())
        self._plain = tuple(each for each in self._secure if each[0] != b"strict-transport-security")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket") or _KEY in scope:
            await self._app(scope, receive, send)
            return
        scope[_KEY] = True
        arrives(scope)
        stranger = bool(self._origins.hosts) and not self._origins.serves(host_of(scope))
        if kind == "http":
            await _Visit(self, scope, receive, send).run(stranger)
        elif stranger:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    @property
    def app(self) -> ASGIApp:
        """What it stands before."""
        return self._app

    def largest(self, scope: Scope) -> int:
        """Bytes that this request's body may have: as its route says, else as the application does; a route that
        compares bodies takes what it can compare."""
        place = place_in(scope, self._app)
        own = marked(place, "hustlex_body_limit")
        return min(own) if own else max([self._max_body, *marked(place, "hustlex_reads")])

    def fields(self, scope: Scope) -> RawFields:
        """What an answer to this request gets, where it does not say it itself."""
        return self._secure if scope.get("scheme") == "https" else self._plain


class _Visit:
    """One request: its body is counted while it comes in, its answer gets fields as it goes out. One object and two
    methods for both: what stands around every request is called four times for each."""

    __slots__ = (
        "_answered",
        "_doorman",
        "_fields",
        "_most",
        "_read",
        "_receive",
        "_refused",
        "_scope",
        "_send",
        "_started",
    )

    def __init__(self, doorman: Doorman, scope: Scope, receive: Receive, send: Send) -> None:
        self._doorman, self._scope, self._receive, self._send = doorman, scope, receive, send
        self._fields = doorman.fields(scope)
        self._read = 0
        self._most = -1
        self._refused = self._started = self._answered = False

    async def run(self, stranger: bool) -> None:
        if stranger:
            await self._refuse(Problem(400, detail="This host is not served here."))
            return
        declared = _declared(self._scope)
        if declared and declared > self._largest():
            await self._refuse(_too_large())
            return
        try:
            await self._doorman.app(self._scope, self._receiving, self._sending)
        except BaseException:
            if not self._refused or self._started:
                raise
            await self._refuse(_too_large())

    def _largest(self) -> int:
        if self._most < 0:
            self._most = self._doorman.largest(self._scope)
        return self._most

    async def _refuse(self, problem: Problem) -> None:
        self._started = self._answered = True
        await answer(self._doorman.app, problem.response(), as_it_came(self._scope), self._receive, self._with_fields)

    async def _receiving(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and message.get("body"):
            self._read += len(message["body"])
            if self._read > self._largest():
                self._refused = True
                raise _too_large()
        return message

    async def _sending(self, message: Message) -> None:
        """What the application sends; its answer to a body that it did not see whole is not sent."""
        if self._refused and not self._started:
            await self._refuse(_too_large())
        elif not self._answered:
            self._started = self._started or message["type"] == "http.response.start"
            await self._with_fields(message)

    def _with_fields(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            there = {name for name, _ in headers}
            message["headers"] = headers + [field for field in self._fields if field[0] not in there]
        return self._send(message)


def _too_large() -> Problem:
    return Problem(413, detail="The request is too large.")


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else 0
    return 0
