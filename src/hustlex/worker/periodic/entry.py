"""A periodic entry in the hands of one scheduler, and its place in time."""

from __future__ import annotations

from collections import deque

from hustlex.core.op import Op
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, option_texts
from hustlex.jobs.keys import queue_keys
from hustlex.jobs.schedule import firing
from hustlex.jobs.schedule.firing import Fired
from hustlex.jobs.schedule.ops import PAUSED
from hustlex.jobs.schedule.periodic import Periodic
from hustlex.jobs.wire import NEVER_NS, SchedulerEntry, clean, encode_entry

_REMEMBERED_S = 60 * 86_400
_LATE_MS = 60_000
"""With ``missed="skip"``, an instant this old is late, not missed: a scheduler that restarts in a deploy fires it."""
_NS = 1_000_000


class Entry:
    """Unix ms throughout, -1 = none. next_ms: when it is due. previous_ms: the last instant that this scheduler fired.

    paused: not due, whatever next_ms says. anchored: whether it is known which instants are taken care of.
    """

    def __init__(self, periodic: Periodic) -> None:
        self.periodic = periodic
        self.id = periodic.id
        self.queue = queue_keys(clean(periodic.job.options.get("queue", DEFAULT_QUEUE))).name
        self.next_ms = -1
        self.previous_ms = -1
        self.paused = False
        self.anchored = False
        self._since_ms = 0
        self._done_ms = -1
        self._looked_ms = -1
        self._waiting: deque[int] = deque()

    def hold(self, state: int) -> None:
        """Take over whether it is paused, and from when on its instants count."""
        self.paused = state == PAUSED
        if state > self._since_ms:
            self._since_ms = state
            if self.anchored and state > self._done_ms:
                self._plan(state)

    def anchor(self, now_ms: int, given_ms: int) -> Op[int]:
        """Ask up to which instant others took care of it."""
        life_s, spec = self._life_s(now_ms, now_ms), clean(f"{self.periodic.dst} {self.periodic.spec}")
        return firing.anchor(self.id, self.queue, self._since_ms, life_s, given_ms, spec=spec)

    def begin(self, last_ms: int, now_ms: int) -> None:
        """The answer: go on from there, or from as late as its rule for missed instants says."""
        kept = now_ms - _LATE_MS if self.periodic.missed == "skip" else 0
        self.anchored = True
        self._plan(max(last_ms, self._since_ms, kept))

    def _plan(self, done_ms: int) -> None:
        self._done_ms = done_ms
        self._waiting.clear()
        self.next_ms = self.periodic.next_ms(done_ms)

    def due(self, now_ms: int) -> bool:
        """Whether an instant waits to be fired: all that passed, or only the last one of them."""
        if self.paused or not self.anchored:
            return False
        if not self._waiting and 0 <= self.next_ms <= now_ms:
            most = self.periodic.max_missed if self.periodic.missed == "all" else 1
            self._waiting.extend(self.periodic.passed(self._done_ms, now_ms, most))
            self._looked_ms = now_ms
        return bool(self._waiting)

    def fire(self, now_ms: int, given_ms: int) -> tuple[str, Op[Fired]]:
        """The id of the task of the first instant that waits, and the call that enqueues it."""
        instant_ms = self._waiting[0]
        made = self.periodic.at(instant_ms)
        return made.id, firing.fire(self.id, instant_ms, self._life_s(instant_ms, now_ms), made, given_ms)

    def fired(self) -> None:
        """That instant is taken care of."""
        self.previous_ms = self._done_ms = self._waiting.popleft()
        if not self._waiting:
            self._plan(max(self._done_ms, self._looked_ms))

    def put_back(self) -> None:
        """That call failed: look again at the next pass."""
        self._waiting.clear()

    def _life_s(self, instant_ms: int, now_ms: int) -> int:
        """Seconds to remember an instant: until long after the next one, so that a missed one is noticed."""
        following_ms = self.periodic.next_ms(instant_ms)
        return max(following_ms - now_ms, 0) // 1000 + _REMEMBERED_S

    def shown(self) -> bytes:
        """For the registry."""
        job = self.periodic.job
        previous_ns = NEVER_NS if self.previous_ms < 0 else self.previous_ms * _NS
        next_ns = NEVER_NS if self.next_ms < 0 or self.paused else self.next_ms * _NS
        options = option_texts(job.options)
        return encode_entry(
            SchedulerEntry(self.id, self.periodic.spec, job.type, job.payload, options, next_ns, previous_ns)
        )
