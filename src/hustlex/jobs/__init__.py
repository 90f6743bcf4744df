"""Background jobs on Asynq's wire: Go and Python producers, workers and tools share the queues.

How an enqueue flows:

1. ``define/tasks.py``: ``task.job(...)`` makes a job of a call; ``define/arguments.py`` writes the arguments as JSON.
2. ``api.py``: the door, ``hx.jobs.enqueue``; it draws the id.
3. ``enqueue/draft.py``: job and options become a ``Draft``, its message encoded by ``wire.py``.
4. ``enqueue/ops.py``: the operation, one script of ``lua/``, with key names of ``keys.py``.
5. ``types.py``: what comes back: a handle, which is ``Enqueued``, or why nothing was enqueued.

The other subjects have rooms of their own: ``lease/`` is what workers (``hustlex.worker``) ask, ``stream/`` waits for
ends and follows, ``workflow/``, ``schedule/`` and ``group/`` start jobs of others, ``explain/`` says why a task does
not run, ``inspect/`` looks and acts for operators, ``search/`` finds tasks, ``bulk/`` acts on what was found; their
doors are ``inspector.py``, ``bulks.py`` and ``schedules.py``.
"""

from hustlex.jobs.api import Handle, Jobs
from hustlex.jobs.bulk.types import (
    Bulk,
    BulkCount,
    BulkItem,
    BulkPhase,
    BulkReport,
    BulkVerb,
    ItemOutcome,
)
from hustlex.jobs.bulks import BulkActs
from hustlex.jobs.define.backoff import default_delay
from hustlex.jobs.define.context import CurrentJob, current_job
from hustlex.jobs.define.partitions import Partitions
from hustlex.jobs.define.signals import Retry, RevokeTask, SkipRetry, Snooze
from hustlex.jobs.define.tasks import Task, Tasks
from hustlex.jobs.enqueue.job import Job, Step, Workflow, gather
from hustlex.jobs.enqueue.options import Options
from hustlex.jobs.enqueue.placeholders import RESULT, RESULTS
from hustlex.jobs.explain.types import Cause, Dependency, Explanation
from hustlex.jobs.group.aggregate import Aggregate, AggregateFunction, GroupedTask
from hustlex.jobs.inspect.errors import ErrorGroup, Muted
from hustlex.jobs.inspect.history import HistoryPoint, QueueHistory
from hustlex.jobs.inspect.quarantine import FoundParked, ParkedMessage
from hustlex.jobs.inspect.types import (
    Cancellation,
    DayStats,
    EnqueueEvent,
    FoundEvents,
    FoundGroups,
    GroupInfo,
    NeverRuns,
    PeriodicInfo,
    QueueInfo,
    QueueSummary,
    RunningTask,
    Server,
    Stopping,
    TaskInfo,
    TooLate,
)
from hustlex.jobs.inspector import Inspector
from hustlex.jobs.lease.limits import Limits, Rate
from hustlex.jobs.lease.vitals import Vitals
from hustlex.jobs.schedule.clock_changes import Dst
from hustlex.jobs.schedule.cron import CronError
from hustlex.jobs.schedule.periodic import Missed, Periodic, PeriodicConfig, ScheduleInfo
from hustlex.jobs.schedules import Schedules
from hustlex.jobs.search.types import FoundTasks, UnreadTask
from hustlex.jobs.stream.types import Ending, Failed, Gone, Item, Log, NotYet, Progress, Result, StateChange, Succeeded
from hustlex.jobs.types import (
    Debounced,
    Duplicate,
    Enqueued,
    IdTaken,
    Outcome,
    PartlyEnqueued,
    PayloadError,
    QueueFull,
    State,
)
from hustlex.jobs.wire import TaskMessage
from hustlex.jobs.workflow.graph import StepStatus, WorkflowGraph, WorkflowStep
from hustlex.jobs.workflow.plan import FoundSteps, OpenStep, Started, StepName

__all__ = [
    "RESULT",
    "RESULTS",
    "Aggregate",
    "AggregateFunction",
    "Bulk",
    "BulkActs",
    "BulkCount",
    "BulkItem",
    "BulkPhase",
    "BulkReport",
    "BulkVerb",
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
    "ErrorGroup",
    "Explanation",
    "Failed",
    "FoundEvents",
    "FoundGroups",
    "FoundParked",
    "FoundSteps",
    "FoundTasks",
    "Gone",
    "GroupInfo",
    "GroupedTask",
    "Handle",
    "HistoryPoint",
    "IdTaken",
    "Inspector",
    "Item",
    "ItemOutcome",
    "Job",
    "Jobs",
    "Limits",
    "Log",
    "Missed",
    "Muted",
    "NeverRuns",
    "NotYet",
    "OpenStep",
    "Options",
    "Outcome",
    "ParkedMessage",
    "Partitions",
    "PartlyEnqueued",
    "PayloadError",
    "Periodic",
    "PeriodicConfig",
    "PeriodicInfo",
    "Progress",
    "QueueFull",
    "QueueHistory",
    "QueueInfo",
    "QueueSummary",
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
    "StepStatus",
    "Stopping",
    "Succeeded",
    "Task",
    "TaskInfo",
    "TaskMessage",
    "Tasks",
    "TooLate",
    "UnreadTask",
    "Vitals",
    "Workflow",
    "WorkflowGraph",
    "WorkflowStep",
    "current_job",
    "default_delay",
    "gather",
]
