"""Background jobs on Asynq's wire: Go and Python producers, workers and tools share the queues."""

from hustlex.jobs.api import Inspector, Jobs
from hustlex.jobs.backoff import default_delay
from hustlex.jobs.context import CurrentJob, current_job
from hustlex.jobs.cron import CronError
from hustlex.jobs.options import Job, Options
from hustlex.jobs.registry import Periodic, Task, Tasks
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

__all__ = [
    "CronError",
    "CurrentJob",
    "DayStats",
    "Duplicate",
    "EnqueueEvent",
    "Enqueued",
    "GroupInfo",
    "IdTaken",
    "Inspector",
    "Job",
    "Jobs",
    "Options",
    "Outcome",
    "PartlyEnqueued",
    "PayloadError",
    "Periodic",
    "PeriodicInfo",
    "QueueInfo",
    "RunningTask",
    "Server",
    "State",
    "Task",
    "TaskInfo",
    "Tasks",
    "current_job",
    "default_delay",
]
