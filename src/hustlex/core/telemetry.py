"""One hook for all rooms: told when a call begins; what it returns is told when that call ends.

``hustlex.HustleX(url, hook=...)``. Without a hook nothing here runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

import msgspec

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("hustlex")


class CallStart(msgspec.Struct, frozen=True):
    """A call begins.

    ops: the names of its operations, as ``("jobs.enqueue",)``; several for a batch, which is one write. memory: it is
    answered in this process, without the server.
    """

    ops: tuple[str, ...]
    memory: bool = False

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
    raised, of a batch's first failure; failed: how many of its operations), or "cancelled" by whoever called.
    """

    seconds: float
    outcome: Literal["ok", "failed", "cancelled"] = "ok"
    error: str = ""
    failed: int = 0


End = Callable[[CallEnd], object]
Hook = Callable[[CallStart], End | None]
"""Called in the caller's task or thread, so in several threads at a time. What it returns is called once, there too.

Must not block. What it raises is logged and goes no further.
"""


class Watch:
    """``with Watch(hook, names) as call:`` tells the start and, however the block is left, the end.

    began: when the call did (steady clock), if that was before the block.
    """

    __slots__ = ("_began", "_end", "_hook", "_start", "failures")

    def __init__(self, hook: Hook, ops: tuple[str, ...], *, memory: bool = False, began: float = 0.0) -> None:
        self._hook = hook
        self._start = CallStart(ops, memory)
        self._began = began
        self.failures: list[BaseException] = []

    def __enter__(self) -> Self:
        self._end: End | None = _safely(self._hook, self._start)
        self._began = self._began or time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is not None:
            _safely(self._end, self._ended(time.monotonic() - self._began, error))

    def results(self, answers: Iterable[Any]) -> None:
        """What a batch brought: its failures are in the list."""
        self.failures = [answer for answer in answers if isinstance(answer, BaseException)]

    def _ended(self, seconds: float, error: BaseException | None) -> CallEnd:
        start, failures = self._start, self.failures
        if error is not None:
            failures = [error] * start.size
        name = type(failures[0]).__name__ if failures else ""
        outcome: Literal["ok", "failed", "cancelled"] = "failed" if failures else "ok"
        if error is not None and not isinstance(error, Exception):
            outcome = "cancelled"
        return CallEnd(start.ops, start.memory, seconds=seconds, outcome=outcome, error=name, failed=len(failures))


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


def _safely(hook: Callable[[Any], Any], event: CallStart) -> Any:
    """Call it; a hook that fails must not change what a call did."""
    try:
        return hook(event)
    except Exception:  # noqa: BLE001 - whatever it raises
        _log.exception("the hook failed; the call goes on")
        return None
