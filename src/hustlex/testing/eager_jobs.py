"""Jobs that run the moment they are enqueued, here, without a server: for the tests of what enqueues them."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import msgspec

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.durability.level import MEMORY
from hustlex.core.telemetry import Hook
from hustlex.core.time import Clock, server_clock
from hustlex.errors import Misuse
from hustlex.jobs.api import Jobs, Placed
from hustlex.jobs.define.context import CURRENT, CurrentJob
from hustlex.jobs.define.signals import RevokeTask, is_or_follows
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.enqueue.draft import Draft, draft
from hustlex.jobs.enqueue.job import Job, as_job
from hustlex.jobs.enqueue.options import Options
from hustlex.jobs.functions import rest_of
from hustlex.jobs.gotext import quote
from hustlex.jobs.ids import new_id
from hustlex.jobs.stream.types import Ending, Failed, Gone, Succeeded
from hustlex.jobs.types import Enqueued, Outcome, State
from hustlex.jobs.wire import TaskMessage, decode_task
from hustlex.jobs.workflow.plan import StepName
from hustlex.worker.attempt_errors import DeadlineExceeded, HandlerNotFound
from hustlex.worker.boundary import contained_context
from hustlex.worker.clock import WorkerClock
from hustlex.worker.journal import text_of

if TYPE_CHECKING:
    from hustlex.app import HustleX

_MOST = 1_000
_UNBOUNDED_S = 1_800
_FROM_LIFESPAN: Any = object()


class Ran(msgspec.Struct, frozen=True):
    """A job that was run, once."""

    id: str
    """The task's."""
    queue: str
    """Where it was enqueued."""
    type: str
    """The task's name."""
    arguments: dict[str, Any]
    """What the handler got."""
    returned: Any
    """Its value."""
    result: bytes | None
    """What is kept of it: the value as JSON, or what it wrote with ``current_job().result``; None = nothing."""
    error: Exception | None
    """What it failed with."""


@asynccontextmanager
async def eager(
    tasks: Tasks,
    *,
    hx: HustleX | None = None,
    state: Any = _FROM_LIFESPAN,
    propagate: bool = True,
    clock: Clock = server_clock,
) -> AsyncIterator[EagerJobs]:
    """``async with eager(tasks, hx=hx) as jobs:`` every enqueue inside runs its handler before it returns.

    hx: its ``jobs`` are replaced while the block runs. state: ``current_job().state``; left out, the tasks' lifespan
    makes it. propagate: raise a handler's error from the enqueue that set it off; False: only keep it in ``jobs.ran``.

    Arguments go through the same encoding, checks and decoding as through a server. Delays are not waited for, nothing
    is retried, no task id or lock is kept: for those, use ``drain``.
    """
    check.instance("tasks", tasks, Tasks)
    check.flag("propagate", propagate)
    check.function("clock", clock)
    if hx is not None:
        check.protocol("hx", hx, "jobs", "__dict__", hint="pass a HustleX")
    async with contained_context(tasks.lifespan) if state is _FROM_LIFESPAN else nullcontext(state) as shared:
        jobs = EagerJobs(tasks, shared, propagate=propagate, clock=clock)
        with nullcontext() if hx is None else _in_place(hx, jobs):
            yield jobs


@contextmanager
def _in_place(hx: HustleX, jobs: EagerJobs) -> Iterator[None]:
    """``hx.jobs`` is a cached property: what lies in the instance wins."""
    rooms = vars(hx)
    before = {"jobs": rooms["jobs"]} if "jobs" in rooms else {}
    rooms["jobs"] = jobs
    try:
        yield
    finally:
        del rooms["jobs"]
        rooms.update(before)


