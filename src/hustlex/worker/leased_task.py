"""One task in a worker's hands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hustlex.jobs.lease.ops import NO_PAST, Past
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.attempt_errors import Canceled

if TYPE_CHECKING:
    from hustlex.worker.queue_state import QueueState


class LeasedTask:
    """From its lease until its outcome is acknowledged.

    - id: as Redis has it. holder: what the task's owner field holds, the fence of every write.
    - lease_until: on the monotonic clock; past it nothing may be written. past: what befell it before.
    - began: monotonic. started_ms, deadline_ms: Unix ms. All are 0 before the start.
    - fate: why the handler was told to stop; told_ms: when, Unix ms.
    - patience_ms: how long its end is waited for then (0 in a thread, which cannot be told; a cancelled one has until
      its deadline); give_up_ms: until when, 0 = not told to stop.
    - settled: its outcome is decided, whatever the handler does from now on.
    - runner: the task that runs it, while it waits for something.
    - result: what it returned, as JSON, or wrote; None = nothing. wrote: which of the two.
    """

    __slots__ = (
        "began",
        "deadline_ms",
        "fate",
        "give_up_ms",
        "holder",
        "id",
        "lease_until",
        "message",
        "past",
        "patience_ms",
        "result",
        "runner",
        "settled",
        "source",
        "started_ms",
        "told_ms",
        "wrote",
    )

    def __init__(
        self,
        source: QueueState,
        task_id: bytes,
        holder: str,
        message: TaskMessage,
        lease_until: float,
        past: Past = NO_PAST,
    ) -> None:
        self.source = source
        self.id = task_id
        self.holder = holder
        self.message = message
        self.lease_until = lease_until
        self.past = past
        self.began = 0.0
        self.started_ms = 0
        self.deadline_ms = 0
        self.fate: Exception | None = None
        self.patience_ms = 0
        self.give_up_ms = 0
        self.told_ms = 0
        self.settled = False
        self.runner: asyncio.Task[None] | None = None
        self.result: bytes | None = None
        self.wrote = False

    def start(self, began: float, now_ms: int, deadline_ms: int, patience_ms: int) -> None:
        """Its handler is called. began: monotonic."""
        self.began = began
        self.started_ms, self.deadline_ms, self.patience_ms = now_ms, deadline_ms, patience_ms

    def allow(self, deadline_ms: int) -> None:
        """Its time ends at another moment."""
        self.deadline_ms = deadline_ms

    def bear(self, patience_ms: int) -> None:
        """Wait so long for its end when it is told to stop."""
        self.patience_ms = patience_ms

    def wait(self, runner: asyncio.Task[None] | None) -> None:
        """Its handler waits for something, in this runner; None = it ended."""
        self.runner = runner

    def keep(self, result: bytes | None, *, wrote: bool = False) -> None:
        """The result so far."""
        self.result, self.wrote = result, wrote

    def renew(self, lease_until: float) -> None:
        """The lease was made longer."""
        self.lease_until = lease_until

    def settle(self) -> None:
        """The outcome is decided."""
        self.settled = True

    def doom(self, fate: Exception) -> None:
        """Let it fail at its start."""
        self.fate = fate

    def stop(self, fate: Exception, now_ms: int) -> None:
        """Cancel the handler, or keep it from starting. The first fate wins."""
        if self.fate is not None or self.settled:
            return
        self.fate, self.told_ms = fate, now_ms
        waits_for_it = not self.patience_ms and isinstance(fate, Canceled)
        self.give_up_ms = self.deadline_ms if waits_for_it else now_ms + self.patience_ms
        if self.runner is not None:
            self.runner.cancel()
