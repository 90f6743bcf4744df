"""The engine: runs tasks from Asynq's queues and enqueues periodic ones. Async only; plain functions run in threads.

How a task flows: ``server.py`` makes all parts. ``fetcher.py`` plans the calls to each queue (``draw.py`` splits the
free slots, ``source.py`` is what this worker knows of a queue), ``requests.py`` builds them and takes the answers in.
A task (``leased_task.py``) passes ``quarantine.py`` if it has a past and ``limiter.py`` if it has limits, and comes
to ``runners.py``, which drives its handler (``handlers.py``, in ``threads.py`` or ``processes.py`` if need be).
``verdict.py`` decides what becomes of it; the next exchange acknowledges it; ``completion.py`` does what follows.
Beside it: ``heartbeat.py`` keeps leases, ``recoverer.py`` takes those of the dead, ``forwarder.py``, ``janitor.py``
and ``poller.py`` keep the queues, ``scheduler.py`` and ``aggregator.py`` bring new tasks, ``health.py`` answers. The
whole way stands in docs/internals/task.md.
"""

from hustlex.jobs.define.hooks import HealthCheck, Middleware, WorkerOptions
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
