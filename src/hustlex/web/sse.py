"""Server-sent events: one subscription to one browser, with heartbeats, visible gaps and an end.

Over HTTP/1.1 a browser opens at most 6 connections per host, event streams included: serve HTTP/2 in front.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.errors import Error
from hustlex.events import Gap, Message, Subscription, Together, Unknown
from hustlex.web.depends import front_of
from hustlex.web.reusable_timeout import ReusableTimeout
from hustlex.web.rights import HEARTBEAT, PER_USER, Rights, ended_by_signals, rights_of, stream_place
from hustlex.web.routing import OUTERMOST


class Framed(msgspec.Struct, frozen=True):
    """An event that is text already. id: what a browser that comes back sends as ``Last-Event-ID``; "" none."""

    id: str
    event: str
    data: str


Item = Message[Any] | Gap | Framed
Authorize = Callable[[Request], Awaitable[bool]]
Left = Callable[[], float]
"""Seconds for which a stream may go on."""

LIFETIME = timedelta(minutes=45)
WRITE_TIMEOUT = timedelta(seconds=10)

_LINE_END = re.compile(r"\r\n|\r|\n")
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_COMMENT = b":\n\n"
_LONGEST_PLACE = 16_384
_KEPT_CHUNKS = 256


@answering
async def sse_response(
    request: Request,
    subscription: AbstractAsyncContextManager[AsyncIterator[Item]],
    *,
    authorize: Authorize | None,
    heartbeat: timedelta = HEARTBEAT,
    lifetime: timedelta = LIFETIME,
    write_timeout: timedelta = WRITE_TIMEOUT,
    per_user: int = PER_USER,
    until: datetime | None = None,
) -> Response:
    """Answer with a stream: ``return await sse_response(request, orders.subscribe(order_id=42), authorize=None)``.

    subscription: entered when the answer starts, left when it ends, however it ends. When it cannot be entered, its
    error is raised before a header is sent.
    authorize: may this request listen? False answers 204, which stops a browser from trying again. None says that the
    route has decided already.
    heartbeat: a comment after this much silence. lifetime: a clean end after this long, give or take 20 %, so that
    rights are checked again; the browser reconnects by itself. write_timeout: a client that takes nothing for this
    long is cut off. per_user: streams and sockets that one user may hold open, over all processes; one more gets 429.
    until: what was allowed for a time ends then; a browser comes back, and is judged anew.

    A subscription of channels with history is resumed: each event has its position for an id, which a browser that
    comes back sends as ``Last-Event-ID`` (or as ``last_event_id`` in the query).

    Where the route asks for a user (``CurrentUser``), the stream ends with the token, and before each event and comment
    it looks whether that was revoked, by a bounded check. A server that stops (SIGTERM, SIGINT) ends it, too.
    Raises Misuse.
    """
    check.instance("request", request, Request)
    check.instance("subscription", subscription, AbstractAsyncContextManager, hint="pass channel.subscribe(...)")
    if authorize is not None:
        check.function("authorize", authorize)
    most = check.whole("per_user", per_user, 1)
    left = _left(request, check.moment("until", until)) if until is not None else _for_ever
    if authorize is not None and not await authorize(request):
        return Response(status_code=204)
    if isinstance(subscription, Subscription | Together) and (place := came_from(request)):
        subscription.resume(place)
    return EventStream(
        subscription,
        _seconds("heartbeat", heartbeat),
        _seconds("lifetime", lifetime) * random.uniform(0.8, 1.2),
        _seconds("write_timeout", write_timeout),
        rights_of(request.scope),
        most,
        left,
    )


def _left(request: Request, until: datetime) -> Left:
    tokens = front_of(request.scope).tokens

    def left() -> float:
        return (until - tokens.now()).total_seconds()

    return left


def _for_ever() -> float:
    return math.inf


def came_from(request: Request) -> str:
    """The place that a browser was at, "" for a new one. What is no place of ours counts as one of nothing."""
    query = request.query_params.get("last_event_id") if request.scope.get("query_string") else None
    place = request.headers.get("last-event-id") or query or ""
    return place if place.isascii() and place.isprintable() and len(place) <= _LONGEST_PLACE else "-"


def _seconds(name: str, value: timedelta) -> float:
    return check.duration(name, value, timedelta(milliseconds=1)).total_seconds()


def end_streams(app: Any) -> None:
    """End every open stream of this app politely; browsers come back by themselves. Call it when the server stops:
    an ASGI server waits for its connections before it tells the app, and an event stream never ends by itself.
    """
    check.instance("app", app, Starlette)
    for writer in list(_streams(app)):
        writer.cancel()


def _streams(app: Any) -> set[asyncio.Task[bool]]:
    """The writers of an app's open streams; without an app there is nobody to end them."""
    if app is None:
        return set()
    if not hasattr(app.state, "hustlex_streams"):
        app.state.hustlex_streams = set()
    streams: set[asyncio.Task[bool]] = app.state.hustlex_streams
    return streams


