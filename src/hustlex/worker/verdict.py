"""What becomes of a task after an attempt: pure decisions, written as rows for the scripts of ``jobs.ops.finish``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import msgspec

from hustlex.jobs.ops import finish
from hustlex.jobs.types import PayloadError
from hustlex.jobs.verdicts import RevokeTask, SkipRetry, is_or_follows
from hustlex.jobs.wire import TaskMessage, clean, encode_task
from hustlex.worker.clock import WorkerClock
from hustlex.worker.fates import Canceled, DeadlineExceeded, HandlerNotFound, LeaseExpired
from hustlex.worker.job import Job
from hustlex.worker.source import Ack

_log = logging.getLogger("hustlex.worker")
_LONGEST_TEXT = 1_000
_OWN = (DeadlineExceeded, Canceled, LeaseExpired, HandlerNotFound, PayloadError)

RetryDelay = Callable[[int], timedelta]
"""Retries used so far -> wait before the next attempt."""
IsFailure = Callable[[Exception], bool]
"""False: the attempt is repeated without counting (limits reached, a service that is down)."""
ErrorHandler = Callable[[TaskMessage, Exception], None]
"""Told of every failed attempt, before anything is written. Must not block."""


def every_error(_: Exception) -> bool:
    """The default predicate: every error is a failure."""
    return True


def ignore(_: TaskMessage, __: Exception) -> None:
    """The default error handler."""


class Policy(msgspec.Struct, frozen=True):
    """How failures are judged."""

    retry_delay: RetryDelay
    is_failure: IsFailure = every_error
    error_handler: ErrorHandler = ignore

    def succeeded(self, job: Job, clock: WorkerClock) -> None:
        """Acknowledge a success: gone, or kept with its result while the retention lasts."""
        message = job.message
        if not message.retention:
            job.source.done.append(job)
            return
        kept = msgspec.structs.replace(message, completed_at=clock.now_ms() // 1000)
        row = (job.id, job.holder, message.retention, encode_task(kept), message.unique_key)
        job.source.acks.append(Ack(job, finish.complete, row))

    def failed(self, job: Job, error: Exception, clock: WorkerClock) -> None:
        """Drop, archive or retry, as Asynq does: revoked, no retry left or wanted, anything else."""
        _guard(self.error_handler, job.message, error)
        if isinstance(error, LeaseExpired):
            job.source.forget(job)
        elif is_or_follows(error, RevokeTask):
            job.source.done.append(job)
        else:
            job.source.acks.append(self.judge(job, error, clock))

    def judge(self, job: Job, error: Exception, clock: WorkerClock) -> Ack:
        """Archive or retry."""
        message = job.message
        changed = msgspec.structs.replace(message, error_msg=describe(error), last_failed_at=clock.now_ms() // 1000)
        if message.retried >= message.retry or _hopeless(error):
            return Ack(job, finish.archive, (job.id, job.holder, encode_task(changed)))
        counts = self._counts(error)
        if counts:
            changed = msgspec.structs.replace(changed, retried=message.retried + 1)
        row = (job.id, job.holder, self._delay_ms(message.retried), encode_task(changed), int(counts))
        return Ack(job, finish.retry, row)

    def _counts(self, error: Exception) -> bool:
        try:
            return self.is_failure(error)
        except Exception:  # noqa: BLE001 - the user's function
            _log.exception("is_failure raised; the attempt counts")
            return True

    def _delay_ms(self, retried: int) -> int:
        try:
            return max(0, -(-self.retry_delay(retried) // timedelta(milliseconds=1)))
        except Exception:  # noqa: BLE001 - the user's function
            _log.exception("retry_delay raised; the task waits for a minute")
            return 60_000


def _hopeless(error: Exception) -> bool:
    return isinstance(error, PayloadError) or is_or_follows(error, SkipRetry)


def describe(error: Exception) -> str:
    """The text kept on the task: ``ValueError: no such user``, or Asynq's own text; at most 1000 characters."""
    text = str(error) if isinstance(error, _OWN) else f"{type(error).__name__}: {error}".removesuffix(": ")
    return clean(text[:_LONGEST_TEXT])


def _guard(handler: ErrorHandler, message: TaskMessage, error: Exception) -> None:
    try:
        handler(message, error)
    except Exception:  # noqa: BLE001 - the user's function
        _log.exception("the error handler raised")
