"""Tasks by type: what a producer enqueues and a worker runs, and the periodic entries of an application."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from hustlex.core import check
from hustlex.errors import Misuse
from hustlex.jobs import functions
from hustlex.jobs.checks import declaration, declared, judged
from hustlex.jobs.define.arguments import Arguments
from hustlex.jobs.define.hooks import Hooks, WorkerOptions
from hustlex.jobs.define.results import ResultType
from hustlex.jobs.define.rules import NO_RULES, IsFailure, RetryDelay, Rules, merged
from hustlex.jobs.enqueue.draft import TaskOptions
from hustlex.jobs.enqueue.job import Job
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE, Options, merge
from hustlex.jobs.enqueue.placeholders import is_placeholder
from hustlex.jobs.group.aggregate import GRACE, UNLIMITED, Aggregate, AggregateFunction
from hustlex.jobs.keys import named
from hustlex.jobs.lease.limits import NO_LIMITS, Key, Limits, Rate
from hustlex.jobs.schedule import periodic
from hustlex.jobs.schedule.clock_changes import Dst
from hustlex.jobs.schedule.periodic import MOST_MISSED, Missed, Periodic
from hustlex.jobs.types import PayloadError

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
AggregateFunctionT = TypeVar("AggregateFunctionT", bound=AggregateFunction)

_MOST_REMEMBERED = 10_000


class Task(Generic[P, R_co]):
    """A function with a task type. Calling it calls the function; ``job`` makes the call a job."""

    type: str
    """The name on the wire."""
    function: Callable[P, R_co]
    options: Options
    """What its jobs carry."""
    queues: frozenset[str] | None
    """Those its jobs may go into; None = any."""
    limits: Limits
    """What its handler may not exceed."""
    rules: Rules
    """What its failures lead to."""
    cpu: bool
    """Whether it runs in a process of its own."""
    prefix: bool
    """Whether it takes all types that start with its own, as Asynq's mux."""
    is_async: bool
    """Whether the function is ``async def``."""
    result: ResultType
    """Reads and writes what the function returns."""

    def __init__(
        self,
        task_type: str,
        function: Callable[P, R_co],
        options: Options,
        *,
        limits: Limits = NO_LIMITS,
        rules: Rules = NO_RULES,
        cpu: bool = False,
        prefix: bool = False,
        queues: frozenset[str] | None = None,
    ) -> None:
        self.type = task_type = named("task type", task_type)
        functions.check(f"the handler of {task_type!r}", function)
        check.instance("limits", limits, Limits)
        check.instance("rules", rules, Rules)
        check.flag("cpu", cpu)
        self.function = function
        self.options = cast("Options", TaskOptions(task_type, options))
        self.queues = queues
        declared(self.queue, queues)
        self.limits = limits
        self.rules = rules
        self.cpu = cpu
        self.prefix = check.flag("prefix", prefix)
        self.is_async = functions.is_async(function)
        _check(function, limits, cpu)
        self._arguments = Arguments(function, task_type)
        self.result = ResultType(function, task_type)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now."""
        return self.function(*args, **kwargs)

    @overload
    def job(self: Task[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...

    @overload
    def job(self: Task[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]: ...

    def job(self, *args: P.args, **kwargs: P.kwargs) -> Job[Any]:
        """This call as a job, its arguments as one JSON object by name. Raises PayloadError when they do not fit.

        In a workflow, RESULT or RESULTS may stand for an argument: what the step before, or all of them, will write.
        """
        try:
            return Job(self.type, self._arguments.encode(args, kwargs), self.options, (), self)
        except PayloadError:
            if not any(is_placeholder(value) for value in (*args, *kwargs.values())):
                raise
        payload, slots = self._arguments.template(args, kwargs)
        return Job(self.type, payload, self.options, slots, self)

    @property
    def queue(self) -> str:
        """Where its jobs go unless they say otherwise."""
        return self.options.get("queue", DEFAULT_QUEUE)

    def check(self) -> None:
        """Raises Misuse where an annotation still names something that is not defined."""
        self._arguments.prepare()
        self.result.prepare()

    def canonical(self, payload: bytes | None) -> bytes | None:
        """One text for all payloads that mean the same call: what ``unique_for`` compares."""
        return self._arguments.canonical(payload)

    def arguments(self, payload: bytes | None) -> dict[str, Any]:
        """The typed keyword arguments in a payload, for the worker. Raises PayloadError."""
        return self._arguments.decode(payload)

    def __repr__(self) -> str:
        return f"Task({self.type!r})"


class Tasks(Hooks):
    """A set of tasks and periodic entries, as one application or one module defines them.

    lifespan: makes what handlers share, once per worker process, and takes it down: an async context manager's
        function, as FastAPI's; its value is ``current_job().state``.
    retry_delay, is_failure, max_crashes: see ``Rules``, for every task defined here.
    worker: options of every worker that runs them, see ``WorkerOptions``.
    queues: all queues there are, as in ``HustleX(queues=...)``: to define a task for another one, to enqueue its jobs
        into one, or to serve one with a worker is Misuse.
    defaults: options for every task defined here; a task's own win.
    """

    def __init__(
        self,
        *,
        lifespan: Lifespan | None = None,
        retry_delay: RetryDelay | None = None,
        is_failure: IsFailure | None = None,
        max_crashes: int | None = None,
        worker: WorkerOptions | None = None,
        queues: Collection[str] | None = None,
        **defaults: Unpack[Options],
    ) -> None:
        super().__init__(worker)
        self._rules = Rules(retry_delay, is_failure, max_crashes)
        self.lifespan: Lifespan = nullcontext if lifespan is None else _lifespan(lifespan)
        self._defaults = cast("Options", judged(defaults))
        self.queues = declaration(queues)
        self._tasks: dict[str, Task[..., Any]] = {}
        self._periodic: dict[str, Periodic] = {}
        self._found: dict[str, Task[..., Any] | None] = {}
        self._aggregates: dict[str, Aggregate] = {}

    def task(
        self,
        task_type: str,
        *,
        max_concurrency: int = 0,
        max_per_worker: int = 0,
        rate: Rate | None = None,
        key: Key | None = None,
        cpu: bool = False,
        retry_delay: RetryDelay | None = None,
        is_failure: IsFailure | None = None,
        max_crashes: int | None = None,
        prefix: bool = False,
        **options: Unpack[Options],
    ) -> Callable[[Callable[P, R_co]], Task[P, R_co]]:
        """Define a task: ``@tasks.task("gig:escrow_release", queue="critical", max_retry=5)``.

        For async and plain functions with named parameters. max_concurrency, max_per_worker, rate, key: see ``Limits``.
        cpu: a plain function of a module runs in a process, which is killed when its time is over. retry_delay,
        is_failure, max_crashes: see ``Rules``; they count in the workers that know the task. prefix: also run tasks
        whose types only start with this one and that no other task is for, as Asynq's mux does.
        Raises Misuse for a type defined before, or bad options.
        """
        if callable(task_type):
            raise Misuse("@tasks.task stands without its type", hint='write @tasks.task("email:welcome")')
        limits = Limits(max_concurrency, max_per_worker, rate, key)
        rules = merged(Rules(retry_delay, is_failure, max_crashes), self._rules)

        def define(function: Callable[P, R_co]) -> Task[P, R_co]:
            chosen = merge(self._defaults, options)
            task = Task(
                task_type, function, chosen, limits=limits, rules=rules, cpu=cpu, prefix=prefix, queues=self.queues
            )
            self._add(task)
            return task

        return define

    def cron(
        self,
        name: str,
        spec: str,
        job: Job,
        *,
        timezone: str = "UTC",
        dst: Dst = "asynq",
        missed: Missed = "skip",
        max_missed: int = MOST_MISSED,
    ) -> Periodic:
        """Enqueue a job by the clock: ``tasks.cron("weekly", "0 9 * * 1", remind.job(), timezone="Africa/Lagos")``.

        spec: see ``hustlex.jobs.schedule.cron``. dst: when the clocks change, see ``Dst``. missed: after a time without
        any scheduler, see ``Missed``; max_missed: 1 to 1000. Raises CronError for a bad spec or zone, Misuse for a
        name used before or a job with a delay or a group. A job with a ``task_id`` has it at each instant: a finished
        task of this id is replaced (``if_finished="refuse"``: blocks), an unfinished one lets the instant pass, which
        ``hustlex doctor`` counts.
        """
        entry = periodic.define(name, spec, job, timezone=timezone, dst=dst, missed=missed, max_missed=max_missed)
        self._schedule(entry)
        return entry

    def aggregate(
        self, group: str = "", *, grace: timedelta = GRACE, max_delay: timedelta = UNLIMITED, max_size: int = 0
    ) -> Callable[[AggregateFunctionT], AggregateFunctionT]:
        """Define how grouped tasks become one job: ``@tasks.aggregate("mail:", max_size=100)``.

        group: what the groups' names start with; the longest that fits counts, "" is every group. The rest: see
        ``Aggregate``. For functions ``(group, tasks) -> Job``, see ``AggregateFunction``; the job goes into the same
        queue. Raises Misuse for a group defined before, or rules that can never work.
        """

        def define(function: AggregateFunctionT) -> AggregateFunctionT:
            self._gather(Aggregate(group, function, grace, max_delay, max_size))
            return function

        return define

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """How groups are aggregated, in the order of definition."""
        return tuple(self._aggregates.values())

    def include(self, other: Tasks) -> None:
        """Take over all that another set defines now. Raises Misuse for a type or name that both define."""
        check.instance("other", other, Tasks)
        for task in other:
            self._add(task)
        for entry in other.periodic:
            self._schedule(entry)
        for rules in other.aggregates:
            self._gather(rules)
        self._take_hooks(other)

    def find(self, task_type: str) -> Task[..., Any] | None:
        """The task of this type, else the longest one with ``prefix`` that it starts with."""
        try:
            return self._found[task_type]
        except KeyError:
            return self._search(task_type)

    def _search(self, task_type: str) -> Task[..., Any] | None:
        found = self._tasks.get(task_type)
        if found is None:
            fitting = [task for task in self._tasks.values() if task.prefix and task_type.startswith(task.type)]
            found = max(fitting, key=lambda task: len(task.type), default=None)
        if len(self._found) >= _MOST_REMEMBERED:
            self._found.clear()
        self._found[task_type] = found
        return found

    def check(self) -> None:
        """Raises Misuse for a task whose annotations cannot be read. A worker does this at its start."""
        for task in self:
            task.check()

    @property
    def periodic(self) -> tuple[Periodic, ...]:
        """The periodic entries, in the order of definition."""
        return tuple(self._periodic.values())

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)

    def _add(self, task: Task[..., Any]) -> None:
        declared(task.queue, self.queues)
        if self._tasks.setdefault(task.type, task) is not task:
            raise Misuse(f"the task type {task.type!r} is defined twice")
        self._found.clear()

    def _gather(self, rules: Aggregate) -> None:
        if self._aggregates.setdefault(rules.pattern, rules) is not rules:
            raise Misuse(f"the aggregation of {rules.pattern!r} is defined twice")

    def _schedule(self, entry: Periodic) -> None:
        declared(entry.queue, self.queues)
        if self._periodic.setdefault(entry.name, entry) is not entry:
            raise Misuse(f"the periodic entry {entry.name!r} is defined twice")


def _lifespan(function: object) -> Lifespan:
    if not functions.is_async(made := check.function("lifespan", function)):
        return made
    raise Misuse("lifespan is an async function", hint="yield in it, and define it with @asynccontextmanager")


def _check(function: Callable[..., Any], limits: Limits, cpu: bool) -> None:
    name = functions.name_of(function)
    if isinstance(limits.key, str) and limits.key not in inspect.signature(function).parameters:
        raise Misuse(f"key={limits.key!r} is no parameter of {name}")
    if cpu and (functions.is_async(function) or "<" in name or not inspect.isfunction(function)):
        raise Misuse(f"{name} cannot run in a process", hint="cpu=True is for plain functions of a module")
