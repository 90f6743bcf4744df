"""Background jobs on Asynq's wire: Go and Python producers, workers and tools share the queues.

How an enqueue flows: ``registry.py`` makes a job of a task's arguments (``arguments.py``), ``api.py`` is the door,
``options.py`` drafts the message (``wire.py``) and its options, ``ops/enqueue.py`` sends it in one script of
``lua/``; ``flows.py`` sends many. ``keys.py`` knows the key names, ``types.py`` what comes back. Afterwards:
``stream.py`` waits for results, ``explain.py`` says why a task does not run, ``cancelling.py`` keeps it from running,
``inspector.py`` looks at queues and acts on them, ``schedules.py`` and ``periodic.py`` are for cron, ``workflow.py``
and ``steps.py`` for chains and fan-in. What runs them is ``hustlex.worker``, which leases with ``ops/lease.py`` and
acknowledges with ``ops/finish.py``.
"""

from hustlex.jobs.aggregates import Aggregate, AggregateFunction, GroupedTask
from hustlex.jobs.api import Handle, Jobs
from hustlex.jobs.backoff import default_delay
from hustlex.jobs.clock_changes import Dst
from hustlex.jobs.context import CurrentJob, current_job
from hustlex.jobs.cron import CronError
from hustlex.jobs.explanation import Cause, Dependency, Explanation
from hustlex.jobs.inspector import Inspector, Schedules
from hustlex.jobs.limits import Limits, Rate
from hustlex.jobs.options import Job, Options
from hustlex.jobs.periodic import Missed, Periodic, PeriodicConfig, ScheduleInfo
from hustlex.jobs.placeholders import RESULT, RESULTS
from hustlex.jobs.registry import Task, Tasks
from hustlex.jobs.stream import Ending, Failed, Gone, Item, Log, NotYet, Progress, Result, StateChange, Succeeded
from hustlex.jobs.types import (
    Cancellation,
    DayStats,
    Debounced,
    Duplicate,
    Enqueued,
    EnqueueEvent,
    GroupInfo,
    IdTaken,
    NeverRuns,
    Outcome,
    PartlyEnqueued,
    PayloadError,
    PeriodicInfo,
    QueueFull,
    QueueInfo,
    RunningTask,
    Server,
    State,
    Stopping,
    TaskInfo,
    TooLate,
)
from hustlex.jobs.verdicts import Retry, RevokeTask, SkipRetry, Snooze
from hustlex.jobs.wire import TaskMessage
from hustlex.jobs.workflow import OpenStep, Started, Step, StepName, Workflow, gather

__all__ = [
    "RESULT",
    "RESULTS",
    "Aggregate",
    "AggregateFunction",
    "Cancellation",
    "Cause",
    "CronError",
    "CurrentJob",
    "DayStats",
    "Debounced",
    "Dependency",
    "Dst",
    "Duplicate",
    "Ending",
    "EnqueueEvent",
    "Enqueued",
    "Explanation",
    "Failed",
    "Gone",
    "GroupInfo",
    "GroupedTask",
    "Handle",
    "IdTaken",
    "Inspector",
    "Item",
    "Job",
    "Jobs",
    "Limits",
    "Log",
    "Missed",
    "NeverRuns",
    "NotYet",
    "OpenStep",
    "Options",
    "Outcome",
    "PartlyEnqueued",
    "PayloadError",
    "Periodic",
    "PeriodicConfig",
    "PeriodicInfo",
    "Progress",
    "QueueFull",
    "QueueInfo",
    "Rate",
    "Result",
    "Retry",
    "RevokeTask",
    "RunningTask",
    "ScheduleInfo",
    "Schedules",
    "Server",
    "SkipRetry",
    "Snooze",
    "Started",
    "State",
    "StateChange",
    "Step",
    "StepName",
    "Stopping",
    "Succeeded",
    "Task",
    "TaskInfo",
    "TaskMessage",
    "Tasks",
    "TooLate",
    "Workflow",
    "current_job",
    "default_delay",
    "gather",
]
