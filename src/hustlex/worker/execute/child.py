"""What runs in a process of its own: one call after another, each a task's plain function. Imported by that process."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import lru_cache
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from operator import attrgetter
from typing import Any

import msgspec

from hustlex.core.faults import describe, trace, trimmed, words
from hustlex.core.time import to_ms
from hustlex.errors import Misuse
from hustlex.jobs.define.context import CURRENT, CurrentJob
from hustlex.jobs.define.signals import Retry, RevokeTask, SkipRetry, Snooze, found
from hustlex.jobs.define.tasks import Task
from hustlex.jobs.wire import decode_task
from hustlex.worker.journal import ENGINE

VERDICTS: dict[str, type[Exception]] = {"skip": SkipRetry, "revoke": RevokeTask, "snooze": Snooze, "retry": Retry}


class ChildCall(msgspec.Struct, frozen=True):
    """One attempt."""

    module: str
    """Where the function is."""
    name: str
    """And what it is called there."""
    task_type: str
    """Its task's."""
    message: bytes
    """As stored."""
    deadline_ms: int
    """When the attempt is cut off, Unix ms."""


class ChildOutcome(msgspec.Struct, frozen=True):
    """How it ended."""

    failed: bool
    """Whether the function raised."""
    value: bytes
    """The pickled result, or exception; empty for one that cannot be pickled."""
    reason: str = ""
    """The exception's type and text."""
    trace: str = ""
    """Where it was raised."""
    verdicts: dict[str, int] = msgspec.field(default_factory=dict)
    """Those of VERDICTS that it is or was raised from, a cause being no part of a pickle, with their ``in_`` in ms."""


def serve(pipe: Connection, module: str) -> None:
    """Import the module, say so, and answer calls until the pipe ends.

    Only the parent decides about stopping, and ends this process with itself.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with suppress(Exception):  # the call will tell
        import_module(module)
    pipe.send_bytes(b"ready")
    own = os.getpid()
    while True:
        try:
            request = pipe.recv_bytes()
        except (EOFError, ConnectionError):
            return
        answer = msgspec.msgpack.encode(_answer(msgspec.msgpack.decode(request, type=ChildCall)))
        if os.getpid() != own:
            os._exit(0)  # a copy that the function forked: its answer would be taken for that of the next call
        pipe.send_bytes(answer)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)


def _answer(call: ChildCall) -> ChildOutcome:
    try:
        result = copy_context().run(_run, call)
    except BaseException as fault:  # noqa: BLE001 - sent to the parent
        return _failure(fault)
    try:
        return ChildOutcome(False, pickle.dumps(result))
    except BaseException as fault:  # noqa: BLE001 - whatever a user's type raises
        reason = f"the result is a {type(result).__name__}, which cannot be pickled: {words(fault)}"
        return ChildOutcome(True, b"", reason, verdicts={"skip": 0})


def _run(call: ChildCall) -> Any:
    message = decode_task(call.message)
    task = _find(call.module, call.name, call.task_type)
    CURRENT.set(CurrentJob(message, call.deadline_ms, None, _no_result))
    return task.function(**task.arguments(message.payload))


async def _no_result(_: bytes) -> bool:
    raise Misuse("a task with cpu=True cannot write results", hint="return the value: it is the result")


@lru_cache(maxsize=1024)
def _find(module: str, name: str, task_type: str) -> Task[..., Any]:
    found = attrgetter(name)(import_module(module))
    return found if isinstance(found, Task) else Task(task_type, found, {})


def _failure(fault: BaseException) -> ChildOutcome:
    seen = ((name, found(fault, kind)) for name, kind in VERDICTS.items())
    verdicts = {name: _in_ms(verdict) for name, verdict in seen if verdict is not None}
    return ChildOutcome(True, _pickled(fault), describe(fault), trace(trimmed(fault, ENGINE)), verdicts)


def _in_ms(verdict: Exception) -> int:
    wait = getattr(verdict, "in_", None)
    return to_ms(wait) if isinstance(wait, timedelta) else 0


def _pickled(fault: BaseException) -> bytes:
    if not isinstance(fault, Exception):
        return b""
    try:
        value = pickle.dumps(fault)
        pickle.loads(value)  # noqa: S301 - just written
    except BaseException:  # noqa: BLE001 - many exceptions cannot be pickled, or not read back
        return b""
    return value
