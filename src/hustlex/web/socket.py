"""A WebSocket of events: one connection, any number of channels, resumable. Its frames are in ``frames``."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from hustlex.app import HustleX
from hustlex.errors import Error, Misuse
from hustlex.events import Position, ReplayChannel, Unknown
from hustlex.events.subscription import ChannelReader
from hustlex.tokens import Access, ChannelAccess
from hustlex.web import frames
from hustlex.web.expose import Action, Exposed, HeardChannel, Named
from hustlex.web.frames import ClientFrame, CommandRefused, Connect, FramePosition, OnChannel, Refresh, SocketClosing
from hustlex.web.problem import Problem
from hustlex.web.rights import Rights, ShownToken, ended_by_signals, stream_place

if TYPE_CHECKING:
    from hustlex.web.job_channels import JobChannels


class SocketOptions(msgspec.Struct, frozen=True):
    """Seconds and numbers of one connection."""

    beat_s: float = 25.0
    pong_s: float = 10.0
    connect_s: float = 15.0
    write_s: float = 10.0
    channels: int = 128
    per_user: int = 20
    commands_per_s: int = 50
    errors: int = 20
    results: bool = False


class EventsSocket:
    """One client. Two tasks beside its reader: one writes what arrives on its channels, one watches over it."""

    def __init__(self, socket: WebSocket, front: HustleX, exposed: Exposed, options: SocketOptions) -> None:
        self._socket = socket
        self._front = front
        self._exposed = exposed
        self._options = options
        self._reader = ChannelReader(exposed.hub)
        self._rights: Rights | None = None
        self._access: Access | None = None
        self._granted: dict[str, HeardChannel] = {}
        self._jobs: JobChannels | None = None
        self._places: dict[str, contextlib.AsyncExitStack] = {}
        self._followed: asyncio.Future[JobChannels] = asyncio.get_running_loop().create_future()
        self._id = secrets.token_urlsafe(12)
        self._sending = asyncio.Lock()
        self._commands: deque[float] = deque()
        self._errors = 0
        self._heard = self._asked = asyncio.get_running_loop().time()

    async def serve(self) -> None:
        """Until the client leaves, or has to."""
        await self._socket.accept()
        try:
            await self._begin()
            async with stream_place(self._rights, self._options.per_user, "websocket"):
                await self._together(self._hear(), self._send_messages(), self._watch(), self._lose())
        except SocketClosing as ending:
            await self._close(ending)
        except Problem:
            await self._close(SocketClosing(*frames.TOO_MANY_CONNECTIONS))
        except (WebSocketDisconnect, OSError, RuntimeError):
            pass
        finally:
            for name in [*self._places]:
                await self._go(name)
            if self._jobs is not None:
                await self._jobs.close()
            await self._reader.close()

    async def _together(self, *parts: Awaitable[None]) -> None:
        """Run them until one ends, and raise why."""
        tasks = [asyncio.ensure_future(part) for part in parts]
        stopper = asyncio.ensure_future(asyncio.Event().wait())
        try:
            with ended_by_signals(stopper):
                await asyncio.wait([*tasks, stopper], return_when=asyncio.FIRST_COMPLETED)
            if stopper.done():
                raise SocketClosing(*frames.SHUTDOWN)
        finally:
            for task in (*tasks, stopper):
                task.cancel()
            await asyncio.wait([*tasks, stopper])
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _close(self, ending: SocketClosing) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(self._options.write_s):
                await self._socket.close(ending.code, ending.reason)

    async def _send(self, frame: Any) -> None:
        """Raises SocketClosing when the client takes nothing."""
        try:
            async with asyncio.timeout(self._options.write_s):
                await self._socket.send_text(msgspec.json.encode(frame).decode())
        except TimeoutError:
            raise SocketClosing(*frames.SLOW) from None

    # -- who it is

    async def _begin(self) -> None:
        """The first frame says who connects."""
        try:
            async with asyncio.timeout(self._options.connect_s):
                first, *rest = frames.read(await self._text()) or [ClientFrame()]
        except TimeoutError:
            raise SocketClosing(*frames.STALE) from None
        if first.connect is None or rest:
            raise SocketClosing(*frames.MALFORMED)
        await self._show(first.connect)
        await self._send({"id": first.id, "connect": {"ping": self._options.beat_s, **self._life()}})

    async def _show(self, shown: Connect) -> None:
        if not shown.token:
            return
        try:
            access = await self._front.tokens.check(shown.token, mode="bounded")
        except Error:
            raise SocketClosing(*frames.INTERNAL) from None
        if not isinstance(access, Access):
            raise SocketClosing(*frames.INVALID_TOKEN)
        if self._access is not None and access.user_id != self._access.user_id:
            raise SocketClosing(*frames.INVALID_TOKEN)
        self._access = access
        self._rights = Rights(ShownToken(self._front, shown.token, "", access))

    def _life(self) -> dict[str, float]:
        return {"expires_in": round(self._rights.left, 3)} if self._rights else {}

    # -- what it says

    async def _text(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        self._heard = asyncio.get_running_loop().time()
        text: str | bytes = message.get("text") or message.get("bytes") or ""
        return text if isinstance(text, str) else text.decode("utf-8", "replace")

    async def _hear(self) -> None:
        while True:
            for frame in frames.read(await self._text()):
                self._count()
                await self._answer(frame)

    def _count(self) -> None:
        self._commands.append(self._heard)
        if len(self._commands) > self._options.commands_per_s and self._heard - self._commands.popleft() < 1.0:
            raise SocketClosing(*frames.TOO_MANY_REQUESTS)

    async def _answer(self, frame: ClientFrame) -> None:
        """Its reply goes out before what its channel brings."""
        for verb, does in self._verbs().items():
            given = getattr(frame, verb)
            if given is not None:
                async with self._sending:
                    await self._send({"id": frame.id, **await self._outcome(verb, does, given)})
                return

    def _verbs(self) -> dict[str, Callable[[Any], Awaitable[dict[str, Any]]]]:
        return {
            "connect": self._connect_again,
            "refresh": self._refresh,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "history": self._history,
            "presence": self._presence,
        }

    async def _outcome(self, verb: str, does: Callable[[Any], Awaitable[dict[str, Any]]], given: Any) -> dict[str, Any]:
        try:
            return {verb: await does(given)}
        except CommandRefused as refusal:
            error = refusal
        except Misuse:
            error = CommandRefused(*frames.BAD_REQUEST)
        except Error:
            return {"error": CommandRefused(*frames.UNAVAILABLE, temporary=True).frame}
        self._errors += 1
        if self._errors > self._options.errors:
            raise SocketClosing(*frames.TOO_MANY_ERRORS)
        return {"error": error.frame}

    async def _connect_again(self, _: Connect) -> dict[str, Any]:
        raise SocketClosing(*frames.MALFORMED)

    async def _refresh(self, shown: Refresh) -> dict[str, Any]:
        if not shown.ch:
            await self._show(shown)
            return self._life()
        granted = self._granted.get(shown.ch)
        if granted is None or not granted.shown:
            raise CommandRefused(*frames.BAD_REQUEST)
        access = await self._by_token(granted.named, shown.token)
        self._granted[shown.ch] = HeardChannel(granted.named, access.expires_at, shown=True)
        return {"ch": shown.ch, **self._left(access)}

    def _left(self, access: ChannelAccess) -> dict[str, float]:
        return {"expires_in": round((access.expires_at - self._front.tokens.now()).total_seconds(), 3)}

    async def _by_token(self, named: Named, token: str) -> ChannelAccess:
        """What a subscription token of this user says, which nobody has to be asked for."""
        user = "" if self._access is None else self._access.user_id
        access = await self._exposed.shown(self._front.tokens, user, named, token)
        if isinstance(access, ChannelAccess):
            return access
        raise CommandRefused(*(frames.SUBSCRIPTION_EXPIRED if access == "expired" else frames.DENIED))

    def _named(self, name: str) -> Named:
        named = self._exposed.find(name)
        if named is None:
            raise CommandRefused(*frames.UNKNOWN_CHANNEL)
        return named

    async def _allowed(self, name: str, action: Action) -> HeardChannel:
        named = self._named(name)
        allow = await self._exposed.allows(self._access, named, action)
        if allow is None:
            raise CommandRefused(*frames.DENIED)
        return HeardChannel(named, allow.until)

    async def _subscribe(self, to: OnChannel) -> dict[str, Any]:
        if not to.token:
            return await self._hear_channel(await self._allowed(to.ch, "subscribe"), to.since)
        named = self._named(to.ch)
        access = await self._by_token(named, to.token)
        since = to.since or frames.position_of(access.since)
        granted = HeardChannel(named, access.expires_at, shown=True)
        return {**await self._hear_channel(granted, since), **self._left(access)}

    async def _hear_channel(self, granted: HeardChannel, since: FramePosition | None) -> dict[str, Any]:
        named = granted.named
        if named.name in self._granted:
            raise CommandRefused(*frames.ALREADY)
        if len(self._granted) >= self._options.channels:
            raise CommandRefused(*frames.LIMIT)
        self._granted[named.name] = granted
        try:
            recovered = await self._join(named, since)
            await self._enter(named.name)
        except BaseException:
            del self._granted[named.name]
            await self._quit(named.name)
            raise
        here = self._reader.positions.get(named.name)
        return {"ch": named.name, "recovered": recovered, **({"e": here.epoch, "o": here.offset} if here else {})}

    async def _join(self, named: Named, since: FramePosition | None) -> bool | None:
        """Whether nothing behind the position is missing; None without one."""
        if named.family is not None:
            position = None if since is None else Position(since.e, since.o)
            return await self._reader.join(named.family.declared, named.name, position)
        if self._jobs is None:
            from hustlex.web.job_channels import JobChannels  # an application without jobs does not pay for them

            self._jobs = JobChannels(self._front, self._push, results=self._options.results)
            self._followed.set_result(self._jobs)
        await self._jobs.join(named.name, named.values, "" if since is None else since.e)
        return None if since is None else True

    async def _push(self, frame: Any) -> None:
        async with self._sending:
            await self._send(frame)

    async def _lose(self) -> None:
        """Ends the connection when a job that it follows cannot be followed any more."""
        await (await self._followed).lost.wait()
        raise SocketClosing(*frames.INTERNAL)

    async def _unsubscribe(self, of: OnChannel) -> dict[str, Any]:
        self._granted.pop(of.ch, None)
        await self._quit(of.ch)
        return {"ch": of.ch}

    async def _quit(self, name: str) -> None:
        await self._go(name)
        if self._jobs is not None:
            await self._jobs.leave(name)
        await self._reader.leave(name)

    async def _publish(self, of: OnChannel) -> dict[str, Any]:
        named = (await self._allowed(of.ch, "publish")).named
        if named.family is None:
            raise CommandRefused(*frames.BAD_REQUEST)
        event = named.family.declared.codec.read(bytes(of.data))
        if isinstance(event, Unknown):
            raise CommandRefused(*frames.BAD_REQUEST)
        if not isinstance(named.family, ReplayChannel):
            await named.family.publish(event, **named.values)
            return {"ch": named.name}
        position = await named.family.publish(event, idem=of.idem, **named.values)
        return {"ch": named.name, "e": position.epoch, "o": position.offset}

    async def _history(self, of: OnChannel) -> dict[str, Any]:
        held = self._granted.get(of.ch)
        named = (held if held is not None and held.shown else await self._allowed(of.ch, "history")).named
        if not isinstance(named.family, ReplayChannel):
            raise CommandRefused(*frames.BAD_REQUEST)
        since = None if of.since is None else Position(of.since.e, of.since.o)
        kept = await named.family.history(limit=of.limit, since=since, **named.values)
        return {"ch": named.name, "msgs": [frames.contents(message) for message in kept]}

    async def _presence(self, of: OnChannel) -> dict[str, Any]:
        await self._allowed(of.ch, "presence")
        crowd = self._exposed.crowd(of.ch)
        if crowd is None:
            raise CommandRefused(*frames.BAD_REQUEST)
        members = await crowd.presence.members(limit=of.limit, **crowd.values)
        count = await crowd.presence.count(**crowd.values)
        return {"ch": of.ch, "members": members, "connections": count.members, "users": count.users}

    async def _enter(self, name: str) -> None:
        """Whoever hears a channel is there."""
        crowd = self._exposed.crowd(name)
        if crowd is None:
            return
        user = "" if self._access is None else self._access.user_id
        place = contextlib.AsyncExitStack()
        await place.enter_async_context(crowd.presence.join(self._id, user=user, **crowd.values))
        self._places[name] = place

    async def _go(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is not None:
            await place.aclose()

    # -- what it is told

    async def _send_messages(self) -> None:
        """What arrives on its channels. The lost link of a channel ends the connection: the client comes back."""
        while True:
            try:
                item = await self._reader.next()
            except (Error, StopAsyncIteration):
                raise SocketClosing(*frames.INTERNAL) from None
            async with self._sending:
                await self._send(frames.pushed(item))

    async def _watch(self) -> None:
        """Ping, and look at rights: the token's, and those that were granted for a time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pause())
            await self._look_at_rights()
            now = loop.time()
            if self._heard < self._asked and now - self._asked >= self._options.pong_s:
                raise SocketClosing(*frames.NO_PONG)
            if now - max(self._asked, self._heard) >= self._options.beat_s:
                self._asked = now
                async with self._sending:
                    await self._send({})

    async def _look_at_rights(self) -> None:
        if self._rights is not None and not await self._rights.hold():
            raise SocketClosing(*(frames.EXPIRED if self._rights.left <= 0 else frames.INVALID_TOKEN))
        for name, granted in list(self._granted.items()):
            if granted.until is not None and granted.until <= self._front.tokens.now():
                await self._over(name, granted)

    def _pause(self) -> float:
        """Until the next look, or the token's end."""
        usual = min(self._options.pong_s, self._options.beat_s)
        return max(0.0, min(usual, self._rights.left)) if self._rights else usual

    async def _over(self, name: str, granted: HeardChannel) -> None:
        """What was allowed for a time is asked again; of a token another one was to be shown."""
        code, message = frames.SUBSCRIPTION_EXPIRED if granted.shown else frames.DENIED
        ask = self._exposed.allows
        allow = None if granted.shown else await ask(self._access, granted.named, "subscribe")
        if self._granted.get(name) is not granted:
            return  # left, or renewed, meanwhile
        if allow is not None:
            self._granted[name] = HeardChannel(granted.named, allow.until)
            return
        del self._granted[name]
        await self._quit(name)
        async with self._sending:
            await self._send({"unsubscribed": {"ch": name, "code": code, "message": message}})
