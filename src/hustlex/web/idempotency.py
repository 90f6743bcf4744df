"""Idempotent routes and webhooks as dependencies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import Response as Answer

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.errors import ConfigurationError, Misuse
from hustlex.idempotency import (
    BeginResult,
    EventResult,
    Finding,
    IdempotencyOptions,
    InvalidKey,
    Orphaned,
    Provider,
    Response,
    Scope,
    Started,
    http_answer,
)
from hustlex.idempotency.http import HEADER
from hustlex.web.callers import ANSWERED, Key, by_strict_user
from hustlex.web.depends import front_for
from hustlex.web.problem import Problem
from hustlex.web.replay import LARGEST_REQUEST, attach, exchange_of, hold
from hustlex.web.routing import template

_KeyHeader = Annotated[str | None, Header(alias=HEADER, description="Names this request; send it again to repeat it.")]
_NO_ID = "The event has no id."
LARGEST_EVENT = 1024 * 1024
"""Bytes of a provider's event, unless its route says otherwise."""

_log = logger("hustlex.web")

Reconcile = Callable[[Request, Orphaned], Awaitable[Response | Finding]]
"""Finds out what a request did whose server died: its answer, ``Finding.NOT_DONE``, or ``Finding.UNKNOWN``."""

EventId = Callable[[bytes], str | int | None]
"""The id of an event, from its body. What it raises of LookupError, TypeError, ValueError and RecursionError, and
what can be no id (see ``check.identity``), means that it has none."""


class Answered(Problem):
    """Ends a dependency with an answer that is there already."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self._response = response

    def response(self) -> Answer:
        """As it is."""
        answer = Answer(self._response.body, self._response.status)
        for name, value in self._response.headers:  # one name may come twice
            answer.headers.append(name, value)
        return answer


def Idempotent(  # noqa: N802 - in a route it reads as what the route is
    *,
    key: Key = by_strict_user,
    endpoint: str = "",
    required: bool = True,
    reconcile: Reconcile | None = None,
    options: IdempotencyOptions | None = None,
    max_body: int = LARGEST_REQUEST,
) -> Callable[..., Awaitable[Started | None]]:
    """``claim: Annotated[Started, Depends(Idempotent())]``: a repeat of a request gets the first one's answer.

    The header ``Idempotency-Key`` names the request. key: a dependency that answers whose it is; default the logged-in
    user, checked strictly, as a kept answer may tell of money. endpoint: default the route's template. required: False
    lets requests without the header through, with None for a claim. reconcile, options: see ``hustlex.idempotency``;
    without ``reconcile`` an orphan stays one. max_body: bytes of a body that can be compared, 64 KiB unless said.

    400 without a good key, 409 while the first is running (Retry-After) or when nobody knows how it ended, 413 for a
    larger body, 422 for another body, path or query, 503 when Redis cannot be asked: nothing is executed then.
    What was done is also the database's to know: keep a unique constraint on the key or on ``claim.fence`` there.
    """

    _fit(key, endpoint, required, reconcile, options, max_body)

    async def claim(request: Request, _: _KeyHeader = None, principal: Any = Depends(key)) -> Started | None:
        given = request.headers.getlist(HEADER)
        if not given and not required:
            return None
        if len(given) != 1:
            raise Answered(http_answer(InvalidKey()))
        scope = Scope(
            check.identity(ANSWERED, principal),
            request.method,
            endpoint or template(request.scope),
            _target(request),
        )
        body = await _body(request, max_body)
        media, front = request.headers.get("content-type", ""), await front_for(request)
        room = front.idempotency
        outcome = await room.begin(given[0], scope, body=body, content_type=media, options=options)
        if isinstance(outcome, Orphaned) and reconcile and (options or room.options).orphans == "reconcile":

            async def find_out(orphan: Orphaned) -> Response | Finding:
                return await reconcile(request, orphan)

            outcome = await room.reconcile(
                outcome, find_out, given[0], scope, body=body, content_type=media, options=options
            )
        started = _started(outcome)
        await attach(request.scope, front, started, options=options)
        return started

    claim.hustlex_reads = max_body  # type: ignore[attr-defined]
    return claim


def _fit(key: object, endpoint: object, required: object, reconcile: object, options: object, max_body: object) -> None:
    """Raises Misuse for what ``Idempotent`` cannot use."""
    if not callable(key):
        raise Misuse("key cannot be called", hint="pass a dependency that answers who it is, as by_ip")
    check.text("endpoint", endpoint, blank=True)
    check.flag("required", required)
    if reconcile is not None:
        check.function("reconcile", reconcile)
    if options is not None:
        check.instance("options", options, IdempotencyOptions)
    check.whole("max_body", max_body, 1)


def verify_webhook(
    provider: Provider, *, event_id: EventId, max_body: int = LARGEST_EVENT
) -> Callable[..., Awaitable[Started]]:
    """``dependencies=[Depends(verify_webhook(paystack, event_id=lambda body: str(msgspec.json.decode(body)["id"])))]``.

    max_body: bytes of an event, 1 MiB unless said; 413 over it. The signature is verified before Redis is touched: 401.
    An event that was handled is answered 200, one that is being handled 409, so that the provider repeats it. An answer
    2xx marks the event as handled; any other, and an exception, leaves it to the provider's next try: commit first,
    answer then, and let the database refuse doubles.
    """

    check.instance("provider", provider, Provider)
    check.function("event_id", event_id)
    check.whole("max_body", max_body, 1)

    async def claim(request: Request) -> Started:
        front = await front_for(request)
        body = await _body(request, max_body)
        if not provider.verify(body, request.headers):
            raise Problem(401, detail="The signature is not right.")
        try:
            event = check.identity("the event's id", event_id(body))
        except (LookupError, TypeError, ValueError, RecursionError, Misuse):
            raise Problem(400, detail=_NO_ID) from None
        outcome = await front.idempotency.begin_event(provider, event)
        if isinstance(outcome, InvalidKey):
            raise Problem(400, detail=_NO_ID)
        started = _started(outcome)

        async def settle(response: Response) -> None:
            await front.idempotency.settle_event(started, handled=200 <= response.status < 300)

        await hold(exchange_of(request.scope), front, started, settle, 0)
        return started

    claim.hustlex_reads = max_body  # type: ignore[attr-defined]
    return claim


def _target(request: Request) -> str:
    # Escaped anew, so that a question mark within the path does not begin the query.
    path, query = quote(request.scope["path"], errors="surrogatepass"), request.scope.get("query_string", b"")
    return f"{path}?{query.decode('latin-1')}" if query else path


async def _body(request: Request, max_body: int) -> bytes:
    exchange = exchange_of(request.scope)
    if exchange.settle is not None:
        raise ConfigurationError("this request holds a claim already", hint="one Idempotent(...) per route")
    if not exchange.read:
        await request.body()
    if exchange.too_large or len(exchange.request) > max_body:
        raise Problem(413, detail="The request is too large to be compared with a repeat.")
    return bytes(exchange.request)


def _started(outcome: BeginResult | EventResult) -> Started:
    """The claim, or the end of the request with what to answer instead."""
    if isinstance(outcome, Started):
        return outcome
    if isinstance(outcome, Orphaned):
        _log.error("an idempotency key is orphaned, point %s: look at what became of it", outcome.point)
    raise Answered(http_answer(outcome))