class EventStream(Response):
    """The answer that ``sse_response`` builds. Times in seconds."""

    def __init__(
        self,
        subscription: AbstractAsyncContextManager[AsyncIterator[Item]],
        heartbeat: float,
        lifetime: float,
        write_timeout: float,
        rights: Rights | None = None,
        per_user: int = PER_USER,
        left: Left = _for_ever,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._subscription = subscription
        self._heartbeat = heartbeat
        self._lifetime = lifetime
        self._write_timeout = write_timeout
        self._rights = rights
        self._per_user = per_user
        self._left = left if rights is None else lambda: min(left(), rights.left)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the client leaves, the subscription ends or the lifetime is over."""
        lifetime = min(self._lifetime, max(0.0, self._left()))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(stream_place(self._rights, self._per_user, "sse"))
            items = await stack.enter_async_context(self._subscription)
            writer = asyncio.create_task(self._write(items, send))
            departure = asyncio.create_task(_departure(receive))
            stack.enter_context(ended_by_signals(writer))
            streams = _streams(scope.get(OUTERMOST) or scope.get("app"))
            streams.add(writer)
            try:
                await asyncio.wait({writer, departure}, timeout=lifetime, return_when=asyncio.FIRST_COMPLETED)
                gone = departure.done()
            finally:
                streams.discard(writer)
                writer.cancel()
                departure.cancel()
                await asyncio.wait({writer, departure})
        polite = writer.cancelled() or writer.result()
        if polite and not gone:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._write_timeout):
                    await send(_body(b"", more=False))
        if self.background is not None:
            await self.background()

    async def _write(self, items: AsyncIterator[Item], send: Send) -> bool:
        """Write events and heartbeats. True: the stream may be ended politely; False: the client takes nothing."""
        timeout = ReusableTimeout()
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            place = getattr(items, "place", "")
            here = b"id: %s\n" % place.encode() if place else b""
            with timeout(self._write_timeout):
                await send(_body(b"retry: %d\n" % random.randint(2_000, 4_000) + here + _COMMENT))
            while chunk := await self._next(items, timeout):
                if self._left() <= 0 or (self._rights is not None and not await self._rights.hold()):
                    break
                with timeout(self._write_timeout):
                    await send(_body(chunk))
        except (OSError, TimeoutError):
            return False
        finally:
            timeout.close()
        return True

    async def _next(self, items: AsyncIterator[Item], timeout: ReusableTimeout) -> bytes:
        """The next event, a comment after silence, or nothing at the end."""
        try:
            with timeout(self._heartbeat):
                return _chunk(await anext(items), items)
        except TimeoutError:
            return _COMMENT
        except (StopAsyncIteration, Error):
            return b""


def _body(chunk: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


_chunks: dict[int, tuple[Item, bytes]] = {}


def _chunk(item: Item, items: AsyncIterator[Item]) -> bytes:
    """An item as bytes, written once for all streams of one channel, which are given the same object."""
    if isinstance(items, Together):
        return render(item, items.place)
    held = _chunks.get(id(item))
    if held is not None and held[0] is item:
        return held[1]
    chunk = render(item)
    while len(_chunks) >= _KEPT_CHUNKS:
        del _chunks[next(iter(_chunks))]
    _chunks[id(item)] = (item, chunk)
    return chunk


def render(item: Item, place: str | None = None) -> bytes:
    """One item as an event, named after the tag of its type (no name without one). place: its id, if not its own.

    A gap is ``event: gap``. What this process could not read is ``event: unknown`` with ``null``: nothing has checked
    its content, so it is not passed on.
    """
    if isinstance(item, Framed):
        return frame(item.data, item.event, item.id)
    here = str(item.position or "") if place is None else place
    if isinstance(item, Gap):
        gap = {"reason": item.reason, "recovered": False, "position": str(item.position) if item.position else None}
        return frame(msgspec.json.encode(gap).decode(), "gap", here)
    if isinstance(item.data, Unknown):
        return frame("null", "unknown", here)
    tag = item.data.__struct_config__.tag if isinstance(item.data, msgspec.Struct) else None
    return frame(msgspec.json.encode(item.data).decode(), "" if tag is None else str(tag), here)


def frame(data: str, event: str = "", position: str = "") -> bytes:
    """One event as the HTML standard frames it: a ``data:`` line for each line of text, however it ends."""
    lines = [f"event: {_LINE_END.sub(' ', event)}"] if event else []
    lines += [f"id: {position}"] if position else []
    lines += [f"data: {line}" for line in _LINE_END.split(data)]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
