"""A queue as one worker sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from random import random

import msgspec

from hustlex.core.op import Arg, Op
from hustlex.jobs.keys import QueueKeys, queue_keys
from hustlex.jobs.lease.limited import WHEN_ONE_ENDS
from hustlex.jobs.lease.limits import Limits
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.service import backoff

_log = logging.getLogger("hustlex.worker")

_SLOWEST_S = 5.0
_FULL_S = 0.25
"""A queue that is full is looked at this often: its tasks may end elsewhere."""

Finish = Callable[[QueueKeys, str, Sequence[Arg], int], Op[bytes]]
"""A kind of ``finish``, or ``limit.defer`` or ``limit.put_off``."""


class Ack(msgspec.Struct, frozen=True):
    """A decided outcome that Redis must still hear of. row: what its script wants for this task."""

    job: LeasedTask
    finish: Finish
    row: tuple[Arg, ...]


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

    @property
    def most(self) -> int:
        """Tasks that this worker may run at once, 0 = as many as it has slots."""
        return self.limits.max_per_worker if self.limits else 0

    def wake(self) -> None:
        """It may have tasks."""
        self.awake = True

    def take_done(self, most: int) -> list[LeasedTask]:
        """Successes to acknowledge, out of here."""
        taken, self.done = self.done[:most], self.done[most:]
        return taken

    def take_acks(self) -> list[Ack]:
        """All other outcomes, out of here."""
        taken, self.acks = self.acks, []
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

    def ended(self) -> None:
        """Tasks of it ended: its limits may let others start."""
        if self.full:
            self.awake = True

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
