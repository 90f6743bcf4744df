"""The engine: runs tasks from Asynq's queues and enqueues periodic ones. Async only; plain functions run in threads."""

from hustlex.jobs.hooks import HealthCheck, Middleware, WorkerOptions
from hustlex.worker.draw import Reserved
from hustlex.worker.fates import (
    Canceled,
    Crashed,
    DeadlineExceeded,
    Expired,
    HandlerNotFound,
    LeaseExpired,
    ProcessDied,
    Revoked,
)
from hustlex.worker.health import serve_health
from hustlex.worker.provider import Provider
from hustlex.worker.scheduler import Scheduler
from hustlex.worker.server import Health, Worker

__all__ = [
    "Canceled",
    "Crashed",
    "DeadlineExceeded",
    "Expired",
    "HandlerNotFound",
    "Health",
    "HealthCheck",
    "LeaseExpired",
    "Middleware",
    "ProcessDied",
    "Provider",
    "Reserved",
    "Revoked",
    "Scheduler",
    "Worker",
    "WorkerOptions",
    "serve_health",
]
