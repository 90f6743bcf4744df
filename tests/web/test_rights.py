"""Open streams and sockets: they end with their user's rights, are few per user, and let a server stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi import FastAPI, Request, WebSocket

from hustlex.app import HustleX
from hustlex.core.streams import open_streams
from hustlex.core.time import FixedClock
from hustlex.errors import Misuse, Unavailable
from hustlex.events import Message
from hustlex.ratelimit import Policy
from hustlex.tokens import Access, TokenPair
from hustlex.web import CurrentUser, sse_response, while_allowed
from hustlex.web.problem import Problem
from hustlex.web.rights import Rights, ShownToken, stream_place
from tests.conftest import SECRET
from tests.web.test_sse import Client, Paid, Source

BEAT = timedelta(milliseconds=20)
PATIENCE = 60


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def streaming(app: FastAPI, source: Source) -> AsyncIterator[FastAPI]:
    """An app with an event stream and a socket for logged-in users; three of them for each."""

    @app.get("/events")
    async def events(request: Request, user: CurrentUser) -> Any:
        return await sse_response(request, source.subscribe(), authorize=None, heartbeat=BEAT, per_user=3)

    @app.websocket("/ws")
    async def ws(socket: WebSocket, user: CurrentUser) -> None:
        async with while_allowed(socket, heartbeat=BEAT, per_user=3):
            await socket.accept()
            while True:
                await socket.receive_text()

    inner = FastAPI()
    inner.add_api_route("/events", events)
    app.mount("/inner", inner)
    async with app.router.lifespan_context(app):
        yield app


async def logged_in(app: FastAPI, user: str = "u1") -> TokenPair:
    pair = await app.state.hustlex.tokens.login(user, client_id="app")
    assert isinstance(pair, TokenPair)
    return pair


def opened(app: FastAPI, pair: TokenPair, path: str = "/events") -> tuple[Client, asyncio.Task[None]]:
    """A browser with this token, and what the app does for it."""
    client = Client()
    headers = [(b"authorization", f"Bearer {pair.access}".encode()), (b"host", b"hustlex.test")]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers, "query_string": b""}
    return client, asyncio.ensure_future(app(scope, client.receive, client.send))


async def live(app: FastAPI, pair: TokenPair, path: str = "/events") -> tuple[Client, asyncio.Task[None]]:
    client, task = opened(app, pair, path)
    await client.until(lambda: client.body.count(b":\n\n") >= 2)
    return client, task


async def ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait_for(task, PATIENCE)


@pytest.mark.parametrize("path", ["/events", "/inner/events"])
@pytest.mark.parametrize("how", ["logout", "revoke_all", "revoke_session", "expiry"])
async def test_a_stream_ends_with_the_rights_of_its_user(
    streaming: FastAPI, source: Source, clock: FixedClock, how: str, path: str
) -> None:
    tokens = streaming.state.hustlex.tokens
    pair, other = await logged_in(streaming), await logged_in(streaming, "u2")
    client, task = await live(streaming, pair, path)
    stays, staying = await live(streaming, other, path)
    if how == "logout":
        await tokens.logout(pair.access)
    elif how == "revoke_all":
        await tokens.revoke_all("u1")
    elif how == "revoke_session":
        await tokens.revoke_session("u1", pair.session_id)
    else:
        clock.advance(max(pair.expires_in, other.expires_in))  # they differ a little, on purpose
    await ended(task)
    assert client.ended, "politely: the browser comes back and is told 401"
    assert source.left >= 1
    if how != "expiry":
        seen = stays.body.count(b":\n\n")
        await stays.until(lambda: stays.body.count(b":\n\n") > seen)
        stays.left.set()
    await ended(staying)


async def test_no_event_is_written_to_who_was_logged_out(streaming: FastAPI, source: Source) -> None:
    pair = await logged_in(streaming)
    client, task = await live(streaming, pair)
    await streaming.state.hustlex.tokens.revoke_all("u1")
    source.items.put_nowait(Message(Paid(5), "c", 1))
    await ended(task)
    assert b"paid" not in client.body


async def test_a_user_holds_so_many_streams_and_sockets(streaming: FastAPI, raw: redis.Redis) -> None:
    pair, other = await logged_in(streaming), await logged_in(streaming, "u2")
    streams = [await live(streaming, pair, path) for path in ("/events", "/inner/events", "/events")]
    assert open_streams.counts == (3, 0)
    refused, task = opened(streaming, pair)
    await ended(task)
    assert refused.start["status"] == 429 and open_streams.counts == (3, 0)
    assert dict(refused.start["headers"])[b"content-type"] == b"application/problem+json"
    streams.append(await live(streaming, other))
    streams[0][0].left.set()
    await ended(streams[0][1])
    streams.append(await live(streaming, pair))
    for client, each in streams[1:]:
        client.left.set()
        await ended(each)
    assert raw.keys("*open-streams*") == [] and open_streams.counts == (0, 0)


async def test_places_are_counted_over_all_processes(streaming: FastAPI, url: str, clock: FixedClock) -> None:
    """Another process is another front; of one that was killed, the places end by themselves."""
    pair = await logged_in(streaming)
    streams = [await live(streaming, pair) for _ in range(2)]
    async with HustleX(url, timeout=timedelta(seconds=5), secret=SECRET, clock=clock) as elsewhere:
        checked = await elsewhere.tokens.check(pair.access, mode="strict")
        assert isinstance(checked, Access)
        there = Rights(ShownToken(elsewhere, pair.access, "", checked))
        places = AsyncExitStack()
        await places.enter_async_context(stream_place(there, 3, "sse"))
        refused, task = opened(streaming, pair)
        await ended(task)
        assert refused.start["status"] == 429
        with pytest.raises(Problem):
            await places.enter_async_context(stream_place(there, 3, "sse"))
        await places.aclose()
    streams.append(await live(streaming, pair))
    for client, each in streams:
        client.left.set()
        await ended(each)
    lost = streaming.state.hustlex.ratelimit
    for _ in range(3):
        assert await lost.check(
            Policy("open-streams", 3, timedelta(seconds=90), "leases"), "u1", endpoint="open-streams"
        )
    clock.advance(timedelta(seconds=91))
    client, each = await live(streaming, await logged_in(streaming))
    client.left.set()
    await ended(each)


async def connected(app: FastAPI, pair: TokenPair) -> tuple[asyncio.Queue[Any], asyncio.Queue[Any], Any]:
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    headers = [(b"authorization", f"Bearer {pair.access}".encode())]
    extensions = {"websocket.http.response": {}}
    scope = {"type": "websocket", "path": "/ws", "headers": headers, "query_string": b"", "extensions": extensions}
    return incoming, sent, asyncio.ensure_future(app({**scope, "subprotocols": []}, incoming.get, sent.put))


async def test_a_socket_ends_with_the_rights_of_its_user(streaming: FastAPI, clock: FixedClock) -> None:
    pair = await logged_in(streaming)
    sockets = [await connected(streaming, pair) for _ in range(3)]
    for _, sent, _ in sockets:
        assert (await asyncio.wait_for(sent.get(), PATIENCE))["type"] == "websocket.accept"
    _, sent, task = await connected(streaming, pair)
    assert (await asyncio.wait_for(sent.get(), PATIENCE))["status"] == 429
    await ended(task)
    incoming, _, left = sockets.pop()
    incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    with pytest.raises(Exception, match=r"1000|disconnect"):
        await ended(left)
    await streaming.state.hustlex.tokens.revoke_all("u1")
    for _, sent, task in sockets:
        closed = await asyncio.wait_for(sent.get(), PATIENCE)
        assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
        await ended(task)


async def test_a_time_out_of_the_block_itself_is_its_own(streaming: FastAPI) -> None:
    @streaming.websocket("/slow")
    async def slow(socket: WebSocket, user: CurrentUser) -> None:
        async with while_allowed(socket):
            raise TimeoutError("of the block")

    pair = await logged_in(streaming)
    scope = {"type": "websocket", "path": "/slow", "query_string": b"", "subprotocols": []}
    headers = [(b"authorization", f"Bearer {pair.access}".encode())]
    with pytest.raises(TimeoutError, match="of the block"):
        await streaming({**scope, "headers": headers}, asyncio.Queue().get, asyncio.Queue().put)


class Away:
    """Tokens whose server cannot be asked."""

    def __init__(self, front: HustleX) -> None:
        self.now = front.tokens.now

    async def check(self, *_: Any, **__: Any) -> Any:
        raise Unavailable("no server")


async def test_a_server_that_is_away_is_forgiven_once(app: FastAPI) -> None:
    async with app.router.lifespan_context(app):
        front = app.state.hustlex
        pair = await logged_in(app)
        access = await front.tokens.check(pair.access)

        class Front:
            tokens = Away(front)

        rights = Rights(ShownToken(Front(), pair.access, "", access))  # type: ignore[arg-type]
        assert [await rights.hold(), await rights.hold()] == [True, False]


@pytest.mark.parametrize("option", [{"per_user": 0}, {"per_user": True}, {"heartbeat": 5}, {"authorize": 5}])
async def test_options_are_named(source: Source, option: dict[str, Any]) -> None:
    request = Request({"type": "http", "headers": []})
    with pytest.raises(Misuse, match=next(iter(option))):
        await sse_response(request, source.subscribe(), **({"authorize": None} | option))
    if "authorize" not in option:
        with pytest.raises(Misuse, match=next(iter(option))):
            async with while_allowed(request, **option):
                pass


# -- a server that stops

APP = """
    import asyncio
    from contextlib import AsyncExitStack, asynccontextmanager
    from starlette.applications import Starlette
    from starlette.routing import Route
    from hustlex.web import sse_response

    class Silence:
        def __aiter__(self):
            return self

        async def __anext__(self):
            await asyncio.Event().wait()

    @asynccontextmanager
    async def silent():
        yield Silence()

    async def events(request):
        return await sse_response(request, silent(), authorize=None)

    app = Starlette(routes=[Route("/events", events)])
"""


@asynccontextmanager
async def plain_uvicorn(into: Path, *options: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], int]]:
    (into / "silent_app.py").write_text(textwrap.dedent(APP))
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "silent_app:app", "--fd", str(found.fileno()), *options]
        process = subprocess.Popen(
            command, cwd=into, pass_fds=[found.fileno()], env={**os.environ, "PYTHONPATH": str(into)}
        )
        try:
            yield process, port
        finally:
            process.kill()
            process.wait()


@pytest.mark.timeout(450)
@pytest.mark.parametrize(("number", "loop"), [(signal.SIGTERM, "asyncio"), (signal.SIGINT, "uvloop")])
async def test_a_plain_uvicorn_stops_although_a_stream_is_open(tmp_path: Path, number: int, loop: str) -> None:
    """Without a grace of its own uvicorn waits for ever; nobody tells it to end its streams."""
    async with plain_uvicorn(tmp_path, "--loop", loop) as (process, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
        async with asyncio.timeout(40):
            await reader.readuntil(b":\n\n")
            process.send_signal(number)
            assert (await reader.read()).endswith(b"0\r\n\r\n"), "the stream ends politely"
            assert await asyncio.to_thread(process.wait, 30) in (0, -number)
        writer.close()
