"""How many tasks of a type, or of one key of it, may run: at once, and in a span of time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from hustlex.core import check
from hustlex.core.time import to_ms

Key = str | Callable[[Mapping[str, Any]], Any]
"""The parameter whose value tells tenants apart, or a function of all arguments by name; compared as text."""

MOST_AT_ONCE = 1_000
_MOST_STARTS = 10_000
_SHORTEST, _LONGEST = timedelta(milliseconds=1), timedelta(days=1)


class Rate(msgspec.Struct, frozen=True):
    """At most ``count`` starts in any span of length ``per``, wherever the span begins. Raises Misuse."""

    count: int
    """1 to 10,000."""
    per: timedelta = timedelta(seconds=1)
    """1 ms to 1 day."""

    def __post_init__(self) -> None:
        check.whole("count of a rate", self.count, 1, _MOST_STARTS)
        check.duration("per of a rate", self.per, _SHORTEST, _LONGEST)

    @property
    def per_ms(self) -> int:
        """The span in milliseconds."""
        return to_ms(self.per)

    @property
    def per_second(self) -> float:
        """Starts per second in the long run."""
        return self.count * 1000 / self.per_ms


class Limits(msgspec.Struct, frozen=True):
    """What a task's handler may not exceed; each key has the limits for itself. Raises Misuse."""

    max_concurrency: int = 0
    """Running at once in all Python workers of a queue, 1 to 1000; 0 = any number."""
    max_per_worker: int = 0
    """Running at once in one worker process; 0 = any number."""
    rate: Rate | None = None
    """Starts in all Python workers of a queue; None = any number."""
    key: Key | None = None
    """The parameter whose value tells tenants apart, or a function of the arguments, see ``Key``; workers with more
    than they can start take turns between keys. None = all are one."""

    def __post_init__(self) -> None:
        check.whole("max_concurrency", self.max_concurrency, 0, MOST_AT_ONCE)
        check.whole("max_per_worker", self.max_per_worker)
        if self.rate is not None:
            check.instance("rate", self.rate, Rate, hint="pass a Rate, as Rate(10, timedelta(seconds=1)), or None")
        if isinstance(self.key, str):
            check.text("key", self.key)
        elif self.key is not None:
            check.function("key", self.key)

    @property
    def shared(self) -> bool:
        """Whether Redis must be asked before a start."""
        return self.max_concurrency > 0 or self.rate is not None

    def group_of(self, task_type: str, arguments: Callable[[], Mapping[str, Any]]) -> str:
        """What is counted together: the type, or the type and a digest of the key (keys may be personal data)."""
        if self.key is None:
            return task_type
        given = arguments()
        value = given.get(self.key) if isinstance(self.key, str) else self.key(given)
        return f"{task_type}:{hashlib.blake2b(str(value).encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


NO_LIMITS = Limits()
