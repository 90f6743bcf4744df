"""The middleware behind ``Idempotent``: keeps the answer of a request that holds a claim before it is sent.

Plain ASGI: any framework may use it, with ``hx.idempotency.begin`` and ``attach`` in its handlers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.errors import ConfigurationError
from hustlex.idempotency import IdempotencyOptions, Lease, Response, Started
from hustlex.idempotency.http import HEADER
from hustlex.web.doorman import arrives, marked, place_in

LARGEST_REQUEST = 65_536
"""Bytes of a request's body that are compared; requests with larger ones cannot use a key, unless
their route says more."""

_SCOPE_KEY = "hustlex.idempotency"
_KEY_HEADER = HEADER.lower().encode()

Settle = Callable[[Response], Awaitable[object]]
"""What to do with an answer: keep it, or give the claim back. Does not raise."""


class Exchange:
    """One request and its answer, as they pass by. kept: leases, while a claim is held."""

    __slots__ = ("_answer", "_largest", "_start", "keeps", "kept", "read", "request", "settle", "too_large")

    def __init__(self, largest: Callable[[], int]) -> None:
        self.kept: AsyncExitStack | None = None
        self.request = b""
        self.read = False
        self.too_large = False
        self.settle: Settle | None = None
        self.keeps = 0
        self._largest = largest
        self._start: Message | None = None
        self._answer = b""

    def received(self, message: Message) -> None:
        """A part of the request's body went by."""
        if message["type"] != "http.request":
            return
        part = message.get("body", b"")
        self.too_large = self.too_large or bool(part and len(self.request) + len(part) > self._largest())
        self.request = b"" if self.too_large else self.request + part if self.request else part
        self.read = not message.get("more_body", False)

    @property
    def looks_on(self) -> bool:
        """Whether no claim is held, so that the answer is nobody's business."""
        return self.settle is None and self._start is None

    async def sent(self, message: Message, send: Send) -> None:
        """A part of the answer goes by. A small one is held back until it is kept; then nobody can see one that is
        not. Of a streamed or large one only the status is kept, when it starts.
        """
        if self._start is None and (self.settle is None or message["type"] != "http.response.start"):
            await send(message)
        elif self._start is None:
            self._start = message
            if not self._is_small(message):
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
        """The request is over: what asked its scope, which leads here, does so no more."""
        self._largest = _nothing

    async def failed(self, response: Response) -> None:
        """The application raised before it answered: this is what the client will be told."""
        if self.settle is not None:
            settle, self.settle = self.settle, None
            await settle(response)


class IdempotencyMiddleware:
    """``app.add_middleware(IdempotencyMiddleware)``; ``hustlex.web.install`` does it. Without a claim it only looks on.

    max_body: see LARGEST_REQUEST.
    """

    def __init__(self, app: ASGIApp, max_body: int = LARGEST_REQUEST) -> None:
        self._app = app
        self._largest = check.whole("max_body", max_body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SCOPE_KEY in scope:
            await self._app(scope, receive, send)
            return
        arrives(scope)
        _as_everybody_reads(scope)
        exchange = scope[_SCOPE_KEY] = Exchange(
            lambda: max([self._largest, *marked(place_in(scope, self._app), "hustlex_reads")])
        )

        async def receiving() -> Message:
            message = await receive()
            exchange.received(message)
            return message

        def sending(message: Message) -> Awaitable[None]:  # around every answer: what is no coroutine costs none
            return send(message) if exchange.looks_on else exchange.sent(message, send)

        try:
            await self._app(scope, receiving, sending)
        except Exception:
            # Whoever stands outside (Starlette: always) answers 500. It says nothing else, so it can be told now.
            await exchange.failed(_internal_error())
            raise
        finally:
            exchange.over()
            if exchange.kept is not None:
                await exchange.kept.aclose()


def _nothing() -> int:
    return 0


def _as_everybody_reads(scope: Scope) -> None:
    """An answer that is kept is read by whoever repeats the request, and not all take the same codings: what stands
    inside of us does not compress it. What stands outside may, each time anew.
    """
    headers = scope["headers"]
    for name, _ in headers:
        if name == _KEY_HEADER:
            scope["headers"] = [each for each in headers if each[0] != b"accept-encoding"]
            return


def _internal_error() -> Response:
    body = b'{"type":"about:blank","title":"Internal Server Error","status":500}'
    return Response(500, body, (("content-type", "application/problem+json"),))


def exchange_of(scope: Scope) -> Exchange:
    """The request's exchange. Raises ConfigurationError when the middleware was forgotten."""
    exchange: Any = scope.get(_SCOPE_KEY)
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
