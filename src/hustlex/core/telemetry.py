"""One hook for all rooms: told when a call begins; what it returns is told when that call ends.

``hustlex.HustleX(url, hook=...)``. Without a hook nothing here runs. A plain function is told of calls, a ``Telemetry``
of what rooms are asked and what workers run, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Literal, ParamSpec, Protocol, Self, TypeVar

import msgspec

from hustlex.core import check
from hustlex.core.logs import logger

P = ParamSpec("P")
R = TypeVar("R")

_log = logger("hustlex")


class CallStart(msgspec.Struct, frozen=True):
    """A call begins.

    ops: the names of its operations, as ``("jobs.enqueue",)``; several for a batch, which is one write. memory: it is
    answered in this process, without the server. waits: it waits on the server on purpose, as a subscription does.
    """

    ops: tuple[str, ...]
    memory: bool = False
    waits: bool = False

    @property
    def op(self) -> str:
        """The operation's name; "batch" for several of different names."""
        return self.ops[0] if len(set(self.ops)) == 1 else "batch"

    @property
    def size(self) -> int:
        """How many operations."""
        return len(self.ops)


class CallEnd(CallStart, frozen=True, kw_only=True):
    """The same call has ended.

    seconds: from its start, repeats and waiting included. outcome: "ok", "failed" (error: the class name of what was
    raised, of a batch's first failure; failed: how many of its operations), or "cancelled" by whoever called. node:
    the server that answered, or was asked last, as ``host:port`` or a socket's path; "" where none was. command: what
    was sent, as "GET" or "EVALSHA", "PIPELINE GET" for several, "PIPELINE" for several that differ; "" where it is not
    known. code: the first word of the server's refusal, as "OOM"; "" = none.
    """

    seconds: float
    outcome: Literal["ok", "failed", "cancelled"] = "ok"
    error: str = ""
    failed: int = 0
    node: str = ""
    command: str = ""
    code: str = ""


End = Callable[[CallEnd], object]
Hook = Callable[[CallStart], End | None]
"""Called in the caller's task or thread, so in several threads at a time. What it returns is called once, there too.

Must not block. What it raises is logged and goes no further.
"""


class CallWay(Protocol):
    """A driver, as far as it knows who answers."""

    def node_of(self, sent: Any) -> str:
        """The server of an operation, or of several where one has them all."""
        ...


class Watch:
    """``with Watch(hook, names) as call:`` tells the start and, however the block is left, the end.

    began: when the call did (steady clock), if that was before the block. way, sent: the driver that carries it, and
    what it carries; asked in the end for the server that answered.
    """

    __slots__ = ("_began", "_end", "_hook", "_sent", "_start", "_way", "failures")

    def __init__(
        self,
        hook: Hook,
        ops: tuple[str, ...],
        *,
        memory: bool = False,
        waits: bool = False,
        began: float = 0.0,
        way: CallWay | None = None,
        sent: Any = None,
    ) -> None:
        self._hook = hook
        self._start = CallStart(ops, memory, waits)
        self._began = began
        self._way, self._sent = way, sent
        self.failures: Sequence[BaseException] = ()

    def __enter__(self) -> Self:
        self._end: End | None = _safely(self._hook, self._start)
        self._began = self._began or time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is not None:
            seconds = time.monotonic() - self._began
            node = _safely(self._way.node_of, self._sent) if self._way is not None else ""
            call = ended(self._start, seconds, error, self.failures, node or "", command_of(self._sent))
            _safely(self._end, call)

    def results(self, answers: Iterable[Any]) -> None:
        """What a batch brought: its failures are in the list."""
        self.failures = [answer for answer in answers if isinstance(answer, BaseException)]


def ended(
    start: CallStart,
    seconds: float,
    error: BaseException | None,
    failures: Sequence[BaseException] = (),
    node: str = "",
    command: str = "",
) -> CallEnd:
    """How a call went. error: what it raised. failures: those of a batch's operations. node, command: as of CallEnd."""
    if error is None and not failures:
        return CallEnd(start.ops, start.memory, start.waits, seconds=seconds, node=node, command=command)
    if error is not None:
        failures = [error] * start.size
    outcome: Literal["failed", "cancelled"] = "failed"
    if error is not None and not isinstance(error, Exception):
        outcome = "cancelled"
    how: dict[str, Any] = {"seconds": seconds, "outcome": outcome, "node": node, "command": command}
    how |= {"error": type(failures[0]).__name__, "code": getattr(failures[0], "server_code", "")}
    return CallEnd(start.ops, start.memory, start.waits, failed=len(failures), **how)


