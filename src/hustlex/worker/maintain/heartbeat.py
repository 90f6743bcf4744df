"""Says that this worker lives, lengthens the leases of all it holds, and learns the server's time."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from hustlex.core.op import AsyncDriver, Op
from hustlex.errors import Error
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.enqueue.ops import register
from hustlex.jobs.lease import heartbeat
from hustlex.jobs.lease import ops as lease
from hustlex.jobs.lease.heartbeat import ServerName
from hustlex.jobs.wire import ServerInfo, WorkerInfo, clean, encode_server, encode_worker
from hustlex.worker.attempt_errors import Canceled, LeaseExpired
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.execute.executor import Executor
from hustlex.worker.fetch.requests import LEASE_S, MOST, rows
from hustlex.worker.queue_state import LeasedTask, QueueState
from hustlex.worker.service import Service

BEAT_S = 5.0
_IDLE_BEAT_S = 10.0
_SLACK_S = 2.0
_STEADY_S = 6.0
_CANCELED = ord("2")
_OURS = b"12"
"""What ``extend`` answers for tasks that are still this worker's."""


def this_process(server_id: str) -> ServerName:
    """Host, pid and id of this worker."""
    return ServerName(this_host(), os.getpid(), server_id)


def served_by(tasks: Tasks) -> bytes:
    """Which task types a worker of these tasks has handlers for, for others to read."""
    starts = {task.type for task in tasks if task.prefix}
    return heartbeat.encode_served((task.type for task in tasks if task.type not in starts), starts)


def this_host() -> str:
    """The host's name, as Asynq's registry has it."""
    return clean(socket.gethostname() or "unknown-host")


