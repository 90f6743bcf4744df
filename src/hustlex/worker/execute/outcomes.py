"""What becomes of a task after an attempt: pure decisions, written as rows for the scripts of ``jobs.lease.finish``."""

from __future__ import annotations

from datetime import timedelta
from random import randrange

import msgspec

from hustlex.core.check import duration
from hustlex.core.faults import loggable
from hustlex.core.logs import logger
from hustlex.core.printable import printable
from hustlex.core.time import to_ms
from hustlex.jobs.define.backoff import default_delay
from hustlex.jobs.define.hooks import ErrorHandler
from hustlex.jobs.define.rules import NO_RULES, IsFailure, RetryDelay, Rules, delay, every_error
from hustlex.jobs.define.signals import Retry, RevokeTask, SkipRetry, Snooze, found, is_or_follows
from hustlex.jobs.define.tasks import Tasks
from hustlex.jobs.lease import finish
from hustlex.jobs.lease import limited as limit
from hustlex.jobs.types import PayloadError
from hustlex.jobs.wire import TaskMessage, encode_task
from hustlex.worker import journal
from hustlex.worker.attempt_errors import Crashed, Expired, HandlerNotFound, LeaseExpired, Revoked
from hustlex.worker.boundary import ask
from hustlex.worker.clock import WorkerClock
from hustlex.worker.execute.failures import FailureTally
from hustlex.worker.journal import attempt_ended, text_of
from hustlex.worker.queue_state import Ack, LeasedTask

_log = logger("hustlex.worker")
_LONGEST_PAUSE_S = 300
_MOST_TYPES = 10_000