@answering
class EagerJobs(Jobs):
    """Takes the place of ``hx.jobs``. ran: every job that ended, in this order."""

    def __init__(self, tasks: Tasks, state: Any, *, propagate: bool, clock: Clock) -> None:
        super().__init__(_NoServer(), clock=clock)
        self.ran: list[Ran] = []
        self._tasks = tasks
        self._state = state
        self._propagate = propagate
        self._now = WorkerClock(clock)

    async def enqueue(self, job: Job[Any] | str, payload: Any = None, **options: Unpack[Options]) -> Placed[Any]:
        """Run the job and what its handler enqueues; then answer Enqueued, or raise what the handler raised.

        Raises Misuse as ``Jobs.enqueue`` does, and for a group, which is for a server to collect.
        """
        made = as_job(job, payload)
        (outcome,) = await self._take([draft(made, options, new_id())])
        return self._handle(outcome, made)

    async def enqueue_many(self, jobs: Iterable[Job[Any]]) -> list[Placed[Any]]:
        """Run the jobs one after the other. Several errors are raised as one ExceptionGroup."""
        check.instance("jobs", jobs, Iterable, hint="pass a list of jobs")
        made = list(jobs)
        outcomes = await self._take([draft(job, {}, new_id()) for job in made])
        return [self._handle(outcome, job) for outcome, job in zip(outcomes, made, strict=True)]

    async def result(
        self,
        task: str | Enqueued[Any] | StepName,
        *,
        timeout: timedelta,  # noqa: ARG002 - nothing is waited for
        queue: str | None = None,  # noqa: ARG002 - ids are unique here
    ) -> Ending[bytes | None]:
        """How a job ended: the last run of this id counts."""
        if not isinstance(task, str):
            check.protocol("task", task, "id", hint="pass a task's id, or what enqueue returned")
        task_id = task if isinstance(task, str) else task.id
        ran = next((ran for ran in reversed(self.ran) if ran.id == task_id), None)
        if ran is None:
            return Gone()
        return Succeeded(ran.result) if ran.error is None else Failed(text_of(ran.error))

    async def _take(self, drafts: Sequence[Draft]) -> list[Outcome]:
        if any(placed.group for placed in drafts):
            raise Misuse("eager jobs cannot be aggregated", hint="use hustlex.testing.drain")
        outcomes: list[Outcome] = [Enqueued(placed.id, placed.queue, self._place(placed)) for placed in drafts]
        line = _LINE.get(None)
        if line is not None and line.open:
            line.waiting.extend(drafts)  # inside a handler: its turn comes when the handler has ended, as with a worker
        else:
            await self._work_off(_Line(drafts))
        return outcomes

    def _place(self, placed: Draft) -> State:
        later = placed.due.startswith("+") or int(placed.due or 0) > self._now.now_ms()
        return State.SCHEDULED if later else State.PENDING

    async def _work_off(self, line: _Line) -> None:
        errors: list[Exception] = []
        try:
            for count, placed in enumerate(line.turns()):
                if count >= _MOST:
                    raise Misuse(f"more than {_MOST:,} jobs came of one enqueue", hint="does a task enqueue itself?")
                error = await self._run(decode_task(placed.message), line)
                if error is not None and not is_or_follows(error, RevokeTask):
                    errors.append(error)
        finally:
            line.open = False
        if errors and self._propagate:
            raise errors[0] if len(errors) == 1 else ExceptionGroup(f"{len(errors)} jobs failed", errors)

    async def _run(self, message: TaskMessage, line: _Line) -> Exception | None:
        """One attempt, in a context of its own."""
        written: list[bytes] = []

        async def write(data: bytes) -> bool:
            written.append(data)
            return True

        timeout_s = _seconds(message, self._now.now_ms())
        context = contextvars.copy_context()
        context.run(_LINE.set, line)
        context.run(CURRENT.set, CurrentJob(message, self._now.now_ms() + int(timeout_s * 1000), self._state, write))
        arguments: dict[str, Any] = {}
        returned, error = None, None
        try:
            call = self._attempt(message, arguments, timeout_s)
            returned = await asyncio.get_running_loop().create_task(call, context=context)
            task = self._tasks.find(message.type)
            result = written[-1] if written else task.result.encode(returned) if task else None
        except Exception as fault:  # noqa: BLE001 - kept, and raised by the enqueue
            error = fault
            result = written[-1] if written else None
        self.ran.append(Ran(message.id, message.queue, message.type, arguments, returned, result, error))
        return error

    async def _attempt(self, message: TaskMessage, arguments: dict[str, Any], timeout_s: float) -> Any:
        task = self._tasks.find(message.type)
        if task is None:
            raise HandlerNotFound(f"handler not found for task {quote(message.type)}")
        arguments.update(task.arguments(message.payload))
        if timeout_s <= 0:
            raise DeadlineExceeded
        if not task.is_async:
            value = await asyncio.to_thread(task.function, **arguments)
            return await _whole(value, message.type)
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await _whole(await task.function(**arguments), message.type)
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded from None
            raise


async def _whole(value: Any, task_type: str) -> Any:
    """A handler's value, with all that it still has to await."""
    while (rest := rest_of(value, task_type)) is not None:
        value = await rest
    return value


class _Line:
    """Jobs that came of one enqueue outside of any handler, in the order of their turns."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.waiting = deque(drafts)
        self.open = True

    def turns(self) -> Iterator[Draft]:
        while self.waiting:
            yield self.waiting.popleft()


_LINE: ContextVar[_Line] = ContextVar("hustlex_eager_line")


class _NoServer:
    """The driver behind eager jobs: whatever needs a server says so."""

    hook: Hook | None = None
    outcomes = MEMORY
    deaf = crosses_slots = False

    def send(self, *_: Any, **__: Any) -> NoReturn:
        raise Misuse("eager jobs are kept on no server", hint="look at jobs.ran, or use hustlex.testing.drain")

    async def run(self, *_: Any, **__: Any) -> NoReturn:
        self.send()

    run_many = commit = commit_many = follow = block = listen = run

    def subscribe(self, *_: Any, **__: Any) -> NoReturn:
        raise Misuse("eager jobs have no server to listen to")

    track = subscribe

    @property
    def link(self) -> NoReturn:
        raise Misuse("eager jobs have no server to reach")

    def another(self) -> _NoServer:
        return self

    async def close(self) -> None: ...


def _seconds(message: TaskMessage, now_ms: int) -> float:
    """What an attempt may take."""
    timeout_s: float = message.timeout or (0 if message.deadline else _UNBOUNDED_S)
    if message.deadline:
        left_s = message.deadline - now_ms / 1000
        timeout_s = min(timeout_s or left_s, left_s)
    return timeout_s
