"""Every exception this package raises, in one tree.

Expected outcomes (a wrong code, a full limit, a duplicate job) are return values of the rooms.
An exception means that the call could not be answered: bad input, a broken link, a server that refused.
No message ever carries a payload, a secret, a one-time code or a key's user data.
Each class has a ``code`` of its own, which stays when names and messages change: for logs, alerts, other languages.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Self

__all__ = [
    "BadOption",
    "BadReply",
    "Closed",
    "ConfigurationError",
    "Conflict",
    "Denied",
    "Error",
    "Full",
    "LoadTimeout",
    "Misuse",
    "NotDurable",
    "NotFound",
    "NotInstalled",
    "NotReady",
    "OutcomeUnknown",
    "Overloaded",
    "Refused",
    "RevocationIncomplete",
    "Timeout",
    "Unavailable",
    "Unsuccessful",
]


class Error(Exception):
    """Base of the tree.

    code: one stable word for each class, as "unavailable"; docs/reference/errors.md lists them.
    op: the operation's name, as ``otp.verify`` ("" when none was running).
    hint: what to do about it, one sentence.
    maybe_executed: True when the server may have carried the call out although no reply arrived.
    attempts: how often the call was made (0: it never was, or the error is none of a call). elapsed: from its beginning
    to the error. node: the server that was asked last, as "10.0.0.3:6379".
    """

    code: ClassVar[str] = "error"
    maybe_executed = False
    attempts = 0
    elapsed: timedelta | None = None
    node = ""
    _says_attempts: ClassVar[bool] = False

    def __init__(self, message: str, *, op: str = "", hint: str = "") -> None:
        self.message = message
        self.op = op
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        head = f"{self.op}: {self.message}" if self.op else self.message
        head += self._tale() if self._says_attempts and self.attempts and self.elapsed is not None else ""
        return f"{head} ({self.hint})" if self.hint else head

    def _tale(self) -> str:
        seconds = f"{self.elapsed.total_seconds():.2f} s" if self.elapsed is not None else ""
        known = [self.node] if self.node and self.node not in self.message else []
        return f" [{', '.join([*known, f'attempts: {self.attempts}', seconds])}]"

    def during(self, op: str) -> Error:
        """Name the operation that was running, unless one is named already; returns self."""
        self.op = self.op or op
        return self

    def tried(self, attempts: int, elapsed: timedelta, node: str) -> Self:
        """Tell how often, how long and where the call was made, unless that is told already; returns self."""
        if self.elapsed is None:
            self.attempts, self.elapsed, self.node = attempts, elapsed, node
        return self


class Misuse(Error, ValueError):
    """The arguments can never work; nothing was sent."""

    code = "misuse"


class ConfigurationError(Error):
    """The settings, the URL or the server's set-up do not fit; nothing was sent."""

    code = "configuration"


class Unsuccessful(Error):
    """``or_raise`` met an outcome that is no success. outcome: that value."""

    code = "unsuccessful"

    def __init__(self, message: str, outcome: object) -> None:
        super().__init__(message)
        self.outcome = outcome


class NotReady(Unsuccessful, TimeoutError):
    """``or_raise`` met a job that has not ended in the time that was given."""

    code = "not_ready"


class BadOption(ConfigurationError, Misuse):
    """An option of a room has a value that can never work; nothing was sent."""

    code = "bad_option"


class NotInstalled(ConfigurationError, ImportError):
    """Something needs an extra that is not installed; an ImportError too, for those who try."""

    code = "not_installed"


class Unavailable(Error):
    """The server could not be reached in time; the call was not executed, or had no effect that matters."""

    code = "unavailable"
    _says_attempts = True


class Closed(Unavailable):
    """The client was closed before this call; nothing was sent, and no room goes on without it."""

    code = "closed"


class Timeout(Unavailable):
    """The deadline passed without a reply. A read or a repeatable call may simply be made again."""

    code = "timeout"
    maybe_executed = True


class LoadTimeout(Error, TimeoutError):
    """The computation of a cached value takes longer than the cache's ``hard_timeout``; it goes on, and is stored."""

    code = "load_timeout"


class OutcomeUnknown(Error):
    """A call that must not run twice was sent and its reply was lost: it may or may not have been executed.

    Look at the state before repeating it.
    """

    code = "outcome_unknown"
    maybe_executed = True
    _says_attempts = True


class Overloaded(Unavailable):
    """Too many calls were waiting for the connection; this one was never sent."""

    code = "overloaded"


class NotDurable(Error):
    """The call was executed, but was not on the disk, or on replicas, in the time that durability waits.

    answer: what it would have returned. local: whether the server's disk has it; replicas: how many of them.
    """

    code = "not_durable"
    maybe_executed = True

    def __init__(self, message: str, *, op: str = "", hint: str = "") -> None:
        super().__init__(message, op=op, hint=hint)
        self.answer: object = None
        self.local = False
        self.replicas = 0


class Refused(Error):
    """The server answered with an error; the call was not executed. ``server_code``: its first word, as "WRONGTYPE"."""

    code = "refused"

    def __init__(self, message: str, *, server_code: str, op: str = "", hint: str = "") -> None:
        super().__init__(message, op=op, hint=hint)
        self.server_code = server_code


class Full(Refused):
    """The server's memory limit is reached: it refuses writes until memory is freed."""

    code = "full"


class Denied(Refused):
    """Wrong password, or the ACL user may not run this command."""

    code = "denied"


class BadReply(Error):
    """The reply does not have the shape that the operation's contract promises; a fault of this package."""

    code = "bad_reply"


class RevocationIncomplete(Error):
    """A revocation stands, and every strict check denies; but other processes' bounded checks could not be told.

    Repeat the call: it tells them again. Until then they may accept the access tokens for the rest of their lives.
    """

    code = "revocation_incomplete"
    maybe_executed = True
    authoritative = True


class NotFound(Error):
    """The named thing (a queue, a task, a session) does not exist."""

    code = "not_found"


class Conflict(Error):
    """The named thing is in a state that forbids the operation."""

    code = "conflict"
