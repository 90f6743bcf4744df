"""The engine: runs tasks from Asynq's queues and enqueues periodic ones. Async only; plain functions run in threads.

How a task flows: ``worker.py`` starts and stops what ``parts.py`` puts together. ``fetch/`` leases:
``fetch/fetcher.py`` plans the calls to each queue (``queue_state.py``: what is known of it, and its tasks),
``limits/allocation.py`` splits the free slots, ``fetch/requests.py`` builds the calls and takes the answers in.
``limits/admission.py`` lets a task pass, through ``limits/quarantine.py`` if it has a past and ``limits/limiter.py``
if it has limits. ``execute/executor.py`` drives its handler (``execute/handlers.py``, in ``threads.py`` or
``execute/processes.py`` if need be), ``execute/outcomes.py`` decides what becomes of it. The next exchange
acknowledges it, ``complete/completion.py`` does what follows. Beside it: ``maintain/`` keeps leases and queues and
makes jobs of groups, ``health/`` sees what does not work, ``periodic/`` enqueues by the clock, ``health_http.py``
answers. The whole way stands in docs/internals/task.md.
"""

from hustlex.jobs.define.hooks import HealthCheck, Middleware, WorkerOptions
from hustlex.worker.attempt_errors import (
    Canceled,
    Crashed,
    DeadlineExceeded,
    Expired,
    HandlerNotFound,
    LeaseExpired,
    ProcessDied,
    Revoked,
)
from hustlex.worker.health_http import serve_health
from hustlex.worker.limits.allocation import Reserved
from hustlex.worker.periodic.provider import Provider
from hustlex.worker.periodic.scheduler import Scheduler
from hustlex.worker.worker import Health, Worker

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
