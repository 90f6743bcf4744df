"""A queue as one worker sees it, and the tasks that it holds of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import random

import msgspec

from hustlex.core.logs import logger
from hustlex.core.op import Arg, Op
from hustlex.core.telemetry import AttemptEnd, AttemptEnded
from hustlex.jobs.keys import QueueKeys, queue_keys
from hustlex.jobs.lease.limited import WHEN_ONE_ENDS
from hustlex.jobs.lease.limits import Limits
from hustlex.jobs.lease.ops import NO_PAST, Past
from hustlex.jobs.wire import TaskMessage
from hustlex.worker.attempt_errors import Canceled
from hustlex.worker.clock import monotonic
from hustlex.worker.service import backoff

_log = logger("hustlex.worker")

MOST_BYTES = 32 * 1024 * 1024
"""Of outcomes that are told in one pass: one that takes too long is cut off and begun anew, without end."""
_SLOWEST_S = 5.0
_FULL_S = 0.25
"""A queue that is full is looked at this often: its tasks may end elsewhere."""

Finish = Callable[[QueueKeys, str, Sequence[Arg], int], Op[bytes]]
"""A kind of ``finish``, or ``limit.defer`` or ``limit.put_off``."""


class LeasedTask(msgspec.Struct, eq=False):
    """From its lease until its outcome is acknowledged."""

    queue: QueueState
    id: bytes
    """As Redis has it."""
    holder: str
    """What the task's owner field holds, the fence of every write."""
    message: TaskMessage
    lease_until: float
    """On the monotonic clock; past it nothing may be written."""
    past: Past = NO_PAST
    """What befell it before."""
    began: float = 0.0
    """Monotonic; 0 before the start, as the two that follow."""
    started_ms: int = 0
    """Unix ms."""
    deadline_ms: int = 0
    """Unix ms."""
    fate: Exception | None = None
    """Why the handler was told to stop."""
    told_ms: int = 0
    """When it was, Unix ms."""
    patience_ms: int = 0
    """How long its end is waited for then: 0 in a thread, which cannot be told; a cancelled one has until its
    deadline."""
    give_up_ms: int = 0
    """Until when that is; 0 = not told to stop."""
    settled: bool = False
    """Its outcome is decided, whatever the handler does from now on."""
    runner: asyncio.Task[None] | None = None
    """The task that runs it, while it waits for something."""
    result: bytes | None = None
    """What it returned, as JSON, or wrote; None = nothing."""
    wrote: bool = False
    """Which of the two."""
    telling: AttemptEnded | None = None
    """Who is to hear of its end."""

    def start(self, began: float, now_ms: int, deadline_ms: int, patience_ms: int) -> None:
        """Its handler is called. began: monotonic."""
        self.began = began
        self.started_ms, self.deadline_ms, self.patience_ms = now_ms, deadline_ms, patience_ms

    def tell(self, ended: AttemptEnded | None) -> None:
        """Who is told when this attempt is over; None = nobody."""
        self.telling = ended

    def over(self, outcome: str, error: Exception | None = None) -> None:
        """The attempt is over."""
        if self.telling is not None:
            ended, self.telling = self.telling, None
            ended(AttemptEnd(monotonic() - self.began, outcome, type(error).__name__ if error is not None else ""))

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


class Ack(msgspec.Struct, frozen=True):
    """A decided outcome that Redis must still hear of. row: what its script wants for this task."""

    job: LeasedTask
    finish: Finish
    row: tuple[Arg, ...]

    @property
    def size(self) -> int:
        """Bytes of its texts, nearly all of a large one."""
        return sum(len(field) for field in self.row if isinstance(field, bytes))