def command_of(sent: Any) -> str:
    """What goes over the wire for an operation, or for several at once; "" for what is neither."""
    if sent is None:
        return ""
    if not isinstance(sent, Sequence):
        return _command(sent)
    names = {_command(each) for each in sent}
    return f"PIPELINE {names.pop()}" if len(names) == 1 else "PIPELINE"


def _command(op: Any) -> str:
    return "EVALSHA" if op.script is not None else str(op.args[0]).upper()


def from_memory(hook: Hook | None, op: str, ask: Callable[P, R], known: type | tuple[type, ...]) -> Callable[P, R]:
    """``ask``; each answer of a ``known`` type was given without the server and is told to the hook, start and end."""
    if hook is None:
        return ask

    def asked(*args: P.args, **options: P.kwargs) -> R:
        began = time.monotonic()
        answer = ask(*args, **options)
        if isinstance(answer, known):
            with Watch(hook, (op,), memory=True, began=began):
                pass
        return answer

    return asked


def _safely(hook: Callable[..., Any], *event: Any) -> Any:
    """Call it; a hook that fails must not change what a call did."""
    try:
        return hook(*event)
    except Exception:  # noqa: BLE001 - whatever it raises
        _log.exception("the hook failed; the call goes on")
        return None


class DoorEnd(msgspec.Struct, frozen=True):
    """What somebody asked a room has an answer."""

    seconds: float
    """From the call until the answer, everything included."""
    answer: Any = None
    """What the caller got, None when it raised. May hold secrets: look at its type and words, keep nothing of it."""
    error: str = ""
    """The class name of what was raised, "" = nothing."""


class AttemptStart(msgspec.Struct, frozen=True):
    """A worker begins with a task; told in the context in which the handler will run."""

    type: str
    """As the handler is registered; "" when there is none."""
    queue: str
    id: str
    attempt: int
    """1 is the first."""
    max_retry: int
    headers: Mapping[str, str]
    """As the producer gave them."""


class AttemptEnd(msgspec.Struct, frozen=True):
    """The same attempt is over."""

    seconds: float
    outcome: str
    """"done", or the word of the log of failed attempts: retry, archived, revoked, lost and so on."""
    error: str = ""
    """The class name of what it raised, "" = nothing."""


DoorEnded = Callable[[DoorEnd], object]
AttemptEnded = Callable[[AttemptEnd], object]


class Telemetry:
    """A hook that is told of more than calls: give one as ``hook`` and override what you want to know.

    Each function is called in the caller's task or thread. It must not block; what it raises is logged and goes no
    further. What one returns is called once, at the end.
    """

    def __call__(self, start: CallStart) -> End | None:  # noqa: ARG002 - for those who override it
        """A call begins, see ``Hook``."""
        return None

    def door(self, name: str, about: Any) -> DoorEnded | None:  # noqa: ARG002 - as above
        """A room is asked, as "otp.verify" or "jobs.enqueue". about: of limits the policies, of jobs the job or type,
        else None.
        """
        return None

    def attempt(self, start: AttemptStart) -> AttemptEnded | None:  # noqa: ARG002 - as above
        """A worker begins with a task."""
        return None

    def leased(self, queue: str, count: int, waited_s: float) -> None:
        """A worker has taken so many tasks of a queue in one call; the first of them had been pending for so long."""

    def fired(self, outcome: str, delay_s: float) -> None:
        """A scheduler has seen to an instant of an entry, so late: "fired", "duplicate" (another one had), "refused" or
        "failed".
        """

    def note(self, event: Any) -> None:
        """A room tells of itself: the codes of each ``OtpEvent``, a relay of the outbox of each batch (``Relayed``) and
        now and then of what is left (``OutboxStanding``).
        """

    def headers(self, *, later: bool) -> Mapping[str, str]:  # noqa: ARG002 - as above
        """What goes with a task that is enqueued here and now; the caller's own headers of these names win.

        later: it is to run some other time, or as one of a group.
        """
        return {}

    def join(self, front: Any) -> None:
        """A front begins to tell."""


