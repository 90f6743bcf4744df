"""What keeps a connection open: its user's rights, a place among the user's connections, and a server that stays."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from datetime import timedelta
from types import FrameType
from typing import Any

import msgspec
from starlette.requests import HTTPConnection

from hustlex.app import HustleX
from hustlex.core import check
from hustlex.core.streams import StreamKind, open_streams
from hustlex.errors import Error
from hustlex.problems import QUOTA_EXCEEDED
from hustlex.ratelimit import Policy, caller_of
from hustlex.tokens import Access, ChannelAccess, Mode
from hustlex.web.problem import Problem

HEARTBEAT = timedelta(seconds=15)
PER_USER = 20
"""Event streams and sockets that one user may hold open, over all processes."""

_SHOWN = "hustlex.shown"
_POLICY_VIOLATION = 1008
_UNSURE_AT_MOST = 1
_PLACE_LIFE = timedelta(seconds=90)
"""After a crash a place is free again so much later; while it is held, it is renewed three times in this."""


class ShownToken(msgspec.Struct, frozen=True):
    """The good token of a request. jkt: of the key that was proved with it. mode: how it was checked."""

    front: HustleX
    token: str
    jkt: str
    access: Access
    mode: Mode = "bounded"

    def is_of(self, front: HustleX, token: str, mode: Mode) -> bool:
        """Whether this is what such a check found."""
        return self.front is front and self.token == token and self.mode == mode

    async def stands(self) -> bool:
        """Whether it still counts, by a bounded check."""
        return isinstance(await self.front.tokens.check(self.token, mode="bounded", jkt=self.jkt), Access)

    def __repr__(self) -> str:
        return "Shown(...)"


class ShownSubscriptions(msgspec.Struct, frozen=True):
    """The good subscription tokens of a request, by channel, all of one user. access: of one of them."""

    front: HustleX
    tokens: dict[str, str]
    access: ChannelAccess

    async def stands(self) -> bool:
        """Whether all of them still count, by bounded checks."""
        check = self.front.tokens.check_subscription
        answers = [await check(token, channel) for channel, token in self.tokens.items()]
        return all(isinstance(answer, ChannelAccess) for answer in answers)

    def __repr__(self) -> str:
        return "Shown(...)"


def keep_shown(connection: HTTPConnection, shown: ShownToken | ShownSubscriptions) -> None:
    """Remember who asks, for as long as the request lasts."""
    connection.scope[_SHOWN] = shown


class Rights:
    """Of the user whose token a request showed, looked at again while it lasts."""

    def __init__(self, shown: ShownToken | ShownSubscriptions) -> None:
        self._shown = shown
        self._unsure = 0
        self.user_id = shown.access.user_id
        self.front = shown.front

    @property
    def left(self) -> float:
        """Seconds until the token expires."""
        return (self._shown.access.expires_at - self._shown.front.tokens.now()).total_seconds()

    async def hold(self) -> bool:
        """Whether they still stand, by a bounded check. A server that cannot be asked is forgiven once in a row."""
        if self.left <= 0:
            return False
        try:
            stands = await self._shown.stands()
        except Error:
            self._unsure += 1
            return self._unsure <= _UNSURE_AT_MOST
        self._unsure = 0
        return stands


def shown_in(scope: MutableMapping[str, Any]) -> ShownToken | None:
    """None: no token was asked for."""
    shown = scope.get(_SHOWN)
    return shown if isinstance(shown, ShownToken) else None


def rights_of(scope: MutableMapping[str, Any]) -> Rights | None:
    """None: no token was asked for."""
    shown = scope.get(_SHOWN)
    return Rights(shown) if isinstance(shown, ShownToken | ShownSubscriptions) else None


@functools.cache
def _places(most: int) -> Policy:
    return Policy("open-streams", most, _PLACE_LIFE, "leases")


@contextlib.asynccontextmanager
async def stream_place(rights: Rights | None, most: int, kind: StreamKind) -> AsyncIterator[None]:
    """One of the user's places for open connections, over all processes. Raises Problem: 429."""
    if rights is None:
        with open_streams.one(kind):
            yield
        return
    who = caller_of("user", rights.user_id)
    async with rights.front.ratelimit.hold(_places(most), who, endpoint="open-streams") as place:
        if not place.decision:
            raise Problem(429, kind=QUOTA_EXCEEDED, detail="Too many connections are open. Close one of them.")
        with open_streams.one(kind):
            yield


