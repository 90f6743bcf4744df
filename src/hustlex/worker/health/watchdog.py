"""Holds the other parts to their work: one that died, hangs or does nothing is started again, and health says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from hustlex.core.faults import loggable
from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver, Effect, command
from hustlex.errors import Error, Unavailable
from hustlex.jobs.define.hooks import HealthCheck
from hustlex.worker.boundary import ask
from hustlex.worker.clock import monotonic
from hustlex.worker.execute.executor import STUCK_S, Executor
from hustlex.worker.fetch.fetcher import Fetcher
from hustlex.worker.journal import line_of
from hustlex.worker.queue_state import QueueState
from hustlex.worker.service import Service

_log = logger("hustlex.worker")

_EVERY_S = 5.0
_NO_LEASE_S = 15.0


class Watchdog(Service):
    """Looks every 5 s, and trusts only what it can see: loops that run, passes that end, leases that are asked for."""

    name = "watchdog"

    def __init__(self, parts: Callable[[], Sequence[Service]], fetcher: Fetcher, executor: Executor) -> None:
        super().__init__()
        self._executor = executor
        self._seen = -1.0
        self._parts = parts
        self._fetcher = fetcher

    async def tick(self) -> float:
        """One look. Raises Unavailable for what it had to start again."""
        faults = [(part, fault) for part in self._parts() if part is not self and (fault := part.fault())]
        if not faults and self._idle_for_no_reason():
            faults = [(loop, "there are free slots and nothing is leased") for loop in self._fetcher.services]
        for part, _ in faults:
            await part.restart()
        if not faults and self._nobody_serves():
            self._executor.revive()
            raise Unavailable("tasks waited beside free slots and were not started, new runners began")
        if faults:
            raise Unavailable("; ".join(f"{part.name}: {fault}, started again" for part, fault in faults))
        return _EVERY_S

    def _nobody_serves(self) -> bool:
        """Seen twice: after a stall of the loop the runners come a little after us."""
        seen, self._seen = self._seen, self._executor.begun_at
        return self._executor.hand_s() > STUCK_S and seen == self._seen

    def _idle_for_no_reason(self) -> bool:
        return self._fetcher.wants() and monotonic() - self._fetcher.asked_at > _NO_LEASE_S


class Checker(Service):
    """Calls the application's health check, as Asynq does: a PING each time, and the troubles of all parts."""

    name = "health check"

    def __init__(
        self, driver: AsyncDriver, check: HealthCheck, interval_s: float, trouble: Callable[[], dict[str, str]]
    ) -> None:
        super().__init__()
        self._driver = driver
        self._check = check
        self._interval_s = interval_s
        self._trouble = trouble

    async def tick(self) -> float:
        """One check."""
        found: Error | None = None
        try:
            await self._driver.run(command("server.ping", Effect.READ, "PING", decode=bool))
        except Error as error:
            found = error
        trouble = self._trouble()
        if found is None and trouble:
            found = Unavailable("; ".join(f"{part}: {reason}" for part, reason in trouble.items()))
        try:
            ask(self._check, found)
        except Exception as fault:  # noqa: BLE001 - the user's function
            _log.error("the health check raised", exc_info=loggable(fault))
        return self._interval_s


def troubles(parts: Sequence[Service], queues: Sequence[QueueState], executor: Executor) -> dict[str, str]:
    """What keeps each part or queue that does not work from working, by its name."""
    found = {f"queue {queue.name}": reason for queue in queues if (reason := _of_queue(queue, executor))}
    if reason := _of_slots(executor):
        found["slots"] = reason
    if reason := executor.trouble():
        found["runners"] = reason
    return found | {part.name: reason for part in parts if (reason := part.ill())}


def _of_queue(queue: QueueState, executor: Executor) -> str:
    hung = sum(job.queue is queue for job in executor.hung) if queue.most else 0
    if queue.trouble or not queue.most or hung < queue.most:
        return queue.trouble
    return f"all {queue.most} tasks that may run at once were told to stop and do not end"


def _of_slots(executor: Executor) -> str:
    if len(executor.hung) < executor.limit:
        return ""
    types = ", ".join(map(line_of, sorted(hung_types(executor))))
    return f"all {executor.limit} slots are held by handlers that were told to stop and do not end: {types}"


def hung_types(executor: Executor) -> dict[str, int]:
    """How many handlers were told to stop and run on, by task type."""
    return dict(Counter(job.message.type for job in executor.hung))
