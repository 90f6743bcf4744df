"""Ports: is one free?"""

from __future__ import annotations

import socket
from contextlib import suppress

from hustlex.errors import ConfigurationError


def free_port(host: str, wanted: int) -> int:
    """This port, or any free one where another program listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise ConfigurationError(f"no port of {host} is free", hint="stop some programs")


def check_free(host: str, port: int) -> None:
    """Raise ConfigurationError when another program listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="stop that program or choose another --port"
            ) from None
