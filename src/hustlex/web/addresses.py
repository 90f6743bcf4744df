"""Whom a request's peer address stands for. Headers are the ASGI server's business; nothing here believes one."""

from __future__ import annotations

from functools import lru_cache

from starlette.requests import HTTPConnection

from hustlex.core.addresses import network

NOWHERE = "0.0.0.0"  # noqa: S104 - nothing listens on it
"""Stands for every address that cannot be read, so that all of them share one cap."""


def client_ip(connection: HTTPConnection) -> str:
    """The peer's address; ``NOWHERE`` for one that cannot be read, and on a unix socket. Behind a proxy, let the ASGI
    server read the forwarded address."""
    host = connection.client.host if connection.client else ""
    return host if _readable(host) else NOWHERE


def shown_ip(connection: HTTPConnection) -> str:
    """The same to be shown to the user: "" instead of ``NOWHERE``."""
    return client_ip(connection).removeprefix(NOWHERE)


@lru_cache(maxsize=4096)  # reading one costs 20 us, and a client asks many times
def address_of(host: str | None) -> str:
    """Who an address is: ``ip:203.0.113.7``, or ``ip:2001:db8:1:2::/64``. ``ip:unreadable``: all that cannot be read;
    ``ip:local``: a peer without an address."""
    if host is None:
        return "ip:local"
    try:
        return f"ip:{network(host)}".removesuffix("/32")
    except ValueError:
        return "ip:unreadable"


def _readable(host: str) -> bool:
    try:
        network(host)
    except ValueError:
        return False
    return True
