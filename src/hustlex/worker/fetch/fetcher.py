"""The traffic between a worker and its queues: leases and acknowledgements, batched, one script per queue and turn.

Two exchanges run at a time: while one is on its way, the tasks that the other brought are run. Under load the batches
grow by themselves, because outcomes gather while both are away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from hustlex.core.op import AsyncDriver
from hustlex.errors import Error
from hustlex.jobs.ops.lease import Past
from hustlex.jobs.wire import WireError, decode_task
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.executor import Runners
from hustlex.worker.fetch.allocation import Draw
from hustlex.worker.fetch.requests import MOST, AdoptRequest, CycleRequest, Leased, QueueRequest, acknowledgements
from hustlex.worker.leased_task import LeasedTask
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import FOREVER, Service

_log = logging.getLogger("hustlex.worker")
_COUNT = 2
_AHEAD_S = 0.005


class Fetcher:
    """What the exchanges share.

    asked: tasks wanted by calls in flight; asked_at: when the last such call was made, monotonic. ahead: whether to
    hold more tasks than slots when they are short ones. on_empty: told of each queue that fell asleep. leasing: set
    False to lease nothing more. surplus: how many tasks to hold beyond the slots. admit: whether a task with a past may
    be run as any other; else it is taken care of. feed: takes what was leased.
    """

    def __init__(
        self,
        driver: AsyncDriver,
        sources: Sequence[QueueState],
        runners: Runners,
        clock: WorkerClock,
        server_id: str,
        draw: Draw,
        *,
        ahead: bool,
    ) -> None:
        self.sources = sources
        self.asked = 0
        self.asked_at = monotonic()
        self.leasing = True
        self.on_empty: Callable[[QueueState], None] = lambda _: None
        self.surplus: Callable[[], int] = self.look_ahead
        self.feed: Callable[[Sequence[LeasedTask]], None] = runners.feed
        self.admit: Callable[[LeasedTask], bool] = lambda _: True
        self.services = [FetchLoop(driver, self, number) for number in range(_COUNT)]
        self._runners = runners
        self._clock = clock
        self._server_id = server_id
        self._draw = draw
        self._ahead = ahead
        self._calls = 0
        self._landing: asyncio.Future[None] | None = None

    def ring(self, _: object = None) -> None:
        """Something can be sent: an outcome, a free slot, a queue that woke up."""
        for lane in self.services:
            if lane.resting:
                lane.wake()
                return

    async def landed(self, seconds: float) -> None:
        """Wait until no call that leases is in flight, at most this long."""
        if self.asked:
            self._landing = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._landing], timeout=seconds)

    def settle(self, request: QueueRequest) -> None:
        """A call came back."""
        self.asked -= request.want
        if self._landing is not None and not self.asked and not self._landing.done():
            self._landing.set_result(None)

    def wants(self) -> bool:
        """Whether there are free slots and queues that may have tasks."""
        return bool(self._shares())

    def plan(self) -> list[QueueRequest]:
        """The calls to make now."""
        shares = self._shares()
        if shares:
            self.asked_at = monotonic()
        requests: list[QueueRequest] = []
        for source in self.sources:
            if source.adopt and not source.leasing and source.adopting is None:
                requests.append(AdoptRequest(source, self._server_id, self._clock, self._receive))
            want = shares.get(source, 0)
            while source.done or want:
                self._calls += 1
                holder = f"{self._server_id}:{self._calls}"
                requests.append(CycleRequest(source, want, holder, self._clock, self._receive))
                self.asked += want
                want = 0
            if source.acks or source.poison:
                requests += acknowledgements(source, self._clock)
        return requests

    def _shares(self) -> dict[QueueState, int]:
        if not self.leasing:
            return {}
        free = min(self._runners.limit + self.surplus() - self._runners.busy - self.asked, MOST)
        awake = [source for source in self.sources if source.awake and not source.adopt and source.adopting is None]
        return self._draw(awake, free) if awake and free > 0 else {}

    def look_ahead(self) -> int:
        """Tasks to hold beyond the slots: about 5 ms of work by what runs now, at most as many as there are slots."""
        return min(self._runners.limit, self._runners.startable(_AHEAD_S)) if self._ahead else 0

    def _receive(
        self, source: QueueState, leased: list[Leased], lease_until: float, pasts: Mapping[bytes, Past]
    ) -> None:
        jobs = []
        for task_id, holder, data in leased:
            try:
                message = decode_task(data)
            except WireError:
                _log.error("queue %s: a message cannot be decoded, it is set aside", source.name)
                source.poison.append((task_id, holder))
                continue
            job = source.held[task_id] = LeasedTask(source, task_id, holder, message, lease_until)
            if pasts and task_id in pasts:
                job.past = pasts[task_id]
                if not self.admit(job):
                    continue
            jobs.append(job)
        self.feed(jobs)


class FetchLoop(Service):
    """One exchange after another."""

    longest_pass_s = 30.0

    def __init__(self, driver: AsyncDriver, fetcher: Fetcher, number: int) -> None:
        super().__init__()
        self.name = f"lane {number}"
        self._driver = driver
        self._fetcher = fetcher

    async def tick(self) -> float:
        """Send what can be sent, and take the answers in."""
        requests = self._fetcher.plan()
        if not requests:
            return FOREVER
        answers: list[Any] = []
        try:
            answers = await self._driver.run_many([request.op for request in requests])
        finally:
            failure = self._take_in(requests, answers)
        for source in self._fetcher.sources:
            if not source.awake:
                self._fetcher.on_empty(source)
        if failure is not None:
            raise failure
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
