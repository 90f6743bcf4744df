"""What one thing costs a server."""

from __future__ import annotations

import msgspec

TOLERANCE = 0.25
"""By how much the bytes of a thing may differ on another server, of another number of things: tables grow in steps."""
CPU_TOLERANCE = 8.0
"""How many times longer or shorter the work may take on another machine, or one that is busy."""


class Cost(msgspec.Struct, frozen=True):
    """Of one thing made, or one call."""

    bytes: int
    """Memory that it keeps, tables and allocator included."""
    cpu_us: float
    """Time of the server's one thread that runs commands."""
    calls: float
    """Round trips."""
    network: int
    """Bytes that the server reads and writes."""
    disk: int
    """Bytes in the append-only file."""
