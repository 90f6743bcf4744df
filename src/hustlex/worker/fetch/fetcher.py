"""The traffic between a worker and its queues: leases and acknowledgements, batched, one script per queue and turn.

Two exchanges run at a time: while one is on its way, the tasks that the other brought are run. Under load the batches
grow by themselves, because outcomes gather while both are away. Where outcomes wait for the disk or for replicas a
third exchange makes them known: who waits leases nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs.lease.ops import NO_PAST, Past
from hustlex.jobs.reader import MessageReader
from hustlex.jobs.wire import WireError
from hustlex.worker.clock import monotonic
from hustlex.worker.fetch.requests import (
    MOST,
    AdoptRequest,
    CycleRequest,
    ExchangeContext,
    Leased,
    QueueRequest,
    acknowledgements,
)
from hustlex.worker.fetch.waiter import Waiter
from hustlex.worker.limits.admission import TaskAdmission
from hustlex.worker.limits.allocation import Slots
from hustlex.worker.queue_state import LeasedTask, QueueState
from hustlex.worker.service import FOREVER, Service

_log = logger("hustlex.worker")
_COUNT = 2
_GATHER_S = 0.002
_STOCK_S = 0.003
"""While there is work for so long, calls are so far apart that outcomes gather: each costs 100 us of CPU in all, which
handlers that end one by one would pay for every few of them."""


class FetchBell:
    """Wakes an exchange that rests. It is there before all parts, because each of them may have something to send."""

    def __init__(self) -> None:
        self._groups: list[Sequence[FetchLoop]] = []

    def hang(self, loops: Sequence[FetchLoop]) -> None:
        """These listen from now on, one of them at a time."""
        self._groups.append(loops)

    def ring(self, _: object = None) -> None:
        """Something can be sent: an outcome, a free slot, a queue that woke up."""
        for loops in self._groups:
            for loop in loops:
                if loop.resting and not loop.gathers:
                    loop.wake()
                    break


class Fetcher:
    """What the exchanges share."""

    def __init__(
        self,
        driver: AsyncDriver,
        queues: Sequence[QueueState],
        slots: Slots,
        admission: TaskAdmission,
        exchange: ExchangeContext,
        waiters: Mapping[QueueState, Waiter],
        bell: FetchBell,
        safe: AsyncDriver | None = None,
    ) -> None:
        """safe: by which outcomes are told, apart from leases; None: together with them."""
        self.queues = queues
        self.asked = 0
        """Tasks wanted by calls in flight."""
        self.asked_at = monotonic()
        """When the last such call was made."""
        self.services = [FetchLoop(driver, self, self.plan, f"fetcher {number}") for number in range(_COUNT)]
        bell.hang([*self.services])
        self.acknowledging = self.services[0]
        """One that tells outcomes."""
        self._apart = safe is not None
        if safe is not None:
            self.acknowledging = FetchLoop(safe, self, self.plan_outcomes, "outcomes")
            self.services.append(self.acknowledging)
            bell.hang([self.acknowledging])
        self._slots = slots
        self._admission = admission
        self._exchange = exchange
        self._waiters = waiters
        self._read = MessageReader().read
        self._lively: dict[QueueState, None] = {}
        for queue in queues:
            queue.join(self._lively)
        self._leasing = True
        self._calls = 0
        self._sent_at = float("-inf")
        self._landing: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Lease nothing more. Outcomes are acknowledged all the same."""
        self._leasing = False

    async def wait_for_calls(self, seconds: float) -> None:
        """Wait until no call that leases is in flight, at most this long."""
        if self.asked:
            self._landing = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._landing], timeout=seconds)

    def settle(self, request: QueueRequest) -> None:
        """A call came back."""
        self.asked -= request.want
        if self._landing is not None and not self.asked and not self._landing.done():
            self._landing.set_result(None)

    def pause(self) -> float:
        """Seconds to let outcomes gather before the next call; 0 when the slots would run dry."""
        rest = self._sent_at + _GATHER_S - monotonic()
        return rest if rest > 0 and self._leasing and self._slots.stocked(_STOCK_S) else 0.0

    def wants(self) -> bool:
        """Whether there are free slots and queues that may have tasks."""
        return bool(self._shares())

    def plan(self) -> list[QueueRequest]:
        """The calls to make now."""
        shares = self._shares()
        if shares:
            self.asked_at = monotonic()
        requests: list[QueueRequest] = []
        self._sent_at = monotonic()
        for queue in list(self._lively):
            if queue.adopt and not queue.leasing and queue.adopting is None:
                requests.append(AdoptRequest(queue, self._exchange, self._receive))
            requests += self._cycles(queue, shares.get(queue, 0), 0 if self._apart else MOST)
            if (queue.acks or queue.poison) and not self._apart:
                requests += acknowledgements(queue, self._exchange)
            if queue.quiet:
                del self._lively[queue]
        return requests

    def plan_outcomes(self) -> list[QueueRequest]:
        """The calls that acknowledge, and lease nothing."""
        requests: list[QueueRequest] = []
        for queue in self._lively:
            requests += [*self._cycles(queue, 0, MOST), *acknowledgements(queue, self._exchange)]
        return requests

    def _cycles(self, queue: QueueState, want: int, most: int) -> Iterator[CycleRequest]:
        """most: how many outcomes each takes along, 0 = they go another way."""
        while want or (most and queue.done):
            self._calls += 1
            holder = f"{self._exchange.server_id}:{self._calls}"
            yield CycleRequest(queue, want, holder, self._exchange, self._receive, most)
            self.asked += want
            want = 0

    def _shares(self) -> dict[QueueState, int]:
        if not self._leasing:
            return {}
        free = min(self._slots.free(self._admission.surplus()) - self.asked, MOST)
        awake = [queue for queue in self._lively if queue.awake and not queue.adopt and queue.adopting is None]
        return self._slots.split(awake, free) if awake and free > 0 else {}

    def _receive(
        self, queue: QueueState, leased: Iterable[Leased], lease_until: float, pasts: Mapping[bytes, Past]
    ) -> None:
        jobs = []
        for task_id, holder, data in leased:
            try:
                message = self._read(data)
            except WireError:
                _log.error("queue %s: a message cannot be decoded, it is set aside", queue.name)
                queue.poison.append((task_id, holder))
                continue
            past = pasts.get(task_id, NO_PAST) if pasts else NO_PAST
            job = queue.held[task_id] = LeasedTask(queue, task_id, holder, message, lease_until, past)
            jobs.append(job)
        self._admission.take(jobs, with_past=bool(pasts))

    def sleepers(self, requests: Sequence[QueueRequest]) -> bool:
        """Let the waiters watch those of the queues asked that have nothing more. Whether that is all of them."""
        asleep = [request.queue for request in requests if not request.queue.awake]
        for queue in asleep:
            self._waiters[queue].watch()
        return len(asleep) == len(requests)


