"""What the idempotency room answers. Every expected outcome is a value; none has a truth value."""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import ClassVar

from hustlex.core import check
from hustlex.core.outcome import Failure, Outcome, Secretive
from hustlex.errors import Misuse


class Response(Secretive, frozen=True, eq=False):
    """An answer to keep and to repeat; body and headers are sealed in Redis.

    headers: pairs of name and value. whole: False when the body is not here, because it was streamed or too large.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    whole: bool = True
    hidden: ClassVar[frozenset[str]] = frozenset({"body", "headers"})

    def __post_init__(self) -> None:
        check.whole("status", self.status, 0, 999)
        check.instance("body", self.body, bytes)
        check.flag("whole", self.whole)
        check.instance("headers", self.headers, tuple, list, hint="pass pairs of name and value")
        for pair in self.headers:
            check.instance("a header", pair, tuple, list, hint="pass pairs of name and value")
            if [type(each) for each in pair] != [str, str]:
                raise Misuse("a header is a pair of texts", hint="pass pairs of name and value")


class Started(Secretive, frozen=True, eq=False):
    """The key is the caller's: execute, then ``complete``.

    fence: 1 for the first owner and higher for each later one; write it beside the effect and refuse lower ones.
    point: the recovery point that an earlier owner reached, "none" when there was none. durable: whether it was as safe
    as ``IdempotencyOptions.durability`` says before the answer, None for "memory". lease, ttl: as they were at
    ``begin``; in milliseconds.
    """

    record: str
    owner: str
    fence: int
    point: str
    lease_ms: int
    ttl_ms: int
    durable: bool | None = None
    hidden: ClassVar[frozenset[str]] = frozenset({"record", "owner"})


class Replay(Outcome, frozen=True):
    """The request was executed before; this was its answer."""

    response: Response


class Seen(Outcome, frozen=True):
    """The event was handled before: thank the provider and do nothing."""


class InFlight(Failure, frozen=True):
    """Another caller is executing. retry_after: until its lease ends if it does not renew; None: it has no lease."""

    retry_after: timedelta | None


class Mismatch(Failure, frozen=True):
    """The key was used for a request with another content."""


class Orphaned(Failure, frozen=True):
    """An owner began, is gone, and nobody knows whether the effect took place. Look; then ``begin(..., over=this)``.

    fence: the owner's. point: the recovery point it reached.
    """

    fence: int
    point: str


class InvalidKey(Failure, frozen=True):
    """Not 1 to 255 visible ASCII characters."""


class Executed(Outcome, frozen=True):
    """This call did it. recorded: False when the answer could not be kept: the server is away, or the claim had been
    lost to another caller while this one was executing. Look at that: it may have been executed twice.
    """

    response: Response
    recorded: bool


class Finding(enum.Enum):
    """What a reconciliation found, besides a Response: the effect did not take place, or nobody can tell."""

    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


BeginResult = Started | Replay | InFlight | Mismatch | Orphaned | InvalidKey
EventResult = Started | Seen | InFlight | Orphaned | InvalidKey
RunResult = Executed | Replay | InFlight | Mismatch | Orphaned | InvalidKey