class QueueState:
    """One queue: what it is worth, whether it may have tasks, what is held of it and what is to be acknowledged."""

    def __init__(self, name: str, weight: int, *, reserved: int = 0, limits: Limits | None = None) -> None:
        self.name = name
        self.keys = queue_keys(name)
        self.weight = weight
        """1 or more."""
        self.reserved = reserved
        """Slots that no other queue may use."""
        self.limits = limits
        """Of the whole queue."""
        self.awake = True
        """Whether it may have pending tasks; while it sleeps, a waiter watches for the first."""
        self.paused = False
        """At the last look."""
        self.held: dict[bytes, LeasedTask] = {}
        """Tasks by id, until their outcome is acknowledged."""
        self.done: list[LeasedTask] = []
        """Outcomes to acknowledge: succeeded and not kept."""
        self.acks: list[Ack] = []
        """All other outcomes."""
        self.poison: list[tuple[bytes, str]] = []
        """Id and holder of messages that cannot be decoded."""
        self.adopt = False
        """Whether the reply of a call that leases was lost: look for its tasks."""
        self.adopting: set[bytes] | None = None
        """While looking: ids that were let go meanwhile."""
        self.leasing = 0
        """Calls in flight that lease."""
        self.asked = 0
        """Tasks that they want."""
        self.rest_s = 0.0
        """After falling asleep, how long its limits or a refusal forbid to lease more, 0 = not."""
        self.full = False
        """Whether that ends when one of its tasks does."""
        self.trouble = ""
        """Why the server refuses to lease from it, "" = it does not."""
        self.followed: set[bytes] = set()
        """Ids of tasks with a stream that somebody may follow."""
        self._refusals = 0
        self._lively: dict[QueueState, None] = {}

    @property
    def most(self) -> int:
        """Tasks that this worker may run at once, 0 = as many as it has slots."""
        return self.limits.max_per_worker if self.limits else 0

    def join(self, lively: dict[QueueState, None]) -> None:
        """Stand among these whenever something of it is to be sent: of a thousand queues nearly all are asleep."""
        self._lively = lively
        self.stir()

    def stir(self) -> None:
        """Something of it is to be sent."""
        self._lively[self] = None

    @property
    def quiet(self) -> bool:
        """Whether nothing of it is to be sent until it is stirred."""
        busy = self.awake or self.held or self.acks or self.poison or self.done or self.leasing
        return not (busy or self.adopt or self.adopting is not None)

    def wake(self) -> None:
        """It may have tasks."""
        self.awake = True
        self.stir()

    def take_done(self, most: int) -> list[LeasedTask]:
        """Successes to acknowledge, out of here."""
        taken, self.done = self.done[:most], self.done[most:]
        return taken

    def take_acks(self) -> list[Ack]:
        """All other outcomes, out of here: as many as one pass can carry, and the rest at the next."""
        left = MOST_BYTES
        for count, ack in enumerate(self.acks):
            left -= ack.size
            if left < 0 and count:
                break
        else:
            count = len(self.acks)
        taken, self.acks = self.acks[:count], self.acks[count:]
        return taken

    def take_poison(self) -> list[tuple[bytes, str]]:
        """What is to be set aside, out of here."""
        taken, self.poison = self.poison, []
        return taken

    def ask(self, want: int) -> None:
        """A call that leases is made."""
        self.leasing += 1
        self.asked += want

    def answered(self, want: int, got: int, *, paused: bool, wait_ms: int) -> None:
        """It came back, with so many tasks."""
        self.leasing -= 1
        self.asked -= want
        self.paused = paused
        self._served()
        if self.limits is not None:
            self._hold_back(wait_ms)
        if got < want:
            self.awake = False

    def lost(self, want: int) -> None:
        """Its reply is lost."""
        self.leasing -= 1
        self.asked -= want
        self.adopt = True
        self.stir()

    def ended(self) -> None:
        """Tasks of it ended: its limits may let others start."""
        if self.full:
            self.wake()

    def search(self) -> None:
        """Look for tasks whose lease's reply was lost."""
        self.adopt, self.adopting = False, set()

    def found(self) -> set[bytes]:
        """The look is over: ids that are no strays, being held or let go meanwhile."""
        known = self.held.keys() | (self.adopting or set())
        self.adopting = None
        return known

    def search_again(self) -> None:
        """The look failed."""
        self.adopting, self.adopt = None, True
        self.stir()

    def refused(self, reason: str) -> None:
        """The server lives and will not lease from this queue: others go on, it is asked less and less often."""
        self._refusals += 1
        if not self.trouble:
            _log.warning("queue %s: nothing can be leased: %s", self.name, reason)
        self.trouble = reason
        self.awake, self.rest_s = False, backoff(self._refusals, _SLOWEST_S)

    def _hold_back(self, wait_ms: int) -> None:
        """How long it is left alone when it has more tasks than its limits let us lease."""
        self.full = wait_ms == WHEN_ONE_ENDS
        self.rest_s = _FULL_S * (0.5 + random()) if self.full else wait_ms / 1000

    def _served(self) -> None:
        """The server has leased, or had nothing."""
        if self.trouble:
            _log.info("queue %s: works again after %d refusals", self.name, self._refusals)
        self.trouble, self._refusals, self.rest_s = "", 0, 0.0

    def forget_all(self, jobs: Sequence[LeasedTask]) -> None:
        """As ``forget`` for each. A loop here costs a batch less than a call for each of its tasks."""
        if self.followed or self.adopting is not None:
            for job in jobs:
                self.forget(job)
            return
        held = self.held
        for job in jobs:
            if held.get(job.id) is job:
                del held[job.id]

    def forget(self, job: LeasedTask) -> None:
        """The task is ours no more: acknowledged, or somebody else has it."""
        if self.held.get(job.id) is job:
            del self.held[job.id]
        if self.followed:
            self.followed.discard(job.id)
        if self.adopting is not None:
            self.adopting.add(job.id)

    def __repr__(self) -> str:
        return f"QueueState({self.name!r}, held={len(self.held)})"
