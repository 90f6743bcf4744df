"""Ports: is one free?"""

from __future__ import annotations

import socket

from hustlex.errors import ConfigurationError


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