class Heartbeat(Service):
    """Every 5 s while tasks are held, else every 10 s. status: new, active, stopped or closed.

    report: what each beat tells of this worker, as ``with_vitals``. stopped: called when a task was told to stop,
    because somebody cancelled it and that was not heard at once.
    """

    name = "heartbeat"
    slowest_retry_s = 1.0
    longest_pass_s = 30.0

    def __init__(
        self,
        driver: AsyncDriver,
        queues: Sequence[QueueState],
        executor: Executor,
        clock: WorkerClock,
        server: ServerName,
        report: Callable[[], bytes],
        stopped: Callable[[], None],
        *,
        strict: bool,
    ) -> None:
        super().__init__()
        self.status = "new"
        self._driver = driver
        self._queues = queues
        self._executor = executor
        self._clock = clock
        self._server = server
        self._report = report
        self._stopped = stopped
        self._strict = strict
        self._began_ns = clock.now_ms() * 1_000_000
        self._owned: set[QueueState] = set()
        self._known = KnownQueues(monotonic)
        self._fresh_until = self._steady_since = float("-inf")

    def become(self, status: str) -> None:
        """Another status, told with the next beat."""
        self.status = status

    async def tick(self) -> float:
        """One beat for the registry and for every lease."""
        sent = monotonic()
        held = [(queue, self._living(queue, sent)) for queue in self._queues if queue.held]
        pause = BEAT_S if held else _IDLE_BEAT_S
        beats = self._beats(pause)
        chunks = _chunks(held)
        extends = [self._extend(queue, jobs) for queue, jobs in chunks]
        freed = self._owned - {queue for queue, _ in chunks}
        leaving = [lease.let_go(queue.keys, self._server.id) for queue in freed]
        unsure = [queue.name for queue, _ in held if self._known.missing(queue.name)]
        calls: list[Op[Any]] = [*extends, *beats, *leaving, *map(register, unsure)]
        answers: list[Any] = await self._driver.run_many(calls)
        for (_, jobs), codes in zip(chunks, answers, strict=False):
            if not isinstance(codes, Error):
                self._extended(jobs, codes, sent)
        self._owned |= {queue for queue, _ in chunks}
        _raise_first(answers)
        self._owned -= freed
        for name in unsure:
            self._known.note(name)
        self._note(answers[len(extends)], sent, pause)
        return pause

    async def _rest(self, pause: float) -> None:
        """Idle, look half-way whether tasks were leased since: nobody may wait 10 s for a sign of their worker."""
        await super()._rest(min(pause, BEAT_S))
        if pause > BEAT_S and not self._bell.is_set() and not any(queue.held for queue in self._queues):
            await super()._rest(pause - BEAT_S)

    async def keep(self, driver: AsyncDriver) -> None:
        """The same from another thread, while the loop stands still. What is not held any more the loop finds itself.

        driver: that thread's own. Raises what a call failed with.
        """
        sent = monotonic()
        held = [(queue, [job for job in list(queue.held.values()) if job.lease_until > sent]) for queue in self._queues]
        chunks = _chunks(held)
        extends = [self._extend(queue, jobs) for queue, jobs in chunks]
        answers: list[Any] = await driver.run_many([*extends, *self._beats(BEAT_S)])
        for (_, jobs), codes in zip(chunks, answers, strict=False):
            if not isinstance(codes, Error):
                for job, code in zip(jobs, codes, strict=True):
                    if code in _OURS:
                        job.renew(max(job.lease_until, sent + LEASE_S))
        _raise_first(answers)

    def _beats(self, pause: float) -> list[Op[int]]:
        now_s = self._clock.now_ms() // 1000
        told = self._info(), self._running(), self._report()
        crosses = bool(self._driver.crosses_slots)
        return heartbeat.beat(self._server, int(2 * pause), now_s, *told, crosses_slots=crosses)

    def _living(self, queue: QueueState, now: float) -> list[LeasedTask]:
        """What may still be extended; the rest is given up."""
        living = []
        for job in list(queue.held.values()):
            if job.lease_until > now:
                living.append(job)
            else:
                self._lose(job)
        return living

    def _lose(self, job: LeasedTask) -> None:
        job.queue.forget(job)
        job.stop(LeaseExpired(), self._clock.now_ms())

    def _extend(self, queue: QueueState, jobs: Sequence[LeasedTask]) -> Op[bytes]:
        return lease.extend(queue.keys, self._server.id, rows(jobs), self._clock.for_script())

    def _extended(self, jobs: Sequence[LeasedTask], codes: bytes, sent: float) -> None:
        for job, code in zip(jobs, codes, strict=True):
            if code in _OURS:
                job.renew(sent + LEASE_S)
                if code == _CANCELED:
                    job.stop(Canceled(), self._clock.now_ms())
                    self._stopped()
            elif job.queue.held.get(job.id) is job and not job.settled:  # else it is known already, or will be
                self._lose(job)

    def _note(self, server_ms: int, sent: float, pause: float) -> None:
        """A beat got through; after a gap, steadiness begins anew."""
        now = monotonic()
        self._clock.learn(server_ms, sent, now)
        if sent > self._fresh_until:
            self._steady_since = now
        self._fresh_until = now + pause + _SLACK_S

    def doubt_s(self) -> float:
        """Seconds until another worker's silence may be believed; 0 = now.

        After an outage of the server or of our link everybody's sign of life is old. Whoever lives beats within five
        seconds of its return, so only six seconds of steady beats of our own make others' silence mean death.
        """
        now = monotonic()
        if now > self._fresh_until:
            return _STEADY_S
        return max(0.0, self._steady_since + _STEADY_S - now)

    def _info(self) -> bytes:
        return encode_server(
            ServerInfo(
                self._server.host,
                self._server.pid,
                self._server.id,
                self._executor.limit,
                {queue.name: queue.weight for queue in self._queues},
                self._strict,
                self.status,
                self._began_ns,
                len(self._executor.waiting),
            )
        )

    def _running(self) -> list[str | bytes]:
        fields: list[str | bytes] = []
        for job in list(self._executor.waiting):
            fields += (job.id, self._worker(job))
        return fields

    def _worker(self, job: LeasedTask) -> bytes:
        message, server = job.message, self._server
        return encode_worker(
            WorkerInfo(
                server.host,
                server.pid,
                server.id,
                message.id,
                message.type,
                message.payload,
                message.queue,
                job.started_ms * 1_000_000,
                job.deadline_ms * 1_000_000,
            )
        )

    async def leave(self) -> None:
        """Take this worker off the registry, at its end. Where it still holds tasks it counts as dead in seconds."""
        leaving = [lease.let_go(queue.keys, self._server.id) for queue in self._queues if not queue.held]
        calls: list[Op[Any]] = [*heartbeat.leave(self._server), *leaving]
        _raise_first(await self._driver.run_many(calls))


def _chunks(held: Sequence[tuple[QueueState, list[LeasedTask]]]) -> list[tuple[QueueState, list[LeasedTask]]]:
    """As many as one call may carry."""
    return [(queue, jobs[i : i + MOST]) for queue, jobs in held for i in range(0, len(jobs), MOST)]


def _raise_first(answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Error):
            raise answer