class Counting(Telemetry):
    """A hook that keeps nothing of a call but numbers."""

    def count(self, op: str) -> AbstractContextManager[object]:
        """Counts a call of one operation that asks the server, as telling its start and end would. Raises nothing."""
        raise NotImplementedError


def telling(hook: Hook, op: str, way: CallWay | None = None, sent: Any = None) -> AbstractContextManager[object]:
    """Around a call of one operation that asks the server: the hook is told of it; one that only counts needs no words,
    which are half of what a call costs it. way, sent: as of ``Watch``.
    """
    return hook.count(op) if isinstance(hook, Counting) else Watch(hook, (op,), way=way, sent=sent)


class Combined(Telemetry):
    """Several hooks as one; plain functions are told of calls. Ends come in the opposite order, as spans close."""

    def __init__(self, *hooks: Hook) -> None:
        """Raises Misuse."""
        for hook in hooks:
            check.function("a hook", hook)
        self._hooks = hooks
        self._ears = tuple(hook for hook in hooks if isinstance(hook, Telemetry))

    def __call__(self, start: CallStart) -> End | None:
        return _all([_safely(hook, start) for hook in self._hooks])

    def door(self, name: str, about: Any) -> DoorEnded | None:
        return _all([_safely(ear.door, name, about) for ear in self._ears])

    def attempt(self, start: AttemptStart) -> AttemptEnded | None:
        return _all([_safely(ear.attempt, start) for ear in self._ears])

    def leased(self, queue: str, count: int, waited_s: float) -> None:
        for ear in self._ears:
            _safely(ear.leased, queue, count, waited_s)

    def fired(self, outcome: str, delay_s: float) -> None:
        for ear in self._ears:
            _safely(ear.fired, outcome, delay_s)

    def note(self, event: Any) -> None:
        for ear in self._ears:
            _safely(ear.note, event)

    def headers(self, *, later: bool) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for ear in self._ears:
            found |= safely_headers(ear, later=later)
        return found

    def join(self, front: Any) -> None:
        for ear in self._ears:
            ear.join(front)


def _all(ends: Sequence[Callable[[Any], object] | None]) -> Callable[[Any], object] | None:
    waiting = [end for end in reversed(ends) if end is not None]
    if len(waiting) < 2:
        return waiting[0] if waiting else None

    def ended(event: Any) -> None:
        for end in waiting:
            _safely(end, event)

    return ended


class DoorWatch:
    """``with DoorWatch(hook, name, about) as watch:`` tells that a room is asked, and what came of it."""

    __slots__ = ("_about", "_began", "_end", "_hook", "_name", "answer")

    def __init__(self, hook: Telemetry, name: str, about: Any) -> None:
        self._hook, self._name, self._about = hook, name, about
        self.answer: Any = None

    def __enter__(self) -> Self:
        self._end: DoorEnded | None = _safely(self._hook.door, self._name, self._about)
        self._began = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._end is not None:
            name = kind.__name__ if kind is not None else ""
            _safely(self._end, DoorEnd(time.monotonic() - self._began, self.answer, name))


def begin_attempt(hook: Telemetry, start: AttemptStart) -> AttemptEnded | None:
    """Tell of its start; what is to be called at its end, with nothing to fear from it."""
    end: AttemptEnded | None = _safely(hook.attempt, start)
    return None if end is None else partial(_safely, end)


def safely_headers(hook: Telemetry, *, later: bool) -> Mapping[str, str]:
    """What it wants to go with a task; nothing when it fails."""
    try:
        return hook.headers(later=later)
    except Exception:  # noqa: BLE001 - whatever it raises
        _log.exception("the hook failed; the task goes without its headers")
        return {}


def told_of(hook: Telemetry, event: Any) -> None:
    """Tell what a room says of itself."""
    _safely(hook.note, event)


def join(hook: Hook | None, front: Any) -> None:
    """Tell that a front begins to tell."""
    if isinstance(hook, Telemetry):
        hook.join(front)


def leases_told(hook: Hook | None) -> Callable[[str, int, float], None] | None:
    """What is to be told of tasks that a worker takes, with nothing to fear from it; None: nobody listens."""
    return partial(_safely, hook.leased) if isinstance(hook, Telemetry) else None


def tell_fired(hook: Hook | None, outcome: str, delay_s: float) -> None:
    """Tell what became of an instant."""
    if isinstance(hook, Telemetry):
        _safely(hook.fired, outcome, delay_s)
