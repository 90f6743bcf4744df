"""What can be set on the async driver. The defaults fit an API process; prefer them."""

from __future__ import annotations

import msgspec

from hustlex.drivers.faults import LOOK_S


class Options(msgspec.Struct, frozen=True):
    """Times in seconds.

    connect: one attempt, TCP + TLS + handshake. command: default deadline of a call, waiting included.
    stall: no byte for this long while calls are in flight means the link is dead. look: how often a connection is
    asked for a sign of life and for the server's role.
    drain: how long ``close`` waits for calls in flight. in_flight: calls sent and unanswered; more wait.
    blocking: connections for blocking commands at once. queue: messages kept per slow subscriber.
    name: the connection's name on the server.
    """

    connect: float = 2.0
    command: float = 1.0
    stall: float = 3.0
    look: float = LOOK_S
    drain: float = 5.0
    in_flight: int = 10_000
    blocking: int = 64
    queue: int = 1_000
    name: str = "hustlex"
