"""What can be set on the async driver. The defaults fit an API process; prefer them."""

from __future__ import annotations

import msgspec

from hustlex.core.op import LARGE
from hustlex.drivers.faults import LOOK_S
from hustlex.drivers.patience import AGE_S, FAILOVER_S
from hustlex.drivers.tally import LinkTally


class Options(msgspec.Struct, frozen=True):
    """Times in seconds."""

    connect: float = 2.0
    """One attempt, TCP + TLS + handshake."""
    command: float = 1.0
    """Default deadline of a call, waiting included."""
    failover: float = FAILOVER_S
    """How long after a primary of a cluster or behind Sentinels went away calls wait for the next one, also beyond
    their deadline."""
    stall: float = 3.0
    """No byte for this long while calls are in flight means the link is dead."""
    look: float = LOOK_S
    """How often a connection is asked for a sign of life and for the server's role."""
    drain: float = 5.0
    """How long ``close`` waits for calls in flight."""
    age: float = AGE_S
    """How old a connection becomes, a tenth more or less; then another one is dialled in its place."""
    in_flight: int = 10_000
    """Calls sent and unanswered; more wait."""
    line: int = 100_000
    """Calls that wait to be sent to one server; more are refused with Overloaded."""
    large: int = LARGE
    """Calls of more bytes, and those whose replies are expected to be as large, have a connection of their own to each
    server: on the one that all share they would hold up the others."""
    blocking: int = 64
    """Connections for blocking commands at once."""
    queue: int = 1_000
    """Messages kept per slow subscriber."""
    name: str = "hustlex"
    """The connection's name on the server."""
    tally: LinkTally = msgspec.field(default_factory=LinkTally)
    """Where connections are counted; each driver makes one of its own."""
