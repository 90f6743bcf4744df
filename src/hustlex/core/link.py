"""How a driver reaches its server, without what must stay secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class ServerLink(msgspec.Struct, frozen=True):
    """Of one server, or of any node of a cluster. host, port: "" and 0 where Sentinels say."""

    host: str
    port: int
    path: str
    """Of a unix socket; "" for TCP."""
    database: int
    tls: bool
    verified: bool
    """Whether the server's certificate is looked at; True without TLS."""
    password: bool
    """Whether one is sent."""
    context: Callable[[], Any]
    """Makes the ``ssl.SSLContext`` of a connection; None without TLS."""
    cluster: bool = False
    """Whether the URL names a cluster."""


class LinkFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver counts of its connections, for metrics."""

    open: int
    """Connections that stand."""
    busy: int
    """Of those, or about to be opened: in the hands of one caller, as a command that waits on the server."""
    dialled: int
    """Connections that were opened, since the start."""
    failed: int
    """Connections that could not be."""
    repeated: int
    """Calls that were sent once more after a failure."""
    shedding: bool
    """Whether calls fail at once, since the server has been away for long; one at a time tries it."""
