"""Why an attempt ends without its handler's consent. The texts are Asynq's: operators search for them."""

from __future__ import annotations


class DeadlineExceeded(Exception):
    """The timeout or deadline passed."""

    def __str__(self) -> str:
        return "context deadline exceeded"


class Canceled(Exception):
    """Somebody cancelled the task."""

    def __str__(self) -> str:
        return "context canceled"


class LeaseExpired(Exception):
    """The lease ended, or somebody else has the task: nothing may be written for it."""

    def __str__(self) -> str:
        return "asynq: task lease expired"


class HandlerNotFound(Exception):
    """No task of this worker has the type."""


class Aborted(Exception):
    """The worker stops and gives the task back."""


class ProcessDied(Exception):
    """The process that ran the handler ended before it did: it crashed, or was killed from outside."""

    def __str__(self) -> str:
        return f"the process that ran the handler {self.args[0]}"
