"""Tasks of one queue that are counted together: those that wait here for their turn, and those that run."""

from __future__ import annotations

import math
from collections import deque
from random import random

from hustlex.jobs.lease.limited import WHEN_ONE_ENDS, Permit
from hustlex.jobs.lease.limits import Limits
from hustlex.worker.queue_state import LeasedTask, QueueState

_SOONEST_S = 0.02
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_STUCK_S = 5.0
_PATIENCE_S = 1.0
_AHEAD_S = 2.0
_LATEST_S = 300.0
_LATEST_HERE_S = 30.0
_BLEND = 0.2
_FIRST_PACE_S = 0.005
"""How long a task is thought to take before any has ended: who is called too early comes back once more."""


class WaitQueue:
    """Times are monotonic seconds."""

    def __init__(self, queue: QueueState, gate: str, limits: Limits, *, cpu: bool, processes: int) -> None:
        self.queue = queue
        self.gate = gate
        """What is counted together."""
        self.limits = limits
        self.cpu = cpu
        """Whether its tasks run in processes."""
        self.jobs: deque[LeasedTask] = deque()
        """Waiting, the next one first."""
        self.running: set[LeasedTask] = set()
        """Started, or asking Redis."""
        self.ended: list[tuple[bytes, str]] = []
        """Gave a permit back; Redis hears of it at the next ask."""
        self.closed_until = 0.0
        """Refused till then."""
        self._reported = 0
        self._rate_opens = 0.0
        self._moved_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._pace_s = _FIRST_PACE_S
        self._booked_until = 0.0
        caps = [cap for cap in (limits.max_concurrency, limits.max_per_worker, cpu and processes) if cap]
        self._cap = min(caps, default=0)

    @property
    def capped(self) -> bool:
        """Whether its tasks may have to wait for more than a free slot."""
        return self._cap > 0 or self.limits.rate is not None

    def join(self, job: LeasedTask, now: float) -> None:
        """One more waits."""
        if not self.jobs and not self.running:
            self._moved_at = max(self._moved_at, now)
        self.jobs.append(job)

    def recall(self) -> list[LeasedTask]:
        """Those that wait, out of here, but for those that will fail at once."""
        jobs = [job for job in self.jobs if job.fate is None]
        self.jobs = deque(job for job in self.jobs if job.fate is not None)
        return jobs

    def doomed(self) -> list[LeasedTask]:
        """Those that will fail at once, out of here."""
        jobs = [job for job in self.jobs if job.fate is not None]
        self.jobs = deque(job for job in self.jobs if job.fate is None)
        return jobs

    def room(self, now: float) -> int:
        """How many of those that wait may start, as far as this worker knows."""
        if self.closed_until > now:
            return 0
        return min(len(self.jobs), self._cap - len(self.running)) if self._cap else len(self.jobs)

    def begin(self, now: float) -> LeasedTask:
        """The next one is to start."""
        if not self.limits.shared:
            self._moved_at = now
        job = self.jobs.popleft()
        self.running.add(job)
        return job

    def end(self, job: LeasedTask, now_ms: int) -> None:
        """One ran; its slot is free."""
        self.running.discard(job)
        if job.started_ms:
            self._pace_s += (max(0, now_ms - job.started_ms) / 1000 - self._pace_s) * _BLEND
        self._pause_s, self.closed_until = _FIRST_PAUSE_S, min(self.closed_until, self._rate_opens)
        if self.limits.max_concurrency:
            self.ended.append((job.id, job.holder))

    def refuse(self, jobs: list[LeasedTask]) -> None:
        """These may not start; they keep their places."""
        self.running.difference_update(jobs)
        self.jobs.extendleft(reversed(jobs))

    def report(self) -> list[tuple[bytes, str]]:
        """Who gave a permit back, for Redis; until it has answered they may be told again."""
        self._reported = len(self.ended)
        return self.ended

    def answered(self, permit: Permit | None, asked: int, now: float) -> None:
        """Redis has decided: when to ask again. None: it did not; what it takes to answer says nothing of the queue."""
        if permit is None:
            self._moved_at = now
            return
        self.ended = self.ended[self._reported :]
        if permit.granted:
            self._moved_at, self._pause_s = now, _FIRST_PAUSE_S
        if permit.granted == asked:
            return
        if permit.wait_ms == WHEN_ONE_ENDS:
            self._rate_opens = 0.0
            self.closed_until = now + self._pause_s * (0.5 + random() / 2)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        else:
            self._rate_opens = self.closed_until = now + max(permit.wait_ms / 1000, _SOONEST_S)

    def quota(self, now: float) -> int:
        """How many may wait here: about two seconds of work; none while nothing moves for long."""
        stuck = not self.running and self.closed_until > now and now - self._moved_at > _STUCK_S
        if stuck or self.closed_until - now > _STUCK_S or self._blocked(now):
            return 0
        return max(self._cap, 1, math.ceil(self._speed(now) * _AHEAD_S))

    def _blocked(self, now: float) -> bool:
        """Whether this worker's own places are taken by tasks that take long: others may have some."""
        return 0 < self._cap <= len(self.running) and not self.limits.shared and now - self._moved_at > _PATIENCE_S

    def _speed(self, now: float) -> float:
        """Starts per second to count on: what the limits allow; when none was possible for long, hardly any."""
        speed = self.limits.rate.per_second if self.limits.rate else math.inf
        if self._cap:
            speed = min(speed, self._cap / max(self._pace_s, 0.001), 1 / max(now - self._moved_at - _PATIENCE_S, 0.001))
        return speed

    def later_ms(self, now: float) -> int:
        """Milliseconds until one that is given back comes again: each a little after the one before, and the first
        while half of those that wait here are still waiting."""
        longest = _LATEST_S if self.limits.shared else _LATEST_HERE_S
        speed = self._speed(now)
        soonest = now + max(self.closed_until - now, len(self.jobs) / speed / 2)
        self._booked_until = min(max(self._booked_until, soonest), now + longest) + 1 / speed
        wait = self._booked_until - now
        if wait > longest:
            wait = longest * (0.5 + random() / 2)
        return int(max(wait, self.closed_until - now) * 1000)

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost with it."""
        return not self.jobs and not self.running
