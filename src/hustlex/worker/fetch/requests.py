"""Calls of one exchange with a queue: built from what the source holds, and put back there when they fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import random
from typing import Any, Protocol

from hustlex.core.op import Arg, Op
from hustlex.errors import Error, Refused
from hustlex.jobs.ops import finish, lease, limit
from hustlex.jobs.ops.lease import Past
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.queue_state import Ack, Finish, QueueState

MOST = lease.MOST
LEASE_S = 29.0
"""How long a lease is trusted: the 30 s of Redis, whose clock is read in whole seconds, from before the call went."""
_FULL_S = 0.25
"""A queue that is full is looked at this often: its tasks may end elsewhere."""

Leased = tuple[bytes, str, bytes]
"""Id, holder, message."""
Receive = Callable[[QueueState, list[Leased], float, Mapping[bytes, Past]], None]
"""Takes tasks that were leased, until when (monotonic), and the pasts of those that have one."""


class QueueRequest(Protocol):
    """One call. want: how many tasks it may lease."""

    op: Op[Any]
    want: int

    def absorb(self, answer: Any) -> None:
        """Take the answer in."""
        ...

    def fail(self, failure: Error | None) -> Error | None:
        """Put everything back; whether the call was executed is not known. What is left for the exchange to report."""
        ...


class CycleRequest:
    """Acknowledge what succeeded, and lease."""

    op: Op[Any]

    def __init__(self, source: QueueState, want: int, holder: str, clock: WorkerClock, receive: Receive) -> None:
        self.want = want
        self._source = source
        self._holder = holder
        self._receive = receive
        self._sent = monotonic()
        self._done = [job for job in source.done[:MOST] if job.lease_until > self._sent]
        source.done = source.done[MOST:]
        rows = [field for job in self._done for field in (job.id, job.holder, job.message.unique_key)]
        day, now_ms = clock.day(), clock.for_script()
        if want:
            source.leasing += 1
            source.asked += want
            if source.limits is None:
                self.op = lease.cycle(source.keys, day, holder, want, rows, now_ms)
            else:
                self.op = limit.cycle(source.keys, day, holder, want, rows, now_ms, source.limits)
        else:
            self.op = finish.done(source.keys, day, rows, now_ms)

    def absorb(self, answer: lease.Cycle | bytes) -> None:
        source = self._source
        if source.told:
            source.on_end(self._done, finish.done)
        for job in self._done:
            source.forget(job)
        if source.full and self._done:
            source.awake = True
        if isinstance(answer, bytes):
            return
        source.leasing -= 1
        source.asked -= self.want
        source.paused = answer.paused
        source.served()
        if source.limits is not None:
            _hold_back(source, answer.wait_ms)
        flat, holder = answer.leased, self._holder
        if len(flat) < 2 * self.want:
            source.awake = False
        if flat:
            tasks = [(task_id, holder, message) for task_id, message in zip(flat[::2], flat[1::2], strict=True)]
            self._receive(source, tasks, self._sent + LEASE_S, answer.pasts)

    def fail(self, failure: Error | None) -> Error | None:
        self._source.done[:0] = self._done
        if not self.want:
            return failure
        self._source.leasing -= 1
        self._source.asked -= self.want
        self._source.adopt = True
        if not isinstance(failure, Refused):
            return failure
        self._source.refused(str(failure))
        return None


def _hold_back(source: QueueState, wait_ms: int) -> None:
    """How long a queue is left alone that has more tasks than its limits let us lease."""
    source.full = wait_ms == limit.WHEN_ONE_ENDS
    source.rest_s = _FULL_S * (0.5 + random()) if source.full else wait_ms / 1000


class AckRequest:
    """Tell of outcomes of one kind, other than the plain success."""

    want = 0

    def __init__(self, source: QueueState, kind: Finish, acks: Sequence[Ack], clock: WorkerClock) -> None:
        now = monotonic()
        self._source = source
        self._later = kind in (finish.retry, limit.defer, limit.put_off)
        self._clock = clock
        self._acks = [ack for ack in acks if ack.job.lease_until > now]
        rows = [field for ack in self._acks for field in ack.row]
        call = source.archive if kind is finish.archive else kind
        self.op: Op[Any] = call(source.keys, clock.day(), rows, clock.for_script())

    def absorb(self, _: bytes) -> None:
        if self._acks:
            self._source.on_end([ack.job for ack in self._acks], self._acks[0].finish)
        for ack in self._acks:
            self._source.forget(ack.job)
        if self._source.full:
            self._source.awake = True
        if self._later:
            soonest = min((int(ack.row[2]) for ack in self._acks), default=0)
            self._source.on_due(self._clock.now_ms() + soonest)

    def fail(self, failure: Error | None) -> Error | None:
        self._source.acks[:0] = self._acks
        return failure


class AdoptRequest:
    """Look for tasks of a lease whose reply was lost. Nothing is leased from the queue meanwhile."""

    want = 0

    def __init__(self, source: QueueState, server_id: str, clock: WorkerClock, receive: Receive) -> None:
        self._source = source
        self._receive = receive
        self._sent = monotonic()
        source.adopt = False
        source.adopting = set()
        self.op: Op[Any] = lease.adopt(source.keys, server_id, clock.for_script())

    def absorb(self, answer: list[lease.Held]) -> None:
        source = self._source
        known = source.held.keys() | (source.adopting or set())
        source.adopting = None
        strays = [(task.id, task.holder.decode(), task.message) for task in answer if task.id not in known]
        if strays:
            pasts = {task.id: task.past for task in answer}
            self._receive(source, strays, self._sent + LEASE_S, pasts)

    def fail(self, failure: Error | None) -> Error | None:
        self._source.adopting = None
        self._source.adopt = True
        return failure


class ParkRequest:
    """Set an undecodable message aside."""

    want = 0

    def __init__(self, source: QueueState, task_id: bytes, holder: str) -> None:
        self._source = source
        self._poison = (task_id, holder)
        self.op: Op[Any] = lease.park(source.keys, task_id, holder)

    def absorb(self, _: bool) -> None: ...

    def fail(self, failure: Error | None) -> Error | None:
        self._source.poison.append(self._poison)
        return failure


def acknowledgements(source: QueueState, clock: WorkerClock) -> list[QueueRequest]:
    """Everything else that a source has to tell, by kind."""
    requests: list[QueueRequest] = [ParkRequest(source, *poison) for poison in source.poison]
    source.poison = []
    kinds: dict[Finish, list[Ack]] = {}
    for ack in source.acks:
        kinds.setdefault(ack.finish, []).append(ack)
    source.acks = []
    for kind, acks in kinds.items():
        requests += [AckRequest(source, kind, acks[i : i + MOST], clock) for i in range(0, len(acks), MOST)]
    return requests


def rows(jobs: Sequence[LeasedTask]) -> list[Arg]:
    """Id and holder of each job, as ``extend`` and ``requeue`` want them."""
    return [field for job in jobs for field in (job.id, job.holder)]