class FetchLoop(Service):
    """One exchange after another."""

    longest_pass_s = 30.0

    def __init__(
        self, driver: AsyncDriver, fetcher: Fetcher, plan: Callable[[], list[QueueRequest]], name: str
    ) -> None:
        super().__init__()
        self.name = name
        self._plan = plan
        self.gathers = False
        """Whether it rests so that outcomes gather."""
        self._driver = driver
        self._fetcher = fetcher

    async def tick(self) -> float:
        """Send what can be sent, and take the answers in."""
        pause = self._fetcher.pause()
        self.gathers = pause > 0
        if self.gathers:
            return pause
        requests = self._plan()
        if not requests:
            return FOREVER
        answers: list[Any] = []
        try:
            answers = await self._driver.run_many([request.op for request in requests])
        finally:
            failure = self._take_in(requests, answers)
        asleep = self._fetcher.sleepers(requests)
        if failure is not None:
            raise failure
        if asleep:
            await asyncio.sleep(0)  # nothing more to ask for: what was leased starts before anything is planned again
        return 0

    def _take_in(self, requests: list[QueueRequest], answers: list[Any]) -> Error | None:
        """Give each order its answer, or its failure when there is none. The last failure that is not a queue's own."""
        failure = None
        for request, answer in zip_longest(requests, answers, fillvalue=None):
            assert request is not None
            if answer is None or isinstance(answer, Error):
                failure = request.fail(answer) or failure
            else:
                request.absorb(answer)
            self._fetcher.settle(request)
        return failure
