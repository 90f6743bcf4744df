"""What becomes of a task that fails: the worker's rules, and a task's own in their place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from hustlex.core import check
from hustlex.errors import Misuse

RetryDelay = timedelta | Sequence[timedelta] | Callable[[int, Exception], timedelta]
"""The wait before the next attempt: always the same, one per retry (the last one repeats), or a function of the retries
used so far (0 at the first failure) and the error, of which less than 0 counts as 0."""
IsFailure = Callable[[Exception], bool]
"""False: the attempt is repeated without counting (limits reached, a service that is down)."""


class Rules(msgspec.Struct, frozen=True):
    """None: as the worker is set. max_crashes: workers that may die with the task before it is archived, 0 = any."""

    retry_delay: RetryDelay | None = None
    is_failure: IsFailure | None = None
    max_crashes: int | None = None

    def __post_init__(self) -> None:
        """Raises Misuse for what can never work."""
        _judge_delay(self.retry_delay)
        if self.is_failure is not None:
            plain("is_failure", self.is_failure)
        if self.max_crashes is not None:
            check.whole("max_crashes", self.max_crashes)


def _judge_delay(rule: object) -> None:
    if rule is None or callable(rule):
        plain("retry_delay", rule) if rule else None
    elif isinstance(rule, Sequence) and not isinstance(rule, str | bytes | bytearray):
        if not rule:
            raise Misuse("retry_delay is an empty sequence", hint="give it at least one wait")
        for wait in rule:
            check.duration("a wait in retry_delay", wait)
    else:
        check.instance("retry_delay", rule, timedelta, hint="pass a timedelta, a sequence of them, or a function")
        check.duration("retry_delay", rule)


def plain(name: str, function: Any) -> Any:
    """A function that answers at once. Raises Misuse."""
    if inspect.iscoroutinefunction(check.function(name, function)):
        raise Misuse(f"{name} is an async function, and nobody would await it", hint="define it with def")
    return function


def every_error(_: Exception) -> bool:
    """The default predicate: every error is a failure."""
    return True


NO_RULES = Rules()


def merged(own: Rules, default: Rules) -> Rules:
    """A task's own rules, and in place of those it has not, those of its ``Tasks``."""
    return Rules(
        default.retry_delay if own.retry_delay is None else own.retry_delay,
        default.is_failure if own.is_failure is None else own.is_failure,
        default.max_crashes if own.max_crashes is None else own.max_crashes,
    )


def delay(rule: RetryDelay, retried: int, error: Exception) -> timedelta:
    """The wait that a rule asks for."""
    if isinstance(rule, timedelta):
        return rule
    if isinstance(rule, Sequence):
        return rule[min(retried, len(rule) - 1)]
    return rule(retried, error)
