"""Free ports of loopback for servers that this program starts.

Between the look at a port and the server's bind, or while a server starts again, another program may take it. So ports
come from below those that the kernel gives out to everybody, each once, and every process begins elsewhere.
"""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress
from pathlib import Path

_FIRST = 20_000
_LINUX_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_RANGE = 32_768
_APART = 0.618034  # of the range: by the golden ratio many neighbouring process ids begin far from each other

_taken = itertools.count()


def free_port(wanted: int = 0) -> int:
    """This TCP port of 127.0.0.1, or one that nobody has now. Raises OSError when none is free."""
    if wanted:
        with suppress(OSError):
            return _bound(wanted)
    places = _kernels_first() - _FIRST
    begin = int(os.getpid() * _APART * places) if places > 0 else 0
    for _ in range(places):
        port = _FIRST + (begin + next(_taken)) % places
        with suppress(OSError):
            return _bound(port)
    return _bound(0)


def _bound(port: int) -> int:
    with socket.socket() as probe:
        # What is left of closed connections is no hindrance: servers say so, too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        found: int = probe.getsockname()[1]
        return found


def _kernels_first() -> int:
    """The lowest port that the kernel gives out by itself."""
    try:
        return int(_LINUX_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _USUAL_RANGE
