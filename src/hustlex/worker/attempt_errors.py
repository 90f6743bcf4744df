"""Why an attempt ends without its handler's consent. The texts are Asynq's: operators search for them."""

from __future__ import annotations

from hustlex.jobs.types import PayloadError


class DeadlineExceeded(Exception):
    """The timeout or deadline passed."""

    code = "deadline_exceeded"

    def __str__(self) -> str:
        return "context deadline exceeded"


class Canceled(Exception):
    """Somebody cancelled the task."""

    code = "canceled"

    def __str__(self) -> str:
        return "context canceled"


class Revoked(Canceled):
    """It was cancelled for good before it started."""

    code = "revoked"

    def __str__(self) -> str:
        return "canceled"


class Expired(Exception):
    """It was not started in time, and is not worth its start any more."""

    code = "expired"

    def __str__(self) -> str:
        return "expired before it was started"


class LeaseExpired(Exception):
    """The lease ended, or somebody else has the task: nothing may be written for it."""

    code = "lease_expired"

    def __str__(self) -> str:
        return "asynq: task lease expired"


class HandlerNotFound(Exception):
    """No task of this worker has the type: it is put off for another worker, in the end archived."""

    code = "handler_not_found"


class Crashed(Exception):
    """Workers died with the task, too often to try again. times: how often."""

    code = "crashed"

    def __init__(self, times: int) -> None:
        super().__init__(times)
        self.times = times

    def __str__(self) -> str:
        return f"worker died {self.times} times while running it"


class ProcessDied(Exception):
    """The process that ran the handler ended before it did: it crashed, or was killed from outside."""

    code = "process_died"

    def __str__(self) -> str:
        return f"the process that ran the handler {self.args[0]}"


OURS = (DeadlineExceeded, Canceled, LeaseExpired, HandlerNotFound, Crashed, ProcessDied, Expired, PayloadError)
"""They say all that is to be said: no name, no traceback."""
