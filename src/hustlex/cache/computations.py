"""The computations under way in this process, one per entry; as tasks in ``aio``, in threads in ``blocking``.

Who may share a result is decided here and proven in ``obtain``: a caller that joined before the computation's last
``advance`` asked before the result began to exist, so it may have it; a later one only if the computation proves that
no invalidation came between. A closed computation cannot be joined.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import msgspec

from hustlex.cache.shared_reads import SharedReads
from hustlex.core.op import Flow, Op

Compute = Callable[[], Any]
"""The caller's function; awaitable for tasks."""


class GaveUp(Exception):
    """A computation in the background that found nothing to do; whoever waits for it starts over."""


class Unshared(Exception):
    """A computation's result is for its own caller alone: no failure, and nothing to store or to share."""


class SharedResult(msgspec.Struct, frozen=True):
    """What was computed. value: for the caller that started it. body: to decode, for others. proven: for any."""

    value: Any
    body: bytes
    proven: bool


class Computation(Protocol):
    """What a flow sees of its own computation."""

    def advance(self) -> None:
        """Whoever joins from now on may have asked after what is about to be read or computed."""

    def close(self) -> None:
        """Let nobody join any more. Must precede the step that proves the result."""


class Participant(Protocol):
    """One caller's part in a computation. ``join`` and ``join_or_start`` raise Circle where waiting would never end."""

    leading: bool

    def wait(self, patience_s: float) -> Any:
        """The SharedResult, or None: start over, also after an error that the leader left behind when it went.

        Raises what the computation raised, Impatient when it is somebody else's and takes longer. Awaitable for tasks.
        """

    def leave(self) -> None:
        """Must be called once. A computation that its last caller leaves before its end is cancelled."""


MakeFlow = Callable[[Computation], Flow[SharedResult]]
Tags = tuple[str, ...]


class ComputationTable(Protocol):
    """The table. reads: of stamps, which tasks share; None: threads read their own."""

    reads: SharedReads | None

    def under_way(self, entry: str) -> bool:
        """Whether there may be a computation for this entry."""

    def join(self, entry: str) -> Participant | None:
        """A part in the computation for this entry, if there is one."""

    def join_or_start(
        self, entry: str, make_flow: MakeFlow, tags: Tags = (), *, background: bool = False
    ) -> Participant:
        """A part in the computation for this entry, starting it if there is none. background: one that goes on though
        everybody leaves; whoever starts it does not lead it."""

    def start_in_background(self, entry: str, make_flow: MakeFlow, tags: Tags = ()) -> None:
        """Start a computation in the background, unless there is one. Whoever joins it and sees it fail starts over."""

    def detach(self, entry: str) -> None:
        """Let the computation for this entry go on for those who joined, and nobody else."""

    def detach_tagged(self, tags: Collection[str]) -> None:
        """The same for all that were started with one of these tags."""

    def renewing(self, compute: Compute, renews: Sequence[Op[bool]], every_s: float) -> Compute:
        """The computation with its leases renewed at this interval while it runs."""

    def bulkhead(self, places: int, patience_s: float) -> Callable[[Compute], Compute]:
        """Wraps computations so that at most this many run at once. Raises Overloaded when none ends in time."""

    def around(self, entry: str, compute: Compute) -> Compute:
        """The computation, marked as one for an entry that is being computed further out; see ``circles.around``."""
