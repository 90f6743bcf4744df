"""A TCP proxy with faults, on a thread of its own, so async and blocking tests use it alike. Loopback only.

Faults are set at any time and act on traffic from then on::

    with Proxy(server.url) as proxy:
        driver = Driver(proxy.url)
        proxy.lose_reply(containing=b"INCR")    # executed, answer lost, link cut
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from hustlex.core.doors import accept_no_more

_CHUNK = 65536
_MOST_LINKS = 256


class Proxy:
    """delay_seconds: wait before each chunk of replies. trickle: pass on single bytes, both ways.
    black_hole: read everything, pass nothing on, close nothing. refuse: close new connections at once.
    connections: how many were accepted so far.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self.delay_seconds = 0.0
        self.trickle = False
        self.black_hole = False
        self.refuse = False
        self.connections = 0
        self.held, self.let_go = b"", asyncio.Event()
        self._losses: list[_Loss] = []
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._port = 0

    @property
    def url(self) -> str:
        """The server's URL with the proxy's port."""
        account = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{account}@127.0.0.1:{self._port}"))

    @property
    def port(self) -> int:
        """The proxy's TCP port on 127.0.0.1."""
        return self._port

    def lead_to(self, url: str) -> None:
        """From now on new connections reach this server; those that stand stay where they are."""
        self._target = self._target._replace(netloc=urlsplit(url).netloc)

    def cut(self) -> None:
        """Reset every connection now. New ones are accepted."""
        self._do(self._cut_all)

    @contextmanager
    def holding(self, containing: bytes) -> Iterator[None]:
        """Meanwhile a link whose requests contain these bytes passes nothing on."""
        self.held, self.let_go = containing, asyncio.Event()
        try:
            yield
        finally:
            self.held = b""
            self._do(self.let_go.set)

    def lose_reply(self, *, containing: bytes = b"", times: int = 1) -> None:
        """Let the next requests that contain these bytes through, then drop their reply and cut the link."""
        self._losses.append(_Loss(containing, times, reply=True))

    def lose_request(self, *, containing: bytes = b"", times: int = 1) -> None:
        """Cut the link at the next requests that contain these bytes; they never reach the server."""
        self._losses.append(_Loss(containing, times, reply=False))

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK), self._loop
        )
        self._server = listening.result(60)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def _do(self, action: Callable[[], None]) -> None:
        """Run on the proxy's loop and wait for it."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (action(), done.set()))
        assert done.wait(60)

    def _cut_all(self) -> None:
        for link in list(self._links):
            link.cut()

    async def _close(self) -> None:
        await accept_no_more(self._server)
        self._cut_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(3):  # what was aborted is closed a turn later
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse or len(self._links) >= _MOST_LINKS:
            writer.transport.abort()
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target.port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        link = _Link(self, writer, upstream[1])
        self._links.add(link)
        try:
            await asyncio.gather(link.requests(reader, upstream[1]), link.replies(upstream[0], writer))
        except asyncio.CancelledError:
            pass  # asyncio asks what a connection's task raised, and fails over a cancelled one with its socket open
        finally:
            link.cut()
            self._links.discard(link)

    def loss_of(self, chunk: bytes) -> _Loss | None:
        """The first armed loss that this chunk of requests sets off; counts it."""
        for loss in self._losses:
            if loss.times > 0 and loss.containing in chunk:
                loss.times -= 1
                return loss
        return None


class _Loss:
    def __init__(self, containing: bytes, times: int, *, reply: bool) -> None:
        self.containing = containing
        self.times = times
        self.reply = reply


class _Link:
    def __init__(self, proxy: Proxy, *writers: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = writers
        self._drop_next_reply = False

    def cut(self) -> None:
        """Close with a reset, not with a polite end of stream."""
        for writer in self._writers:
            with contextlib.suppress(OSError):
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await _read(reader):
            loss = self._proxy.loss_of(chunk)
            if loss and not loss.reply:
                self.cut()
                return
            self._drop_next_reply = self._drop_next_reply or loss is not None
            if self._proxy.held and self._proxy.held in chunk:
                await self._proxy.let_go.wait()
            await self._pass_on(chunk, writer)
        self.cut()

    async def replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await _read(reader):
            if self._drop_next_reply:
                break
            if self._proxy.delay_seconds:
                await asyncio.sleep(self._proxy.delay_seconds)
            await self._pass_on(chunk, writer)
        self.cut()

    async def _pass_on(self, chunk: bytes, writer: asyncio.StreamWriter) -> None:
        if self._proxy.black_hole:
            return
        pieces = [chunk[i : i + 1] for i in range(len(chunk))] if self._proxy.trickle else [chunk]
        with contextlib.suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if self._proxy.trickle:
                    await asyncio.sleep(0)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""
