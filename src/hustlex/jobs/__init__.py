"""Background jobs on Asynq's wire: Go and Python producers, workers and tools share the queues."""

from hustlex.jobs.aggregates import Aggregate, AggregateFunction, GroupedTask
from hustlex.jobs.api import Inspector, Jobs, Schedules
from hustlex.jobs.backoff import default_delay
from hustlex.jobs.clock_changes import Dst
from hustlex.jobs.context import CurrentJob, current_job
from hustlex.jobs.cron import CronError
from hustlex.jobs.limits import Rate
from hustlex.jobs.options import Job, Options
from hustlex.jobs.periodic import Missed, Periodic, PeriodicConfig, ScheduleInfo
from hustlex.jobs.registry import Task, Tasks
from hustlex.jobs.types import (
    DayStats,
    Duplicate,
    Enqueued,
    EnqueueEvent,
    GroupInfo,
    IdTaken,
    Outcome,
    PartlyEnqueued,
    PayloadError,
    PeriodicInfo,
    QueueInfo,
    RunningTask,
    Server,
    State,
    TaskInfo,
)
from hustlex.jobs.verdicts import RevokeTask, SkipRetry

__all__ = [
    "Aggregate",
    "AggregateFunction",
    "CronError",
    "CurrentJob",
    "DayStats",
    "Dst",
    "Duplicate",
    "EnqueueEvent",
    "Enqueued",
    "GroupInfo",
    "GroupedTask",
    "IdTaken",
    "Inspector",
    "Job",
    "Jobs",
    "Missed",
    "Options",
    "Outcome",
    "PartlyEnqueued",
    "PayloadError",
    "Periodic",
    "PeriodicConfig",
    "PeriodicInfo",
    "QueueInfo",
    "Rate",
    "RevokeTask",
    "RunningTask",
    "ScheduleInfo",
    "Schedules",
    "Server",
    "SkipRetry",
    "State",
    "Task",
    "TaskInfo",
    "Tasks",
    "current_job",
    "default_delay",
]
