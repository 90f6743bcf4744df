"""The log of failed attempts: one line each, with its traceback, and as fields for those who log in fields.

Never a payload. What an exception says of itself is the application's to choose.
"""

from __future__ import annotations

import logging
from os import sep
from pathlib import Path
from typing import Any

from hustlex.core.faults import describe, loggable, readable, trimmed, words
from hustlex.core.logs import logger
from hustlex.worker.attempt_errors import OURS
from hustlex.worker.clock import monotonic
from hustlex.worker.queue_state import LeasedTask

_log = logger("hustlex.worker")

RETRY, UNCOUNTED, ARCHIVED, REVOKED, LOST = "retry", "uncounted", "archived", "revoked", "lost"
CANCELED, EXPIRED, SNOOZED = "canceled", "expired", "snoozed"
"""What became of the task."""
_LEVELS = {RETRY: logging.WARNING, ARCHIVED: logging.ERROR, LOST: logging.WARNING}
_SAYS = {
    RETRY: "failed, next try in %.1f s",
    UNCOUNTED: "is tried again in %.1f s, uncounted",
    ARCHIVED: "failed and is archived",
    REVOKED: "was revoked",
    LOST: "was lost to another worker",
    CANCELED: "was cancelled before it started",
    EXPIRED: "is dropped",
    SNOOZED: "is put off by its handler",
}
_LONGEST = 255
ENGINE = str(Path(__file__).parent) + sep
"""What a traceback in the log leaves out: how the handler was called."""


def text_of(error: Exception) -> str:
    """What is kept on the task: ``ValueError: no such user``, or Asynq's own text."""
    return words(error) if issubclass(type(error), OURS) else describe(error)


def attempt_ended(job: LeasedTask, error: Exception, outcome: str, *, next_ms: int = 0) -> None:
    """Log an attempt that did not succeed, and tell who listens."""
    job.over(outcome, error)
    level = _LEVELS.get(outcome, logging.INFO)
    if not _log.isEnabledFor(level):
        return
    says = _SAYS[outcome]
    seen = None if outcome in (REVOKED, SNOOZED) or issubclass(type(error), OURS) else loggable(trimmed(error, ENGINE))
    fields = _fields(job, outcome, next_ms)
    _log.log(
        level,
        "task %s %s: %s (id %s, queue %s, attempt %d of %d, after %.3f s)",
        fields["job_type"],
        says % (next_ms / 1000) if "%" in says else says,
        " ".join(text_of(error).split()),
        fields["job_id"],
        fields["job_queue"],
        fields["job_attempt"],
        job.message.retry + 1,
        fields["job_duration_s"],
        exc_info=seen,
        extra=fields,
    )


def _fields(job: LeasedTask, outcome: str, next_ms: int) -> dict[str, Any]:
    message = job.message
    return {
        "job_type": line_of(message.type),
        "job_id": line_of(message.id),
        "job_queue": line_of(message.queue),
        "job_attempt": message.retried + 1,
        "job_outcome": outcome,
        "job_duration_s": round(monotonic() - job.began, 6) if job.began else 0.0,
        "job_next_try_s": next_ms / 1000 if outcome in (RETRY, UNCOUNTED) else None,
    }


def line_of(name: str) -> str:
    """A name from the wire, which may be anything, on one line."""
    return name if name.isprintable() and len(name) <= _LONGEST else repr(readable(name[:_LONGEST]))