@contextlib.asynccontextmanager
async def while_allowed(
    connection: HTTPConnection, *, heartbeat: timedelta = HEARTBEAT, per_user: int = PER_USER
) -> AsyncIterator[None]:
    """``async with while_allowed(socket): ...``: the block of a WebSocket's route ends when its user's rights do.

    For routes that ask for a user (``CurrentUser``); without one nothing is watched. The token's end, a logout and
    every revocation end the block at the next heartbeat at the latest, and close the socket with 1008. per_user:
    sockets and event streams that one user may hold open, over all processes; one more is answered 429, if the socket
    was not accepted yet. Raises Misuse, Problem.
    """
    check.instance("connection", connection, HTTPConnection, hint="pass the WebSocket of the route")
    pause = check.duration("heartbeat", heartbeat, timedelta(milliseconds=1)).total_seconds()
    most = check.whole("per_user", per_user, 1)
    rights = rights_of(connection.scope)
    async with stream_place(rights, most, "websocket"):
        if rights is None:
            yield
            return
        ended = asyncio.timeout(None)
        try:
            async with ended, _watching(rights, ended, pause):
                yield
        except TimeoutError:
            if not ended.expired():
                raise
            with contextlib.suppress(RuntimeError, OSError):
                await connection.close(code=_POLICY_VIOLATION)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def _watching(rights: Rights, ended: asyncio.Timeout, pause: float) -> AsyncIterator[None]:
    async def watch() -> None:
        """Nobody tells of an end, so it is looked for."""
        while await rights.hold():  # noqa: ASYNC110
            await asyncio.sleep(min(pause, max(0.0, rights.left)))
        ended.reschedule(asyncio.get_running_loop().time())

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


# -- a server that stops

_open: dict[asyncio.Task[Any], asyncio.AbstractEventLoop] = {}
_chained: dict[int, Callable[[int, FrameType | None], Any]] = {}
_SPREAD = 0.9
"""Of the time that a server serves on; the rest is for the last streams to say that they end."""


class _Drain:
    """Of a server that serves on for a while. until: so long, by the steady clock; 0: nobody has said so."""

    until = 0.0

    def end(self, task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> None:
        """In the task's loop: at some moment until then, so that clients come back one after the other."""
        left = self.until - time.monotonic()
        if left > 0:
            loop.call_later(random.uniform(0, _SPREAD * left), task.cancel)
        else:
            task.cancel()


_drain = _Drain()


def end_within(seconds: float) -> None:
    """The streams and sockets of this process end one after the other in this time; so do those that begin in it."""
    _drain.until = time.monotonic() + seconds
    _end_all()


def _end_all() -> None:
    for task, loop in list(_open.items()):
        with contextlib.suppress(RuntimeError):  # a loop that has ended
            loop.call_soon_threadsafe(_drain.end, task, loop)


@contextlib.contextmanager
def ended_by_signals(task: asyncio.Task[Any]) -> Iterator[None]:
    """Cancel this task when SIGTERM or SIGINT asks the process to stop, beside what was to be done on the signal.

    An ASGI server waits for its connections before it tells the application, and an event stream never ends by itself.
    A server that serves on says so by ``end_within``.
    """
    loop = _open[task] = asyncio.get_running_loop()
    if _drain.until:
        _drain.end(task, loop)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if callable(before) and before not in (_stop, signal.default_int_handler):
                _chained[number] = before
                signal.signal(number, _stop)
    try:
        yield
    finally:
        _open.pop(task, None)
        if not _open and threading.current_thread() is threading.main_thread():
            _unchain()


def _stop(number: int, frame: FrameType | None) -> None:
    before = _chained.get(number)
    try:
        if before is not None:
            before(number, frame)
    finally:
        if not _drain.until:
            _end_all()


def _unchain() -> None:
    """Leave handlers as they were found, unless somebody has replaced ours meanwhile."""
    for number, before in list(_chained.items()):
        del _chained[number]
        if signal.getsignal(number) is _stop:
            signal.signal(number, before)
