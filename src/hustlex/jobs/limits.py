"""How many tasks of a type, or of one key of it, may run: at once, and in a span of time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from hustlex.core.time import positive_ms
from hustlex.errors import Misuse

Key = str | Callable[[Mapping[str, Any]], Any]
"""The parameter whose value tells tenants apart, or a function of all arguments by name; compared as text."""

MOST_AT_ONCE = 1_000
_MOST_STARTS = 10_000
_LONGEST_MS = 86_400_000


class Rate(msgspec.Struct, frozen=True):
    """At most ``count`` starts in any span of length ``per``, wherever the span begins.

    count: 1 to 10,000. per: 1 ms to 1 day. Raises Misuse.
    """

    count: int
    per: timedelta = timedelta(seconds=1)

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MOST_STARTS:
            raise Misuse(f"a rate counts 1 to {_MOST_STARTS} starts, not {self.count}")
        if self.per_ms > _LONGEST_MS:
            raise Misuse(f"a rate's span is at most one day, not {self.per!r}")

    @property
    def per_ms(self) -> int:
        """The span in milliseconds."""
        return positive_ms("per", self.per)

    @property
    def per_second(self) -> float:
        """Starts per second in the long run."""
        return self.count * 1000 / self.per_ms


class Limits(msgspec.Struct, frozen=True):
    """What a task's handler may not exceed; each key has the limits for itself.

    max_concurrency: running at once in all Python workers of a queue, 1 to 1000; 0 = any number.
    max_per_worker: running at once in one worker process; 0 = any number.
    rate: starts in all Python workers of a queue. key: see ``Key``; workers with more than they can start take turns
    between keys. Raises Misuse.
    """

    max_concurrency: int = 0
    max_per_worker: int = 0
    rate: Rate | None = None
    key: Key | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_concurrency <= MOST_AT_ONCE:
            raise Misuse(f"max_concurrency must be 1 to {MOST_AT_ONCE}, not {self.max_concurrency}")
        if self.max_per_worker < 0:
            raise Misuse(f"max_per_worker must be at least 1, not {self.max_per_worker}")

    @property
    def shared(self) -> bool:
        """Whether Redis must be asked before a start."""
        return self.max_concurrency > 0 or self.rate is not None

    def gate(self, task_type: str, arguments: Callable[[], Mapping[str, Any]]) -> str:
        """What is counted together: the type, or the type and a digest of the key (keys may be personal data)."""
        if self.key is None:
            return task_type
        given = arguments()
        value = given.get(self.key) if isinstance(self.key, str) else self.key(given)
        return f"{task_type}:{hashlib.blake2b(str(value).encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


NO_LIMITS = Limits()
