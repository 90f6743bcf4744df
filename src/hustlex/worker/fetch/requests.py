"""Calls of one exchange with a queue: built from what the queue holds, and put back there when they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Protocol

import msgspec

from hustlex.core.op import Arg, Op
from hustlex.errors import Error, Refused
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.lease.ops import Past
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.queue_state import Ack, Finish, LeasedTask, QueueState

MOST = lease.MOST
LEASE_S = 29.0
"""How long a lease is trusted: the 30 s of Redis, whose clock is read in whole seconds, from before the call went."""

Leased = tuple[bytes, str, bytes]
"""Id, holder, message."""
Receive = Callable[[QueueState, Iterable[Leased], float, Mapping[bytes, Past]], None]
"""Takes tasks that were leased, until when (monotonic), and the pasts of those that have one."""


class ExchangeContext(msgspec.Struct, frozen=True):
    """What all calls of a worker have in common."""

    server_id: str
    clock: WorkerClock
    archive: Finish
    """``finish.archive`` with this worker's limits."""
    due: Callable[[QueueState, int], None]
    """Told of the Unix millisecond at which a task of a queue will be due."""
    ended: Callable[[Sequence[LeasedTask], Finish], None]
    """Told of tasks and how they ended, when Redis has heard of it."""
    leased: Callable[[str, int, float], None] | None = None
    """Told of a queue, how many tasks were leased from it, and for how many seconds the first was pending."""


class QueueRequest(Protocol):
    """One call. want: how many tasks it may lease. queue: from and to which queue."""

    op: Op[Any]
    want: int
    queue: QueueState

    def absorb(self, answer: Any) -> None:
        """Take the answer in."""
        ...

    def fail(self, failure: Error | None) -> Error | None:
        """Put everything back; whether the call was executed is not known. What is left for the exchange to report."""
        ...


class CycleRequest:
    """Acknowledge what succeeded, and lease."""

    op: Op[Any]

    def __init__(
        self,
        queue: QueueState,
        want: int,
        holder: str,
        exchange: ExchangeContext,
        receive: Receive,
        most: int = MOST,
    ) -> None:
        """most: how many outcomes it takes along."""
        self.want = want
        self.queue = queue
        self._holder = holder
        self._exchange = exchange
        self._receive = receive
        self._sent = monotonic()
        self._done = [job for job in queue.take_done(most) if job.lease_until > self._sent]
        clock = exchange.clock
        rows = [field for job in self._done for field in (job.id, job.holder, job.message.unique_key)]
        day, now_ms = clock.day(), clock.for_script()
        if want:
            queue.ask(want)
            if queue.limits is None:
                self.op = lease.cycle(queue.keys, day, holder, want, rows, now_ms)
            else:
                self.op = limit.cycle(queue.keys, day, holder, want, rows, now_ms, queue.limits)
        else:
            self.op = finish.done(queue.keys, day, rows, now_ms)

    def absorb(self, answer: lease.Cycle | bytes) -> None:
        queue = self.queue
        if queue.followed:
            self._exchange.ended(self._done, finish.done)
        queue.forget_all(self._done)
        if self._done:
            queue.ended()
        if isinstance(answer, bytes):
            return
        flat = answer.leased
        queue.answered(self.want, len(flat) // 2, paused=answer.paused, wait_ms=answer.wait_ms)
        if flat:
            if self._exchange.leased is not None and answer.waited_ms >= 0:
                self._exchange.leased(queue.name, len(flat) // 2, answer.waited_ms / 1000)
            tasks = zip(flat[::2], repeat(self._holder), flat[1::2], strict=False)
            self._receive(queue, tasks, self._sent + LEASE_S, answer.pasts)

    def fail(self, failure: Error | None) -> Error | None:
        self.queue.done[:0] = self._done
        self.queue.stir()
        if not self.want:
            return failure
        self.queue.lost(self.want)
        if not isinstance(failure, Refused):
            return failure
        self.queue.refused(str(failure))
        return None


class AckRequest:
    """Tell of outcomes of one kind, other than the plain success."""

    want = 0

    def __init__(self, queue: QueueState, kind: Finish, acks: Sequence[Ack], exchange: ExchangeContext) -> None:
        now = monotonic()
        self.queue = queue
        self._later = kind in (finish.retry, limit.defer, limit.put_off)
        self._exchange = exchange
        self._acks = [ack for ack in acks if ack.job.lease_until > now]
        rows = [field for ack in self._acks for field in ack.row]
        call = exchange.archive if kind is finish.archive else kind
        self.op: Op[Any] = call(queue.keys, exchange.clock.day(), rows, exchange.clock.for_script())

    def absorb(self, _: bytes) -> None:
        if self._acks:
            self._exchange.ended([ack.job for ack in self._acks], self._acks[0].finish)
        self.queue.forget_all([ack.job for ack in self._acks])
        self.queue.ended()
        if self._later:
            soonest = min((int(ack.row[2]) for ack in self._acks), default=0)
            self._exchange.due(self.queue, self._exchange.clock.now_ms() + soonest)

    def fail(self, failure: Error | None) -> Error | None:
        self.queue.acks[:0] = self._acks
        self.queue.stir()
        return failure


class AdoptRequest:
    """Look for tasks of a lease whose reply was lost. Nothing is leased from the queue meanwhile."""

    want = 0

    def __init__(self, queue: QueueState, exchange: ExchangeContext, receive: Receive) -> None:
        self.queue = queue
        self._receive = receive
        self._sent = monotonic()
        queue.search()
        self.op: Op[Any] = lease.adopt(queue.keys, exchange.server_id, exchange.clock.for_script())

    def absorb(self, answer: list[lease.Held]) -> None:
        known = self.queue.found()
        strays = [(task.id, task.holder.decode(), task.message) for task in answer if task.id not in known]
        if strays:
            pasts = {task.id: task.past for task in answer}
            self._receive(self.queue, strays, self._sent + LEASE_S, pasts)

    def fail(self, failure: Error | None) -> Error | None:
        self.queue.search_again()
        return failure


class ParkRequest:
    """Set an undecodable message aside."""

    want = 0

    def __init__(self, queue: QueueState, task_id: bytes, holder: str) -> None:
        self.queue = queue
        self._poison = (task_id, holder)
        self.op: Op[Any] = lease.park(queue.keys, task_id, holder)

    def absorb(self, _: bool) -> None: ...

    def fail(self, failure: Error | None) -> Error | None:
        self.queue.poison.append(self._poison)
        self.queue.stir()
        return failure


def acknowledgements(queue: QueueState, exchange: ExchangeContext) -> list[QueueRequest]:
    """Everything else that a queue has to tell, by kind."""
    requests: list[QueueRequest] = [ParkRequest(queue, *poison) for poison in queue.take_poison()]
    kinds: dict[Finish, list[Ack]] = {}
    for ack in queue.take_acks():
        kinds.setdefault(ack.finish, []).append(ack)
    for kind, acks in kinds.items():
        requests += [AckRequest(queue, kind, acks[i : i + MOST], exchange) for i in range(0, len(acks), MOST)]
    return requests


def rows(jobs: Sequence[LeasedTask]) -> list[Arg]:
    """Id and holder of each job, as ``extend`` and ``requeue`` want them."""
    return [field for job in jobs for field in (job.id, job.holder)]
