"""What other people's code raised: made an Exception, and put into words that can be kept, whatever it was.

An exception's own words are code as well: ``__str__`` may raise, or answer megabytes, half characters or no text.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

LONGEST_TEXT = 1_000
LONGEST_TRACE = 20_000
_MOST_CAUSES = 100
SPEECHLESS = "(it cannot say what it is)"
_UNREADABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")
_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_traceback: Callable[[BaseException], Any] = BaseException.__dict__["__traceback__"].__get__


class Undescribed(Exception):
    """Stands in a log for an error that cannot be written there: its name, as much of its text as can be read, its
    place."""


def as_exception(fault: BaseException) -> Exception:
    """What escaped from a call; RuntimeError in place of what would end a task, a loop or the process, or lies about
    its class."""
    if _is_usual(fault):
        return fault  # type: ignore[return-value]
    escaped = RuntimeError(describe(fault))
    escaped.__cause__ = fault
    return escaped.with_traceback(_traceback(fault))


def _is_usual(fault: BaseException) -> bool:
    kind = type(fault)
    try:
        return issubclass(kind, Exception) and not issubclass(kind, StopIteration) and fault.__class__ is kind
    except BaseException:  # noqa: BLE001 - whatever a type's own words raise
        return False


def describe(error: BaseException) -> str:
    """``ValueError: no such user``, at most 1000 characters; never raises."""
    return f"{_name(type(error))}: {words(error)}".removesuffix(": ")[:LONGEST_TEXT]


def words(error: BaseException) -> str:
    """What an error says of itself, at most 1000 characters that can be read; never raises."""
    try:
        return readable(str.__str__(str(error))[:LONGEST_TEXT])
    except BaseException:  # noqa: BLE001 - whatever a type's own words raise
        return SPEECHLESS


def readable(text: str) -> str:
    """Without half characters and control characters, but for line ends and tabs."""
    if text.isprintable():
        return text
    return _UNREADABLE.sub("\ufffd", text.encode("utf-8", "replace").decode())


def trace(error: BaseException) -> str:
    """The traceback as text, its beginning and its end when it is longer than 20,000 characters; never raises."""
    try:
        found = "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001 - whatever a type's own words raise
        found = "".join(traceback.format_tb(_traceback(error))) + describe(error)
    if len(found) > LONGEST_TRACE:
        found = f"{found[: LONGEST_TRACE // 2 - 5]}\n...\n{found[-LONGEST_TRACE // 2 :]}"
    return readable(found)


def trimmed(error: BaseException, folder: str) -> BaseException:
    """The error without the steps of its traceback, and of those it came from, that files of this folder made.

    A traceback of nothing else stays as it is, unless a note says more. Never raises.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    with suppress(BaseException):  # whatever a type's own words raise
        while waiting and len(seen) < _MOST_CAUSES:
            fault = waiting.pop()
            if fault is None or id(fault) in seen:
                continue
            seen.add(id(fault))
            steps = _steps(_traceback(fault))
            own = [step for step in steps if not step.tb_frame.f_code.co_filename.startswith(folder)]
            if len(own) < len(steps) and (own or getattr(fault, "__notes__", None)):
                BaseException.with_traceback(fault, _joined(own))
            waiting += [fault.__cause__, fault.__context__]
    return error


def _steps(trace: TracebackType | None) -> list[TracebackType]:
    steps = []
    while trace is not None:
        steps.append(trace)
        trace = trace.tb_next
    return steps


def _joined(steps: list[TracebackType]) -> TracebackType | None:
    joined: TracebackType | None = None
    for step in reversed(steps):
        joined = TracebackType(joined, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return joined


def loggable(error: BaseException) -> BaseException:
    """For ``exc_info``: the error itself, unless a log could not take it; then something that says what is known."""
    with suppress(BaseException):  # whatever a type's own words raise
        found = "".join(traceback.format_exception(error))
        if len(found) <= LONGEST_TRACE and readable(found) == found:
            return error
    stand_in = Undescribed(describe(error)).with_traceback(_traceback(error))
    stand_in.add_note(trace(error))
    return stand_in