class OutcomePolicy(msgspec.Struct, frozen=True):
    """How failures are judged: by the rules of the task, else by those of the worker."""

    tasks: Tasks
    retry_delay: RetryDelay = default_delay
    is_failure: IsFailure = every_error
    max_crashes: int = 3
    error_handlers: tuple[ErrorHandler, ...] = ()
    """Told of each failure."""
    park_s: int = 86_400
    """Seconds for which tasks that no worker knows are put off, before they are archived."""
    unknown: set[str] = msgspec.field(default_factory=set)
    """Their types."""
    failures: FailureTally = msgspec.field(default_factory=FailureTally)
    """Those that count, not told yet."""

    def succeeded(self, job: LeasedTask, clock: WorkerClock) -> None:
        """Acknowledge a success: gone, or kept with its result while the retention lasts."""
        if job.telling is not None:
            job.over("done")
        message, result = job.message, job.result
        if not message.retention and result is None:
            job.queue.done.append(job)
            return
        kept = msgspec.structs.replace(message, completed_at=clock.now_ms() // 1000)
        keep_s = message.retention or -job.wrote
        row = (job.id, job.holder, keep_s, encode_task(kept), message.unique_key)
        if result is None or (job.wrote and message.retention):
            job.queue.acks.append(Ack(job, finish.complete, row))
        else:
            job.queue.acks.append(Ack(job, finish.answer, (*row, result)))

    def failed(self, job: LeasedTask, error: Exception, clock: WorkerClock) -> None:
        """Drop, archive or retry, as Asynq does: revoked, no retry left or wanted, anything else.

        A task of unknown type did not fail: it is put off.
        """
        if isinstance(error, HandlerNotFound):
            self._note_unknown(job.message.type, error)
            if self._may_be_known(job, clock):
                job.over("put_off")
                job.queue.acks.append(_put_off(job, clock))
                return
        if self.aside(job, error):
            return
        for handler in self.error_handlers if not isinstance(error, Revoked) else ():
            _guard(handler, job.message, error)
        if isinstance(error, LeaseExpired):
            attempt_ended(job, error, journal.LOST)
            job.queue.forget(job)
        elif is_or_follows(error, RevokeTask):
            attempt_ended(job, error, journal.REVOKED)
            job.queue.done.append(job)
        else:
            job.queue.acks.append(self.judge(job, error, clock))

    def aside(self, job: LeasedTask, error: Exception) -> bool:
        """Whether this is no failure at all: it came too late to start, or its handler put it off."""
        if isinstance(error, Expired):
            attempt_ended(job, error, journal.EXPIRED)
            row = (job.id, job.holder, -2, b"", job.message.unique_key, str(error))
            job.queue.acks.append(Ack(job, finish.drop, row))
            return True
        snooze = found(error, Snooze)
        if snooze is not None:
            attempt_ended(job, snooze, journal.SNOOZED)
            job.queue.acks.append(Ack(job, limit.defer, (job.id, job.holder, to_ms(snooze.in_))))
        return snooze is not None

    def refused(self, job: LeasedTask, clock: WorkerClock) -> bool:
        """Whether a task must not start, because it was cancelled or has expired; then its outcome is decided here."""
        past = job.past
        if not past.canceled and not 0 < past.expires_ms <= clock.now_ms():
            return False
        job.settle()
        self.failed(job, Revoked() if past.canceled else Expired(), clock)
        return True

    def judge(self, job: LeasedTask, error: Exception, clock: WorkerClock) -> Ack:
        """Archive or retry. What could not start again before its deadline is not retried."""
        message = job.message
        changed = msgspec.structs.replace(message, error_msg=text_of(error), last_failed_at=clock.now_ms() // 1000)
        if message.retried >= message.retry or _hopeless(error):
            return self._archive(job, changed, error)
        rules = self._rules(message.type)
        rule = self.retry_delay if rules.retry_delay is None else rules.retry_delay
        asked = found(error, Retry)
        wait_ms = _delay_ms(rule if asked is None else asked.in_, message.retried, error)
        if 0 < message.deadline * 1000 <= clock.now_ms() + wait_ms:
            return self._archive(job, changed, error)
        counts = is_or_follows(error, Retry) or _counts(rules.is_failure or self.is_failure, error)
        if counts:
            self.failures.note(job, error)
            changed = msgspec.structs.replace(changed, retried=message.retried + 1)
        attempt_ended(job, error, journal.RETRY if counts else journal.UNCOUNTED, next_ms=wait_ms)
        row = (job.id, job.holder, wait_ms, encode_task(changed), int(counts))
        return Ack(job, finish.retry, row)

    def _archive(self, job: LeasedTask, changed: TaskMessage, error: Exception) -> Ack:
        if not isinstance(error, Revoked):
            self.failures.note(job, error)
        attempt_ended(job, error, journal.CANCELED if isinstance(error, Revoked) else journal.ARCHIVED)
        return Ack(job, finish.archive, (job.id, job.holder, encode_task(changed)))

    def most_crashes(self, task_type: str) -> int:
        """How many workers may die with a task of this type; 0 = any number."""
        own = self._rules(task_type).max_crashes
        return self.max_crashes if own is None else own

    def _rules(self, task_type: str) -> Rules:
        task = self.tasks.find(task_type)
        return NO_RULES if task is None else task.rules

    def _may_be_known(self, job: LeasedTask, clock: WorkerClock) -> bool:
        return _parked_s(job, clock) < self.park_s

    def _note_unknown(self, task_type: str, error: HandlerNotFound) -> None:
        if task_type not in self.unknown and len(self.unknown) < _MOST_TYPES:
            self.unknown.add(task_type)
            put_off = "put off for other workers" if self.park_s else "archived"
            _log.warning("%s; tasks of this type are %s", printable(str(error)), put_off)


def _put_off(job: LeasedTask, clock: WorkerClock) -> Ack:
    """Unchanged, for as long as it has been put off already: 1 to 2 seconds, then longer and longer."""
    pause_s = min(max(_parked_s(job, clock), 1), _LONGEST_PAUSE_S)
    return Ack(job, limit.put_off, (job.id, job.holder, 1000 * pause_s + randrange(1000 * pause_s + 1)))


def _parked_s(job: LeasedTask, clock: WorkerClock) -> int:
    since = job.past.parked_at
    return clock.now_ms() // 1000 - since if since else 0


def _counts(is_failure: IsFailure, error: Exception) -> bool:
    try:
        return ask(bool, ask(is_failure, error))
    except Exception as fault:  # noqa: BLE001 - the user's function
        _log.error("is_failure raised; the attempt counts", exc_info=loggable(fault))
        return True


def _delay_ms(rule: RetryDelay, retried: int, error: Exception) -> int:
    try:
        wait = ask(delay, rule, retried, error)
        return -(-duration("retry_delay", max(wait, timedelta(0))) // timedelta(milliseconds=1))
    except Exception as fault:  # noqa: BLE001 - the user's function
        _log.error("retry_delay cannot be followed; the task waits for a minute", exc_info=loggable(fault))
        return 60_000


def _hopeless(error: Exception) -> bool:
    return isinstance(error, PayloadError | Crashed | HandlerNotFound | Revoked) or is_or_follows(error, SkipRetry)


def _guard(handler: ErrorHandler, message: TaskMessage, error: Exception) -> None:
    try:
        ask(handler, message, error)
    except Exception as fault:  # noqa: BLE001 - the user's function
        _log.error("the error handler raised", exc_info=loggable(fault))
