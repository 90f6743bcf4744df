"""Which queues the free slots go to."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs.checks import declared
from hustlex.jobs.keys import addressed
from hustlex.jobs.lease.limits import Limits
from hustlex.worker.execute.executor import Executor
from hustlex.worker.queue_state import LeasedTask, QueueState

MOST_SLOTS = 100_000
"""Handlers at once, and weights: more are mistakes."""

_AHEAD_S = 0.005

Draw = Callable[[Sequence[QueueState], int], dict[QueueState, int]]
"""Splits free slots among queues that may have tasks."""


class Reserved(msgspec.Struct, frozen=True):
    """Slots of a worker that only this queue's tasks may use, also while it has none. Raises Misuse.

    slots: 1 or more. weight: its share of the slots that nobody reserved; 0 = as many as it reserved.
    """

    slots: int
    weight: int = 0

    def __post_init__(self) -> None:
        check.whole("slots of a reservation", self.slots, 1, MOST_SLOTS)
        check.whole("weight of a reservation", self.weight, 0, MOST_SLOTS)


def queues_of(
    queues: Mapping[str, int | Reserved], limits: Mapping[str, Limits], known: frozenset[str] | None = None
) -> list[QueueState]:
    """The queues of a worker. known: those that are declared, None = any.

    Raises Misuse for others, for weights below 1, and for limits that fit no queue.
    """
    check.instance("queues", queues, Mapping, hint='pass weights by name, as {"critical": 6, "default": 3}')
    check.instance("limits", limits, Mapping, hint="pass Limits by queue")
    if not queues or not limits.keys() <= queues.keys():
        raise Misuse("a worker needs a queue, and limits only for its own queues")
    for limit in limits.values():
        check.instance("the limits of a queue", limit, Limits)
    if any(limit.key is not None for limit in limits.values()):
        raise Misuse("the limits of a queue have no key", hint="keys belong to tasks: @tasks.task(..., key=...)")
    found = [_queue(name, share, limits.get(name)) for name, share in queues.items()]
    for queue in found:
        declared(queue.name, known)
    return found


def _queue(name: str, share: int | Reserved, limits: Limits | None) -> QueueState:
    if isinstance(share, Reserved):
        return QueueState(addressed("queue", name), share.weight or share.slots, reserved=share.slots, limits=limits)
    weight = check.whole("the weight of a queue", share, 1, MOST_SLOTS)
    return QueueState(addressed("queue", name), weight, limits=limits)


def weighted(queues: Sequence[QueueState], slots: int) -> dict[QueueState, int]:
    """A weighted draw for each slot, as Asynq draws for each task: {critical 6, default 3, low 1} is 60/30/10 %.

    Among queues that may have tasks this equals Asynq's draw without replacement, which passes over empty ones.
    """
    if len(queues) == 1:
        return {queues[0]: slots}
    return Counter(random.choices(queues, [queue.weight for queue in queues], k=slots))


def by_rank(queues: Sequence[QueueState], slots: int) -> dict[QueueState, int]:
    """Everything to the queue of the highest weight."""
    return {max(queues, key=lambda queue: queue.weight): slots}


class Slots:
    """The slots of a worker, some of them reserved or closed to queues that have enough.

    starting: jobs that hold a slot though the executor does not have them yet.
    """

    def __init__(self, queues: Sequence[QueueState], executor: Executor, *, strict: bool) -> None:
        if sum(queue.reserved for queue in queues) > executor.limit:
            raise Misuse("more slots are reserved than the worker has", hint="raise concurrency")
        self._queues = queues
        self._executor = executor
        self._draw: Draw = by_rank if strict else weighted
        self.plain = not any(queue.reserved or queue.most for queue in queues)
        """Whether any queue may use any slot."""
        self.open = self.plain and not strict
        """Whether more tasks than slots may be held."""
        self.starting: set[LeasedTask] = set()

    def free(self, beyond: int) -> int:
        """Slots that no task in hand wants. beyond: how many more tasks than slots to hold."""
        return self._executor.limit + beyond - self._executor.busy

    def ahead(self) -> int:
        """Tasks to hold beyond the slots: about 5 ms of work by what runs now, at most as many as there are slots."""
        return min(self._executor.limit, self._executor.startable(_AHEAD_S)) if self.open else 0

    def stocked(self, seconds: float) -> bool:
        """Whether more tasks are in hand than will find a slot within this time."""
        backlog = len(self._executor.backlog)
        return self.open and backlog > 0 and backlog >= self._executor.startable(seconds)

    def count(self, ahead: int = 0, *, asked: bool = True) -> SlotCount:
        """Who uses what right now. ahead: slots beyond the worker's. asked: whether tasks asked for use one already."""
        executor = self._executor
        used = Counter(job.queue for job in chain(executor.waiting, executor.backlog, self.starting))
        for queue in self._queues if asked else ():
            used[queue] += queue.asked
        return SlotCount(self._queues, executor.limit + ahead, used)

    def split(self, awake: Sequence[QueueState], slots: int) -> dict[QueueState, int]:
        """Each queue's own slots first, then the rest by weight or by rank, nobody above its limit."""
        if self.plain:
            return self._draw(awake, slots)
        count = self.count()
        owed = {queue: count.owed(queue) for queue in self._queues}
        eager = [queue for queue in awake if count.room(queue) > 0]
        rest = slots - sum(owed.values())
        shares = self._draw(eager, rest) if eager and rest > 0 else {}
        wanted = {queue: shares.get(queue, 0) + min(owed[queue], slots) for queue in eager}
        return {queue: min(want, count.room(queue)) for queue, want in wanted.items() if want}


class SlotCount:
    """A count of used slots that can be drawn from. free: slots that nobody uses."""

    def __init__(self, queues: Sequence[QueueState], limit: int, used: Counter[QueueState]) -> None:
        self.free = limit - used.total()
        self._used = used
        self._owed = sum(self.owed(queue) for queue in queues)

    def owed(self, queue: QueueState) -> int:
        """Reserved slots that the queue does not use."""
        return max(0, queue.reserved - self._used[queue])

    def room(self, queue: QueueState) -> int:
        """How many more tasks of this queue may start."""
        room = self.free - self._owed + self.owed(queue)
        return min(room, queue.most - self._used[queue]) if queue.most else room

    def take(self, queue: QueueState) -> None:
        """One starts."""
        self._owed -= 1 if self.owed(queue) else 0
        self._used[queue] += 1
        self.free -= 1
