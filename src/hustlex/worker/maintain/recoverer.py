"""Gives back what dead workers left behind: within seconds when they were ours, by Asynq's rules otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.jobs.lease import maintain
from hustlex.jobs.wire import WireError, decode_task
from hustlex.worker.attempt_errors import LeaseExpired
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.outcomes import OutcomePolicy
from hustlex.worker.fetch.requests import LEASE_S
from hustlex.worker.maintain.heartbeat import Heartbeat
from hustlex.worker.queue_state import LeasedTask, QueueState
from hustlex.worker.service import FOREVER, Service

_log = logger("hustlex.worker")


class Recoverer(Service):
    """Works on the queues that ``plan`` names.

    requeue: give tasks of dead servers of ours back after about 10 s, unchanged; False: treat them as Go does, which
    waits until 30 s after the end of their lease and counts a retry.
    """

    name = "recoverer"

    def __init__(
        self,
        driver: AsyncDriver,
        queues: Sequence[QueueState],
        clock: WorkerClock,
        server_id: str,
        policy: OutcomePolicy,
        heartbeat: Heartbeat,
        woken: Callable[[], None],
        *,
        requeue: bool,
    ) -> None:
        super().__init__()
        self._driver = driver
        self._clock = clock
        self._holder = f"recoverer-{server_id}:1"
        self._policy = policy
        self._heartbeat = heartbeat
        self._woken = woken
        self._requeue = requeue
        self._suspect = set(queues)
        self.taken_back: Counter[tuple[str, str]] = Counter()
        """Tasks that were taken from the dead, by queue and how it was found out."""

    def plan(self, queue: QueueState) -> None:
        """This queue has tasks of the dead."""
        self._suspect.add(queue)
        self.wake()

    async def tick(self) -> float:
        """Recover what can be recovered now."""
        wait = 0.0
        for queue in list(self._suspect):
            await self._expired(queue)
            await self._driver.run(maintain.mend(queue.keys, self._clock.for_script()))
            wait = self._heartbeat.doubt_s() if self._requeue else 0.0
            if self._requeue and not wait:
                await self._orphaned(queue)
            if not wait:
                self._suspect.discard(queue)
        return wait or FOREVER

    async def _orphaned(self, queue: QueueState) -> None:
        """Tasks of a server of ours whose sign of life is gone."""
        ids = await self._driver.run(maintain.recover(queue.keys, self._clock.for_script()))
        if ids:
            self.taken_back[queue.name, "dead"] += len(ids)
            _log.warning("queue %s: %d tasks of a dead worker given back", queue.name, len(ids))
            queue.wake()
            self._woken()

    async def _expired(self, queue: QueueState) -> None:
        """Tasks whose lease ended 30 s ago: a failed attempt, as in Go."""
        sent = monotonic()
        claimed = await self._driver.run(maintain.claim(queue.keys, self._holder, self._clock.for_script()))
        for task_id, data in claimed:
            try:
                job = LeasedTask(queue, task_id, self._holder, decode_task(data), sent + LEASE_S)
            except WireError:
                queue.poison.append((task_id, self._holder))
                continue
            queue.acks.append(self._policy.judge(job, LeaseExpired(), self._clock))
        if claimed:
            queue.stir()
            self.taken_back[queue.name, "lease_over"] += len(claimed)
            _log.warning("queue %s: the leases of %d tasks had expired", queue.name, len(claimed))
            self._woken()
