"""What a handler can know about the job it is running, and leave on it. Async only: the worker sets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, overload

from hustlex.core import check
from hustlex.core.answer.aio import answering
from hustlex.core.generics import T
from hustlex.core.op import Arg
from hustlex.errors import Misuse
from hustlex.jobs.define.results import dumps
from hustlex.jobs.stream.items import log_fields, progress_fields
from hustlex.jobs.wire import TaskMessage

Send = Callable[[bytes], Awaitable[bool]]
"""Writes the running task's result; answers False when the task is not active any more."""
Tell = Callable[[Sequence[Arg]], Awaitable[bool]]
"""Appends to the running task's stream; answers False when that was not possible."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@answering
class ResultWriter:
    """Leaves a result on the running task; readable while it runs, and afterwards for the task's ``retention``."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def write(self, result: Any) -> bool:
        """Keep bytes as they are, anything else as JSON, of the types that arguments have (one round trip).

        The last one counts, and wins over what the handler returns.

        False when the task is not active any more (its lease was lost); then nothing was written.
        Raises PayloadError for a value that JSON cannot carry.
        """
        return await self._send(dumps(result))


@answering
class CurrentJob(Generic[T]):
    """The job a handler is running.

    message: as stored. deadline_ms: Unix milliseconds at which this attempt is cut off. state: what the worker's
    lifespan made, shared by all handlers.
    """

    __slots__ = ("_send", "_tell", "deadline_ms", "message", "state")

    def __init__(self, message: TaskMessage, deadline_ms: int, state: T, send: Send, tell: Tell | None = None) -> None:
        self.message = message
        self.deadline_ms = deadline_ms
        self.state = state
        self._send = send
        self._tell = tell or _unheard

    @property
    def id(self) -> str:
        """The task id."""
        return self.message.id

    @property
    def queue(self) -> str:
        """The queue it came from."""
        return self.message.queue

    @property
    def type(self) -> str:
        """The task type as enqueued; may be longer than the type the handler is registered for."""
        return self.message.type

    @property
    def payload(self) -> bytes | None:
        """The payload as it came; None when empty."""
        return self.message.payload

    @property
    def retried(self) -> int:
        """Retries used so far; 0 at the first attempt."""
        return self.message.retried

    @property
    def max_retry(self) -> int:
        """Retries allowed."""
        return self.message.retry

    @property
    def headers(self) -> dict[str, str]:
        """Text by name, from the producer."""
        return self.message.headers

    @property
    def deadline(self) -> datetime:
        """When this attempt is cut off."""
        return _EPOCH + timedelta(milliseconds=self.deadline_ms)

    @property
    def result(self) -> ResultWriter:
        """``await current_job().result.write(...)``."""
        return ResultWriter(self._send)

    def _ends_at(self, deadline_ms: int) -> None:
        """The worker says that it is cut off at another moment."""
        self.deadline_ms = deadline_ms

    async def progress(self, fraction: float, text: str = "") -> bool:
        """Say how far the job is, to whoever follows it (``Jobs.follow``). fraction: 0 to 1, else Misuse is raised.

        One round trip, at most once: False when it could not be written, which is no reason to fail. The newest 1,000
        items of a job are kept, for a day.
        """
        return await self._tell(progress_fields(fraction, text))

    async def log(self, text: str) -> bool:
        """Write a line for whoever follows the job; the first 8,000 characters of it. As ``progress`` otherwise."""
        return await self._tell(log_fields(text))

    def __repr__(self) -> str:
        return f"CurrentJob({self.type!r}, {self.id!r})"


async def _unheard(_: Sequence[Arg]) -> bool:
    return False


CURRENT: ContextVar[CurrentJob[Any]] = ContextVar("hustlex_current_job")
"""Set by the worker around each handler, in tasks and threads alike."""


@overload
def current_job() -> CurrentJob[Any]: ...


@overload
def current_job(state: type[T]) -> CurrentJob[T]: ...


def current_job(state: type[Any] = object) -> CurrentJob[Any]:
    """The job that is being handled here: ``current_job(Wallets).state`` is ``Wallets`` to type checkers too.

    Raises Misuse outside a handler, and where the lifespan made another state.
    """
    check.instance("state", state, type, hint="pass the class of what the lifespan makes")
    job = CURRENT.get(None)
    if job is None:
        raise Misuse("no job is running here", hint="call current_job() inside a task's handler")
    if not isinstance(job.state, state):
        raise Misuse(f"the state is {check.shown(job.state)}, not a {state.__name__}", hint="see Tasks(lifespan=...)")
    return job
