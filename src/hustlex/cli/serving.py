"""What stands between an ASGI application and the network: time for headers, documentation, trusted proxies."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hustlex.cli.collector import freeze_start
from hustlex.core.health import stopping
from hustlex.errors import ConfigurationError

_TICK_S = 0.1


def heads(seconds: float = 10.0, most: int = 16 * 1024) -> dict[str, Any]:
    """Options of a ``uvicorn.Config`` for what a request may begin with: how long that may take, and how many bytes.

    h11 has a bound of its own, httptools has none.
    """
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    base: Any = AutoHTTPProtocol
    if hasattr(base, "on_headers_complete"):
        base = _bounded(base, most)
    return {"http": _hasty(base, seconds), "h11_max_incomplete_event_size": most}


def _bounded(base: Any, most: int) -> type[Any]:
    """uvicorn's protocol on httptools that takes no more bytes before they make a head, a piece of body or an end.

    So a head, the extensions of a chunk and the fields behind a body are gathered up to that, and not for ever.
    """

    class Bounded(base):  # type: ignore[misc]
        _gathered = 0

        def data_received(self, data: bytes) -> None:
            self._gathered += len(data)
            super().data_received(data)
            if self._gathered > most and not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")

        def on_headers_complete(self) -> None:
            self._gathered = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._gathered = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._gathered = 0
            super().on_message_complete()

    return Bounded


def _hasty(base: Any, seconds: float) -> type[Any]:
    """An HTTP protocol of uvicorn's that closes a connection whose request line and headers are not there in time.

    Without it one client holds thousands of connections with a byte a minute each.
    """

    class Hasty(base):  # type: ignore[misc]
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._deadline = asyncio.get_running_loop().call_later(seconds, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._busy():
                self._forget()
            elif self._deadline is None:
                self._deadline = asyncio.get_running_loop().call_later(seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _busy(self) -> bool:
            """Whether a request is being answered, or the connection became a WebSocket."""
            serving = self.cycle is not None and not self.cycle.response_complete
            return serving or self.transport.get_protocol() is not self

        def _forget(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._deadline = None
            if not self._busy() and not self.transport.is_closing():
                self.transport.close()

    return Hasty


def has_pages(application: Any) -> bool:
    """Whether there is something to see at ``/``."""
    from hustlex.web.routing import every_route

    return any(path == "/" and "GET" in getattr(route, "methods", ()) for path, route in every_route(application))


def frozen(base: Any) -> type[Any]:
    """A server of uvicorn's that freezes what the start of the application has made."""

    class Frozen(base):  # type: ignore[misc]
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            freeze_start()

    return Frozen


def lingering(base: Any, seconds: float, end_within: Callable[[float], None] | None = None) -> type[Any]:
    """A server of uvicorn's that serves on for so long after it was told to stop, or until it is told again.

    Whoever spreads requests hears of the end late. Meanwhile ``/health`` answers 503, and a connection is closed behind
    its next answer: closed while it is idle, it would take a request along that is on its way. end_within: told in how
    many seconds what never ends by itself is to end.
    """

    class Lingering(base):  # type: ignore[misc]
        _asked = 0

        def handle_exit(self, sig: int, frame: Any) -> None:
            self._asked += 1
            if seconds and end_within is not None:
                end_within(seconds if self._asked == 1 else 0.0)
            super().handle_exit(sig, frame)

        async def shutdown(self, sockets: Any = None) -> None:
            stopping.set()
            end = time.monotonic() + seconds
            while self._asked <= 1 and time.monotonic() < end:
                await self.on_tick(0)  # writes the header fields of all answers anew
                self.server_state.default_headers.append((b"connection", b"close"))
                await asyncio.sleep(_TICK_S)
            await super().shutdown(sockets)

    return Lingering


def without_documentation(application: Any) -> None:
    """Take FastAPI's own pages (``/docs``, ``/redoc``, ``/openapi.json``) out of an application and what it mounts."""
    for one in _applications(application):
        routes = one.router.routes
        routes[:] = [route for route in routes if not _documents(route)]


def _documents(route: Any) -> bool:
    """Whether FastAPI made this route by itself: one of the same path that the application defines is another."""
    endpoint = getattr(route, "endpoint", None)
    return getattr(endpoint, "__module__", "") == "fastapi.applications"


def _applications(application: Any) -> Iterator[Any]:
    """The routers inside wrappers and mounts."""
    waiting, seen = [application], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting.append(getattr(one, "app", None))
        if hasattr(one, "router") and isinstance(getattr(one.router, "routes", None), list):
            waiting += one.router.routes
            yield one


def proxies(believe: bool, addresses: Sequence[str] | None) -> list[str]:
    """The addresses whose forwarded headers are believed. Raises ConfigurationError for what is none."""
    if addresses and not believe:
        raise ConfigurationError("--forwarded-allow-ips works with --proxy-headers alone", hint="pass both, or neither")
    found = [one.strip() for given in addresses or ["127.0.0.1"] for one in given.split(",")]
    for one in found:
        if one != "*" and not _network(one):
            raise ConfigurationError(
                f"--forwarded-allow-ips names {one[:60]!r}, which is no address", hint="as 10.0.0.7, 10.0.0.0/8 or *"
            )
    return ["*"] if "*" in found else found


def _network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
