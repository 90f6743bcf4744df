"""Events for browsers: a router with a WebSocket, a resumable event stream and the client that speaks to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.events import Presence, together
from hustlex.tokens import Access
from hustlex.web.depends import Front, current_user, front_of, shown_token
from hustlex.web.expose import Allow, Authorize, Exposed, Family, job_names
from hustlex.web.problem import Problem
from hustlex.web.rights import PER_USER
from hustlex.web.routing import path_prefix
from hustlex.web.socket import EventsSocket, SocketOptions
from hustlex.web.sse import sse_response

Channels = Callable[[HustleX], Sequence[Family]]
Crowds = Callable[[HustleX], Sequence[Presence]]

_BEAT = timedelta(seconds=25)
_PONG = timedelta(seconds=10)
_SHORT = timedelta(milliseconds=1)
_MOST_CHANNELS = 128
_SCRIPT = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache"}


def events_router(
    channels: Channels,
    *,
    authorize: Authorize,
    presence: Crowds | None = None,
    jobs: str = "",
    results: bool = False,
    prefix: str = "/events",
    heartbeat: timedelta = _BEAT,
    pong: timedelta = _PONG,
    per_user: int = PER_USER,
    per_connection: int = _MOST_CHANNELS,
) -> APIRouter:
    """WebSocket /events/socket, GET /events/stream?ch=orders:42, GET /events/client.js.

    channels: ``lambda hx: [hx.events.channel(...), ...]``, those that clients may name; others are unknown to them.
    authorize: asked for each, ``async def may(access, channel, values, action)``, answers ``Allow()``, ``Allow(until)``
    or ``Deny()``; access is None where nobody is logged in, values are those in the channel's name, action is
    "subscribe", "publish", "history" or "presence". A channel whose name ends in ``#<user>`` is that user's alone.
    presence: ``lambda hx: [hx.events.presence("rooms:{room}")]``: of channels with such names it is known which sockets
    hear them, and whose they are. jobs: as "jobs:{task_id}" or "jobs:{queue}:{task_id}": what a job tells is a channel
    of that name, over sockets; results: also what its handler returns.
    heartbeat, pong: a ping after this much silence, and how long its answer may take. The token is looked at as often
    as a pong may take, and what was allowed until some time is asked again then; a stream ends, and comes back.
    per_user, per_connection: sockets and streams of one user over all processes, and channels of one socket.
    Raises Misuse.
    """
    check.function("channels", channels)
    check.function("authorize", authorize)
    if presence is not None:
        check.function("presence", presence)
    if check.text("jobs", jobs, blank=True):
        job_names(jobs)
    options = SocketOptions(
        beat_s=check.duration("heartbeat", heartbeat, _SHORT).total_seconds(),
        pong_s=check.duration("pong", pong, _SHORT).total_seconds(),
        per_user=check.whole("per_user", per_user, 1),
        channels=check.whole("per_connection", per_connection, 1),
        results=check.flag("results", results),
    )
    routes = _EventRoutes(channels, authorize, presence, jobs, options)
    router = APIRouter(prefix=path_prefix(prefix), tags=["events"])
    router.add_api_websocket_route("/socket", routes.socket)
    router.add_api_route("/stream", routes.stream, methods=["GET"], response_class=Response)
    router.add_api_route("/client.js", client_js, methods=["GET"], include_in_schema=False)
    return router


class _EventRoutes:
    """The routes. What is exposed is made when the first client comes, since the front is made when the app starts."""

    def __init__(
        self, channels: Channels, authorize: Authorize, presence: Crowds | None, jobs: str, options: SocketOptions
    ) -> None:
        self._jobs = jobs
        self._channels = channels
        self._presence = presence
        self._authorize = authorize
        self._options = options
        self._made: tuple[HustleX, Exposed] | None = None

    def _exposed(self, front: HustleX) -> Exposed:
        if self._made is None or self._made[0] is not front:
            crowds = self._presence(front) if self._presence is not None else ()
            self._made = front, Exposed(self._channels(front), self._authorize, crowds, self._jobs)
        return self._made[1]

    async def socket(self, socket: WebSocket) -> None:
        """One connection for any number of channels."""
        front = front_of(socket.scope)
        await EventsSocket(socket, front, self._exposed(front), self._options).serve()

    async def stream(self, request: Request, front: Front, ch: Annotated[list[str], Query(max_length=32)]) -> Response:
        """Up to 32 channels as server-sent events; goes on behind ``Last-Event-ID``."""
        access = await _who(request)
        exposed = self._exposed(front)
        granted = [await _allowed(exposed, access, name) for name in dict.fromkeys(ch)]
        until = min((allow.until for *_, allow in granted if allow.until is not None), default=None)
        subscriptions = [family.subscribe(**values) for family, values, _ in granted]
        subscription = subscriptions[0] if len(subscriptions) == 1 else together(*subscriptions)
        most = self._options.per_user
        return await sse_response(request, subscription, authorize=None, per_user=most, until=until)


async def _who(request: Request) -> Access | None:
    return await current_user(request) if shown_token(request)[1] else None


async def _allowed(exposed: Exposed, access: Access | None, name: str) -> tuple[Family, dict[str, Any], Allow]:
    named = exposed.find(name)
    if named is None or named.family is None:
        raise Problem(404, detail="There is no such channel.")
    allow = await exposed.allows(access, named, "subscribe")
    if allow is None:
        raise Problem(403, detail="This channel is not yours.")
    return named.family, named.values, allow


async def client_js() -> Response:
    """The client for browsers: one ES module."""
    script = resources.files("hustlex.web") / "static" / "events.js"
    return Response(script.read_bytes(), headers=_SCRIPT)
