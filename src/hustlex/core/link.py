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
