"""What becomes of a call that was sent: its answer, without a task for it where nothing goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from hustlex.core.op import Op
from hustlex.core.promise import answer, entrust
from hustlex.drivers.aio.connection import ReplyError
from hustlex.drivers.faults import decoded

T = TypeVar("T")
Settle = Callable[[], Coroutine[Any, Any, T]]


def answer_of(op: Op[T], reply: asyncio.Future[Any] | None, settle: Settle[T]) -> asyncio.Future[T]:
    """The decoded reply; what ``settle`` answers where nothing could be sent, or the reply is no plain one."""
    waiting: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    if reply is None:
        entrust(waiting, settle())
    else:
        reply.add_done_callback(partial(_heard, op, waiting, settle))
    return waiting


def _heard(op: Op[T], waiting: asyncio.Future[T], settle: Settle[T], reply: asyncio.Future[Any]) -> None:
    if waiting.done():
        return
    if reply.exception() is not None or type(reply.result()) is ReplyError:
        entrust(waiting, settle())
        return
    try:
        found: T | Exception = decoded(op, reply.result())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
        found = error
    answer(waiting, found)
