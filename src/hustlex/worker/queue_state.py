"""A queue as one worker sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from hustlex.core.op import Arg, Op
from hustlex.jobs.keys import QueueKeys, queue_keys
from hustlex.jobs.limits import Limits
from hustlex.jobs.ops import finish
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.service import backoff

_log = logging.getLogger("hustlex.worker")

_SLOWEST_S = 5.0

Finish = Callable[[QueueKeys, str, Sequence[Arg], int], Op[bytes]]
"""A kind of ``finish``, or ``limit.defer`` or ``limit.put_off``."""


class Ack(msgspec.Struct, frozen=True):
    """A decided outcome that Redis must still hear of. row: what its script wants for this task."""

    job: LeasedTask
    finish: Finish
    row: tuple[Arg, ...]


class QueueState:
    """One queue: what it is worth, whether it may have tasks, what is held of it and what is to be acknowledged.

    weight: 1 or more. awake: it may have pending tasks; asleep, a waiter watches for the first. paused: at the last
    look. held: tasks by id, until their outcome is acknowledged. done: succeeded and not kept; acks: all other
    outcomes. poison: id and holder of messages that cannot be decoded. leasing: calls in flight that lease.
    adopt: the reply of one was lost, look for its tasks; adopting: looking, and which ids were let go meanwhile.
    on_due: told of the Unix millisecond at which a task will be due. told: ids of tasks with a stream that
    somebody may follow. on_end: told of tasks and how they ended, when Redis has heard of it.
    archive: ``finish.archive`` with this worker's limits.
    reserved: slots that no other queue may use. limits: of the whole queue. asked: tasks wanted by calls in flight.
    rest_s: after falling asleep, how long its limits or a refusal forbid to lease more, 0 = not; full: until a task
    ends, at most. trouble: why the server refuses to lease from it, "" = it does not.
    """

    def __init__(self, name: str, weight: int) -> None:
        self.name = name
        self.weight = weight
        self.keys = queue_keys(name)
        self.awake = True
        self.paused = False
        self.held: dict[bytes, LeasedTask] = {}
        self.done: list[LeasedTask] = []
        self.acks: list[Ack] = []
        self.poison: list[tuple[bytes, str]] = []
        self.adopt = False
        self.adopting: set[bytes] | None = None
        self.leasing = 0
        self.asked = 0
        self.reserved = 0
        self.limits: Limits | None = None
        self.rest_s = 0.0
        self.full = False
        self.trouble = ""
        self._refusals = 0
        self.on_due: Callable[[int], None] = lambda _: None
        self.told: set[bytes] = set()
        self.archive: Finish = finish.archive
        self.on_end: Callable[[Sequence[LeasedTask], Finish], None] = lambda *_: None

    @property
    def most(self) -> int:
        """Tasks that this worker may run at once, 0 = as many as it has slots."""
        return self.limits.max_per_worker if self.limits else 0

    def refused(self, reason: str) -> None:
        """The server lives and will not lease from this queue: others go on, it is asked less and less often."""
        self._refusals += 1
        if not self.trouble:
            _log.warning("queue %s: nothing can be leased: %s", self.name, reason)
        self.trouble = reason
        self.awake, self.rest_s = False, backoff(self._refusals, _SLOWEST_S)

    def served(self) -> None:
        """The server has leased, or had nothing."""
        if self.trouble:
            _log.info("queue %s: works again after %d refusals", self.name, self._refusals)
        self.trouble, self._refusals, self.rest_s = "", 0, 0.0

    def forget(self, job: LeasedTask) -> None:
        """The task is ours no more: acknowledged, or somebody else has it."""
        if self.held.get(job.id) is job:
            del self.held[job.id]
        if self.told:
            self.told.discard(job.id)
        if self.adopting is not None:
            self.adopting.add(job.id)

    def __repr__(self) -> str:
        return f"Source({self.name!r}, held={len(self.held)})"
