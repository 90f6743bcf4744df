"""The operator's door: looking at queues and tasks, and acting on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Unpack

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.jobs import lookup
from hustlex.jobs.bulks import BulkActs
from hustlex.jobs.enqueue.job import as_job
from hustlex.jobs.enqueue.options import Start
from hustlex.jobs.ids import new_id, new_token
from hustlex.jobs.inspect import act, change, errors, fleet, quarantine
from hustlex.jobs.inspect import clone as cloning
from hustlex.jobs.inspect import flows as inspection
from hustlex.jobs.inspect import history as series
from hustlex.jobs.inspect import ops as inspect
from hustlex.jobs.inspect.errors import ErrorGroup
from hustlex.jobs.inspect.history import QueueHistory, RecentMinutes
from hustlex.jobs.inspect.quarantine import FoundParked
from hustlex.jobs.inspect.types import (
    DayStats,
    FoundEvents,
    FoundGroups,
    GroupInfo,
    PeriodicInfo,
    QueueInfo,
    QueueSummary,
    Server,
    TaskInfo,
)
from hustlex.jobs.keys import addressed
from hustlex.jobs.search import flows as searching
from hustlex.jobs.search.match import View
from hustlex.jobs.search.query import Query
from hustlex.jobs.search.types import FoundTasks
from hustlex.jobs.stream import ops as stream
from hustlex.jobs.stream.items import read
from hustlex.jobs.stream.types import Item
from hustlex.jobs.types import Outcome, State
from hustlex.jobs.workflow import flows as steps
from hustlex.jobs.workflow import graph
from hustlex.jobs.workflow.graph import WorkflowGraph
from hustlex.jobs.workflow.plan import FoundSteps


@answering
class Inspector:
    """Looks at queues and acts on them, as Asynq's own tools do. What it does counts as neither processed nor failed.

    Raises NotFound for a queue or task that does not exist, Conflict for a task whose state forbids the action.
    An action whose reply is lost raises OutcomeUnknown: look before repeating it.
    """

    def __init__(self, driver: AsyncDriver, *, clock: Clock = server_clock) -> None:
        self._driver = check.driver(driver)
        self._clock = clock
        self.bulk = BulkActs(driver, clock=clock)

    async def queues(self) -> list[str]:
        """The names of all queues that ever got a task, in order."""
        return await self._driver.run(lookup.queues())

    async def queue(self, name: str) -> QueueInfo:
        """Counts, latency and memory of a queue. Cost: up to 145 tasks are sampled, all groups are counted."""
        return await self._driver.follow(inspection.of_queue(name, inspect.queue(name, self._clock())))

    async def summaries(self, queues: Sequence[str] | None = None) -> list[QueueSummary]:
        """What stands in each queue, 100 in a call (of a cluster 250 at each node): a constant cost each. None: all."""
        names = await self.queues() if queues is None else check.several("queues", queues)
        return await self._driver.follow(inspection.summaries(names, self._clock()))

    async def history(self, queue: str, days: int = 10) -> list[DayStats]:
        """Attempts that ended per UTC day, today first. days: 1 to 90."""
        return await self._driver.follow(inspection.of_queue(queue, inspect.history(queue, days, self._clock())))

    async def time_series(self, queue: str | None = None, *, hours: int = 24, days: int = 30) -> QueueHistory:
        """What happened in a queue, or (None) in all together, by the minute and by the hour; in one call.

        hours: so many back by the minute, 0 to 24. days: so many back by the hour, 0 to 30; 0 = none. Workers in Python
        write it down, for 500 queues; what Go's do is in it.
        """
        return await self._driver.run(series.read(queue, hours, days, self._clock()))

    async def recent(self, queues: Sequence[str]) -> list[RecentMinutes]:
        """Attempts that ended in each of the last 60 minutes, the present one last, of each queue; in one call.

        None where no Python worker looked.
        """
        return await self._driver.run(series.recent(check.several("queues", queues), self._clock()))

    async def failing(self) -> list[str]:
        """Queues in which something failed in the last month, the last one first; 500 at most."""
        return await self._driver.run(errors.failing(errors.MOST_LISTED))

    async def error_groups(self, queues: Sequence[str] | None = None, *, size: int = 50) -> list[ErrorGroup]:
        """Failures that Python workers saw, by what they have in common, the last seen first; size: 1 to 100.

        None: those of the 20 queues in which something failed last, which is the most of ``queues``, too.
        """
        names = None if queues is None else check.several("queues", queues)
        return await self._driver.follow(errors.newest(names, size, self._clock()))

    async def mute_errors(self, queue: str, signature: str, *, length: timedelta | None = None) -> None:
        """Let one group of failures need no attention: nobody is told of it, and it is counted on.

        length: for so long, 1 second to 30 days; None: until a task fails so again. Raises NotFound.
        """
        await self._driver.run(errors.mute(queue, signature, length, self._clock()))

    async def unmute_errors(self, queue: str, signature: str) -> None:
        """Let it need attention as any other. Raises NotFound."""
        await self._driver.run(errors.unmute(queue, signature))

    async def groups(self, queue: str) -> list[GroupInfo]:
        """All groups with tasks waiting for aggregation, by name; a call for each hundred."""
        return await self._driver.follow(inspection.groups(queue))

    async def scan_groups(self, queue: str, *, cursor: str = "", size: int = 50) -> FoundGroups:
        """Some groups with tasks waiting for aggregation, and since when; costs the same however many there are.

        cursor: the page before's. size: about so many, 1 to 100. A group that stays is on one page; on two, should the
        others become few meanwhile.
        """
        return await self._driver.follow(inspection.of_queue(queue, inspect.scan_groups(queue, cursor, size)))

    async def tasks(self, queue: str, state: State, *, size: int = 30, group: str = "") -> list[TaskInfo]:
        """The first of a queue's tasks; ``search`` has all. size: 1 to 1000. group: for AGGREGATING, and only then.

        Pending: next to run first; active: longest running first; the others: by time, earliest first.
        """
        op = inspect.tasks(queue, state, size, group, self._clock())
        return await self._driver.follow(inspection.of_queue(queue, op))

    async def task(self, queue: str, task_id: str) -> TaskInfo:
        """One task, in whatever state. Raises NotFound."""
        return await self._driver.run(inspect.task(queue, task_id, self._clock()))

    async def told(self, queue: str, task_id: str) -> list[Item]:
        """What a job told while it ran, and how its attempts ended, as ``Jobs.follow`` has it.

        The newest 100 items, the earliest of them first, kept for a day after the last. A job that neither logs nor
        reports progress leaves none.
        """
        seen = await self._driver.run(stream.glance(queue, task_id, stream.LAST))
        return [item for entry in reversed(seen.items) if (item := read(entry)) is not None]

    async def search(
        self,
        query: str | Query,
        *,
        queues: Sequence[str] | None = None,
        cursor: str = "",
        size: int = 50,
        view: View | None = None,
    ) -> FoundTasks:
        """One page of the tasks a query asks for, as ``state:retry type:gig:* error~timeout age>1h``.

        queues: the only ones in which to look, None = all. size: at most so many tasks, 1 to 500. cursor: the page
        before's. view: what of a value may be seen, and so found: ``view(kind, value, task_type)``; None = all of it.
        A page looks at 2,000 tasks at most, with 40 calls; what it did not come to stands behind its ``cursor``. Tasks
        that stay where they are stand on exactly one page, whatever happens around them; who moves meanwhile may be met
        twice, or not at all. Scheduled and retried: next start first; pending: next to run first; finished: newest
        first; running: in no order. Grammar: docs/guides/dashboard.md. Raises Misuse with what is wrong, and where.
        """
        asked = searching.asked(query, self._clock())
        budget = searching.Budget(size=check.whole("size", size, 1, searching.MOST_FOUND))
        names = (
            await self.queues()
            if queues is None
            else [addressed("queue", name) for name in check.several("queues", queues)]
        )
        shown = None if view is None else check.function("view", view)
        return await self._driver.follow(searching.search(asked, names, cursor, shown, budget, self._clock()))

    async def run(self, queue: str, task_id: str) -> None:
        """Run a scheduled, retry, archived, completed or aggregating task now, behind what is pending.

        Its crashes are forgotten. One that ended has the lock of ``unique_until="done"`` again. Raises Conflict when
        another task holds its lock.
        """
        await self._driver.run(act.run(queue, task_id, self._clock()))

    async def run_all(self, queue: str, state: State, *, group: str = "") -> int:
        """Run all SCHEDULED, RETRY, ARCHIVED or (of one group) AGGREGATING tasks now; answers how many.

        Those whose lock another task holds stay in the archive. The others' crashes are forgotten. In steps of 500,
        until as many as there were at the start are done.
        """
        return await self._driver.follow(inspection.every(queue, act.run_all(queue, state, group, self._clock())))

    async def archive(self, queue: str, task_id: str) -> None:
        """Put a task that is not active into the archive, which keeps the newest 9,999 for up to 90 days."""
        await self._driver.run(act.archive(queue, task_id, self._clock()))

    async def archive_all(self, queue: str, state: State, *, group: str = "") -> int:
        """Archive all PENDING, SCHEDULED, RETRY or (of one group) AGGREGATING tasks; answers how many."""
        return await self._driver.follow(inspection.every(queue, act.archive_all(queue, state, group, self._clock())))

    async def delete(self, queue: str, task_id: str) -> None:
        """Delete a task that is not active, and give its uniqueness lock back."""
        await self._driver.run(act.delete(queue, task_id))

    async def delete_all(self, queue: str, state: State, *, group: str = "") -> int:
        """Delete all tasks of one state but ACTIVE, and their uniqueness locks; answers how many."""
        return await self._driver.follow(inspection.every(queue, act.delete_all(queue, state, group)))

    async def update_payload(self, queue: str, task_id: str, payload: Any) -> None:
        """Give a scheduled task another payload: None, bytes as they are, anything else as JSON.

        What is unique about it stays as it was, as in Asynq. A change by somebody else in between is kept.
        Raises NotFound, Conflict when it is not scheduled.
        """
        await self._driver.follow(inspection.update_payload(queue, task_id, as_job("any", payload).payload))

    async def merge_payload(self, queue: str, task_id: str, changes: dict[str, Any]) -> None:
        """Change some of a scheduled task's payload, which is a JSON object, and leave the rest as it is.

        changes: merged into it as RFC 7396 says: objects name by name, None takes a name out. Raises NotFound, Conflict
        when it is not scheduled or its payload is no object.
        """
        merge = partial(cloning.patched, changes=cloning.changes(changes))
        await self._driver.follow(inspection.update_payload(queue, task_id, merge))

    async def quarantined(self, queue: str, *, cursor: str = "", size: int = 50) -> FoundParked:
        """Some of the messages that workers set aside because they could not decode them; they are kept for 30 days.

        cursor: the page before's. size: about so many, 1 to 100.
        """
        return await self._driver.run(quarantine.scan(queue, cursor, size))

    async def put_back(self, queue: str, task_id: str) -> None:
        """Put a message that was set aside into pending again. Raises NotFound; Conflict where it cannot be decoded."""
        await self._driver.follow(quarantine.put_back(queue, task_id, self._clock()))

    async def discard(self, queue: str, task_id: str) -> None:
        """Delete a message that was set aside. Raises NotFound."""
        await self._driver.run(quarantine.discard(queue, task_id))

    async def clone(
        self, queue: str, task_id: str, *, to: str | None = None, changes: dict[str, Any] | None = None
    ) -> Outcome[Any]:
        """Enqueue a task once more, to run now, under a new id; the header ``cloned-from`` names the original.

        It has the same type, payload, headers, retries, timeout and retention; neither its start and deadline, nor its
        lock and group. to: another queue. changes: to its payload, as of ``merge_payload``. Raises NotFound, Conflict.
        """
        given = None if changes is None else cloning.changes(changes)
        flow = cloning.clone(queue, task_id, to, given, new_id(), new_token(), self._clock())
        return await self._driver.follow(flow)

    async def reschedule(self, queue: str, task_id: str, **start: Unpack[Start]) -> None:
        """Give a scheduled or retried task another start: ``process_in`` or ``process_at``; in the past means now.

        Its uniqueness lock follows a later start. Raises NotFound, Conflict when it does not wait for a start.
        """
        await self._driver.run(change.reschedule(queue, task_id, start, self._clock()))

    async def delete_queue(self, queue: str, *, force: bool = False) -> None:
        """Remove a queue, its counters, its limit and its finished tasks; with ``force`` all its other tasks as well.

        Gives uniqueness locks back, and leaves nothing but keys of ours that expire, where Asynq leaves completed
        tasks, groups, counters, locks and the pause. In steps of 500 tasks, paused meanwhile; should it break off,
        repeat it. Who enqueues later makes a new queue. It is listed, and looked through by
        ``cancel`` and ``result``, from the next enqueue on that is over ten seconds later, or when a worker of ours has
        held one of its tasks for five.
        Raises NotFound, Conflict when tasks are active, or when any wait or are archived and ``force`` is not set.
        """
        await self._driver.follow(inspection.delete_queue(queue, force, self._clock()))

    async def pause(self, queue: str) -> bool:
        """Stop workers from taking tasks; enqueueing goes on. False when the queue was paused already."""
        return await self._driver.run(act.pause(queue, self._clock()))

    async def unpause(self, queue: str) -> bool:
        """Let workers take tasks again. False when the queue was not paused."""
        return await self._driver.run(act.unpause(queue))

    async def cancel(self, task_id: str) -> int:
        """Ask whoever is running this task to cut it off; it is then retried as after any failure (Asynq's rule).

        Returns how many workers heard it, 0 when none is up; whether one of them ran the task is not known. See
        ``Jobs.cancel`` for a task that is not to be tried again.
        """
        return await self._driver.follow(act.cancel(task_id))

    async def stop_worker(self, server_id: str) -> int:
        """Ask a worker process to stop as SIGTERM does: it takes no more tasks, and has its grace for those it runs.

        Whatever keeps it running (`hustlex up`, `--processes`, an orchestrator) starts it again. Returns how many
        connections heard it: 0 for a process that is gone, of Go, or whose link to the server is broken right now.
        """
        return await self._driver.follow(act.stop_worker(server_id))

    async def servers(self, *, running_of: Collection[str] | None = None) -> list[Server]:
        """Worker processes, Python and Go, that sent a heartbeat in the last 10 seconds, and what they run.

        running_of: ids of those whose running tasks are read, a call each; None: all.
        """
        ids = None if running_of is None else check.several("running_of", running_of)
        return await self._driver.follow(inspection.servers(self._clock(), ids))

    async def scheduler_entries(self) -> list[PeriodicInfo]:
        """Periodic entries of the schedulers that sent a heartbeat in the last 20 seconds, by spec."""
        return await self._driver.follow(inspection.scheduler_entries(self._clock()))

    async def open_steps(self, *, cursor: str = "", size: int = 30) -> FoundSteps:
        """Some of the steps of workflows that others wait for, of all queues, in no order.

        cursor: the page before's. size: about so many, 1 to 1000. A step that stays is on one page; on two, should the
        others become few meanwhile.
        """
        return await self._driver.follow(steps.open_steps(cursor, size))

    async def workflow(self, queue: str, step_id: str, *, queues: Sequence[str] | None = None) -> WorkflowGraph:
        """The steps of a step's workflow, where each is, and who waits for whom, as far as records and tasks tell.

        queues: the only others in which to look, None = all. 200 steps by their positions, those around this one; one
        call in each of 40 queues at most, in which links lead from one to the next. Raises NotFound.
        """
        names = None if queues is None else [addressed("queue", name) for name in check.several("queues", queues)]
        flow = graph.show(addressed("queue", queue), addressed("step_id", step_id), names, self._clock())
        return await self._driver.follow(flow)

    async def enqueue_events(self, entry_id: str, *, cursor: str = "", size: int = 30) -> FoundEvents:
        """When a periodic entry fired and which task it made, newest first; at most 1000 are kept.

        cursor: the page before's. size: at most so many, 1 to 1000.
        """
        return await self._driver.run(fleet.events(entry_id, cursor, size))
