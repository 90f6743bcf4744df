"""The producer's side. The operator's is in ``inspector``; workers live in ``hustlex.worker``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable
from datetime import timedelta
from typing import Any, ClassVar, Unpack, overload

from hustlex.core import check
from hustlex.core.answer.aio import answering, told
from hustlex.core.generics import T
from hustlex.core.op import AsyncDriver
from hustlex.core.time import Clock, server_clock
from hustlex.jobs.checks import declaration, declared
from hustlex.jobs.enqueue import flows, ops
from hustlex.jobs.enqueue.draft import carried, carried_steps, draft, served
from hustlex.jobs.enqueue.job import Job, Workflow, as_job
from hustlex.jobs.enqueue.known import KnownQueues
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, Options
from hustlex.jobs.explain import flows as explain
from hustlex.jobs.explain.types import Explanation
from hustlex.jobs.ids import new_id, new_token
from hustlex.jobs.inspect import cancel as cancelling
from hustlex.jobs.inspect.types import Cancellation
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.keys import addressed
from hustlex.jobs.schedules import Schedules
from hustlex.jobs.stream import flows as stream
from hustlex.jobs.stream.subscription import follow
from hustlex.jobs.stream.types import Ending, Item, Succeeded
from hustlex.jobs.types import Debounced, Duplicate, Enqueued, IdTaken, Outcome, QueueFull
from hustlex.jobs.workflow import flows as steps
from hustlex.jobs.workflow.plan import Started, StepName


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
        self._driver = check.driver(driver)
        self._clock = clock
        self._queues = declaration(queues)
        self._known = KnownQueues()
        self.inspector = Inspector(driver, clock=clock)
        self.schedules = Schedules(driver, clock=clock, queues=self._queues)
        told(self, driver.hook)

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
        it then only with a ``task_id`` or ``unique_for``. Source: lua/enqueue/enqueue_plain.lua, and enqueue.lua beside
        it for a task that is to run later, is unique or in a group.
        """
        token = new_token()
        made = as_job(job, payload)
        placed = draft(made, options, new_id())
        if self._queues is not None:
            served(placed, self._queues)
        if self._driver.hook is not None:
            placed = carried(placed, self._driver.hook)
        now_ms, time_ns = self._clock(), self._known.time_ns(placed.queue)
        if time_ns is None:
            outcome = await self._driver.follow(flows.enqueue(placed, token, now_ms, self._known))
        else:
            outcome = await self._driver.run(ops.enqueue_one(placed, token, now_ms, time_ns))
        return self._handle(outcome, made)

    def _handle(self, outcome: Outcome[Any], job: Job[Any]) -> Placed[Any]:
        if not isinstance(outcome, Enqueued):
            return outcome
        handle: Handle[Any] = Handle(outcome.id, outcome.queue, outcome.state)
        own = vars(handle)
        own["_jobs"], own["_task"] = self, job.task
        return handle

    async def enqueue_many(self, jobs: Iterable[Job[T]]) -> list[Placed[T]]:
        """Hand over many tasks: one round trip and one atomic step per 500 of a queue; outcomes in the order given.

        Of large ones, 8 MiB are a step.
        Raises Misuse before anything is sent, PartlyEnqueued (results) when only some of the steps failed.
        """
        check.instance("jobs", jobs, Iterable, hint="pass a list of jobs")
        made = list(jobs)
        drafts = [carried(served(draft(job, {}, new_id()), self._queues), self._driver.hook) for job in made]
        outcomes = await self._driver.follow(flows.enqueue_many(drafts, self._clock(), self._known))
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
        ``if_finished``, ``group``, uniqueness or a placeholder that cannot be filled, Conflict when another task has
        such an id, Timeout or Unavailable when it may have been started in part: repeat it then with the same id.
        Source: lua/workflow/plant.lua.
        """
        return await self._driver.follow(
            steps.start(
                carried_steps(workflow, self._driver.hook),
                new_id() if workflow_id is None else workflow_id,
                self._clock(),
                self._known,
                self._queues,
            )
        )

    async def result(
        self, task: str | Enqueued[Any] | StepName, *, timeout: timedelta, queue: str | None = None
    ) -> Ending[bytes | None]:
        """Wait until a job has ended, looking soon at first and then twice a second.

        task: an id, a handle, or a step. queue: None = that of the handle or step; for an id, look in all.
        Returns Succeeded (result, as it is kept), Failed (error) when it is archived, NotYet when the time is up, or
        Gone. A job that is not kept (``retention``) leaves a trace for some minutes if somebody waited for it, for a
        day if its handler reported progress or wrote a log, else for half a minute; if it returned nothing only while
        it is among the last 1,000 such of its queue. Raises Unavailable when the server is away at the end of the time.
        """
        patience_s = check.duration("timeout", timeout).total_seconds()
        task_id, queue = _addressed(task, queue)
        return await self._driver.follow(stream.wait(queue, task_id, patience_s))

    async def explain(self, task_id: str, *, queue: str | None = None) -> Explanation:
        """Say why a task is not running, when it will, and why it ran more than once; in fields and in words.

        queue: None = look in all. Also for steps of a workflow that have not started. One step in the task's queue,
        then reads of the registry of workers. Cost: up to 10,000 pending ids are compared.
        """
        known = None if queue is None else addressed("queue", queue)
        return await self._driver.follow(explain.explain(addressed("task_id", task_id), known, self._clock()))

    async def limit_queue(self, queue: str, *, max_size: int | None) -> None:
        """Let a queue hold at most this many unfinished tasks; None lifts the limit.

        It is kept in Redis and obeyed, in the atomic step of each enqueue, by every producer of this package, periodic
        entries included; a full queue answers QueueFull. Go's producers do not know it. What brings no new task is not
        held up: retries, recovery, aggregation, and the inspector's ``run``. What waits in more than 100 groups is
        counted a hundred groups at a time, and so a little late.
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

    # async only: it listens for what others do
    def follow(
        self, task: str | Enqueued[Any] | StepName, *, queue: str = DEFAULT_QUEUE, since: str = ""
    ) -> AsyncGenerator[Item, None]:
        """What a job tells, from the oldest item kept or from behind ``since``, until it ends.

        task: an id in ``queue``, a handle, or a step.
        Yields Progress, Log and Result as the handler wrote them, and a StateChange when the task moves; the last item
        is one: completed, archived, or gone (None). since: ``position`` of the last item seen, to go on after a break;
        at least the newest 1,000 items are kept, for a day after the last.
        What a Python worker does arrives at once, what others do (Go's workers, operators) within a second.
        Raises NotFound when there is no trace of such a job, Misuse for a bad position, Unavailable when the server
        cannot be reached: go on from the last position then. Close the iterator (``contextlib.aclosing``) when you
        leave before its end.
        """
        return follow(self._driver, task, queue, since)

    # end of async only


def _addressed(task: object, queue: str | None) -> tuple[str, str | None]:
    """The id of a task, and its queue where that is known."""
    named = None if queue is None else addressed("queue", queue)
    if isinstance(task, Enqueued | StepName):
        return task.id, task.queue if named is None else named
    return addressed("task", task), named
