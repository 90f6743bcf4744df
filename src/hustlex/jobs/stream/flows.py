"""What a job tells while it runs, as typed items, and waiting for its end. Following is in ``subscription``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NoReturn

import msgspec

from hustlex.core import check
from hustlex.core.generics import T
from hustlex.core.op import Arg, Batch, Flow, Sleep, do
from hustlex.core.outcome import Failure, Outcome
from hustlex.errors import Error, Misuse, NotFound, NotReady
from hustlex.jobs.enqueue.options import DEFAULT_QUEUE
from hustlex.jobs.inspect import ops as inspect
from hustlex.jobs.stream import ops
from hustlex.jobs.stream.ops import Glance
from hustlex.jobs.types import State
from hustlex.jobs.wire import WireError, clean, decode_task

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = re.compile(r"^\d{1,19}-\d{1,19}$")
_LONGEST_TEXT = 8_000
_ENDS = (State.COMPLETED, State.ARCHIVED)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.5


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

    One that returns nothing, is not kept, and ended before anybody waited is Gone, never Succeeded(None).
    """

    def _words(self) -> str:
        return (
            "nothing is left of the job: it succeeded and is not kept, was dropped or deleted, or never was; give it a"
            " retention to ask for its end later"
        )


Ending = Succeeded[T] | Failed | NotYet | Gone


def progress_fields(fraction: float, text: str) -> tuple[Arg, ...]:
    """A report as its stream has it. Raises Misuse unless the fraction is from 0 to 1."""
    fraction = float(check.number("progress", fraction, 0, 1))
    return ("kind", "progress", "fraction", repr(fraction), "text", _cut(text))


def log_fields(text: str) -> tuple[Arg, ...]:
    """A line as its stream has it; at most 8000 characters of it."""
    return ("kind", "log", "text", _cut(text))


def _cut(text: str) -> str:
    return clean(check.typed("text", text)[:_LONGEST_TEXT])


def check_position(since: str) -> str:
    """A position to go on from; "" = from the first item. Raises Misuse for what no item can have."""
    check.text("since", since, blank=True)
    if since and not _POSITION.match(since):
        raise Misuse("a position is what an item's position said", hint="pass item.position, or leave it out")
    return since or ops.FIRST


def order(position: str) -> tuple[int, int]:
    """Positions in the order of time; FIRST is before all."""
    if not _POSITION.match(position):
        return (0, 0)
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number)


class Trail:
    """Turns glances into items, each once. position: of the last item. over: the last glance showed the end.

    more: it did not show all there is.
    """

    def __init__(self, since: str) -> None:
        self.position = check_position(since)
        self.over = False
        self.more = False
        self._fresh = True
        self._last: StateChange | None = None
        self._had_result = False

    def read(self, seen: Glance) -> Iterator[Item]:
        """What is new. Raises NotFound when there is no trace of such a job at the first glance."""
        if self._fresh and seen.state is None and not seen.phase and not seen.items and self.position == ops.FIRST:
            raise NotFound("there is no such job, or nothing is left of it")
        self._fresh = False
        for entry in seen.items:
            self.position = entry.position
            item = _item(entry)
            if isinstance(item, StateChange) and item.state is seen.state:
                item = msgspec.structs.replace(item, error=error_in(seen.message))
            if item is not None and self._is_news(item):
                yield item
        self.more = len(seen.items) == ops.MOST
        if not self.more:
            yield from self._state(seen)

    def _is_news(self, item: Item) -> bool:
        self._had_result = self._had_result or isinstance(item, Result)
        if not isinstance(item, StateChange):
            return True
        known = self._last is not None and self._last.at is None and self._last.state is item.state
        self._last = item
        return not known

    def _state(self, seen: Glance) -> Iterator[Item]:
        """Where the task is, when nobody has announced it: Go's workers and operators do not."""
        if seen.state is None and seen.phase == "waits":
            return
        told = self._last is not None and self._last.state in _ENDS
        if seen.state is None and told:
            self.over = True
            return
        if self._last is None or self._last.state is not seen.state:
            if seen.state is State.COMPLETED and seen.result and not self._had_result:
                yield Result(self._here(), None, seen.result)
            self._last = StateChange(self._here(), None, seen.state, seen.why or error_in(seen.message))
            yield self._last
        self.over = seen.state is None or seen.state in _ENDS

    def _here(self) -> str:
        return "" if self.position == ops.FIRST else self.position


