"""The producer's side (``Jobs``) and the operator's (``Inspector``). Workers live in ``hustlex.worker``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any, ClassVar, Unpack, overload

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.generics import T
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.jobs import cancelling, explain, flows, inspection, schedules, steps, stream
from hustlex.jobs.clock_changes import Dst
from hustlex.jobs.explanation import Explanation
from hustlex.jobs.ids import new_id, new_token
from hustlex.jobs.judge import declaration, declared
from hustlex.jobs.keys import addressed
from hustlex.jobs.known import KnownQueues
from hustlex.jobs.ops import act, change, inspect
from hustlex.jobs.ops import enqueue as ops
from hustlex.jobs.ops import schedules as entries
from hustlex.jobs.options import Job, Options, Start, as_job, draft, served
from hustlex.jobs.periodic import MOST_MISSED, Missed, ScheduleInfo, define
from hustlex.jobs.schedules import Changes
from hustlex.jobs.stream import Ending, Succeeded
from hustlex.jobs.types import (
    Cancellation,
    DayStats,
    Debounced,
    Duplicate,
    Enqueued,
    EnqueueEvent,
    GroupInfo,
    IdTaken,
    Outcome,
    PeriodicInfo,
    QueueFull,
    QueueInfo,
    Server,
    State,
    TaskInfo,
)
from hustlex.jobs.workflow import OpenStep, Started, StepName, Workflow


@answering
class Handle(Enqueued[T], frozen=True, eq=False, dict=True):
    """The task was accepted, and here its result can be waited for: ``value = await handle.result(timeout=...)``."""

    _jobs: ClassVar[Any] = None
    _task: ClassVar[Any] = None

    async def result(self, *, timeout: timedelta) -> T:
        """What the handler returned, as its annotation says; or wrote. Looks soon at first, then twice a second.

        Raises Unsuccessful when the job is archived or gone (``outcome``: Failed with the error, Gone), NotReady (also
        a TimeoutError) when it has not ended in this time, PayloadError for bytes that do not fit the annotation.
        Without a ``retention`` a returned value can be had for half a minute, or while somebody waits.
        """
        return (await self.wait(timeout=timeout)).or_raise().result

    async def wait(self, *, timeout: timedelta) -> Ending[T]:
        """The same as a value: Succeeded (result), Failed (error), NotYet or Gone."""
        ending: Ending[Any] = await self._jobs.result(self, timeout=timeout)
        if self._task is None or not isinstance(ending, Succeeded):
            return ending
        return Succeeded(self._task.result.decode(ending.result))


Handle.__name__ = Enqueued.__name__  # what logs and reprs show is the outcome
Placed = Handle[T] | Duplicate | IdTaken | Debounced | QueueFull


@answering
class Jobs:
    """The producer's side of Asynq's queues. Go workers run what it enqueues, and the other way round."""

    def __init__(
        self, driver: AsyncDriver, *, clock: Clock = server_clock, queues: Collection[str] | None = None
    ) -> None:
        """queues: all there are; to enqueue into another one is Misuse. None = any name will do."""
        self._driver = driver
        self._clock = clock
        self._queues = declaration(queues)
        self._known = KnownQueues()
        self.inspector = Inspector(driver, clock=clock)
        self.schedules = Schedules(driver, clock=clock, queues=self._queues)

    @overload
    async def enqueue(self, job: Job[T], **options: Unpack[Options]) -> Placed[T]: ...

    @overload
    async def enqueue(self, job: str, payload: Any = None, **options: Unpack[Options]) -> Placed[bytes | None]: ...

    async def enqueue(self, job: Job[Any] | str, payload: Any = None, **options: Unpack[Options]) -> Placed[Any]:
        """Hand a task to the workers, now or later (one round trip).

        job: ``task.job(...)``, or a task type with its payload: None, bytes as they are, anything else as JSON.
        options: see ``Options``; they win over the task's own.
        Returns a handle, which is Enqueued; or, when nothing was enqueued, Duplicate (of: the id that holds the lock),
        IdTaken, Debounced (the task that waits was changed and put off) or QueueFull. Look at it, or call ``or_raise``.
        A call whose reply is lost is repeated under the same token and has one effect.
        Raises Misuse for options that can never work, Timeout when the outcome stayed unknown for 5 seconds: repeat
        it then only with a ``task_id`` or ``unique_for``. Source: lua/enqueue_plain.lua; lua/enqueue.lua
        for a task that is to run later, is unique or in a group.
        """
        token = new_id()  # names the call, and the task when the caller does not
        made = as_job(job, payload)
        placed = served(draft(made, options, token), self._queues)
        if self._known.missing(placed.queue):
            outcome = await self._driver.follow(flows.enqueue(placed, token, self._clock(), self._known))
        else:
            outcome = await self._driver.run(ops.enqueue_one(placed, token, self._clock()))
        return self._handle(outcome, made)

    def _handle(self, outcome: Outcome[Any], job: Job[Any]) -> Placed[Any]:
        if not isinstance(outcome, Enqueued):
            return outcome
        handle: Handle[Any] = Handle(outcome.id, outcome.queue, outcome.state)
        vars(handle).update(_jobs=self, _task=job.task)
        return handle

    async def enqueue_many(self, jobs: Iterable[Job[T]]) -> list[Placed[T]]:
        """Hand over many tasks: one round trip and one atomic step per 500 of a queue; outcomes in the order given.

        Raises Misuse before anything is sent, PartlyEnqueued (results) when only some of the steps failed.
        """
        check.instance("jobs", jobs, Iterable, hint="pass a list of jobs")
        made = list(jobs)
        drafts = [served(draft(job, {}, new_id()), self._queues) for job in made]
        outcomes = await self._driver.follow(flows.enqueue_many(drafts, new_token(), self._clock(), self._known))
        return [self._handle(outcome, job) for outcome, job in zip(outcomes, made, strict=True)]

    async def start(self, workflow: Workflow, *, workflow_id: str | None = None) -> Started:
        """Start a workflow: ``one.then(two)``, ``gather(one, two, then=three)``, or both combined.

        Each step is enqueued once, when all steps before it have succeeded; what they wrote as results can be among
        its arguments (RESULT, RESULTS). A step that is archived stops what comes behind it, until somebody runs it
        again with success; ``explain`` and ``Inspector.open_steps`` show who waits for whom. Go workers may run any
        step, in queues of their own too, as long as a Python worker runs anywhere. A step waits at most 90 days.
        workflow_id: a random UUID; starting the same id again has no effect while it runs, and for a day after its
        first steps. Task ids are ``<workflow id>:<position>``. ``expires_in`` and ``process_in`` of a step count from
        the moment in which those before it have succeeded. Raises Misuse for a step with ``task_id``,
        ``if_finished``, ``group``, uniqueness or a placeholder that cannot be filled, Conflict when another task has such an id, Timeout or
        Unavailable when it may have been started in part: repeat it then with the same id. Source: lua/plant.lua.
        """
        return await self._driver.follow(
            steps.start(
                workflow, new_id() if workflow_id is None else workflow_id, self._clock(), self._known, self._queues
            )
        )

    async def result(
        self, task: str | Enqueued[Any] | StepName, *, timeout: timedelta, queue: str | None = None
    ) -> Ending[bytes | None]:
        """Wait until a job has ended, looking soon at first and then twice a second.

        task: an id, a handle, or a step. queue: None = that of the handle or step; for an id, look in all.
        Returns Succeeded (result, as it is kept), Failed (error) when it is archived, NotYet when the time is up, or
        Gone. A job that is not kept (``retention``) leaves a trace for some minutes if somebody waited for it, for half
        a minute if it returned something, for a day if its handler reported progress or wrote a log.
        """
        patience_s = check.duration("timeout", timeout).total_seconds()
        task_id, queue = _addressed(task, queue)
        return await self._driver.follow(stream.wait(queue, task_id, patience_s))

    async def explain(self, task_id: str, *, queue: str | None = None) -> Explanation:
        """Say why a task is not running, when it will, and why it ran more than once; in fields and in words.

        queue: None = look in all. Also for steps of a workflow that have not started. One step in the task's queue,
        then reads of the registry of workers. Cost: up to 10,000 pending ids are compared.
        """
        return await self._driver.follow(explain.explain(task_id, queue, self._clock()))

    async def limit_queue(self, queue: str, *, max_size: int | None) -> None:
        """Let a queue hold at most this many unfinished tasks; None lifts the limit.

        It is kept in Redis and obeyed, in the atomic step of each enqueue, by every producer of this package, periodic
        entries included; a full queue answers QueueFull. Go's producers do not know it. What brings no new task is not
        held up: retries, recovery, aggregation, and the inspector's ``run``. With many groups in the queue each enqueue
        costs one look at each of them.
        """
        await self._driver.run(ops.limit(declared(queue, self._queues), max_size))

    async def cancel(self, task: str | Enqueued[Any] | StepName, *, queue: str | None = None) -> Cancellation:
        """See to it that a task never runs, or is stopped and not tried again.

        task: an id, a handle, or a step. queue: None = that of the handle or step; for an id, look in all.
        Returns NeverRuns when it waited (it is in the archive now, its uniqueness lock is free), Stopping when a worker
        runs it, TooLate when it has ended or no queue knows it. Raises Conflict when several queues have unfinished
        tasks of this id: name one. A step of a workflow that has not started never starts then (NeverRuns, was=None),
        and neither do those behind a cancelled one.
        """
        task_id, queue = _addressed(task, queue)
        return await self._driver.follow(cancelling.cancel(task_id, queue, self._clock()))


@answering
class Inspector:
    """Looks at queues and acts on them, as Asynq's own tools do. What it does counts as neither processed nor failed.

    Raises NotFound for a queue or task that does not exist, Conflict for a task whose state forbids the action.
    An action whose reply is lost raises OutcomeUnknown: look before repeating it.
    """

    def __init__(self, driver: AsyncDriver, *, clock: Clock = server_clock) -> None:
        self._driver = driver
        self._clock = clock

    async def queues(self) -> list[str]:
        """The names of all queues that ever got a task, in order."""
        return await self._driver.run(inspect.queues())

    async def queue(self, name: str) -> QueueInfo:
        """Counts, latency and memory of a queue. Cost: up to 145 tasks are sampled, all groups are counted."""
        return await self._driver.follow(inspection.of_queue(name, inspect.queue(name, self._clock())))

    async def history(self, queue: str, days: int = 10) -> list[DayStats]:
        """Attempts that ended per UTC day, today first. days: 1 to 90."""
        return await self._driver.follow(inspection.of_queue(queue, inspect.history(queue, days, self._clock())))

    async def groups(self, queue: str) -> list[GroupInfo]:
        """The groups with tasks waiting for aggregation, by name."""
        return await self._driver.follow(inspection.of_queue(queue, inspect.groups(queue)))

    async def tasks(
        self, queue: str, state: State, *, page: int = 1, size: int = 30, group: str = ""
    ) -> list[TaskInfo]:
        """One page of a queue's tasks. page: from 1. size: 1 to 1000. group: for AGGREGATING, and only then.

        Pending: next to run first; active: longest running first; the others: by time, earliest first.
        """
        return await self._driver.follow(
            inspection.of_queue(queue, inspect.tasks(queue, state, page, size, group, self._clock()))
        )

    async def task(self, queue: str, task_id: str) -> TaskInfo:
        """One task, in whatever state. Raises NotFound."""
        return await self._driver.run(inspect.task(queue, task_id, self._clock()))

    async def run(self, queue: str, task_id: str) -> None:
        """Run a scheduled, retry, archived, completed or aggregating task now, behind what is pending.

        Its crashes are forgotten.
        """
        await self._driver.run(act.run(queue, task_id, self._clock()))

    async def run_all(self, queue: str, state: State, *, group: str = "") -> int:
        """Run all SCHEDULED, RETRY, ARCHIVED or (of one group) AGGREGATING tasks now; answers how many.

        Their crashes are forgotten. In steps of 500, until as many as there were at the start are done.
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

    async def reschedule(self, queue: str, task_id: str, **start: Unpack[Start]) -> None:
        """Give a scheduled or retried task another start: ``process_in`` or ``process_at``; in the past means now.

        Its uniqueness lock follows a later start. Raises NotFound, Conflict when it does not wait for a start.
        """
        await self._driver.run(change.reschedule(queue, task_id, start, self._clock()))

    async def delete_queue(self, queue: str, *, force: bool = False) -> None:
        """Remove a queue, its counters, its limit and its finished tasks; with ``force`` all its other tasks as well.

        Gives uniqueness locks back, and leaves nothing but keys of ours that expire, where Asynq leaves completed
        tasks, groups, counters, locks and the pause. In steps of 500 tasks, paused meanwhile; should it break off,
        repeat it. Who enqueues later makes a new queue; it is listed again within a minute.
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
        return await self._driver.run(act.cancel(task_id))

    async def servers(self) -> list[Server]:
        """Worker processes, Python and Go, that sent a heartbeat in the last 10 seconds, and what they run."""
        return await self._driver.follow(inspection.servers(self._clock()))

    async def scheduler_entries(self) -> list[PeriodicInfo]:
        """Periodic entries of the schedulers that sent a heartbeat in the last 20 seconds, by spec."""
        return await self._driver.follow(inspection.scheduler_entries(self._clock()))

    async def open_steps(self, *, page: int = 1, size: int = 30) -> list[OpenStep]:
        """Steps of workflows that others wait for, of all queues, in the order in which they will be looked at."""
        return await self._driver.follow(steps.open_steps(page, size))

    async def enqueue_events(self, entry_id: str, *, page: int = 1, size: int = 30) -> list[EnqueueEvent]:
        """When a periodic entry fired and which task it made, newest first; at most 1000 are kept."""
        return await self._driver.follow(inspection.enqueue_events(entry_id, page, size))


@answering
class Schedules:
    """Periodic entries that are stored in Redis, beside those in the code of the schedulers (``Tasks.cron``).

    All running schedulers follow a change within 2 seconds, and obey it at every instant after that. Entries in code
    can be listed, paused and run here, not changed. At most 10,000 entries of 64 KiB each are stored; they outlive
    every scheduler, and Go's know nothing of them.
    """

    def __init__(
        self, driver: AsyncDriver, *, clock: Clock = server_clock, queues: frozenset[str] | None = None
    ) -> None:
        self._driver = driver
        self._clock = clock
        self._queues = queues
        self._known = KnownQueues()

    async def add(
        self,
        name: str,
        spec: str,
        job: Job,
        *,
        timezone: str = "UTC",
        dst: Dst = "asynq",
        missed: Missed = "skip",
        most_missed: int = MOST_MISSED,
    ) -> None:
        """Store an entry; its instants count from now on. Adding the very same entry again changes nothing.

        Arguments as for ``Tasks.cron``. Raises Conflict when another entry has the name, or 10,000 are stored;
        CronError and Misuse for what can never work.
        """
        entry = define(name, spec, job, timezone=timezone, dst=dst, missed=missed, most_missed=most_missed)
        declared(entry.queue, self._queues)
        await self._driver.follow(schedules.add(entry, self._clock()))

    async def change(self, name: str, **changes: Unpack[Changes]) -> None:
        """Change parts of a stored entry; what is left out stays, and so does a pause. Its instants count from now on.

        Raises NotFound, Conflict for an entry in code, CronError, Misuse.
        """
        await self._driver.follow(schedules.change(name, changes, self._clock(), self._queues))

    async def remove(self, name: str) -> bool:
        """Forget a stored entry; what it enqueued stays. False when there is none. Raises Conflict for one in code."""
        return await self._driver.run(entries.remove(name, self._clock()))

    async def pause(self, name: str) -> bool:
        """Stop firing an entry, stored or in code, until ``resume``. False when it was paused. Raises NotFound."""
        return await self._driver.run(entries.hold(name, True, self._clock()))

    async def resume(self, name: str) -> bool:
        """Fire it again from now on; the pause is not made up for. False when it was not paused. Raises NotFound."""
        return await self._driver.run(entries.hold(name, False, self._clock()))

    async def run(self, name: str) -> Outcome:
        """Enqueue an entry's job now, also while it is paused; its next instant stays as it is. Raises NotFound.

        Returns Enqueued, or Duplicate when its uniqueness lock is held.
        """
        return await self._driver.follow(schedules.run(name, new_token(), self._clock(), self._known, self._queues))

    async def get(self, name: str) -> ScheduleInfo:
        """One entry, stored or in code. Raises NotFound."""
        return await self._driver.follow(schedules.one(name, self._clock()))

    async def all(self) -> list[ScheduleInfo]:
        """All entries, by name: the stored ones, and those that schedulers of the last day have in their code."""
        return await self._driver.run(entries.listed(self._clock()))


def _addressed(task: object, queue: str | None) -> tuple[str, str | None]:
    """The id of a task, and its queue where that is known."""
    if isinstance(task, Enqueued | StepName):
        return task.id, queue if queue is not None else task.queue
    return addressed("task", task), queue
