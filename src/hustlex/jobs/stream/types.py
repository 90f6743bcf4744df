"""What a job tells, as typed items, and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, NoReturn

import msgspec

from hustlex.core.generics import T
from hustlex.core.outcome import Failure, Outcome
from hustlex.errors import NotReady
from hustlex.jobs.types import State


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far a job is. position: where to go on from. fraction: 0 to 1."""

    position: str
    at: datetime
    fraction: float
    text: str


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A line that a job wrote. Its repr hides the text."""

    position: str
    at: datetime
    text: str

    def __repr__(self) -> str:
        return f"Log({self.position!r}, {len(self.text)} characters)"


class Result(msgspec.Struct, frozen=True, tag="result"):
    """A result that a job left; the last one counts. Its repr hides the data."""

    position: str
    at: datetime | None
    data: bytes

    def __repr__(self) -> str:
        return f"Result({self.position!r}, {len(self.data)} bytes)"


class StateChange(msgspec.Struct, frozen=True, tag="state"):
    """Where the task is now. state: None = it is gone: finished and not kept, revoked, or deleted.

    at: None when it was seen, not announced. error: of the last attempt while the task waits for another one or is
    archived, "" = none, or why a step of a workflow can never start.
    """

    position: str
    at: datetime | None
    state: State | None
    error: str = ""


Item = Progress | Log | Result | StateChange


class Succeeded(Outcome, Generic[T], frozen=True):
    """The job is done. result: what it returned, or wrote; None = nothing. Its repr hides it.

    A handle decodes it to its type; asked for by id it is as it is kept, bytes.
    """

    result: T

    def __repr__(self) -> str:
        kept: Any = self.result
        return f"Succeeded({len(kept or b'')} bytes)" if isinstance(kept, bytes | None) else "Succeeded(...)"


class Failed(Failure, frozen=True):
    """The job is archived, expired, or is a step of a workflow that can never start. error: why."""

    error: str

    def _words(self) -> str:
        return f"the job failed: {self.error}"


class NotYet(Failure, frozen=True):
    """The time is up and the job has not ended. state: None = it is a step that waits for others."""

    state: State | None

    def or_raise(self) -> NoReturn:
        """Raises NotReady, which is a TimeoutError as well."""
        raise NotReady("the job has not ended", self)


class Gone(Failure, frozen=True):
    """No trace of the job: it succeeded and is not kept, it was dropped or deleted, or there never was one.

    One that returns nothing, is not kept, and ended before anybody waited is Succeeded for half a minute, while it is
    among the last 1000 such of its queue; then it is Gone.
    """

    def _words(self) -> str:
        return (
            "nothing is left of the job: it succeeded and is not kept, was dropped or deleted, or never was; give it a"
            " retention to ask for its end later"
        )


Ending = Succeeded[T] | Failed | NotYet | Gone