def _item(entry: ops.Item) -> Item | None:
    """None for a kind that a newer version may write."""
    make = _MAKERS.get(entry.fields.get(b"kind", b""))
    try:
        return make(entry.position, _moment(entry.position), entry.fields) if make else None
    except (KeyError, ValueError):
        return None


def _moment(position: str) -> datetime:
    return _EPOCH + timedelta(milliseconds=order(position)[0])


def _progress(position: str, at: datetime, fields: dict[bytes, bytes]) -> Progress:
    fraction = float(fields[b"fraction"])
    return Progress(position, at, fraction if math.isfinite(fraction) else 0.0, _text(fields[b"text"]))


def _state_change(position: str, at: datetime, fields: dict[bytes, bytes]) -> StateChange:
    return StateChange(position, at, State(_text(fields[b"state"])))


_MAKERS: dict[bytes, Callable[[str, datetime, dict[bytes, bytes]], Item]] = {
    b"progress": _progress,
    b"log": lambda position, at, fields: Log(position, at, _text(fields[b"text"])),
    b"result": lambda position, at, fields: Result(position, at, fields[b"data"]),
    b"state": _state_change,
}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def error_in(message: bytes) -> str:
    """The last error of a task, "" = none, or nobody can read it."""
    try:
        return decode_task(message).error_msg if message else ""
    except WireError:
        return ""


def wait(queue: str | None, task_id: str, timeout_s: float) -> Flow[Ending[bytes | None]]:
    """Look until the job has ended: soon at first, then twice a second. Meanwhile the task is marked as awaited."""
    waited, pause_s, marked = 0.0, _FIRST_PAUSE_S, False
    queue = (yield from _home(task_id)) if queue is None else queue
    while True:
        ending = _ending((yield from do(ops.glance(queue, task_id, ops.LAST))))
        if not isinstance(ending, NotYet) or waited >= timeout_s:
            return ending
        marked = marked or (yield from do(ops.await_end(queue, task_id)))
        pause_s = min(pause_s, timeout_s - waited)
        yield Sleep(pause_s)
        waited += pause_s
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def _home(task_id: str) -> Flow[str]:
    """The first queue that knows a task."""
    if not isinstance(_ending((yield from do(ops.glance(DEFAULT_QUEUE, task_id, ops.LAST)))), Gone):
        return DEFAULT_QUEUE
    queues = yield from do(inspect.queues())
    looks = yield Batch(tuple(ops.glance(queue, task_id, ops.LAST) for queue in queues))
    for queue, look in zip(queues, looks, strict=True):
        if isinstance(look, Error):
            raise look
        if not isinstance(_ending(look), Gone):
            return queue
    return DEFAULT_QUEUE


def _ending(seen: Glance) -> Ending[bytes | None]:
    if seen.state is State.COMPLETED:
        return Succeeded(seen.result or None)
    if seen.state is State.ARCHIVED:
        return Failed(error_in(seen.message))
    if seen.state is not None or seen.phase == "waits":
        return NotYet(seen.state)
    if seen.phase == "broken":
        return Failed(seen.why)
    return _remembered([item for entry in seen.items if (item := _item(entry)) is not None])


def _remembered(backwards: list[Item]) -> Ending[bytes | None]:
    """What its stream tells of a job that is not kept."""
    last: Any = next((item for item in backwards if isinstance(item, StateChange)), None)
    if last is None or last.state not in _ENDS:
        return Gone()
    if last.state is State.ARCHIVED:
        return Failed("")
    return Succeeded(next((item.data for item in backwards if isinstance(item, Result)), None))
