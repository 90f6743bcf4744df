"""Flights: the computations under way in this process, one per entry; as tasks in ``aio``, as threads in ``blocking``.

Who may share a result is decided here and proven in ``flows``: a passenger that came on board before the flight's last
``advance`` asked before the result began to exist, so it may have it; a later one only if the flight proves that no
invalidation came between. A sealed flight takes nobody on board.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import msgspec

from hustlex.core.op import Flow, Op

Compute = Callable[[], Any]
"""The caller's function; awaitable for tasks."""


class GaveUp(Exception):
    """A flight in the background that found nothing to do; whoever waits for it starts over."""


class Unshared(Exception):
    """A computation's result is for its own caller alone: no failure, and nothing to store or to share."""


class Landed(msgspec.Struct, frozen=True):
    """A flight's result. value: for the caller that started it. body: for the others to decode. proven: for all."""

    value: Any
    body: bytes
    proven: bool


class Flight(Protocol):
    """What a flow sees of its own flight."""

    def advance(self) -> None:
        """Whoever boards from now on may have asked after what is about to be read or computed."""

    def seal(self) -> None:
        """Take nobody on board any more. Must precede the step that proves the result."""


class Seat(Protocol):
    """One caller's place on a flight. ``find`` and ``board`` raise Circle where waiting would have no end."""

    leading: bool

    def wait(self, patience_s: float) -> Any:
        """The Landed result, or None: start over, also after an error that the leader left behind when it went.

        Raises what the computation raised, Impatient when it is somebody else's and takes longer. Awaitable for tasks.
        """

    def leave(self) -> None:
        """Must be called once. A flight that its last passenger left in the air is cancelled."""


Course = Callable[[Flight], Flow[Landed]]
Tags = tuple[str, ...]


class FlightTable(Protocol):
    """The table."""

    def find(self, entry: str) -> Seat | None:
        """A seat on the flight for this entry, if there is one."""

    def board(self, entry: str, course: Course, tags: Tags = (), *, behind: bool = False) -> Seat:
        """A seat on the flight for this entry, starting it if there is none. behind: one that goes on though everybody
        leaves; whoever starts it is a passenger like others."""

    def launch(self, entry: str, course: Course, tags: Tags = ()) -> None:
        """Start a flight in the background, unless there is one. Whoever boards it and sees it fail starts over."""

    def detach(self, entry: str) -> None:
        """Let the flight for this entry go on for those on board, and nobody else."""

    def detach_tagged(self, tags: Collection[str]) -> None:
        """The same for all that were started with one of these tags."""

    def kept(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
        """The computation with its leases renewed at this interval while it runs."""

    def gate(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        """Wraps computations so that at most this many run at once. Raises Overloaded when none ends in time."""

    def around(self, entry: str, compute: Compute) -> Compute:
        """The computation, marked as one for an entry that is being computed further out; see ``circles.around``."""
