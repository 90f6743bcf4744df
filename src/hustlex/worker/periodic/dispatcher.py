"""The entries of one scheduler, whoever named them: fires what is due, and keeps them listed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver, Op
from hustlex.core.telemetry import tell_fired
from hustlex.errors import Error
from hustlex.jobs.enqueue.ops import register
from hustlex.jobs.enqueue.options import option_texts
from hustlex.jobs.schedule import firing
from hustlex.jobs.schedule import ops as schedules
from hustlex.jobs.schedule.firing import Fired
from hustlex.jobs.schedule.periodic import Periodic, ScheduleInfo, described, from_json
from hustlex.jobs.wire import NEVER_NS, SchedulerEnqueueEvent, SchedulerEntry, encode_entry, encode_event
from hustlex.worker.clock import WorkerClock, monotonic
from hustlex.worker.maintain.heartbeat import this_host
from hustlex.worker.periodic.entry import Entry
from hustlex.worker.service import Service

_log = logger("hustlex.worker")

_BEAT_S = 10.0
_LIFE_S = 20
_LOOK_S = 1.5
"""How often to ask whether stored entries changed."""
_LONGEST_MS = 3_600_000
_MOST_ROUNDS = 1_000

_WHY = {Fired.FULL: "its queue is full", Fired.NOT: "its id or its lock is taken"}
_TOLD = {Fired.NOW: "fired", Fired.BEFORE: "duplicate"}

Origin = Literal["code", "stored", "provided"]
"""Who named an entry. Of two with one name the first in this order counts."""


class ScheduleDispatcher(Service):
    """Fires what is due and keeps the entries listed. What was paused or changed before an instant is obeyed at it."""

    name = "scheduler"

    def __init__(self, driver: AsyncDriver, clock: WorkerClock) -> None:
        super().__init__()
        self.id = f"{this_host()}:{os.getpid()}:{uuid.uuid4()}"
        self.entries: dict[str, Entry] = {}
        self._driver = driver
        self._clock = clock
        self._named: dict[Origin, dict[str, Periodic]] = {"code": {}, "stored": {}, "provided": {}}
        self._state: dict[str, int] = {}
        self._broken: list[ScheduleInfo] = []
        self._known = ""
        self._look_at = self._beat_at = float("-inf")
        self._fault: Error | None = None

    def take(self, origin: Origin, entries: Iterable[Periodic]) -> None:
        """All that this origin names, from now on. An entry that stays as it was keeps its place in time."""
        self._named[origin] = {entry.name: entry for entry in entries}
        merged = {**self._named["provided"], **self._named["stored"], **self._named["code"]}
        self.entries = {name: self._entry_of(periodic) for name, periodic in merged.items()}
        self._beat_at = float("-inf")
        self.wake()

    def _entry_of(self, periodic: Periodic) -> Entry:
        known = self.entries.get(periodic.name)
        if known is not None and known.periodic == periodic:
            return known
        entry = Entry(periodic)
        entry.previous_ms = known.previous_ms if known else -1
        entry.hold(self._state.get(periodic.name, 0))
        return entry

    def ill(self) -> str:
        """What keeps it from working, or which stored entries it cannot fire, "" = nothing."""
        if (reason := super().ill()) or not self._broken:
            return reason
        first, others = self._broken[0], len(self._broken) - 1
        more = f" (and {others} more)" if others else ""
        return f"the stored periodic entry {first.name!r} cannot fire: {first.trouble}{more}"

    async def tick(self) -> float:
        """Look for changes, fire what is due, list the entries every 10 s."""
        self._fault = None
        if monotonic() >= self._look_at or self._due():
            await self._look()
        if self._known:
            await self._anchor()
            await self._fire_due()
        if monotonic() >= self._beat_at:
            await self._beat()
        if self._fault:
            raise self._fault
        return max(0.001, min(self._wait_s(), self._look_at - monotonic(), self._beat_at - monotonic()))

    def _due(self) -> list[Entry]:
        now_ms = self._clock.now_ms()
        return [entry for entry in self.entries.values() if entry.due(now_ms)]

    def _wait_s(self) -> float:
        now_ms = self._clock.now_ms()
        waits = (entry.next_ms for entry in self.entries.values() if entry.next_ms >= 0 and not entry.paused)
        return (min(waits, default=now_ms + _LONGEST_MS) - now_ms) / 1000

    async def _look(self) -> None:
        asked = monotonic()
        answer = (await self._all([schedules.changes(self._known, self._clock.for_script())]))[0]
        if isinstance(answer, Error):
            return
        self._look_at = monotonic() + _LOOK_S
        self._clock.learn(answer if isinstance(answer, int) else answer.now_ms, asked, monotonic())
        if isinstance(answer, schedules.Book):
            self._read(answer)

    def _read(self, book: schedules.Book) -> None:
        self._known, self._state = book.version, book.state
        stored, self._broken = [], []
        for name, definition in book.stored.items():
            try:
                stored.append(from_json(name, definition))
            except Error as error:
                _log.error("the stored periodic entry %r is passed over: %s", name, error)
                self._broken.append(described(name, definition, False, False, book.now_ms))
        self.take("stored", stored)
        for name, entry in self.entries.items():
            entry.hold(book.state.get(name, 0))

    async def _anchor(self) -> None:
        """Find the place in time of new entries."""
        new = [entry for entry in self.entries.values() if not entry.anchored]
        now_ms, given_ms = self._clock.now_ms(), self._clock.for_script()
        answers = await self._all([entry.anchor(now_ms, given_ms) for entry in new])
        for entry, answer in zip(new, answers, strict=True):
            if not isinstance(answer, Error):
                entry.begin(answer, now_ms)

    async def _fire_due(self) -> None:
        """In rounds of one instant of each entry: an instant counts as taken care of once a later one was fired."""
        failed: set[Entry] = set()
        for _ in range(_MOST_ROUNDS):
            due = [entry for entry in self._due() if entry not in failed]
            if not due:
                return
            failed.update(await self._fire(due))
            self._beat_at = float("-inf")

    async def _fire(self, due: Sequence[Entry]) -> list[Entry]:
        """One instant of each; answers the entries whose call failed."""
        now_ms, given_ms = self._clock.now_ms(), self._clock.for_script()
        calls = [entry.fire(now_ms, given_ms) for entry in due]
        queues = [register(queue) for queue in {entry.queue for entry in due}]
        answers = (await self._all([*queues, *(call for _, call in calls)]))[len(queues) :]
        failed: list[Entry] = []
        events: list[Op[Any]] = []
        refused: dict[str, str] = {}
        for entry, (task_id, _), answer in zip(due, calls, answers, strict=True):
            if isinstance(answer, Error):
                entry.put_back()
                failed.append(entry)
                tell_fired(self._driver.hook, "failed", 0.0)
                continue
            entry.fired()
            tell_fired(self._driver.hook, _TOLD.get(answer, "refused"), (now_ms - entry.previous_ms) / 1000)
            if answer is Fired.NOW:
                event = encode_event(SchedulerEnqueueEvent(task_id, now_ms * 1_000_000))
                events.append(firing.record(entry.id, now_ms // 1000, event))
            elif answer is not Fired.BEFORE:
                refused[entry.periodic.name] = why = _WHY[answer]
                _log.warning("%s was not enqueued: %s", task_id, why)
        if refused:
            events.append(schedules.note_refused(refused, given_ms))
        await self._all(events)
        return failed

    async def _beat(self) -> None:
        shown = [*(entry.shown() for entry in self.entries.values()), *map(_shown, self._broken)]
        calls: list[Op[Any]] = [*firing.write_entries(self.id, shown, self._clock.now_ms() // 1000 + _LIFE_S)]
        in_code: Mapping[str, Periodic] = {**self._named["provided"], **self._named["code"]}
        if in_code:
            calls.append(schedules.publish(in_code, self._clock.for_script()))
        if not any(isinstance(answer, Error) for answer in await self._all(calls)):
            self._beat_at = monotonic() + _BEAT_S

    async def _all(self, calls: Sequence[Op[Any]]) -> list[Any]:
        """Answers, errors among them; the first is raised at the end of the pass: it does not stop the rest."""
        answers: list[Any] = await self._driver.run_many(calls) if calls else []
        faults = (answer for answer in answers if isinstance(answer, Error))
        self._fault = self._fault or next(faults, None)
        return answers

    async def leave(self) -> None:
        """Take the entries off the registry. Raises what the driver raises."""
        self._fault = None
        await self._all(firing.clear_entries(self.id))
        if self._fault:
            raise self._fault


def _shown(broken: ScheduleInfo) -> bytes:
    """For the registry, one that cannot fire."""
    job = broken.job
    texts = option_texts(job.options)
    return encode_entry(SchedulerEntry(broken.id, broken.spec, job.type, job.payload, texts, NEVER_NS, NEVER_NS))
