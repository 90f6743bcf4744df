"""What ``install`` puts before an application: its hosts, a limit for bodies, fields that keep browsers careful."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.core import check
from hustlex.problems import LIMIT_FIELDS, Legacy, Shown, raw_fields
from hustlex.web.cors import answer
from hustlex.web.origins import Origins, host_of
from hustlex.web.places import arrives, as_it_came, marked, place_in
from hustlex.web.problem import Problem
from hustlex.web.replay import EXCHANGE, LARGEST_REQUEST, Exchange, as_everybody_reads
from hustlex.web.routing import OUTERMOST

MEBIBYTE = 1024 * 1024
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Set where an answer does not set them itself; Strict-Transport-Security over HTTPS only."""

SHOWN = "hustlex.ratelimit"
"""In a scope: what limits have found of the request, to be told to the client."""

RawFields = tuple[tuple[bytes, bytes], ...]

_LENGTH = b"content-length"


def body_limit(max_body: int) -> Callable[[], Awaitable[None]]:
    """``dependencies=[Depends(body_limit(10 * MEBIBYTE))]``: another limit for the bodies of one route, in bytes; 413
    over it. Raises Misuse."""
    largest = check.whole("max_body", max_body)

    async def limited() -> None:
        return None

    limited.hustlex_body_limit = largest  # type: ignore[attr-defined]
    return limited


class Doorman:
    """``install`` adds it. max_body: bytes; headers: for each answer; legacy: older fields of limits, too.

    One object and three of its methods stand around each request, whatever there is to be done: as three middlewares
    they were a fifth of what a limit adds to a request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int,
        origins: Origins,
        headers: Mapping[str, str],
        legacy: Legacy | None = None,
    ) -> None:
        self.app = app
        self._max_body = max_body
        self._origins = origins
        self.legacy = legacy
        fields = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}
        self._secure = tuple(fields.items())
        self._plain = tuple(each for each in self._secure if each[0] != b"strict-transport-security")
        self.names = frozenset(fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if OUTERMOST in scope or kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope[OUTERMOST] = scope.get("app")
        arrives(scope)
        stranger = bool(self._origins.hosts) and not self._origins.serves(host_of(scope))
        if kind == "websocket":
            await (_hang_up(receive, send) if stranger else self.app(scope, receive, send))
            return
        visit, found = Visit(self, scope, receive, send), dict(scope["headers"])
        as_everybody_reads(scope, found)
        try:
            if stranger:
                await visit.refuse(Problem(400, detail="This host is not served here."))
            elif (length := found.get(_LENGTH, b"0")) != b"0" and _whole(length) > self.largest(scope):
                await visit.refuse(_too_large())
            else:
                await self.app(scope, visit.receiving, visit.sending)
        except BaseException as error:
            if isinstance(error, Exception):
                await visit.failed()
            if not await visit.turned_away():
                raise
        finally:
            visit.over()
            if visit.kept is not None:
                await visit.kept.aclose()

    def largest(self, scope: Scope) -> int:
        """Bytes that this request's body may have: as its route says, else as the application does; a route that
        compares bodies takes what it can compare."""
        place = place_in(scope, self.app)
        own = marked(place, "hustlex_body_limit")
        return min(own) if own else max([self._max_body, *marked(place, "hustlex_reads")])

    def fields(self, scope: Scope | None) -> RawFields:
        """What an answer to this request gets, where it does not say it itself."""
        return self._secure if scope is not None and scope.get("scheme") == "https" else self._plain


class Visit(Exchange):
    """One request: its body is counted while it comes in, its answer gets fields as it goes out. shown: what is to be
    told of limits."""

    _count = 0
    _most = -1
    _refused = _started = _answered = False

    def __init__(self, doorman: Doorman, scope: Scope, receive: Receive, send: Send) -> None:
        self._doorman, self._app, self._receive, self._send = doorman, doorman.app, receive, send
        self._scope, self._least = scope, LARGEST_REQUEST
        self.shown: list[Shown] = scope.setdefault(SHOWN, [])
        scope.setdefault(EXCHANGE, self)

    async def receiving(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            part = message.get("body", b"")
            if part:
                self._counted(len(part))
            self._received(part, more=message.get("more_body", False))
        return message

    def _counted(self, more: int) -> None:
        if self._most < 0 and self._scope is not None:
            self._most = self._doorman.largest(self._scope)
        self._count += more
        if self._count > self._most:
            self._refused = True
            raise _too_large()

    def sending(self, message: Message) -> Awaitable[None]:
        if self._started and not self._answered:
            return self._send(message)
        if self.shown and message["type"] == "http.response.start" and message["status"] // 100 != 3:
            headers = [*message.get("headers", ())]  # which may be gone through only once
            fields = raw_fields(self.shown, self._doorman.legacy)
            if not LIMIT_FIELDS.isdisjoint(dict(headers)):
                ours = dict(fields)
                headers = [each for each in headers if each[0] not in ours]
            message["headers"] = headers + fields
        if self.settle is None and self._start is None:
            return self._out(message)
        return self._sent(message, self._out)

    def _out(self, message: Message) -> Awaitable[None]:
        """What the application sends; its answer to a body that it did not see whole is not sent."""
        if self._refused and not self._started:
            return self.refuse(_too_large())
        if self._answered:
            return _nothing()
        if message["type"] == "http.response.start":
            self._started = True
            return self._with_fields(message)
        return self._send(message)

    def _with_fields(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            headers, fields = [*message.get("headers", ())], self._doorman.fields(self._scope)
            there = dict(headers)
            if not self._doorman.names.isdisjoint(there):
                fields = tuple(field for field in fields if field[0] not in there)
            headers += fields
            message["headers"] = headers
        return self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer in the application's place."""
        self._started = self._answered = True
        assert self._scope is not None
        await answer(self._app, problem.response(), as_it_came(self._scope), self._receive, self._with_fields)

    async def turned_away(self) -> bool:
        """The application raised: whether that was for a body that is too large, and it is told so now."""
        refused = self._refused and not self._started
        if refused:
            await self.refuse(_too_large())
        return refused


async def _hang_up(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008})


async def _nothing() -> None:
    return None


def _too_large() -> Problem:
    return Problem(413, detail="The request is too large.")


def _whole(length: bytes) -> int:
    return int(length) if length.isdigit() and len(length) < 20 else 0
