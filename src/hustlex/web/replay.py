"""The middleware behind ``Idempotent``: keeps the answer of a request that holds a claim before it is sent.

Plain ASGI: any framework may use it, with ``hx.idempotency.begin`` and ``attach`` in its handlers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.errors import ConfigurationError
from hustlex.idempotency import IdempotencyOptions, Lease, Response, Started
from hustlex.idempotency.http import HEADER
from hustlex.web.places import arrives, marked, place_in

LARGEST_REQUEST = 65_536
"""Bytes of a request's body that are compared; requests with larger ones cannot use a key, unless
their route says more."""

EXCHANGE = "hustlex.idempotency"
"""In a scope: the request's Exchange."""
_KEY_HEADER = HEADER.lower().encode()

Settle = Callable[[Response], Awaitable[object]]
"""What to do with an answer: keep it, or give the claim back. Does not raise."""


class Exchange:
    """One request and its answer, as they pass by. least: bytes of a body that can be compared, unless its route says
    more. kept: leases, while a claim is held.

    An object for each request, so what seldom changes stands in the class.
    """

    kept: AsyncExitStack | None = None
    request = b""
    read = too_large = False
    settle: Settle | None = None
    keeps = 0
    _start: Message | None = None
    _answer = b""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, least: int) -> None:
        self._app, self._receive, self._send, self._least = app, receive, send, least
        self._scope: Scope | None = scope

    async def receiving(self) -> Message:
        """What the application receives by."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received(message.get("body", b""), more=message.get("more_body", False))
        return message

    def _received(self, part: bytes, *, more: bool) -> None:
        """A part of the request's body went by."""
        if part:
            self.too_large = self.too_large or len(self.request) + len(part) > self._comparable()
            self.request = b"" if self.too_large else self.request + part if self.request else part
        self.read = not more

    def _comparable(self) -> int:
        if self._scope is None:
            return 0
        return max([self._least, *marked(place_in(self._scope, self._app), "hustlex_reads")])

    def sending(self, message: Message) -> Awaitable[None]:
        """What the application sends by. Around every answer: what is no coroutine costs none."""
        if self.settle is None and self._start is None:  # nobody's business: no claim is held
            return self._send(message)
        return self._sent(message, self._send)

    async def _sent(self, message: Message, send: Send) -> None:
        """A part of the answer goes by. A small one is held back until it is kept; then nobody can see one that is
        not. Of a streamed or large one only the status is kept, when it starts.
        """
        if self._start is None and (self.settle is None or message["type"] != "http.response.start"):
            await send(message)
        elif self._start is None:
            self._start = {**message, "headers": [*message.get("headers", ())]}  # which may be gone through only once
            if not self._is_small(self._start):
                await self._let_go(send, whole=False)
        elif message["type"] != "http.response.body":
            await self._let_go(send, whole=False)
            await send(message)
        else:
            self._answer += message.get("body", b"")
            if len(self._answer) > self.keeps:
                await self._let_go(send, whole=False, more=message.get("more_body", False))
            elif not message.get("more_body", False):
                await self._let_go(send, whole=True, more=False)

    def _is_small(self, start: Message) -> bool:
        """Streams do not say how long they are; a Starlette answer does, unless it has no body."""
        length = dict(start.get("headers", ())).get(b"content-length")
        if length is None:
            return start["status"] in (204, 205, 304)
        return int(length) <= self.keeps

    async def _let_go(self, send: Send, *, whole: bool, more: bool | None = None) -> None:
        """Settle, then send what was held back. more: None when only the start was."""
        start, answer, settle = self._start, self._answer, self.settle
        assert start is not None
        assert settle is not None
        self._start = self.settle = None
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start.get("headers", ()))
        await settle(Response(start["status"], answer if whole else b"", headers, whole))
        await send(start)
        if more is not None or answer:
            await send({"type": "http.response.body", "body": answer, "more_body": more is not False})

    def over(self) -> None:
        """The request is over: its scope, to which what this holds leads, leads here no more, so both are freed now."""
        scope, self._scope = self._scope, None
        if scope is not None and scope.get(EXCHANGE) is self:
            del scope[EXCHANGE]

    async def failed(self) -> None:
        """The application raised. Whoever stands outside (Starlette: always) answers 500 where nothing was answered. It
        says nothing else, so it can be told now."""
        if self.settle is not None:
            settle, self.settle = self.settle, None
            await settle(_internal_error())


class IdempotencyMiddleware:
    """``app.add_middleware(IdempotencyMiddleware)``; ``hustlex.web.install`` does it. Without a claim it only looks on.

    max_body: see LARGEST_REQUEST.
    """

    def __init__(self, app: ASGIApp, max_body: int = LARGEST_REQUEST) -> None:
        self._app = app
        self._largest = check.whole("max_body", max_body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or EXCHANGE in scope:
            await self._app(scope, receive, send)
            return
        arrives(scope)
        as_everybody_reads(scope, dict(scope["headers"]))
        exchange = scope[EXCHANGE] = Exchange(self._app, scope, receive, send, self._largest)
        try:
            await self._app(scope, exchange.receiving, exchange.sending)
        except Exception:
            await exchange.failed()
            raise
        finally:
            exchange.over()
            if exchange.kept is not None:
                await exchange.kept.aclose()


def as_everybody_reads(scope: Scope, found: Mapping[bytes, bytes]) -> None:
    """An answer that is kept is read by whoever repeats the request, and not all take the same codings: what stands
    inside of us does not compress it. What stands outside may, each time anew. found: the scope's header fields.
    """
    if _KEY_HEADER in found:
        scope["headers"] = [each for each in scope["headers"] if each[0] != b"accept-encoding"]


def _internal_error() -> Response:
    body = b'{"type":"about:blank","title":"Internal Server Error","status":500}'
    return Response(500, body, (("content-type", "application/problem+json"),))


def exchange_of(scope: Scope) -> Exchange:
    """The request's exchange. Raises ConfigurationError when the middleware was forgotten."""
    exchange: Any = scope.get(EXCHANGE)
    if not isinstance(exchange, Exchange):
        raise ConfigurationError("this app has no IdempotencyMiddleware", hint="call hustlex.web.install(app)")
    return exchange


@answering
async def attach(scope: Scope, front: HustleX, started: Started, *, options: IdempotencyOptions | None = None) -> Lease:
    """Tell the middleware that this request holds a claim: its lease is renewed, its answer settled.

    options: as at ``begin``. Raises ConfigurationError when the middleware was forgotten.
    """
    chosen = options or front.idempotency.options

    async def settle(response: Response) -> None:
        await front.idempotency.settle(started, response, options=chosen)

    return await hold(exchange_of(scope), front, started, settle, chosen.max_answer)


async def hold(exchange: Exchange, front: HustleX, started: Started, settle: Settle, keeps: int) -> Lease:
    """Keep the lease until the answer is sent. keeps: bytes of it that are worth holding back."""
    exchange.settle, exchange.keeps, exchange.kept = settle, keeps, AsyncExitStack()
    return await exchange.kept.enter_async_context(front.idempotency.hold(started))
