"""Events for browsers: a router with a WebSocket, a resumable event stream and the client that speaks to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.events import Position, Presence, ReplayChannel, together
from hustlex.events.subscription import Subscription
from hustlex.tokens import Access, ChannelAccess
from hustlex.web.depends import CurrentUser, Front, current_user, front_of, shown_token, unauthorized
from hustlex.web.expose import Authorize, Exposed, Family, Named, job_names
from hustlex.web.problem import Problem, no_store
from hustlex.web.rights import PER_USER, ShownSubscriptions, keep_shown
from hustlex.web.routing import path_prefix
from hustlex.web.socket import EventsSocket, SocketOptions
from hustlex.web.sse import came_from, sse_response

Channels = Callable[[HustleX], Sequence[Family]]
Crowds = Callable[[HustleX], Sequence[Presence]]

_BEAT = timedelta(seconds=25)
_PONG = timedelta(seconds=10)
_SHORT = timedelta(milliseconds=1)
_MOST_CHANNELS = 128
_SUBSCRIPTION = timedelta(minutes=5)
_SECOND = timedelta(seconds=1)
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
    subscription_ttl: timedelta = _SUBSCRIPTION,
) -> APIRouter:
    """WebSocket /events/socket, GET /events/stream?ch=orders:42, POST /events/token?ch=orders:42, /events/client.js.

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
    subscription_ttl: life of the tokens that /events/token gives, 1 second to 1 hour. Such a token (or one of
    ``hx.tokens.issue_subscription``) lets its user hear its channel and read what is kept, without asking ``authorize``
    until it ends; over ``/stream`` it says who asks, too, as a browser's EventSource can show no other.
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
    ttl = check.duration("subscription_ttl", subscription_ttl, _SECOND, timedelta(hours=1))
    routes = _EventRoutes(channels, authorize, presence, jobs, options, ttl)
    router = APIRouter(prefix=path_prefix(prefix), tags=["events"])
    router.add_api_websocket_route("/socket", routes.socket)
    router.add_api_route("/stream", routes.stream, methods=["GET"], response_class=Response)
    router.add_api_route("/token", routes.token, methods=["POST"], dependencies=[Depends(no_store)])
    router.add_api_route("/client.js", client_js, methods=["GET"], include_in_schema=False)
    return router


class SubscriptionOut(BaseModel):
    """token: for this channel alone. expires_in: seconds."""

    token: str
    channel: str
    expires_in: float


class _EventRoutes:
    """The routes. What is exposed is made when the first client comes, since the front is made when the app starts."""

    def __init__(
        self,
        channels: Channels,
        authorize: Authorize,
        presence: Crowds | None,
        jobs: str,
        options: SocketOptions,
        ttl: timedelta,
    ) -> None:
        self._ttl = ttl
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

    async def stream(
        self,
        request: Request,
        front: Front,
        ch: Annotated[list[str], Query(max_length=32)],
        token: Annotated[list[str] | None, Query(max_length=32)] = None,
    ) -> Response:
        """Up to 32 channels as server-sent events; goes on behind ``Last-Event-ID``. token: one for each channel, in
        their order, "" for none."""
        access = await current_user(request) if shown_token(request)[1] else None
        channels = _Asked(front, self._exposed(front), access, resumes=bool(came_from(request)))
        tokens = dict(zip(ch, token or (), strict=False))
        subscriptions = [await channels.subscription(name, tokens.get(name, "")) for name in dict.fromkeys(ch)]
        channels.keep(request)
        subscription = subscriptions[0] if len(subscriptions) == 1 else together(*subscriptions)
        most = self._options.per_user
        return await sse_response(request, subscription, authorize=None, per_user=most, until=channels.until)

    async def token(
        self, front: Front, user: CurrentUser, ch: Annotated[str, Query(max_length=255)]
    ) -> SubscriptionOut:
        """A token with which this user hears this channel for a while."""
        exposed = self._exposed(front)
        named = _found(exposed, ch)
        allow = await exposed.allows(user, named, "subscribe")
        ttl = self._ttl
        if allow is not None and allow.until is not None:
            ttl = min(ttl, allow.until - front.tokens.now())
        if allow is None or ttl < _SECOND:
            raise Problem(403, detail="This channel is not yours.")
        made = await front.tokens.issue_subscription(user, named.name, ttl=ttl)
        return SubscriptionOut(token=made.token, channel=made.channel, expires_in=made.expires_in.total_seconds())


class _Asked:
    """The channels of one request. resumes: it says itself where to go on. until: when the first of them may not be
    heard any more."""

    def __init__(self, front: HustleX, exposed: Exposed, access: Access | None, *, resumes: bool) -> None:
        self._resumes = resumes
        self._front = front
        self._exposed = exposed
        self._access = access
        self._shown: dict[str, str] = {}
        self._by_token: ChannelAccess | None = None
        self.until: datetime | None = None

    async def subscription(self, name: str, token: str) -> Subscription[Any]:
        """Of one of them. Raises Problem."""
        named = _found(self._exposed, name)
        if named.family is None:
            raise Problem(404, detail="There is no such channel.")
        if token:
            return _subscribed(named.family, named, await self._granted(named, token))
        allow = await self._exposed.allows(self._access, named, "subscribe")
        if allow is None:
            raise Problem(403, detail="This channel is not yours.")
        self._end(allow.until)
        return named.family.subscribe(**named.values)

    async def _granted(self, named: Named, token: str) -> str:
        """The position that the token was made with. All tokens are of one user."""
        whose = self._access if self._by_token is None else self._by_token
        user_id = None if whose is None else whose.user_id
        access = await self._exposed.shown(self._front.tokens, user_id, named, token)
        if not isinstance(access, ChannelAccess):
            raise unauthorized("invalid_token")
        self._shown[named.name], self._by_token = token, access
        self._end(access.expires_at)
        return "" if self._resumes else access.since

    def _end(self, until: datetime | None) -> None:
        self.until = min((each for each in (self.until, until) if each is not None), default=None)

    def keep(self, request: Request) -> None:
        """Where nothing else says who asks, the tokens do: whatever ends their session ends the stream."""
        if self._access is None and self._by_token is not None:
            keep_shown(request, ShownSubscriptions(self._front, self._shown, self._by_token))


def _found(exposed: Exposed, name: str) -> Named:
    named = exposed.find(name)
    if named is None:
        raise Problem(404, detail="There is no such channel.")
    return named


def _subscribed(family: Family, named: Named, since: str) -> Subscription[Any]:
    """From behind a position, where there is one and the channel keeps what it tells."""
    if since and isinstance(family, ReplayChannel):
        return family.subscribe(since=Position.parse(since), **named.values)
    return family.subscribe(**named.values)


async def client_js() -> Response:
    """The client for browsers: one ES module."""
    script = resources.files("hustlex.web") / "static" / "events.js"
    return Response(script.read_bytes(), headers=_SCRIPT)
